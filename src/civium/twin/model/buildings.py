"""Buildings of an extract: footprint, use, and a height for each, with a mark that says how it was found."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from civium.twin.model.measure import Shapes, areas, shapes_of
from civium.twin.model.osm import Area
from civium.twin.model.tags import Tags, parse_height, parse_levels, round_half_up, text_of
from civium.twin.model.uses import BUILT_GROUND, building_use

Rows = list[dict[str, Any]]

LEVEL_HEIGHT = 3.0
"""Floor to floor [m]: between dwellings (2.7 to 3) and offices (3.3 to 4)."""

_NOT_A_BUILDING = {"no", "none", "entrance", "demolished", "collapsed"}
_ENOUGH_KNOWN = 5
# Floors where neither the building nor enough of its kind or use in this town tell: kinds, then uses.
_TYPICAL_LEVELS = {
    "apartments": 4.0,
    "dormitory": 4.0,
    "hotel": 4.0,
    "office": 4.0,
    "hospital": 4.0,
    "church": 4.0,
    "house": 2.0,
    "detached": 1.5,
    "bungalow": 1.0,
    "cabin": 1.0,
    "supermarket": 2.0,
    "kiosk": 1.0,
    "residential": 2.0,
    "commercial": 3.0,
    "industrial": 2.0,
    "education": 2.0,
    "health": 4.0,
    "worship": 4.0,
    "public": 3.0,
    "transport": 2.0,
}
_LOW = {"outbuilding", "utility", "farm"}  # uses of one floor
_SHED_AREA = 30.0  # a building below this footprint [m2] that says nothing is taken for a shed


def is_building(tags: Tags) -> bool:
    """Whether tags describe a standing building (a part of one is not a building by itself)."""
    return "building" in tags and tags["building"] not in _NOT_A_BUILDING


def is_part(tags: Tags) -> bool:
    """Whether tags describe a part of a building, such as its tower."""
    return tags.get("building:part", "no") != "no" and not is_building(tags)


def _levels_with_roof(tags: Tags) -> float | None:
    levels = parse_levels(tags.get("building:levels", tags.get("levels", "")))
    roof = parse_levels(tags.get("roof:levels", "")) or 0.0
    return None if levels is None else levels + roof


def known_height(tags: Tags) -> tuple[float, str] | None:
    """Height [m] and source (tag or levels) that a building's own tags tell, or None."""
    for key in ("height", "building:height"):
        if (height := parse_height(tags.get(key, ""))) is not None:
            return height, "tag"
    levels = _levels_with_roof(tags)
    return (levels * LEVEL_HEIGHT, "levels") if levels else None


def _inside(outer: Shapes, inner: Shapes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (inner, outer) where an inner shape's own middle lies within an outer shape."""
    if len(outer) == 0 or len(inner) == 0:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    found = shapely.STRtree(outer).query(shapely.point_on_surface(inner), predicate="within")
    return found[0], found[1]


def _heights_from_parts(outlines: Shapes, parts: Sequence[Area]) -> dict[int, tuple[float, str]]:
    """For each outline with parts on it: the height of the tallest part that tells one."""
    tallest: dict[int, tuple[float, str]] = {}
    inner, outer = _inside(outlines, shapes_of(shapely.from_wkb([part.shape for part in parts])))
    for part, outline in zip(inner.tolist(), outer.tolist(), strict=True):
        known = known_height(parts[part].tags)
        if known and (outline not in tallest or known[0] > tallest[outline][0]):
            tallest[outline] = known
    return tallest


def _use_from_ground(outlines: Shapes, ground: Rows) -> dict[int, str]:
    """For each building: the use of the smallest built ground that it stands on."""
    built = [row for row in ground if row["group"] in BUILT_GROUND]
    inner, outer = _inside(shapes_of([row["geometry"] for row in built]), outlines)
    smallest: dict[int, tuple[float, str]] = {}
    for building, place in zip(inner.tolist(), outer.tolist(), strict=True):
        offer = (built[place]["area"], built[place]["group"])
        smallest[building] = min(offer, smallest.get(building, offer))
    return {building: use for building, (_, use) in smallest.items()}


def _estimate_heights(rows: Rows) -> None:
    """Give a height to each building that has none: the median of its kind in this town, else of its use, else typical.

    A kind says more than a use: apartments are no cottage, though both are homes.
    """
    known: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for row in rows:
        if row["height"] is not None:
            for key in ("kind", "use"):
                known[key, row[key]].append(row["height"])
    for row in rows:
        if row["height"] is not None:
            continue
        kind, use = row["kind"], row["use"]
        row["height_source"] = "estimated"
        alike = next((h for h in (known["kind", kind], known["use", use]) if len(h) >= _ENOUGH_KNOWN), None)
        if use in _LOW or (use == "unknown" and row["footprint_area"] < _SHED_AREA):
            row["height"] = LEVEL_HEIGHT
        elif alike:
            row["height"] = float(median(alike))
        else:
            row["height"] = _TYPICAL_LEVELS.get(kind, _TYPICAL_LEVELS.get(use, 2.0)) * LEVEL_HEIGHT


def _fill_levels(rows: Rows) -> None:
    for row in rows:
        if row["levels"] is None:
            row["levels"] = max(1, round_half_up(row["height"] / LEVEL_HEIGHT))
            row["levels_source"] = "estimated" if row["height_source"] == "estimated" else "height"


def _address(tags: Tags) -> str | None:
    street, number = text_of(tags, "addr:street", "addr:place"), text_of(tags, "addr:housenumber")
    return f"{street} {number}" if street and number else None


def _row(area: Area, shape: Any, footprint: float) -> dict[str, Any]:
    tags = area.tags
    use, height = building_use(tags), known_height(tags)
    levels = parse_levels(tags.get("building:levels", tags.get("levels", "")))
    return {
        "id": area.id,
        "name": text_of(tags, "name"),
        "address": _address(tags),
        "use": use or "unknown",
        "use_source": "tag" if use else "none",
        "kind": tags["building"],
        "height": height[0] if height else None,
        "height_source": height[1] if height else "estimated",
        "levels": max(1, round_half_up(levels)) if levels is not None else None,
        "levels_source": "tag",
        "footprint_area": footprint,
        "roof_shape": text_of(tags, "roof:shape"),
        "geometry": shape,
    }


def build_buildings(found: Sequence[Area], ground: Rows, given: Rows, projection: Transformer) -> Rows:
    """Rows of the layer ``buildings`` from the areas of an extract.

    ``ground`` are the rows of the layer ``landuse``; ``given`` the rows of a CityJSON file, which take the place of
    the mapped buildings that they cover by more than half. Missing heights are estimated, and say so.
    """
    mapped = [area for area in found if is_building(area.tags)]
    shapes = shapes_of(shapely.from_wkb([area.shape for area in mapped]))
    rows = [
        _row(area, shape, float(footprint))
        for area, shape, footprint in zip(mapped, shapes, areas(shapes, projection), strict=True)
    ]
    for index, known in _heights_from_parts(shapes, [area for area in found if is_part(area.tags)]).items():
        if rows[index]["height"] is None:
            rows[index]["height"], rows[index]["height_source"] = known
    rows = _uncovered(rows, given) + [dict(row) for row in given]
    uses = _use_from_ground(shapes_of([row["geometry"] for row in rows]), ground)
    for index, use in uses.items():
        if rows[index]["use"] == "unknown":
            rows[index]["use"], rows[index]["use_source"] = use, "landuse"
    _estimate_heights(rows)
    _fill_levels(rows)
    return rows


def _uncovered(rows: Rows, given: Rows) -> Rows:
    """The mapped buildings that are not covered by more than half of their footprint by given ones."""
    if not given or not rows:
        return rows
    ours = shapes_of([row["geometry"] for row in rows])
    theirs = shapes_of([row["geometry"] for row in given])
    index, other = shapely.STRtree(theirs).query(ours, predicate="intersects")
    covered = np.zeros(len(rows))
    np.add.at(covered, index, shapely.area(shapely.intersection(ours[index], theirs[other])))
    # Shares of one small footprint: square degrees do, the scale cancels.
    kept = covered <= 0.5 * shapely.area(ours)
    return [row for row, keep in zip(rows, kept.tolist(), strict=True) if keep]
