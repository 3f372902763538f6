"""What the practice says of plants that are well, and of plants that are not."""

import json
from datetime import date, timedelta

import numpy as np
import pytest
from world import NEW_YEAR, PEAK, SPRING, STATION, Alter, World, follow

from civium.core import MICROSECONDS, View
from civium.core.practice import MAX_STATE_BYTES, state_bytes
from civium.practices.pv_fleet.decide import FleetParams, decide, start
from civium.practices.pv_fleet.memory import fresh

BEGIN = 40
FIRST_DAY = date(2023, 1, 1) + timedelta(days=SPRING + BEGIN)


def from_begin(plant: int, change: "Alter") -> "Alter":
    """Break one plant (row) from day ``BEGIN`` on: ``change(age, power[96])``."""

    def alter(day: int, power: np.ndarray) -> np.ndarray:
        power = power.copy()
        if day >= BEGIN:
            power[plant] = change(day - BEGIN, power[plant])
        return power

    return alter


def hold(age: int, power: np.ndarray) -> np.ndarray:
    power[50:80] = power[50]
    return power


def shade(age: int, power: np.ndarray) -> np.ndarray:
    """An obstacle takes direct light only, which there is on bright days."""
    bright = np.clip(power.max() / (0.5 * PEAK) - 1.0, 0.0, 0.7)
    power[56:66] *= 1.0 - bright
    return power


FAULTS: dict[str, tuple[Alter, int]] = {  # kind -> how it shows, days within which it must be named
    "soiling": (lambda age, p: p * (1 - min(0.004 * age, 0.3)), 20),
    "string_fault": (lambda age, p: p * 0.75, 6),
    "shading": (shade, 26),
    "clipping": (lambda age, p: np.minimum(p, 0.45 * PEAK), 8),
    "clock_shift": (lambda age, p: np.roll(p, 4), 8),
    "sensor_fault": (hold, 6),
    "outage": (lambda age, p: p * 0, 3),
}


def test_a_healthy_fleet_gets_no_notice_in_ninety_days() -> None:
    heard, _, _ = follow(World(), 90)
    assert heard == []


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_in_time_and_nothing_else_is(kind: str) -> None:
    change, within = FAULTS[kind]
    heard, _, _ = follow(World(alter=from_begin(3, change)), BEGIN + within)
    assert [(key, about) for _, key, about, _ in heard] == [(kind, 4)]
    day, _, _, values = heard[0]
    assert day >= BEGIN
    if kind != "shading":  # whose beginning the profile does not tell
        assert abs((date.fromisoformat(str(values["since"])) - FIRST_DAY).days) <= 6


def test_the_notice_of_a_failed_string_states_share_and_energy() -> None:
    heard, _, _ = follow(World(alter=from_begin(3, lambda age, p: p * 0.75)), BEGIN + 6)
    values = heard[0][3]
    assert 22 <= values["percent"] <= 28
    assert values["energy"] == pytest.approx(values["kwh_per_day"] * 3.6e6, rel=0.02)
    assert 8 < values["kwh_per_day"] < 20


def test_the_hours_of_shade_and_the_minutes_of_a_clock_are_told() -> None:
    shaded = follow(World(alter=from_begin(1, shade)), BEGIN + 26)[0][0][3]
    assert shaded["hours"][:2] in ("14", "15")
    late = follow(World(alter=from_begin(1, lambda age, p: np.roll(p, 4))), BEGIN + 8)[0][0][3]
    assert abs(late["minutes"] - 60) <= 10


def test_a_plant_at_the_rating_of_its_inverter_is_not_called_clipped() -> None:
    facts = {"peak_power_w": PEAK, "inverter_ac_w": 5000.0, "tilt_deg": 25.0, "azimuth_deg": 180.0}
    heard, _, _ = follow(World(alter=lambda day, p: np.minimum(p, 5000.0), facts=facts), 60)
    assert heard == []


def test_what_is_repaired_is_taken_back() -> None:
    def alter(day: int, power: np.ndarray) -> np.ndarray:
        return power * np.where((np.arange(8) == 3) & (40 <= day < 60), 0.75, 1.0)[:, None]

    keys = [key for _, key, _, _ in follow(World(alter=alter), 75)[0]]
    assert keys == ["string_fault", "recovered"]


def test_a_wrong_sunlight_sensor_is_named_and_no_plant_accused() -> None:
    heard, _, _ = follow(World(alter_sun=lambda day, ghi: ghi * (0.75 if day >= 45 else 1.0)), 75)
    assert [(key, about) for _, key, about, _ in heard] == [("station_off", STATION)]
    assert 70 <= heard[0][3]["percent"] <= 82


def test_spikes_gaps_and_nonsense_now_and_then_raise_no_notice() -> None:
    def alter(day: int, power: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([day, 9])
        odd = rng.choice([np.nan, np.inf, -np.inf, -9999.0, 65535.0, 1e12], power.shape)
        return np.where(rng.random(power.shape) < 0.02, odd, power)

    assert follow(World(alter=alter), 80)[0] == []


def test_snow_is_not_a_fault() -> None:
    def alter(day: int, power: np.ndarray) -> np.ndarray:
        return power * (0.03 if day in (41, 42, 55) else 1.0)

    heard, _, _ = follow(World(alter=alter), 75)
    assert [key for _, key, _, _ in heard if key not in ("outage", "recovered")] == []


def test_size_and_direction_are_learned_where_the_facts_lack_them() -> None:
    world = World(facts={})
    heard, state, plan = follow(world, 45)
    assert {key for _, key, _, _ in heard} == {"facts_missing"}
    assert len([e for e in plan.estimates if e.property == "expected_power"]) == world.plants
    noon = world.view(NEW_YEAR + (SPRING + 45) * 24 * 3600 * MICROSECONDS + 12 * 3600 * MICROSECONDS)
    expected = [e.value for e in decide(noon, state, FleetParams())[0].estimates if e.property == "expected_power"]
    measured = world.day(45)[0][:, 47]
    assert expected == pytest.approx(list(measured), rel=0.2)


def test_at_night_nothing_is_expected_and_no_ratio_written() -> None:
    world = World()
    midnight = world.view(NEW_YEAR + (SPRING + 5) * 24 * 3600 * MICROSECONDS)
    plan, _ = decide(midnight, start(midnight, FleetParams()), FleetParams())
    assert {e.property for e in plan.estimates} == {"expected_power"}
    assert {e.value for e in plan.estimates} == {0.0}


def test_without_weather_it_is_silent_and_goes_on_when_weather_returns() -> None:
    world = World()
    state = start(world.view(NEW_YEAR + SPRING * 24 * 3600 * MICROSECONDS), FleetParams())
    for day, view in world.turns(6):
        frames = dict(view.frames)
        if day < 4:
            frames["ghi"] = frames["ghi"].slice(0, 0)
        plan, state = decide(View(view.now, {}, frames, view.things, view.streams), state, FleetParams())
        assert bool(plan.estimates) == (day >= 4)
        assert plan.notices == ()


@pytest.mark.parametrize(
    "facts", ["", "not json", "[1]", "null", json.dumps({"tilt_deg": "steep", "peak_power_w": -3})]
)
def test_unreadable_facts_are_reported_not_fatal(facts: str) -> None:
    view = next(iter(World(plants=2).turns(1)))[1]
    things = view.things.set_column(5, "facts", [[facts] * 3])
    view = View(view.now, {}, view.frames, things.cast(view.things.schema), view.streams)
    plan, _ = decide(view, start(view, FleetParams()), FleetParams())
    assert [n.key for n in plan.notices] == ["facts_missing"] * 2


def test_ten_thousand_plants_fit_into_the_state() -> None:
    assert state_bytes(fresh(np.arange(10_000), np.arange(20))) <= MAX_STATE_BYTES
