"""The bench's fleet: plants, weather stations, faults and errors of measurement, simulated apart from what decides.

Nothing here imports the practice's own model. Sun: Spencer; transposition: Klucher (1979); incidence: Martin and Ruiz
(2001); module: Huld et al. (2010) with a random coefficient; cell temperature: NOCT with wind and a lag; inverter:
quadratic losses; and each plant's facts are wrong in size, tilt, azimuth and coefficient.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from civium.core import MICROSECONDS
from civium.practices.pv_fleet.bench_sky import DAY_STEPS, Clouds
from civium.practices.pv_fleet.bench_weather import HOUR, YEAR_START, Floats, Year

DAY_SLOTS, FOLD = 96, 3  # plants and stations report means of three steps of the simulation
KINDS = ("soiling", "shading", "string_fault", "clipping", "sensor_fault", "clock_shift")
PHYSICAL = KINDS[:4]  # those that cost energy; the others cost knowledge
LEAST_LOSS = 0.03  # a fault that costs a plant less than this share while it lasts is not at stake, nor counted
FIRST_DAY = 40  # no fault but standing shade and clipping begins earlier: a plant must first be known

Rng = np.random.Generator
Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Fault:
    """The truth about one plant: what, from day to day (``end`` excluded), how, and the energy [J] that it cost."""

    plant: int
    kind: str
    begin: int
    end: int
    detail: dict[str, float]
    due: float = 0.0
    lost: float = 0.0
    daily: dict[int, float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it is worth finding."""
        return self.kind not in PHYSICAL or self.lost >= LEAST_LOSS * self.due > 0


@dataclass(frozen=True, slots=True)
class StationFault:
    """A station whose irradiance is wrong by a factor from day to day."""

    station: int
    begin: int
    end: int
    factor: float


@dataclass(frozen=True, slots=True)
class DayOut:
    """What the devices sent during one day (UTC): [things, 96] with times [us] of slot ends, NaN = nothing sent."""

    time: NDArray[np.int64]  # [plants, 96]: a plant's clock may be wrong
    power: Floats  # [W]
    sky: dict[str, Floats]  # [stations, 96] by property, SI
    station_time: NDArray[np.int64]


class Fleet:
    """Plants and stations around the place of a weather year, a day at a time, all from one seed.

    The days are ``days`` from day ``first`` of the year on, and numbered from the beginning of the year.
    """

    def __init__(self, year: Year, plants: int, days: int, seed: int, first: int = 0) -> None:
        self.year, self.first, self.days, self.rng = year, first, days, np.random.default_rng([seed, plants, 7])
        self.count, self.stations = plants, 3
        rng, n = self.rng, plants
        self.position = rng.normal(0.0, 4.0, (n, 2))  # km east, north
        self.station_position = rng.normal(0.0, 3.0, (self.stations, 2))
        side = -1.0 if year.latitude < 0 else 1.0
        self.tilt = np.clip(rng.normal(min(abs(year.latitude) * 0.75, 38.0), 9.0, n), 2.0, 65.0)
        toward = 180.0 if side > 0 else 0.0
        self.azimuth = (
            toward + np.where(rng.random(n) < 0.25, rng.choice([-80.0, 80.0], n), 0) + rng.normal(0, 22, n)
        ) % 360
        self.peak = np.exp(rng.normal(np.log(12e3), 0.8, n))
        self.rating = self.peak * rng.uniform(0.82, 1.1, n)
        self.gamma = rng.uniform(-0.0046, -0.0031, n)
        self.noct = rng.uniform(43.0, 50.0, n)
        self.albedo = rng.uniform(0.1, 0.35, n)
        self.wiring = rng.uniform(0.9, 0.985, n)
        self.dim = rng.uniform(0.4, 1.6, n)  # strength of the low-light loss
        self.horizon = np.clip(rng.normal(2.5, 1.5, (n, 1)) + rng.normal(0, 1.2, (n, 36)), 0.0, 8.0)
        self.scatter = rng.uniform(0.005, 0.02, n)
        self.resolution = rng.choice([1.0, 1.0, 10.0, 0.1], n)
        self.loss = np.stack([rng.uniform(0.004, 0.01, n), rng.uniform(0.005, 0.02, n), rng.uniform(0.008, 0.025, n)])
        self.dropped = rng.uniform(0.003, 0.03, n)  # share of readings lost in a healthy plant
        self.wear = rng.uniform(0.0, 0.008, n)  # a year
        self.closure = rng.normal(1.0, 0.02, self.stations)  # calibration of the pyranometers
        self.facts = self._facts()
        self.faults = self._draw_faults()
        self.station_fault = self._draw_station_fault()
        self.clouds = Clouds(year, rng)
        self._dirt = np.zeros(n)
        self._warm = np.zeros(n)

    def _facts(self) -> list[dict[str, float]]:
        """What the register says of each plant: wrong, rounded, and in places missing."""
        rng, n = self.rng, self.count
        peak = self.peak * rng.normal(1.0, 0.06, n)
        tilt = np.clip(self.tilt + rng.normal(0, 6.0, n), 0, 90)
        azimuth = (self.azimuth + rng.normal(0, 10.0, n)) % 360
        around = np.cos(np.radians(self.year.latitude)) * 111.2
        facts = []
        for k in range(n):
            one = {
                "peak_power_w": round(peak[k], -1),
                "inverter_ac_w": round(self.rating[k], -1),
                "tilt_deg": round(tilt[k] / 5) * 5.0,
                "azimuth_deg": round(azimuth[k] / 5) * 5.0,
                "latitude": round(self.year.latitude + self.position[k, 1] / 111.2, 4),
                "longitude": round(self.year.longitude + self.position[k, 0] / around, 4),
                "altitude_m": round(self.year.altitude),
                "gamma_pdc": -0.0038,
            }
            for name in ("tilt_deg", "azimuth_deg", "inverter_ac_w", "altitude_m", "gamma_pdc"):
                if rng.random() < 0.03:
                    del one[name]
            facts.append(one)
        return facts

    def _draw_faults(self) -> list[Fault]:
        """One fault in about 45 % of the plants, the kinds in turn."""
        rng, n, last = self.rng, self.count, self.first + self.days
        number = round(0.45 * n)
        earliest = self.first + FIRST_DAY
        latest = max(earliest + 1, last - 60)
        faults = []
        for k, plant in enumerate(rng.permutation(n)[:number]):
            kind = KINDS[k % len(KINDS)]
            begin = int(rng.integers(earliest, latest))
            end = min(last, begin + int(rng.integers(50, 130)))
            detail: dict[str, float] = {}
            if kind == "soiling":
                detail = {
                    "rate": rng.uniform(0.002, 0.006),
                    "most": rng.uniform(0.12, 0.35),
                    "stick": rng.uniform(0, 1),
                }
            elif kind == "shading":
                if rng.random() < 0.5:
                    begin, end = self.first, last
                out = rng.uniform(15.0, 75.0) * rng.choice([-1, 1])
                detail = {
                    "azimuth": (self.azimuth[plant] + out) % 360,
                    "width": rng.uniform(25.0, 60.0),
                    "height": rng.uniform(20.0, 55.0),
                    "depth": rng.uniform(0.6, 0.95),
                }
            elif kind == "string_fault":
                strings = int(rng.integers(2, 11))
                lost = 2 if strings >= 6 and rng.random() < 0.3 else 1
                detail = {"share": lost / strings}
                end = min(last, begin + int(rng.integers(40, 200)))
            elif kind == "clipping":
                if rng.random() < 0.4:
                    begin, end = self.first, last
                detail = {"ceiling": rng.uniform(0.35, 0.65)}
            elif kind == "sensor_fault":
                detail = {"mode": float(rng.integers(0, 4)), "size": rng.uniform(0.0, 1.0)}
            else:
                detail = {"minutes": float(rng.choice([-120, -60, -60, -30, 30, 60, 60, 120]))}
            faults.append(Fault(int(plant), kind, begin, end, detail))
        return faults

    def _draw_station_fault(self) -> StationFault:
        rng = self.rng
        earliest, last = self.first + FIRST_DAY, self.first + self.days
        begin = int(rng.integers(earliest, max(earliest + 1, last - 45)))
        factor = float(rng.choice([rng.uniform(0.7, 0.85), rng.uniform(1.15, 1.3)]))
        return StationFault(int(rng.integers(self.stations)), begin, min(last, begin + 45), factor)

    def stream(self) -> Iterator[tuple[int, DayOut]]:
        """The days in order. ``faults`` gather their true energy as the days pass."""
        for day in range(self.first, self.first + self.days):
            yield day, self._day(day)

    def _day(self, day: int) -> DayOut:
        rng, n = self.rng, self.count
        drift = (rng.uniform(0, 2 * np.pi), rng.uniform(5.0, 15.0))
        dc, snow = self._modules(day, drift)
        ac = self._inverters(dc, np.full(n, np.inf))
        faulty = self._with_faults(day, dc)
        self._book(day, ac, faulty)
        power = _fold(faulty * (1 + rng.normal(0, 1, faulty.shape) * self.scatter[:, None]))
        time, power = self._meters(day, power)
        return DayOut(time, power, self._stations(day, drift, snow), self._slot_ends(day))

    def _modules(self, day: int, drift: tuple[float, float]) -> tuple[Floats, bool]:
        """DC power [plants, 288] in shares of peak, before faults, and whether snow lies."""
        year = self.year
        ghi, dni, dhi = self.clouds.over(day, self.position, drift)
        east, north, up = self.clouds.sun(day)
        tilt, turn = np.radians(self.tilt)[:, None], np.radians(self.azimuth)[:, None]
        cosine = np.clip(np.sin(tilt) * (np.sin(turn) * east + np.cos(turn) * north) + np.cos(tilt) * up, 0.0, 1.0)
        self._height = np.degrees(np.arcsin(np.clip(up, -1, 1)))
        self._bearing = np.degrees(np.arctan2(east, north)) % 360
        skyline = self.horizon[:, np.minimum((self._bearing / 10).astype(int), 35)]
        sun = (self._height[None, :] > skyline) & (up[None, :] > 0)
        ratio = 1.0 - (dhi / np.maximum(ghi, 1.0)) ** 2  # Klucher's modulating function
        sine3 = np.sqrt(np.clip(1 - up * up, 0, 1)) ** 3
        diffuse = dhi * (1 + np.cos(tilt)) / 2 * (1 + ratio * np.sin(tilt / 2) ** 3) * (1 + ratio * cosine**2 * sine3)
        passed = (1 - np.exp(-cosine / 0.16)) / (1 - np.exp(-1 / 0.16))
        self._beam = np.where(sun, dni * cosine * passed, 0.0)
        self._rest = 0.95 * (diffuse + ghi * self.albedo[:, None] * (1 - np.cos(tilt)) / 2)
        hour = np.clip(day * 24 + np.arange(DAY_STEPS) // 12, 0, 8759)
        air, wind = year.air[hour], np.maximum(year.wind[hour], 0.2)
        total = self._beam + self._rest
        heat = (self.noct[:, None] - 20.0) / 800.0 * total * 9.5 / (5.7 + 3.8 * 0.6 * wind)
        lagged = 0.5 * heat + 0.5 * np.concatenate([heat[:, :1], heat[:, :-1]], axis=1)
        self._scale = 1 + self.gamma[:, None] * (air + lagged - 25.0)
        snow = bool(year.air[hour].max() < 1.0 and self.clouds.rain[day % 365] > 2.0)
        worn = self.wiring * (1 - self.wear * day / 365.0)
        self._gain = worn[:, None] * (0.1 if snow else 1.0)
        return self._dc(self._beam), snow

    def _dc(self, beam: Floats) -> Floats:
        g = np.maximum((beam + self._rest) / 1000.0, 1e-4)
        low = 1 + self.dim[:, None] * (0.012 * np.log(g) - 0.004 * np.log(g) ** 2)
        return np.asarray(g * np.clip(low, 0.0, 1.1) * self._scale * self._gain)

    def _inverters(self, dc: Floats, ceiling: Floats) -> Floats:
        """AC power [W]: quadratic losses, the inverter's rating, a ceiling [share of peak]."""
        rating = (self.rating / self.peak)[:, None]
        x = dc / rating
        a, b, c = (part[:, None] for part in self.loss)
        ac = np.clip(dc - rating * (a + b * x + c * x * x), 0.0, rating)
        return np.asarray(np.minimum(ac, ceiling[:, None]) * self.peak[:, None])

    def _with_faults(self, day: int, dc: Floats) -> Floats:
        beam, factor = self._beam.copy(), np.ones(self.count)
        ceiling = np.full(self.count, np.inf)
        heavy = self.clouds.rain[day % 365]
        for fault in self.faults:
            k, d = fault.plant, fault.detail
            if not fault.begin <= day < fault.end:
                continue
            if fault.kind == "soiling":
                if heavy > 12.0 or (heavy > 4.0 and self.rng.random() > d["stick"]):
                    self._dirt[k] *= self.rng.uniform(0.0, 0.5)
                self._dirt[k] = min(self._dirt[k] + d["rate"] * self.rng.uniform(0.6, 1.4), d["most"])
                factor[k] *= 1 - self._dirt[k]
            elif fault.kind == "shading":
                away = np.abs((self._bearing - d["azimuth"] + 180) % 360 - 180)
                hidden = (away < d["width"] / 2) & (self._height < d["height"])
                beam[k] = np.where(hidden, beam[k] * (1 - d["depth"]), beam[k])
            elif fault.kind == "string_fault":
                factor[k] *= 1 - d["share"]
            elif fault.kind == "clipping":
                ceiling[k] = d["ceiling"]
        return self._inverters(self._dc(beam) * factor[:, None], ceiling)

    def _book(self, day: int, healthy: Floats, faulty: Floats) -> None:
        """Add the day's true energy [J] to the faults that last."""
        for fault in self.faults:
            if fault.begin <= day < fault.end:
                due, got = float(healthy[fault.plant].sum()) * 300.0, float(faulty[fault.plant].sum()) * 300.0
                fault.due += due
                fault.lost += due - got
                fault.daily[day] = due - got

    def _slot_ends(self, day: int) -> NDArray[np.int64]:
        """Instants at which the means of a day's slots are sent: their middle, as the stream's time."""
        return (
            YEAR_START
            + day * 24 * HOUR
            + np.arange(DAY_SLOTS, dtype=np.int64) * 900 * MICROSECONDS
            + 450 * MICROSECONDS
        )

    def _meters(self, day: int, power: Floats) -> tuple[NDArray[np.int64], Floats]:
        """What arrives of the true means: rounding, gaps, nonsense, and the faults of meters and clocks."""
        rng, n = self.rng, self.count
        out = np.round(power / self.resolution[:, None]) * self.resolution[:, None]
        night = out < 1.0
        out = np.where(night & (rng.random(n) < 0.3)[:, None], -rng.uniform(0, 5, out.shape), out)
        time = np.tile(self._slot_ends(day), (n, 1))
        trip = rng.random(n) < 0.004  # an inverter rests for some hours
        for k in np.flatnonzero(trip):
            out[k, self._slots(int(rng.integers(28, 60)), int(rng.integers(4, 16)))] = 0.0
        for fault in self.faults:
            if fault.begin <= day < fault.end:
                self._break_meter(fault, out, time)
        lost = rng.random(out.shape) < self.dropped[:, None]
        silent = rng.random(n) < 0.006
        lost[silent] |= rng.random((int(silent.sum()), DAY_SLOTS)) < rng.choice([0.4, 1.0])
        out = np.where(lost, np.nan, out)
        odd = rng.random(out.shape) < 0.0008
        return time, np.where(odd, rng.choice([-1e4, 65535.0, 1e9, np.inf], out.shape), out)

    def _break_meter(self, fault: Fault, out: Floats, time: NDArray[np.int64]) -> None:
        rng, k, d = self.rng, fault.plant, fault.detail
        if fault.kind == "clock_shift":
            time[k] += int(d["minutes"] * 60) * MICROSECONDS
        if fault.kind != "sensor_fault":
            return
        mode = int(d["mode"])
        if mode == 0 and rng.random() < 0.85:  # stands still
            spots = self._slots(int(rng.integers(40, 66)), int(rng.integers(24, 60)))
            out[k, spots] = out[k, spots[0]]
        elif mode == 1:  # falls silent
            out[k, rng.random(DAY_SLOTS) < 0.55 + 0.4 * d["size"]] = np.nan
        elif mode == 2:  # nonsense among the readings
            odd = rng.random(DAY_SLOTS) < 0.1 + 0.2 * d["size"]
            out[k] = np.where(odd, rng.choice([-3.0, 4.0, 50.0], DAY_SLOTS) * self.peak[k], out[k])
        elif mode == 3:  # a wrong factor
            out[k] *= 1.2 + 0.5 * d["size"]

    def _stations(self, day: int, drift: tuple[float, float], snow: bool) -> dict[str, Floats]:
        """What the stations send [3, 96]: the first measures all, the second GHI and air, the third GHI only."""
        rng, year, m = self.rng, self.year, self.stations
        ghi, dni, dhi = (_fold(part) for part in self.clouds.over(day, self.station_position, drift))
        gain = self.closure[:, None] * (1 + rng.normal(0, 0.01, (m, DAY_SLOTS)))
        fault = self.station_fault
        if fault.begin <= day < fault.end:
            gain[fault.station] *= fault.factor
        hour = np.clip(day * 24 + np.arange(DAY_SLOTS) // 4, 0, 8759)
        air = year.air[hour] + 273.15 + rng.normal(0, 0.4, (m, DAY_SLOTS)) + rng.normal(0, 0.5, (m, 1))
        wind = np.clip(year.wind[hour] + rng.normal(0, 0.7, (m, DAY_SLOTS)), 0, None)
        sky = {
            "ghi": ghi * gain + rng.normal(-1.5, 1.0, ghi.shape),
            "dni": np.clip(dni * (1 + rng.normal(0, 0.02, dni.shape)), 0, None),
            "dhi": np.clip(dhi * (1 + rng.normal(0, 0.02, dhi.shape)), 0, None),
            "air_temperature": air,
            "wind_speed": wind,
        }
        for name, first_silent in (("dni", 1), ("dhi", 1), ("air_temperature", 2), ("wind_speed", 1)):
            sky[name][first_silent:] = np.nan
        for values in sky.values():
            values[rng.random(values.shape) < 0.01] = np.nan
        if rng.random() < 0.01:
            sky["ghi"][int(rng.integers(m)), self._slots(30, 30)] = np.nan
        return sky

    def _slots(self, first: int, count: int) -> NDArray[np.int64]:
        """Slots of the day (UTC) of ``count`` quarter hours from ``first`` (local solar time) on."""
        return (first + np.arange(count) - round(self.year.longitude / 3.75)) % DAY_SLOTS


def _fold(values: Floats) -> Floats:
    """Means over 15 min of values every 5 min."""
    return np.asarray(values.reshape(len(values), DAY_SLOTS, FOLD).mean(axis=2))
