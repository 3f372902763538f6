"""How each lane does under each stage: discharge, inflow, age of the queue, and what keeps it from moving."""

import numpy as np

from civium.core.practice import State
from civium.practices.signal_control.layout import Bools, Floats, Ints, Layout
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import Lanes, Readings


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
    layout: Layout, state: State, stage: Ints, lanes: Lanes, shut: Bools, elapsed: float, params: SignalParams
) -> Floats:
    """Discharge [vehicles/s], moved towards what just passed where a queue had green all the time and a free exit.

    ``shut``: movements whose exit is full; ``elapsed`` [s] since the last turn.
    """
    if elapsed <= 0:
        return state["rate"]
    jammed = np.zeros(len(layout.lane_signal), dtype=bool)
    np.logical_or.at(jammed, layout.movement_lane, shut)
    queued = (state["standing"] >= 2.0) & (lanes.total >= 1.0) & ~jammed
    same = (state["stage"] == stage)[layout.stage_signal[layout.pair_stage]]
    learn = shown_pairs(layout, stage) & same & (queued & lanes.counted)[layout.pair_lane]
    passed = np.clip(lanes.passed[layout.pair_lane] / elapsed, params.slowest, params.fastest)
    rate: Floats = state["rate"] + np.where(learn, params.learning, 0.0) * (passed - state["rate"])
    return rate


def smoothed_inflow(state: State, lanes: Lanes, elapsed: float, params: SignalParams) -> Floats:
    """Smoothed flow over each stop line [vehicles/s]: what will keep arriving."""
    if elapsed <= 0:
        return state["inflow"]
    share = np.where(lanes.counted, 1.0 - np.exp(-elapsed / params.inflow_time), 0.0)
    inflow: Floats = state["inflow"] + share * (lanes.passed / elapsed - state["inflow"])
    return inflow


def near_queue(layout: Layout, seen: Readings) -> Floats:
    """By lane: vehicles that stand at the stop line itself; none where no camera looks."""
    near = layout.watch_distance == 0
    standing: Floats = np.zeros(len(layout.lane_signal))
    np.add.at(standing, layout.watch_lane[near], np.nan_to_num(seen.queue)[layout.watch_detector[near]])
    return standing


def halted_for(layout: Layout, state: State, stage: Ints, near: Floats, lanes: Lanes, elapsed: float) -> Floats:
    """For how long [s] each lane's queue has not moved although it has green: the first in it waits for something else.

    ``near``: the queue at the stop line. Where no loop tells that nobody passed, 0.
    """
    same = (state["stage"] == stage)[layout.stage_signal[layout.pair_stage]]
    green = np.zeros(len(near), dtype=bool)
    green[layout.pair_lane[shown_pairs(layout, stage) & same]] = True
    stands = green & (state["near"] >= 1.0) & (near >= state["near"]) & lanes.counted & (lanes.passed == 0)
    halted: Floats = np.where(stands, state["halted"] + max(elapsed, 0.0), 0.0)
    return halted


def blocked_stages(layout: Layout, lanes: Lanes, shut: Bools) -> Bools:
    """Stages most of whose vehicles would not find room. ``shut``: by movement, whether its exit is full."""
    movement, share = layout.serve_movement, layout.movement_share[layout.serve_movement]
    pairs, stages = len(layout.pair_stage), len(layout.stage_signal)
    total = lanes.total[layout.pair_lane]
    free, stuck = (
        np.bincount(layout.pair_stage, total * np.bincount(layout.serve_pair, share * those[movement], pairs), stages)
        for those in (~shut, shut)
    )
    blocked: Bools = (stuck > 0) & (stuck >= free)
    return blocked


def aged(state: State, lanes: Lanes, elapsed: float, params: SignalParams) -> Floats:
    """For how long each lane's queue has stood [s]: over when nobody stands and few are in sight."""
    queued = (lanes.standing >= 1.0) | (lanes.total >= params.platoon)
    return np.where(queued, np.minimum(state["age"] + max(elapsed, 0.0), params.oldest), 0.0)
