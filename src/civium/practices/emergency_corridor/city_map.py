"""The streets as arrays, in a plane of metres: what the facts of things of kind ``street`` say, parsed once."""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = tuple[tuple[int, str], ...]

METRES_PER_DEGREE = 111_195.0  # of latitude, on a sphere of 6,371 km
SLOWEST_M_S = 0.5
CORNER_S = 3.0  # that a right angle costs
TURN_BACK_S = 15.0
BACK = math.radians(150.0)


@dataclass(frozen=True, eq=False, slots=True)
class Streets:
    """E directed streets between junctions, and G straight segments of their lines. Lengths in [m], speeds in [m/s]."""

    thing: Ints  # E: thing id
    key: tuple[str, ...]  # E
    number: Mapping[str, int]  # by key
    length: Floats  # E
    speed: Floats  # E: the limit
    following: tuple[tuple[int, ...], ...]  # E: where one may drive on
    turning: tuple[tuple[float, ...], ...]  # E: time [s] that it costs to turn there
    segment: Floats  # G, 4: x and y of its beginning and its end
    segment_street: Ints  # G
    segment_along: Floats  # G, 2: from the beginning of its street, at both ends
    first_segment: Ints  # E + 1
    origin: tuple[float, float]  # longitude and latitude [deg] of the plane's zero
    mark: int  # changes when the streets do

    def plane(self, lonlat: Floats) -> Floats:
        """Points (n, 2) [m] of WGS 84 longitudes and latitudes (n, 2) [deg]; good over a city's extent."""
        east = METRES_PER_DEGREE * math.cos(math.radians(self.origin[1]))
        points: Floats = (lonlat - np.array(self.origin)) * np.array([east, METRES_PER_DEGREE])
        return points


def things_of(things: pa.Table, kind: str) -> Rows:
    """Thing id and facts (JSON) of the things of a kind."""
    rows = zip(
        things.column("thing").to_pylist(),
        things.column("kind").to_pylist(),
        things.column("facts").to_pylist(),
        strict=True,
    )
    return tuple((thing, facts or "{}") for thing, is_a, facts in rows if is_a == kind)


@lru_cache(maxsize=4)
def streets_of(rows: Rows) -> Streets:
    """Streets of the rows of ``things_of``; one whose facts cannot be used is left out."""
    found = [(thing, facts) for thing, facts in ((t, _usable(text)) for t, text in rows) if facts is not None]
    number = {facts["street"]: i for i, (_, facts) in enumerate(found)}
    points = [np.array(facts["shape"], dtype=np.float64) for _, facts in found]
    middle = np.concatenate(points).mean(axis=0) if points else np.zeros(2)
    origin = (float(middle[0]), float(middle[1]))
    empty = Streets(
        thing=np.array([thing for thing, _ in found], dtype=np.int64),
        key=tuple(facts["street"] for _, facts in found),
        number=number,
        length=np.array([facts["length_m"] for _, facts in found], dtype=np.float64),
        speed=np.array([facts["speed_m_s"] for _, facts in found], dtype=np.float64),
        following=tuple(tuple(number[to] for to in facts["to"] if to in number) for _, facts in found),
        turning=(),
        segment=np.zeros((0, 4)),
        segment_street=np.zeros(0, dtype=np.int64),
        segment_along=np.zeros((0, 2)),
        first_segment=np.zeros(len(found) + 1, dtype=np.int64),
        origin=origin,
        mark=zlib.crc32(json.dumps(rows).encode()),
    )
    return _with_lines(empty, points)


def _usable(text: str) -> dict[str, Any] | None:
    """Facts of a street, or None where one is missing or impossible."""
    try:
        facts = json.loads(text)
        shape = np.array(facts["shape"], dtype=np.float64)
        numbers = [float(facts["length_m"]), float(facts["speed_m_s"])]
        good = isinstance(facts["street"], str) and isinstance(facts["to"], list)
        good &= all(isinstance(to, str) for to in facts["to"])
        good &= shape.ndim == 2 and shape.shape[0] >= 2 and shape.shape[1] == 2 and bool(np.isfinite(shape).all())
        good &= all(math.isfinite(n) and n > 0 for n in numbers)
    except (ValueError, TypeError, KeyError):
        return None
    return facts if good else None


def _with_lines(streets: Streets, points: list[Floats]) -> Streets:
    """The same streets with the segments of their lines, stretched to the length that is told."""
    segment, street, along, first = [], [], [], [0]
    for i, lonlat in enumerate(points):
        xy = streets.plane(lonlat)
        length = np.hypot(*np.diff(xy, axis=0).T)
        ends = np.append(0.0, np.cumsum(length))
        ends *= streets.length[i] / max(float(ends[-1]), 1e-6)
        segment.append(np.hstack((xy[:-1], xy[1:])))
        along.append(np.column_stack((ends[:-1], ends[1:])))
        street += [i] * len(length)
        first.append(len(street))
    if not street:
        return streets
    first_way = [s[0, 2:] - s[0, :2] for s in segment]
    last_way = [s[-1, 2:] - s[-1, :2] for s in segment]
    return Streets(
        thing=streets.thing,
        key=streets.key,
        number=streets.number,
        length=streets.length,
        speed=np.maximum(streets.speed, SLOWEST_M_S),
        following=streets.following,
        turning=tuple(
            tuple(_turning(last_way[i], first_way[to]) for to in onward) for i, onward in enumerate(streets.following)
        ),
        segment=np.concatenate(segment),
        segment_street=np.array(street, dtype=np.int64),
        segment_along=np.concatenate(along),
        first_segment=np.array(first, dtype=np.int64),
        origin=streets.origin,
        mark=streets.mark,
    )


def _turning(end: Floats, start: Floats) -> float:
    """Time [s] that a turn costs: nothing straight on, more than a corner to turn back."""
    angle = abs(math.atan2(end[0] * start[1] - end[1] * start[0], float(end @ start)))
    return TURN_BACK_S if angle > BACK else CORNER_S * angle / (math.pi / 2)


def project(segment: Floats, along: Floats, xy: Floats) -> tuple[Floats, Floats]:
    """Distance [m] of a point from each of some segments (n, 4), and where its foot lies between their ``along`` (n, 2)
    [m]."""
    start, way = segment[:, :2], segment[:, 2:] - segment[:, :2]
    square = np.maximum((way * way).sum(axis=1), 1e-9)
    share = np.clip(((xy - start) * way).sum(axis=1) / square, 0.0, 1.0)
    distance = np.hypot(*(start + way * share[:, None] - xy).T)
    return distance, along[:, 0] + share * (along[:, 1] - along[:, 0])


@dataclass(frozen=True, slots=True)
class Place:
    """A point on a street: ``along`` [m] from its beginning, ``distance`` [m] of the point that was looked for."""

    street: int
    along: float
    distance: float


def places_near(streets: Streets, xy: Floats, within: float, heading: Floats | None = None) -> list[Place]:
    """The streets within some metres of a point, nearest first; with a ``heading`` (2), only those that lead there."""
    if not len(streets.segment):
        return []
    distance, along = project(streets.segment, streets.segment_along, xy)
    near = np.flatnonzero(distance <= within)
    if heading is not None:
        way = streets.segment[near, 2:] - streets.segment[near, :2]
        near = near[(way * heading).sum(axis=1) >= 0]
    best: dict[int, Place] = {}
    for g in near[np.lexsort((near, distance[near]))].tolist():
        street = int(streets.segment_street[g])
        best.setdefault(street, Place(street, float(along[g]), float(distance[g])))
    return list(best.values())
