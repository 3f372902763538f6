"""The search against all sequences of stages, counted one by one."""

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from civium.practices.signal_control.ahead import waiting_ahead
from civium.practices.signal_control.layout import Layout, layout_of
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import read
from civium.practices.signal_control.worth import usual_rate


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("signal_control_views_ahead", Path(__file__).with_name("views.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


views = _load()
ARMS = ("north", "east", "south", "west")
STEPS = 6
PARAMS = SignalParams(horizon=5.0 * STEPS, beam=10_000)
INFLOW = {"north": 0.1, "east": 0.05, "south": 0.2, "west": 0.0}
SIGHT_S = 100.0 / 13.9


def searched(queues: dict[str, float], current: int, halted: tuple[str, ...] = (), beam: int = 10_000) -> list[float]:
    seen = views.view(views.NOON, queues)
    layout: Layout = layout_of(seen.things)
    of = np.array([INFLOW[key] for key in layout.lane_key])
    still = np.array([key in halted for key in layout.lane_key])
    found = waiting_ahead(
        layout,
        read(seen, layout, np.full(len(layout.detector), -1)),
        of,
        usual_rate(layout, PARAMS),
        np.zeros(len(layout.movement_lane), dtype=bool),
        still,
        np.array([current]),
        np.array([60.0]),
        SignalParams(horizon=5.0 * STEPS, beam=beam),
    )
    return [float(x) for x in found]


def counted(queues: dict[str, float], current: int, halted: tuple[str, ...] = ()) -> list[float]:
    """Least waiting by first stage over all sequences, in plain loops."""
    best = [float("inf"), float("inf")]
    change = {(0, 1): 3.0, (1, 0): 6.0}
    for sequence in itertools.product((0, 1), repeat=STEPS):
        queue = {arm: queues.get(arm, 0.0) for arm in ARMS}
        lost, shown, green, still, waiting = dict.fromkeys(ARMS, 0.0), current, 60.0, set(halted), 0.0
        allowed = True
        for t, stage in enumerate(sequence):
            if stage != shown:
                allowed &= green >= 5.0
                green = -change[shown, stage]
                for arm in views.STAGES[stage]:
                    lost[arm] = change[shown, stage] + PARAMS.start_loss
                    if stage != current:
                        still.discard(arm)
                shown = stage
            for arm in ARMS:
                arrived = INFLOW[arm] * max(0.0, 5.0 * (t + 1) - max(SIGHT_S, 5.0 * t))
                flows = arm in views.STAGES[shown] and arm not in still
                gone = min(queue[arm] + arrived, 0.5 * max(0.0, 5.0 - lost[arm]) if flows else 0.0)
                waiting += 2.5 * (2 * queue[arm] + arrived - gone)
                queue[arm] += arrived - gone
            lost = {arm: max(0.0, s - 5.0) for arm, s in lost.items()}
            green += 5.0
        for arm, left in queue.items():
            waiting += left * (left + (0.0 if arm in views.STAGES[shown] else PARAMS.remaining))
        if allowed:
            best[sequence[0]] = min(best[sequence[0]], waiting)
    return best


@pytest.mark.parametrize("current", [0, 1])
@pytest.mark.parametrize("queues", [{"north": 7.0, "west": 4.0}, {"east": 9.0, "south": 1.0}, {}])
def test_the_search_finds_the_best_of_all_sequences(queues: dict[str, float], current: int) -> None:
    assert searched(queues, current) == pytest.approx(counted(queues, current))


def test_a_halted_lane_is_served_by_no_step_of_its_stage() -> None:
    queues = {"north": 7.0, "west": 2.0}
    assert searched(queues, 0, ("north",)) == pytest.approx(counted(queues, 0, ("north",)))
    assert searched(queues, 0, ("north",))[0] > searched(queues, 0)[0]


def test_a_narrow_beam_finds_no_better_than_there_is() -> None:
    queues = {"north": 7.0, "west": 4.0, "south": 3.0}
    narrow, best = searched(queues, 0, beam=2), counted(queues, 0)
    assert all(n >= b - 1e-9 for n, b in zip(narrow, best, strict=True))
