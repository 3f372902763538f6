"""From the weather stations of a View to the sky over each plant."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core import View
from civium.core.view import column
from civium.practices.pv_fleet.model import DEFAULT_AIR_C, DEFAULT_WIND, Floats, Sky, Sun, complete, days_of_year, suns
from civium.practices.pv_fleet.readings import SLOT, Bools, Ints, Plants, grid, runs

STATION = "weather_station"
KELVIN = 273.15
LONGEST_GAP = 4  # [slots] over which weather is interpolated: a station that reports hourly has gaps of three
FALLBACKS = 4  # stations that a plant may take its weather from
CELL = 10.0  # [1/deg] plants within a tenth of a degree share one computed sun


def bridge(values: Floats) -> Floats:
    """Fill gaps of up to ``LONGEST_GAP`` slots between two readings by a straight line [N, S]."""
    n, slots = values.shape
    if n == 0:
        return values
    index = np.arange(slots)
    known = np.isfinite(values)
    before = np.maximum.accumulate(np.where(known, index, -1), axis=1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(known, index, slots), axis=1), axis=1), axis=1)
    inside = (before >= 0) & (after < slots) & (after - before <= LONGEST_GAP + 1)
    b, a = np.clip(before, 0, slots - 1), np.clip(after, 0, slots - 1)
    rows = np.arange(n)[:, None]
    part = np.where(a > b, (index - b) / np.maximum(a - b, 1), 0.0)
    filled = values[rows, b] * (1 - part) + values[rows, a] * part
    return np.where(known, values, np.where(inside, filled, np.nan))


@dataclass(frozen=True, slots=True)
class Weather:
    """What the stations say [stations, slots], believable and complete; NaN where GHI is unknown."""

    id: Ints
    name: NDArray[np.object_]
    latitude: Floats
    longitude: Floats
    ghi: Floats
    dni: Floats
    dhi: Floats
    air: Floats  # [degC]
    wind: Floats
    closure: Floats  # measured GHI over what measured DNI and DHI make of it; NaN where not all are measured


def weather(view: View, start: int, slots: int) -> Weather:
    """Weather of all placed stations. Irradiance above what the sun can send, or standing still by day, is dropped."""
    kind = pc.equal(view.things["kind"], STATION)
    table = view.things.filter(kind).sort_by("thing")
    lat, lon = (column(table, name).astype(np.float64) for name in ("lat", "lon"))
    placed = np.isfinite(lat) & np.isfinite(lon)
    names = np.array(table["name"].to_pylist(), dtype=object)[placed]
    ids, lat, lon = column(table, "thing").astype(np.int64)[placed], lat[placed], lon[placed]

    def read(need: str, low: float, high: float) -> Floats:
        none = np.zeros(len(ids))
        return grid(view.frames.get(need), ids, none, none + low, none + high, start, slots).value

    above = places(lat, lon, np.zeros(len(ids)), start, slots)
    most = np.clip(above.cosine, 0.0, None) * above.extra
    ghi, dni, dhi = read("ghi", -20.0, 2000.0), read("dni", -20.0, 1500.0), read("dhi", -20.0, 1500.0)
    ghi = bridge(np.where((ghi > 1.25 * most + 50.0) | _stands_still(ghi, most), np.nan, np.clip(ghi, 0.0, None)))
    dni, dhi = bridge(np.clip(dni, 0.0, None)), bridge(np.clip(dhi, 0.0, None))
    make = dni * above.cosine + dhi
    closure = np.where((make > 150.0) & (above.cosine > 0.2), ghi / np.where(make > 150.0, make, 1.0), np.nan)
    if len(ids):
        dni, dhi = complete(ghi, dni, dhi, above.cosine, above.extra, days_of_year(middles(start, slots)))
    air, wind = read("air_temperature", 180.0, 340.0) - KELVIN, read("wind_speed", 0.0, 80.0)
    air, wind = _anyone(bridge(air), DEFAULT_AIR_C), _anyone(bridge(wind), DEFAULT_WIND)
    return Weather(ids, names, lat, lon, ghi, dni, dhi, air, wind, closure)


def _anyone(values: Floats, default: float) -> Floats:
    """Fill what one station lacks with the median of the others, what all lack with ``default`` [stations, slots]."""
    known = np.isfinite(values)
    some = known.any(axis=0)
    middle = np.full(values.shape[1], default)
    if some.any():
        middle[some] = np.nanmedian(values[:, some], axis=0)
    return np.where(known, values, middle)


def _stands_still(ghi: Floats, most: Floats) -> Bools:
    """Slots within a run of at least six equal readings (90 min) while the sun is up [stations, slots]."""
    same = np.zeros(ghi.shape, dtype=np.bool_)
    same[:, 1:] = (ghi[:, 1:] == ghi[:, :-1]) & (most[:, 1:] > 50.0)
    return runs(same, 5)


def middles(start: int, slots: int) -> Ints:
    """Middle of each slot [us since epoch]."""
    return start + SLOT // 2 + np.arange(slots, dtype=np.int64) * SLOT


def places(latitude: Floats, longitude: Floats, altitude: Floats, start: int, slots: int) -> Sun:
    """The sun at the middle of each slot over many places [P, S]; places in one cell of 0.1 deg share it."""
    middle = middles(start, slots)
    cell = np.round(np.stack([latitude, longitude], axis=1) * CELL).astype(np.int64)
    _, first, which = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    found = suns(middle, latitude[first], longitude[first], altitude[first])
    which = which.reshape(-1)
    return Sun(found.cosine[which], found.azimuth[which], found.extra[which])


def nearest(fleet: Plants, air: Weather) -> Ints:
    """For each plant the stations in order of distance [P, stations] (equirectangular: a city is flat enough)."""
    dy = fleet.latitude[:, None] - air.latitude[None, :]
    dx = (fleet.longitude[:, None] - air.longitude[None, :]) * np.cos(np.radians(np.nan_to_num(fleet.latitude)))[
        :, None
    ]
    return np.argsort(dx * dx + dy * dy, axis=1, kind="stable").astype(np.int64)


def sky(fleet: Plants, air: Weather, above: Sun, first: Ints, slots: int) -> Sky:
    """The sky over each plant for ``slots`` slots from its slot ``first`` [P] on, by the nearest station that knows.

    ``air`` and ``above`` ([P, all slots]) start at the same instant.
    """
    n = len(fleet.id)
    columns = first[:, None] + np.arange(slots)
    rows = np.arange(n)[:, None]
    local = Sun(above.cosine[rows, columns], above.azimuth[rows, columns], above.extra[rows, columns])
    ghi, dni, dhi = np.full((3, n, slots), np.nan)
    warmth, wind = np.full((n, slots), DEFAULT_AIR_C), np.full((n, slots), DEFAULT_WIND)
    rank = nearest(fleet, air)
    for near in rank.T[:FALLBACKS][::-1]:  # the nearest last, over the farther ones
        known = np.isfinite(air.ghi[near[:, None], columns])
        for target, source in ((ghi, air.ghi), (dni, air.dni), (dhi, air.dhi), (warmth, air.air), (wind, air.wind)):
            target[known] = source[near[:, None], columns][known]
    return Sky(local, ghi, dni, dhi, warmth, wind)
