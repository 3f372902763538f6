"""A small world for the tests: plants under passing clouds, by the plainest formulas, and what one cares to break."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from civium.core import MICROSECONDS, Plan, State, View
from civium.core.view import FRAME, INSTANT, STREAMS, THINGS
from civium.practices.pv_fleet.decide import FleetParams, decide, start

HOUR = 3600 * MICROSECONDS
SLOT = 900 * MICROSECONDS
NEW_YEAR = 1_672_531_200 * MICROSECONDS  # 2023
SPRING = 80  # day of the year on which the world begins
LATITUDE, LONGITUDE = 47.0, 8.0
STATION = 1000
PEAK = 10_000.0
Alter = Callable[[int, np.ndarray], np.ndarray]


def keep(day: int, values: np.ndarray) -> np.ndarray:
    """Nothing is wrong."""
    return values


class World:
    """``plants`` roofs [10 kW], one station; ``alter(day, power[P, 96])`` and ``alter_sun(day, ghi[96])`` break it."""

    def __init__(
        self, plants: int = 8, alter: Alter = keep, alter_sun: Alter = keep, facts: dict[str, object] | None = None
    ) -> None:
        self.plants, self.alter, self.alter_sun = plants, alter, alter_sun
        rng = np.random.default_rng(5)
        self.tilt = rng.uniform(15, 40, plants)
        self.azimuth = rng.uniform(140, 220, plants)
        self.clouds = np.clip(rng.beta(2.2, 1.0, 400), 0.15, 1.0)  # of each day
        self.facts = facts

    def sun(self, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """East, north, up at the middle of the day's slots (UTC)."""
        hours = np.arange(96) / 4 + 0.125
        year = SPRING + day + hours / 24
        declination = np.radians(23.44) * np.sin(2 * np.pi * (year - 81) / 365.25)
        b = 2 * np.pi * (year - 81) / 365.25
        equation = 9.87 * np.sin(2 * b) - 7.53 * np.cos(b) - 1.5 * np.sin(b)
        angle = np.radians((hours * 60 + equation + 4 * LONGITUDE) / 4 - 180)
        phi = np.radians(LATITUDE)
        east = -np.cos(declination) * np.sin(angle)
        north = np.sin(declination) * np.cos(phi) - np.cos(declination) * np.sin(phi) * np.cos(angle)
        return east, north, np.sin(declination) * np.sin(phi) + np.cos(declination) * np.cos(phi) * np.cos(angle)

    def day(self, day: int) -> tuple[np.ndarray, np.ndarray]:
        """Power [P, 96] and GHI [96] of one day."""
        east, north, up = self.sun(day)
        light = np.clip(up, 0, None)
        rng = np.random.default_rng([day, 1])
        clear = self.clouds[day] * (1 - 0.3 * (1 - self.clouds[day]) * rng.random(96))
        top = 1080 * light**1.2
        share = np.clip(1.25 - 1.1 * clear, 0.12, 1.0)
        ghi = clear * top
        dhi, dni = share * ghi, np.where(up > 0.03, (1 - share) * ghi / np.maximum(up, 0.03), 0)
        tilt, turn = np.radians(self.tilt)[:, None], np.radians(self.azimuth)[:, None]
        cosine = np.clip(np.sin(tilt) * (np.sin(turn) * east + np.cos(turn) * north) + np.cos(tilt) * up, 0, None)
        plane = dni * cosine + dhi * (1 + np.cos(tilt)) / 2 + 0.2 * ghi * (1 - np.cos(tilt)) / 2
        dc = PEAK * 0.9 * plane / 1000 * (1 - 0.004 * (plane * 0.03 - 10))
        power = np.clip(0.96 * dc - 0.004 * PEAK, 0, 0.9 * PEAK)
        return self.alter(day, power * (1 + rng.normal(0, 0.01, power.shape))), self.alter_sun(day, ghi)

    def things(self) -> pa.Table:
        """The register."""
        rows = []
        for k in range(self.plants):
            known = {"peak_power_w": PEAK, "inverter_ac_w": 0.9 * PEAK, "tilt_deg": 25.0, "azimuth_deg": 180.0}
            facts = json.dumps(known if self.facts is None else self.facts)
            rows.append({"thing": k + 1, "kind": "pv_plant", "name": f"roof {k + 1}", "facts": facts})
        rows.append({"thing": STATION, "kind": "weather_station", "name": "mast", "facts": "{}"})
        return pa.Table.from_pylist([r | {"lon": LONGITUDE, "lat": LATITUDE} for r in rows], schema=THINGS)

    def view(self, now: int, shuffle: int | None = None) -> View:
        """What the practice would see at ``now``; the rows in any order if ``shuffle`` is a seed."""
        begin = NEW_YEAR + SPRING * 24 * HOUR
        latest = (now - begin) // (24 * HOUR)
        days = range(max(0, latest - 2), latest + 1)
        parts = [self.day(d) for d in days]
        time = np.concatenate([begin + d * 24 * HOUR + np.arange(96) * SLOT + SLOT // 2 for d in days])
        inside = (time <= now) & (time > now - 36 * HOUR)
        power, ghi = np.concatenate([p[0] for p in parts], axis=1), np.concatenate([p[1] for p in parts])
        n = int(inside.sum())
        frames = {
            "power": _frame(
                np.repeat(np.arange(self.plants) + 1, n), np.tile(time[inside], self.plants), power[:, inside]
            ),
            "ghi": _frame(np.full(n, STATION), time[inside], ghi[inside]),
        }
        if shuffle is not None:
            rng = np.random.default_rng(shuffle)
            frames = {k: t.take(pa.array(rng.permutation(t.num_rows))) for k, t in frames.items()}
        return View(now, {}, frames, self.things(), STREAMS.empty_table())

    def turns(self, days: int, every: float = 24.0, first: int = 0) -> Iterator[tuple[int, View]]:
        """(day, View) every so many hours, always also at 03:00 solar time, when the day before has closed."""
        at = NEW_YEAR + SPRING * 24 * HOUR + 3 * HOUR - int(LONGITUDE / 15 * HOUR)
        for k in range(int(first * 24 / every) + int(24 / every), int((first + days) * 24 / every) + 1):
            yield int(k * every / 24), self.view(at + int(k * every * HOUR))


def _frame(thing: np.ndarray, time: np.ndarray, value: np.ndarray) -> pa.Table:
    n = len(thing)
    return pa.table(
        {
            "id": pa.array(np.arange(n)),
            "stream": pa.array(thing),
            "thing": pa.array(thing),
            "time": pa.array(time).cast(INSTANT),
            "until": pa.nulls(n, INSTANT),
            "value": pa.array(np.asarray(value, dtype=float).reshape(-1)),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )


def follow(world: World, days: int, every: float = 24.0) -> tuple[list[tuple[int, str, int | None, dict]], State, Plan]:
    """Let the practice follow a world: (day, key, thing, values) of its notices, the last state and plan."""
    params = FleetParams()
    state: State | None = None
    heard, plan = [], Plan()
    for day, view in world.turns(days, every):
        state = start(view, params) if state is None else state
        plan, state = decide(view, state, params)
        heard += [(day, n.key, n.about, dict(n.values)) for n in plan.notices]
    assert state is not None
    return heard, state, plan
