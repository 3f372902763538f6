"""What the practice remembers: bounded named arrays, one row a segment, about 7 kB each: 2,000 segments a shard."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core import State

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Memory = dict[str, NDArray[Any]]

STEP = 300_000_000  # [us]
DAY = 86_400_000_000  # [us]
HORIZONS = (1, 3, 6, 12)  # steps: 5, 15, 30 and 60 min
SLOTS = 96  # of a quarter of an hour
TERMS = 12
TOP = 32  # largest drops of the last ``FORGET`` readings: their 99th percentile is among them
FORGET = 2600
EMPTY = -1

_SEGMENT: dict[str, tuple[tuple[int, ...], str, float]] = {  # name -> shape after [segments], dtype, value at first
    "total": ((2, SLOTS), "f4", 0.0),  # sum of what was seen, by kind of day (work, weekend) and slot
    "weight": ((2, SLOTS), "f4", 0.0),
    "past": ((3,), "f4", np.nan),  # departures from the usual of the last steps, newest first
    "smooth": ((3,), "f4", 0.0),  # running means of the departure
    "gram": ((len(HORIZONS), TERMS, TERMS), "f4", 0.0),
    "moment": ((len(HORIZONS), TERMS), "f4", 0.0),
    **{f"asked_{h}": ((h, TERMS), "f4", np.nan) for h in HORIZONS},  # terms of forecasts whose truth is not known yet
    **{f"usual_{h}": ((h,), "f4", np.nan) for h in HORIZONS},  # what was usual for their instant
    **{f"said_{h}": ((h,), "f4", np.nan) for h in HORIZONS},
    "beta": ((len(HORIZONS), TERMS), "f4", 0.0),  # coefficients, solved once an hour
    "error": ((len(HORIZONS),), "f4", np.nan),  # running mean of the absolute error
    "last": ((3,), "f4", np.nan),  # readings, newest first
    "top": ((TOP,), "f4", -np.inf),  # largest drops, falling
    "drops": ((), "f4", 0.0),  # how many readings they are the largest of
    "heard": ((), "i8", 0),  # instant of the newest reading [us]
    "alarmed": ((), "i8", 0),  # when a sudden slow-down was last found [us]
    "fast": ((), "f4", np.nan),  # free flow, learned where the facts tell none [m/s]
    "sum": ((), "f8", 0.0),  # of the readings since the last step
    "count": ((), "i4", 0),
    "state": ((), "i1", 0),  # as last said
    "told": ((), "i1", 0),  # 0 nothing, 1 routine, 2 incident under notice
    "since": ((), "i8", 0),  # begin of it [us]
    "flowing": ((), "i8", 0),  # since when it flows again [us]
}


def fresh(segments: Ints) -> Memory:
    """The memory of segments never seen before."""
    memory: Memory = {
        "segment": segments.copy(),
        "step": np.array([EMPTY], np.int64),
        "shared_gram": np.zeros((len(HORIZONS), TERMS, TERMS)),
        "rows": np.zeros(len(HORIZONS)),
        "shared_moment": np.zeros((len(HORIZONS), TERMS)),
        "scores": np.zeros((len(HORIZONS), 41)),
    }
    for name, (shape, dtype, value) in _SEGMENT.items():
        memory[name] = np.full((len(segments), *shape), value, dtype=dtype)
    return memory


def recall(state: State, segments: Ints) -> Memory:
    """A private copy of the state for the present segments; those that left are forgotten."""
    memory = fresh(segments)
    if "segment" not in state:
        return memory
    _, now, then = np.intersect1d(segments, state["segment"], assume_unique=True, return_indices=True)
    for name in _SEGMENT:
        memory[name][now] = state[name][then]
    for name in ("step", "rows", "shared_gram", "shared_moment", "scores"):
        memory[name] = state[name].copy()
    return memory
