"""Which stage each signal should show next: the one that lets most vehicles go per second, its change included.

The index of a stage is the number of vehicles expected to leave in the best of a few green times, over change time
plus green time (Lämmer and Helbing, J. Stat. Mech. 2008 P04019, eq. 12). It is taken of the lanes alone that a change
would serve or cease to serve; the stage that is shown goes on until a change gains more than it loses, by more than
the hysteresis.
"""

import numpy as np

from civium.core.clock import MICROSECONDS
from civium.core.errors import NeedUnmet
from civium.core.practice import Command, Notice, Plan, State
from civium.core.view import View, column
from civium.practices.signal_control.layout import CAMERA, Bools, Floats, Ints, Layout, layout_of
from civium.practices.signal_control.params import SignalParams
from civium.practices.signal_control.sight import (
    Lanes,
    exit_fill,
    jammed,
    lanes_of,
    newest_by_thing,
    read,
    untrusted,
    without,
)
from civium.practices.signal_control.worth import (
    Worth,
    aged,
    halted_for,
    learned_rate,
    shown_pairs,
    smoothed_inflow,
    usual_rate,
    worth_of,
)

UNKNOWN = -1


def start(view: View, params: SignalParams) -> State:
    """Nothing known yet: no stage, no waiting, every detector heard just now."""
    layout = layout_of(view.things)
    signals, detectors = len(layout.signal), len(layout.detector)
    lanes, links = len(layout.lane_signal), len(layout.link_signal)
    return {
        "turned": np.array([view.now], dtype=np.int64),
        "signal": layout.signal.copy(),
        "stage": np.full(signals, UNKNOWN, dtype=np.int64),
        "since": np.full(signals, view.now, dtype=np.int64),
        "wished": np.full(signals, UNKNOWN, dtype=np.int64),
        "asked": np.full(signals, view.now, dtype=np.int64),
        "failed": np.zeros(signals, dtype=bool),
        "lacking": np.zeros(signals, dtype=bool),
        "waiting": np.full(links, view.now, dtype=np.int64),
        "standing": np.zeros(lanes),
        "age": np.zeros(lanes),
        "halted": np.zeros(lanes),
        "inflow": np.zeros(lanes),
        "rate": usual_rate(layout, params),
        "detector": layout.detector.copy(),
        "heard": np.full(detectors, view.now, dtype=np.int64),
        "counted": np.full(detectors, -1, dtype=np.int64),
        "frozen": np.zeros(detectors, dtype=np.int64),
        "unseen": np.zeros(detectors),
        "last_count": np.full(detectors, -1.0),
        "last_queue": np.full(detectors, -1.0),
    }


def decide(view: View, state: State, params: SignalParams) -> tuple[Plan, State]:
    """One turn for all signals: commands for the healthy, notices for those that fall back.

    Raises NeedUnmet where there is none that takes commands.
    """
    layout = layout_of(view.things)
    if not layout.controllable.any():
        raise NeedUnmet("signal_phase", "no signal that takes commands is registered; ask who runs the signals")
    if not _fits(layout, state):
        state = start(view, params)
    now = view.now
    elapsed = now - int(state["turned"][0])
    passed = elapsed / MICROSECONDS
    seen = read(view, layout, state["counted"])
    phase, _ = newest_by_thing(view.frames.get("signal_phase"), layout.signal)
    stage, since = _stage(layout, state, phase, now)

    served = _served(layout, stage)
    bad, memory = untrusted(layout, seen, state, served, elapsed, now, _us(params.stale), _us(params.stuck))
    seen = without(seen, bad)
    lanes = lanes_of(layout, seen)
    failed = (np.isnan(phase) | _has(layout, bad & (layout.detector_role == CAMERA))) & layout.controllable
    lacking = _has(layout, bad) & layout.controllable

    shut = exit_fill(layout, seen) >= params.full
    inflow = smoothed_inflow(state, lanes, passed, params)
    still = halted_for(layout, state, stage, lanes, shut, passed)
    rate = learned_rate(layout, state, stage, lanes, shut, passed, params)
    age = aged(state, lanes, passed, params)
    waiting = _waiting(layout, state, lanes.total, stage, now)
    ignored = (stage >= 0) & (stage != state["wished"]) & (now - state["asked"] > _us(params.patience))
    current = np.where((state["wished"] >= 0) & ~ignored, state["wished"], stage)
    settled = (stage == current) & (now - since >= _min_green(layout, stage) * MICROSECONDS)
    worth = worth_of(layout, lanes, inflow, rate, shut, still >= params.halted, age, current, params)
    forced = _forced(layout, waiting, worth.blocked, now, params)
    choice = _choose(layout, worth, forced, current, settled, params.hysteresis)
    full = jammed(layout, lanes, age, params.jam, params.oldest)
    choice = np.where(failed | full | ~layout.controllable, UNKNOWN, choice)

    commands = _commands(view, layout, choice, forced, current, lanes, params)
    notices = _notices(layout, failed, lacking, state, bad)
    because = f"{len(commands)} of {len(layout.signal)} signals guided, {int(failed.sum())} left to their own program"
    after = {
        **memory,
        "turned": np.array([now], dtype=np.int64),
        "signal": layout.signal,
        "stage": stage,
        "since": since,
        "wished": choice,
        "asked": np.where(choice == state["wished"], state["asked"], now),
        "failed": failed,
        "lacking": lacking,
        "waiting": waiting,
        "standing": lanes.standing,
        "age": age,
        "halted": still,
        "inflow": inflow,
        "rate": rate,
        "detector": layout.detector,
    }
    return Plan(commands=commands, notices=notices, because=because), after


def _us(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


def _fits(layout: Layout, state: State) -> bool:
    """Whether the state is of these signals and detectors; else it starts afresh."""
    return (
        np.array_equal(state["signal"], layout.signal)
        and np.array_equal(state["detector"], layout.detector)
        and len(state["waiting"]) == len(layout.link_signal)
        and len(state["inflow"]) == len(layout.lane_signal)
        and len(state["rate"]) == len(layout.pair_stage)
    )


def _stage(layout: Layout, state: State, phase: Floats, now: int) -> tuple[Ints, Ints]:
    """Stage that each signal shows (-1: changing or unknown) and since when [us]."""
    stage = np.where(np.isnan(phase), UNKNOWN, phase).astype(np.int64)
    stage = np.where(stage < np.diff(layout.first_stage), stage, UNKNOWN)
    return stage, np.where(stage == state["stage"], state["since"], now)


def _min_green(layout: Layout, stage: Ints) -> Floats:
    """Minimum green [s] of the stage shown."""
    if not len(stage):
        return np.zeros(0)
    return layout.min_green[layout.first_stage[:-1] + np.maximum(stage, 0)]


def _served(layout: Layout, stage: Ints) -> Bools:
    """Detectors all of whose lanes' movements have protected green."""
    flowing = shown_pairs(layout, stage)[layout.serve_pair] & layout.serve_protected
    held = np.ones(len(layout.movement_lane), dtype=bool)
    held[layout.serve_movement[flowing]] = False
    closed = np.zeros(len(layout.lane_signal), dtype=bool)
    np.logical_or.at(closed, layout.movement_lane, held)
    still = np.zeros(len(layout.detector), dtype=bool)
    np.logical_or.at(still, layout.watch_detector, closed[layout.watch_lane])
    return ~still


def _waiting(layout: Layout, state: State, total: Floats, stage: Ints, now: int) -> Ints:
    """Since when [us] somebody waits at each link; now where nobody does. Walkers are not seen: they always may."""
    if not len(layout.link_signal):
        return state["waiting"]
    row = layout.first_stage[:-1] + np.maximum(stage, 0)
    own = np.arange(len(layout.link_signal)) - layout.first_link[layout.link_signal]
    green = layout.shows[row[layout.link_signal], own] & (stage >= 0)[layout.link_signal]
    demand = layout.link_walks.copy()
    np.logical_or.at(demand, layout.movement_link, total[layout.movement_lane] >= 0.5)
    return np.where(demand & ~green, state["waiting"], now)


def _forced(layout: Layout, waiting: Ints, blocked: Bools, now: int, params: SignalParams) -> Ints:
    """Stage (number among all, -1 = none) that must come now because somebody has waited too long there."""
    forced = np.full(len(layout.signal), UNKNOWN, dtype=np.int64)
    signal = layout.link_signal
    longest = np.where(
        layout.link_walks, np.minimum(layout.max_red[signal], params.walker_wait), layout.max_red[signal]
    )
    slack = params.red_slack + params.stage_slack * np.maximum(np.diff(layout.first_stage) - 2, 0)
    late = (now - waiting) / MICROSECONDS - (longest - slack[signal])
    for s in np.unique(signal[late >= 0]):
        links = slice(int(layout.first_link[s]), int(layout.first_link[s + 1]))
        stages = slice(int(layout.first_stage[s]), int(layout.first_stage[s + 1]))
        lateness = np.maximum(late[links], -1.0) + 1.0
        served = np.where(layout.shows[stages, : len(lateness)], lateness, 0.0)
        urgency = np.where(blocked[stages], 0.0, served.max(axis=1) * 1e3 + served.sum(axis=1))
        if urgency.max() >= 1e3:
            forced[s] = stages.start + int(np.argmax(urgency))
    return forced


def _choose(layout: Layout, worth: Worth, forced: Ints, current: Ints, settled: Bools, hysteresis: float) -> Ints:
    """Stage index within its signal to wish for."""
    choice = current.copy()
    for s in range(len(layout.signal)):
        first, last = int(layout.first_stage[s]), int(layout.first_stage[s + 1])
        at = int(current[s])
        if at >= 0 and not settled[s]:
            continue
        if forced[s] >= 0:
            choice[s] = forced[s] - first
        elif at < 0:
            choice[s] = np.argmax(worth.alone[first:last])
        else:
            better = worth.gain[first:last] - worth.loss[first:last] * hysteresis
            better[at] = 1e-6
            choice[s] = np.argmax(better)
    return choice


def _commands(
    view: View, layout: Layout, choice: Ints, forced: Ints, current: Ints, lanes: Lanes, params: SignalParams
) -> tuple[Command, ...]:
    wish = {int(layout.signal[s]): s for s in np.flatnonzero(choice >= 0)}
    until = view.now + _us(params.lapse)
    sighted = np.bincount(layout.lane_signal, lanes.total, len(layout.signal))
    commands = []
    for actuator, thing, kind in zip(
        column(view.actuators, "actuator").tolist(),
        column(view.actuators, "thing").tolist(),
        view.actuators.column("kind").to_pylist(),
        strict=True,
    ):
        s = wish.get(thing)
        if s is None or kind != "signal":
            continue
        if forced[s] == layout.first_stage[s] + choice[s]:
            why = "somebody has waited there for the longest time that is allowed"
        elif choice[s] == current[s]:
            why = "no other phase is clearly better yet"
        else:
            why = "it lets most vehicles go per second, its change included"
        because = f"phase {choice[s]}: {why}; {sighted[s]:.0f} vehicles in sight"
        commands.append(Command(actuator, float(choice[s]), until, because=because))
    return tuple(commands)


def _has(layout: Layout, detectors: Bools) -> Bools:
    """Signals that have one of these detectors."""
    found = np.zeros(len(layout.signal), dtype=bool)
    found[layout.detector_signal[detectors & (layout.detector_signal >= 0)]] = True
    return found


def _notices(layout: Layout, failed: Bools, lacking: Bools, state: State, bad: Bools) -> tuple[Notice, ...]:
    """A notice when a signal is given up, when it is guided without some detectors, when it lacks nothing again."""
    notices = []
    for s in np.flatnonzero((failed & ~state["failed"]) | (lacking & ~state["lacking"])):
        which = layout.detector[(layout.detector_signal == s) & bad]
        key = "no_phase" if not len(which) else "fallback" if failed[s] else "lacking"
        values = {"detectors": ", ".join(str(int(d)) for d in which[:5])} if len(which) else {}
        notices.append(Notice("desk", "warning", key, values, about=int(layout.signal[s])))
    again = np.flatnonzero((state["failed"] & ~failed) | (state["lacking"] & ~lacking & ~failed))
    return (*notices, *(Notice("desk", "info", "recovered", about=int(layout.signal[s])) for s in again))
