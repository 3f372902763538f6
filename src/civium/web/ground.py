"""The ground of the map: the city model drawn as one SVG of bounded size, in the base install, cached by its file.

Coordinates of the drawing are those of ``Frame``: the page puts live dots over it in the same ones.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from civium.core import InputRefused
from civium.twin.model.layers import SUMMARY, layer_names, read_layer, read_summary

SIDE = 1000.0  # the longer side of a drawing
MOST_BYTES = 1_200_000
_FINEST = 0.2  # grid to which points are rounded [units of the drawing]; doubled until the drawing is small enough
_GREEN = {"green", "farm", "sport", "wetland"}
_HEIGHTS = (8.0, 16.0, 24.0)  # shades of buildings [m]
_STREETS = {  # class -> (style, width on the ground [m])
    "motorway": ("main", 13.0), "trunk": ("main", 12.0), "primary": ("main", 11.0), "secondary": ("main", 9.0),
    "tertiary": ("street", 8.0), "unclassified": ("street", 6.5), "residential": ("street", 6.5),
    "living_street": ("street", 5.5), "pedestrian": ("path", 5.0), "service": ("street", 3.5),
    "footway": ("path", 1.5), "cycleway": ("path", 2.0), "path": ("path", 1.5), "steps": ("path", 2.0),
}  # fmt: skip
_STYLE = """
.land{fill:#f3efe6}.green{fill:#d9e6c9}.water{fill:#bcd6e4}.river{stroke:#bcd6e4;fill:none}
.b0{fill:#e3dacb}.b1{fill:#d5c9b6}.b2{fill:#c3b49e}.b3{fill:#a99a84}
.main,.street,.path{fill:none;stroke-linecap:round;stroke-linejoin:round}
.main{stroke:#fbe6b8}.street{stroke:#fff}.path{stroke:#fff;stroke-opacity:.75}
@media (prefers-color-scheme:dark){
.land{fill:#1b1e22}.green{fill:#202c22}.water{fill:#16303f}.river{stroke:#16303f}
.b0{fill:#272a2f}.b1{fill:#2d3036}.b2{fill:#35393f}.b3{fill:#40444b}
.main{stroke:#5b5340}.street{stroke:#3b3f46}.path{stroke:#30343a}}
"""
_POINT, _LINE, _POLYGON = 1, 2, 3
_FROM_BELOW = ("green", "water", "river", "path", "street", "main", "b0", "b1", "b2", "b3")
Line = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a place lies on the drawing: an equirectangular projection true at the middle latitude.

    ``bounds`` west, south, east, north [deg].
    """

    bounds: tuple[float, float, float, float]

    @property
    def _shrink(self) -> float:
        return max(math.cos(math.radians((self.bounds[1] + self.bounds[3]) / 2)), 0.01)

    @property
    def _scale(self) -> float:
        """Units of the drawing per degree of latitude."""
        west, south, east, north = self.bounds
        return SIDE / max((east - west) * self._shrink, north - south)

    @property
    def metre(self) -> float:
        """Units of the drawing per metre."""
        return self._scale / 111_132.0

    @property
    def width(self) -> float:
        return (self.bounds[2] - self.bounds[0]) * self._shrink * self._scale

    @property
    def height(self) -> float:
        return (self.bounds[3] - self.bounds[1]) * self._scale

    def place(self, lon: float, lat: float) -> tuple[float, float]:
        """Position on the drawing, from its upper left."""
        return (lon - self.bounds[0]) * self._shrink * self._scale, (self.bounds[3] - lat) * self._scale


@dataclass(frozen=True, slots=True)
class Ground:
    """A drawing, its frame, and whose data it shows (in words: our pages name no foreign address)."""

    svg: bytes
    frame: Frame
    attribution: tuple[str, ...]
    version: str  # changes when the city model does


def ground_of(twin: Path) -> Ground | None:
    """The drawing of the city model in a folder; None where there is no model that can be read."""
    try:
        return _draw(twin, (twin / SUMMARY).stat().st_mtime_ns)
    except (OSError, InputRefused):
        return None


def frame_around(points: Sequence[tuple[float, float]]) -> Frame | None:
    """A frame with a margin around points (longitude, latitude) [deg]; None where there are none."""
    if not points:
        return None
    lons, lats = zip(*points, strict=True)
    margin = max(max(lons) - min(lons), max(lats) - min(lats), 0.002) * 0.06
    return Frame((min(lons) - margin, min(lats) - margin, max(lons) + margin, max(lats) + margin))


@lru_cache(maxsize=2)
def _draw(twin: Path, changed: int) -> Ground:
    summary = read_summary(twin)
    frame = Frame(summary.bounds)
    shapes = list(_shapes(twin, frame))
    grid = _FINEST
    while len(svg := _svg(frame, shapes, grid)) > MOST_BYTES:
        grid *= 2
    attribution = tuple(" ".join(w for w in line.split() if "://" not in w).rstrip(",") for line in summary.attribution)
    return Ground(svg, frame, attribution, f"{changed:x}")


@dataclass(frozen=True, slots=True)
class _Shape:
    style: str
    width: float  # of a line [units]; 0 for an area
    lines: list[Line]


def _shapes(twin: Path, frame: Frame) -> Iterator[_Shape]:
    held = layer_names(twin)
    for name, columns in _DRAWN.items():
        if name in held:
            table = read_layer(twin, name)
            rows = table.select(columns).to_pylist()
            for row, geometry in zip(rows, table.column("geometry").to_pylist(), strict=True):
                area, line, width = _style(name, row)
                if area or line:
                    yield from _placed(area, line, max(0.5, width * frame.metre), geometry, frame)


_DRAWN = {"landuse": ["group"], "water": ["kind"], "streets": ["class", "tunnel"], "buildings": ["height"]}


def _style(name: str, row: dict[str, Any]) -> tuple[str, str, float]:
    """Style of a row's areas, style of its lines and their width on the ground [m]; "" where they are not drawn."""
    if name == "landuse":
        return "green" if row["group"] in _GREEN else "", "", 0.0
    if name == "water":
        return "water", "river", 14.0 if row["kind"] == "river" else 4.0
    if name == "buildings":
        return f"b{sum(row['height'] >= step for step in _HEIGHTS)}", "", 0.0
    style, width = _STREETS.get(row["class"].removesuffix("_link"), ("", 0.0))
    return "", "" if row["tunnel"] else style, width


def _placed(area: str, line: str, width: float, geometry: bytes, frame: Frame) -> Iterator[_Shape]:
    """The parts of a geometry on the drawing."""
    for kind, rings in _part(geometry, 0)[0]:
        style = area if kind == _POLYGON else line
        if style:
            lines = [[frame.place(lon, lat) for lon, lat in ring] for ring in rings]
            yield _Shape(style, 0.0 if kind == _POLYGON else width, lines)


def _part(wkb: bytes, at: int) -> tuple[list[tuple[int, list[Line]]], int]:
    """Kind and rings of the parts of a well-known-binary geometry (OGC 06-103r4, 8.2), and where it ends."""
    order = "<" if wkb[at] else ">"
    (kind,) = struct.unpack_from(f"{order}I", wkb, at + 1)
    at += 5
    if kind == _POINT:
        return [], at + 16
    (count,) = struct.unpack_from(f"{order}I", wkb, at)
    if kind == _LINE:
        line, at = _points(wkb, at, order)
        return [(kind, [line])], at
    at += 4
    if kind == _POLYGON:
        rings = []
        for _ in range(count):
            ring, at = _points(wkb, at, order)
            rings.append(ring)
        return [(kind, rings)], at
    parts: list[tuple[int, list[Line]]] = []
    for _ in range(count):
        more, at = _part(wkb, at)
        parts += more
    return parts, at


def _points(wkb: bytes, at: int, order: str) -> tuple[Line, int]:
    (count,) = struct.unpack_from(f"{order}I", wkb, at)
    numbers = struct.unpack_from(f"{order}{2 * count}d", wkb, at + 4)
    return list(zip(numbers[::2], numbers[1::2], strict=True)), at + 4 + 16 * count


def _svg(frame: Frame, shapes: list[_Shape], grid: float) -> bytes:
    """One path a style and width; what is drawn twice, such as the two directions of a street, is there once."""
    paths: dict[tuple[str, float], set[str]] = defaultdict(set)
    for shape in shapes:
        text = "".join(_path(line, grid, closed=shape.width == 0.0) for line in shape.lines)
        if text:
            paths[(shape.style, round(shape.width, 2))].add(text)
    body = "".join(
        f'<path class="{style}" stroke-width="{width}" d="{"".join(sorted(paths[(style, width)]))}"/>'
        for style, width in sorted(paths, key=lambda key: (_FROM_BELOW.index(key[0]), key[1]))
    )
    box = f"{frame.width:.1f} {frame.height:.1f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {box}"><style>{_STYLE}</style>'
        f'<rect class="land" width="100%" height="100%"/><g fill-rule="evenodd">{body}</g></svg>'
    ).encode()


def _path(line: Line, grid: float, *, closed: bool) -> str:
    """Path data of a line, its points on a grid and without repeats; empty where nothing is left of it.

    A line runs from its lesser end, so that the two directions of a street give the same text.
    """
    points = [(round(x / grid), round(y / grid)) for x, y in line]
    kept = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
    if len(kept) < (4 if closed else 2):
        return ""
    if not closed and kept[-1] < kept[0]:
        kept.reverse()
    places = [f"{x * grid:.1f} {y * grid:.1f}" for x, y in kept]
    return f"M{places[0]}L{' '.join(places[1:])}{'Z' if closed else ''}"
