"""The signals on the way: which of their phases lets a vehicle through from one street into the next.

Read from the facts of things of kind ``signal`` and of the cameras that look at their approaches.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from civium.practices.emergency_corridor.city_map import Floats, Rows

Turn = tuple[int, int]  # from street, to street


@dataclass(frozen=True, slots=True)
class Way:
    """A way over a signal: the lanes that it begins on, and by phase how well the phase serves it.

    ``protected``: 1 green with the right of way, 0.5 green but yielding, 0 red. ``approach``: share of all movements
    of the street that are green too, so that nobody stands in the way.
    """

    signal: int
    lanes: tuple[str, ...]
    protected: tuple[float, ...]
    approach: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Signal:
    """One signal. ``change`` [s] from phase to phase; ``lanes`` by phase: those that it lets go."""

    thing: int
    phases: int
    change: Floats
    lanes: tuple[frozenset[str], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Junctions:
    """All signals; ``ways`` by turn, ``cameras``: the detectors that look at a lane of a signal."""

    signals: tuple[Signal, ...]
    ways: Mapping[Turn, Way]
    cameras: Mapping[tuple[int, str], tuple[int, ...]]
    capacity: Mapping[int, float]  # of a camera [vehicles]


@lru_cache(maxsize=4)
def junctions_of(signals: Rows, detectors: Rows, streets: tuple[str, ...]) -> Junctions:
    """Signals and cameras of the rows of ``things_of``; ``streets`` are the keys of the streets. What cannot be used is
    left out."""
    number = {key: i for i, key in enumerate(streets)}
    found: list[Signal] = []
    ways: dict[Turn, Way] = {}
    named: dict[str, int] = {}
    for thing, text in signals:
        try:
            facts = json.loads(text)
            signal, its_ways = _signal(thing, len(found), facts, number)
            name = str(facts["signal"])
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            continue
        if signal.phases > 1:
            named[name] = len(found)
            found.append(signal)
            ways |= its_ways
    cameras: dict[tuple[int, str], tuple[int, ...]] = {}
    capacity: dict[int, float] = {}
    for thing, text in detectors:
        try:
            facts = json.loads(text)
            if facts["role"] != "camera" or facts["signal"] not in named:
                continue
            capacity[thing] = float(facts["capacity"])
            for lane in facts["serves"]:
                where = (named[facts["signal"]], str(lane))
                cameras[where] = (*cameras.get(where, ()), thing)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return Junctions(tuple(found), ways, cameras, capacity)


def _signal(
    thing: int, position: int, facts: Mapping[str, Any], number: Mapping[str, int]
) -> tuple[Signal, dict[Turn, Way]]:
    states = [str(phase["state"]) for phase in facts["phases"]]
    street = {lane["lane"]: number.get(lane["edge"], -1) for lane in (*facts["incoming"], *facts["outgoing"])}
    moves = [m for m in facts["movements"] if not m["pedestrian"] and m["from"] in street]
    links: dict[Turn, list[Any]] = {}
    for m in moves:
        turn = (street[m["from"]], street.get(m["to"], -1))
        if min(turn) >= 0:
            links.setdefault(turn, []).append(m)
    shows = {"G": 1.0, "g": 0.5}
    ways = {}
    for turn, over in links.items():
        beside = [m["link"] for m in moves if street[m["from"]] == turn[0]]
        ways[turn] = Way(
            position,
            tuple(dict.fromkeys(m["from"] for m in over)),
            tuple(max(shows.get(state[m["link"]], 0.0) for m in over) for state in states),
            tuple(sum(state[link] in "Gg" for link in beside) / len(beside) for state in states),
        )
    change = np.array(facts["change_s"], dtype=np.float64).reshape(len(states), len(states))
    if not np.isfinite(change).all() or (change < 0).any():
        raise ValueError("change times that are no times")
    lanes = tuple(frozenset(m["from"] for m in moves if state[m["link"]] in "Gg") for state in states)
    return Signal(thing, len(states), change, lanes), ways
