"""What each stage is worth now: vehicles that leave per second in its best green time, its change included."""

import numpy as np

from civium.core.practice import State
from civium.practices.signal_control.layout import Bools, Floats, Ints, Layout
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import Lanes

CROSSING_S = 7.0  # a vehicle at speed crosses the range of a camera in this time: later ones are not in sight yet


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


def stage_index(
    layout: Layout,
    lanes: Lanes,
    inflow: Floats,
    rate: Floats,
    shut: Bools,
    age: Floats,
    current: Ints,
    params: SignalParams,
) -> tuple[Floats, Bools]:
    """Index of each stage [weighted vehicles/s], and whether most of whom it would serve would not find room.

    ``shut``: by movement, whether its exit is full; ``age``: by lane, for how long its queue has stood [s];
    ``current``: by signal, the stage that needs no change (-1 = none).
    """
    pairs, stages = len(layout.pair_stage), len(layout.stage_signal)
    movement, share = layout.serve_movement, layout.movement_share[layout.serve_movement]
    free_share = np.bincount(layout.serve_pair, share * ~shut[movement], pairs)
    shut_share = np.bincount(layout.serve_pair, share * shut[movement], pairs)
    weight = 1.0 + params.aging * age[layout.pair_lane] / 60.0
    before_held = free_share / np.maximum(1.0 - free_share, 1e-9)  # vehicles before the first that may not go
    total = lanes.total[layout.pair_lane]
    change = _change(layout, current, params)
    best = np.zeros(stages)
    for green in params.greens:
        ahead = change[layout.pair_stage] + green
        expected = total + inflow[layout.pair_lane] * np.maximum(ahead - CROSSING_S, 0.0)
        able = green * rate
        served = np.minimum(np.minimum(expected * np.minimum(free_share, 1.0), before_held), able)
        stuck = np.minimum(expected * shut_share, able)
        gain = np.bincount(layout.pair_stage, (served - stuck) * weight, stages) / (change + green)
        best = np.maximum(best, gain)
    served_total = np.bincount(layout.pair_stage, total * free_share, stages)
    stuck_total = np.bincount(layout.pair_stage, total * shut_share, stages)
    return best, (stuck_total > 0) & (stuck_total >= served_total)


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
