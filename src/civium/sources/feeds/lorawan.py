"""What uplinks of all LoRaWAN network servers have in common: one item each, of the same form whoever sent it."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from civium.core import from_datetime
from civium.sources.feeds import codecs
from civium.sources.feeds.broker import BrokerSettings
from civium.sources.feeds.broker import check as check_broker
from civium.sources.feeds.codecs import Codec
from civium.sources.feeds.source import Item, Unreadable


class LorawanSettings(BrokerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``codecs``: the first whose port fits decodes a payload; by default the network server has done so."""

    codecs: tuple[Codec, ...] = ()


def check(settings: LorawanSettings) -> None:
    """Raises SettingsWrong."""
    codecs.check(settings.codecs)
    if settings.url:
        check_broker(settings)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a message; raises Unreadable."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise Unreadable("it is no JSON object")
    return told


def uplink(
    settings: LorawanSettings, about: Mapping[str, Any], data: str, decoded: Any, received: str | None, session: str
) -> Item:
    """The item of an uplink, ``received`` then or (None) as it comes; ``about`` is who sent it and how it was heard.

    A device counts its frames for as long as a session lasts: device, session and counter make an uplink one and no
    other.
    """
    try:
        payload = base64.b64decode(data, validate=True)
        time = None if received is None else from_datetime(datetime.fromisoformat(received))
    except (binascii.Error, ValueError, TypeError) as error:
        raise Unreadable(f"its payload or its time cannot be read: {error}") from None
    port = int(about["port"])
    values = codecs.decode(settings.codecs, port, payload, decoded if isinstance(decoded, dict) else None)
    identity = f"{about['device']}/{session}/{about['counter']}"
    return Item({**about, "values": values}, time, identity=identity)


def best(received: Any, rssi: str, snr: str) -> dict[str, Any]:
    """Signal strength [dBm] and signal to noise ratio [dB] at the gateway that heard it best."""
    heard = [one for one in received if isinstance(one, dict)] if isinstance(received, list) else []
    told = [one for one in heard if isinstance(one.get(rssi), int | float)]  # some gateways tell none
    loudest: dict[str, Any] = max(told, key=lambda one: float(one[rssi]), default={})
    return {"rssi": loudest.get(rssi), "snr": loudest.get(snr)}
