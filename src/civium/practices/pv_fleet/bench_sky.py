"""The bench's sky: recorded hours of a weather year, broken up into passing clouds over a town."""

import numpy as np
from numpy.typing import NDArray

from civium.core import MICROSECONDS
from civium.practices.pv_fleet.bench_weather import HOUR, YEAR_START, Floats, Year, sun_vector

STEP = 300 * MICROSECONDS  # [us] of the simulation
DAY_STEPS = 288


class Clouds:
    """Clearness and diffuse share of the year every 5 min over a region, and what falls on places in it."""

    def __init__(self, year: Year, rng: np.random.Generator) -> None:
        self.year, self.rng = year, rng
        self._clearness()
        self.rain = self._daily_rain()

    def _clearness(self) -> None:
        """Regional clearness and diffuse share of the year every 5 min, hourly means kept nearly as recorded."""
        year, rng = self.year, self.rng
        hours = YEAR_START + np.arange(8760, dtype=np.int64) * HOUR + HOUR // 2
        steps = YEAR_START + np.arange(8760 * 12, dtype=np.int64) * STEP + STEP // 2
        parts = [sun_vector(hours + k * HOUR // 6, year.latitude, year.longitude)[2] for k in range(-2, 3)]
        up_hour = np.clip(np.mean(parts, axis=0), 0.0, None)
        low = up_hour < 0.05
        clear = np.clip(year.ghi / np.maximum(clear_sky(up_hour), 20.0), 0.0, 1.25)
        share = np.clip(np.where(year.ghi > 5, year.dhi / np.maximum(year.ghi, 5.0), 1.0), 0.05, 1.0)
        clear, share = _hold(clear, low), _hold(share, low)
        kc, kd = np.interp(steps, hours, clear), np.interp(steps, hours, share)
        wave = np.zeros(len(steps))
        kick = rng.normal(0.0, 1.0, len(steps))
        for k in range(1, len(steps)):  # AR(1): clouds pass in about 15 min
            wave[k] = 0.72 * wave[k - 1] + kick[k] * 0.694
        amount = 0.55 * np.clip(kc, 0, 1) * np.clip(1.05 - kc, 0, 1)
        moved = np.clip(kc + amount * wave, 0.02, 1.25)
        self._kc = moved
        self._kd = np.clip(kd - 0.9 * (moved - kc), 0.05, 1.0)

    def _daily_rain(self) -> Floats:
        """Rain of each day [mm]; where the file has none, drawn for dull days."""
        rain = self.year.rain
        if np.isfinite(rain).any() and np.nansum(rain) > 50.0:
            return np.asarray(np.nansum(rain.reshape(365, 24), axis=1))
        dull = self._kd.reshape(365, -1).mean(axis=1)
        wet = self.rng.random(365) < np.clip(1.4 * (dull - 0.35), 0.02, 0.7)
        return np.where(wet, self.rng.exponential(6.0, 365), 0.0)

    def over(self, day: int, position: Floats, drift: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
        """GHI, DNI, DHI [places, 288]: the regional clouds as they pass each place, and some of its own."""
        rng, n = self.rng, len(position)
        steps = day * DAY_STEPS + np.arange(DAY_STEPS)
        late = ((position[:, 0] * np.cos(drift[0]) + position[:, 1] * np.sin(drift[0])) / drift[1] * 1000 / 300).astype(
            int
        )
        at = np.clip(steps[None, :] + late[:, None], 0, len(self._kc) - 1)
        own = np.repeat(rng.normal(0, 0.05, (n, DAY_STEPS // 6)), 6, axis=1) * np.clip(1.1 - self._kc[at], 0, 1)
        kc, kd = np.clip(self._kc[at] * (1 + own), 0.02, 1.3), self._kd[at]
        up = np.clip(self.sun(day)[2], 0.0, None)
        ghi = kc * clear_sky(up)
        dhi = ghi * kd
        dni = np.where(up > 0.03, np.minimum((ghi - dhi) / np.maximum(up, 0.03), 1050.0), 0.0)
        return dni * up + dhi, dni, dhi

    def sun(self, day: int) -> tuple[Floats, Floats, Floats]:
        middle = YEAR_START + (day * DAY_STEPS + np.arange(DAY_STEPS, dtype=np.int64)) * STEP + STEP // 2
        return sun_vector(middle, self.year.latitude, self.year.longitude)


def clear_sky(up: Floats) -> Floats:
    """Clear-sky GHI [W/m^2] by Haurwitz (1945)."""
    safe = np.maximum(up, 1e-3)
    return np.where(up > 1e-3, 1098.0 * safe * np.exp(-0.057 / safe), 0.0)


def _hold(values: Floats, unknown: NDArray[np.bool_]) -> Floats:
    """Replace ``unknown`` entries by straight lines between the known ones."""
    index = np.arange(len(values))
    return np.asarray(np.interp(index, index[~unknown], values[~unknown]), dtype=np.float64)
