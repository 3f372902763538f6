"""Heights, uses and parts of buildings whose truth is known."""

from pathlib import Path
from typing import Any

import pytest

from civium.twin.model import build_twin, read_layer
from civium.twin.model.buildings import known_height
from civium.twin.model.uses import building_use

Town = Any


def square(town: Town, id_: int, lon: float, lat: float, side: float, tags: dict[str, str]) -> None:
    """A square way with its south-west corner at (lon, lat); side in [deg]."""
    corners = [(lon, lat), (lon + side, lat), (lon + side, lat + side), (lon, lat + side)]
    for number, (x, y) in enumerate(corners):
        town.node(id_ * 10 + number, x, y)
    town.way(id_, [id_ * 10 + number for number in (0, 1, 2, 3, 0)], tags)


def layer(town: Town, tmp_path: Path, name: str) -> dict[str, dict[str, Any]]:
    town.way(1, [1, 2, 3], {"highway": "residential"})
    # Nodes before ways, as a map server writes them.
    town.lines.sort(key=lambda line: not line.startswith("<node"))
    build_twin(town.write(tmp_path / "town.osm"), tmp_path / "twin")
    return {row["id"]: row for row in read_layer(tmp_path / "twin", name).drop_columns("geometry").to_pylist()}


@pytest.mark.parametrize(
    ("tags", "height"),
    [
        ({"height": "12 m"}, (12.0, "tag")),
        ({"height": "40'"}, (pytest.approx(12.192), "tag")),
        ({"height": "12", "building:levels": "9"}, (12.0, "tag")),
        ({"building:levels": "4"}, (12.0, "levels")),
        ({"building:levels": "4", "roof:levels": "1"}, (15.0, "levels")),
        ({"height": "tall", "building:levels": "2"}, (6.0, "levels")),
        ({"building:levels": "0"}, None),
        ({"height": "tall"}, None),
        ({}, None),
    ],
)
def test_a_height_comes_from_the_best_tag(tags: dict[str, str], height: tuple[float, str] | None) -> None:
    assert known_height(tags) == height


@pytest.mark.parametrize(
    ("tags", "use"),
    [
        ({"building": "apartments"}, "residential"),
        ({"building": "yes", "amenity": "school"}, "education"),
        ({"building": "apartments", "amenity": "police"}, "public"),
        ({"building": "yes", "shop": "bakery"}, "commercial"),
        ({"building": "garage"}, "outbuilding"),
        ({"building": "yes"}, None),
    ],
)
def test_a_use_comes_from_the_finest_tag(tags: dict[str, str], use: str | None) -> None:
    assert building_use(tags) == use


def test_a_footprint_is_measured_in_square_metres(town: Town, tmp_path: Path) -> None:
    square(town, 50, 10.0, 50.0, 0.001, {"building": "yes"})
    building = layer(town, tmp_path, "buildings")["way/50"]
    # 0.001 deg at 50.0005 N: 111.229 m by 71.695 m (WGS 84).
    assert building["footprint_area"] == pytest.approx(111.229 * 71.695, rel=1e-4)


def test_a_courtyard_is_no_footprint(town: Town, tmp_path: Path) -> None:
    square(town, 50, 10.0, 50.0, 0.003, {})
    square(town, 51, 10.001, 50.001, 0.001, {})
    town.relation(60, [("way", 50, "outer"), ("way", 51, "inner")], {"type": "multipolygon", "building": "yes"})
    building = layer(town, tmp_path, "buildings")["relation/60"]
    assert building["footprint_area"] == pytest.approx(8 * 111.229 * 71.695, rel=1e-3)


def test_a_tower_tells_the_height_of_its_building(town: Town, tmp_path: Path) -> None:
    square(town, 50, 10.0, 50.0, 0.001, {"building": "church"})
    square(town, 51, 10.0002, 50.0002, 0.0002, {"building:part": "yes", "height": "80"})
    square(town, 52, 10.0005, 50.0005, 0.0002, {"building:part": "yes", "height": "20"})
    buildings = layer(town, tmp_path, "buildings")
    assert list(buildings) == ["way/50"]
    assert (buildings["way/50"]["height"], buildings["way/50"]["height_source"]) == (80.0, "tag")


def test_an_unknown_height_is_the_median_of_its_kind_and_says_so(town: Town, tmp_path: Path) -> None:
    for number, levels in enumerate((4, 4, 5, 6, 9)):
        square(
            town, 50 + number, 10.01, 50.0 + number / 100, 0.001, {"building": "office", "building:levels": str(levels)}
        )
    square(town, 60, 10.02, 50.0, 0.001, {"building": "office"})
    square(town, 61, 10.03, 50.0, 0.001, {"building": "garage"})
    buildings = layer(town, tmp_path, "buildings")
    assert (buildings["way/60"]["height"], buildings["way/60"]["height_source"]) == (15.0, "estimated")
    assert (buildings["way/60"]["levels"], buildings["way/60"]["levels_source"]) == (5, "estimated")
    assert (buildings["way/61"]["height"], buildings["way/61"]["height_source"]) == (3.0, "estimated")
    assert (buildings["way/54"]["height"], buildings["way/54"]["height_source"]) == (27.0, "levels")


def test_the_smallest_ground_tells_the_use_of_an_untagged_building(town: Town, tmp_path: Path) -> None:
    square(town, 40, 10.0, 50.0, 0.01, {"landuse": "residential"})
    square(town, 41, 10.002, 50.002, 0.004, {"amenity": "school"})
    square(town, 42, 10.0, 50.0, 0.02, {"landuse": "forest"})
    square(town, 50, 10.003, 50.003, 0.0005, {"building": "yes"})
    square(town, 51, 10.008, 50.008, 0.0005, {"building": "yes"})
    square(town, 52, 10.015, 50.015, 0.0005, {"building": "yes"})
    buildings = layer(town, tmp_path, "buildings")
    assert [(b["use"], b["use_source"]) for b in buildings.values()] == [
        ("education", "landuse"),
        ("residential", "landuse"),
        ("unknown", "none"),
    ]


def test_a_building_cut_by_the_extract_is_left_out_and_noted(town: Town, tmp_path: Path) -> None:
    square(town, 50, 10.0, 50.0, 0.001, {"building": "yes"})
    town.way(51, [1, 2, 999, 1], {"building": "yes"})
    assert list(layer(town, tmp_path, "buildings")) == ["way/50"]
    assert "1 areas reach beyond the extract" in (tmp_path / "twin" / "twin.json").read_text()


def test_parking_counts_what_is_tagged_and_marks_what_is_estimated(town: Town, tmp_path: Path) -> None:
    square(town, 50, 10.0, 50.0, 0.001, {"amenity": "parking", "capacity": "80"})
    square(town, 51, 10.002, 50.0, 0.001, {"amenity": "parking"})
    square(town, 52, 10.004, 50.0, 0.001, {"amenity": "parking", "parking": "multi-storey", "building:levels": "4"})
    square(town, 53, 10.006, 50.0, 0.001, {"amenity": "parking", "capacity": "many"})
    town.node(54, 10.008, 50.0, amenity="parking")
    town.node(55, 10.009, 50.0, amenity="bicycle_parking", capacity="12")
    found = layer(town, tmp_path, "parking")
    told = {id_: (row["vehicle"], row["capacity"], row["capacity_source"]) for id_, row in found.items()}
    assert told == {
        "way/50": ("car", 80, "tag"),
        "way/51": ("car", 318, "estimated"),  # 7,974 m2 at 25 m2 a car
        "way/52": ("car", 1275, "estimated"),  # on four decks
        "way/53": ("car", 318, "estimated"),
        "node/54": ("car", None, "none"),
        "node/55": ("bicycle", 12, "tag"),
    }


def test_signals_crossings_stops_trees_and_lamps_are_told_apart(town: Town, tmp_path: Path) -> None:
    town.node(2, 10.0, 50.0, highway="traffic_signals", traffic_signals__direction="forward")
    town.lines.pop(1)  # the plain node 2
    town.node(20, 10.1, 50.0, highway="crossing", crossing="traffic_signals")
    town.node(21, 10.1, 50.1, highway="crossing", crossing="uncontrolled", crossing__island="yes")
    town.node(22, 10.1, 50.2, highway="crossing")
    town.node(23, 10.1, 50.3, highway="bus_stop", name="Market", wheelchair="no")
    town.node(24, 10.1, 50.4, railway="tram_stop")
    town.node(25, 10.1, 50.5, natural="tree", height="12 m", species="Tilia cordata")
    town.node(26, 10.1, 50.6, highway="street_lamp", ref="17", light_source="led")
    signals = layer(town, tmp_path, "signals")
    assert {row["node"]: (row["kind"], row["direction"], row["on_street"]) for row in signals.values()} == {
        2: ("street", "forward", True),
        20: ("crossing", None, False),
    }

    def rows(name: str) -> list[dict[str, Any]]:
        return read_layer(tmp_path / "twin", name).to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types

    assert [(row["node"], row["kind"], row["island"]) for row in rows("crossings")] == [
        (20, "signals", False),
        (21, "marked", True),
        (22, "unknown", False),
    ]
    assert [(row["name"], row["kind"], row["wheelchair"]) for row in rows("stops")] == [
        ("Market", "bus", False),
        (None, "tram", None),
    ]
    assert [(row["species"], row["height"]) for row in rows("trees")] == [("Tilia cordata", 12.0)]
    assert [(row["ref"], row["light"]) for row in rows("lamps")] == [("17", "led")]
