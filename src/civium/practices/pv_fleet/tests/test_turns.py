"""Turns: a reading counts once, whatever the windows, the order of rows, or how often the practice is asked."""

import pickle

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World, follow

from civium.core import View
from civium.core.digest import of_json, of_state, of_view
from civium.practices.pv_fleet.decide import FleetParams, decide, start
from civium.practices.pv_fleet.memory import recall

MADE_EVERY_TURN = {"estimated"}


def learned(state: dict) -> dict:
    """The state but for the time of the last estimate."""
    return {k: v for k, v in state.items() if k not in MADE_EVERY_TURN}


def test_asking_more_often_teaches_nothing_more() -> None:
    _, daily, _ = follow(World(plants=4), 20, every=24.0)
    _, often, _ = follow(World(plants=4), 20, every=4.0)
    assert of_state(learned(dict(daily))) == of_state(learned(dict(often)))


def test_the_same_turn_again_changes_nothing_and_says_nothing() -> None:
    world = World(plants=4)
    _, state, _ = follow(world, 20)
    *_, (_, view) = world.turns(20)
    plan, after = decide(view, state, FleetParams())
    assert plan.notices == ()
    assert plan.estimates == ()
    assert of_state(after) == of_state(state)


@given(seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    world = World(plants=3)
    _, state, _ = follow(world, 3)
    *_, (_, view) = world.turns(4)
    mixed = world.view(view.now, shuffle=seed)
    one, two = decide(view, state, FleetParams()), decide(mixed, state, FleetParams())
    assert of_json(one[0]) == of_json(two[0])
    assert of_state(one[1]) == of_state(two[1])


def test_a_reading_that_arrives_twice_counts_once() -> None:
    world = World(plants=3)
    _, state, _ = follow(world, 3)
    *_, (_, view) = world.turns(4)
    twice = {k: pa.concat_tables([t, t]) for k, t in view.frames.items()}
    doubled = View(view.now, {}, twice, view.things, view.streams)
    assert of_state(decide(view, state, FleetParams())[1]) == of_state(decide(doubled, state, FleetParams())[1])


def test_inputs_stay_as_they_were_and_the_outcome_travels() -> None:
    world = World(plants=3)
    _, state, _ = follow(world, 3)
    *_, (_, view) = world.turns(4)
    before = of_view(view), of_state(state)
    outcome = decide(view, state, FleetParams())
    assert (of_view(view), of_state(state)) == before
    assert of_state(pickle.loads(pickle.dumps(outcome))[1]) == of_state(outcome[1])


def test_a_plant_that_joins_leaves_what_the_others_learned() -> None:
    small, large = World(plants=3), World(plants=3)
    _, state, _ = follow(small, 10)
    grown = recall(state, np.array([1, 2, 3, 77]), np.array([1000]))
    assert (grown["theta"][:3] == state["theta"]).all()
    assert np.isnan(grown["theta"][3]).all()
    shrunk = recall(grown, np.array([2]), np.array([1000]))
    assert (shrunk["theta"][0] == state["theta"][1]).all()
    *_, (_, view) = large.turns(11)
    assert len(decide(view, shrunk, FleetParams())[1]["plant"]) == 3


def test_days_without_a_turn_are_unknown_not_lost_or_shifted() -> None:
    world = World(plants=3)
    state = None
    for day, view in world.turns(30):
        state = start(view, FleetParams()) if state is None else state
        if not 12 <= day < 17:
            _, state = decide(view, state, FleetParams())
    assert state is not None
    known = np.isfinite(state["output"][0, -30:])
    assert not known[12:16].any()
    assert known[18:].sum() >= 10
