"""What the practice remembers between turns: bounded, named arrays, one row per plant (and per station)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core import State
from civium.practices.pv_fleet.model import TERMS
from civium.practices.pv_fleet.readings import Ints

HISTORY = 60  # closed days; about 1.6 kB a plant, so that 10,000 plants keep within 16 MB
HOURS = 32  # half hours of solar time, 04:00 to 20:00, of the profile by sun position
FADE, IDLE_FADE = 0.9, 0.985  # by which a half hour's profile is kept on a day with direct sun in it, and without
KINDS = ("soiling", "shading", "string_fault", "clipping", "sensor_fault", "clock_shift", "outage")
SOILING, SHADING, STRING, CLIPPING, SENSOR, CLOCK, OUTAGE = range(len(KINDS))
NEVER = np.iinfo(np.int32).min  # day number of what has not happened

_PLANT: dict[str, tuple[tuple[int, ...], str, float]] = {  # name -> shape after [plants], dtype, value of a new plant
    "day": ((), "i4", NEVER),  # last closed solar day (days since epoch)
    "told": ((), "i4", 0),  # 1 once its missing facts were reported
    "estimated": ((), "i8", 0),  # start of the last slot with an estimate [us]
    "nominal": ((), "f4", np.nan),  # [W], to which all powers below are relative
    "weak": ((), "i1", 0),  # 1 where nominal was read from the output, not from the facts
    "limit": ((), "f4", np.nan),  # learned inverter limit, share of nominal
    "clock": ((), "f4", 0.0),  # how far the plant's clock runs ahead [s]
    "learned": ((), "f4", 0.0),  # days that the plane was learned from
    "theta": ((TERMS,), "f4", np.nan),
    "gram": ((TERMS * (TERMS + 1) // 2,), "f4", 0.0),  # sum of basis x basis
    "moment": ((TERMS,), "f4", 0.0),  # sum of basis x output
    "basis": ((HISTORY, TERMS), "f2", np.nan),  # daily sums over good slots [h kW/m^2]
    "output": ((HISTORY,), "f2", np.nan),  # daily sum over the same slots [h]
    "ceiling": ((HISTORY,), "f2", np.nan),  # the day's flat top, 0 = none
    "clipped": ((), "f4", 0.0),  # energy cut off by it a day [h], running mean
    "lag": ((HISTORY,), "i1", -128),  # apparent delay of the day's curve [2 min], -128 = unknown
    "dawn": ((HISTORY,), "i1", -128),  # of its beginning
    "dusk": ((HISTORY,), "i1", -128),  # of its end
    "cover": ((HISTORY,), "u1", 255),  # share of daylight with readings [%], 255 = unknown
    "bad": ((HISTORY,), "u1", 255),  # unbelievable readings [%]
    "stuck": ((HISTORY,), "u1", 255),  # slots in which the meter stood still
    "got": ((HOURS,), "f2", 0.0),  # output in direct sun by half hour, fading
    "due": ((HOURS,), "f2", 0.0),  # what it should have been
    "times": ((HOURS,), "f2", 0.0),  # days behind it
    "cut": ((), "i4", NEVER),  # days before this one say nothing about the present level
    "since": ((len(KINDS),), "i4", NEVER),  # day on which a fault that is under notice began
    "before": ((len(KINDS),), "f4", np.nan),  # log ratio before it
    "share": ((len(KINDS),), "f4", np.nan),  # share of the energy that it costs
}
_STATION: dict[str, tuple[tuple[int, ...], str, float]] = {
    "sky_since": ((), "i4", NEVER),
    "sky_day": ((), "i4", NEVER),
    "sky_right": ((), "i4", NEVER),  # last day on which it was found right again
    "sky_before": ((), "f4", np.nan),  # common log ratio of its plants before it went off
    "sky_cover": ((HISTORY,), "u1", 255),  # share of daylight with believable irradiance [%]
    "sky_closure": ((HISTORY,), "f2", np.nan),  # measured GHI over measured DNI and DHI
}
RINGS = ("basis", "output", "ceiling", "lag", "dawn", "dusk", "cover", "bad", "stuck")

Memory = dict[str, NDArray[Any]]


def fresh(plants: Ints, stations: Ints) -> Memory:
    """The memory of plants and stations never seen before."""
    memory: Memory = {"plant": plants.copy(), "station": stations.copy()}
    for ids, fields in ((plants, _PLANT), (stations, _STATION)):
        for name, (shape, dtype, value) in fields.items():
            memory[name] = np.full((len(ids), *shape), value, dtype=dtype)
    return memory


def recall(state: State, plants: Ints, stations: Ints) -> Memory:
    """A private copy of the state for the present plants and stations; those that left are forgotten."""
    memory = fresh(plants, stations)
    for key, ids, fields in (("plant", plants, _PLANT), ("station", stations, _STATION)):
        if key not in state:
            continue
        _, now, then = np.intersect1d(ids, state[key], assume_unique=True, return_indices=True)
        for name in fields:
            memory[name][now] = state[name][then]
    return memory


def advance(memory: Memory, names: tuple[str, ...], rows: Ints, days: Ints) -> None:
    """Move the histories of ``rows`` by ``days`` columns; the new columns say "unknown"."""
    fields = {**_PLANT, **_STATION}
    for step in np.unique(np.clip(days, 0, HISTORY)):
        if step == 0:
            continue
        some = rows[np.clip(days, 0, HISTORY) == step]
        for name in names:
            ring = memory[name]
            moved = np.full((len(some), *ring.shape[1:]), fields[name][2], dtype=ring.dtype)
            moved[:, : HISTORY - step] = ring[some, step:]
            ring[some] = moved
