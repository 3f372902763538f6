"""Water of an extract: lakes and rivers as mapped, and the sea, which OpenStreetMap knows only by its coastline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from civium.twin.model.buildings import is_building
from civium.twin.model.measure import shapes_of
from civium.twin.model.osm import Area, Way
from civium.twin.model.tags import Tags, text_of

Rows = list[dict[str, Any]]
Box = tuple[float, float, float, float]

_LINES = {"river", "stream", "canal", "drain", "ditch"}
_STEP = 1e-6  # a tenth of a metre beside the coast [deg]
_REACH = 0.002  # how far a coastline that was cut off is led on [deg], about 200 m


def _kind(tags: Tags) -> str | None:
    if tags.get("natural") == "water":
        return text_of(tags, "water") or "water"
    if tags.get("waterway") in {"riverbank", "dock", "river"}:
        return "river" if tags["waterway"] != "dock" else "dock"
    if tags.get("landuse") in {"reservoir", "basin"}:
        return tags["landuse"]
    return "bay" if tags.get("natural") == "bay" else None


def _sides(coast: Any) -> tuple[Any, Any]:
    """Points just to the left (land) and just to the right (sea) of each segment of the coastline."""
    starts, ends = [], []
    for line in coast:
        places = shapely.get_coordinates(line)
        starts.append(places[:-1])
        ends.append(places[1:])
    start, end = np.concatenate(starts), np.concatenate(ends)
    along = end - start
    size = np.hypot(along[:, 0], along[:, 1])
    start, along, size = start[size > 0], along[size > 0], size[size > 0]
    middle = start + along / 2
    right = np.column_stack([along[:, 1], -along[:, 0]]) / size[:, None] * _STEP
    return shapely.points(middle - right), shapely.points(middle + right)


def _coast(ways: Sequence[Way], frame: Any) -> list[Any]:
    """The coastline in the extract. Where it was cut off, it is led on to the nearest edge of the frame.

    An extract that is cut node by node ends one node before its edge; the way went on across it.
    """
    edge = frame.exterior
    lines = []
    for way in ways:
        ends = {way.nodes[0], way.nodes[-1]}
        for run in way.runs():
            places = [place for _, place in run]
            for at in (0, -1):
                point = shapely.Point(run[at][1])
                if run[at][0] not in ends and 0 < edge.distance(point) <= _REACH:
                    (out,) = shapely.get_coordinates(edge.interpolate(edge.project(point))).tolist()
                    places.insert(0 if at == 0 else len(places), tuple(out))
            lines.append(shapely.LineString(places))
    return lines


def sea(coast: Sequence[Way], box: Box) -> list[Any]:
    """The sea within a box (west, south, east, north [deg]): faces that the coastline has on its right.

    A face that has coastline on both hands is not closed by this extract and is left out, for it would be a guess.
    """
    frame = shapely.box(*box)
    lines = _coast(coast, frame)
    merged = shapely.line_merge(shapely.MultiLineString(lines))
    inside = [line for line in shapely.get_parts(shapely.intersection(merged, frame)) if line.geom_type == "LineString"]
    if not inside:
        return []
    edges = shapely.union_all([*inside, frame.exterior])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(edges)))
    left, right = _sides(inside)
    tree = shapely.STRtree(faces)
    land = np.bincount(tree.query(left, predicate="within")[1], minlength=len(faces))
    wet = np.bincount(tree.query(right, predicate="within")[1], minlength=len(faces))
    return [face for face, on_land, on_sea in zip(faces, land, wet, strict=True) if on_sea and not on_land]


def build_water(found: Sequence[Area], ways: Sequence[Way], box: Box) -> Rows:
    """Rows of the layer ``water``: areas, lines, and the sea within ``box``."""
    wet = [(area, kind) for area in found if not is_building(area.tags) and (kind := _kind(area.tags))]
    shapes = shapes_of(shapely.from_wkb([area.shape for area, _ in wet]))
    rows = [
        {"id": area.id, "name": text_of(area.tags, "name"), "kind": kind, "source": "tag", "geometry": shape}
        for (area, kind), shape in zip(wet, shapes, strict=True)
    ]
    mapped = {row["id"] for row in rows}
    for way in ways:
        kind, lines = way.tags.get("waterway", ""), way.lines()
        if kind in _LINES and lines and f"way/{way.id}" not in mapped:
            name = text_of(way.tags, "name")
            line = shapely.MultiLineString(lines)
            rows.append({"id": f"way/{way.id}", "name": name, "kind": kind, "source": "tag", "geometry": line})
    for number, face in enumerate(sea([way for way in ways if way.tags.get("natural") == "coastline"], box)):
        rows.append({"id": f"sea/{number}", "name": None, "kind": "sea", "source": "coastline", "geometry": face})
    return rows
