"""Vector tiles of the city model: what is there, where it ends, and what is no tile."""

import gzip

import pytest

from civium.core import InputRefused
from civium.twin.model import build_twin, locate_example
from civium.web.tiles import MOST_ZOOM, Tiles


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Tiles:
    folder = tmp_path_factory.mktemp("tiles")
    build_twin(locate_example("helsinki"), folder)
    return Tiles(folder)


def test_a_tile_of_the_town_holds_its_layers_and_is_kept(tiles: Tiles) -> None:
    packed = tiles.tile(15, 18654, 9484)
    whole = gzip.decompress(packed)
    for layer in (b"buildings", b"streets", b"trees", b"landuse"):
        assert layer in whole
    assert b"Mannerheimintie" in whole
    assert tiles.tile(15, 18654, 9484) is packed


def test_from_far_only_main_streets_and_no_trees_are_seen(tiles: Tiles) -> None:
    whole = gzip.decompress(tiles.tile(12, 2331, 1185))
    assert b"footway" not in whole
    assert b"trees" not in whole
    assert b"tertiary" in whole or b"secondary" in whole or b"primary" in whole


def test_outside_of_the_town_is_nothing(tiles: Tiles) -> None:
    assert tiles.tile(15, 0, 0) == b""


@pytest.mark.parametrize("place", [(MOST_ZOOM + 1, 0, 0), (12, -1, 0), (12, 0, 2**12)])
def test_what_is_no_tile_is_refused(tiles: Tiles, place: tuple[int, int, int]) -> None:
    with pytest.raises(InputRefused, match="tiles are given at zoom"):
        tiles.tile(*place)
