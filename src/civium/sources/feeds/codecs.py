"""Payloads of LoRaWAN devices: decoded by the network server, in Cayenne LPP, or a row of numbers as declared."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import Unreadable


class Codec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How payloads of one port are decoded.

    ``form`` is network (as the network server did), cayenne (Low Power Payload), or numbers: ``layout`` as Python's
    struct module writes it (">hHB": big-endian, signed and unsigned 16 bits, 8 bits), with a name for each number and,
    where given, what it is multiplied with.
    """

    form: str = "network"
    port: int = 0  # 0: any
    layout: str = ""
    names: tuple[str, ...] = ()
    factors: tuple[float, ...] = ()


_Values = Callable[[bytes], dict[str, float]]


def _numbers(*names: str, layout: str, factor: float = 1.0) -> tuple[int, _Values]:
    def values(data: bytes) -> dict[str, float]:
        return {name: value * factor for name, value in zip(names, struct.unpack(layout, data), strict=True)}

    return struct.calcsize(layout), values


def _position(data: bytes) -> dict[str, float]:
    latitude, longitude, altitude = (int.from_bytes(data[at : at + 3], "big", signed=True) for at in (0, 3, 6))
    return {"latitude": latitude / 1e4, "longitude": longitude / 1e4, "altitude": altitude / 100}


# Cayenne LPP: type -> name, length, values. https://docs.mydevices.com/docs/lorawan/cayenne-lpp
_CAYENNE: dict[int, tuple[str, tuple[int, _Values]]] = {
    0: ("digital_in", _numbers("", layout=">B")),
    1: ("digital_out", _numbers("", layout=">B")),
    2: ("analog_in", _numbers("", layout=">h", factor=0.01)),
    3: ("analog_out", _numbers("", layout=">h", factor=0.01)),
    101: ("luminosity", _numbers("", layout=">H")),
    102: ("presence", _numbers("", layout=">B")),
    103: ("temperature", _numbers("", layout=">h", factor=0.1)),
    104: ("relative_humidity", _numbers("", layout=">B", factor=0.5)),
    113: ("accelerometer", _numbers("x", "y", "z", layout=">hhh", factor=0.001)),
    115: ("barometric_pressure", _numbers("", layout=">H", factor=0.1)),
    134: ("gyrometer", _numbers("x", "y", "z", layout=">hhh", factor=0.01)),
    136: ("gps", (9, _position)),
}


def check(codecs: Sequence[Codec]) -> None:
    """Raises SettingsWrong for a codec that cannot be."""
    for codec in codecs:
        if codec.form not in ("network", "cayenne", "numbers"):
            raise SettingsWrong(f"codec form '{codec.form}' is not network, cayenne or numbers")
        if codec.form == "numbers":
            try:
                count = len(struct.unpack(codec.layout, bytes(struct.calcsize(codec.layout))))
            except struct.error as error:
                raise SettingsWrong(f"codec layout '{codec.layout}': {error}") from None
            if not codec.layout.startswith(("<", ">")):
                raise SettingsWrong(f"codec layout '{codec.layout}' must begin with < or >: which byte comes first?")
            if count != len(codec.names) or len(codec.factors) not in (0, count):
                raise SettingsWrong(f"codec layout '{codec.layout}' has {count} numbers: give a name for each")


def decode(codecs: Sequence[Codec], port: int, data: bytes, by_network: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The values of a payload, by name; raises Unreadable."""
    codec = next((one for one in codecs if one.port in (0, port)), None if codecs else Codec())
    if codec is None:
        raise Unreadable(f"no codec is declared for port {port}")
    if codec.form == "network":
        if by_network is None:
            raise Unreadable(
                "the network server has not decoded it: give the device a formatter there, or a codec here"
            )
        return by_network
    if codec.form == "cayenne":
        return _cayenne(data)
    try:
        numbers = struct.unpack(codec.layout, data)
    except struct.error:
        size = struct.calcsize(codec.layout)
        raise Unreadable(f"its payload of {len(data)} byte is not the {size} of '{codec.layout}'") from None
    factors = codec.factors or (1.0,) * len(numbers)
    return {
        name: number if factor == 1.0 else number * factor
        for name, number, factor in zip(codec.names, numbers, factors, strict=True)
    }


def _cayenne(data: bytes) -> dict[str, float]:
    """``temperature_1`` is the temperature of channel 1, ``gps_2_latitude`` a part of what channel 2 says."""
    found: dict[str, float] = {}
    at = 0
    while at < len(data):
        channel, kind = data[at], data[at + 1] if at + 1 < len(data) else -1
        if kind not in _CAYENNE:
            raise Unreadable(f"its payload is no Cayenne LPP: there is no type {kind}")
        name, (size, values) = _CAYENNE[kind]
        part = data[at + 2 : at + 2 + size]
        if len(part) < size:
            raise Unreadable("its payload is no Cayenne LPP: it ends within a value")
        for axis, value in values(part).items():
            found[f"{name}_{channel}" + (f"_{axis}" if axis else "")] = value
        at += 2 + size
    return found
