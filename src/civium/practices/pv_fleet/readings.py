"""From a View to arrays: the plants with their facts, and their readings on a grid of quarter hours."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core import MICROSECONDS, View
from civium.core.view import column
from civium.practices.pv_fleet.model import Floats

SLOT = 900 * MICROSECONDS  # [us]
DAY_SLOTS = 96
DAY = DAY_SLOTS * SLOT
PLANT = "pv_plant"

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plants:
    """The fleet, one row per plant in order of thing id; NaN where a fact is unknown.

    latitude, longitude, tilt, azimuth [deg], altitude [m], peak and limit [W], gamma [1/K], albedo [1].
    """

    id: Ints
    name: NDArray[np.object_]
    latitude: Floats
    longitude: Floats
    altitude: Floats
    tilt: Floats
    azimuth: Floats
    peak: Floats
    limit: Floats
    gamma: Floats
    albedo: Floats

    @property
    def placed(self) -> Bools:
        """Which plants have a position."""
        return np.isfinite(self.latitude) & np.isfinite(self.longitude)


_FACTS = {  # fact -> lowest and highest believable value
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "altitude_m": (-450.0, 6000.0),
    "tilt_deg": (0.0, 90.0),
    "azimuth_deg": (-360.0, 360.0),
    "peak_power_w": (1.0, 1e10),
    "inverter_ac_w": (1.0, 1e10),
    "gamma_pdc": (-0.02, 0.0),
    "albedo": (0.0, 1.0),
}


def _facts(text: str | None) -> dict[str, float]:
    """The believable facts of a thing; what is missing, of another type or out of range becomes NaN."""
    try:
        given = json.loads(text) if text else {}
    except ValueError:
        given = {}
    facts = {}
    for name, (low, high) in _FACTS.items():
        value = given.get(name) if isinstance(given, dict) else None
        known = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        facts[name] = float(value) if known and value is not None else np.nan
    return facts


def plants(view: View) -> Plants:
    """The plants among the view's things. A position among the facts goes before the thing's own."""
    table = view.things.filter(pc.equal(view.things["kind"], PLANT)).sort_by("thing")
    facts = [_facts(text) for text in table["facts"].to_pylist()]
    of = {name: np.array([f[name] for f in facts], dtype=np.float64) for name in _FACTS}
    lat, lon = (column(table, name).astype(np.float64) for name in ("lat", "lon"))
    latitude = np.where(np.isnan(of["latitude"]), lat, of["latitude"])
    longitude = np.where(np.isnan(of["longitude"]), lon, of["longitude"])
    return Plants(
        column(table, "thing").astype(np.int64),
        np.array(table["name"].to_pylist(), dtype=object),
        latitude,
        longitude,
        np.nan_to_num(of["altitude_m"]),
        of["tilt_deg"],
        of["azimuth_deg"],
        of["peak_power_w"],
        of["inverter_ac_w"],
        np.where(np.isnan(of["gamma_pdc"]), -0.004, of["gamma_pdc"]),
        np.where(np.isnan(of["albedo"]), 0.2, of["albedo"]),
    )


def take(fleet: Plants, rows: Ints) -> Plants:
    """Some of the plants."""
    return Plants(*(getattr(fleet, name)[rows] for name in Plants.__slots__))


@dataclass(frozen=True, slots=True)
class Grid:
    """Readings of things on slots of 900 s from ``start`` [us] on, [things, slots].

    ``value`` is the mean of the believable readings (NaN = none), ``seen`` how many arrived, ``bad`` how many of them
    could not be believed.
    """

    start: int
    value: Floats
    seen: Floats
    bad: Floats


def grid(
    frame: pa.Table | None, things: Ints, delay: Floats, low: Floats, high: Floats, start: int, slots: int
) -> Grid:
    """Put a frame on the grid. ``delay`` [s] is how far each thing's clock runs ahead; values outside ``low`` ..
    ``high`` (per thing) and infinities are bad, NaN is as good as not sent. Of rows of one stream and instant the last
    counts. Where a thing has several streams (inverters) they are added, in slots where all that reported in the frame
    have a value.

    The order of the rows does not matter.
    """
    empty = Grid(start, np.full((len(things), slots), np.nan), *np.zeros((2, len(things), slots)))
    if frame is None or frame.num_rows == 0 or len(things) == 0:
        return empty
    stream, thing, when, until, row = (column(frame, name) for name in ("stream", "thing", "time", "until", "id"))
    value = column(frame, "value").astype(np.float64)
    begin, end = when.astype(np.int64), _ends(frame, when, until)
    at = np.clip(np.searchsorted(things, thing), 0, len(things) - 1)
    moved = (begin + end) // 2 - (delay[at] * MICROSECONDS).astype(np.int64)
    slot = (moved - start) // SLOT
    keep = np.flatnonzero((things[at] == thing) & (slot >= 0) & (slot < slots) & ~np.isnan(value))
    order = keep[np.lexsort((row[keep], begin[keep], stream[keep]))]
    last = np.append((stream[order][1:] != stream[order][:-1]) | (begin[order][1:] != begin[order][:-1]), True)
    order = order[last[: len(order)]]
    streams, which = np.unique(stream[order], return_inverse=True)
    v, owner = value[order], at[order]
    believed = np.isfinite(v) & (v >= low[owner]) & (v <= high[owner])
    key = which * slots + slot[order]
    shape = (len(streams), slots)
    size = shape[0] * slots
    seen = np.bincount(key, minlength=size).reshape(shape).astype(np.float64)
    count = np.bincount(key[believed], minlength=size).reshape(shape)
    total = np.bincount(key[believed], weights=v[believed], minlength=size).reshape(shape)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    belongs = np.zeros(len(streams), dtype=np.int64)
    belongs[which] = owner
    summed, out = np.zeros(empty.value.shape), empty
    np.add.at(summed, belongs, mean)  # NaN of one inverter makes the sum unknown
    np.add.at(out.seen, belongs, seen)
    np.add.at(out.bad, belongs, seen - count)
    reported = np.isin(np.arange(len(things)), belongs)
    return Grid(start, np.where(reported[:, None], summed, np.nan), out.seen, out.bad)


def _ends(frame: pa.Table, when: NDArray[np.generic], until: NDArray[np.generic]) -> Ints:
    """End of each reading's interval [us]; its instant where it has none."""
    missing = pc.is_null(frame["until"]).to_numpy()
    if missing.all():
        return when.astype(np.int64)
    filled = pc.fill_null(frame["until"].cast(pa.int64()), 0).to_numpy().astype(np.int64)
    begin = when.astype(np.int64)
    return np.where(missing | (filled < begin), begin, filled)


def runs(flags: Bools, least: int) -> Bools:
    """Which entries lie in a run of at least ``least`` true ones along the last axis, the entry before it included."""
    slots = flags.shape[1]
    index = np.arange(slots)
    begin = np.maximum.accumulate(np.where(~flags, index, -1), axis=1)
    end = np.flip(np.minimum.accumulate(np.flip(np.where(~flags, index, slots), axis=1), axis=1), axis=1)
    long = flags & (end - begin - 1 >= least)
    with_first = long.copy()
    with_first[:, :-1] |= long[:, 1:] & ~flags[:, :-1]
    return with_first
