"""Signals guided by whatever detectors may say stay safe: the practice, the heads and random data together."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.practices.signal_control.loop import GuidedStreets
from civium.practices.signal_control.params import SignalParams
from civium.sandbox.detectors import CAMERA_RANGE_M, EXIT_RANGE_M, MEASURES, Column, Detector, write_detectors
from civium.sandbox.junction import Junction, read_junctions
from tests.sandbox.safety import keeps_safe

SPAN_S = 600
AWKWARD = (0.0, 1.0, 4.0, 12.0, -1.0, 1e6, np.nan)


class FakeSumo:
    """Lamps that remember what they show, detectors that are asked and say nothing."""

    def __init__(self, state: str) -> None:
        self.second, self.state = 0.0, state
        self.simulation = SimpleNamespace(getTime=lambda: self.second)
        self.trafficlight = self
        self.inductionloop = self.lanearea = self

    def setRedYellowGreenState(self, _: str, state: str) -> None:  # noqa: N802
        self.state = state

    def getRedYellowGreenState(self, _: str) -> str:  # noqa: N802
        return self.state

    def __getattr__(self, _: str) -> Any:
        return lambda _: 0


@pytest.fixture(scope="session")
def detectors(crossing: Junction, tmp_path_factory: pytest.TempPathFactory) -> list[Detector]:
    folder = tmp_path_factory.mktemp("guided")
    net = next(Path(folder.parent).glob("head*/made.net.xml"))
    assert any(j.id == crossing.id for j in read_junctions(net))
    return write_detectors(net, [crossing], folder / "d.add.xml", 5)


def random_readings(seed: int, detectors: list[Detector]) -> Any:
    """What arrives of each turn: anything, of any part of the detectors, which may stay as it was for minutes."""
    rng = np.random.default_rng(seed)
    held: dict[str, Column] = {}

    def readings(columns: dict[str, Column]) -> dict[str, Column]:
        if rng.random() < 0.05 or not held:
            calm = rng.random() < 0.5
            for name, column in columns.items():
                n = len(column.detector)
                wild = rng.choice(AWKWARD, n)
                held[name] = Column(column.detector, rng.integers(0, 9, n).astype(float) if calm else wild)
        there = rng.random(len(detectors)) < rng.choice([0.0, 0.7, 1.0])
        return {name: Column(c.detector[there[c.detector]], c.value[there[c.detector]]) for name, c in held.items()}

    return readings


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_heads_stay_safe_whatever_the_detectors_say(
    crossing: Junction,
    detectors: list[Detector],
    seed: int,
) -> None:
    sim = FakeSumo(crossing.program[0][0])
    streets = GuidedStreets(sim, [crossing], detectors, SignalParams(), random_readings(seed, detectors))
    states = [sim.state]
    for second in range(1, SPAN_S):
        sim.second = float(second)
        streets.step(sim.second)
        states.append(sim.state)
    assert streets.refused == 0
    keeps_safe(crossing, states)


def test_what_guides_is_what_loops_and_cameras_of_a_limited_range_see(detectors: list[Detector]) -> None:
    assert {d.role for d in detectors} == set(MEASURES)
    for d in detectors:
        assert d.distance_m + d.range_m <= CAMERA_RANGE_M + 1e-6
        assert d.role != "exit" or d.range_m <= EXIT_RANGE_M
        assert set(d.measures) <= {"vehicle_flow", "occupancy", "vehicle_speed", "vehicle_count", "queue_length"}
