"""Cuts the ways of an extract into the directed graph of streets: nodes, edges, lanes, speed limits, modes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np
import shapely

from civium.core import InputRefused
from civium.twin.model.access import CLASSES, WayAccess, way_access
from civium.twin.model.measure import Shapes, line_lengths
from civium.twin.model.osm import Node, Way
from civium.twin.model.tags import KMH, Tags, parse_flag, parse_lanes, parse_oneway, parse_speed, text_of

Rows = list[dict[str, Any]]

PIECES = 65_536
"""Pieces that a way may be cut into (OpenStreetMap allows 2,000 nodes in a way); keeps edge ids within 53 bits."""

# Where nobody tagged a limit, and too few streets of the class in this town were tagged either [km/h]: the common
# urban limits; the town's own median replaces them.
_ASSUMED_SPEED = {
    "motorway": 110,
    "motorway_link": 60,
    "trunk": 80,
    "trunk_link": 50,
    "living_street": 20,
    "service": 20,
    "track": 20,
    "busway": 50,
    "bus_guideway": 50,
    "residential": 40,
    "pedestrian": 10,
    "footway": 10,
    "cycleway": 20,
    "path": 10,
}
_ASSUMED_SPEED_ELSE = 50
_UNLIMITED = 130 * KMH  # what Germany advises where there is no limit [m/s]
_ASSUMED_LANES = {"motorway": 2, "trunk": 2}
_ENOUGH_TAGGED = 10
_SPEED_TAGS = ("maxspeed:type", "source:maxspeed", "zone:maxspeed", "zone:traffic")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A way between two neighbouring graph nodes, along the way's own direction."""

    way: Way
    access: WayAccess
    number: int
    nodes: tuple[int, int]
    places: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Streets:
    """The rows of the layers ``streets`` and ``street_nodes`` and what was left out."""

    edges: Rows
    nodes: Rows
    cut_ways: int


def is_vehicle_signal(tags: Tags) -> bool:
    """Whether a node is a signal for vehicles (``highway`` may be a list)."""
    return "traffic_signals" in tags.get("highway", "").split(";")


def _pieces(ways: Sequence[Way], forced: set[int]) -> list[_Piece]:
    """Cut ways where they meet, cross themselves, end, or carry a ``forced`` node (a signal)."""
    used: list[tuple[Way, WayAccess, list[list[tuple[int, tuple[float, float]]]]]] = []
    visits: Counter[int] = Counter()
    for way in ways:
        access = way_access(way.tags)
        runs = way.runs()
        if runs and (access.forward or access.backward):
            used.append((way, access, runs))
            for run in runs:
                visits.update(node for node, _ in run)
    pieces = []
    for way, access, runs in used:
        number = 0
        for run in runs:
            start = 0
            for end in range(1, len(run)):
                node = run[end][0]
                if end == len(run) - 1 or visits[node] > 1 or node in forced:
                    places = [place for _, place in run[start : end + 1]]
                    pieces.append(_Piece(way, access, number, (run[start][0], node), places))
                    number += 1
                    start = end
    return pieces


def _speed_tag(tags: Tags, direction: str) -> tuple[float | None, str]:
    """The limit that somebody tagged [m/s] and where it was found: tag or zone."""
    for key in (f"maxspeed:{direction}", "maxspeed"):
        if text := tags.get(key, ""):
            if text.strip().lower() == "none":
                return _UNLIMITED, "assumed"
            if (speed := parse_speed(text)) is not None:
                return speed, "zone" if ":" in text else "tag"
    for key in _SPEED_TAGS:
        if (speed := parse_speed(tags.get(key, ""))) is not None:
            return speed, "zone"
    return None, "none"


def _town_speeds(pieces: Sequence[_Piece]) -> dict[str, float]:
    """The median tagged limit of each class in this town [m/s], where enough ways carry one."""
    tagged: dict[str, list[float]] = defaultdict(list)
    for piece in pieces:
        if piece.number == 0:
            speed, source = _speed_tag(piece.way.tags, "forward")
            if speed is not None and source != "assumed":
                tagged[piece.way.tags["highway"]].append(speed)
    return {kind: median_low(speeds) for kind, speeds in tagged.items() if len(speeds) >= _ENOUGH_TAGGED}


def lanes_of(tags: Tags, direction: str, oneway: bool) -> tuple[int, str]:
    """Lanes for vehicles in one direction (``forward`` or ``backward``) of a way that is open that way; and its source.

    An odd total of a two-way street gives the lane more to the direction of the way's nodes.
    """
    other = "backward" if direction == "forward" else "forward"
    total = parse_lanes(tags.get("lanes", ""))
    here = parse_lanes(tags.get(f"lanes:{direction}", ""))
    if here is not None:
        return here, "tag"
    if total is not None:
        if oneway:
            return total, "tag"
        there = parse_lanes(tags.get(f"lanes:{other}", ""))
        middle = parse_lanes(tags.get("lanes:both_ways", "")) or 0
        if there is not None:
            return max(1, total - middle - there), "tag"
        both = total - middle
        return max(1, (both + 1) // 2 if direction == "forward" else both // 2), "split"
    return _ASSUMED_LANES.get(tags.get("highway", ""), 1), "assumed"


def _facts(piece: _Piece, backward: bool, town: dict[str, float]) -> dict[str, Any] | None:
    """What holds for all edges of a way in one direction, or None where nobody may go that way."""
    access, tags = piece.access, piece.way.tags
    modes = access.backward if backward else access.forward
    if not modes:
        return None
    open_way = parse_oneway(tags)
    direction = "backward" if backward else "forward"
    lanes, lanes_source, speed, speed_source = 0, "none", None, "none"
    if modes & {"car", "bus"}:
        # A bus that runs against a one-way street has one lane there, whatever the total says.
        against = open_way not in {"both", direction}
        lanes, lanes_source = (1, "assumed") if against else lanes_of(tags, direction, open_way != "both")
        speed, speed_source = _speed_tag(tags, direction)
        if speed is None:
            kind = tags["highway"]
            speed = town.get(kind, _ASSUMED_SPEED.get(kind, _ASSUMED_SPEED_ELSE) * KMH)
            speed_source = "assumed"
    return {
        "way": piece.way.id,
        "class": tags["highway"],
        "lanes": lanes,
        "lanes_source": lanes_source,
        "speed": speed,
        "speed_source": speed_source,
        "oneway": open_way != "both",
        "name": text_of(tags, "name"),
        "ref": text_of(tags, "ref"),
        "modes": " ".join(sorted(modes)),
        "access": access.restriction,
        "roundabout": tags.get("junction") in {"roundabout", "circular"},
        "bridge": parse_flag(tags.get("bridge")),
        "tunnel": parse_flag(tags.get("tunnel")) or parse_flag(tags.get("covered")),
        "surface": text_of(tags, "surface"),
        "lit": text_of(tags, "lit"),
    }


def _edges(pieces: Sequence[_Piece]) -> Rows:
    """The directed edges; the facts of a way are read once, however many pieces it has."""
    town = _town_speeds(pieces)
    edges: Rows = []
    known: dict[tuple[int, bool], dict[str, Any] | None] = {}
    for piece in pieces:
        for backward in (False, True):
            key = piece.way.id, backward
            if key not in known:
                known[key] = _facts(piece, backward, town)
            if (facts := known[key]) is None:
                continue
            start, end = piece.nodes[::-1] if backward else piece.nodes
            number = (piece.way.id * PIECES + piece.number) * 2 + backward
            places = piece.places[::-1] if backward else piece.places
            edges.append({"id": number, "from_node": start, "to_node": end, "geometry": places, **facts})
    return edges


def _lines(places: Sequence[list[tuple[float, float]]]) -> Shapes:
    """All lines at once: one by one they would take longer than all the rest."""
    owner = np.repeat(np.arange(len(places)), [len(line) for line in places])
    flat = np.array([place for line in places for place in line])
    lines: Shapes = shapely.linestrings(flat, indices=owner)
    return lines


def build_streets(ways: Sequence[Way], nodes: Sequence[Node]) -> Streets:
    """The street graph of an extract. Raises InputRefused where there is no street."""
    highways = [way for way in ways if way.tags.get("highway") in CLASSES]
    signals = {node.id for node in nodes if is_vehicle_signal(node.tags)}
    pieces = _pieces(highways, signals)
    if not pieces:
        raise InputRefused("the extract holds no street; give an extract that covers at least part of a town")
    edges = _edges(pieces)
    lines = _lines([edge["geometry"] for edge in edges])
    for edge, line, length in zip(edges, lines, line_lengths(lines).tolist(), strict=True):
        edge["geometry"], edge["length"] = line, length
    places: dict[int, tuple[float, float]] = {}
    degree: Counter[int] = Counter()
    for piece in pieces:
        degree.update(piece.nodes)
        places[piece.nodes[0]], places[piece.nodes[1]] = piece.places[0], piece.places[-1]
    points = shapely.points(np.array(list(places.values())))
    rows = [
        {"id": node, "degree": degree[node], "signal": node in signals, "geometry": point}
        for node, point in zip(places, points, strict=True)
    ]
    return Streets(edges, rows, sum(1 for way in highways if None in way.places))
