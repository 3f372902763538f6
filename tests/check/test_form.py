"""The form of plans and states: what the city can check, send and replay, and nothing else."""

import numpy as np
import pytest

from civium.check.form import of_plan, of_state
from civium.check.views import NOON, cases, city, plausible
from civium.core import Command, Estimate, Make, Need, Notice, Plan, Practice, Tier
from civium.core.digest import of_table, of_view

SECOND = 1_000_000
LAMPS = Practice(
    id="lamps",
    title="Lamps",
    needs=(Need("flow", "vehicle_flow", "lamp", unit="1"),),
    makes=(Make("vehicle_speed", "lamp", "m/s"),),
    decide=lambda view, state, params: (Plan(), state),
    every=5.0,
    acts_on="lamp",
)
VIEW = city(LAMPS, NOON, 2, plausible, seed=0)
SOON = NOON + 60 * SECOND


def breaches(plan: object) -> dict[str, str]:
    return dict(of_plan(plan, VIEW, LAMPS, {"dark": "Lamp {lamp} is dark."}))


def test_a_plan_of_plain_declared_wishes_is_in_form() -> None:
    plan = Plan(
        commands=(Command(1, 0.5, SOON), Command(2, "dim", SOON)),
        estimates=(Estimate(1, "vehicle_speed", NOON, 8.0, lower=7.0, upper=9.0),),
        notices=(Notice("desk", "info", "dark", {"lamp": 1}, about=1),),
        because="Few vehicles pass.",
    )
    assert breaches(plan) == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (Command(999, 1.0, SOON), "names no actuator"),
        (Command(1, 1.0, NOON), "lapses 0 s after now"),
        (Command(1, 1.0, NOON - SECOND), "lapses -1 s after now"),
        (Command(1, 1.0, NOON + 86_401 * SECOND), "within a day"),
        (Command(1, 1.0, SOON + 0.5), "whole number"),  # type: ignore[arg-type]  # as a practice without types may
        (Command(1, float("nan"), SOON), "value nan"),
        (Command(1, 1.0, SOON, Tier.LIFE), "claims tier life"),
    ],
)
def test_a_command_is_for_an_actuator_of_the_view_and_lapses_within_a_day(command: Command, why: str) -> None:
    assert why in breaches(Plan(commands=(command,)))["commands-lapse"]


def test_a_command_to_another_kind_of_actuator_is_out_of_form() -> None:
    view = city(LAMPS, NOON, 1, plausible, seed=0)
    kinds = view.actuators.set_column(2, "kind", [["signal"]])
    other = type(view)(now=view.now, cut=view.cut, frames=view.frames, things=view.things, actuators=kinds)
    why = dict(of_plan(Plan(commands=(Command(1, 1.0, SOON),)), other, LAMPS, {}))["commands-lapse"]
    assert "is for a 'signal'; the practice declares acts_on = 'lamp'" in why


@pytest.mark.parametrize(
    ("estimate", "why"),
    [
        (Estimate(1, "rain_rate", NOON, 1.0), "not among"),
        (Estimate(99, "vehicle_speed", NOON, 1.0), "does not hold"),
        (Estimate(1, "vehicle_speed", NOON, float("nan")), "what is not known is left out"),
        (Estimate(1, "vehicle_speed", NOON, 9.0, upper=1.0), "outside its own interval"),
        (Estimate(1, "vehicle_speed", NOON, 0.0, lower=1.0), "outside its own interval"),
        (Estimate(1, "vehicle_speed", NOON, 1.0, lower=float("-inf")), "an unknown bound is None"),
        (Estimate(1, "vehicle_speed", NOON, 1.0, until=NOON - 1), "ends before it begins"),
    ],
)
def test_an_estimate_is_declared_finite_and_about_a_thing_of_the_view(estimate: Estimate, why: str) -> None:
    assert why in breaches(Plan(estimates=(estimate,)))["estimates-declared"]


@pytest.mark.parametrize(
    ("notice", "why"),
    [
        (Notice("desk", "info", "bright"), "no text"),
        (Notice("desk", "info", "dark"), "lacks the values lamp"),
        (Notice("mayor", "info", "dark", {"lamp": 1}), "for 'mayor'"),
        (Notice("desk", "loud", "dark", {"lamp": 1}), "severity 'loud'"),
        (Notice("desk", "info", "dark", {"lamp": 1}, about=99), "about thing 99"),
    ],
)
def test_a_notice_has_its_words_in_the_register(notice: Notice, why: str) -> None:
    assert why in breaches(Plan(notices=(notice,)))["notices-worded"]


@pytest.mark.parametrize(
    "plan", [None, Plan(because=lambda: 1), Plan(notices=(Notice("desk", "info", "dark", {"lamp": {1}}),))]
)
def test_a_plan_that_cannot_be_recorded_is_out_of_form(plan: object) -> None:
    assert "plan-plain" in breaches(plan)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ([], "a list, not a mapping"),
        ({"a": 1.0}, "a float, not a numpy array"),
        ({1: np.zeros(1)}, "under a text name"),
        ({"a": np.array([None])}, "Python objects"),
        ({"a": np.zeros(2_097_153)}, "16,777,224 bytes"),
    ],
)
def test_a_state_is_named_arrays_of_sixteen_megabytes_at_most(state: object, why: str) -> None:
    assert why in dict(of_state(state))["state-plain"]


def test_a_state_of_exactly_sixteen_megabytes_is_in_form() -> None:
    assert not list(of_state({"a": np.zeros(2_097_152)}))


def test_generated_views_are_the_same_each_time_and_cover_the_awkward() -> None:
    first, again = dict(cases(LAMPS)), dict(cases(LAMPS))
    assert {n: [of_view(v) for v in run] for n, run in first.items()} == {
        n: [of_view(v) for v in run] for n, run in again.items()
    }
    readings = [view.frames["flow"] for run in first.values() for view in run]
    values = [frame["value"].combine_chunks() for frame in readings]
    assert any(frame.num_rows == 0 for frame in readings)
    assert any(v.null_count and np.isnan(v.drop_null().to_numpy()).any() for v in values)
    assert any(len(frame["stream"].unique()) == 1 for frame in readings)
    assert any(len(frame["stream"].unique()) > 20 for frame in readings)
    for run in first.values():
        for view in run:
            frame = view.frames["flow"]
            in_order = frame.sort_by([("stream", "ascending"), ("time", "ascending"), ("id", "ascending")])
            assert of_table(frame) == of_table(in_order)
