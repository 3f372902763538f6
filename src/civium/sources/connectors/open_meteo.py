"""Weather in the form of Open-Meteo: forecasts and analyses, columns of values beside a column of times."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from civium.core import MICROSECONDS, InputRefused, from_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable
from civium.sources.units import to_si

_SECTIONS = ("current", "minutely_15", "hourly", "daily")
_VALUE = re.compile(rf"(?:{'|'.join(_SECTIONS)})\.(\w+)")
_UNITS = {"mp/h": "mph", "wmo code": "1", "EAQI": "1", "USAQI": "1"}  # words of its own


class OpenMeteoSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url`` is the whole question, such as ``https://.../v1/forecast?latitude=60.17&longitude=24.94&hourly=rain``."""

    every_s: float = 900.0


def check(settings: OpenMeteoSettings) -> None:
    """Raises SettingsWrong for a value without a unit: the question says in which it is answered, and may change."""
    for field in settings.fields:
        named = _VALUE.fullmatch(field.value)
        if named and not field.unit and field.type in ("number", "count"):
            raise SettingsWrong(f"field '{field.value}' has no unit: write unit = \"{{units.{named[1]}}}\"")


def read(settings: OpenMeteoSettings, body: bytes) -> Sequence[Item]:
    """One item for each time of each section, such as ``hourly.rain`` with ``units.rain``; raises Unreadable."""
    try:
        told = msgspec.json.decode(body)
        places = told if isinstance(told, list) else [told]
        items = [item for place in places for item in _of_place(place)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"it has not the form of Open-Meteo: {error!r}") from None
    try:
        for item in items:
            _check_units(settings, item.said["units"])
    except InputRefused as error:
        raise Unreadable(str(error)) from None
    return items


def _check_units(settings: OpenMeteoSettings, units: Mapping[str, str]) -> None:
    """Raises Unreadable where a unit that is written in the settings is not that of the answer."""
    for field in settings.fields:
        named = _VALUE.fullmatch(field.value)
        told = units.get(named[1]) if named else None
        if told is not None and field.unit and "{" not in field.unit and to_si(field.unit, "") != to_si(told, ""):
            why = f"{field.value} is told in {told}, and the settings say {field.unit}"
            raise Unreadable(f'{why}: write unit = "{{units.{named[1]}}}"' if named else why)


def _of_place(place: dict[str, Any]) -> Iterator[Item]:
    if place.get("error"):
        raise Unreadable(f"it says: {place.get('reason')}")
    about = {name: place[name] for name in ("latitude", "longitude", "elevation", "location_id") if name in place}
    about.setdefault("location_id", 0)
    zone = timezone(timedelta(seconds=place.get("utc_offset_seconds", 0)))
    found = [section for section in _SECTIONS if section in place]
    if not found:
        raise ValueError(f"none of {', '.join(_SECTIONS)} is in it")
    for section in found:
        units = {name: _UNITS.get(unit, unit) for name, unit in place.get(f"{section}_units", {}).items()}
        columns = dict(place[section])
        times = columns.pop("time")
        if section == "current":
            columns.pop("interval", None)
            times, columns = [times], {name: [value] for name, value in columns.items()}
        if any(len(values) != len(times) for values in columns.values()):
            raise ValueError(f"the columns of {section} are not of one length")
        for row, time in enumerate(times):
            values = {name: column[row] for name, column in columns.items() if column[row] is not None}
            if values:
                yield Item({**about, section: values, "units": units}, _instant(time, zone))


def _instant(time: Any, zone: timezone) -> int:
    if isinstance(time, int):  # timeformat=unixtime
        return time * MICROSECONDS
    moment = datetime.fromisoformat(time)
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=zone))


async def run(settings: OpenMeteoSettings, sink: Sink) -> None:
    """Fetch it again and again."""
    await pull(settings, sink, read)


SOURCE = Source("open_meteo", OpenMeteoSettings, run=run, check=check)
