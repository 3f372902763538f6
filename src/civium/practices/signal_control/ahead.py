"""Looks a minute ahead: for each stage, how much waiting the best sequence of stages that begins with it leaves.

A rolling-horizon search (Gartner's OPAC and Sen and Head's COP, here by beam search): queues by lane, arrivals of those
in sight when they can reach the stop line and of the usual inflow after them, discharge by stage, change times and
minimum greens. All signals are searched together; a row is one sequence of stages of one signal.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.practices.signal_control.layout import Bools, Floats, Ints, Layout
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import Readings

STEP_S = 5.0
NO_HOLD = 1e3  # vehicles: more than go in any green


@dataclass(frozen=True, slots=True)
class _Rows:
    """Sequences so far: all arrays have one row each, ``queue`` ... ``hold`` a column for each lane of the signal."""

    signal: Ints
    stage: Ints  # number among all
    first: Ints  # stage that it begins with, -1 = not chosen yet
    green: Floats  # [s] since the stage came
    cost: Floats  # [vehicle seconds]
    queue: Floats
    lost: Floats  # [s] until the lane flows
    halted: Bools  # the lane does not flow until another stage than that of now has served it
    hold: Floats  # vehicles that may still go before one whose movement is held stops the lane

    def take(self, rows: Ints) -> "_Rows":
        return _Rows(*(getattr(self, name)[rows] for name in self.__slots__))


def waiting_ahead(
    layout: Layout,
    seen: Readings,
    inflow: Floats,
    rate: Floats,
    shut: Bools,
    halted: Bools,
    current: Ints,
    green: Floats,
    params: SignalParams,
) -> Floats:
    """Waiting [vehicle seconds] within the horizon, by the stage shown next (inf where it cannot be shown yet).

    ``shut``: movements whose exit is full; ``halted``: lanes that do not flow although they have green now;
    ``green``: by signal, time since its stage came [s]; ``current``: the stage that needs no change (-1 = none).
    """
    steps = max(1, round(params.horizon / STEP_S))
    queue, arriving = (_by_signal(layout, of_lane) for of_lane in _arrivals(layout, seen, inflow, steps))
    flow, hold = _discharge(layout, rate, shut)
    best = np.zeros_like(queue)
    np.maximum.at(best, layout.stage_signal, flow)
    clear = 0.5 / np.maximum(best, params.slowest)  # [s/vehicle²]: a queue's waiting while it is served alone

    def left_over(rows: _Rows) -> Floats:
        unserved = np.where(flow[rows.stage] > 0, 0.0, params.remaining)
        total: Floats = (rows.queue * (rows.queue * clear[rows.signal] + unserved)).sum(axis=1)
        return total + rows.cost

    now = layout.first_stage[:-1] + current
    rows = _begin(layout, queue, _by_signal(layout, halted), hold, now, current, green)
    for t in range(steps):
        rows = _changed(layout, rows, flow, hold, now, params)
        time = np.clip(STEP_S - rows.lost, 0.0, None)
        able = np.minimum(flow[rows.stage] * time, rows.hold)
        able = np.where(rows.halted, 0.0, able)
        have = rows.queue + arriving[rows.signal, :, t]
        served = np.minimum(have, able)
        rows = _Rows(
            rows.signal,
            rows.stage,
            rows.first,
            rows.green + STEP_S,
            rows.cost + (rows.queue + have - served).sum(axis=1) * (STEP_S / 2),
            have - served,
            np.clip(rows.lost - STEP_S, 0.0, None),
            rows.halted,
            rows.hold - served,
        )
        rows = _pruned(rows, left_over(rows), params.beam)
    waiting = np.full(len(layout.stage_signal), np.inf)
    np.minimum.at(waiting, rows.first, left_over(rows))
    return waiting


def _by_signal(layout: Layout, of_lane: NDArray[Any]) -> NDArray[Any]:
    """What is told by lane, by signal and lane of it; zero where a signal has fewer lanes than another."""
    count = np.bincount(layout.lane_signal, minlength=len(layout.signal))
    table = np.zeros((len(count), max(count.max(initial=0), 1), *of_lane.shape[1:]), of_lane.dtype)
    table[layout.lane_signal, _place(layout)] = of_lane
    return table


def _place(layout: Layout) -> Ints:
    """Number of each lane within its signal."""
    first = np.searchsorted(layout.lane_signal, np.arange(len(layout.signal)))
    place: Ints = np.arange(len(layout.lane_signal)) - first[layout.lane_signal]
    return place


def _arrivals(layout: Layout, seen: Readings, inflow: Floats, steps: int) -> tuple[Floats, Floats]:
    """By lane: the queue at its stop line, and vehicles that reach it in each step. Who stands before another
    junction that is in sight has as far to go as who moves there."""
    lane, camera, near = layout.watch_lane, layout.watch_detector, layout.watch_distance
    count = np.nan_to_num(seen.count)[camera] * layout.watch_share
    stands = np.minimum(np.nan_to_num(seen.queue)[camera] * layout.watch_share, count)
    stands = np.where(near > 0, 0.0, stands)
    begin = near / layout.lane_speed[lane]
    end = begin + np.maximum(layout.detector_range[camera], 1.0) / layout.lane_speed[lane]
    queue, sighted = np.zeros(len(inflow)), np.zeros(len(inflow))
    np.add.at(queue, lane, stands)
    np.maximum.at(sighted, lane, end)
    arriving = np.zeros((len(inflow), steps))
    for t in range(steps):
        since, until = t * STEP_S, (t + 1) * STEP_S
        share = np.clip((np.minimum(end, until) - np.maximum(begin, since)) / (end - begin), 0.0, None)
        np.add.at(arriving[:, t], lane, (count - stands) * share)
        arriving[:, t] += inflow * np.clip(until - np.maximum(sighted, since), 0.0, None)
    return queue, arriving


def _discharge(layout: Layout, rate: Floats, shut: Bools) -> tuple[Floats, Floats]:
    """By stage and lane: discharge [vehicles/s], 0 where no movement has green and room, and the vehicles that go
    before the first one that may not."""
    share = layout.movement_share[layout.serve_movement] * ~shut[layout.serve_movement]
    free = np.minimum(np.bincount(layout.serve_pair, share, len(layout.pair_stage)), 1.0)
    widest = max(np.bincount(layout.lane_signal).max(initial=0), 1)
    flow, hold = (np.zeros((len(layout.stage_signal), widest)) for _ in range(2))
    at = layout.pair_stage, _place(layout)[layout.pair_lane]
    flow[at] = np.where(free > 0, rate, 0.0)
    hold[at] = np.minimum(free / np.maximum(1.0 - free, 1e-9), NO_HOLD)
    return flow, hold


def _begin(
    layout: Layout, queue: Floats, halted: Bools, hold: Floats, now: Ints, current: Ints, green: Floats
) -> _Rows:
    """One row for a signal that shows a stage; where none is known, one for each, all to be chosen from."""
    known = current[layout.stage_signal] >= 0
    stage = np.arange(len(known))
    stage = stage[~known | (stage == now[layout.stage_signal])]
    signal, known = layout.stage_signal[stage], known[stage]
    return _Rows(
        signal,
        stage,
        np.where(known, -1, stage),
        np.where(known, green[signal], 0.0),
        np.zeros(len(stage)),
        queue[signal],
        np.zeros_like(queue[signal]),
        halted[signal],
        hold[stage],
    )


def _changed(layout: Layout, rows: _Rows, flow: Floats, hold: Floats, now: Ints, params: SignalParams) -> _Rows:
    """Each row once for every stage that it can show in the next step."""
    begin = layout.first_stage[rows.signal]
    count = layout.first_stage[rows.signal + 1] - begin
    source = np.repeat(np.arange(len(begin)), count)
    own = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    stage = begin[source] + own
    kept = (stage == rows.stage[source]) | (rows.green >= layout.min_green[rows.stage])[source]
    source, own, stage = source[kept], own[kept], stage[kept]
    rows = rows.take(source)
    changes = stage != rows.stage
    change = layout.change[rows.stage, own]
    flows_on = (flow[rows.stage] > 0) & (flow[stage] > 0)
    begins = changes[:, None] & ~flows_on
    return _Rows(
        rows.signal,
        stage,
        np.where(rows.first < 0, stage, rows.first),
        np.where(changes, -change, rows.green),
        rows.cost,
        rows.queue,
        np.where(begins, (change + params.start_loss)[:, None], rows.lost),
        rows.halted & ~((flow[stage] > 0) & (stage != now[rows.signal])[:, None]),
        np.where(changes[:, None], hold[stage], rows.hold),
    )


def _pruned(rows: _Rows, waiting: Floats, beam: int) -> _Rows:
    """The best rows of each first stage and stage shown."""
    group = rows.first * (rows.first.max(initial=0) + 1) + rows.stage
    order = np.lexsort((waiting, group))
    sorted_group = group[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_group, sorted_group)
    return rows.take(np.sort(order[rank < beam]))
