"""Vector tiles of the city model: cut by DuckDB's spatial functions from the twin's layers, and kept for a while.

A tile holds all layers (Mapbox Vector Tile 2.1); a client asks with the model's version, and may keep it for good.
"""

import gzip
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import duckdb

from civium.core import InputRefused
from civium.twin.model.layers import SUMMARY, layer_names, read_summary

LEAST_ZOOM, MOST_ZOOM = 9, 16
_EXTENT, _BUFFER = 4096, 64
_KEPT_BYTES = 64 * 1024 * 1024
_MEMORY = "768MB"


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a layer goes into tiles: its columns as SQL, from which zoom on, and the part of it that far out."""

    columns: str
    least_zoom: int
    where: str = "true"
    far: str = "true"  # the rows that are still seen two zooms before all are


# Attributes are few and short: what the style needs, and the id by which a click finds the row.
_CUTS = {
    "landuse": _Cut('"group" AS class', 11, where="\"group\" NOT IN ('residential', 'other')"),
    "water": _Cut("kind AS class, name", LEAST_ZOOM),
    "streets": _Cut(
        'class, name, CASE WHEN tunnel THEN 1 ELSE 0 END AS tunnel, CASE WHEN bridge THEN 1 ELSE 0 END AS bridge',
        14,
        where="id % 2 = 0 OR id - 1 NOT IN (SELECT id FROM source)",  # one of the two directions
        far="class SIMILAR TO '(motorway|trunk|primary|secondary|tertiary).*'",
    ),
    "buildings": _Cut("id, name, address, use, height, height_source AS source", 13),
    "trees": _Cut("coalesce(height, 8) AS height, coalesce(crown_diameter, 6) AS crown", 15),
    "stops": _Cut("name, kind AS class", 15, where="role <> 'stop_position'"),
    "parking": _Cut("name, vehicle AS class, capacity", 15),
}  # fmt: skip


class Tiles:
    """The tiles of one version of a city model; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.bounds = read_summary(folder).bounds
        self._kept: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._one_at_a_time = threading.Lock()
        self._connection = duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1})
        package = import_module("duckdb_extension_spatial")
        (extension,) = sorted(Path(str(package.__file__)).parent.rglob("*.duckdb_extension"))[:1]
        self._connection.execute(f"LOAD '{str(extension).replace(chr(39), chr(39) * 2)}'")
        self.layers = [name for name in layer_names(folder) if name in _CUTS]
        for name in self.layers:
            self._take(name, folder / f"{name}.parquet")

    def tile(self, zoom: int, x: int, y: int) -> bytes:
        """One tile, compressed with gzip; empty where nothing is. Raises InputRefused (404) for what is no tile."""
        if not (LEAST_ZOOM <= zoom <= MOST_ZOOM and 0 <= x < 2**zoom and 0 <= y < 2**zoom):
            raise InputRefused(f"tiles are given at zoom {LEAST_ZOOM} to {MOST_ZOOM}", status=404)
        if not self._inside(zoom, x, y):
            return b""
        key = (zoom, x, y)
        with self._one_at_a_time:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            whole = b"".join(self._cut(name, zoom, x, y) for name in self.layers)
            packed = gzip.compress(whole, 6) if whole else b""
            self._kept[key] = packed
            self._bytes += len(packed)
            while self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
            return packed

    def _take(self, name: str, path: Path) -> None:
        cut = _CUTS[name]
        self._connection.execute(
            f"CREATE TABLE {name} AS WITH source AS (SELECT * FROM read_parquet(?)) "  # noqa: S608 (our own words)
            f"SELECT {cut.columns}, {cut.far} AS far, "
            "ST_Transform(geometry, 'EPSG:4326', 'EPSG:3857', always_xy := true) AS shape "
            f"FROM source WHERE {cut.where}",
            [str(path)],
        )

    def _cut(self, name: str, zoom: int, x: int, y: int) -> bytes:
        cut = _CUTS[name]
        if zoom < cut.least_zoom - (2 if cut.far != "true" else 0):
            return b""
        pixel = 40_075_016.7 / 2**zoom / _EXTENT
        thin = "shape" if zoom == MOST_ZOOM else f"ST_SimplifyPreserveTopology(shape, {3 * pixel})"
        row = self._connection.execute(
            f"SELECT ST_AsMVT(t, '{name}', {_EXTENT}, 'geometry') FROM ("  # noqa: S608 (our own words)
            f"SELECT * EXCLUDE (shape, far), ST_AsMVTGeom({thin}, ST_Extent(ST_TileEnvelope($z, $x, $y)), {_EXTENT}, "
            f"{_BUFFER}, true) AS geometry FROM {name} WHERE (far OR $z >= {cut.least_zoom}) AND "
            f"ST_Intersects(shape, ST_Buffer(ST_TileEnvelope($z, $x, $y), {_BUFFER * pixel}))) t "
            "WHERE geometry IS NOT NULL",
            {"z": zoom, "x": x, "y": y},
        ).fetchone()
        return bytes(row[0]) if row and row[0] else b""

    def _inside(self, zoom: int, x: int, y: int) -> bool:
        west, south, east, north = self.bounds
        left, top = _tile_of(west, north, zoom)
        right, bottom = _tile_of(east, south, zoom)
        return left <= x <= right and top <= y <= bottom


def _tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Column and row of the tile that holds a place [deg] (Web Mercator)."""
    side = 2**zoom
    up = math.asinh(math.tan(math.radians(max(min(lat, 85.0), -85.0))))
    return int((lon + 180) / 360 * side), int((1 - up / math.pi) / 2 * side)


def version_of(twin: Path) -> str:
    """What changes when the city model does; empty where there is none."""
    try:
        return f"{(twin / SUMMARY).stat().st_mtime_ns:x}"
    except OSError:
        return ""


@lru_cache(maxsize=1)
def tiles_of(twin: Path, version: str) -> Tiles:
    """The tiles of the city model in a folder. Raises InputRefused (404) where there is none."""
    return Tiles(twin)
