"""What people type into tags is read with the right unit, or not at all."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.twin.model.tags import (
    FASTEST,
    TALLEST,
    parse_count,
    parse_height,
    parse_lanes,
    parse_length,
    parse_levels,
    parse_oneway,
    parse_speed,
)

KMH = 1 / 3.6


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ("50", 50),
        (" 50 ", 50),
        ("50 km/h", 50),
        ("50kmh", 50),
        ("7.5", 7.5),
        ("30 mph", 48.28032),
        ("30mph", 48.28032),
        ("10 knots", 18.52),
        ("walk", 5),
        ("RO:urban", 50),
        ("RU:urban", 60),
        ("DE:rural", 100),
        ("FR:motorway", 130),
        ("GB:nsl_single", 96.56064),
        ("DE:zone:30", 30),
        ("DE:zone30", 30),
        ("FR:zone:30", 30),
        ("GB:zone:20", 32.18688),
        ("BE-VLG:rural", 70),
        ("FR:50", 50),
        ("50;30", 30),
        ("DE:living_street", 7),
    ],
)
def test_a_speed_is_read_in_its_unit(text: str, kmh: float) -> None:
    assert parse_speed(text) == pytest.approx(kmh * KMH)


@pytest.mark.parametrize(
    "text",
    ["", "none", "signals", "variable", "fast", "-30", "0", "5000", "50;fast", "30 @ (22:00-06:00)", "DE:moon", "nan"],
)
def test_a_speed_that_names_no_figure_is_not_guessed(text: str) -> None:
    assert parse_speed(text) is None


@given(st.integers(1, 80))
def test_a_mile_is_a_mile(miles: int) -> None:
    speed = parse_speed(f"{miles} mph")
    assert speed == pytest.approx(miles * 1609.344 / 3600)
    assert speed == parse_speed(f"{miles}mph")


@given(st.integers(1, 140), st.integers(1, 140))
def test_of_a_list_of_speeds_the_lowest_counts(one: int, other: int) -> None:
    assert parse_speed(f"{one}; {other}") == pytest.approx(min(one, other) * KMH)


@given(st.text(max_size=30) | st.from_regex(r"[0-9.,;: a-zA-Z'\"@()-]{1,20}", fullmatch=True))
def test_no_text_breaks_a_parser_or_yields_an_impossible_value(text: str) -> None:
    bounds: list[tuple[Callable[[str], float | None], float, float]] = [
        (parse_speed, 1e-9, FASTEST + 1e-6),
        (parse_lanes, 1, 20),
        (parse_height, 1e-9, TALLEST),
        (parse_length, 0, math.inf),
        (parse_levels, 0, 200),
        (parse_count, 0, 999_999),
    ]
    for parse, low, high in bounds:
        value = parse(text)
        assert value is None or low <= value <= high
    assert parse_oneway({"oneway": text, "highway": "residential"}) in {"both", "forward", "backward"}


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("12", 12),
        ("12 m", 12),
        ("12m", 12),
        ("12.5 m", 12.5),
        ("12,5", 12.5),
        ("40'", 12.192),
        ("40 ft", 12.192),
        ("40 feet", 12.192),
        ("5'6\"", 1.6764),
        ("5' 6\"", 1.6764),
        ("5′6″", 1.6764),
        ("6 ft 3 in", 1.905),
        ('72"', 1.8288),
        ("0.5 km", 500),
        ("250 cm", 2.5),
    ],
)
def test_a_length_is_read_in_its_unit(text: str, metres: float) -> None:
    assert parse_length(text) == pytest.approx(metres)


@pytest.mark.parametrize("text", ["", "high", "-3", "12-15", "~12", "3 storeys", "1e3", "12 12", "∞"])
def test_a_length_that_is_vague_is_not_guessed(text: str) -> None:
    assert parse_length(text) is None


@given(st.integers(0, 300), st.integers(0, 11))
def test_feet_and_inches_add_up(feet: int, inches: int) -> None:
    assert parse_length(f"{feet}'{inches}\"") == pytest.approx((feet * 12 + inches) * 0.0254)


@given(st.integers(1, 99), st.integers(0, 99))
def test_comma_and_point_mean_the_same(whole: int, part: int) -> None:
    assert parse_length(f"{whole},{part:02}") == parse_length(f"{whole}.{part:02} m")


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("2", 2),
        ("2;3", 2),
        ("3;2", 2),
        ("1.5", 1),
        ("0", None),
        ("-1", None),
        ("two", None),
        ("2|3", None),
        ("99", None),
    ],
)
def test_lanes_take_the_lowest_of_a_list(text: str, lanes: int | None) -> None:
    assert parse_lanes(text) == lanes


@pytest.mark.parametrize(
    ("text", "levels"), [("3", 3), ("3.5", 3.5), ("2;4", 4), ("-1", None), ("G+3", None), ("900", None)]
)
def test_levels_take_the_highest_of_a_list(text: str, levels: float | None) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize(
    ("tags", "direction"),
    [
        ({"oneway": "yes"}, "forward"),
        ({"oneway": "true"}, "forward"),
        ({"oneway": "1"}, "forward"),
        ({"oneway": "-1"}, "backward"),
        ({"oneway": "reverse"}, "backward"),
        ({"oneway": "no", "junction": "roundabout"}, "both"),
        ({"junction": "roundabout"}, "forward"),
        ({"junction": "circular"}, "forward"),
        ({"highway": "motorway"}, "forward"),
        ({"highway": "motorway_link", "oneway": "no"}, "both"),
        ({"highway": "residential"}, "both"),
        ({"oneway": "reversible"}, "both"),
    ],
)
def test_the_direction_of_a_way(tags: dict[str, str], direction: str) -> None:
    assert parse_oneway(tags) == direction
