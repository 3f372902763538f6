"""Streets and routes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.practices.emergency_corridor.city_map import Place, places_near, streets_of
from civium.practices.emergency_corridor.junctions import junctions_of
from civium.practices.emergency_corridor.route import fastest

GRID = 4  # a square of so many junctions each way; streets in both directions


def grid() -> list[dict[str, object]]:
    def node(i: int, j: int) -> list[float]:
        return [10.0 + 1e-3 * i, 50.0 + 1e-3 * j]

    ways = [((i, j), (i + 1, j)) for i in range(GRID - 1) for j in range(GRID)]
    ways += [((i, j), (i, j + 1)) for i in range(GRID) for j in range(GRID - 1)]
    ways += [(b, a) for a, b in ways]
    return [
        {
            "street": f"{a}{b}",
            "to": [f"{c}{d}" for c, d in ways if c == b and d != a],
            "length_m": 100.0,
            "speed_m_s": 10.0,
            "shape": [node(*a), node(*b)],
        }
        for a, b in ways
    ]


ROWS = tuple((i + 1, json.dumps(street)) for i, street in enumerate(grid()))
STREETS = streets_of(ROWS)


@given(st.integers(0, len(ROWS) - 1), st.integers(0, len(ROWS) - 1), st.integers(0, 2**31))
def test_a_route_is_connected_and_no_longer_than_any_other(start: int, end: int, seed: int) -> None:
    times = np.random.default_rng(seed).uniform(5.0, 50.0, len(ROWS))
    route, time, begin = fastest(STREETS, times, [Place(start, 0.0, 0.0)], [Place(end, 100.0, 0.0)])
    assert (route[0], route[-1], begin.street) == (start, end, start)
    assert all(b in STREETS.following[a] for a, b in zip(route[:-1].tolist(), route[1:].tolist(), strict=True))
    assert time == pytest.approx(_bellman_ford(times, start, end))


def _bellman_ford(times: np.ndarray, start: int, end: int) -> float:
    best = np.full(len(times), np.inf)
    best[start] = times[start]
    for _ in range(len(times)):
        for a, onward in enumerate(STREETS.following):
            for b, turning in zip(onward, STREETS.turning[a], strict=True):
                best[b] = min(best[b], best[a] + turning + times[b])
    return float(best[end])


def test_what_lies_behind_on_the_same_street_is_driven_round_to() -> None:
    times = np.full(len(ROWS), 10.0)
    ahead, time, _ = fastest(STREETS, times, [Place(0, 20.0, 0.0)], [Place(0, 80.0, 0.0)])
    assert (ahead.tolist(), time) == ([0], pytest.approx(6.0))
    around, _, _ = fastest(STREETS, times, [Place(0, 80.0, 0.0)], [Place(0, 20.0, 0.0)])
    assert len(around) > 3
    assert around[0] == around[-1] == 0


def test_a_target_that_cannot_be_reached_has_no_route() -> None:
    lonely = json.dumps(grid()[0] | {"to": []})
    streets = streets_of(((1, lonely), *ROWS[1:]))
    route, time, _ = fastest(streets, np.full(len(ROWS), 10.0), [Place(0, 0.0, 0.0)], [Place(5, 0.0, 0.0)])
    assert len(route) == 0
    assert time == float("inf")


def test_the_nearest_street_comes_first_and_a_heading_chooses_the_direction() -> None:
    middle = STREETS.plane(np.array([[10.0005, 50.00002]]))[0]
    near = places_near(STREETS, middle, 30.0)
    assert {STREETS.key[p.street] for p in near} == {"(0, 0)(1, 0)", "(1, 0)(0, 0)"}
    (east,) = places_near(STREETS, middle, 30.0, np.array([1.0, 0.0]))
    assert STREETS.key[east.street] == "(0, 0)(1, 0)"
    assert east.along == pytest.approx(50.0, abs=0.5)
    assert places_near(STREETS, middle + 500.0, 30.0) == []


@pytest.mark.parametrize(
    "facts",
    ["", "[]", "{}", '{"street": 1}', json.dumps(grid()[0] | {"length_m": 0}),
     json.dumps(grid()[0] | {"shape": [[1, 2]]}),
     json.dumps(grid()[0] | {"speed_m_s": "fast"}), json.dumps(grid()[0] | {"shape": [[1, 2], [float("nan"), 2]]}),
     json.dumps(grid()[0] | {"to": [3]}), json.dumps(grid()[0]).replace("100.0", "1e999")],
)  # fmt: skip
def test_a_street_that_cannot_be_used_is_left_out(facts: str) -> None:
    assert len(streets_of(((99, facts), *ROWS)).thing) == len(ROWS)


@pytest.mark.parametrize("facts", ["", "[]", "{}", '{"signal": "x", "phases": 3}', '{"signal": "x", "phases": [{}]}'])
def test_a_signal_that_cannot_be_used_is_left_out(facts: str) -> None:
    assert junctions_of(((1, facts),), ((2, facts),), STREETS.key).signals == ()
