"""Where the sun stands, and the shadow that buildings of the city model cast on level ground.

The sun by the Astronomical Almanac's low-precision formulas (Michalsky, Solar Energy 40 (1988) 227-235): right within
a hundredth of a degree from 1950 to 2050.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from civium.core import MICROSECONDS
from civium.twin.model.layers import read_layer, read_summary
from civium.web.tiles import version_of

MOST_BUILDINGS = 4_000  # the largest cast the shadows that one sees; a union of more takes seconds
_LEAST_DEG = 2.0  # a lower sun casts shadows without end
_LONGEST_M = 600.0
_J2000 = 946_728_000  # [s since epoch]
_METRES = 111_132.0  # of a degree of latitude
Rings = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sun:
    """``azimuth`` from north over east, ``elevation`` above the horizon [deg]."""

    azimuth: float
    elevation: float


def sun_at(instant: int, lon: float, lat: float) -> Sun:
    """The sun at an instant [us since epoch] and a place [deg], without refraction."""
    days = (instant / MICROSECONDS - _J2000) / 86_400
    mean = math.radians((280.460 + 0.9856474 * days) % 360)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = mean + math.radians(1.915) * math.sin(anomaly) + math.radians(0.020) * math.sin(2 * anomaly)
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    hours = (instant / MICROSECONDS % 86_400) / 3600
    sidereal = math.radians((6.697375 + 0.0657098242 * days + hours) % 24 * 15 + lon)
    angle, phi = sidereal - ascension, math.radians(lat)
    up = math.sin(declination) * math.sin(phi) + math.cos(declination) * math.cos(phi) * math.cos(angle)
    east = -math.cos(declination) * math.sin(angle)
    north = math.sin(declination) * math.cos(phi) - math.cos(declination) * math.sin(phi) * math.cos(angle)
    return Sun(math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(max(-1.0, min(1.0, up)))))


def sun_and_shadow(twin: Path, instant: int) -> dict[str, Any]:
    """The sun over the city and the shadow as GeoJSON; no shadow where it is night or no building is known.

    ``left_out``: how many of the smallest buildings cast none here. Raises InputRefused (404) without a city model.
    """
    version = version_of(twin)
    lon, lat = read_summary(twin).centre
    minute = instant // (60 * MICROSECONDS) * 60 * MICROSECONDS
    sun = sun_at(minute, lon, lat)
    shadow, left_out = _shadow(twin, version, minute) if sun.elevation > _LEAST_DEG else (None, 0)
    return {"azimuth": sun.azimuth, "elevation": sun.elevation, "shadow": shadow, "left_out": left_out}


@lru_cache(maxsize=1)
def _buildings(twin: Path, version: str) -> tuple[list[tuple[Rings, float]], int]:
    """Outer rings [deg] and heights [m] of the largest buildings, and how many others there are."""
    table = read_layer(twin, "buildings").sort_by([("footprint_area", "descending")])
    largest = table.slice(0, MOST_BUILDINGS)
    shapes = shapely.from_wkb(largest.column("geometry").to_numpy(zero_copy_only=False))
    parts, owner = shapely.get_parts(shapes, return_index=True)
    heights = largest.column("height").to_numpy()
    rings = [
        (shapely.get_coordinates(shapely.get_exterior_ring(part)), float(heights[of]))
        for part, of in zip(parts, owner, strict=True)
        if shapely.get_type_id(part) == 3
    ]
    return rings, table.num_rows - largest.num_rows


@lru_cache(maxsize=64)
def _shadow(twin: Path, version: str, instant: int) -> tuple[dict[str, Any] | None, int]:
    try:
        rings, left_out = _buildings(twin, version)
    except FileNotFoundError:
        return None, 0
    lon, lat = read_summary(twin).centre
    sun = sun_at(instant, lon, lat)
    away, reach = math.radians(sun.azimuth + 180), 1 / math.tan(math.radians(sun.elevation))
    east, north = math.sin(away) / (_METRES * math.cos(math.radians(lat))), math.cos(away) / _METRES
    quads = []
    shapes = []
    for ring, height in rings:
        length = min(height * reach, _LONGEST_M)
        moved = ring + np.array([east, north]) * length
        quads.append(np.stack([ring[:-1], ring[1:], moved[1:], moved[:-1], ring[:-1]], axis=1))
        shapes.append(shapely.polygons(moved))
    if not quads:
        return None, left_out
    walls = shapely.polygons(np.concatenate(quads))
    whole = shapely.set_precision(shapely.union_all(shapely.make_valid(np.concatenate([walls, shapes]))), 1e-7)
    coordinates = [
        [shapely.get_coordinates(ring).round(7).tolist() for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(whole)
        if shapely.get_type_id(part) == 3
    ]
    geometry = {"type": "MultiPolygon", "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {}}, left_out
