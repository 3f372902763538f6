"""What the practice promises about its figures."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import NeedUnmet, Plan
from civium.practices.travel_time.decide import decide
from civium.practices.travel_time.emission import CLASSES, grams_per_metre
from civium.practices.travel_time.matching import Legs, Passages, flows_of, legs_of, visits_of
from civium.practices.travel_time.params import TravelTimeParams

_spec = spec_from_file_location("travel_time_world", Path(__file__).with_name("world.py"))
assert _spec is not None
assert _spec.loader is not None
world: Any = module_from_spec(_spec)
_spec.loader.exec_module(world)
PARAMS = TravelTimeParams()


def figures(plan: Plan, thing: int = 21) -> dict[str, float]:
    return {e.property: e.value for e in plan.estimates if e.thing == thing}


def plan_of(*parts: tuple[Any, Any, Any]) -> Plan:
    joined = [np.concatenate([part[i] for part in parts]) for i in range(3)]
    plan, _ = decide(world.view(*joined), {}, PARAMS)
    return plan


def test_the_travel_time_is_that_of_those_who_drove_through() -> None:
    reader, seconds, device = world.drive(90.0, 80)
    plan = plan_of((reader, seconds, device))
    told = figures(plan)
    truth = float(np.mean(seconds[:80] - seconds[80:]))
    assert told["travel_time"] == pytest.approx(truth, rel=0.01)
    assert told["travel_speed"] == pytest.approx(600.0 / told["travel_time"])
    estimate = next(e for e in plan.estimates if e.property == "travel_time")
    assert estimate.lower is not None
    assert estimate.upper is not None
    assert estimate.lower < truth < estimate.upper
    assert (estimate.until, estimate.time) == (world.NOON, world.NOON - 900_000_000)
    assert figures(plan, 22) == {}


def test_who_stops_on_the_way_walks_or_flies_does_not_count() -> None:
    cars = world.drive(90.0, 60)
    others = [
        world.drive(700.0, 6, 0.2, 2, 9000),
        world.drive(430.0, 5, 0.1, 3, 9100),
        world.drive(8.0, 4, 0.1, 4, 9200),
    ]
    alone, mixed = figures(plan_of(cars)), figures(plan_of(cars, *others))
    assert mixed["travel_time"] == pytest.approx(alone["travel_time"], rel=0.02)


def test_a_jam_that_all_are_in_is_no_outlier() -> None:
    rng = np.random.default_rng(5)
    arrived = np.sort(rng.uniform(5, 880, 120))[::-1]
    took = np.where(arrived < 450, 400.0, 90.0) * np.exp(rng.normal(0, 0.1, 120))
    device = np.arange(120)
    plan = plan_of((np.repeat([0, 1], 120), np.concatenate([arrived + took, arrived]), np.tile(device, 2)))
    assert figures(plan)["travel_time"] == pytest.approx(float(took.mean()), rel=0.05)


def test_detections_again_and_several_devices_of_a_vehicle_change_nothing() -> None:
    reader, seconds, device = world.drive(90.0, 50)
    once = figures(plan_of((reader, seconds, device)))
    earlier = (reader, seconds + np.random.default_rng(1).uniform(1, 25, len(seconds)), device)
    second_phone = (reader, seconds, device + 500_000)
    again = figures(plan_of((reader, seconds, device), earlier, second_phone))
    assert again["travel_time"] == pytest.approx(once["travel_time"])
    assert again["carbon_dioxide"] == pytest.approx(once["carbon_dioxide"])


def test_fewer_than_five_vehicles_are_not_told() -> None:
    assert plan_of(world.drive(90.0, 4)).estimates == ()
    assert plan_of(world.drive(90.0, 8)).estimates != ()


@pytest.mark.parametrize("facts", [{}, {"from": "a", "to": "b", "length_m": 0, "free_speed_m_s": 10}, {"from": "a"}])
def test_without_a_link_that_can_be_used_it_says_what_is_missing(facts: dict[str, Any]) -> None:
    seen = world.view(*world.drive(90.0, 20), of=world.things({21: ("a", "b")}, facts))
    with pytest.raises(NeedUnmet, match="road_link"):
        decide(seen, {}, PARAMS)


def test_slow_traffic_emits_more_on_a_metre_and_the_fleet_is_whole() -> None:
    assert sum(CLASSES.values()) == pytest.approx(1.0)
    speeds = np.array([1.0, 3.0, 6.0, 14.0, np.nan])
    carbon = grams_per_metre("CO2", speeds)
    assert (np.diff(carbon[:4]) < 0).all()
    assert np.isnan(carbon[4])
    assert 0.1 < carbon[3] < 0.3  # 100 to 300 g/km at 50 km/h


def test_flows_are_of_whole_trips_and_small_ones_are_not_told() -> None:
    device = np.arange(20)
    n = len(device)
    heard = Passages(
        np.repeat([0, 1, 2], n), np.concatenate([device, device + 100, device + 200]) * 1_000_000, np.tile(device, 3)
    )
    back = Passages(np.array([2, 0]), np.array([0, 90_000_000]), np.array([99, 99]))
    all_of = Passages(*(np.concatenate([getattr(p, f) for p in (heard, back)]) for f in ("reader", "time", "device")))
    flows = flows_of(legs_of(visits_of(all_of, PARAMS), PARAMS), 3, PARAMS)
    assert flows[0, 2] == 20
    assert flows.sum() == 20


@settings(max_examples=60, deadline=None)
@given(
    heard=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4000), st.integers(0, 5)), max_size=60),
    seed=st.integers(0, 99),
)
def test_the_order_of_detections_changes_nothing_and_legs_join(heard: list[tuple[int, int, int]], seed: int) -> None:
    table = np.array(heard, np.int64).reshape(-1, 3)
    mixed = table[np.random.default_rng(seed).permutation(len(table))]

    def legs(rows: Any) -> Legs:
        return legs_of(visits_of(Passages(rows[:, 0], rows[:, 1] * 1_000_000, rows[:, 2]), PARAMS), PARAMS)

    first, second = legs(table), legs(mixed)
    for name in ("origin", "target", "start", "end", "device"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert (first.end >= first.start).all()
    assert (first.origin != first.target).all()
