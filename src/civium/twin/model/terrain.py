"""Ground elevation from a GeoTIFF or SRTM tiles (.hgt, .hgt.zip), as points of one regular grid."""

import math
import re
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from civium.core import InputRefused
from civium.twin.model.measure import WGS84
from civium.twin.model.refusal import reason

Rows = list[dict[str, Any]]
Box = tuple[float, float, float, float]

MOST_POINTS = 1_000_000
"""A finer grid than this many points is averaged down to it: a town needs no more, and a table must stay readable."""

_SNAP = 1e-6  # share of a cell below which two edges are the same
_FEET = {"ft", "feet", "foot", "us survey foot", "ussft"}
_HOW = "give a GeoTIFF or SRTM tile (.tif, .hgt, .hgt.zip) that covers the town"
_TILE = re.compile(r"[NS]\d{2}[EW]\d{3}\.hgt$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Terrain:
    """Rows of the layer ``terrain``, the grid's step [deg] (lon, lat), and the share of the box that has values."""

    rows: Rows
    step: tuple[float, float]
    covered: float


def _address(path: Path) -> str:
    """What GDAL should open: a tile inside a zip is read in place."""
    if not path.exists():
        raise InputRefused(f"'{path}' does not exist; {_HOW}", status=404)
    if path.suffix.lower() != ".zip":
        return str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [n for n in archive.namelist() if n.lower().endswith((".hgt", ".tif", ".tiff"))]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputRefused(f"'{path.name}' is not a readable zip ({reason(error)}); {_HOW}") from error
    if len(inside) != 1:
        raise InputRefused(f"'{path.name}' holds {len(inside)} elevation files where one is wanted; {_HOW}")
    return f"/vsizip/{path}/{inside[0]}"


def _open(stack: ExitStack, path: Path) -> Any:
    address = _address(path)
    if address.lower().endswith(".hgt") and not _TILE.search(address):
        raise InputRefused(
            f"'{Path(address).name}' does not say where it lies; an SRTM tile is named after its south-west corner,"
            " such as N43E007.hgt"
        )
    source = stack.enter_context(rasterio.open(address))
    if source.crs is None:
        raise InputRefused(f"'{path.name}' names no coordinate system; {_HOW}")
    return stack.enter_context(WarpedVRT(source, crs=WGS84, resampling=Resampling.bilinear, add_alpha=False))


def _metres(band: Any, unit: str | None) -> Any:
    return band * 0.3048 if (unit or "").strip().lower() in _FEET else band


def _overlaps(bounds: Any, box: Box) -> bool:
    return bool(bounds.left < box[2] and bounds.right > box[0] and bounds.bottom < box[3] and bounds.top > box[1])


def _read(tiles: Sequence[Any], box: Box) -> tuple[Any, Any]:
    """Elevation [m] (rows from the north, NaN where unknown) and the grid's transform, on the first tile's grid."""
    first = tiles[0].transform
    step_x, step_y = abs(first.a), abs(first.e)
    coarse = max(1.0, math.sqrt((box[2] - box[0]) / step_x * ((box[3] - box[1]) / step_y) / MOST_POINTS))
    # Whole cells of the source (or whole multiples of them), so that points fall on measured places.
    factor = math.ceil(coarse)
    step_x, step_y = step_x * factor, step_y * factor
    west = first.c + math.floor((box[0] - first.c) / step_x + _SNAP) * step_x
    north = first.f - math.floor((first.f - box[3]) / step_y + _SNAP) * step_y
    columns = max(1, math.ceil((box[2] - west) / step_x - _SNAP))
    rows = max(1, math.ceil((north - box[1]) / step_y - _SNAP))
    grid = rasterio.Affine(step_x, 0.0, west, 0.0, -step_y, north)
    ground = np.full((rows, columns), np.nan)
    for tile in tiles:
        how = Resampling.average if factor > 1 else Resampling.nearest
        with WarpedVRT(
            tile,
            crs=WGS84,
            transform=grid,
            width=columns,
            height=rows,
            resampling=how,
            nodata=tile.nodata,
            dtype="float64",
        ) as cut:
            band = cut.read(1, masked=True)
            inside = cut.dataset_mask() > 0
        values = _metres(np.where(inside, band.filled(np.nan), np.nan), tile.units[0])
        ground = np.where(np.isnan(ground), values, ground)
    return ground, grid


def build_terrain(paths: Sequence[Path], box: Box) -> Terrain:
    """Elevation points within a box (west, south, east, north [deg]); several tiles are laid side by side.

    Units of feet are converted; where tiles overlap the first counts; cells without a value are left out. Raises
    InputRefused for a file that is missing, damaged, without a place, or elsewhere.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        tiles = []
        for path in paths:
            try:
                tiles.append(_open(stack, path))
            except RasterioError as error:
                raise InputRefused(f"'{path.name}' cannot be read as elevation ({reason(error)}); {_HOW}") from error
        names = ", ".join(path.name for path in paths)
        near = [tile for tile in tiles if _overlaps(tile.bounds, box)]
        if not near:
            lie = tiles[0].bounds
            raise InputRefused(
                f"'{names}' does not cover the town: it spans {lie.left:.3f} to {lie.right:.3f} E and"
                f" {lie.bottom:.3f} to {lie.top:.3f} N, the town lies at {box[0]:.3f} E, {box[1]:.3f} N; {_HOW}"
            )
        try:
            ground, grid = _read(near, box)
        except RasterioError as error:
            raise InputRefused(f"'{names}' is damaged ({reason(error)}); fetch it again or {_HOW}") from error
    row, column = np.nonzero(np.isfinite(ground))
    if len(row) == 0:
        raise InputRefused(f"'{names}' holds no elevation within the town; {_HOW}")
    width = ground.shape[1]
    points = shapely.points(grid.c + (column + 0.5) * grid.a, grid.f + (row + 0.5) * grid.e)
    rows = [
        {"id": r * width + c, "row": r, "column": c, "elevation": z, "geometry": point}
        for r, c, z, point in zip(row.tolist(), column.tolist(), ground[row, column].tolist(), points, strict=True)
    ]
    return Terrain(rows, (grid.a, -grid.e), len(row) / ground.size)
