"""What a city does today: a ratio of measured to expected energy, and an alarm when it falls below a threshold.

It is given its best chance: the expected energy comes from the same weather, the same cleaning of bad readings and the
same pvlib chain as the practice's own, with the facts as they stand; each plant is held against its own first month;
and window and threshold are the best (F1) of 48 pairs on six simulated years, seeds 100 to 104, with the same kinds of
fault. It names no reason.
"""

import numpy as np

from civium.core import View
from civium.practices.pv_fleet.bench_weather import Floats
from civium.practices.pv_fleet.day import model_power
from civium.practices.pv_fleet.model import plane
from civium.practices.pv_fleet.readings import DAY_SLOTS, SLOT, grid, plants
from civium.practices.pv_fleet.weather import places, sky, weather

WINDOW_DAYS = 5
THRESHOLD = 0.82
REFERENCE_DAYS = 30
CLEAR = 0.03  # by which the ratio must rise above the threshold again before the next alarm
SLOTS = 144


def daily(view: View) -> tuple[Floats, Floats]:
    """Measured and expected energy [P] of the last 24 h, over the slots where both are known [W x slots]."""
    fleet = plants(view)
    begin = view.now // SLOT * SLOT - SLOTS * SLOT
    air = weather(view, begin, SLOTS)
    peak = np.where(np.isnan(fleet.peak), 1e4, fleet.peak)
    none = np.zeros(len(fleet.id))
    power = grid(view.frames["power"], fleet.id, none, -0.02 * peak, 1.6 * peak, begin, SLOTS).value[:, -DAY_SLOTS:]
    above = places(fleet.latitude, fleet.longitude, fleet.altitude, begin, SLOTS)
    overhead = sky(fleet, air, above, np.full(len(fleet.id), SLOTS - DAY_SLOTS, dtype=np.int64), DAY_SLOTS)
    theta = plane(np.nan_to_num(fleet.tilt, nan=25.0), np.nan_to_num(fleet.azimuth, nan=180.0), fleet.albedo)
    expected = model_power(overhead, theta, fleet.gamma, fleet.limit / peak)[0] * peak[:, None]
    both = np.isfinite(power) & np.isfinite(expected)
    return np.where(both, power, 0.0).sum(axis=1), np.where(both, expected, 0.0).sum(axis=1)


def alarms(
    measured: Floats, expected: Floats, window: int = WINDOW_DAYS, threshold: float = THRESHOLD
) -> list[tuple[int, int]]:
    """(day, plant row) of each alarm, from daily energies [days, P]."""
    got, due = np.cumsum(measured, axis=0), np.cumsum(expected, axis=0)
    first = min(REFERENCE_DAYS, len(got)) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = got[first] / due[first]
        raised = np.zeros(got.shape[1], dtype=np.bool_)
        found = []
        for day in range(first + 1, len(got)):
            back = max(day - window, 0)
            ratio = (got[day] - got[back]) / (due[day] - due[back]) / reference
            new = (ratio < threshold) & ~raised
            found += [(day, int(k)) for k in np.flatnonzero(new)]
            raised = (raised | new) & ~(ratio > threshold + CLEAR)
    return found
