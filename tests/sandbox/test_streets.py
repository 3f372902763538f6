"""Any town's extract becomes streets; what is no extract is refused in plain words."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from civium.core import InputRefused
from civium.sandbox.demand import Demand
from civium.sandbox.junction import read_junctions
from civium.sandbox.lamps import FEWEST_MAPPED, MOST, place_lamps
from civium.sandbox.places import read_places
from civium.sandbox.streets import build_net, read_streets
from civium.sandbox.sun import place_plants
from civium.twin.model import locate_example

from .conftest import WEDNESDAY, Ground


@pytest.mark.parametrize("name", ["krems/krems.osm.gz", "monaco/monaco.osm.gz", "porto_alegre/poa_osm.pbf"])
def test_a_recorded_town_becomes_streets_with_demand_and_lamps(
    name: str, shared_data: Callable[[str], Path], work: Path
) -> None:
    extract = shared_data("towns") / name
    streets = read_streets(build_net(extract, work))
    places = read_places(extract, streets)
    trips = Demand(streets, places, 1, WEDNESDAY, 0.05).trips(480)
    assert len(streets.edges) > 500
    assert streets.signals > 0
    assert trips
    assert {t.start for t in trips} | {t.end for t in trips} <= set(streets.edges)
    assert FEWEST_MAPPED < len(place_lamps(places, streets, 1)) <= MOST


def test_helsinki_has_signals_buildings_and_its_own_lamps(ground: Callable[[str], Ground]) -> None:
    helsinki = ground("helsinki")
    assert helsinki.streets.signals == len(read_junctions(helsinki.streets.file)) > 20
    assert helsinki.places.mapped
    assert len(helsinki.places.lamps) > 500
    assert helsinki.places.floor.sum() > 1e6


def test_a_village_has_no_signals_but_life(ground: Callable[[str], Ground]) -> None:
    village = ground("village")
    assert village.streets.signals == 0
    assert read_junctions(village.streets.file) == []
    assert village.demand().trips(480)
    assert place_plants(village.places, village.streets, 1)
    assert place_lamps(village.places, village.streets, 1)


def test_the_plane_and_the_earth_agree(ground: Callable[[str], Ground]) -> None:
    streets = ground("helsinki").streets
    xy = np.array([[0.0, 0.0], [600.0, 900.0]])
    lonlat = streets.to_lonlat(xy)
    assert np.all((lonlat > [24.93, 60.16]) & (lonlat < [24.96, 60.18]))
    assert np.allclose(streets.to_plane(lonlat), xy, atol=0.01)


def test_a_net_is_built_once(work: Path) -> None:
    first = build_net(locate_example("village"), work)
    made = first.stat().st_mtime_ns
    assert build_net(locate_example("village"), work) == first
    assert first.stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.osm", b"", "gives no street net"),
        ("cut.osm.gz", gzip.compress(b"<osm version='0.6'><node id='1'", mtime=0), "gives no street net"),
        ("streetless.osm", b"<osm version='0.6'><node id='1' lat='60' lon='25'/></osm>", "gives no street net"),
        ("noise.osm.pbf", b"\x00\x01 no map", "cannot be read"),
        ("map.json", b"{}", "no OpenStreetMap extract"),
    ],
)
def test_a_broken_extract_is_refused(name: str, content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputRefused, match=why):
        build_net(tmp_path / name, tmp_path / "work")
    assert not list((tmp_path / "work").glob("*"))


def test_a_missing_extract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no such file"):
        build_net(tmp_path / "nowhere.osm", tmp_path)
