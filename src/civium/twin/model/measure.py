"""Lengths and areas of shapes given in longitude and latitude, in bulk."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer

WGS84 = "EPSG:4326"
_GEOD = Geod(ellps="WGS84")

Shapes = NDArray[np.object_]
"""An array of shapely geometries."""


def shapes_of(items: Sequence[Any]) -> Shapes:
    """A one-dimensional object array of geometries (numpy would try to look inside a plain list)."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def line_lengths(lines: Shapes) -> NDArray[np.float64]:
    """Length of each line on the WGS 84 ellipsoid [m]."""
    places, owner = shapely.get_coordinates(lines, return_index=True)
    if len(places) == 0:
        return np.zeros(len(lines))
    _, _, pieces = _GEOD.inv(places[:-1, 0], places[:-1, 1], places[1:, 0], places[1:, 1])
    within = owner[1:] == owner[:-1]
    return np.bincount(owner[1:][within], weights=pieces[within], minlength=len(lines)).astype(np.float64)


def local_projection(centre: tuple[float, float]) -> Transformer:
    """An equal-area projection around (lon, lat) [deg] in [m]: areas exact, distances good within a town."""
    lon, lat = centre
    local = f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} +ellps=WGS84 +units=m"
    return Transformer.from_crs(WGS84, local, always_xy=True)


def project(shapes: Shapes, projection: Transformer) -> Shapes:
    """The shapes in the coordinates of a projection."""

    def move(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Any, Any]:
        moved: tuple[Any, Any] = projection.transform(x, y)
        return moved

    moved: Shapes = shapely.transform(shapes, move, interleaved=False)
    return moved


def areas(shapes: Shapes, projection: Transformer) -> NDArray[np.float64]:
    """Area of each shape [m2]."""
    found: NDArray[np.float64] = shapely.area(project(shapes, projection))
    return found
