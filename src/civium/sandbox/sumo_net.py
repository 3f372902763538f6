"""Reads what devices need to know from a SUMO net: lanes, connections, right of way and signal programs.

Written for any net that ``sumo`` loads: guessed or hand-made programs, joined junctions, crossings, nets without
internal lanes, plain or gzipped files.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: ``edge`` it belongs to, ``length`` [m], ``speed`` limit [m/s], street ``name``; ``motor``: not for
    walkers only; ``start`` and ``end`` are points of the net [m]."""

    id: str
    edge: str
    index: int
    length: float
    speed: float
    name: str
    function: str
    motor: bool
    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Connection:
    """A way from lane to lane, through ``via`` (internal lane, "" if none); signal ``tl`` shows it at ``indices``."""

    from_lane: str
    to_lane: str
    via: str
    turn: str
    tl: str
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the net: its requests in order, who conflicts (``foes``) and who yields (``response``) as bit sets."""

    id: str
    x: float
    y: float
    incoming: tuple[str, ...]
    internal: tuple[str, ...]
    response: tuple[int, ...]
    foes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProgramPhase:
    """One step of a signal program; durations [s]."""

    state: str
    duration: float
    min_duration: float | None
    following: int | None


@dataclass(frozen=True, slots=True)
class Program:
    """A signal program: ``kind`` static, actuated, delay_based, NEMA ...; ``offset`` [s]."""

    signal: str
    id: str
    kind: str
    offset: float
    phases: tuple[ProgramPhase, ...]


@dataclass(slots=True)
class StreetNet:
    """What was read from one net."""

    lanes: dict[str, Lane] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    programs: dict[str, list[Program]] = field(default_factory=dict)
    net_offset: tuple[float, float] = (0.0, 0.0)
    projection: str = "!"

    def place(self) -> "Place":
        """Where points of the net are on Earth."""
        return Place(self.net_offset, self.projection)


class Place:
    """Net coordinates [m] to longitude and latitude [deg]; (None, None) for a net without projection."""

    def __init__(self, offset: tuple[float, float], projection: str) -> None:
        self._offset = offset
        self._projection = None
        if projection not in ("!", "-", ""):
            from pyproj import Proj

            self._projection = Proj(projection)

    def __call__(self, x: float, y: float) -> tuple[float | None, float | None]:
        if self._projection is None:
            return None, None
        lon, lat = self._projection(x - self._offset[0], y - self._offset[1], inverse=True)
        return float(lon), float(lat)


@contextmanager
def open_xml(path: Path) -> Iterator[IO[bytes]]:
    """Opens plain or gzipped XML to be read within; ``ValueError`` names a file that is none."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
    except (ET.ParseError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path.name} is no readable XML: {error}") from error


def read_programs(path: Path) -> list[Program]:
    """Signal programs of a net or an additional file, in file order."""
    with open_xml(path) as stream:
        return [_program(e) for e in _elements(stream) if e.tag == "tlLogic"]


def read_net(path: Path) -> StreetNet:
    """Reads a SUMO net. A file that is no net raises ``ValueError`` with the reason."""
    net = StreetNet()
    try:
        with open_xml(path) as stream:
            for element in _elements(stream):
                _take(net, element)
    except (ET.ParseError, KeyError, OSError) as error:
        raise ValueError(f"{path.name} is not a readable SUMO net: {error!r}") from error
    if not net.lanes:
        raise ValueError(f"{path.name} is not a SUMO net: it has no lanes")
    return net


def _elements(stream: IO[bytes]) -> Iterable[ET.Element]:
    """Top-level elements one by one, freed after use, so that a whole country's net fits in memory."""
    depth = 0
    root: ET.Element | None = None
    for event, element in ET.iterparse(stream, events=("start", "end")):  # noqa: S314 (the operator's own net)
        if event == "start":
            root = element if root is None else root
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            yield element
            if root is not None:
                root.clear()


def _take(net: StreetNet, element: ET.Element) -> None:
    if element.tag == "edge":
        for lane in element.iterfind("lane"):
            allow = set(lane.get("allow", "").split())
            shape = lane.get("shape", "0,0").split()
            net.lanes[lane.attrib["id"]] = Lane(
                id=lane.attrib["id"],
                edge=element.attrib["id"],
                index=int(lane.get("index", "0")),
                length=float(lane.get("length", "0")),
                speed=float(lane.get("speed", "13.89")),
                name=element.get("name", ""),
                function=element.get("function", ""),
                motor=not (allow and allow <= {"pedestrian"}) and "all" not in lane.get("disallow", "").split(),
                start=_point(shape[0]),
                end=_point(shape[-1]),
            )
    elif element.tag == "connection":
        a = element.attrib
        indices = tuple(int(a[k]) for k in ("linkIndex", "linkIndex2") if k in a and int(a[k]) >= 0)
        net.connections.append(
            Connection(
                from_lane=f"{a['from']}_{a.get('fromLane', '0')}",
                to_lane=f"{a['to']}_{a.get('toLane', '0')}",
                via=a.get("via", ""),
                turn=a.get("dir", ""),
                tl=a.get("tl", ""),
                indices=indices,
            )
        )
    elif element.tag == "junction" and element.get("type") != "internal":
        requests = sorted(element.iterfind("request"), key=lambda r: int(r.attrib["index"]))
        net.nodes[element.attrib["id"]] = Node(
            id=element.attrib["id"],
            x=float(element.get("x", "0")),
            y=float(element.get("y", "0")),
            incoming=tuple(element.get("incLanes", "").split()),
            internal=tuple(element.get("intLanes", "").split()),
            response=tuple(int(r.get("response", "0") or "0", 2) for r in requests),
            foes=tuple(int(r.get("foes", "0") or "0", 2) for r in requests),
        )
    elif element.tag == "tlLogic":
        program = _program(element)
        net.programs.setdefault(program.signal, []).append(program)
    elif element.tag == "location":
        x, y = element.get("netOffset", "0,0").split(",")
        net.net_offset = (float(x), float(y))
        net.projection = element.get("projParameter", "!")


def _point(text: str) -> tuple[float, float]:
    x, y = text.split(",")[:2]
    return float(x), float(y)


def _program(element: ET.Element) -> Program:
    phases = []
    for phase in element.iterfind("phase"):
        least = phase.get("minDur")
        duration = phase.get("duration") or least or phase.get("maxDur") or "5"
        following = (phase.get("next") or "").split()
        phases.append(
            ProgramPhase(
                state=phase.get("state", ""),
                duration=float(duration),
                min_duration=float(least) if least else None,
                following=int(following[0]) if following else None,
            )
        )
    return Program(
        signal=element.attrib["id"],
        id=element.get("programID", "0"),
        kind=element.get("type", "static"),
        offset=float(element.get("offset", "0") or 0) if element.get("offset") != "begin" else 0.0,
        phases=tuple(phases),
    )
