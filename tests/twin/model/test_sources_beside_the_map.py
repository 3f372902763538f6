"""Timetables, elevation, CityJSON and coastlines, each on a town small enough to know the answer."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from civium.core import InputRefused
from civium.twin.model.build import build
from civium.twin.model.cityjson import build_cityjson
from civium.twin.model.gtfs import build_gtfs, kind_of_route
from civium.twin.model.layers import read_layer
from civium.twin.model.osm import Way
from civium.twin.model.terrain import build_terrain
from civium.twin.model.water import sea
from tests.twin.model.conftest import elevation, timetable

BOX = (9.995, 49.995, 10.005, 50.005)
Town = Any


def calls(path: Path) -> dict[str, tuple[int, int, str]]:
    return {
        row["id"].rpartition("/")[2]: (row["routes"], row["trips"], row["kind"]) for row in build_gtfs(path, BOX).rows
    }


def test_calls_are_counted_on_the_busiest_day(tmp_path: Path) -> None:
    path = timetable(tmp_path / "gtfs.zip")
    assert calls(path) == {"A": (2, 2, "bus"), "B": (1, 1, "bus")}
    assert build_gtfs(path, BOX).day == "2024-01-01"  # a Monday


def test_exceptions_move_the_busiest_day(tmp_path: Path) -> None:
    # Every service runs on 7 January, a Sunday; then three trips call at A.
    dates = "service_id,date,exception_type\nweek,20240107,1\nweek,20240101,2\n"
    path = timetable(tmp_path / "gtfs.zip", calendar_dates=dates)
    assert build_gtfs(path, BOX).day == "2024-01-07"
    assert calls(path)["A"] == (2, 3, "bus")


def test_a_calendar_of_dates_alone_is_enough(tmp_path: Path) -> None:
    dates = "service_id,date,exception_type\nsunday,20240303,1\n"
    path = timetable(tmp_path / "gtfs.zip", calendar="", calendar_dates=dates)
    assert calls(path) == {"A": (2, 1, "bus"), "B": (1, 0, "bus")}


def test_headways_are_counted_out(tmp_path: Path) -> None:
    often = "trip_id,start_time,end_time,headway_secs\n1,06:00:00,07:00:00,600\n1,23:30:00,24:30:00,1800\n"
    assert calls(timetable(tmp_path / "gtfs.zip", frequencies=often)) == {"A": (2, 9, "bus"), "B": (1, 8, "bus")}


def test_a_station_sums_over_its_platforms(tmp_path: Path) -> None:
    stops = (
        "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\nS,Central,50,10,1,\n"
        "A,Central 1,50,10,0,S\nB,Central 2,50,10,0,S\nE,Entrance,50,10,2,S\n"
    )
    assert calls(timetable(tmp_path / "gtfs.zip", stops=stops)) == {
        "S": (2, 3, "bus"),
        "A": (2, 2, "bus"),
        "B": (1, 1, "bus"),
    }


def test_a_feed_in_a_folder_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    plain = timetable(tmp_path / "plain.zip")
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "nested.zip", "w") as new:
        for name in old.namelist():
            new.writestr(f"feed/{name}", b"\xef\xbb\xbf" + old.read(name).replace(b"\n", b"\r\n"))
    assert calls(tmp_path / "nested.zip") == calls(plain)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("3", "bus"),
        ("0", "tram"),
        ("1", "metro"),
        ("2", "rail"),
        ("700", "bus"),
        ("109", "rail"),
        ("900", "tram"),
        ("", "unknown"),
    ],
)
def test_route_types_old_and_extended(number: str, kind: str) -> None:
    assert kind_of_route(number) == kind


def test_elevation_is_a_regular_grid_of_the_sources_own_cells(tmp_path: Path) -> None:
    path = elevation(tmp_path / "ground.tif")
    with rasterio.open(path, "r+") as file:
        band = file.read(1)
        band[:] = np.arange(40)[:, None]  # row number from the north
        band[20, 20] = -9999
        file.write(band, 1)
    terrain = build_terrain([path], BOX)
    assert terrain.step == pytest.approx((0.0005, 0.0005))
    assert len(terrain.rows) == 20 * 20 - 1
    for row in terrain.rows:
        assert row["geometry"].y == pytest.approx(50.005 - (row["row"] + 0.5) * 0.0005)
        assert row["elevation"] == pytest.approx(row["row"] + 10)
    assert terrain.covered == pytest.approx(399 / 400)


def test_feet_become_metres(tmp_path: Path) -> None:
    path = elevation(tmp_path / "ground.tif", value=1000.0)
    with rasterio.open(path, "r+") as file:
        file.set_band_unit(1, "feet")
    assert [row["elevation"] for row in build_terrain([path], BOX).rows] == pytest.approx([304.8] * 400)


def test_two_tiles_are_laid_side_by_side(tmp_path: Path) -> None:
    west = elevation(tmp_path / "west.tif", west=9.98, value=1.0)
    east = elevation(tmp_path / "east.tif", west=10.0, value=2.0)
    terrain = build_terrain([west, east], BOX)
    assert terrain.covered == 1.0
    assert all(row["elevation"] == (1.0 if row["geometry"].x < 10 else 2.0) for row in terrain.rows)


def test_a_projected_grid_lands_in_the_right_place(tmp_path: Path) -> None:
    to_utm = Transformer.from_crs(4326, 32632, always_xy=True)
    x, y = to_utm.transform(10.0, 50.0)
    profile = {"driver": "GTiff", "width": 200, "height": 200, "count": 1, "dtype": "float64", "crs": "EPSG:32632"}
    with rasterio.open(
        tmp_path / "utm.tif", "w", transform=rasterio.Affine(20, 0, x - 2000, 0, -20, y + 2000), **profile
    ) as file:
        # Elevation is the northing itself, counted from the middle: a plane that rises to the north.
        file.write(np.repeat((2000 - 20 * (np.arange(200) + 0.5))[:, None], 200, axis=1), 1)
    for row in build_terrain([tmp_path / "utm.tif"], BOX).rows[::50]:
        assert row["elevation"] == pytest.approx(
            to_utm.transform(row["geometry"].x, row["geometry"].y)[1] - y, abs=2.5
        )  # GDAL's eighth of a cell


CUBE = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]


def city(version: str = "1.1", lod: str = "1", **attributes: Any) -> dict[str, Any]:
    """A box of 20 m by 10 m by 12 m in Delft's national grid, with an annex beside it that is a part of 5 m height."""
    box = [(x, y, z) for z in (0, 12) for x, y in ((0, 0), (20, 0), (20, 10), (0, 10))]
    annex = [(x, y, z) for z in (0, 5) for x, y in ((20, 0), (26, 0), (26, 10), (20, 10))]

    def solid(first: int) -> dict[str, Any]:
        shell = [[[first + corner for corner in face]] for face in CUBE]
        return {"type": "Solid", "lod": lod, "boundaries": [shell]}

    return {
        "type": "CityJSON",
        "version": version,
        "metadata": {"referenceSystem": "urn:ogc:def:crs:EPSG::7415"},
        "transform": {"scale": [0.01, 0.01, 0.01], "translate": [84900.0, 447500.0, -1.0]},
        "vertices": [[x * 100, y * 100, z * 100] for x, y, z in box + annex],
        "CityObjects": {
            "hall": {"type": "Building", "children": ["annex"], "attributes": attributes, "geometry": [solid(0)]},
            "annex": {"type": "BuildingPart", "parents": ["hall"], "geometry": [solid(8)]},
        },
    }


DELFT = (4.35, 51.99, 4.40, 52.03)


@pytest.mark.parametrize("packed", [False, True])
def test_a_building_of_cityjson_has_footprint_and_height_with_its_parts(tmp_path: Path, packed: bool) -> None:
    raw = json.dumps(city(storeysAboveGround=4, function="office", name="Hall")).encode()
    path = tmp_path / "city.json"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    (row,) = build_cityjson(path, DELFT).rows
    assert (row["id"], row["name"], row["use"], row["levels"]) == ("cityjson/hall", "Hall", "commercial", 4)
    assert (row["height"], row["height_source"]) == (pytest.approx(12.0), "cityjson")
    assert row["footprint_area"] == pytest.approx(260.0, rel=2e-3)  # the national grid is scaled by a few parts in 10^4
    x, y = Transformer.from_crs(28992, 4326, always_xy=True).transform(84913.0, 447505.0)
    assert row["geometry"].centroid.distance(shapely.Point(x, y)) < 1e-6


def test_cityjson_without_coordinates_of_this_town_is_refused(tmp_path: Path) -> None:
    (tmp_path / "city.json").write_text(json.dumps(city()))
    with pytest.raises(InputRefused, match=r"none of the 1 buildings .* lies in this town"):
        build_cityjson(tmp_path / "city.json", BOX)


def test_real_cityjson_agrees_with_its_own_measured_heights(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("cityjson") / "delft.json"
    rows = build_cityjson(path, DELFT).rows
    assert len(rows) == 160
    objects = json.loads(path.read_text())["CityObjects"]
    measured = [objects[row["id"].removeprefix("cityjson/")]["attributes"].get("measuredHeight") for row in rows]
    differences = [abs(row["height"] - said) for row, said in zip(rows, measured, strict=True) if said]
    assert len(differences) > 100
    assert float(np.median(differences)) < 1.0
    zurich = build_cityjson(shared_data("cityjson") / "zurich_subset_lod2.json", (8.4, 47.3, 8.7, 47.5))
    assert len(zurich.rows) + zurich.left_out == 49
    assert len(zurich.rows) > 40


def test_cityjson_takes_the_place_of_the_mapped_building(town: Town, tmp_path: Path) -> None:
    (tmp_path / "city.json").write_text(json.dumps(city()))
    world = Transformer.from_crs(28992, 4326, always_xy=True)
    towns = type(town)()
    for id_, (x, y) in enumerate([(-30, -5), (30, -5), (0, 0), (20, 0), (20, 10), (0, 10), (60, 0), (70, 0), (70, 9)]):
        towns.node(id_ + 1, *world.transform(84900 + x, 447500 + y))
    towns.way(1, [1, 2], {"highway": "residential"})
    towns.way(2, [3, 4, 5, 6, 3], {"building": "yes", "height": "99"})
    towns.way(3, [7, 8, 9, 7], {"building": "house"})
    out = tmp_path / "twin"
    source = towns.write(tmp_path / "town.osm")
    build(source, out, gtfs=None, elevation=None, cityjson=tmp_path / "city.json", progress=lambda what, share: None)
    buildings = read_layer(out, "buildings")
    assert buildings.column("id").to_pylist() == ["cityjson/hall", "way/3"]
    assert buildings.column("height_source").to_pylist() == ["cityjson", "estimated"]


def coast(id_: int, *places: tuple[float, float] | None) -> Way:
    return Way(id_, {"natural": "coastline"}, list(range(id_ * 100, id_ * 100 + len(places))), list(places))


def wet(ways: list[Way], lon: float, lat: float) -> bool:
    return any(face.contains(shapely.Point(lon, lat)) for face in sea(ways, (0.0, 0.0, 1.0, 1.0)))


def test_the_sea_lies_right_of_the_coastline() -> None:
    northward = coast(1, (0.4, -0.5), (0.5, 0.5), (0.4, 1.5))
    assert wet([northward], 0.9, 0.5)
    assert not wet([northward], 0.1, 0.5)
    southward = coast(1, (0.4, 1.5), (0.5, 0.5), (0.4, -0.5))
    assert wet([southward], 0.1, 0.5)
    assert not wet([southward], 0.9, 0.5)


def test_an_island_is_dry_and_a_strait_is_wet() -> None:
    island = coast(1, (0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6), (0.4, 0.4))  # anticlockwise: land inside
    assert wet([island], 0.1, 0.1)
    assert not wet([island], 0.5, 0.5)
    banks = [coast(1, (0.3, -0.5), (0.3, 1.5)), coast(2, (0.7, 1.5), (0.7, -0.5))]
    assert [wet(banks, lon, 0.5) for lon in (0.1, 0.5, 0.9)] == [False, True, False]


def test_a_coastline_cut_at_the_edge_is_led_on_to_it() -> None:
    cut = coast(1, None, (0.4, 0.001), (0.5, 0.5), (0.4, 0.999), None)
    assert wet([cut], 0.9, 0.5)


def test_a_coastline_that_ends_in_the_middle_makes_no_sea() -> None:
    assert sea([coast(1, (0.4, -0.5), (0.5, 0.5))], (0.0, 0.0, 1.0, 1.0)) == []
    assert sea([coast(1, None, (0.4, 0.3), (0.5, 0.5), None)], (0.0, 0.0, 1.0, 1.0)) == []
