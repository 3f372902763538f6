"""LoRaWAN uplinks from ChirpStack 4 and 3: the HTTP integration, or the MQTT one, both in JSON."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import DecodeError, json

from civium.sources.feeds.broker import subscribe
from civium.sources.feeds.lorawan import LorawanSettings, best, check, parse, uplink
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_EUI_DIGITS = 16
_TOPIC = "application/+/device/+/event/up"


def read(settings: LorawanSettings, body: bytes) -> Sequence[Item]:
    """The one item of an uplink, none of another event or of one without a payload; raises Unreadable."""
    told = parse(body)
    if "devEUI" in told:
        return _read_3(settings, told)
    if "deviceInfo" not in told:
        raise Unreadable("it is no event of ChirpStack in JSON: deviceInfo (4) or devEUI (3) is missing")
    if "devAddr" not in told or not ("data" in told or told.get("object")):
        return []
    try:
        device = told["deviceInfo"]
        about = {
            "device": device["devEui"],
            "name": device.get("deviceName", device["devEui"]),
            "application": device.get("applicationName", ""),
            "tags": device.get("tags") or {},
            "port": told.get("fPort", 0),
            "counter": told.get("fCnt", 0),
            **best(told.get("rxInfo"), "rssi", "snr"),
        }
        return [uplink(settings, about, told.get("data", ""), told.get("object"), told["time"], told["devAddr"])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"it has not the form of ChirpStack 4: {error!r}") from None


def _read_3(settings: LorawanSettings, told: dict[str, Any]) -> Sequence[Item]:
    """The same of ChirpStack 3, whose ``devEUI`` is hexadecimal in its older marshaler and base 64 in its later one.

    It tells no time of its own before 3.16: then it is that of a gateway, and where none has one, that of arrival.
    """
    if not ("fCnt" in told or "fPort" in told) or not (
        told.get("data") or told.get("objectJSON") or told.get("object")
    ):
        return []  # a join, a status, an acknowledgement
    try:
        heard = [one for one in told.get("rxInfo") or [] if isinstance(one, dict)]
        about = {
            "device": _eui(told["devEUI"]),
            "name": told.get("deviceName") or _eui(told["devEUI"]),
            "application": told.get("applicationName", ""),
            "tags": told.get("tags") or {},
            "port": told.get("fPort", 0),
            "counter": told.get("fCnt", 0),
            **best(heard, "rssi", "loRaSNR"),
        }
        decoded = json.decode(told["objectJSON"]) if told.get("objectJSON") else told.get("object")
        time = told.get("publishedAt") or next((one["time"] for one in heard if one.get("time")), None)
        # Where no address of the session is told, a counter that begins anew is told apart by its time.
        session = told.get("devAddr") or time or ""
        return [uplink(settings, about, told.get("data") or "", decoded, time, session)]
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError) as error:
        raise Unreadable(f"it has not the form of ChirpStack 3: {error!r}") from None


def _eui(told: str) -> str:
    """A device's EUI in hexadecimal digits."""
    return told.lower() if len(told) == _EUI_DIGITS else b64decode(told, validate=True).hex()


def decode(settings: LorawanSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The item of what the HTTP integration posts; raises Unreadable."""
    return read(settings, body)


async def run(settings: LorawanSettings, sink: Sink) -> None:
    """Take the uplinks of all applications, or of the ``topics`` that are declared."""
    await subscribe(settings, sink, settings.topics or (_TOPIC,), lambda _, payload: read(settings, payload))


SOURCE = Source("chirpstack", LorawanSettings, run=run, decode=decode, check=check)
