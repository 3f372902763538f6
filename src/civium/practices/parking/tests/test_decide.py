"""Rules of the world that parking keeps."""

import numpy as np
import pytest

from civium.core import NeedUnmet, Plan, State
from civium.practices.parking.decide import bay_free, decide, start
from civium.practices.parking.memory import SLOT
from civium.practices.parking.params import ParkingParams
from civium.practices.parking.tests.views import BAYS, CAPACITY, MINUTE, NOON, town

PARAMS = ParkingParams()
DAY = 48


def value(plan: Plan, thing: int, name: str) -> float:
    (one,) = [e for e in plan.estimates if e.thing == thing and e.property == name]
    return one.value


def daily(slot: int) -> float:
    """A car park of 100 that is full at noon and empty at midnight."""
    return 50.0 - 45.0 * np.cos(2 * np.pi * slot / DAY)


def lived(
    days: float, shape: object = daily, begin: int = NOON // SLOT
) -> tuple[Plan, State, int, list[tuple[int, str, int]]]:
    """The plan after ``days`` of half hours, the state, the instant, and (slot, key, thing) of all notices."""
    state: State = {}
    plan, told, now = Plan(), [], begin * SLOT
    for k in range(round(days * DAY)):
        now = (begin + k) * SLOT
        counts = {1: float(shape(begin + k)), 3: 100.0 + 100 * np.sin(begin + k), 2: 20.0}  # type: ignore[operator]
        view = town({k: v for k, v in counts.items() if np.isfinite(v)}, now)
        state = state or start(view, PARAMS)
        plan, state = decide(view, state, PARAMS)
        told += [(k, n.key, n.about or 0) for n in plan.notices]
    return plan, state, now, told


def test_what_comes_each_day_is_foreseen() -> None:
    plan, _, now, _ = lived(15)
    slot = now // SLOT
    assert abs(value(plan, 1, "parked_vehicles_in_60_min") - daily(slot + 2)) < 3
    assert abs(value(plan, 1, "parked_vehicles_in_1_day") - daily(slot)) < 3


def test_a_full_car_park_is_unlikely_to_have_a_place_and_an_empty_one_has() -> None:
    view = town({1: 100.0, 3: 0.0, 2: 10.0})
    plan, _ = decide(view, start(view, PARAMS), PARAMS)
    assert value(plan, 1, "place_free_probability_in_15_min") < 0.5
    assert value(plan, 3, "place_free_probability_in_15_min") > 0.95
    assert all(0 <= e.value <= 1 for e in plan.estimates if "probability" in e.property)


def test_the_interval_holds_the_forecast_and_keeps_within_the_car_park() -> None:
    plan, _, _, _ = lived(3)
    for e in plan.estimates:
        if e.property.startswith("parked_vehicles"):
            assert e.lower is not None
            assert e.upper is not None
            assert 0 <= e.lower <= e.upper <= CAPACITY[e.thing]


def test_signs_do_not_send_all_cars_to_one_car_park() -> None:
    near_full = {1: 88.0, 2: 30.0, 3: 40.0}
    view = town(near_full, signs=6, cars=240.0)
    state, aims = start(view, PARAMS), set()
    for minute in range(12):
        plan, state = decide(town(near_full, NOON + minute * MINUTE, signs=6, cars=240.0), state, PARAMS)
        aims |= {c.value for c in plan.commands}
    assert len(aims) >= 2
    alone = {c.value for c in decide(view, start(view, PARAMS), PARAMS)[0].commands}
    assert alone == {"P1"}  # before a car is under way, all point to the nearest that is free


def test_no_sign_points_to_a_full_car_park() -> None:
    view = town({1: 100.0, 2: 40.0, 3: 10.0}, signs=3)
    plan, _ = decide(view, start(view, PARAMS), PARAMS)
    assert [c.value for c in plan.commands] == ["P3"] * 3
    assert all(c.until == NOON + 300_000_000 for c in plan.commands)


def test_a_count_that_stands_still_against_its_habit_is_stuck_and_left_out() -> None:
    stop = round(12.2 * DAY)

    def sticks(slot: int) -> float:
        return daily(min(slot, NOON // SLOT + stop))

    plan, _, _, told = lived(13, sticks)
    stuck = [k for k, key, thing in told if key == "stuck" and thing == 1]
    assert stuck
    assert stop < stuck[0] <= stop + 16
    assert not [e for e in plan.estimates if e.thing == 1]


def test_a_count_that_adds_up_missed_cars_is_named_and_the_season_is_not() -> None:
    def leaks(slot: int) -> float:
        return 0.5 * daily(slot) + 2.5 * max(slot - NOON // SLOT - 9 * DAY, 0) / DAY

    _, _, _, told = lived(18, leaks)
    assert (1, "drift") in {(thing, key) for _, key, thing in told}
    _, _, _, told = lived(18)
    assert not [key for _, key, _ in told if key == "drift"]


def test_silence_is_named_once_and_again_when_it_ends() -> None:
    plan, state, now, _ = lived(1)
    quiet = town({2: 20.0, 3: 50.0}, now + 3 * SLOT)
    plan, state = decide(quiet, state, PARAMS)
    assert [(n.key, n.about) for n in plan.notices if n.about == 1 and n.audience == "desk"] == [("silent", 1)]
    plan, state = decide(town({2: 20.0, 3: 50.0}, now + 4 * SLOT), state, PARAMS)
    assert not [n for n in plan.notices if n.key == "silent"]
    plan, state = decide(town({1: 20.0, 2: 20.0, 3: 50.0}, now + 5 * SLOT), state, PARAMS)
    assert ("right_again", 1) in [(n.key, n.about) for n in plan.notices]


@pytest.mark.parametrize("bad", [-10.0, 103.1, 1e12])
def test_what_cannot_be_is_left_out(bad: float) -> None:
    view = town({1: bad, 3: 10.0})
    plan, _ = decide(view, start(view, PARAMS), PARAMS)
    assert not [e for e in plan.estimates if e.thing == 1]
    assert ("impossible", 1) in [(n.key, n.about) for n in plan.notices]


@pytest.mark.parametrize("capacity", [0, -3, None, "many", float("nan"), True])
def test_without_a_capacity_nothing_is_said_of_free_places(capacity: object) -> None:
    view = town({1: 10.0, 3: 10.0}, capacity={1: capacity, 3: 250})
    plan, state = decide(view, start(view, PARAMS), PARAMS)
    assert not [e for e in plan.estimates if e.thing == 1]
    assert ("facts_missing", 1) in [(n.key, n.about) for n in plan.notices]
    plan, _ = decide(view, state, PARAMS)
    assert not [n for n in plan.notices if n.key == "facts_missing"]


def test_nothing_known_holds() -> None:
    for view in (town({}), town({1: np.nan, 2: np.inf})):
        with pytest.raises(NeedUnmet, match="ask who runs the sensors"):
            decide(view, start(view, PARAMS), PARAMS)


def test_bays_stand_in_for_a_counter_at_fault() -> None:
    taken = {k: float(k < 13) for k in BAYS}  # 3 of 12
    view = town({2: 999.0}, taken=taken)
    plan, _ = decide(view, start(view, PARAMS), PARAMS)
    assert value(plan, 2, "parked_vehicles_in_15_min") == pytest.approx(40 * 3 / 12)
    few = {k: v for k, v in taken.items() if k < 14}
    view = town({1: 3.0, 2: 999.0}, taken=few)
    plan, _ = decide(view, start(view, PARAMS), PARAMS)
    assert not [e for e in plan.estimates if e.thing == 2]


def test_a_bay_that_never_changes_while_its_neighbours_do_is_stuck() -> None:
    state: State = {}
    keys = set()
    for hour in range(60):
        now = NOON + hour * 60 * MINUTE
        taken = {k: float((k + hour) % 2) for k in BAYS} | {BAYS[0]: 1.0}
        view = town({1: 50.0}, now, taken=taken)
        state = state or start(view, PARAMS)
        plan, state = decide(view, state, PARAMS)
        keys |= {(n.key, n.about) for n in plan.notices}
    assert ("stuck", BAYS[0]) in keys
    assert len([1 for key, _ in keys if key == "stuck"]) == 1


def test_a_bay_forgets_its_state_as_fast_as_its_neighbours_change() -> None:
    one, half = np.array([1.0, 0.0]), np.full(2, 0.5)
    assert bay_free(one, half, np.zeros(2), 900) == pytest.approx([1.0, 0.0])
    assert bay_free(one, half, np.full(2, 1.0), 900) == pytest.approx([0.5, 0.5])


def test_a_clock_that_jumps_forgets_what_is_pending_and_goes_on() -> None:
    _, state, now, _ = lived(3)
    for jump in (-30 * DAY * SLOT, 400 * DAY * SLOT):
        view = town({1: 40.0, 3: 10.0}, now + jump)
        plan, after = decide(view, state, PARAMS)
        assert value(plan, 1, "parked_vehicles_in_15_min") >= 0
        assert int(after["slot"][0]) == view.now // SLOT


def test_car_parks_come_and_go_without_mixing_up() -> None:
    _, state, now, _ = lived(4)
    later = town({1: daily(now // SLOT), 9: 10.0}, now + MINUTE, capacity={1: 100, 9: 50})
    plan, after = decide(later, state, PARAMS)
    row = {int(k): i for i, k in enumerate(after["lot"])}
    old = {int(k): i for i, k in enumerate(state["lot"])}
    assert np.array_equal(after["week"][row[1]], state["week"][old[1]], equal_nan=True)
    assert np.isfinite(after["week"][row[9]]).sum() == 0
    assert {e.thing for e in plan.estimates} == {1, 9}
