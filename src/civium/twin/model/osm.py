"""Reads an OpenStreetMap extract into plain records: tagged nodes, ways with coordinates, areas, turn restrictions."""

import bz2
import gzip
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import osmium

from civium.core import InputRefused
from civium.twin.model.access import CLASSES
from civium.twin.model.refusal import reason
from civium.twin.model.tags import Tags
from civium.twin.model.tidy import tidy

HOW = "give the path of an OpenStreetMap extract (.osm, .osm.gz or .osm.pbf)"

AREA_KEYS: tuple[str, ...] = (
    *("building", "building:part", "landuse", "leisure", "natural", "amenity", "waterway"),
    *("public_transport", "railway", "highway", "tourism"),
)
LINE_VALUES = {
    "highway": frozenset(CLASSES),
    "waterway": frozenset({"river", "stream", "canal", "drain", "ditch"}),
    "natural": frozenset({"coastline", "tree_row"}),
    "public_transport": frozenset({"platform"}),
    "railway": frozenset({"platform"}),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A tagged node; longitude and latitude in [deg], WGS 84."""

    id: int
    lon: float
    lat: float
    tags: Tags


@dataclass(frozen=True, slots=True)
class Way:
    """A line way: node ids and their places [deg], None where the extract was cut off."""

    id: int
    tags: Tags
    nodes: list[int]
    places: list[tuple[float, float] | None]

    def runs(self) -> list[list[tuple[int, tuple[float, float]]]]:
        """The stretches of two and more nodes that are in the extract, without immediate repeats."""
        runs: list[list[tuple[int, tuple[float, float]]]] = [[]]
        for node, place in zip(self.nodes, self.places, strict=True):
            if place is None:
                runs.append([])
            elif not runs[-1] or runs[-1][-1][0] != node:
                runs[-1].append((node, place))
        return [run for run in runs if len(run) > 1]

    def lines(self) -> list[list[tuple[float, float]]]:
        """The places of ``runs`` alone [deg]."""
        return [[place for _, place in run] for run in self.runs()]


@dataclass(frozen=True, slots=True)
class Area:
    """A closed way or a multipolygon relation; ``shape`` is hexadecimal WKB in [deg]."""

    id: str  # "way/123" or "relation/45"
    tags: Tags
    shape: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A turn restriction: members are (type n/w/r, id, role)."""

    id: int
    tags: Tags
    members: list[tuple[str, int, str]]


@dataclass(slots=True)
class Extract:
    """All of an extract that the city model is made from. ``box`` is west, south, east, north [deg], if it says so."""

    box: tuple[float, float, float, float] | None = None
    nodes: list[Node] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    restrictions: list[Relation] = field(default_factory=list)
    open_areas: int = 0  # that reach beyond the extract or are drawn wrongly, so that nobody knows their shape


def file_format(path: Path) -> str:
    """The format that osmium should read, found from the first bytes (a file's name is no proof of its content).

    Raises InputRefused for a missing, empty, unreadable or foreign file.
    """
    if path.is_dir():
        raise InputRefused(f"'{path}' is a folder; {HOW}")
    if not path.exists():
        raise InputRefused(f"'{path}' does not exist; {HOW}", status=404)
    try:
        with path.open("rb") as file:
            head = file.read(64)
            packing = "gz" if head.startswith(b"\x1f\x8b") else "bz2" if head.startswith(b"BZh") else ""
        if packing:
            with gzip.open(path, "rb") if packing == "gz" else bz2.open(path, "rb") as unpacked:
                head = unpacked.read(64)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise InputRefused(f"'{path.name}' cannot be read ({reason(error)}); fetch it again or {HOW}") from error
    if not head.strip():
        raise InputRefused(f"'{path.name}' is empty; fetch it again or {HOW}")
    if not packing and b"OSMHeader" in head:
        return "pbf"
    if not packing and head.startswith(b"\xff\xe0\x04o5m2"):
        return "o5m"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"<?xml", b"<osm")):
        return f"osm.{packing}" if packing else "osm"
    raise InputRefused(f"'{path.name}' is not an OpenStreetMap file; {HOW}")


def _tags(source: Any) -> dict[str, str]:
    return {tag.k: tag.v for tag in source.tags}


def _is_restriction(tags: Any) -> bool:
    kind: str = tags.get("type", "")
    return kind == "restriction" or kind.startswith("restriction:")


def _is_area(tags: Any) -> bool:
    """Whether a closed way or multipolygon with these tags is a face; a roundabout is a line that closes."""
    if tags.get("highway") in CLASSES and tags.get("area") != "yes" and tags.get("type") != "multipolygon":
        return any(key in tags for key in AREA_KEYS if key != "highway")
    return any(key in tags for key in AREA_KEYS)


def _is_line(tags: Any) -> bool:
    return any(tags.get(key) in LINE_VALUES[key] for key in LINE_VALUES)


def _place(ref: Any) -> tuple[float, float] | None:
    location = ref.location
    return (location.lon, location.lat) if location.valid() else None


def _box(source: Any) -> tuple[float, float, float, float] | None:
    with osmium.io.Reader(source, osmium.osm.NOTHING) as reader:
        box = reader.header().box()
    low, high = box.bottom_left, box.top_right
    return (low.lon, low.lat, high.lon, high.lat) if box.valid() else None


_OUT_OF_ORDER = ("out of order", "twice in input")  # how osmium complains


class _Untidy(Exception):
    """The file is not in the order, or not numbered in the way, that pyosmium needs."""


def _collect(source: Any, every: Callable[[int], None]) -> Extract:
    """Two readings of the file: node places first (some files have ways before nodes), then everything."""
    index: Any = osmium.index.create_map("flex_mem")  # Any: the stubs of with_locations forget that it takes one
    with osmium.io.Reader(source, osmium.osm.NODE) as reader:
        osmium.apply(reader, osmium.NodeLocationsForWays(index))
    wkb = osmium.geom.WKBFactory()
    extract, closed = Extract(_box(source)), set[str]()
    last: tuple[type, int] | None = None
    processor = (
        osmium.FileProcessor(source)
        .with_locations(index)
        .with_areas(osmium.filter.KeyFilter(*AREA_KEYS))
        .with_filter(osmium.filter.EmptyTagFilter())
    )
    for seen, thing in enumerate(processor):
        if seen % 20_000 == 0:
            every(seen)
        if isinstance(thing, osmium.osm.Changeset) or not thing.visible:
            continue
        if thing.id < 0 or (type(thing), thing.id) == last:
            raise _Untidy
        last = (type(thing), thing.id)
        if isinstance(thing, osmium.osm.Area):
            if _is_area(thing.tags):
                kind = "way" if thing.from_way() else "relation"
                with suppress(RuntimeError, ValueError):  # a ring that cannot be closed
                    extract.areas.append(
                        Area(f"{kind}/{thing.orig_id()}", _tags(thing), wkb.create_multipolygon(thing))
                    )
        elif isinstance(thing, osmium.osm.Node):
            if thing.location.valid():
                extract.nodes.append(Node(thing.id, thing.location.lon, thing.location.lat, _tags(thing)))
        elif isinstance(thing, osmium.osm.Way):
            if _is_line(thing.tags):
                refs = list(thing.nodes)
                extract.ways.append(Way(thing.id, _tags(thing), [r.ref for r in refs], [_place(r) for r in refs]))
            if _is_area(thing.tags) and thing.is_closed():
                closed.add(f"way/{thing.id}")
        elif _is_restriction(thing.tags):
            members = [(member.type, member.ref, member.role) for member in thing.members]
            extract.restrictions.append(Relation(thing.id, _tags(thing), members))
        elif _is_area(thing.tags) and thing.tags.get("type") == "multipolygon":
            closed.add(f"relation/{thing.id}")
    extract.open_areas = len(closed.difference(area.id for area in extract.areas))
    return extract


def read_osm(path: Path, every: Callable[[int], None] = lambda _: None) -> Extract:
    """Read an extract (.osm, .osm.gz, .osm.bz2, .osm.pbf, .o5m), sorted by id; ``every`` hears the objects so far.

    Raises InputRefused, in one sentence, for a file that is missing, empty, cut off, damaged or not OpenStreetMap.
    """
    source = osmium.io.File(str(path), file_format(path))
    try:
        try:
            extract = _collect(source, every)
        except (_Untidy, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not any(words in str(error) for words in _OUT_OF_ORDER):
                raise
            with tempfile.TemporaryDirectory() as folder:
                tidied = _collect(osmium.io.File(str(tidy(source, Path(folder))), "pbf"), every)
            extract = replace(tidied, box=_box(source))
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise InputRefused(f"'{path.name}' is damaged or cut off ({reason(error)}); fetch it again or {HOW}") from error
    for things in (extract.nodes, extract.ways, extract.areas, extract.restrictions):
        things.sort(key=lambda thing: thing.id)
    return extract
