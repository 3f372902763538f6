"""Rules of the world that congestion keeps."""

import json

import numpy as np
import pytest

from civium.core import NeedUnmet, Plan, State
from civium.practices.congestion.decide import INCIDENT, NOTHING, ROUTINE, decide, start
from civium.practices.congestion.memory import STEP
from civium.practices.congestion.params import CongestionParams
from civium.practices.congestion.tests.views import FREE, LEADS, MINUTE, MONDAY, facts, town

PARAMS = CongestionParams()
FLOWS = dict.fromkeys(LEADS, 10.0)
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def usual(now: int, rng: np.random.Generator) -> dict[int, float]:
    """Free flow, but for segment 2 from eight to nine; readings jump about a little."""
    rush = 8 <= now % DAY / HOUR < 9
    return {k: (3.0 if k == 2 and rush else 12.0) + float(rng.normal(0, 0.4)) for k in LEADS}


def lived(until: int, begin: int = MONDAY, every: int = 5 * MINUTE) -> tuple[State, list[tuple[int, str, int | None]]]:
    """State and notices of ordinary days, a reading every five minutes."""
    state: State = {}
    told = []
    rng = np.random.default_rng(1)
    for now in range(begin, until, every):
        view = town(usual(now, rng), now, FLOWS)
        state = state or start(view, PARAMS)
        plan, state = decide(view, state, PARAMS)
        told += [(now, n.key, n.about) for n in plan.notices]
    return state, told


@pytest.fixture(scope="module")
def learned() -> State:
    """Two and a half ordinary days, to Wednesday noon."""
    return lived(MONDAY + 2 * DAY + 12 * HOUR)[0]


NOON = MONDAY + 2 * DAY + 12 * HOUR


def minutes(
    state: State, speeds: list[dict[int, float]], begin: int = NOON
) -> tuple[Plan, State, list[tuple[int, str]]]:
    """A turn each minute; notices as (minute, key)."""
    told, plan = [], Plan()
    for k, speed in enumerate(speeds):
        plan, state = decide(town(dict.fromkeys(LEADS, 12.0) | speed, begin + k * MINUTE, FLOWS), state, PARAMS)
        told += [(k, n.key) for n in plan.notices]
    return plan, state, told


def test_a_sudden_slow_down_is_an_incident_within_two_minutes(learned: State) -> None:
    _, state, told = minutes(learned, [{}] * 5 + [{3: 2.0}] * 3)
    assert [one for one in told if one[1] == "incident"] == [(5, "incident")]
    assert state["told"][2] == INCIDENT


def test_the_jam_of_every_morning_is_routine_and_the_same_one_at_noon_is_not() -> None:
    state, told = lived(MONDAY + 3 * DAY)
    third = [key for now, key, about in told if about == 2 and now >= MONDAY + 2 * DAY]
    assert third[:1] == ["jam"]
    slow = [{2: v} for v in (11.0, 10.0, 9.0, 8.0, 7.5, 7.0, 6.5, 6.0, 5.5, 5.0, 4.5, 4.0, 3.5)]
    _, state, told_now = minutes(state, [{}] * 4 + slow, MONDAY + 3 * DAY + 12 * HOUR)
    assert "incident" in [key for _, key in told_now]


def test_an_incident_ends_when_traffic_has_flowed_for_a_while(learned: State) -> None:
    _, state, told = minutes(learned, [{}] * 5 + [{3: 1.0}] * 5 + [{}] * 5)
    assert [key for _, key in told if key in ("incident", "clear")] == ["incident", "clear"]
    assert [minute for minute, key in told if key == "clear"] == [12]
    assert state["told"][2] == NOTHING


def test_drivers_are_led_round_but_not_all_of_them(learned: State) -> None:
    plan, _, told = minutes(learned, [{}] * 5 + [{3: 0.5, 2: 6.0}] * 2)
    assert "detour" in [key for _, key in told]
    (command,) = plan.commands
    (way,) = json.loads(str(command.value))
    assert (way["avoid"], way["after"], way["path"], way["rejoin"]) == ("s3", "s2", ["s5", "s6"], "s4")
    assert 0 < way["share"] <= PARAMS.followers
    assert command.until == NOON + 6 * MINUTE + 300_000_000


def test_nobody_is_led_into_another_jam(learned: State) -> None:
    plan, _, _ = minutes(learned, [{}] * 5 + [{3: 2.0, 5: 0.8, 6: 0.8}] * 2)
    ways = [way for c in plan.commands for way in json.loads(str(c.value))]
    assert not [way for way in ways if {"s5", "s6"} & set(way["path"])]


def test_a_full_way_takes_fewer_than_an_empty_one(learned: State) -> None:
    shares = []
    for load in (2.0, 40.0):
        state = learned
        for k, speed in enumerate([{}] * 5 + [{3: 1.5}] * 2):
            flows = FLOWS | {5: load, 6: load}
            plan, state = decide(town(dict.fromkeys(LEADS, 12.0) | speed, NOON + k * MINUTE, flows), state, PARAMS)
        ways = [way for c in plan.commands for way in json.loads(str(c.value))]
        shares.append(sum(way["share"] for way in ways))
    assert shares[0] > shares[1]


def test_forecasts_come_back_to_the_usual_with_an_interval_around(learned: State) -> None:
    plan, _, _ = minutes(learned, [{}] * 6)
    ahead = {e.property: e for e in plan.estimates if e.thing == 2}
    assert abs(ahead["vehicle_speed_in_60_min"].value - 12.0) < 1.0
    e = ahead["vehicle_speed_in_30_min"]
    assert e.lower is not None
    assert e.upper is not None
    assert e.lower < e.value < e.upper
    state, _ = lived(MONDAY + 3 * DAY + 7 * HOUR + 31 * MINUTE)
    plan, _, _ = minutes(state, [{}], MONDAY + 3 * DAY + 7 * HOUR + 35 * MINUTE)
    morning = {e.property: e.value for e in plan.estimates if e.thing == 2}
    assert morning["vehicle_speed_in_60_min"] < 6.0  # the jam of eight o'clock


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e9])
def test_what_cannot_be_is_as_if_it_had_not_come(learned: State, bad: float) -> None:
    plan, state, _ = minutes(learned, [{}] * 2 + [{3: bad}])
    assert {e.value for e in plan.estimates if e.property == "congestion_state"} == {0.0}
    assert all(np.isfinite(e.value) for e in plan.estimates)
    assert state["told"][2] == NOTHING


def test_silence_holds_and_old_readings_are_no_present(learned: State) -> None:
    with pytest.raises(NeedUnmet, match="ask who runs the detectors"):
        decide(town({}, NOON), learned, PARAMS)
    with pytest.raises(NeedUnmet):
        decide(town({1: 5.0}, NOON, age=11 * MINUTE), learned, PARAMS)


def test_a_stuck_detector_makes_no_incident(learned: State) -> None:
    _, _, told = minutes(learned, [{3: 12.0}] * 30)
    assert told == []


def test_facts_that_are_missing_or_wrong_leave_the_rest_working() -> None:
    told = {1: {}, 2: {"length_m": 0, "lanes": "two", "leads_to": ["s9"]}, 3: facts(3)}
    state: State = {}
    for k in range(100):
        view = town({1: 10.0, 2: 10.0, 3: 12.0 if k < 95 else 1.0}, MONDAY + k * MINUTE, FLOWS, told)
        state = state or start(view, PARAMS)
        plan, state = decide(view, state, PARAMS)
    assert plan.commands == ()  # nobody is known to lead anywhere
    assert {e.thing for e in plan.estimates} == {1, 2, 3}


def test_a_clock_that_jumps_goes_on(learned: State) -> None:
    for jump in (-10 * DAY, 300 * DAY):
        plan, after = decide(town(dict.fromkeys(LEADS, 12.0), NOON + jump, FLOWS), learned, PARAMS)
        assert len([e for e in plan.estimates if e.property == "congestion_state"]) == len(LEADS)
        assert int(after["step"][0]) == (NOON + jump) // STEP


def test_segments_come_and_go_without_mixing_up(learned: State) -> None:
    told = {2: facts(2), 8: {"code": "s8", "length_m": 100.0}}
    _, after = decide(town({2: 12.0, 8: FREE}, NOON, told=told), learned, PARAMS)
    assert after["segment"].tolist() == [2, 8]
    kept = (after["asked_12"][0] == learned["asked_12"][1]).all(axis=1)
    assert kept.sum() >= 10  # of twelve pending forecasts
    assert after["drops"][1] == 0


def test_a_routine_jam_gets_no_ways_round() -> None:
    state, _ = lived(MONDAY + 2 * DAY + 8 * HOUR + 20 * MINUTE)
    assert state["told"][1] == ROUTINE
    plan, _, _ = minutes(state, [{2: 3.0}], MONDAY + 2 * DAY + 8 * HOUR + 21 * MINUTE)
    assert plan.commands == ()
