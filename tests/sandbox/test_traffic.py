"""Demand follows the hour, is the same for the same seed, and flows where it was calibrated."""

from collections.abc import Callable
from pathlib import Path

import pytest

from civium.core import MICROSECONDS
from civium.sandbox.town import Town
from civium.sandbox.traffic import Tally, Traffic

from .conftest import SATURDAY, Ground

EIGHT = 8 * 3600


def test_the_same_seed_makes_the_same_trips(ground: Callable[[str], Ground]) -> None:
    one, other = ground("helsinki").demand(seed=5), ground("helsinki").demand(seed=5)
    assert one.trips(480) == other.trips(480)
    assert one.trips(480) != one.trips(481)
    assert one.trips(480) != ground("helsinki").demand(seed=6).trips(480)


def test_trips_of_a_minute_leave_in_it_and_in_order(ground: Callable[[str], Ground]) -> None:
    departs = [trip.depart for trip in ground("helsinki").demand(scale=1.0).trips(480)]
    assert departs == sorted(departs)
    assert departs[0] >= EIGHT
    assert departs[-1] <= EIGHT + 60


def test_the_night_is_quiet_and_the_weekend_has_no_morning_peak(ground: Callable[[str], Ground]) -> None:
    town = ground("helsinki")
    weekday, weekend = town.demand(), town.demand(day=SATURDAY)
    morning, night = sum(weekday.rates(480).values()), sum(weekday.rates(180).values())
    assert night < 0.15 * morning
    assert sum(weekend.rates(480).values()) < 0.6 * morning
    assert weekday.rates(480)["reach work"] > 5 * weekday.rates(480)["leave work"]
    assert weekday.rates(17 * 60)["leave work"] > 5 * weekday.rates(17 * 60)["reach work"]


def drive(town: Town, work: Path, minutes: int, *, devices: bool = False) -> list[Tally]:
    traffic = Traffic(town.net, town.demand, EIGHT, work, town.junctions if devices else (), town.midnight)
    try:
        tallies = []
        for _ in range(minutes):
            for _ in range(60):
                traffic.step()
            tallies.append(traffic.tally())
        return tallies
    finally:
        traffic.close()


@pytest.mark.parametrize(("name", "slowest"), [("village", 10.0), ("helsinki", 2.0)])
def test_calibrated_demand_flows_at_the_morning_peak(
    name: str, slowest: float, town: Callable[..., Town], work: Path
) -> None:
    tallies = drive(town(name, seed=3), work, 10)
    last = tallies[-1]
    assert last.departed > 100
    assert last.teleports <= 0.01 * last.departed
    assert last.waiting <= 0.05 * last.departed
    assert sum(t.mean_speed for t in tallies) / len(tallies) > slowest  # [m/s]
    assert last.running < 1.5 * tallies[0].running + 20


def test_two_runs_of_one_seed_are_the_same_run(town: Callable[..., Town], work: Path) -> None:
    helsinki = town("helsinki")
    assert drive(helsinki, work, 2, devices=True) == drive(helsinki, work, 2, devices=True)
    assert drive(helsinki, work, 2)[-1] != drive(town("helsinki", seed=2), work, 2)[-1]


def test_a_head_obeys_a_wish_and_falls_back_when_nothing_more_comes(town: Callable[..., Town], work: Path) -> None:
    helsinki = town("helsinki")
    traffic = Traffic(helsinki.net, helsinki.demand, EIGHT, work, helsinki.junctions, helsinki.midnight)
    try:
        head = next(h for h in traffic.heads.values() if h.junction.controllable)
        stage = (head.reading(traffic.now).stage + 1) % len(head.junction.stages)
        assert head.obey("a", stage, traffic.now + 60 * MICROSECONDS, traffic.now, "decision-a") == ""
        for _ in range(50):
            traffic.step()
        assert head.reading(traffic.now).stage == stage
        assert head.reading(traffic.now).parent == "decision-a"
        shown = set()
        for _ in range(round(head.junction.cycle) + 60):
            traffic.step()
            shown.add(head.reading(traffic.now).stage)
        assert head.wish is None
        assert set(range(len(head.junction.stages))) <= shown  # the fixed-time program goes round again
        assert head.reading(traffic.now).parent is None
    finally:
        traffic.close()
