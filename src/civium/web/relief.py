"""The ground's height as raster tiles (RGB PNG, Terrarium encoding), cut from the city model's layer ``terrain``.

A height [m] is red * 256 + green + blue / 256 - 32768. Between the points of the grid it is interpolated; beyond the
grid its edge goes on, and what nobody measured inside counts as the lowest ground.
"""

import math
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from civium.core import InputRefused
from civium.core.view import column
from civium.twin.model.layers import read_layer

LEAST_ZOOM, MOST_ZOOM = 9, 14  # a finer tile would show what is between the grid's points only
LAYER = "terrain"
_SIDE = 256
_ZERO = 32_768.0
Grid = NDArray[np.float64]


class Relief:
    """The heights of one version of a city model."""

    def __init__(self, folder: Path) -> None:
        rows = read_layer(folder, LAYER)
        row, at = column(rows, "row").astype(np.int64), column(rows, "column").astype(np.int64)
        points = shapely.get_coordinates(shapely.from_wkb(rows.column("geometry").to_numpy(zero_copy_only=False)))
        height = column(rows, "elevation").astype(float)
        self._row0, self._column0 = int(row.min()), int(at.min())
        self._grid: Grid = np.full((int(row.max()) - self._row0 + 1, int(at.max()) - self._column0 + 1), height.min())
        self._grid[row - self._row0, at - self._column0] = height
        self._west, self._east = float(points[:, 0].min()), float(points[:, 0].max())
        self._south, self._north = float(points[:, 1].min()), float(points[:, 1].max())

    def heights(self, lon: Grid, lat: Grid) -> Grid:
        """Height [m] at longitudes and latitudes [deg], which are broadcast against each other."""
        down = _positions(self._north - lat, self._north - self._south, self._grid.shape[0])
        right = _positions(lon - self._west, self._east - self._west, self._grid.shape[1])
        (top, below), (left, beyond) = _around(down, self._grid.shape[0]), _around(right, self._grid.shape[1])
        fall, stride = down - top, right - left
        upper = self._grid[top, left] * (1 - stride) + self._grid[top, beyond] * stride
        lower = self._grid[below, left] * (1 - stride) + self._grid[below, beyond] * stride
        between: Grid = upper * (1 - fall) + lower * fall
        return between

    def tile(self, zoom: int, x: int, y: int) -> bytes:
        """One tile as PNG. Raises InputRefused (404) for what is no tile."""
        if not (LEAST_ZOOM <= zoom <= MOST_ZOOM and 0 <= x < 2**zoom and 0 <= y < 2**zoom):
            raise InputRefused(f"tiles of the terrain are given at zoom {LEAST_ZOOM} to {MOST_ZOOM}", status=404)
        pixels = (np.arange(_SIDE) + 0.5) / _SIDE
        lon = (x + pixels) / 2**zoom * 360 - 180
        lat = np.degrees(np.arctan(np.sinh(math.pi * (1 - 2 * (y + pixels) / 2**zoom))))
        code = np.round((self.heights(lon[None, :], lat[:, None]) + _ZERO) * 256).astype(np.uint32)
        colours = np.stack([code >> 16, code >> 8, code], axis=-1).astype(np.uint8)  # each keeps its lowest byte
        return _png(colours)


def _positions(away: Grid, length: float, count: int) -> Grid:
    """Where on a line of ``count`` points over ``length`` [deg] what is so far away [deg] from its first lies."""
    if count == 1 or length <= 0:
        return np.zeros_like(away)
    return np.clip(away / length * (count - 1), 0, count - 1)


def _around(positions: Grid, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The points before and behind each position."""
    before = np.floor(positions).astype(np.int64)
    return before, np.minimum(before + 1, count - 1)


def _png(colours: NDArray[np.uint8]) -> bytes:
    """An image of rows, columns and RGB as PNG (ISO/IEC 15948)."""
    height, width, _ = colours.shape
    lines = b"".join(b"\0" + line.tobytes() for line in colours)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@lru_cache(maxsize=1)
def relief_of(twin: Path, version: str) -> Relief:
    """The relief of the city model in a folder, of this version. Raises InputRefused (404) where it has none."""
    if not (twin / f"{LAYER}.parquet").is_file():
        raise InputRefused("the city model has no terrain; give `civium twin build` the option --elevation", status=404)
    return Relief(twin)
