"""Roadside Bluetooth readers: what they hear of devices that pass, with misses, repeats, ranges and their own clocks.

A reader asks around again and again; a device within its range answers an inquiry now and then, so that who passes
quickly is often missed and who waits at the stop line is heard many times.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RANGE_M = 60.0
ANSWER_S = 4.0  # mean time between two answers of a device in range
LEAVING_S = 4.0  # from the stop line to the end of the range
CLOCK_S = 1.0  # error of a reader's clock, standard deviation


@dataclass(frozen=True, eq=False, slots=True)
class Stays:
    """Vehicles within the range of a reader: from ``enter`` to ``leave`` [s]; ``leave`` is beyond the stop line."""

    vehicle: Ints
    reader: Ints
    enter: Floats
    leave: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Heard:
    """Detections: the ``address`` of a device (48 bits), the reader, and the instant by the reader's clock [s]."""

    address: Ints
    reader: Ints
    time: Floats


def addresses(count: int, rng: np.random.Generator) -> Ints:
    """Addresses of some devices, all different."""
    return rng.permutation(rng.integers(1, 2**40, count) * 256 + np.arange(count) % 256)


def heard(stays: Stays, vehicles: int, readers: int, penetration: float, rng: np.random.Generator) -> Heard:
    """What the readers hear when a share ``penetration`` of the vehicles carries a device, and some of them two."""
    carries = rng.random(vehicles) < penetration
    second = carries & (rng.random(vehicles) < 0.08)
    own, other = addresses(vehicles, rng), addresses(vehicles, rng)
    clock = rng.normal(0.0, CLOCK_S, readers)
    parts = [_answers(stays, carries, own, clock, rng), _answers(stays, second, other, clock, rng)]
    return Heard(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("address", "reader", "time")))


def _answers(stays: Stays, carries: NDArray[np.bool_], own: Ints, clock: Floats, rng: np.random.Generator) -> Heard:
    of = np.flatnonzero(carries[stays.vehicle])
    span = np.maximum(stays.leave[of] - stays.enter[of], 0.0)
    count = rng.poisson(span / ANSWER_S)
    each = np.repeat(of, count)
    time = stays.enter[each] + rng.random(len(each)) * np.repeat(span, count)
    reader = stays.reader[each]
    return Heard(own[stays.vehicle[each]], reader, time + clock[reader])


def strangers(readers: int, begin: float, end: float, count: int, rng: np.random.Generator) -> Heard:
    """Who is heard and is no vehicle that drives through: parked phones heard for long, and people who walk or cycle
    from one reader to another at a walker's pace."""
    own = addresses(2 * count, rng)
    parked, at = own[:count], rng.integers(0, readers, count)
    times = rng.uniform(begin, end, (count, 12))
    walkers = own[count:]
    start, target = rng.integers(0, readers, count), rng.integers(0, readers, count)
    left = rng.uniform(begin, end, count)
    came = left + rng.uniform(300.0, 1800.0, count)
    return Heard(
        np.concatenate([np.repeat(parked, 12), walkers, walkers]),
        np.concatenate([np.repeat(at, 12), start, target]),
        np.concatenate([times.ravel(), left, came]),
    )
