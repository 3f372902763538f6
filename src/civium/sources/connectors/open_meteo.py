"""Weather in the form of Open-Meteo: forecasts and analyses, columns of values beside a column of times."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from civium.core import MICROSECONDS, from_datetime
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_SECTIONS = ("current", "minutely_15", "hourly", "daily")


class OpenMeteoSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url`` is the whole question, such as ``https://.../v1/forecast?latitude=60.17&longitude=24.94&hourly=rain``."""

    every_s: float = 900.0


def read(settings: OpenMeteoSettings, body: bytes) -> Sequence[Item]:
    """One item for each time of each section, such as ``hourly.rain`` with ``units.rain``; raises Unreadable."""
    try:
        told = msgspec.json.decode(body)
        places = told if isinstance(told, list) else [told]
        return [item for place in places for item in _of_place(place)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"it has not the form of Open-Meteo: {error!r}") from None


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
        units, columns = place.get(f"{section}_units", {}), dict(place[section])
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


SOURCE = Source("open_meteo", OpenMeteoSettings, run=run)
