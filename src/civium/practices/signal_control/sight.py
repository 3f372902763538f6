"""What the detectors tell at one turn: vehicles per lane, full exits, and which detectors cannot be trusted."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from civium.core.practice import State
from civium.core.view import View, column, latest
from civium.practices.signal_control.layout import CAMERA, EXIT, LOOP, Bools, Floats, Ints, Layout

VEHICLE_SPACE_M = 7.5  # a standing car and its gap
UNSEEN_LIMIT = 8.0  # vehicles that a loop counted and its camera should have seen
READING_S = 5.0  # time between readings that the above supposes


@dataclass(frozen=True, slots=True)
class Readings:
    """Newest values by detector (NaN: none); ``flow`` sums new readings; ``newest`` instant of any [us], -1 = none."""

    count: Floats
    queue: Floats
    occupancy: Floats
    flow: Floats
    flow_time: Ints
    newest: Ints


@dataclass(frozen=True, slots=True)
class Lanes:
    """By incoming lane: vehicles in sight and bound for its stop line, those that stand, those of them at the line,
    those that just passed it, and whether a loop counts these."""

    total: Floats
    standing: Floats
    near: Floats
    passed: Floats
    counted: Bools


def newest_by_thing(frame: pa.Table | None, ids: Ints) -> tuple[Floats, Ints]:
    """Newest value and its instant [us] for each id (sorted); NaN and -1 where there is none."""
    value = np.full(len(ids), np.nan)
    time = np.full(len(ids), -1, dtype=np.int64)
    if frame is not None and frame.num_rows and len(ids):
        last = latest(frame)
        at, known = _positions(ids, column(last, "thing").astype(np.int64))
        value[at[known]] = column(last, "value")[known]
        time[at[known]] = column(last, "time")[known]
    return value, time


def read(view: View, layout: Layout, counted: Ints) -> Readings:
    """Readings of the View's detectors; ``counted``: instant [us] of the last flow that was already added up."""
    ids = layout.detector
    count, count_time = newest_by_thing(view.frames.get("vehicle_count"), ids)
    queue, queue_time = newest_by_thing(view.frames.get("queue_length"), ids)
    occupancy, occupancy_time = newest_by_thing(view.frames.get("occupancy"), ids)
    flow = np.zeros(len(ids))
    flow_time = counted.copy()
    frame = view.frames.get("vehicle_flow")
    if frame is not None and frame.num_rows and len(ids):
        at, known = _positions(ids, column(frame, "thing").astype(np.int64))
        time = column(frame, "time").astype(np.int64)
        new = known & (time > counted[at])
        np.add.at(flow, at[new], np.nan_to_num(column(frame, "value")[new].astype(np.float64)))
        np.maximum.at(flow_time, at[new], time[new])
    camera = np.minimum(count_time, queue_time)
    newest = np.where(
        layout.detector_role == LOOP,
        np.maximum(occupancy_time, np.where(flow_time > counted, flow_time, -1)),
        np.where(layout.detector_role == EXIT, queue_time, camera),
    )
    return Readings(count, queue, occupancy, flow, flow_time, newest)


def _positions(ids: Ints, things: Ints) -> tuple[Ints, Bools]:
    at = np.clip(np.searchsorted(ids, things), 0, len(ids) - 1)
    return at, ids[at] == things


def without(seen: Readings, bad: Bools) -> Readings:
    """The readings without those of detectors that cannot be trusted."""
    blank = [np.where(bad, np.nan, values) for values in (seen.count, seen.queue, seen.occupancy, seen.flow)]
    return replace(seen, count=blank[0], queue=blank[1], occupancy=blank[2], flow=blank[3])


def lanes_of(layout: Layout, seen: Readings) -> Lanes:
    """Adds up cameras and loops by lane; what a camera sees for several lanes is shared among them."""
    total, standing, near, passed = (np.zeros(len(layout.lane_signal)) for _ in range(4))
    camera, loops = layout.watch_detector, layout.loop_lane >= 0
    queue = np.nan_to_num(seen.queue)[camera] * layout.watch_share
    np.add.at(total, layout.watch_lane, np.nan_to_num(seen.count)[camera] * layout.watch_share)
    np.add.at(standing, layout.watch_lane, queue)
    np.add.at(near, layout.watch_lane, np.where(layout.watch_distance > 0, 0.0, queue))
    np.add.at(passed, layout.loop_lane[loops], seen.flow[loops])
    counted = np.zeros(len(layout.lane_signal), dtype=bool)
    counted[layout.loop_lane[loops & ~np.isnan(seen.flow)]] = True
    return Lanes(total, standing, near, np.nan_to_num(passed), counted)


def exit_fill(layout: Layout, seen: Readings) -> Floats:
    """By movement: share (0..1) of its exit's length that standing vehicles take up; 0 where no camera looks."""
    if not len(layout.detector):
        return np.zeros(len(layout.movement_exit))
    taken = np.nan_to_num(seen.queue) * VEHICLE_SPACE_M / np.maximum(layout.detector_range, VEHICLE_SPACE_M)
    fill = np.where(layout.movement_exit >= 0, taken[np.maximum(layout.movement_exit, 0)], 0.0)
    return np.clip(fill, 0.0, 1.0)


def jammed(layout: Layout, lanes: Lanes, age: Floats, share: float, oldest: float) -> Bools:
    """Signals with queues beyond sight, for longer than ``oldest`` [s], that no single stage could serve: how long
    they are cannot be seen, so that nothing tells which to prefer."""
    room = np.zeros(len(layout.lane_signal))
    np.add.at(room, layout.watch_lane, layout.detector_capacity[layout.watch_detector] * layout.watch_share)
    full = (lanes.standing >= np.maximum(share * room, 1.0)) & (age >= oldest)
    signals = len(layout.signal)
    all_of = np.bincount(layout.lane_signal[full], minlength=signals)
    served = np.bincount(layout.pair_stage, full[layout.pair_lane], len(layout.stage_signal))
    most = np.zeros(signals)
    np.maximum.at(most, layout.stage_signal, served)
    over: Bools = all_of > most
    return over


def untrusted(
    layout: Layout, seen: Readings, state: State, served: Bools, elapsed: int, now: int, stale: int, stuck: int
) -> tuple[Bools, dict[str, Ints | Floats]]:
    """Detectors that are silent, impossible or stuck, and the state to remember. Times in [us].

    ``served[d]``: the lanes that detector d watches have protected green now. A camera is stuck that shows vehicles
    unchanged for ``stuck`` of green, or that sees none of the vehicles which the loops count.
    """
    heard = np.maximum(state["heard"], seen.newest)
    silent = now - heard > stale
    most = layout.detector_capacity * 2.0 + 4.0
    impossible = (seen.count < 0) | (seen.count > most) | (seen.queue < 0) | (seen.queue > most)
    impossible |= (seen.occupancy < 0) | (seen.occupancy > 1.001)
    camera = layout.detector_role == CAMERA
    same = (seen.count == state["last_count"]) & (seen.queue == state["last_queue"]) & (seen.count > 0)
    frozen = np.where(same & camera, state["frozen"] + np.where(served, elapsed, 0), 0).astype(np.int64)
    unseen = np.where(np.nan_to_num(seen.count) > 0, 0.0, state["unseen"] + _expected(layout, seen))
    bad = silent | impossible | (frozen > stuck) | (camera & (unseen > UNSEEN_LIMIT))
    return bad, {
        "heard": heard,
        "frozen": frozen,
        "unseen": unseen,
        "last_count": seen.count,
        "last_queue": seen.queue,
        "counted": seen.flow_time,
    }


def _expected(layout: Layout, seen: Readings) -> Floats:
    """Vehicles that each camera should have caught at its reading, given what the loops of its lanes counted."""
    passed = lanes_of(layout, seen).passed
    expected = np.zeros(len(layout.detector))
    near = layout.watch_distance == 0
    lane, camera = layout.watch_lane[near], layout.watch_detector[near]
    caught = np.minimum(1.0, layout.detector_range[camera] / (layout.lane_speed[lane] * READING_S))
    expected[camera] = passed[lane] * caught
    return expected
