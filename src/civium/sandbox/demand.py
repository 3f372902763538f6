"""Makes the trips of a town, minute by minute: from homes, work places and shops, and through its fringe.

The trips of a minute are a pure function of the seed and that minute, whatever happens on the streets: so two runs
differ only in what controls them, and a run that is taken up again goes on with the same people.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from civium.core.extras import require
from civium.sandbox.places import HOME, VISIT, WORK, Places
from civium.sandbox.streets import Edge, Streets

# Hourly shares of a day's trips by what they are for, 0 h to 23 h, in local time: two commuting peaks, shops from ten
# to eight, through traffic in between. Orders of magnitude of European household surveys, not of one town.
_LEAVE_HOME = np.array([2, 1, 1, 1, 3, 12, 40, 90, 100, 60, 45, 45, 45, 45, 45, 50, 55, 60, 55, 40, 25, 15, 8, 4]) / 847
_REACH_WORK = np.array([1, 1, 1, 2, 6, 25, 80, 180, 190, 90, 40, 30, 35, 40, 30, 20, 12, 8, 5, 4, 3, 2, 1, 1]) / 807
_VISIT = np.array([1, 1, 1, 1, 1, 2, 8, 20, 35, 50, 75, 85, 85, 80, 85, 95, 105, 105, 85, 55, 30, 15, 8, 4]) / 1032
_THROUGH = (
    np.array([9, 6, 5, 6, 12, 30, 60, 95, 100, 80, 72, 72, 74, 75, 78, 88, 98, 100, 82, 62, 46, 36, 26, 16]) / 100
)
_WEEKEND = {"home": 0.75, "work": 0.15, "visit": 1.1, "through": 0.7}
_PERSONS_PER_M2 = 1 / 45
_JOBS_PER_M2 = 1 / 35
_CAR_TRIPS = {"home": 0.8, "work": 0.7}  # per person and per job, a day and each way
_VISITS_PER_M2 = 0.12  # by car, a day and each way
_LANE_FLOW = {"motorway": 900, "trunk": 700, "primary": 450, "secondary": 350, "tertiary": 220, "unclassified": 60,
              "residential": 30}  # [veh/h] through a lane that the edge of the map cuts, at the peak  # fmt: skip
_SHORTEST = 12.0  # [m] edge on which a trip may begin or end
_OUTSIDE_AREA = 10.0e6  # [m^2] of surroundings that compete with the town itself for the other end of a trip


@dataclass(frozen=True, slots=True)
class Trip:
    """One car: leaves ``start`` at ``depart`` [s since the midnight on which the run's first day began]."""

    id: str
    depart: float
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class _Ends:
    """Edges with the probability of each."""

    ids: tuple[str, ...]
    weight: NDArray[np.float64]  # sums to 1, empty when there are none

    def draw(self, rng: np.random.Generator, n: int) -> list[str]:
        return [self.ids[i] for i in rng.choice(len(self.ids), n, p=self.weight)]

    def __bool__(self) -> bool:
        return bool(self.ids)


class Demand:
    """Trips of one town under one seed. ``scale`` is the share of the natural demand that its streets carry."""

    def __init__(self, streets: Streets, places: Places, seed: int, day: date, scale: float = 1.0) -> None:
        self.seed = seed
        self.day = day
        self.scale = scale
        core = _largest_component(streets)
        inside = [streets.edges[i] for i in sorted(core) if streets.edges[i].length >= _SHORTEST]
        self._ends = {use: _nearest(inside, places, use) for use in (HOME, WORK, VISIT)}
        everywhere = places.floor.sum(axis=0)
        self._persons = float(everywhere[HOME]) * _PERSONS_PER_M2
        self._jobs = float(everywhere[WORK]) * _JOBS_PER_M2
        self._visits = float(everywhere[VISIT]) * _VISITS_PER_M2
        self._entries, entering = _fringe(streets, core, leaving=False)
        self._exits, leaving = _fringe(streets, core, leaving=True)
        self._through = min(entering, leaving)
        points = np.array([e.shape[0] for e in inside])
        area = float(np.prod(np.ptp(points, axis=0)))
        self._stay = area / (area + _OUTSIDE_AREA) if self._entries and self._exits else 1.0

    def at_scale(self, scale: float) -> "Demand":
        """The same town and seed at another share of its natural demand."""
        other = copy(self)
        other.scale = scale
        return other

    def rates(self, minute: int) -> dict[str, float]:
        """Trips an hour [veh/h] by purpose in a minute counted from the first day's midnight."""
        hour = minute % 1440 / 60
        factor = (
            _WEEKEND if (self.day + timedelta(days=minute // 1440)).weekday() >= 5 else dict.fromkeys(_WEEKEND, 1.0)
        )

        def at(profile: NDArray[np.float64], ahead: float = 0.0) -> float:
            return float(np.interp((hour + ahead) % 24, np.arange(25), np.append(profile, profile[0])))

        return {
            "leave home": self.scale * factor["home"] * self._persons * _CAR_TRIPS["home"] * at(_LEAVE_HOME),
            "reach home": self.scale * factor["home"] * self._persons * _CAR_TRIPS["home"] * at(_LEAVE_HOME, -9),
            "reach work": self.scale * factor["work"] * self._jobs * _CAR_TRIPS["work"] * at(_REACH_WORK),
            "leave work": self.scale * factor["work"] * self._jobs * _CAR_TRIPS["work"] * at(_REACH_WORK, -9),
            "reach shop": self.scale * factor["visit"] * self._visits * at(_VISIT),
            "leave shop": self.scale * factor["visit"] * self._visits * at(_VISIT, -1),
            "through": self.scale * factor["through"] * self._through * at(_THROUGH),
        }

    def trips(self, minute: int) -> list[Trip]:
        """The trips that leave within a minute, in order of departure."""
        made: list[tuple[float, str, str]] = []
        for number, (purpose, rate) in enumerate(self.rates(minute).items()):
            rng = np.random.default_rng([self.seed, minute, number])
            n = int(rng.poisson(rate / 60))
            if n == 0:
                continue
            starts, ends = self._pairs(purpose, n, rng)
            departs = 60.0 * (minute + rng.random(n))
            made += [(round(d, 2), a, b) for d, a, b in zip(departs, starts, ends, strict=True) if a != b]
        made.sort()
        return [Trip(f"{minute}.{k}", d, a, b) for k, (d, a, b) in enumerate(made)]

    def _pairs(self, purpose: str, n: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
        if purpose == "through":
            return self._entries.draw(rng, n), self._exits.draw(rng, n)
        direction, kind = purpose.split()
        here = {"home": HOME, "work": WORK, "shop": VISIT}[kind]
        near = self._ends[here].draw(rng, n)
        gate = self._exits if direction == "leave" else self._entries
        others = [u for u in (HOME, WORK, VISIT) if u != here and self._ends[u]] or [here]
        stays = rng.random(n) < self._stay
        inside = self._ends[others[int(rng.integers(len(others)))]].draw(rng, n)
        outside = gate.draw(rng, n) if gate else inside
        far = [i if stay else o for stay, i, o in zip(stays, inside, outside, strict=True)]
        return (near, far) if direction == "leave" else (far, near)


def _nearest(edges: Sequence[Edge], places: Places, use: int) -> _Ends:
    """The floor area of one use, summed on the edge that lies nearest to each place."""
    shapely = require("shapely", "sandbox")
    wanted = places.floor[:, use] > 0
    if not edges or not wanted.any():
        return _Ends((), np.empty(0))
    tree = shapely.STRtree([shapely.LineString(e.shape) for e in edges])
    nearest = tree.nearest(shapely.points(places.xy[wanted]))
    weight = np.bincount(nearest, places.floor[wanted, use], minlength=len(edges))
    used = np.flatnonzero(weight).tolist()
    return _Ends(tuple(edges[i].id for i in used), weight[used] / weight.sum())


def _fringe(streets: Streets, core: set[str], leaving: bool) -> tuple[_Ends, float]:
    """Edges that the edge of the map cuts, and the flow [veh/h] that they carry at the peak."""
    preceding: dict[str, list[str]] = {}
    for start, ends in streets.following.items():
        for end in ends:
            preceding.setdefault(end, []).append(start)
    reach = core | (_reachable(core, streets.following) if leaving else _reachable(core, preceding))
    neighbours = streets.following if leaving else preceding
    points = np.array([e.shape[0] for e in streets.edges.values()])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * (high - low)
    found: dict[str, float] = {}
    for edge in streets.edges.values():
        flow = _LANE_FLOW.get(edge.kind.removesuffix("_link"), 0)
        tip = edge.shape[-1] if leaving else edge.shape[0]
        cut = bool(((tip < low + margin) | (tip > high - margin)).any())
        onward = [n for n in neighbours.get(edge.id, ()) if not _back(edge, streets.edges[n])]
        if flow and not onward and edge.id in reach and edge.length >= _SHORTEST and (cut or flow >= 220):
            found[edge.id] = flow * edge.lanes
    total = sum(found.values())
    return _Ends(tuple(found), np.array(list(found.values())) / total if total else np.empty(0)), float(total)


def _back(edge: Edge, other: Edge) -> bool:
    return edge.start == other.end and edge.end == other.start


def _reachable(starts: Iterable[str], following: Mapping[str, Sequence[str]]) -> set[str]:
    seen = set(starts)
    todo = list(seen)
    while todo:
        for end in following.get(todo.pop(), ()):
            if end not in seen:
                seen.add(end)
                todo.append(end)
    return seen


def _largest_component(streets: Streets) -> set[str]:
    """Edges that can all reach each other: forwards and backwards from one edge, for the largest such set."""
    preceding: dict[str, list[str]] = {}
    for start, ends in streets.following.items():
        for end in ends:
            preceding.setdefault(end, []).append(start)
    left = dict.fromkeys(streets.edges)
    best: set[str] = set()
    while len(left) > len(best):
        seed = next(iter(left))
        found = _reachable([seed], streets.following) & _reachable([seed], preceding)
        best = max(best, found, key=len)
        for edge in found:
            left.pop(edge, None)
    return best
