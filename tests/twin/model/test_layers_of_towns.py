"""The twins of real towns: whole, true to their schemas, and the same every time."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyproj import Geod

from civium.core import InputRefused
from civium.twin.model import LAYERS, build_twin, layer_names, read_layer, read_summary
from civium.twin.model.picture import draw

TOWNS = ("helsinki", "village", "krems", "monaco", "porto_alegre")
Twin = Callable[[str], Path]


@pytest.mark.parametrize("name", TOWNS)
def test_every_layer_has_its_schema_and_is_sorted_by_id(name: str, twin: Twin) -> None:
    folder = twin(name)
    summary = read_summary(folder)
    expected = [layer for layer in LAYERS if layer != "terrain" or name in {"monaco", "porto_alegre"}]
    assert list(layer_names(folder)) == expected == list(summary.counts)
    for layer in expected:
        table = read_layer(folder, layer)
        assert table.schema.equals(LAYERS[layer].remove_metadata()), layer
        assert table.num_rows == summary.counts[layer]
        ids = table.column("id").to_pylist()
        assert ids == sorted(set(ids)), layer
        for field in LAYERS[layer]:
            assert field.nullable or table.column(field.name).null_count == 0, (layer, field.name)
        shapes = shapely.from_wkb(table.column("geometry").to_numpy())
        assert not shapely.is_missing(shapes).any()
        assert not shapely.is_empty(shapes).any()
        assert np.isfinite(shapely.get_coordinates(shapes)).all()


@pytest.mark.parametrize("name", TOWNS)
def test_the_street_graph_hangs_together(name: str, twin: Twin) -> None:
    edges = gpd.read_parquet(twin(name) / "streets.parquet")
    nodes = gpd.read_parquet(twin(name) / "street_nodes.parquet").set_index("id")
    assert set(edges["from_node"]) | set(edges["to_node"]) == set(nodes.index)
    starts = shapely.get_point(edges.geometry.to_numpy(), 0)
    ends = shapely.get_point(edges.geometry.to_numpy(), -1)
    assert shapely.equals(starts, nodes.loc[edges["from_node"]].geometry.to_numpy()).all()
    assert shapely.equals(ends, nodes.loc[edges["to_node"]].geometry.to_numpy()).all()
    some = edges.sample(min(len(edges), 200), random_state=1)
    geod = Geod(ellps="WGS84")
    assert some["length"].tolist() == pytest.approx([geod.geometry_length(line) for line in some.geometry])
    drives = edges["modes"].str.contains("car|bus")
    assert (edges["lanes"] > 0).eq(drives).all()
    assert edges["speed"].notna().eq(drives).all()
    assert edges.loc[drives, "speed"].between(0.5, 40).all()
    assert set(edges["lanes_source"]) <= {"tag", "split", "assumed", "none"}
    assert set(edges["speed_source"]) <= {"tag", "zone", "assumed", "none"}


@pytest.mark.parametrize("name", TOWNS)
def test_every_building_has_a_height_and_says_whence(name: str, twin: Twin) -> None:
    buildings = gpd.read_parquet(twin(name) / "buildings.parquet")
    assert buildings["height"].between(0.1, 300).all()
    assert set(buildings["height_source"]) <= {"tag", "levels", "estimated"}
    assert set(buildings.geom_type) <= {"Polygon", "MultiPolygon"}
    assert (buildings["footprint_area"] > 0).all()
    assert read_summary(twin(name)).estimated["buildings.height"] == (buildings["height_source"] == "estimated").sum()


def test_what_is_known_of_helsinki(twin: Twin) -> None:
    folder = twin("helsinki")
    buildings = {row["id"]: row for row in read_layer(folder, "buildings").drop_columns("geometry").to_pylist()}
    hotel = buildings["way/123525580"]  # Hotelli Torni, the landmark of the centre, tagged with 70 m
    assert (hotel["name"], hotel["height"], hotel["height_source"]) == ("Hotelli Torni", 70.0, "tag")
    assert any(id_.startswith("relation/") for id_ in buildings)
    sea = read_layer(folder, "water").filter(pa.compute.field("source") == "coastline")
    wet = shapely.union_all(shapely.from_wkb(sea.column("geometry").to_numpy()))
    assert wet.contains(shapely.Point(24.9420, 60.1785))  # the bay Eläintarhanlahti
    assert not wet.intersects(shapely.Point(24.9415, 60.1710))  # the railway station
    restrictions = read_layer(folder, "turn_restrictions")
    assert restrictions.num_rows > 40
    assert restrictions.column("from_edge").null_count < restrictions.num_rows / 4


def test_the_harbour_of_monaco_is_sea_and_its_rock_is_high(twin: Twin) -> None:
    folder = twin("monaco")
    water = read_layer(folder, "water").filter(pa.compute.field("kind") == "sea")
    wet = shapely.union_all(shapely.from_wkb(water.column("geometry").to_numpy()))
    assert wet.contains(shapely.Point(7.4265, 43.7345))  # Port Hercule
    assert not wet.contains(shapely.Point(7.4205, 43.7313))  # the palace
    terrain = gpd.read_parquet(folder / "terrain.parquet")
    palace = terrain.iloc[shapely.distance(terrain.geometry.to_numpy(), shapely.Point(7.4205, 43.7313)).argmin()]
    assert 40 < palace["elevation"] < 80  # the rock stands about 60 m above the harbour
    across = terrain.sort_values("column").drop_duplicates("column")["column"].to_numpy()
    assert (np.diff(across) == 1).all()


def test_the_timetables_of_porto_alegre_are_counted(twin: Twin) -> None:
    stops = gpd.read_parquet(twin("porto_alegre") / "stops.parquet")
    timed = stops[stops["source"] == "gtfs"]
    assert set(timed["kind"]) == {"bus", "rail"}
    trains = timed[(timed["kind"] == "rail") & (timed["role"] == "platform")]
    assert trains["routes"].eq(1).all()
    assert trains["trips"].between(50, 400).all()  # a metro line in both directions
    assert stops.loc[stops["source"] == "osm", "trips"].isna().all()


def test_the_same_town_gives_the_same_bytes(
    twin: Twin, towns: Callable[[str], dict[str, Path]], tmp_path: Path
) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}

    given = dict(towns("monaco"))
    build_twin(given.pop("source"), tmp_path / "again", **given)
    assert digests(tmp_path / "again") == digests(twin("monaco"))


def test_a_layer_that_is_not_there_is_refused_by_name(twin: Twin, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no layer 'pipes'"):
        read_layer(twin("village"), "pipes")
    with pytest.raises(InputRefused, match="has no layer 'terrain'"):
        read_layer(twin("village"), "terrain")
    with pytest.raises(InputRefused, match="no twin"):
        read_summary(tmp_path)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_shows_streets_and_buildings(twin: Twin, tmp_path: Path, ending: str) -> None:
    picture = tmp_path / f"town.{ending}"
    draw(twin("village"), picture)
    drawn = picture.read_bytes()
    if ending == "svg":
        assert drawn.count(b"<path") > 2000  # 2,171 buildings
        draw(twin("village"), tmp_path / "again.svg")
        assert len((tmp_path / "again.svg").read_bytes()) == len(drawn)
    else:
        assert drawn.startswith(b"\x89PNG")
        assert len(drawn) > 200_000
    with pytest.raises(InputRefused, match="png"):
        draw(twin("village"), tmp_path / "town.bmp")


def test_the_summary_is_json_for_others_too(twin: Twin) -> None:
    said = json.loads((twin("monaco") / "twin.json").read_text(encoding="utf-8"))
    assert said["sources"].keys() == {"monaco.osm.gz", "N43E007.hgt.zip"}
    assert "OpenStreetMap contributors, ODbL" in said["attribution"][0]
    west, south, east, north = said["bounds"]
    lon, lat = said["centre"]
    assert west < lon < east
    assert south < lat < north
