"""Stops of a GTFS timetable, with the routes and the calls of its busiest day (https://gtfs.org/schedule/reference)."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from civium.core import InputRefused
from civium.twin.model.refusal import reason

Rows = list[dict[str, Any]]
Box = tuple[float, float, float, float]

_HOW = "give a GTFS timetable as one .zip file"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MARGIN = 0.005  # a stop just outside the town still serves it [deg]
_KINDS = {
    0: "tram",
    1: "metro",
    2: "rail",
    3: "bus",
    4: "ferry",
    5: "cable",
    6: "cable",
    7: "cable",
    11: "bus",
    12: "metro",
}
_HUNDREDS = {
    1: "rail",
    2: "bus",
    4: "metro",
    5: "metro",
    6: "metro",
    7: "bus",
    8: "bus",
    9: "tram",
    10: "ferry",
    12: "ferry",
}
_HUNDREDS |= {13: "cable", 14: "cable", 15: "bus"}
_LONGEST = 366 * 3  # days of a calendar that are looked at


@dataclass(frozen=True, slots=True)
class Timetable:
    """Rows of the layer ``stops`` from one feed; its busiest day (YYYY-MM-DD); stops that lie outside the town."""

    rows: Rows
    day: str
    outside: int


class _Feed:
    """The tables of a zip, wherever in it they lie, as text."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        if not path.exists():
            raise InputRefused(f"'{path}' does not exist; {_HOW}", status=404)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputRefused(f"'{path.name}' is not a readable zip ({reason(error)}); {_HOW}") from error
        self._members = {Path(name).name: name for name in self._archive.namelist()}

    def table(self, name: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame | None:
        """A table of the feed, or None where it has none. Columns of ``optional`` are there, empty if not given."""
        if name not in self._members:
            return None
        try:
            with self._archive.open(self._members[name]) as file:
                table = pd.read_csv(
                    file,
                    dtype=str,
                    encoding="utf-8-sig",
                    skipinitialspace=True,
                    keep_default_na=False,
                    usecols=lambda c: c.strip() in {*columns, *optional},
                )
        except (ValueError, zipfile.BadZipFile, OSError, pd.errors.ParserError) as error:
            raise InputRefused(
                f"'{name}' in '{self.name}' is damaged ({reason(error)}); fetch the timetable again"
            ) from error
        table.columns = [str(column).strip() for column in table.columns]
        missing = [column for column in columns if column not in table.columns]
        if missing:
            raise InputRefused(f"'{name}' in '{self.name}' has no column {', '.join(missing)}; {_HOW}")
        for column in optional:
            if column not in table.columns:
                table[column] = ""
        return table

    def needed(self, name: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
        table = self.table(name, columns, optional)
        if table is None:
            raise InputRefused(f"'{self.name}' has no {name}; {_HOW}")
        return table


def _dates(text: pd.Series) -> Any:
    """YYYYMMDD as days since 1970; unreadable ones raise ValueError."""
    return pd.to_datetime(text.str.strip(), format="%Y%m%d").to_numpy().astype("datetime64[D]").astype(np.int64)


def _busiest_day(feed: _Feed, trips_of_service: pd.Series) -> tuple[str, set[str]]:
    """The first of the days with the most trips, and the services that run on it."""
    calendar = feed.table("calendar.txt", ("service_id", *_DAYS, "start_date", "end_date"))
    exceptions = feed.table("calendar_dates.txt", ("service_id", "date", "exception_type"))
    added: list[tuple[str, int, int, str]] = []
    try:
        if calendar is not None and len(calendar):
            starts, ends = _dates(calendar["start_date"]), _dates(calendar["end_date"])
        else:
            calendar, starts, ends = None, np.empty(0, np.int64), np.empty(0, np.int64)
        if exceptions is not None and len(exceptions):
            changes = zip(
                exceptions["service_id"], _dates(exceptions["date"]), exceptions["exception_type"], strict=True
            )
            added = [(service, int(day), 1 if kind.strip() == "1" else -1, kind) for service, day, kind in changes]
    except ValueError as error:
        raise InputRefused(f"the calendar of '{feed.name}' holds a date that is none ({reason(error)})") from error
    days = [*starts.tolist(), *ends.tolist(), *(day for _, day, _, _ in added)]
    if not days:
        raise InputRefused(f"'{feed.name}' says of no day that anything runs; {_HOW}")
    first, last = min(days), min(max(days), min(days) + _LONGEST)
    span = np.arange(first, last + 1)
    weekday = (span + 3) % 7  # 1 January 1970 was a Thursday
    runs: dict[str, Any] = {}
    if calendar is not None:
        weekly = calendar[list(_DAYS)].apply(lambda column: column.str.strip() == "1").to_numpy()
        for service, start, end, week in zip(calendar["service_id"], starts, ends, weekly, strict=True):
            active = (span >= start) & (span <= end) & week[weekday]
            runs[service] = runs.get(service, False) | active
    for service, day, sign, _ in added:
        if first <= day <= last:
            active = runs.setdefault(service, np.zeros(len(span), dtype=bool))
            active[day - first] = sign > 0
    load = np.zeros(len(span))
    for service, active in runs.items():
        load += active * float(trips_of_service.get(service, 0.0))
    best = int(load.argmax())
    services = {service for service, active in runs.items() if active[best]}
    return str(np.datetime64(int(span[best]), "D")), services


def _seconds(text: str) -> int:
    hours, minutes, seconds = text.strip().split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _departures(feed: _Feed, trips: pd.DataFrame) -> pd.Series:
    """How often each trip runs on its day: once, or as its headways say."""
    often = pd.Series(1.0, index=trips["trip_id"])
    frequencies = feed.table("frequencies.txt", ("trip_id", "start_time", "end_time", "headway_secs"))
    if frequencies is None or not len(frequencies):
        return often
    try:
        lasting = frequencies["end_time"].map(_seconds) - frequencies["start_time"].map(_seconds)
        runs = np.ceil(lasting / frequencies["headway_secs"].astype(float)).clip(lower=0)
    except (ValueError, ZeroDivisionError) as error:
        raise InputRefused(f"'frequencies.txt' in '{feed.name}' holds a time that is none ({reason(error)})") from error
    total = runs.groupby(frequencies["trip_id"]).sum()
    often.update(total)
    return often


def kind_of_route(route_type: str) -> str:
    """bus, tram, metro, rail, ferry, cable or unknown, from a GTFS route type (basic or extended)."""
    try:
        number = int(route_type)
    except ValueError:
        return "unknown"
    return _KINDS.get(number) or _HUNDREDS.get(number // 100, "unknown")


def _calls(feed: _Feed, stops: pd.DataFrame) -> tuple[dict[str, dict[Any, Any]], str]:
    """For each stop and station: routes (distinct), calls on the busiest day, kind of most calls; and that day."""
    routes = feed.needed("routes.txt", ("route_id", "route_type"))
    trips = feed.needed("trips.txt", ("route_id", "service_id", "trip_id"))
    times = feed.needed("stop_times.txt", ("trip_id", "stop_id"))
    trips = trips.drop_duplicates("trip_id")
    trips["runs"] = _departures(feed, trips).to_numpy()
    day, services = _busiest_day(feed, trips.groupby("service_id")["runs"].sum())
    trips["today"] = trips["runs"].where(trips["service_id"].isin(services), 0.0)
    trips = trips.merge(routes.drop_duplicates("route_id"), on="route_id", how="left")
    trips["kind"] = trips["route_type"].fillna("").map(kind_of_route)
    calls = times[times["stop_id"] != ""].merge(trips, on="trip_id", how="inner")
    stations = calls["stop_id"].map(stops.set_index("stop_id")["parent_station"]).fillna("")
    calls = pd.concat([calls, calls.assign(stop_id=stations)[stations != ""]])
    by_stop = calls.groupby("stop_id")
    kinds = calls.groupby(["stop_id", "kind"]).size().rename("n").reset_index()
    kinds = kinds.sort_values(["stop_id", "n", "kind"], ascending=[True, False, True]).drop_duplicates("stop_id")
    table = pd.DataFrame({"routes": by_stop["route_id"].nunique(), "trips": by_stop["today"].sum()})
    table["kind"] = kinds.set_index("stop_id")["kind"]
    return {str(stop): row for stop, row in zip(table.index, table.to_dict("records"), strict=True)}, day


def build_gtfs(path: Path, box: Box) -> Timetable:
    """The stops of a timetable in or just beside a box (west, south, east, north [deg]).

    ``trips`` counts calls on the busiest day (headways are counted out); a station sums over its platforms. Raises
    InputRefused for a file that is missing, no GTFS, damaged, or of another town.
    """
    feed = _Feed(path)
    stops = feed.needed(
        "stops.txt",
        ("stop_id", "stop_lat", "stop_lon"),
        ("stop_name", "stop_code", "location_type", "parent_station", "wheelchair_boarding"),
    )
    stops["lon"] = pd.to_numeric(stops["stop_lon"], errors="coerce")
    stops["lat"] = pd.to_numeric(stops["stop_lat"], errors="coerce")
    stops = stops[stops["location_type"].isin(["", "0", "1"])].drop_duplicates("stop_id")
    calls, day = _calls(feed, stops)
    inside = stops["lon"].between(box[0] - _MARGIN, box[2] + _MARGIN)
    inside &= stops["lat"].between(box[1] - _MARGIN, box[3] + _MARGIN)
    if not inside.any():
        raise InputRefused(f"none of the {len(stops)} stops of '{path.name}' lies in this town; give its own timetable")
    rows = []
    for stop in stops[inside].to_dict("records"):
        id_ = stop["stop_id"]
        own = calls.get(id_, {"routes": 0, "trips": 0.0, "kind": "unknown"})
        rows.append(
            {
                "id": f"gtfs/{path.stem}/{id_}",
                "name": stop["stop_name"] or None,
                "source": "gtfs",
                "kind": own["kind"],
                "role": "station" if stop["location_type"] == "1" else "platform",
                "code": stop["stop_code"] or None,
                "wheelchair": {"1": True, "2": False}.get(stop["wheelchair_boarding"]),
                "routes": int(own["routes"]),
                "trips": round(own["trips"]),
                "geometry": shapely.Point(stop["lon"], stop["lat"]),
            }
        )
    return Timetable(rows, day, int((~inside).sum()))
