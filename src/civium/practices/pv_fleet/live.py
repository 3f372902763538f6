"""What every plant should give just now, written back every turn."""

import numpy as np

from civium.core import Estimate, View
from civium.practices.pv_fleet.day import model_power
from civium.practices.pv_fleet.memory import Memory
from civium.practices.pv_fleet.readings import SLOT, Grid, Ints, Plants, grid, take
from civium.practices.pv_fleet.weather import Weather, places, sky

TRAILING = 12  # slots behind the performance ratio


def power_of(view: View, m: Memory, some: Plants, rows: Ints, begin: int, slots: int) -> Grid:
    """The plants' power [W]; small negative values at night are nought, larger ones and impossible peaks are bad."""
    nominal = m["nominal"][rows].astype(np.float64)
    known = np.isfinite(nominal)
    size = np.maximum(np.linalg.norm(m["theta"][rows, :3].astype(np.float64), axis=1), 1.0)
    most = np.where((m["weak"][rows] == 1) & (m["learned"][rows] < 5), 8.0, 1.6 * np.nan_to_num(size, nan=1.0))
    low, high = np.where(known, -0.02 * nominal, -np.inf), np.where(known, most * nominal, np.inf)
    read = grid(view.frames.get("power"), some.id, m["clock"][rows].astype(np.float64), low, high, begin, slots)
    return Grid(begin, np.clip(read.value, 0.0, None), read.seen, read.bad)


def estimates(view: View, m: Memory, fleet: Plants, air: Weather, begin: int, slots: int) -> list[Estimate]:
    """Expected power of the last full slot with weather, and the ratio over the last three hours."""
    if len(air.id) == 0 or len(fleet.id) == 0:
        return []
    known = np.flatnonzero(np.isfinite(air.ghi).any(axis=0))
    rows = np.flatnonzero(fleet.placed & np.isfinite(m["theta"][:, 0]) & np.isfinite(m["nominal"]))
    if len(known) == 0 or len(rows) == 0:
        return []
    last = int(known[-1])
    instant = begin + last * SLOT
    rows = rows[m["estimated"][rows] < instant]
    if len(rows) == 0 or last + 1 < TRAILING:
        return []
    some = take(fleet, rows)
    first = last + 1 - TRAILING
    above = places(some.latitude, some.longitude, some.altitude, begin, slots)
    overhead = sky(some, air, above, np.full(len(rows), first, dtype=np.int64), TRAILING)
    nominal = m["nominal"][rows].astype(np.float64)
    expected, _, _ = model_power(
        overhead, m["theta"][rows].astype(np.float64), some.gamma, m["limit"][rows].astype(np.float64)
    )
    expected = np.where(np.isfinite(expected), expected, np.nan) * nominal[:, None]
    expected = np.where(overhead.sun.cosine <= 0, 0.0, expected)
    power = power_of(view, m, some, rows, begin, slots).value[:, first : last + 1]
    both = np.isfinite(power) & np.isfinite(expected)
    due = np.where(both, expected, 0.0).sum(axis=1)
    got = np.where(both, power, 0.0).sum(axis=1)
    tell = (both.sum(axis=1) >= 4) & (due > 4 * 0.05 * nominal)
    out = []
    for k, i in enumerate(rows):
        thing = int(fleet.id[i])
        if np.isfinite(expected[k, -1]):
            out.append(Estimate(thing, "expected_power", instant, float(expected[k, -1]), instant + SLOT))
        if tell[k]:
            ratio = float(got[k] / due[k])
            out.append(Estimate(thing, "performance_ratio", begin + first * SLOT, ratio, instant + SLOT))
    m["estimated"][rows] = instant
    return out
