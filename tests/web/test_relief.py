"""Terrain tiles tell the height that the elevation file has, between its points and beyond its edge."""

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_bounds

from civium.core import InputRefused
from civium.twin.model import build_twin, locate_example
from civium.web.relief import MOST_ZOOM, Relief, relief_of
from civium.web.tiles import version_of

WEST, SOUTH, EAST, NORTH = 24.93, 60.16, 24.96, 60.18
TILE = (13, 4663, 2371)


def sloping_town(folder: Path) -> Path:
    """The city model of Helsinki on a slope: ten metres higher with each hundredth of a degree to the east."""
    rows, columns = 40, 60
    transform = from_bounds(WEST, SOUTH, EAST, NORTH, columns, rows)
    lon = WEST + (np.arange(columns) + 0.5) * (EAST - WEST) / columns
    heights = np.tile((1000 * (lon - WEST)).astype("float32"), (rows, 1))
    slope = folder.with_suffix(".tif")
    with rasterio.open(
        slope, "w", driver="GTiff", width=columns, height=rows, count=1, dtype="float32", crs="EPSG:4326",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(heights, 1)
    build_twin(locate_example("helsinki"), folder, elevation=slope)
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sloping_town(tmp_path_factory.mktemp("relief") / "twin")


def test_a_tile_tells_the_height_of_the_ground(twin: Path) -> None:
    zoom, x, y = TILE
    image = np.asarray(Image.open(io.BytesIO(Relief(twin).tile(zoom, x, y))).convert("RGB")).astype(float)
    assert image.shape == (256, 256, 3)
    told = image[..., 0] * 256 + image[..., 1] + image[..., 2] / 256 - 32_768
    lon = (x + (np.arange(256) + 0.5) / 256) / 2**zoom * 360 - 180
    inside = (lon > 24.936) & (lon < 24.952)
    assert inside.sum() > 50
    np.testing.assert_allclose(told[:, inside], np.tile(1000 * (lon[inside] - WEST), (256, 1)), atol=0.1)


def test_beyond_its_edge_the_ground_goes_on(twin: Path) -> None:
    relief = Relief(twin)
    near, far = relief.heights(np.array([24.99, 25.5]), np.array([60.17]))
    assert near == far
    assert near > relief.heights(np.array([24.94]), np.array([60.17]))[0]


def test_what_is_no_tile_and_a_town_without_terrain_are_refused(twin: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="at zoom"):
        Relief(twin).tile(MOST_ZOOM + 1, 0, 0)
    with pytest.raises(InputRefused, match="no terrain"):
        relief_of(tmp_path, version_of(tmp_path))
