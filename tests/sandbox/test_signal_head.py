"""What a signal head guarantees whatever is wished."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core.clock import MICROSECONDS
from civium.core.extras import require
from civium.sandbox.junction import Junction, read_junctions
from civium.sandbox.signal_head import LONGEST_WISH_S, SignalHead
from civium.sandbox.signal_plan import GREEN

sumo = require("sumo", "mobility")


class FakeStreet:
    """Lamps that remember what they show."""

    def __init__(self, state: str) -> None:
        self.state = state

    def show(self, signal: str, state: str) -> None:
        self.state = state

    def shown(self, signal: str) -> str:
        return self.state


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Junction:
    """A four-armed junction with protected left turns and crossings for walkers."""
    net = tmp_path_factory.mktemp("head") / "made.net.xml"
    options = ["--grid", "--grid.number", "3", "-L", "2", "--turn-lanes", "1", "--sidewalks.guess", "--crossings.guess"]
    program = Path(sumo.SUMO_HOME, "bin", "netgenerate")
    command = [str(program), *options, "--tls.set", "B1", "-o", str(net)]
    subprocess.run(command, check=True, capture_output=True, env={"SUMO_HOME": sumo.SUMO_HOME})
    junction = next(j for j in read_junctions(net) if j.id == "B1")
    assert any(junction.pedestrian)
    assert len(junction.stages) == 4
    return junction


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
    states = history(crossing, wished)
    n = crossing.links
    began = [0] * n  # when each link's present aspect began
    ended = [-3600] * n  # when each link was last green or yellow
    for t in range(1, len(states)):
        old, new = states[t - 1], states[t]
        protected = [i for i in range(n) if new[i] == "G"]
        assert not crossing.conflicts[protected][:, protected].any()
        for i in range(n):
            was, is_ = old[i] in GREEN, new[i] in GREEN
            if was and not is_:
                assert t - began[i] >= crossing.min_green[i] or began[i] == 0
                assert new[i] == ("r" if crossing.pedestrian[i] else "y")
            if old[i] == "y" and new[i] != "y":
                assert t - began[i] >= crossing.yellow[i]
            if is_ and not was:
                for j in range(n):
                    if crossing.conflicts[i, j] and new[j] not in GREEN:
                        assert new[j] != "y"
                        assert t - ended[j] >= crossing.clearance[j, i]
        for i in range(n):
            if (old[i] in GREEN) != (new[i] in GREEN) or (old[i] == "y") != (new[i] == "y"):
                began[i] = t
            if old[i] in GREEN or old[i] == "y":
                ended[i] = t


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
