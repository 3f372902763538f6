"""The readers of a town: where they stand, which streets lead from one to the next, and what they hear each second."""

import heapq
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from civium.core import to_datetime
from civium.sandbox.bluetooth import ANSWER_S, RANGE_M
from civium.sandbox.junction import Junction
from civium.sandbox.streets import Edge, Streets

MOST = 24
APART_M = 250.0
LONGEST_M = 3000.0
PENETRATION = 0.3  # share of the cars that carry a device that answers
_CORNERS = 40  # of a street's drawing at most


@dataclass(frozen=True, slots=True)
class Reader:
    """A roadside reader at a junction with signals; it hears who comes in over its ``edges``."""

    key: str
    name: str
    x: float
    y: float
    lon: float
    lat: float
    edges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """The quickest street from a reader to another without a third between; ``shape`` in longitude and latitude."""

    key: str
    name: str
    start: str
    end: str
    length: float
    free_speed: float
    shape: tuple[tuple[float, float], ...]

    def facts(self) -> dict[str, Any]:
        """Facts of the Thing of kind ``road_link``."""
        return {
            "from": self.start,
            "to": self.end,
            "length_m": round(self.length, 1),
            "free_speed_m_s": round(self.free_speed, 2),
            "shape": [list(point) for point in self.shape],
        }


def place_readers(streets: Streets, junctions: Sequence[Junction]) -> tuple[list[Reader], list[Link]]:
    """Readers at the largest signals, ``APART_M`` from one another at least, and the links between them."""
    readers: list[Reader] = []
    for junction in sorted(junctions, key=lambda j: (-len(j.movements), j.id)):
        edges = tuple(dict.fromkeys(junction.lanes[lane].edge for lane in junction.incoming()))
        edges = tuple(edge for edge in edges if edge in streets.edges)
        near = any(np.hypot(junction.x - r.x, junction.y - r.y) < APART_M for r in readers)
        if not edges or near or junction.lon is None or junction.lat is None or len(readers) >= MOST:
            continue
        key = f"bluetooth/{len(readers) + 1}"
        readers.append(Reader(key, junction.name, junction.x, junction.y, junction.lon, junction.lat, edges))
    at = {edge: reader for reader in readers for edge in reader.edges}
    links = [link for reader in readers for link in _links(reader, at, streets)]
    return readers, links


def _links(reader: Reader, at: Mapping[str, Reader], streets: Streets) -> list[Link]:
    """The quickest way, in free flow, to each reader that can be reached without passing a third (Dijkstra)."""
    before: dict[str, str] = {}
    best: dict[str, float] = {}
    todo: list[tuple[float, str, str]] = []
    for edge in reader.edges:
        for onward in streets.following.get(edge, ()):
            heapq.heappush(todo, (_seconds(streets.edges[onward]), onward, ""))
    found: dict[str, str] = {}
    while todo:
        cost, edge, origin = heapq.heappop(todo)
        if edge in best:
            continue
        best[edge], before[edge] = cost, origin
        other = at.get(edge)
        if other is not None:
            if other is not reader:
                found.setdefault(other.key, edge)
            continue
        for onward in streets.following.get(edge, ()):
            if onward not in best:
                heapq.heappush(todo, (cost + _seconds(streets.edges[onward]), onward, edge))
    links = []
    for _, last in sorted(found.items()):
        way = [last]
        while before[way[-1]]:
            way.append(before[way[-1]])
        edges = [streets.edges[edge] for edge in reversed(way)]
        length = sum(edge.length for edge in edges)
        if length <= LONGEST_M:
            links.append(_link(reader, at[last], edges, length, best[last], streets))
    return links


def _link(
    reader: Reader, other: Reader, edges: Sequence[Edge], length: float, seconds: float, streets: Streets
) -> Link:
    points = np.concatenate([edge.shape for edge in edges])
    kept = np.unique(np.linspace(0, len(points) - 1, min(_CORNERS, len(points))).round().astype(int))
    shape = tuple((round(float(x), 6), round(float(y), 6)) for x, y in streets.to_lonlat(points[kept]))
    longest: dict[str, float] = {}
    for edge in edges:
        longest[edge.name] = longest.get(edge.name, 0.0) + edge.length
    street = max((name for name in longest if name), key=lambda name: longest[name], default="")
    key = f"link/{reader.key.partition('/')[2]}-{other.key.partition('/')[2]}"
    name = street or f"{reader.name} - {other.name}"
    return Link(key, name, reader.key, other.key, length, length / seconds, shape)


def _seconds(edge: Edge) -> float:
    return edge.length / edge.speed


class Listening:
    """What the readers of a running town hear."""

    def __init__(self, readers: Sequence[Reader], streets: Streets, seed: int) -> None:
        self._readers = readers
        self._from = {edge: streets.edges[edge].length - RANGE_M for reader in readers for edge in reader.edges}
        self._seed = seed

    def listen(self, sim: Any, second: int, now: int) -> list[dict[str, str]]:
        """The answers of one ``second``, as the readers post them; ``now`` is its instant [us]."""
        rng = np.random.default_rng([self._seed, second, 0xB1])
        at = to_datetime(now).isoformat()
        answers = []
        for reader in self._readers:
            for edge in reader.edges:
                for vehicle in sim.edge.getLastStepVehicleIDs(edge):
                    number = zlib.crc32(f"{self._seed} {vehicle}".encode())
                    if number % 1000 >= 1000 * PENETRATION or rng.random() > 1.0 / ANSWER_S:
                        continue
                    if sim.vehicle.getLanePosition(vehicle) >= self._from[edge]:
                        answers.append({"reader": reader.key, "at": at, "address": _address(number, vehicle)})
        return answers


def _address(number: int, vehicle: str) -> str:
    text = f"{number:08x}{zlib.adler32(vehicle.encode()) & 0xFFFF:04x}"
    return ":".join(text[i : i + 2] for i in range(0, 12, 2))
