"""What each stage is worth now: vehicles that leave per second in its best green time, its change included; and what
a change to it gains and loses against the stage that is shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core.practice import State
from civium.practices.signal_control.layout import Bools, Floats, Ints, Layout
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import Lanes

CROSSING_S = 7.0  # a vehicle at speed crosses the range of a camera in this time: later ones are not in sight yet


@dataclass(frozen=True, slots=True)
class Worth:
    """By stage: ``alone``, what it serves [weighted vehicles/s]; ``gain`` and ``loss``, what it serves beyond the stage
    that is current and what that one serves beyond it; ``blocked``: most of whom it would serve would find no room."""

    alone: Floats
    gain: Floats
    loss: Floats
    blocked: Bools


def shown_pairs(layout: Layout, stage: Ints) -> Bools:
    """Pairs (stage, lane) of which the stage is shown."""
    signal = layout.stage_signal[layout.pair_stage]
    shown: Bools = (layout.pair_stage == (layout.first_stage[:-1] + stage)[signal]) & (stage[signal] >= 0)
    return shown


def usual_rate(layout: Layout, params: SignalParams) -> Floats:
    """Discharge of each pair (stage, lane) before anything is learned [vehicles/s]."""
    share = layout.movement_share[layout.serve_movement]
    headway = np.where(layout.serve_protected, params.headway, params.permissive_headway)
    pairs = len(layout.pair_stage)
    served = np.bincount(layout.serve_pair, share, pairs)
    rate: Floats = served / np.maximum(np.bincount(layout.serve_pair, share * headway, pairs), 1e-9)
    return rate


def learned_rate(
    layout: Layout,
    state: State,
    stage: Ints,
    lanes: Lanes,
    shut: Bools,
    elapsed: float,
    params: SignalParams,
) -> Floats:
    """Discharge [vehicles/s], moved towards what just passed where a queue had green all the time and a free exit.

    ``shut``: movements whose exit is full; ``elapsed`` [s] since the last turn.
    """
    if elapsed <= 0:
        return state["rate"]
    queued = (state["standing"] >= 2.0) & (lanes.total >= 1.0) & ~_before_full_exits(layout, shut)
    same = (state["stage"] == stage)[layout.stage_signal[layout.pair_stage]]
    learn = shown_pairs(layout, stage) & same & (queued & lanes.counted)[layout.pair_lane]
    passed = np.clip(lanes.passed[layout.pair_lane] / elapsed, params.slowest, params.fastest)
    rate: Floats = state["rate"] + np.where(learn, params.learning, 0.0) * (passed - state["rate"])
    return rate


def halted_for(layout: Layout, state: State, stage: Ints, lanes: Lanes, shut: Bools, elapsed: float) -> Floats:
    """For how long [s] each lane had protected green, a free exit and somebody at its line, and nobody passed: who
    stands there waits for something else, such as a gap in the lane beside, where the own movement is."""
    held = np.bincount(layout.serve_pair, ~layout.serve_protected, len(layout.pair_stage)) > 0
    same = (state["stage"] == stage)[layout.stage_signal[layout.pair_stage]]
    green = np.zeros(len(layout.lane_signal), dtype=bool)
    green[layout.pair_lane[shown_pairs(layout, stage) & same & ~held]] = True
    still = green & lanes.counted & (lanes.passed <= 0) & (lanes.near >= 1.0) & ~_before_full_exits(layout, shut)
    return np.where(still, state["halted"] + max(elapsed, 0.0), 0.0)


def _before_full_exits(layout: Layout, shut: Bools) -> Bools:
    """Lanes with a movement whose exit is full."""
    full = np.zeros(len(layout.lane_signal), dtype=bool)
    np.logical_or.at(full, layout.movement_lane, shut)
    return full


def smoothed_inflow(state: State, lanes: Lanes, elapsed: float, params: SignalParams) -> Floats:
    """Smoothed flow over each stop line [vehicles/s]: what will keep arriving."""
    if elapsed <= 0:
        return state["inflow"]
    share = np.where(lanes.counted, 1.0 - np.exp(-elapsed / params.inflow_time), 0.0)
    inflow: Floats = state["inflow"] + share * (lanes.passed / elapsed - state["inflow"])
    return inflow


def worth_of(
    layout: Layout,
    lanes: Lanes,
    inflow: Floats,
    rate: Floats,
    shut: Bools,
    halted: Bools,
    age: Floats,
    current: Ints,
    params: SignalParams,
) -> Worth:
    """Worth of each stage.

    ``shut``: by movement, whether its exit is full; by lane: ``halted``, whether it does not flow although it has green
    now, and ``age``, for how long its queue has stood [s]; ``current``: by signal, the stage that needs no change
    (-1 = none).
    """
    movement, share = layout.serve_movement, layout.movement_share[layout.serve_movement]
    free_share = np.bincount(layout.serve_pair, share * ~shut[movement], len(layout.pair_stage))
    shut_share = np.bincount(layout.serve_pair, share * shut[movement], len(layout.pair_stage))
    before_held = free_share / np.maximum(1.0 - free_share, 1e-9)  # vehicles before the first that may not go
    free, full = _by_stage(layout, np.minimum(free_share, 1.0)), _by_stage(layout, shut_share)
    hold, flow = _by_stage(layout, before_held), _by_stage(layout, rate)
    signal = layout.stage_signal
    total, arriving = _by_signal(layout, lanes.total)[signal], _by_signal(layout, inflow)[signal]
    weight = _by_signal(layout, 1.0 + params.aging * age / 60.0)[signal]
    stops = _by_signal(layout, halted)[signal]

    def served(stage: Ints, green: Any, ahead: Any, moves: Any = True) -> Floats:
        """Vehicles by lane that leave in ``green`` [s] of each stage, and find room, among those there by ``ahead``."""
        expected = total + arriving * np.maximum(ahead - CROSSING_S, 0.0)
        able = np.where(moves, green * flow[stage], 0.0)
        leave = np.minimum(np.minimum(expected * free[stage], hold[stage]), able)
        left: Floats = leave - np.minimum(expected * full[stage], able)
        return left

    each = np.arange(len(signal))
    now = layout.first_stage[signal] + np.maximum(current[signal], 0)
    change = _change(layout, current, params)
    # A lane that is green before and after flows on meanwhile: the change costs it nothing.
    through = (free + full > 0) & ((free + full)[now] > 0) & ~stops
    alone, gain, loss = (np.zeros(len(signal)) for _ in range(3))
    for green in params.greens:
        span = change + green
        ahead = span[:, None]
        theirs = served(each, green, ahead)
        alone = np.maximum(alone, (theirs * weight).sum(axis=1) / span)
        more = np.where(through, served(each, ahead, ahead), theirs) - served(now, ahead, ahead, ~stops)
        gain = np.maximum(gain, (np.maximum(more, 0.0) * weight).sum(axis=1) / span)
        less = served(now, green, green, ~stops) - np.where(through, served(each, green, green), 0.0)
        loss = np.maximum(loss, (np.maximum(less, 0.0) * weight).sum(axis=1) / green)
    sighted = lanes.total[layout.pair_lane]
    finds_room = np.bincount(layout.pair_stage, sighted * free_share, len(signal))
    finds_none = np.bincount(layout.pair_stage, sighted * shut_share, len(signal))
    return Worth(alone, gain, loss, (finds_none > 0) & (finds_none >= finds_room))


def _place(layout: Layout) -> Ints:
    """Number of each lane within its signal."""
    first = np.searchsorted(layout.lane_signal, np.arange(len(layout.signal)))
    place: Ints = np.arange(len(layout.lane_signal)) - first[layout.lane_signal]
    return place


def _by_signal(layout: Layout, of_lane: NDArray[Any]) -> NDArray[Any]:
    """What is told by lane, by signal and lane of it; zero where a signal has fewer lanes than another."""
    place = _place(layout)
    table = np.zeros((len(layout.signal), place.max(initial=0) + 1), of_lane.dtype)
    table[layout.lane_signal, place] = of_lane
    return table


def _by_stage(layout: Layout, of_pair: NDArray[Any]) -> Floats:
    """What is told by pair (stage, lane), by stage and lane of its signal; zero where the stage does not serve it."""
    place = _place(layout)
    table = np.zeros((len(layout.stage_signal), place.max(initial=0) + 1))
    table[layout.pair_stage, place[layout.pair_lane]] = of_pair
    return table


def _change(layout: Layout, current: Ints, params: SignalParams) -> Floats:
    """Time [s] until vehicles move in each stage, from the stage that is current."""
    signal = layout.stage_signal
    own = np.arange(len(signal)) - layout.first_stage[signal]
    at = current[signal]
    change = layout.change[layout.first_stage[signal] + np.maximum(at, 0), own] + params.start_loss
    return np.where((at == own) | (at < 0), 0.0, change)


def aged(state: State, lanes: Lanes, elapsed: float, params: SignalParams) -> Floats:
    """For how long each lane's queue has stood [s]: over when nobody stands and few are in sight."""
    queued = (lanes.standing >= 1.0) | (lanes.total >= params.platoon)
    return np.where(queued, np.minimum(state["age"] + max(elapsed, 0.0), params.oldest), 0.0)
