"""Roadside Bluetooth readers that post what they hear; an address is replaced by the pseudonym of a day, here and at
once, so that no address comes into the log, the history or a dead letter.

The pseudonym is HMAC-SHA256 of the local date and the address under a key that the city alone holds, cut to 53 bits:
the same device has another one tomorrow, and who lacks the key cannot try all addresses.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from jmespath.exceptions import JMESPathError

from civium.core import CiviumError, to_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.mapping import NotFound, expression, listed, read_time
from civium.sources.feeds.source import Item, Secret, Source, SourceSettings, Unreadable
from civium.sources.import_cells import TimeReading

_ADDRESS = re.compile(r"[0-9a-f]{12}")
_BITS = 53


class BluetoothSettings(SourceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``items``: JMESPath of the list; ``address``: the name under which an item tells the device's address, which is
    taken out of it and comes back as ``device``, the pseudonym; ``key``: what pseudonyms are made with."""

    items: str = "@"
    address: str = "address"
    key: Secret | None = None


def decode(settings: BluetoothSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The items of a body, without addresses; raises Unreadable, in which no address is told either."""
    assert settings.key is not None
    key = settings.key.reveal().encode()
    try:
        said = listed(expression(settings.items).search(msgspec.json.decode(body)), f"'{settings.items}'")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("it is no JSON") from None
    except (NotFound, JMESPathError) as error:
        raise Unreadable(str(error)) from None
    how = TimeReading(settings.timezone, settings.epoch)
    return [Item(_without_address(one, settings, key, how)) for one in said]


def _without_address(said: Any, settings: BluetoothSettings, key: bytes, how: TimeReading) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise Unreadable("an item is no object with the address of a device")
    kept = {name: value for name, value in said.items() if name not in (settings.address, "device")}
    address = re.sub(r"[:\-.\s]", "", str(said.get(settings.address, ""))).lower()
    try:
        instant = read_time(expression(settings.time).search(said), how)
    except (NotFound, JMESPathError, CiviumError):
        return kept  # without a time nobody knows which day's pseudonym: the item becomes a dead letter
    if _ADDRESS.fullmatch(address):
        kept["device"] = pseudonym(key, _day(instant, settings.timezone), address)
    return kept


def _day(instant: int, zone: str) -> date:
    when: datetime = to_datetime(instant)
    return when.astimezone(ZoneInfo(zone) if zone else UTC).date()


def pseudonym(key: bytes, day: date, address: str) -> int:
    """The whole number below 2^53 that stands for an address (12 hexadecimal digits) on a day."""
    digest = hmac.digest(key, f"{day.isoformat()} {address}".encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> (64 - _BITS)


def check(settings: BluetoothSettings) -> None:
    """Raises SettingsWrong."""
    expression(settings.items)
    if settings.key is None:
        raise SettingsWrong("key is missing: write key = 'env:NAME', with a long random text there")
    if not settings.time:
        raise SettingsWrong("time is missing: a pseudonym is of the day of its passage; say where that is told")


SOURCE = Source("bluetooth", BluetoothSettings, decode=decode, check=check)
