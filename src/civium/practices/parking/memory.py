"""What the practice remembers: bounded named arrays, one row for each car park and each bay, about 7 kB a car park."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core import State

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Memory = dict[str, NDArray[Any]]

SLOT = 1_800_000_000  # [us] half an hour
DAY_SLOTS, WEEK_SLOTS = 48, 336
HORIZONS = (1, 2, 4, 48)  # slots ahead that are learned
RECENT = 50  # slots: more than a day
TERMS = 7
LOWS = 14  # days of nightly lows
SCORES = 41  # bins of the standardised error, -4 to 4 and beyond
EMPTY = -1

_LOT: dict[str, tuple[tuple[int, ...], str, float]] = {  # name -> shape after [car parks], dtype, value at first
    "week": ((WEEK_SLOTS,), "f4", np.nan),  # share taken, by slot of the week
    "day": ((DAY_SLOTS,), "f4", np.nan),  # by slot of any day
    "recent": ((RECENT,), "f4", np.nan),  # the last slots
    "gram": ((len(HORIZONS), TERMS, TERMS), "f8", 0.0),  # sums of terms x terms
    "moment": ((len(HORIZONS), TERMS), "f8", 0.0),  # sums of terms x target
    **{f"asked_{h}": ((h, TERMS), "f4", np.nan) for h in HORIZONS},  # terms of forecasts whose truth is not known yet
    **{f"said_{h}": ((h,), "f4", np.nan) for h in HORIZONS},  # those forecasts
    "error": ((len(HORIZONS),), "f4", np.nan),  # running mean of the absolute error
    "lows": ((LOWS,), "f4", np.nan),  # least count of each day
    "low": ((), "f4", np.nan),  # of the present day
    "last": ((), "f8", np.nan),  # count last seen
    "changed": ((), "i8", 0),  # when it last changed [us]
    "same": ((), "i1", 0),  # readings since then that told the same
    "heard": ((), "i8", 0),  # instant of the newest reading [us]
    "turnover": ((), "f4", np.nan),  # changes of a bay [1/s], running mean
    "told": ((), "i1", 0),  # sensor fault under notice
    "bare": ((), "i1", 0),  # 1 once its missing facts were reported
    "full": ((), "i1", 0),  # 1 while it is told to be full
    "sent": ((), "f4", 0.0),  # cars that signs sent and that are under way
}
_BAY: dict[str, tuple[tuple[int, ...], str, float]] = {
    "bay_value": ((), "i1", EMPTY),  # 1 taken, 0 free, -1 unknown
    "bay_changed": ((), "i8", 0),
    "bay_heard": ((), "i8", 0),
    "bay_swaps": ((), "f4", 0.0),  # changes of the other bays of its car park, on average, since it last changed
    "bay_told": ((), "i1", 0),
}
_GUIDE: dict[str, tuple[tuple[int, ...], str, float]] = {"shown": ((), "i8", EMPTY)}  # car park (thing) last wished


def fresh(lots: Ints, bays: Ints, guides: Ints) -> Memory:
    """The memory of what was never seen before."""
    memory: Memory = {
        "lot": lots.copy(),
        "bay": bays.copy(),
        "guide": guides.copy(),
        "slot": np.array([EMPTY], np.int64),
        "turned": np.array([EMPTY], np.int64),
        "shared_gram": np.zeros((len(HORIZONS), TERMS, TERMS)),
        "shared_moment": np.zeros((len(HORIZONS), TERMS)),
        "scores": np.zeros((len(HORIZONS), SCORES)),
    }
    for ids, fields in ((lots, _LOT), (bays, _BAY), (guides, _GUIDE)):
        for name, (shape, dtype, value) in fields.items():
            memory[name] = np.full((len(ids), *shape), value, dtype=dtype)
    return memory


def recall(state: State, lots: Ints, bays: Ints, guides: Ints) -> Memory:
    """A private copy of the state for the present things; those that left are forgotten."""
    memory = fresh(lots, bays, guides)
    for key, ids, fields in (("lot", lots, _LOT), ("bay", bays, _BAY), ("guide", guides, _GUIDE)):
        if key not in state:
            continue
        _, now, then = np.intersect1d(ids, state[key], assume_unique=True, return_indices=True)
        for name in fields:
            memory[name][now] = state[name][then]
    for name in ("slot", "turned", "shared_gram", "shared_moment", "scores"):
        if name in state:
            memory[name] = state[name].copy()
    return memory
