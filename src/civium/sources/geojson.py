"""Checks GeoJSON (RFC 7946): what enters the city's map must be a geometry in WGS 84 degrees, longitude first."""

from collections.abc import Iterator
from typing import Any

# how deep positions are nested, and how many a line needs
_KINDS = {
    "Point": (0, 1),
    "MultiPoint": (1, 1),
    "LineString": (1, 2),
    "MultiLineString": (2, 2),
    "Polygon": (2, 4),
    "MultiPolygon": (3, 4),
}
_DEEPEST_COLLECTION = 4


def check_geojson(value: Any) -> None:
    """Raise ``ValueError`` that says what is wrong, unless ``value`` is a geometry, or Features with one each."""
    for _ in positions(value):
        pass


def middle(value: Any) -> tuple[float, float] | None:
    """Longitude and latitude [degree] of a point, or of the middle of the bounds; None for an empty geometry."""
    points = list(positions(value))
    if not points:
        return None
    lons, lats = zip(*points, strict=True)
    return (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2


def positions(value: Any, depth: int = 0) -> Iterator[tuple[float, float]]:
    """All positions of a geometry or of Features; raises ``ValueError`` for what is none."""
    if not isinstance(value, dict):
        raise ValueError("it is not a GeoJSON object")
    kind = value.get("type")
    if kind == "Feature":
        if value.get("geometry") is None:
            raise ValueError("the Feature has no geometry")
        yield from positions(value["geometry"], depth)
    elif kind == "FeatureCollection" and depth == 0 and isinstance(value.get("features"), list):
        for feature in value["features"]:
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise ValueError("a FeatureCollection holds Features alone")
            yield from positions(feature, 1)
    elif kind == "GeometryCollection" and depth < _DEEPEST_COLLECTION and isinstance(value.get("geometries"), list):
        for geometry in value["geometries"]:
            yield from positions(geometry, depth + 1)
    elif isinstance(kind, str) and kind in _KINDS:
        nesting, least = _KINDS[kind]
        yield from _coordinates(value.get("coordinates"), nesting, least, kind)
    else:
        raise ValueError(f"'{str(kind)[:40]}' is not a GeoJSON type")


def _coordinates(value: Any, nesting: int, least: int, kind: str) -> Iterator[tuple[float, float]]:
    if not isinstance(value, list):
        raise ValueError(f"the coordinates are not those of a {kind}")
    if nesting == 0:
        if not 2 <= len(value) <= 4 or not all(type(number) in (int, float) for number in value):
            raise ValueError(f"the coordinates are not those of a {kind}")
        if not (abs(value[0]) <= 180 and abs(value[1]) <= 90):
            raise ValueError(f"{str(value[0])[:20]}, {str(value[1])[:20]} is not in WGS 84 degrees, longitude first")
        yield float(value[0]), float(value[1])
        return
    if nesting == 1 and least > 1 and len(value) < least:
        raise ValueError(f"a {kind} needs {least} positions or more")
    if nesting == 1 and least == 4 and value[0] != value[-1]:
        raise ValueError(f"a ring of a {kind} must end where it starts")
    for part in value:
        yield from _coordinates(part, nesting - 1, least, kind)
