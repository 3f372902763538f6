"""Generated Views: small cities made from nothing but a practice's declared needs, plain and awkward ones.

The same seed gives the same Views in every process. Things carry no facts here and layers are empty: what
a practice does with real ones it shows in its own ``tests/views.py`` (``example_views() -> list[View]``).
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import MICROSECONDS, Freshness, Need, Practice, View
from civium.core.view import ACTUATORS, FRAME, STREAMS, THINGS
from civium.twin.model.layers import LAYERS

NOON = 1_782_043_200 * MICROSECONDS  # 2026-06-21T12:00:00Z
DAY = 86_400.0  # [s]
MOST_READINGS = 96  # a stream; enough for every quarter of an hour of a day

# plausible values (lowest, highest) in the SI unit, first by property, then by unit
RANGES: dict[str, tuple[float, float]] = {
    "occupancy": (0.0, 1.0),
    "signal_phase": (0.0, 3.0),
    "1": (0.0, 20.0),
    "K": (263.0, 303.0),
    "m/s": (0.0, 15.0),
    "W": (0.0, 5_000.0),
    "W/m^2": (0.0, 1_000.0),
}

Values = Callable[[np.random.Generator, Need, int], NDArray[np.float64]]


def plausible(random: np.random.Generator, need: Need, count: int) -> NDArray[np.float64]:
    """Whole numbers where the unit is a count, else any value of the range."""
    low, high = RANGES.get(need.property) or RANGES.get(need.unit) or (0.0, 100.0)
    values = random.uniform(low, high, count)
    return np.round(values) if need.unit == "1" and high > 1 else values


def holed(random: np.random.Generator, need: Need, count: int) -> NDArray[np.float64]:
    """A third of the values is missing or not a number."""
    values = plausible(random, need, count)
    values[random.random(count) < 1 / 3] = np.nan
    return values


def extreme(random: np.random.Generator, need: Need, count: int) -> NDArray[np.float64]:
    """What broken sensors send: nothing but zero, far too much, or below zero."""
    return random.choice(np.array([0.0, -1.0, 1e9]), count)


def constant(random: np.random.Generator, need: Need, count: int) -> NDArray[np.float64]:
    """A stuck sensor."""
    return np.full(count, plausible(random, need, 1)[0])


def cases(practice: Practice, seed: int = 0) -> Iterator[tuple[str, tuple[View, ...]]]:
    """Named runs of Views: the turns of one run follow one another and share state."""
    turns = tuple(NOON + round(i * practice.every * MICROSECONDS) for i in range(3))
    yield "nothing exists", (city(practice, NOON, 0, plausible, seed),)
    yield "every stream is silent", (city(practice, NOON, 3, plausible, seed, silent=True),)
    yield "one thing", tuple(city(practice, now, 1, plausible, seed) for now in turns)
    yield "many things", tuple(city(practice, now, 24, plausible, seed) for now in turns)
    yield "missing values", (city(practice, NOON, 6, holed, seed),)
    yield "extreme values", (city(practice, NOON, 6, extreme, seed),)
    yield "stuck values", (city(practice, NOON, 6, constant, seed),)
    yield "no actuators", (city(practice, NOON, 3, plausible, seed, actuators=False),)
    yield (
        "data come, fail and come back",
        tuple(city(practice, now, 4, plausible, seed, silent=i == 1) for i, now in enumerate(turns)),
    )


def city(
    practice: Practice, now: int, size: int, values: Values, seed: int, *, silent: bool = False, actuators: bool = True
) -> View:
    """One View at ``now`` [us]: ``size`` things of every kind that the practice needs, one stream a need and thing."""
    measured = [need for need in practice.needs if not need.layer]
    kinds = sorted({need.kind or "thing" for need in measured} | ({practice.acts_on} if practice.acts_on else set()))
    things = [(1 + i + k * size, kind) for k, kind in enumerate(kinds) for i in range(size)]
    frames, streams, freshness = {}, [], {}
    for position, need in enumerate(measured):
        about = [thing for thing, kind in things if kind == (need.kind or "thing")]
        ids = [1_000 * (position + 1) + i for i in range(len(about))]
        frame = FRAME.empty_table() if silent else _frame(need, ids, about, now, values, seed)
        frames[need.name] = frame
        streams += [
            (stream, thing, need.property, need.unit, need.name) for stream, thing in zip(ids, about, strict=True)
        ]
        freshness[need.name] = _freshness(need, frame, len(ids), now)
    bodies = [t for t in things if t[1] == practice.acts_on] if actuators and practice.acts_on else []
    return View(
        now=now,
        cut={"OBS0": now // MICROSECONDS, "CAT": 1},
        frames=frames,
        things=_table(THINGS, [(t, kind, f"{kind} {t}", 24.94 + t * 1e-3, 60.17, "{}") for t, kind in things]),
        streams=_table(STREAMS, sorted(streams, key=lambda s: (s[4], s[0]))),
        actuators=_table(
            ACTUATORS, [(t, t, practice.acts_on, f"{k} {t}", '{"minimum":0,"maximum":1}') for t, k in bodies]
        ),
        layers={need.layer: LAYERS[need.layer].empty_table() for need in practice.needs if need.layer in LAYERS},
        freshness=freshness,
    )


def _table(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _frame(need: Need, ids: list[int], about: list[int], now: int, values: Values, seed: int) -> pa.Table:
    """Readings of one need: evenly spaced up to ``now - wait``, each stream with its own small offset in time."""
    each = int(min(MOST_READINGS, max(2, need.window // 10)))
    step = round(need.window / each * MICROSECONDS)
    random = np.random.default_rng([seed, now // MICROSECONDS, zlib.crc32(need.name.encode())])
    last = now - round(need.wait * MICROSECONDS)
    count = each * len(ids)
    age = np.tile(np.arange(each - 1, -1, -1), len(ids)) * step + np.repeat(random.integers(0, step, len(ids)), each)
    value = values(random, need, count)
    return pa.table(
        {
            "id": pa.array(np.arange(1, count + 1)),
            "stream": pa.array(np.repeat(np.array(ids, np.int64), each)),
            "thing": pa.array(np.repeat(np.array(about, np.int64), each)),
            "time": pa.array(last - age).cast(FRAME.field("time").type),
            "until": pa.nulls(count, FRAME.field("until").type),
            "value": pa.array(value, mask=np.isnan(value) & (np.arange(count) % 2 == 0)),  # null and NaN both occur
            "text": pa.nulls(count, pa.string()),
            "quality": pa.nulls(count, pa.int16()),
        },
        schema=FRAME,
    )


def _freshness(need: Need, frame: pa.Table, streams: int, now: int) -> Freshness:
    if frame.num_rows == 0:
        return Freshness(streams=streams, fresh=0, newest=None)
    newest = frame.group_by("stream").aggregate([("time", "max")]).column("time_max").cast(pa.int64()).to_numpy()
    young = newest >= now - round((need.wait + need.stale) * MICROSECONDS)
    return Freshness(streams=streams, fresh=int(young.sum()), newest=int(newest.max()))
