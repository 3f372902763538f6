"""What a signal head guarantees whatever is wished."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core.clock import MICROSECONDS
from civium.core.extras import require
from civium.sandbox.junction import Junction
from civium.sandbox.signal_head import LONGEST_WISH_S, SignalHead
from civium.sandbox.signal_plan import GREEN
from tests.sandbox.safety import keeps_safe

sumo = require("sumo", "mobility")


class FakeStreet:
    """Lamps that remember what they show."""

    def __init__(self, state: str) -> None:
        self.state = state

    def show(self, signal: str, state: str) -> None:
        self.state = state

    def shown(self, signal: str) -> str:
        return self.state


def seconds(count: float) -> int:
    return round(count * MICROSECONDS)


def head_of(junction: Junction) -> SignalHead:
    return SignalHead(junction, FakeStreet(junction.program[0][0]), 0)


wishes = st.lists(
    st.tuples(st.integers(0, 240), st.integers(0, 3), st.integers(1, 60)), max_size=40
)  # second, stage, how long


def history(junction: Junction, wished: list[tuple[int, int, int]], span: int = 260) -> list[str]:
    """States shown second by second under wishes."""
    head = head_of(junction)
    states = [head.state]
    for second in range(1, span):
        for i, (at, stage, lasting) in enumerate(wished):
            if at == second:
                head.obey(f"{i}", stage, seconds(second + lasting), seconds(second), f"d{i}")
        head.step(seconds(second))
        states.append(head.state)
    return states


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wished=wishes)
def test_conflicts_greens_yellows_and_clearances_hold_for_any_wishes(
    crossing: Junction, wished: list[tuple[int, int, int]]
) -> None:
    keeps_safe(crossing, history(crossing, wished))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stage=st.integers(0, 3))
def test_a_stage_that_is_wished_for_ever_still_lets_the_others_have_green(crossing: Junction, stage: int) -> None:
    wished = [(at, stage, 20) for at in range(0, 1200, 5)]
    states = history(crossing, wished, 1200)
    keeps_safe(crossing, states)
    last = states[300:]
    for i in range(crossing.links):
        if any(state[i] in GREEN for state in crossing.stages):
            assert any(state[i] in GREEN for state in last)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wished=wishes)
def test_when_wishes_lapse_the_head_comes_back_to_its_fixed_time_program(
    crossing: Junction, wished: list[tuple[int, int, int]]
) -> None:
    cycle = round(crossing.cycle)
    states = history(crossing, wished, 300 + 2 * cycle)
    for t in range(300 + cycle, 300 + 2 * cycle):
        assert states[t] == crossing.planned(t)


def test_a_wish_is_shown_reported_with_its_decision_and_lapses(crossing: Junction) -> None:
    head = head_of(crossing)
    other = next(i for i in range(4) if i != crossing.stage_of(head.state))
    assert head.obey("c1", other, seconds(40), seconds(0), "signal_control..7") == ""
    for second in range(1, 40):
        head.step(seconds(second))
    assert head.reading(seconds(39)).stage == other
    assert head.reading(seconds(39)).parent == "signal_control..7"
    head.step(seconds(40))
    assert head.wish is None
    assert head.reading(seconds(40)).parent is None


def test_a_repeated_command_changes_nothing(crossing: Junction) -> None:
    head = head_of(crossing)
    head.obey("c1", 1, seconds(30), 0)
    head.obey("c2", 2, seconds(30), 0)
    assert head.obey("c1", 1, seconds(60), 0) == ""
    assert head.wish is not None
    assert head.wish.id == "c2"


@pytest.mark.parametrize(
    ("value", "until", "why"),
    [
        (4, 30, "no phase 4"),
        (-1, 30, "no phase -1"),
        (0.5, 30, "no phase 0.5"),
        (float("nan"), 30, "no phase nan"),
        ("north", 30, "not the index"),
        (1, -1, "lapsed"),
        (1, LONGEST_WISH_S + 1, "at most"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_the_reason(
    crossing: Junction, value: float | str, until: float, why: str
) -> None:
    head = head_of(crossing)
    assert why in head.obey("c", value, seconds(until), 0)
    assert head.wish is None
