"""What the practice promises about its plans."""

import importlib.util
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from civium.acts.guard import Guard, Held
from civium.core import digest
from civium.core.clock import MICROSECONDS
from civium.core.errors import NeedUnmet
from civium.core.nouns import Mandate, Tier
from civium.core.practice import Command, Plan, State
from civium.core.view import View
from civium.practices.emergency_corridor import PRACTICE
from civium.practices.emergency_corridor.decide import decide, start
from civium.practices.emergency_corridor.params import CorridorParams
from civium.practices.signal_control import PRACTICE as SIGNAL_CONTROL


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emergency_corridor_views", Path(__file__).with_name("views.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


views = _load()
PARAMS = CorridorParams()
Said = tuple[str | None, str | None, float | None]
At = Callable[[int], View]


def instant(second: float) -> int:
    return int(views.NOON + round(second * MICROSECONDS))


def turns(at: At, seconds: int, begin: int = 0, state: State | None = None) -> tuple[dict[int, Plan], State]:
    """Plans by second of turns two seconds apart; ``at(second)`` makes the View."""
    plans = {}
    for second in range(begin, begin + seconds, 2):
        seen = at(second)
        state = start(seen, PARAMS) if state is None else state
        plans[second], state = decide(seen, state, PARAMS)
    assert state is not None
    return plans, state


def drive(second: int, speed: float = 15.0, vehicle: int = 31, **more: object) -> View:
    """A vehicle that drives along the main street from its beginning."""
    said = {vehicle: (views.mission(), views.point(speed * second), speed)}
    return views.view(instant(second), said, **more)


def held(plan: Plan) -> dict[int, float]:
    """Phase that is wished for with the highest tier, by signal."""
    return {c.actuator - 500: float(c.value) for c in plan.commands if c.tier is Tier.LIFE}


def keys(plans: Mapping[int, Plan]) -> list[str]:
    return [notice.key for plan in plans.values() for notice in plan.notices]


def test_each_signal_turns_green_ahead_of_the_vehicle_and_is_let_go_behind_it() -> None:
    plans, _ = turns(drive, 80)
    for k, signal in enumerate(views.SIGNALS):
        passes = 20 * (k + 1)
        wished = [second for second, plan in plans.items() if signal in held(plan)]
        assert all(held(plans[second])[signal] == views.MAIN for second in wished)
        assert passes - 16 <= wished[0] <= passes - 10  # change 5 s, start 2 s, margin 6 s
        assert wished[-1] <= passes + 2
        assert wished == list(range(wished[0], wished[-1] + 2, 2))


def test_a_longer_queue_gets_green_earlier() -> None:
    first = {}
    for queue in (0.0, 4.0):
        plans, _ = turns(lambda t, q=queue: drive(t, queues={(2, "main"): q}), 40)
        first[queue] = min(second for second, plan in plans.items() if 2 in held(plan))
    assert first[0.0] - first[4.0] == pytest.approx(4 * PARAMS.headway, abs=2)


def test_a_wish_is_of_the_highest_tier_lapses_soon_and_says_why() -> None:
    plans, _ = turns(drive, 12)
    command = plans[10].commands[0]
    assert command.tier is Tier.LIFE
    assert 2 < (command.until - instant(10)) / MICROSECONDS <= 10
    assert "emergency vehicle arrives in about 10 s" in command.because


def test_what_is_said_in_public_names_neither_vehicle_nor_target() -> None:
    plans, _ = turns(drive, 60)
    said = " ".join(c.because for plan in plans.values() for c in plan.commands)
    assert said
    assert "31" not in said
    assert "main" not in said


def test_who_waited_longest_goes_next_at_the_lowest_tier() -> None:
    plans, _ = turns(lambda t: drive(t, queues={(1, "side"): 6.0}, shown=(0, 0, 0)), 40)
    after = [(t, c) for t, plan in plans.items() for c in plan.commands if c.tier is Tier.COMFORT]
    assert {(c.actuator, c.value) for _, c in after} == {(501, float(views.SIDE))}
    assert 20 <= after[0][0] <= 26
    assert after[-1][0] - after[0][0] <= PARAMS.recover_most
    idle, _ = turns(lambda t: drive(t, shown=(0, 0, 0)), 40)
    assert not [c for plan in idle.values() for c in plan.commands if c.tier is Tier.COMFORT]


def test_two_that_cross_get_the_signal_one_after_the_other() -> None:
    def at(t: int) -> View:
        said: dict[int, Said] = {31: (views.mission(), views.point(15.0 * t), 15.0)}
        if t >= 12:  # from the south, over the first signal at 25 s; the other one is there at 20 s
            where = views.point(300.0, 15.0 * (t - 12) - 200.0)
            said[32] = (views.mission(views.place(300.0, 190.0)), where, 15.0)
        return views.view(instant(t), said, shown=(0, 0, 0))

    plans, _ = turns(at, 40)
    assert all(len({c.actuator for c in plan.commands}) == len(plan.commands) for plan in plans.values())
    wished = {t: held(plan)[1] for t, plan in plans.items() if 1 in held(plan)}
    assert {wished[t] for t in wished if t <= 20} == {views.MAIN}
    assert {wished[t] for t in wished if t >= 24} == {views.SIDE}
    assert max(wished) in (24, 26)


def test_of_two_at_once_the_lower_thing_goes_first() -> None:
    said: dict[int, Said] = {
        32: (views.mission(), views.point(200.0), 10.0),
        31: (views.mission(views.place(300.0, 190.0)), views.point(300.0, -100.0), 10.0),
    }
    plans, _ = turns(lambda t: views.view(instant(t), said), 2)
    assert held(plans[0])[1] == views.SIDE


def test_a_lost_vehicle_is_taken_to_drive_on_for_a_while_only() -> None:
    def at(t: int) -> View:
        seen = views.point(15.0 * t) if t <= 10 else None
        return views.view(instant(t), {31: (views.mission(), seen, 15.0 if seen else None)})

    plans, _ = turns(at, 50)
    assert held(plans[12]) == {1: 0.0}
    assert 2 in held(plans[28])  # by now it should be near the second signal
    assert not any(plan.commands for second, plan in plans.items() if second > 10 + PARAMS.reckon)
    assert keys(plans).count("lost") == 1


def test_a_lost_vehicle_that_is_found_again_gets_its_wave_again() -> None:
    def at(t: int) -> View:
        seen = views.point(15.0 * t) if t <= 10 or t >= 44 else None
        return views.view(instant(t), {31: (views.mission(), seen, 15.0 if seen else None)})

    plans, _ = turns(at, 60)
    assert any(3 in held(plans[t]) for t in range(44, 60, 2))


def test_one_impossible_position_changes_nothing() -> None:
    def at(t: int) -> View:
        where = views.point(60_000.0, 3_000.0) if t == 6 else views.point(15.0 * t)
        return views.view(instant(t), {31: (views.mission(), where, 15.0)})

    plans, _ = turns(at, 16)
    straight, _ = turns(drive, 16)
    assert [held(p) for t, p in plans.items() if t != 6] == [held(p) for t, p in straight.items() if t != 6]
    assert keys(plans) == ["route"]


def test_a_vehicle_that_leaves_its_route_gets_another_one() -> None:
    north = views.place(600.0, 190.0)

    def at(t: int) -> View:
        # it drives past its turn to the north and goes on, where there is no way back
        return views.view(instant(t), {31: (views.mission(north), views.point(15.0 * t), 15.0)})

    plans, _ = turns(at, 60)
    assert keys(plans) == ["route", "unreachable"]
    assert not any(3 in held(plan) for plan in plans.values())


@pytest.mark.parametrize(
    ("target", "key"),
    [((24.0, 61.0), "off_map"), ((999.0, 0.0), "off_map"), (None, "off_map"), ("upstream", "unreachable")],
)
def test_no_wave_without_a_way_to_the_target(target: object, key: str) -> None:
    where = views.place(-0.0, 0.0) if target == "upstream" else target
    if target == "upstream":
        where = views.place(300.0, -150.0)
    told = json.dumps({"active": True, "target": where and list(where)})
    plans, _ = turns(lambda t: views.view(instant(t), {31: (told, views.point(310.0 + 10.0 * t), 10.0)}), 12)
    assert keys(plans) == [key]
    assert not any(plan.commands or plan.estimates for plan in plans.values())


def test_a_call_that_is_closed_lets_go_at_once() -> None:
    def at(t: int) -> View:
        return views.view(instant(t), {31: (views.mission(active=t < 12), views.point(15.0 * t), 15.0)})

    plans, state = turns(at, 16)
    assert held(plans[10])
    assert not held(plans[12])
    assert len(state["vehicle"]) == 0


def test_a_call_that_is_not_repeated_is_forgotten() -> None:
    def at(t: int) -> View:
        return views.view(instant(t), {31: (views.mission() if t < 10 else None, views.point(15.0 * t % 900), 15.0)})

    _, state = turns(at, 10)
    _, state = turns(at, 100, 10, state)
    assert len(state["vehicle"]) == 1
    _, state = turns(at, 60, 110, state)
    assert len(state["vehicle"]) == 0


def test_a_vehicle_that_stands_gives_its_signals_back_for_a_while() -> None:
    def at(t: int) -> View:
        return views.view(
            instant(t), {31: (views.mission(), views.point(min(15.0 * t, 180.0)), 15.0 if t < 12 else 0.0)}
        )

    plans, _ = turns(at, 240)
    held_at = [t for t, plan in plans.items() if held(plan)]
    lead = 13 + PARAMS.patience  # nobody stands before it: change 5 s, start 2 s, margin 6 s
    gave_back = max(t for t in held_at if t <= 12 + lead)
    assert not any(gave_back < t < gave_back + PARAMS.rest for t in held_at)
    assert any(gave_back + PARAMS.rest <= t <= gave_back + PARAMS.rest + 4 for t in held_at)  # it gets them again
    assert keys(plans).count("stuck") >= 2


def test_a_vehicle_that_has_not_left_yet_moves_no_signal() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {31: (views.mission(), views.point(250.0), 0.0)}), 30)
    assert not any(plan.commands for plan in plans.values())


def test_without_speed_it_is_taken_from_the_positions() -> None:
    def at(t: int) -> View:
        return views.view(instant(t), {31: (views.mission(), views.point(15.0 * t), None)})

    plans, _ = turns(at, 30)
    with_speed, _ = turns(drive, 30)
    assert [held(p) for t, p in plans.items() if t > 4] == [held(p) for t, p in with_speed.items() if t > 4]


@pytest.mark.parametrize(
    "position",
    ["", "[", "null", "[1e400, 3]", '{"type":"Point"}', '{"type":"Point","coordinates":[NaN,1]}',
     '{"type":"Point","coordinates":["a","b"]}', '{"type":"LineString","coordinates":[[0,0],[1,1]]}', "[" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("speed", [math.nan, -3.0, 1e9, None])
def test_what_cannot_be_a_position_is_as_none(position: str, speed: float | None) -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {31: (views.mission(), position, speed)}), 6)
    assert not any(plan.commands or plan.estimates for plan in plans.values())


@pytest.mark.parametrize("told", ["", "{", "3", "[]", "{}", '{"active": "yes"}', '{"active": 1}'])
def test_what_is_no_mission_opens_no_call(told: str) -> None:
    _, state = turns(lambda t: views.view(instant(t), {31: (told, views.point(15.0 * t), 15.0)}), 4)
    assert len(state["vehicle"]) == 0


def test_the_route_avoids_where_nobody_comes_on() -> None:
    def other_way() -> list[dict[str, object]]:
        streets = views.street_facts()
        streets[0]["to"] = [*streets[0]["to"], "detour"]  # type: ignore[misc]
        start_at, end_at = (BLOCK, 0.0), (2 * BLOCK, 0.0)
        shape = [list(views.place(*p)) for p in (start_at, (1.5 * BLOCK, 120.0), end_at)]
        return [
            *streets,
            {"street": "detour", "to": ["main2"], "length_m": 384.0, "speed_m_s": 15.0, "lanes": 1, "shape": shape},
        ]

    BLOCK = views.BLOCK_M  # noqa: N806 (short for the lines above)
    routes = {}
    for speed in (15.0, 1.0):
        plans, _ = turns(lambda t, v=speed: drive(t, streets=other_way(), speeds={"main1": v}), 2)
        routes[speed] = plans[0].notices[0].values["streets"].split(", ")
    assert routes[15.0] == ["main0", "main1", "main2", "main3"]
    assert routes[1.0] == ["main0", "detour", "main2", "main3"]


def test_the_time_to_arrival_counts_down() -> None:
    plans, _ = turns(drive, 40)
    told = {t: plan.estimates[0].value for t, plan in plans.items()}
    assert told[0] == pytest.approx(1180 / 15, abs=3)
    assert told[30] == pytest.approx(1180 / 15 - 30, abs=3)


@pytest.mark.parametrize("missing", ["streets", "signals", "vehicles"])
def test_it_says_what_it_cannot_do_without(missing: str) -> None:
    whole = drive(0)
    kind = {"streets": "street", "signals": "signal", "vehicles": "emergency_vehicle"}[missing]
    kept = [k != kind for k in whole.things.column("kind").to_pylist()]
    seen = View(
        now=whole.now, cut=whole.cut, frames=whole.frames, things=whole.things.filter(kept), actuators=whole.actuators
    )
    with pytest.raises(NeedUnmet, match={"streets": "street", "signals": "signal", "vehicles": "vehicle"}[missing]):
        decide(seen, start(seen, PARAMS), PARAMS)


def test_a_map_that_changes_under_way_costs_no_call() -> None:
    _, state = turns(drive, 10)
    streets = [*views.street_facts()[1:], views.street_facts()[0]]
    after, _ = turns(lambda t: drive(t, streets=streets), 20, 10, state)
    assert any(held(plan) for plan in after.values())


def test_replayed_decisions_are_identical() -> None:
    def run() -> list[tuple[str, str]]:
        state = start(drive(0), PARAMS)
        told = []
        for t in range(0, 60, 2):
            plan, state = decide(drive(t, queues={(1, "side"): 5.0, (2, "main"): 3.0}), state, PARAMS)
            told.append((digest.of_json(plan), digest.of_state(state)))
        return told

    assert run() == run()


def test_the_guard_lets_life_displace_comfort_and_comfort_come_back() -> None:
    """Rule 5 of the guard, with the two practices that want the same signals."""
    guard, seen = Guard(), drive(10)
    comfort = Plan((Command(501, 1.0, instant(25), Tier.COMFORT, "the side street"),))
    (event,) = guard.judge(
        SIGNAL_CONTROL, "signal_control.10", comfort, seen.actuators, Mandate.ACT, False, instant(10)
    )
    assert event.what == "admitted"
    guard.learn("admitted", 501, Held("signal_control.10", 0, "signal_control", Tier.COMFORT, instant(25)))

    plans, _ = turns(drive, 12)
    told = guard.judge(PRACTICE, "corridor.10", plans[10], seen.actuators, Mandate.ACT, False, instant(10))
    assert [(e.decision, e.what) for e in told] == [("corridor.10", "admitted"), ("signal_control.10", "overridden")]
    assert "higher tier life" in told[1].why
    guard.learn("admitted", 501, Held("corridor.10", 0, PRACTICE.id, Tier.LIFE, plans[10].commands[0].until))

    (event,) = guard.judge(
        SIGNAL_CONTROL, "signal_control.15", comfort, seen.actuators, Mandate.ACT, False, instant(15)
    )
    assert (event.what, event.why) == ("refused", "emergency_corridor holds it with tier life")
    later = plans[10].commands[0].until + 1
    (event,) = guard.judge(SIGNAL_CONTROL, "signal_control.20", comfort, seen.actuators, Mandate.ACT, False, later)
    assert event.what == "admitted"


def test_the_state_is_small_and_plain() -> None:
    _, state = turns(drive, 30)
    assert all(isinstance(a, np.ndarray) and not a.dtype.hasobject for a in state.values())


def test_a_state_that_another_release_left_is_begun_anew() -> None:
    _, state = turns(drive, 6)
    older = {name: array for name, array in state.items() if name != "resting"}
    plans, _ = turns(drive, 20, 6, older)
    assert any(held(plan) for plan in plans.values())


def test_a_vehicle_that_drives_the_other_way_is_taken_the_other_way() -> None:
    """Both directions of a street lie on one line; which one the vehicle is on, only its moving tells."""
    west = [
        {"street": f"back{k}", "to": [f"back{k - 1}"] if k else ["turn"], "length_m": 300.0, "speed_m_s": 15.0,
         "shape": [list(views.place(300.0 * (k + 1), 0.0)), list(views.place(300.0 * k, 0.0))]}
        for k in range(4)
    ]  # fmt: skip
    turn = {"street": "turn", "to": ["main0"], "length_m": 40.0, "speed_m_s": 5.0,
            "shape": [list(views.place(*p)) for p in ((0.0, 0.0), (-10.0, 10.0), (0.0, 0.0))]}  # fmt: skip
    streets = [*views.street_facts(), *west, turn]

    def at(t: int) -> View:
        said = {31: (views.mission(), views.point(250.0 - 6.0 * t), 6.0)}
        return views.view(instant(t), said, streets=streets)

    plans, _ = turns(at, 14)
    routes = [n.values["route"].split()[0] for plan in plans.values() for n in plan.notices if n.key == "route"]
    assert routes[0] == "main0"  # the shorter way, as long as nothing else is known
    assert routes[-1] == "back0"
    assert not plans[12].commands
