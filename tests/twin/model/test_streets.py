"""The street graph of small towns whose every edge is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civium.core import InputRefused
from civium.twin.model.access import way_access
from civium.twin.model.osm import read_osm
from civium.twin.model.restrictions import build_restrictions
from civium.twin.model.streets import Streets, build_streets, lanes_of

Town = Any


def streets_of(town: Town, tmp_path: Path) -> Streets:
    extract = read_osm(town.write(tmp_path / "town.osm"))
    return build_streets(extract.ways, extract.nodes)


def turns(streets: Streets, mode: str = "car") -> set[tuple[int, int]]:
    return {(e["from_node"], e["to_node"]) for e in streets.edges if mode in e["modes"].split()}


def test_streets_are_cut_where_they_meet_and_run_both_ways(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 3], {"highway": "residential"}).way(101, [4, 2, 5], {"highway": "residential"})
    streets = streets_of(town, tmp_path)
    arms = {(1, 2), (2, 3), (4, 2), (2, 5)}
    assert turns(streets) == arms | {(b, a) for a, b in arms}
    degrees = {node["id"]: node["degree"] for node in streets.nodes}
    assert degrees == {1: 1, 2: 4, 3: 1, 4: 1, 5: 1}


def test_a_length_is_measured_on_the_ellipsoid(town: Town, tmp_path: Path) -> None:
    town.way(100, [4, 5], {"highway": "residential"})
    # 0.002 deg of a meridian at 50 N: 111,229 m a degree (WGS 84).
    assert [e["length"] for e in streets_of(town, tmp_path).edges] == pytest.approx([222.46, 222.46], abs=0.01)


def test_a_bend_is_no_junction_but_a_signal_is(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 3], {"highway": "residential"})
    assert len(streets_of(town, tmp_path).edges) == 2
    town.node(2, 10.0, 50.0, highway="traffic_signals;crossing")
    streets = streets_of(town, tmp_path)
    assert len(streets.edges) == 4
    assert [node["id"] for node in streets.nodes if node["signal"]] == [2]


def test_a_way_that_meets_itself_is_cut_there(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 3, 5, 2, 4], {"highway": "residential"})
    assert turns(streets_of(town, tmp_path)) == {(1, 2), (2, 1), (2, 2), (2, 4), (4, 2)}


@pytest.mark.parametrize(("oneway", "open_arms"), [("yes", {(1, 2), (2, 3)}), ("-1", {(2, 1), (3, 2)})])
def test_a_one_way_street_lets_cars_one_way_and_feet_both(
    town: Town, tmp_path: Path, oneway: str, open_arms: set[tuple[int, int]]
) -> None:
    town.way(100, [1, 2, 3], {"highway": "residential", "oneway": oneway}).way(101, [4, 2], {"highway": "footway"})
    streets = streets_of(town, tmp_path)
    assert turns(streets) == open_arms
    assert turns(streets, "bicycle") == open_arms
    assert {(1, 2), (2, 1), (2, 3), (3, 2)} <= turns(streets, "foot")
    for edge in streets.edges:
        drives = "car" in edge["modes"].split()
        assert (edge["lanes"] > 0) == drives == (edge["speed"] is not None)


def test_a_roundabout_runs_one_way(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 4, 3, 5, 1], {"highway": "primary", "junction": "roundabout"})
    town.way(101, [2, 3], {"highway": "primary"})
    streets = streets_of(town, tmp_path)
    assert {(1, 3), (3, 1)} == turns(streets) - {(2, 3), (3, 2)}
    assert all(e["oneway"] and e["roundabout"] for e in streets.edges if e["way"] == 100)


def test_speed_and_lanes_say_where_they_come_from(town: Town, tmp_path: Path) -> None:
    tags = {"highway": "primary", "maxspeed:forward": "30 mph", "maxspeed": "50", "lanes": "3", "lanes:backward": "1"}
    town.way(100, [1, 2], tags).way(101, [2, 3], {"highway": "residential", "maxspeed": "none"})
    town.way(102, [2, 4], {"highway": "residential", "zone:maxspeed": "DE:30"})
    found = {
        (e["from_node"], e["to_node"]): (e["speed"], e["speed_source"], e["lanes"], e["lanes_source"])
        for e in streets_of(town, tmp_path).edges
    }
    assert found[1, 2] == (pytest.approx(13.4112), "tag", 2, "tag")
    assert found[2, 1] == (pytest.approx(50 / 3.6), "tag", 1, "tag")
    assert found[2, 3][1] == "assumed"
    assert found[2, 4] == (pytest.approx(30 / 3.6), "zone", 1, "assumed")


def test_an_untagged_speed_is_the_towns_own_median(town: Town, tmp_path: Path) -> None:
    for number in range(10):
        town.node(200 + number, 10.002, 50.0 + number / 1000)
        town.way(200 + number, [3, 200 + number], {"highway": "residential", "maxspeed": "15 mph"})
    town.way(100, [1, 2], {"highway": "residential"})
    ours = [e for e in streets_of(town, tmp_path).edges if e["way"] == 100]
    assert [(e["speed"], e["speed_source"]) for e in ours] == [(pytest.approx(6.7056), "assumed")] * 2


@pytest.mark.parametrize(
    ("tags", "forward", "backward"),
    [
        ({"lanes": "4"}, 2, 2),
        ({"lanes": "3"}, 2, 1),
        ({"lanes": "1"}, 1, 1),
        ({"lanes": "3", "lanes:both_ways": "1"}, 1, 1),
        ({"lanes": "5", "lanes:forward": "3"}, 3, 2),
        ({"lanes:forward": "2", "lanes:backward": "1"}, 2, 1),
        ({"lanes": "2;3"}, 1, 1),
        ({}, 1, 1),
    ],
)
def test_lanes_are_shared_between_the_directions(tags: dict[str, str], forward: int, backward: int) -> None:
    assert (lanes_of(tags, "forward", False)[0], lanes_of(tags, "backward", False)[0]) == (forward, backward)


@pytest.mark.parametrize(
    ("tags", "modes"),
    [
        ({"highway": "residential"}, "bicycle bus car foot"),
        ({"highway": "motorway"}, "bus car"),
        ({"highway": "residential", "access": "no", "foot": "yes"}, "foot"),
        ({"highway": "residential", "motor_vehicle": "no"}, "bicycle foot"),
        ({"highway": "residential", "motor_vehicle": "no", "bus": "yes"}, "bicycle bus foot"),
        ({"highway": "pedestrian", "access": "yes"}, "foot"),
        ({"highway": "footway", "bicycle": "yes"}, "bicycle foot"),
        ({"highway": "footway", "bicycle": "dismount"}, "foot"),
        ({"highway": "track", "vehicle": "destination"}, "bicycle foot"),
        ({"highway": "pedestrian", "area": "yes", "motor_vehicle": "yes"}, "car bus foot"),
        ({"highway": "proposed"}, ""),
        ({"highway": "busway"}, "bus"),
    ],
)
def test_the_most_special_access_tag_wins(tags: dict[str, str], modes: str) -> None:
    assert way_access(tags).forward == frozenset(modes.split())


def test_contraflow_lets_bicycles_and_buses_against_a_one_way_street() -> None:
    tags = {"highway": "residential", "oneway": "yes", "cycleway:left": "opposite_lane", "oneway:bus": "no"}
    access = way_access(tags)
    assert access.backward == {"bicycle", "bus", "foot"}
    assert way_access({**tags, "oneway": "-1"}).forward == {"bicycle", "bus", "foot"}


def test_a_cut_street_ends_where_the_extract_does(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 999, 3, 4], {"highway": "residential"})
    streets = streets_of(town, tmp_path)
    assert turns(streets) == {(1, 2), (2, 1), (3, 4), (4, 3)}
    assert streets.cut_ways == 1


@pytest.mark.parametrize(
    "tags", [{"building": "yes"}, {"highway": "proposed"}, {"highway": "residential", "access": "no"}, {}]
)
def test_an_extract_without_a_street_is_refused(town: Town, tmp_path: Path, tags: dict[str, str]) -> None:
    town.way(100, [1, 2, 3], tags)
    with pytest.raises(InputRefused, match="holds no street"):
        streets_of(town, tmp_path)


def test_a_file_with_ways_before_nodes_gives_the_same_streets(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 3], {"highway": "residential"}).way(101, [4, 2, 5], {"highway": "footway"})
    town.way(102, [1, 4, 5, 1], {"building": "yes"})
    plain = read_osm(town.write(tmp_path / "plain.osm"))
    turned = read_osm(town.write(tmp_path / "turned.osm.gz", backwards=True))
    assert plain == turned
    assert len(plain.ways) == 2
    assert len(plain.areas) == 1


def test_an_extract_joined_from_two_answers_holds_each_thing_once(town: Town, tmp_path: Path) -> None:
    town.node(6, 10.002, 50.0, highway="traffic_signals").way(100, [1, 2, 3, 6], {"highway": "residential"})
    once = read_osm(town.write(tmp_path / "once.osm"))
    town.lines += town.lines
    twice = read_osm(town.write(tmp_path / "twice.osm"))
    assert once == twice
    assert [node.id for node in twice.nodes] == [6]


def test_a_town_numbered_below_zero_by_an_editor_is_read(town: Town, tmp_path: Path) -> None:
    town.node(-1, 10.002, 50.0).node(-2, 10.003, 50.0).node(-3, 10.002, 50.001)
    town.way(-10, [3, -1, -2], {"highway": "residential"}).way(-11, [-1, -2, -3, -1], {"building": "house"})
    extract = read_osm(town.write(tmp_path / "new.osm"))
    assert len(extract.areas) == 1
    edges = build_streets(extract.ways, extract.nodes).edges
    assert sum(e["length"] for e in edges) == pytest.approx(4 * 71.7, abs=0.5)  # 0.001 deg of the parallel of 50 N
    assert all(0 < e["id"] < 2**53 for e in edges)


def restrictions(town: Town, tmp_path: Path) -> list[dict[str, Any]]:
    extract = read_osm(town.write(tmp_path / "town.osm"))
    streets = build_streets(extract.ways, extract.nodes)
    return build_restrictions(extract.restrictions, streets.edges, streets.nodes)


FROM_TO = [("way", 100, "from"), ("node", 2, "via"), ("way", 101, "to")]


def test_a_turn_restriction_names_its_edges(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2], {"highway": "residential"}).way(101, [2, 3], {"highway": "residential"})
    town.relation(7, FROM_TO, {"type": "restriction", "restriction": "no_left_turn", "except": "psv"})
    edges = {e["id"]: (e["from_node"], e["to_node"]) for e in streets_of(town, tmp_path).edges}
    (row,) = restrictions(town, tmp_path)
    assert (row["kind"], row["except"], row["via_node"]) == ("no_left_turn", "psv", 2)
    assert (edges[row["from_edge"]], edges[row["to_edge"]]) == ((1, 2), (2, 3))


def test_an_ambiguous_restriction_names_no_edge(town: Town, tmp_path: Path) -> None:
    # Both ways run through the node of the turn: which half is meant cannot be known.
    town.way(100, [1, 2, 3], {"highway": "residential"}).way(101, [4, 2, 5], {"highway": "residential"})
    town.relation(7, FROM_TO, {"type": "restriction", "restriction": "no_left_turn"})
    (row,) = restrictions(town, tmp_path)
    assert (row["from_edge"], row["to_edge"]) == (None, None)


def test_conditional_and_modal_restrictions_keep_their_words(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2], {"highway": "residential"}).way(101, [2, 3], {"highway": "residential"})
    town.relation(7, FROM_TO, {"type": "restriction", "restriction:conditional": "no_right_turn @ (Mo-Fr 07:00-09:00)"})
    town.relation(8, FROM_TO, {"type": "restriction", "restriction:hgv": "no_right_turn"})
    rows = restrictions(town, tmp_path)
    assert [(r["kind"], r["condition"], r["applies_to"]) for r in rows] == [
        ("no_right_turn", "Mo-Fr 07:00-09:00", None),
        ("no_right_turn", None, "hgv"),
    ]


def test_a_restriction_over_a_way_ties_to_that_ways_ends(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2], {"highway": "residential"}).way(101, [2, 3], {"highway": "residential"})
    town.way(102, [3, 5], {"highway": "residential"})
    members = [("way", 100, "from"), ("way", 101, "via"), ("way", 102, "to")]
    town.relation(7, members, {"type": "restriction", "restriction": "no_u_turn"})
    edges = {e["id"]: (e["from_node"], e["to_node"]) for e in streets_of(town, tmp_path).edges}
    (row,) = restrictions(town, tmp_path)
    assert (edges[row["from_edge"]], edges[row["to_edge"]], row["via_way"]) == ((1, 2), (3, 5), 101)


@pytest.mark.parametrize("name", ["krems", "monaco", "helsinki"])
def test_every_real_town_is_mostly_one_connected_net(name: str, towns: Callable[[str], dict[str, Path]]) -> None:
    extract = read_osm(towns(name)["source"])
    streets = build_streets(extract.ways, extract.nodes)
    near: dict[int, set[int]] = {}
    for a, b in turns(streets):
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    sizes = []
    unseen = set(near)
    while unseen:
        ahead, size = [unseen.pop()], 1
        while ahead:
            for other in near[ahead.pop()] & unseen:
                unseen.discard(other)
                ahead.append(other)
                size += 1
        sizes.append(size)
    assert max(sizes) > 0.8 * len(near)
