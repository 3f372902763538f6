"""The emergency trips of the bench: where they begin and end, and how long they take on free roads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from civium.practices.emergency_corridor.city_map import Floats, Place, Streets, streets_of
from civium.practices.emergency_corridor.junctions import Turn, Way, junctions_of
from civium.practices.emergency_corridor.route import fastest
from civium.sandbox.junction import Junction
from civium.sandbox.street_facts import StreetThing

SHORTEST_M = 500.0
FIRST_S = 240  # streets fill up before
EVERY_S = 300.0  # mean time between calls
LAST_S = 420  # before the end no call begins
TRIES = 400


@dataclass(frozen=True, slots=True)
class Trip:
    """One call: ``depart`` [s], the streets of the fastest route on free roads, and the point [deg] called to."""

    depart: int
    streets: tuple[str, ...]
    target: tuple[float, float]
    signals: int
    end_m: float  # of the target from the beginning of the last street


def trips(things: Sequence[StreetThing], junctions: Sequence[Junction], seed: int, begin: int, end: int) -> list[Trip]:
    """Calls of one run: at random times, from a random street to another, over one signal at least; seeded."""
    streets = streets_of(tuple((i + 1, json.dumps(s.facts)) for i, s in enumerate(things)))
    signals = junctions_of(tuple((i + 1, json.dumps(j.facts())) for i, j in enumerate(junctions)), (), streets.key)
    random = np.random.default_rng([seed, 77])
    times = streets.length / streets.speed
    found: list[Trip] = []
    depart = begin + FIRST_S
    while depart < end - LAST_S:
        for _ in range(TRIES):
            one = _trip(streets, signals.ways, things, times, random, depart)
            if one is not None:
                found.append(one)
                break
        depart += round(float(random.uniform(0.5, 1.5)) * EVERY_S)
    return found


def _trip(
    streets: Streets,
    ways: Mapping[Turn, Way],
    things: Sequence[StreetThing],
    times: Floats,
    random: np.random.Generator,
    depart: int,
) -> Trip | None:
    start, end = (int(k) for k in random.integers(0, len(streets.thing), 2))
    if min(streets.length[start], streets.length[end]) < 15.0:
        return None
    middle = float(streets.length[end]) / 2
    route, _, _ = fastest(streets, times, [Place(start, 0.0, 0.0)], [Place(end, middle, 0.0)])
    if len(route) < 2 or float(streets.length[route].sum()) < SHORTEST_M:
        return None
    crossed = sum((a, b) in ways for a, b in pairwise(route.tolist()))
    if crossed < 1:
        return None
    shape = things[end].facts["shape"]
    lon, lat = _middle(shape)
    return Trip(depart, tuple(streets.key[k] for k in route.tolist()), (lon, lat), crossed, middle)


def _middle(shape: list[list[float]]) -> tuple[float, float]:
    """Half way along a line."""
    points = np.array(shape)
    length = np.append(0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    half = length[-1] / 2
    return float(np.interp(half, length, points[:, 0])), float(np.interp(half, length, points[:, 1]))
