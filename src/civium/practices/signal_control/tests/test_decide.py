"""What the practice promises about its plans."""

import importlib.util
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from civium.core import digest
from civium.core.clock import MICROSECONDS
from civium.core.errors import NeedUnmet
from civium.core.practice import Plan, State
from civium.core.view import View
from civium.practices.signal_control import PRACTICE
from civium.practices.signal_control.decide import decide, start
from civium.practices.signal_control.params import SignalParams


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("signal_control_views", Path(__file__).with_name("views.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


views = _load()
PARAMS = SignalParams()
At = Callable[[int], View]


def turns(at: At, count: int, begin: int = 0, state: State | None = None) -> tuple[list[Plan], State]:
    """Plans of consecutive turns of five seconds; ``at(second)`` makes the View."""
    plans = []
    for i in range(begin, begin + count):
        seen = at(5 * i)
        state = start(seen, PARAMS) if state is None else state
        plan, state = decide(seen, state, PARAMS)
        plans.append(plan)
    assert state is not None
    return plans, state


def instant(second: int) -> int:
    return int(views.NOON + second * MICROSECONDS)


def wished(plan: Plan) -> float | str | None:
    return plan.commands[0].value if plan.commands else None


def test_the_longer_queue_gets_green_and_the_wish_lapses() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"west": 6 + t / 10, "east": 4}), 3)
    command = plans[-1].commands[0]
    assert command.actuator == views.ACTUATOR
    assert command.value == 1.0
    assert 5 < (command.until - instant(10)) / MICROSECONDS <= 20
    assert "phase 1" in command.because


def test_green_is_not_cut_before_its_minimum() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"west": 9, "east": 9}, shown=0.0), 2)
    assert [wished(p) for p in plans] == [0.0, 1.0]


def test_a_wish_that_the_head_does_not_follow_is_thought_over() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"west": 9, "east": 9}, shown=0.0), 3)
    assert wished(plans[-1]) == 1.0

    def at(t: int) -> View:
        return views.view(instant(t), {"west": 9, "east": 9} if t < 15 else {"north": 9 + t % 2}, shown=0.0)

    plans, _ = turns(at, 10)
    assert wished(plans[2]) == 1.0
    assert wished(plans[-1]) == 0.0


def test_the_stage_shown_is_kept_while_its_queue_flows() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"north": 12 - t / 5, "west": 1}, flows={"north": 2}), 5)
    assert all(wished(p) == 0.0 for p in plans)


def test_a_queue_that_does_not_move_in_green_does_not_keep_it() -> None:
    def at(t: int) -> View:
        return views.view(instant(t), {"north": 10 + t % 3, "west": 3}, flows={"north": 0.0 if t >= 15 else 2.0})

    plans, state = turns(at, 3)
    assert wished(plans[-1]) == 0.0
    plans, _ = turns(at, 2, 3, state)
    assert wished(plans[-1]) == 1.0


def test_a_lane_that_is_green_before_and_after_tells_nothing_for_or_against_a_change() -> None:
    """Stages of ingolstadt1 in small: one lane has green in both, on others it is now or then."""
    choices = []
    for common in (0.0, 4.0, 12.0):
        state: State | None = None
        for second in (0, 5):
            queues = {"north": 1.0, "south": common, "west": 9.0}
            view = views.view(instant(second), queues, shown=0.0, flows={"north": 1.0, "south": 2.0})
            seen = views.always_green(view, "south")
            state = start(seen, PARAMS) if state is None else state
            plan, state = decide(seen, state, PARAMS)
        choices.append(wished(plan))
    assert choices == [1.0, 1.0, 1.0]


def test_a_full_exit_is_not_fed() -> None:
    queues = {"north": 10.0, "south": 10.0, "west": 2.0}
    free, _ = turns(lambda t: views.view(instant(t), queues, shown=1.0), 2)
    assert wished(free[-1]) == 0.0
    full, _ = turns(lambda t: views.view(instant(t), queues, shown=1.0, exits={"south": 5, "north": 5}), 2)
    assert wished(full[-1]) == 1.0


def test_a_stage_whose_exits_fill_up_loses_its_green() -> None:
    def at(t: int) -> View:
        full = {"south": 5.0, "north": 5.0} if t >= 20 else {}
        return views.view(instant(t), {"north": 9 + t % 3, "south": 9, "west": 2}, exits=full, flows={"north": 2})

    plans, _ = turns(at, 8)
    assert wished(plans[2]) == 0.0
    assert wished(plans[-1]) == 1.0


def test_nobody_waits_longer_than_max_red() -> None:
    waited = []
    for lone in ("west", "east"):
        shown, since, second = 0.0, 0, 0
        state: State | None = None
        while shown == 0.0 and second < 300:
            seen = views.view(
                instant(second), {"north": 10 + second % 3, "south": 10, lone: 1}, shown=shown, flows={"north": 2}
            )
            state = start(seen, PARAMS) if state is None else state
            plan, state = decide(seen, state, PARAMS)
            if wished(plan) == 1.0:
                shown = 1.0
            second += 5
        waited.append(second - since)
    assert max(waited) <= views.MAX_RED_S


def test_walkers_whom_no_detector_sees_are_served_too() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"north": 10 + t % 3}, flows={"north": 2}), 24)
    assert any(wished(p) == 1.0 for p in plans)


def test_a_silent_camera_frees_the_signal_and_says_so_once() -> None:
    camera = views.DETECTOR["camera", "west"]
    _, state = turns(lambda t: views.view(instant(t), {"west": 3 + t % 2}), 2)
    plans, state = turns(lambda t: views.view(instant(t), {"west": 3 + t % 2}, silent=(camera,)), 10, 2, state)
    assert plans[0].commands
    assert not plans[-1].commands
    notices = [n for p in plans for n in p.notices]
    assert [n.key for n in notices] == ["fallback"]
    assert notices[0].about == views.SIGNAL
    assert str(camera) in notices[0].values["detectors"]
    again, _ = turns(lambda t: views.view(instant(t), {"west": 3 + t % 2}), 2, 12, state)
    assert again[-1].commands
    assert [n.key for p in again for n in p.notices] == ["recovered"]


def test_a_camera_stuck_on_a_queue_that_has_green_frees_the_signal() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"north": 4}, flows={"north": 2}), 40)
    assert plans[5].commands
    assert any(n.key == "fallback" for p in plans for n in p.notices)


def test_a_camera_that_sees_nothing_of_the_flow_frees_the_signal() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {}, flows={"west": 3}), 12)
    assert any(n.key == "fallback" for p in plans for n in p.notices)


@pytest.mark.parametrize("value", [-1.0, 1e9])
def test_an_impossible_reading_frees_the_signal(value: float) -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"west": value}), 2)
    assert not plans[-1].commands


def test_without_a_phase_from_the_head_no_command_is_sent() -> None:
    plans, _ = turns(lambda t: views.view(instant(t), {"west": 6}, shown=None), 3)
    assert not any(p.commands for p in plans)
    assert [n.key for p in plans for n in p.notices] == ["no_phase"]


def test_the_same_turn_gives_the_same_plan_and_leaves_its_inputs_alone() -> None:
    seen = views.view(instant(0), {"west": 6, "north": 2}, flows={"west": 1})
    state = start(seen, PARAMS)
    before = digest.of_view(seen), digest.of_state(state)
    first = decide(seen, state, PARAMS)
    second = decide(pickle.loads(pickle.dumps(seen)), state, PARAMS)
    assert (digest.of_view(seen), digest.of_state(state)) == before
    assert digest.of_json(first[0]) == digest.of_json(second[0])
    assert digest.of_state(first[1]) == digest.of_state(second[1])


def test_state_of_another_set_of_detectors_starts_afresh() -> None:
    seen = views.view(instant(0), {"west": 6})
    _, state = decide(seen, start(seen, PARAMS), PARAMS)
    fewer = replace(seen, things=seen.things.slice(0, seen.things.num_rows - 1))
    plan, after = decide(fewer, state, PARAMS)
    assert plan.commands
    assert len(after["detector"]) == len(state["detector"]) - 1


def test_without_a_signal_that_can_be_guided_it_says_so() -> None:
    empty = View(now=instant(0), cut={}, frames={})
    with pytest.raises(NeedUnmet, match="no signal that takes commands"):
        decide(empty, start(empty, PARAMS), PARAMS)


def test_two_hundred_signals_in_well_under_the_tenth_of_a_second() -> None:
    from time import process_time

    one = views.view(instant(0), {"west": 6, "north": 3}, flows={"north": 1})
    many = _repeat(one, 200)
    state = start(many, PARAMS)
    costs = []
    for _ in range(5):
        began = process_time()
        plan, _ = decide(many, state, PARAMS)
        costs.append(process_time() - began)
    assert len(plan.commands) == 200
    assert min(costs) < 0.1


def _repeat(one: View, times: int) -> View:
    """A city of the same crossroads many times, thing ids shifted."""
    size = one.things.num_rows

    def moved(table: pa.Table, i: int) -> pa.Table:
        for name in ("id", "stream", "thing", "actuator"):
            if name in table.column_names:
                at = table.column_names.index(name)
                table = table.set_column(at, name, pa.array(np.asarray(table.column(name)) + i * size))
        if "facts" in table.column_names:
            at = table.column_names.index("facts")
            texts = [t.replace('"signal": "x"', f'"signal": "x{i}"') for t in table.column("facts").to_pylist()]
            table = table.set_column(at, "facts", pa.array(texts))
        return table

    def all_of(table: pa.Table) -> pa.Table:
        return pa.concat_tables([moved(table, i) for i in range(times)]).combine_chunks()

    return replace(
        one,
        frames={name: all_of(frame) for name, frame in one.frames.items()},
        things=all_of(one.things),
        actuators=all_of(one.actuators),
    )


def test_needs_are_of_the_glossary() -> None:
    assert {n.name for n in PRACTICE.needs} >= {"vehicle_count", "queue_length", "signal_phase"}
