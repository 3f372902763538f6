"""Buildings of a CityJSON file (1.0 to 2.0): footprint from its surfaces, height from its points."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.errors import GEOSException

from civium.core import InputRefused
from civium.twin.model.measure import WGS84, areas, local_projection, project, shapes_of
from civium.twin.model.refusal import reason
from civium.twin.model.uses import building_use

Rows = list[dict[str, Any]]
Box = tuple[float, float, float, float]
Points = NDArray[np.float64]

_HOW = "give a CityJSON file (.json, .city.json, or either packed as .gz) with buildings"
# How many lists are nested around a surface's rings (CityJSON specification, section 3.2.4).
_DEPTH = {"MultiSurface": 1, "CompositeSurface": 1, "Solid": 2, "MultiSolid": 3, "CompositeSolid": 3}
_UPRIGHT = 0.01  # a surface whose shadow is below this share of its own area is a wall
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, GEOSException)
_SMALLEST = 1.0  # footprints below this [m2] are chimneys and drawing errors


@dataclass(frozen=True, slots=True)
class CityBuildings:
    """Rows for the layer ``buildings``, and how many of the file's buildings were left out (elsewhere or shapeless)."""

    rows: Rows
    left_out: int


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputRefused(f"'{path}' does not exist; {_HOW}", status=404)
    try:
        raw = path.read_bytes()
        city = json.loads(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw)
    except (OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
        raise InputRefused(f"'{path.name}' cannot be read as JSON ({reason(error)}); {_HOW}") from error
    if not isinstance(city, dict) or city.get("type") != "CityJSON":
        raise InputRefused(f"'{path.name}' is not CityJSON; {_HOW}")
    return city


def _crs(city: dict[str, Any], name: str) -> CRS:
    said = city.get("metadata", {}).get("referenceSystem", "")
    code = re.search(r"EPSG[:/]+(?:[\d.]*[:/]+)?(\d+)$", str(said))
    try:
        return CRS.from_epsg(int(code[1])) if code else CRS.from_user_input(said)
    except CRSError as error:
        raise InputRefused(f"'{name}' names no coordinate system (metadata.referenceSystem); {_HOW}") from error


def _vertices(city: dict[str, Any]) -> Points:
    points = np.asarray(city["vertices"], dtype=np.float64).reshape(-1, 3)
    if "transform" in city:
        points = points * np.asarray(city["transform"]["scale"]) + np.asarray(city["transform"]["translate"])
    return points


def _corners(vertices: Points, ring: Any) -> Points:
    index = np.asarray(ring, dtype=np.int64)
    if index.min() < 0:  # numpy would count from the end
        raise IndexError(f"there is no vertex {index.min()}")
    return vertices[index]


def _surfaces(boundaries: Any, depth: int) -> Iterator[Any]:
    if depth == 0:
        yield boundaries
        return
    for inner in boundaries:
        yield from _surfaces(inner, depth - 1)


def _detail(geometry: dict[str, Any]) -> float:
    lod = re.match(r"\d+(\.\d+)?", str(geometry.get("lod", "0")))
    return float(lod[0]) if lod else 0.0


def _finest(geometries: list[dict[str, Any]]) -> dict[str, Any] | None:
    usable = [geometry for geometry in geometries if geometry.get("type") in _DEPTH]
    return max(usable, key=_detail, default=None)


def _family(key: str, objects: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A building and its parts, however deep; a cycle ends."""
    seen, ahead = set(), [key]
    while ahead:
        one = ahead.pop()
        if one not in seen and one in objects:
            seen.add(one)
            yield objects[one]
            ahead += objects[one].get("children", [])


def _shadow(rings: list[Points]) -> Any | None:
    """A surface seen from above, or None for a wall."""
    outer = rings[0]
    if len(outer) < 3:
        return None
    turned = np.roll(outer, -1, axis=0)
    normal = 0.5 * np.cross(outer, turned).sum(axis=0)  # Newell: the vector area of a flat polygon [m2]
    if abs(normal[2]) <= _UPRIGHT * float(np.linalg.norm(normal)):
        return None
    holes = [ring[:, :2] for ring in rings[1:] if len(ring) >= 3]
    return shapely.make_valid(shapely.Polygon(outer[:, :2], holes))


def _shape(family: list[dict[str, Any]], vertices: Points) -> tuple[Any, float] | None:
    """Footprint in the file's coordinates and height [m], or None where there is no surface."""
    shadows, low, high = [], np.inf, -np.inf
    for member in family:
        geometry = _finest(member.get("geometry", []))
        if geometry is None:
            continue
        for surface in _surfaces(geometry["boundaries"], _DEPTH[geometry["type"]]):
            rings = [_corners(vertices, ring) for ring in surface if ring]
            if not rings:
                continue
            low, high = min(low, float(rings[0][:, 2].min())), max(high, float(rings[0][:, 2].max()))
            if (shadow := _shadow([ring - vertices[0] for ring in rings])) is not None:
                shadows.append(shadow)
    if not shadows:
        return None
    whole = shapely.union_all(shapes_of(shadows), grid_size=0.001)
    faces = [face for face in shapely.get_parts(whole) if face.geom_type == "Polygon" and face.area > 0]
    if not faces:
        return None
    outline = shapely.transform(shapely.MultiPolygon(faces), lambda flat: flat + vertices[0, :2])
    return outline, high - low


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number <= 1000 else None


def _facts(family: list[dict[str, Any]]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for member in reversed(family):  # the building's own facts over those of its parts
        facts.update({key: value for key, value in member.get("attributes", {}).items() if value not in (None, "")})
    return facts


def _row(key: str, facts: dict[str, Any], shape: Any, tall: float) -> dict[str, Any]:
    # A flat footprint (LoD 0) has no height of its own; then only an attribute can tell.
    height = (tall if tall > 0.5 else None) or _positive(facts.get("measuredHeight"))
    storeys = _positive(facts.get("storeysAboveGround"))
    said = str(facts.get("function") or facts.get("usage") or facts.get("class") or "").lower().replace(" ", "_")
    use = building_use({"building": said})
    return {
        "id": f"cityjson/{key}",
        "name": str(facts["name"]) if "name" in facts else None,
        "address": None,
        "use": use or "unknown",
        "use_source": "cityjson" if use else "none",
        "kind": None,
        "height": height,
        "height_source": "cityjson" if height else "estimated",
        "levels": max(1, round(storeys)) if storeys and storeys <= 200 else None,
        "levels_source": "cityjson",
        "roof_shape": str(facts["roofType"]) if "roofType" in facts else None,
        "geometry": shape,
    }


def build_cityjson(path: Path, box: Box) -> CityBuildings:
    """The buildings of a CityJSON file that touch a box (west, south, east, north [deg]), each with all of its parts.

    Raises InputRefused for a file that is missing, not CityJSON, damaged, without coordinate system, without
    buildings, or of another town.
    """
    city = _read(path)
    try:
        to_world = Transformer.from_crs(_crs(city, path.name), WGS84, always_xy=True)
        vertices = _vertices(city)
        objects = city["CityObjects"]
        tops = [key for key, one in objects.items() if one["type"] == "Building" and not one.get("parents")]
        families = {key: list(_family(key, objects)) for key in sorted(tops)}
        shapes = {key: shape for key, family in families.items() if (shape := _shape(family, vertices))}
        facts = {key: _facts(families[key]) for key in shapes}
    except _DAMAGE as error:
        raise InputRefused(f"'{path.name}' is damaged ({type(error).__name__}: {reason(error)}); {_HOW}") from error
    if not shapes:
        raise InputRefused(f"'{path.name}' holds no building with a shape; {_HOW}")
    outlines = project(shapes_of([shape for shape, _ in shapes.values()]), to_world)
    near = shapely.intersects(outlines, shapely.box(*box))
    if not near.any():
        west, south, _, _ = shapely.total_bounds(outlines)
        raise InputRefused(
            f"none of the {len(shapes)} buildings of '{path.name}' lies in this town: they begin at {west:.3f} E,"
            f" {south:.3f} N, the town at {box[0]:.3f} E, {box[1]:.3f} N; give a CityJSON file of the town"
        )
    sizes = areas(outlines, local_projection(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)))
    rows = [
        _row(key, facts[key], outline, tall) | {"footprint_area": float(size)}
        for (key, (_, tall)), outline, size, inside in zip(shapes.items(), outlines, sizes, near, strict=True)
        if inside and size >= _SMALLEST
    ]
    return CityBuildings(rows, len(tops) - len(rows))
