"""From a View to arrays: car parks with their facts, their bays, and what their sensors say now."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core import MICROSECONDS, View
from civium.core.view import column
from civium.practices.parking.memory import Bools, Floats, Ints

LOT, BAY, GUIDE = "car_park", "parking_bay", "parking_guide"
_EARTH_M = 111_195.0  # of one degree of latitude


@dataclass(frozen=True, slots=True)
class Lots:
    """Car parks (n), bays (m) and guides (g) in order of id; ``capacity`` is NaN where no believable one is told."""

    id: Ints
    name: tuple[str, ...]
    code: tuple[str, ...]
    capacity: Floats
    lon: Floats
    lat: Floats
    bay: Ints
    bay_name: tuple[str, ...]
    bay_lot: Ints  # row of its car park, -1 = none that is known
    guide: Ints  # actuator
    guide_serves: Bools  # (g, n)
    guide_metres: Floats  # (g, n), NaN = unknown
    guide_cars: Floats  # g [1/h], NaN = untold


def lots_of(view: View) -> Lots:
    """Car parks, bays and guides of a View. Facts that are missing or of another type are as if untold."""
    lots, bays = _kind(view.things, LOT), _kind(view.things, BAY)
    facts = [_facts(text) for text in lots["facts"].to_pylist()]
    code = tuple(str(f.get("code") or thing) for f, thing in zip(facts, lots["thing"].to_pylist(), strict=True))
    row = {one: k for k, one in enumerate(code)}
    bay_facts = [_facts(text) for text in bays["facts"].to_pylist()]
    bay_lot = np.array([row.get(str(f.get("car_park")), -1) for f in bay_facts], dtype=np.int64)
    capacity = np.array([_number(f.get("capacity"), 1.0) for f in facts], dtype=np.float64)
    counted = np.bincount(bay_lot[bay_lot >= 0], minlength=len(code)).astype(np.float64)
    capacity = np.where(np.isnan(capacity) & (counted > 0), counted, capacity)
    lon, lat = column(lots, "lon").astype(np.float64), column(lots, "lat").astype(np.float64)
    return Lots(
        id=column(lots, "thing").astype(np.int64),
        name=tuple(lots["name"].to_pylist()),
        code=code,
        capacity=capacity,
        lon=lon,
        lat=lat,
        bay=column(bays, "thing").astype(np.int64),
        bay_name=tuple(bays["name"].to_pylist()),
        bay_lot=bay_lot,
        **_guides(view, row, lon, lat),
    )


def _guides(view: View, row: dict[str, int], lon: Floats, lat: Floats) -> dict[str, Any]:
    table = view.actuators.filter(pc.equal(view.actuators["kind"], GUIDE)).sort_by("actuator")
    facts = [_facts(text) for text in table["facts"].to_pylist()]
    at = {
        thing: (x, y)
        for thing, x, y in zip(*(view.things[name].to_pylist() for name in ("thing", "lon", "lat")), strict=True)
        if x is not None and y is not None
    }
    serves = np.zeros((len(facts), len(row)), dtype=np.bool_)
    metres = np.full((len(facts), len(row)), np.nan)
    for g, (told, thing) in enumerate(zip(facts, table["thing"].to_pylist(), strict=True)):
        codes, distances = told.get("serves"), told.get("distance_m")
        wanted = [row[str(c)] for c in codes if str(c) in row] if isinstance(codes, list) else list(row.values())
        serves[g, wanted] = True
        x, y = at.get(thing, (np.nan, np.nan))
        metres[g] = np.hypot((lon - x) * np.cos(np.radians(y)), lat - y) * _EARTH_M
        for c, metre in distances.items() if isinstance(distances, dict) else ():
            if str(c) in row:
                metres[g, row[str(c)]] = _number(metre, 0.0)
    return {
        "guide": column(table, "actuator").astype(np.int64),
        "guide_serves": serves,
        "guide_metres": metres,
        "guide_cars": np.array([_number(f.get("cars_per_hour"), 0.0) for f in facts], dtype=np.float64),
    }


def _kind(things: pa.Table, kind: str) -> pa.Table:
    return things.filter(pc.equal(things["kind"], kind)).sort_by("thing")


def _facts(text: str | None) -> dict[str, Any]:
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _number(value: Any, least: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < 1e6
    return float(value) if known else np.nan


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest reading of each thing that is a number: its ``value`` (NaN = none) and instant ``at`` [us] (0)."""

    value: Floats
    at: Ints


def newest(frame: pa.Table | None, things: Ints, now: int) -> Newest:
    """Newest reading of each thing, in order of ``things``; readings of the future do not count."""
    value, at = np.full(len(things), np.nan), np.zeros(len(things), dtype=np.int64)
    if frame is None or frame.num_rows == 0 or not len(things):
        return Newest(value, at)
    thing, time = column(frame, "thing").astype(np.int64), column(frame, "time").astype(np.int64)
    told = column(frame, "value").astype(np.float64)
    row = np.clip(np.searchsorted(things, thing), 0, len(things) - 1)
    use = np.flatnonzero((things[row] == thing) & np.isfinite(told) & (time <= now))
    use = use[np.lexsort((column(frame, "id").astype(np.int64)[use], time[use]))]
    value[row[use]], at[row[use]] = told[use], time[use]  # later rows overwrite earlier ones
    return Newest(value, at)


def young(at: Ints, now: int, stale: float) -> Bools:
    """Which readings are not older than ``stale`` [s]."""
    fresh: NDArray[np.bool_] = (at > 0) & (now - at <= round(stale * MICROSECONDS))
    return fresh
