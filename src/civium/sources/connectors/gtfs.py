"""GTFS: the timetable of a public transport network, as scheduled departures of each stop on the service day."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from civium.core import from_datetime
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_MOST_BYTES = 1024**3  # of the calls, unpacked
_MOST_OTHERS = 128 * 1024**2  # of any other table
_CALLS = "stop_times.txt"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ADDED, _REMOVED = "1", "2"


class GtfsSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url`` is the zip file."""

    every_s: float = 6 * 3600.0
    timeout_s: float = 300.0
    max_body_mb: float = 512.0


def read(settings: GtfsSettings, body: bytes) -> Sequence[Item]:
    """Each stop with its scheduled ``departures`` today, in the agency's time zone; raises Unreadable.

    Trips of frequencies.txt count once.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            zone = ZoneInfo(_table(archive, "agency.txt").column("agency_timezone")[0].as_py())
            return departures(archive, datetime.now(zone).date(), zone)
    except (zipfile.BadZipFile, pa.ArrowException, KeyError, IndexError, ValueError, OSError, EOFError) as error:
        raise Unreadable(f"it is no GTFS timetable: {error}") from None


def departures(archive: zipfile.ZipFile, day: date, zone: ZoneInfo) -> list[Item]:
    """The stops at which something departs on ``day``, with how many departures."""
    trips = _table(archive, "trips.txt")
    running = trips.filter(pc.is_in(trips.column("service_id"), pa.array(sorted(_services(archive, day)), pa.string())))
    calls = _table(archive, _CALLS)
    calls = calls.filter(pc.is_in(calls.column("trip_id"), running.column("trip_id").combine_chunks()))
    counted = calls.group_by("stop_id").aggregate([("trip_id", "count")])
    counts = dict(zip(counted.column("stop_id").to_pylist(), counted.column("trip_id_count").to_pylist(), strict=True))
    start, end = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (day, day + timedelta(days=1)))
    return [
        Item(
            {
                "stop": stop["stop_id"], "name": stop.get("stop_name"), "lon": _degrees(stop.get("stop_lon")),
                "lat": _degrees(stop.get("stop_lat")), "departures": counts[stop["stop_id"]], "date": day.isoformat(),
            },
            from_datetime(start),
            from_datetime(end),
        )
        for stop in _table(archive, "stops.txt").to_pylist()
        if stop["stop_id"] in counts
    ]  # fmt: skip


def _services(archive: zipfile.ZipFile, day: date) -> set[str]:
    """The services that run on a day: those of its weekday, and the exceptions."""
    services: set[str] = set()
    told = day.strftime("%Y%m%d")
    names = set(archive.namelist())
    if "calendar.txt" in names:
        for row in _table(archive, "calendar.txt").to_pylist():
            if row[_DAYS[day.weekday()]] == "1" and row["start_date"] <= told <= row["end_date"]:
                services.add(row["service_id"])
    if "calendar_dates.txt" in names:
        exceptions = _table(archive, "calendar_dates.txt")
        for row in exceptions.filter(pc.equal(exceptions.column("date"), told)).to_pylist():
            if row["exception_type"] == _ADDED:
                services.add(row["service_id"])
            elif row["exception_type"] == _REMOVED:
                services.discard(row["service_id"])
    return services


def _table(archive: zipfile.ZipFile, name: str) -> pa.Table:
    """A table with every column as text."""
    info = archive.getinfo(name)
    most = _MOST_BYTES if name == _CALLS else _MOST_OTHERS
    if info.file_size > most:  # zipfile unpacks no more than that, whatever is inside
        raise ValueError(f"{name} is larger than {most // 1024**2} MB")
    with archive.open(info) as file:
        names = file.readline().decode("utf-8-sig").strip().replace('"', "").split(",")
    with archive.open(info) as file:
        return csv.read_csv(
            pa.py_buffer(file.read()),
            read_options=csv.ReadOptions(column_names=[one.strip() for one in names], skip_rows=1),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(map(str.strip, names), pa.string())),
        )


def _degrees(text: str | None) -> float | None:
    return float(text) if text else None


async def run(settings: GtfsSettings, sink: Sink) -> None:
    """Fetch the timetable again and again; the same file says another thing another day."""
    await pull(settings, sink, read, afresh=True)


SOURCE = Source("gtfs", GtfsSettings, run=run)
