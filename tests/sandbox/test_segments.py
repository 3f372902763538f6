"""Segments are the larger streets of the map; a minute's mean speed and flow are what drove there."""

from collections.abc import Callable

import numpy as np
import pytest

from civium.sandbox.devices import registration
from civium.sandbox.segments import MOST, SegmentDetectors
from civium.sandbox.street_facts import street_things
from civium.sandbox.town import Town


class Edges:
    """A stand-in for SUMO: cars and speed by edge."""

    def __init__(self) -> None:
        self.cars: dict[str, tuple[int, float]] = {}
        self.edge = self

    def getLastStepVehicleNumber(self, edge: str) -> int:  # noqa: N802 (SUMO's name)
        return self.cars.get(edge, (0, 0.0))[0]

    def getLastStepMeanSpeed(self, edge: str) -> float:  # noqa: N802 (SUMO's name)
        return self.cars[edge][1]


def test_segments_lead_to_segments(town: Callable[[str], Town]) -> None:
    segments = town("helsinki").segments
    assert 50 < len(segments) <= MOST
    codes = {segment.edge.id for segment in segments}
    assert all(set(segment.leads_to) <= codes for segment in segments)
    assert any(segment.leads_to for segment in segments)
    assert all(segment.facts()["length_m"] >= 25 for segment in segments)


def test_a_minute_tells_the_mean_speed_of_the_cars_and_how_many_passed(town: Callable[[str], Town]) -> None:
    segments, street = town("helsinki").segments, Edges()
    detectors = SegmentDetectors(segments, street)
    first, length = segments[0].edge.id, segments[0].edge.length
    street.cars[first] = (2, 10.0)
    detectors.sample()
    street.cars[first] = (1, 4.0)
    detectors.sample()
    speed, flow = detectors.take()
    assert speed[0] == pytest.approx(8.0)
    assert flow[0] == pytest.approx(60 * 24 / length / 2, abs=0.01)
    assert np.isnan(speed[1:]).all()
    assert not flow[1:].any()
    street.cars.clear()
    detectors.sample()
    assert np.isnan(detectors.take()[0][0])


def test_a_street_with_a_detector_tells_its_speed_to_who_plans_a_route(town: Callable[[str], Town]) -> None:
    helsinki = town("helsinki")
    streets = street_things(helsinki.net)
    told = {line["key"]: [s["property"] for s in line["streams"]] for line in registration(helsinki, [], streets)}
    measured = {f"street/{segment.edge.id}" for segment in helsinki.segments}
    assert {key for key, streams in told.items() if key.startswith("street/") and streams} == measured & told.keys()
    assert len(measured & told.keys()) > len(measured) / 2
