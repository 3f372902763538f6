"""Turns what the simulated devices sent into the Views that the city would hand to the practice, one a day."""

import json
from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from civium.core import MICROSECONDS, View
from civium.core.view import FRAME, INSTANT, STREAMS, THINGS
from civium.practices.pv_fleet.bench_fleet import DayOut, Fleet
from civium.practices.pv_fleet.bench_weather import HOUR, YEAR_START

WINDOW = 36 * HOUR
LOOK_AT = 3 * HOUR  # after local solar midnight
FIRST_STATION = 1_000_000  # thing ids of stations; a plant's is its number plus one


def things(fleet: Fleet) -> pa.Table:
    """The register: plants with their (wrong) facts, stations with their places."""
    around = np.cos(np.radians(fleet.year.latitude)) * 111.2
    rows = [
        {"thing": k + 1, "kind": "pv_plant", "name": f"plant {k + 1}", "lon": None, "lat": None, "facts": json.dumps(f)}
        for k, f in enumerate(fleet.facts)
    ]
    for k, (east, north) in enumerate(fleet.station_position):
        rows.append(
            {
                "thing": FIRST_STATION + k,
                "kind": "weather_station",
                "name": f"station {k + 1}",
                "lon": fleet.year.longitude + east / around,
                "lat": fleet.year.latitude + north / 111.2,
                "facts": "{}",
            }
        )
    return pa.Table.from_pylist(rows, schema=THINGS)


def frame(thing: np.ndarray, time: np.ndarray, value: np.ndarray) -> pa.Table:
    """A frame of rows (stream = thing), sorted as the contract says; null for NaN."""
    order = np.lexsort((np.arange(len(thing)), time, thing))
    thing, time, value = thing[order], time[order], value[order]
    n = len(thing)
    return pa.table(
        {
            "id": pa.array(order, pa.int64()),
            "stream": pa.array(thing, pa.int64()),
            "thing": pa.array(thing, pa.int64()),
            "time": pa.array(time, pa.int64()).cast(INSTANT),
            "until": pa.nulls(n, INSTANT),
            "value": pa.array(value, pa.float64()),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )


def views(fleet: Fleet) -> Iterator[tuple[int, View]]:
    """(day, View) for every day of the fleet, taken three hours after local solar midnight."""
    register = things(fleet)
    days, blocks = fleet.stream(), deque[DayOut](maxlen=4)
    made, last = fleet.first, fleet.first + fleet.days
    rng = np.random.default_rng([fleet.count, 11])
    for day in range(fleet.first, last - 1):
        now = YEAR_START + (day + 1) * 24 * HOUR - round(fleet.year.longitude * 240) * MICROSECONDS + LOOK_AT
        while YEAR_START + made * 24 * HOUR < now and made < last:
            blocks.append(next(days)[1])
            made += 1
        yield day, View(now, {}, _frames(fleet, list(blocks), now, rng), register, STREAMS.empty_table())


def _frames(fleet: Fleet, blocks: list[DayOut], now: int, rng: np.random.Generator) -> dict[str, pa.Table]:
    n, m = fleet.count, fleet.stations
    time = np.concatenate([b.time for b in blocks], axis=1)
    power = np.concatenate([b.power for b in blocks], axis=1)
    thing = np.repeat(np.arange(n) + 1, time.shape[1]).reshape(time.shape)
    # of the readings that are missing one in ten arrives as NaN; one reading in 200 arrives twice
    here = (
        (time > now - WINDOW) & (time <= now) & (np.isfinite(power) | np.isinf(power) | (rng.random(time.shape) < 0.1))
    )
    at = np.flatnonzero(here)
    at = np.concatenate([at, rng.choice(at, len(at) // 200)]) if len(at) else at
    frames = {"power": frame(thing.flat[at], time.flat[at], power.flat[at])}
    when = np.concatenate([b.station_time for b in blocks])
    inside = (when > now - WINDOW) & (when <= now)
    for name in blocks[0].sky:
        values = np.concatenate([b.sky[name] for b in blocks], axis=1)[:, inside]
        station = np.repeat(np.arange(m) + FIRST_STATION, inside.sum()).reshape(values.shape)
        known = np.isfinite(values)
        frames[name] = frame(station[known], np.tile(when[inside], (m, 1))[known], values[known])
    return frames
