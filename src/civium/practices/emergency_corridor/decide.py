"""A green wave ahead of each vehicle on a mission, and a way back to normal behind it."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from civium.core.clock import MICROSECONDS
from civium.core.errors import NeedUnmet
from civium.core.nouns import Tier
from civium.core.practice import Command, Estimate, Notice, Plan, State
from civium.core.view import View, column
from civium.practices.emergency_corridor.calls import (
    LOST,
    OFF_MAP,
    STUCK,
    UNDER_WAY,
    UNREACHABLE,
    WAITING,
    Call,
    cumulated,
    follow,
    no_calls,
    open_and_close,
    recall,
    remember,
    starts_of,
)
from civium.practices.emergency_corridor.city_map import (
    Floats,
    Ints,
    Place,
    Streets,
    places_near,
    streets_of,
    things_of,
)
from civium.practices.emergency_corridor.junctions import Junctions, junctions_of
from civium.practices.emergency_corridor.params import CorridorParams
from civium.practices.emergency_corridor.readings import fixes, missions, numbers, queue_of
from civium.practices.emergency_corridor.recovery import starved
from civium.practices.emergency_corridor.route import fastest
from civium.practices.emergency_corridor.wave import Pass, Wish, may_act, passes, remaining, wishes

NOBODY = -1
TOLD = {
    OFF_MAP: ("warning", "off_map"),
    UNREACHABLE: ("warning", "unreachable"),
    LOST: ("warning", "lost"),
    STUCK: ("warning", "stuck"),
}


@dataclass(frozen=True, slots=True)
class _City:
    """What does not change from call to call in one turn; ``times`` [s] and ``names`` by street."""

    streets: Streets
    junctions: Junctions
    times: Floats
    names: tuple[str, ...]
    counts: dict[int, float]
    queues: dict[int, float]
    shown: Ints


def start(view: View, params: CorridorParams) -> State:
    """No call, no signal held."""
    return {**no_calls(), "mark": np.array([0], dtype=np.int64), **_free(np.zeros(0, dtype=np.int64))}


def decide(view: View, state: State, params: CorridorParams) -> tuple[Plan, State]:
    """One turn for all calls. ``NeedUnmet`` without vehicles, streets or signals that can be used."""
    city = _city(view)
    if state.keys() != (afresh := start(view, params)).keys():
        state = afresh  # another release left it
    signals = np.array([s.thing for s in city.junctions.signals], dtype=np.int64)
    held = dict(state) if np.array_equal(state["signal"], signals) else _free(signals)
    known = recall(state)
    if int(state["mark"][0]) != city.streets.mark:  # the routes speak of other streets
        for call in known:
            call.route, call.looked, call.seen = np.zeros(0, dtype=np.int64), -1, -1
    calls = open_and_close(known, missions(view), view.now, params)
    notices: list[Notice] = []
    ahead: list[Pass] = []
    heard, speeds = fixes(view), numbers(view, "speed")
    for call in calls:
        was = call.status
        strayed = follow(call, heard.get(call.vehicle), speeds.get(call.vehicle), city.streets, view.now, params)
        notices += _find_route(call, strayed, city, view.now, params)
        _judge(call, view.now, params)
        if may_act(call, view.now, params):
            ahead += _ahead(call, city, view.now, params)
        if call.status != was and call.status in TOLD:
            severity, key = TOLD[call.status]
            notices.append(Notice("desk", severity, key, about=call.vehicle))
    wanted = wishes(ahead, held["holder"], held["phase"], city.shown, city.junctions, params)
    commands, after = _commands(view, wanted, held, city, params)
    estimates = tuple(
        Estimate(call.vehicle, "time_to_arrival", view.now, remaining(call, city.streets, city.times, view.now, params))
        for call in calls
        if call.status in (UNDER_WAY, STUCK) and len(call.route)
    )
    because = f"{len(calls)} calls; {len(wanted)} of {len(signals)} signals held for them"
    because += f", {len(commands) - len(wanted)} make up for the wait" if len(commands) > len(wanted) else ""
    mark = np.array([city.streets.mark], dtype=np.int64)
    return Plan(commands, estimates, tuple(notices), because), {**remember(calls), "mark": mark, **after}


def _city(view: View) -> _City:
    streets = streets_of(things_of(view.things, "street"))
    signals, detectors = things_of(view.things, "signal"), things_of(view.things, "detector")
    junctions = junctions_of(signals, detectors, streets.key)
    if not things_of(view.things, "emergency_vehicle"):
        raise NeedUnmet("mission", "no emergency vehicle is registered")
    if not len(streets.thing):
        raise NeedUnmet("street_speed", "no street with line, length, speed and streets that follow is registered")
    if not junctions.ways:
        raise NeedUnmet("signal_phase", "no signal is registered whose lanes lie on the streets and that has phases")
    phase = numbers(view, "signal_phase")
    shown = np.array([_phase_shown(phase.get(s.thing), s.phases) for s in junctions.signals], dtype=np.int64)
    queues, counts = numbers(view, "queue_length"), numbers(view, "vehicle_count")
    times = _times(streets, numbers(view, "street_speed"))
    called = dict(zip(*(view.things.column(name).to_pylist() for name in ("thing", "name")), strict=True))
    names = tuple(called.get(thing) or key for thing, key in zip(streets.thing.tolist(), streets.key, strict=True))
    return _City(streets, junctions, times, names, {**queues, **counts}, queues, shown)


def _phase_shown(told: float | None, phases: int) -> int:
    return int(told) if told is not None and 0 <= told < phases else NOBODY


def _times(streets: Streets, speeds: dict[int, float]) -> Floats:
    """Time [s] to drive along each street: at the speed of now where it is known, but not above the limit."""
    live = np.array([speeds.get(thing, np.inf) for thing in streets.thing.tolist()])
    usable = np.where(live > 0, np.minimum(live, streets.speed), streets.speed)
    times: Floats = streets.length / np.maximum(usable, 0.5)
    return times


def _free(signals: Ints) -> dict[str, Ints]:
    """The state of signals that nobody holds: holder, phase, since when it waits to make up and until when [us]."""
    none = np.full(len(signals), NOBODY, dtype=np.int64)
    return {
        "signal": signals,
        "holder": none,
        "phase": none.copy(),
        "make_up": none.copy(),
        "make_up_until": np.zeros(len(signals), dtype=np.int64),
    }


def _find_route(call: Call, strayed: Floats | None, city: _City, now: int, params: CorridorParams) -> list[Notice]:
    """Looks for a route where there is none or the old one was left, and now and then for a better one."""
    due = call.looked < 0 or (now - call.looked) / MICROSECONDS >= params.reconsider
    if not np.isfinite(call.where).all() or not (strayed is not None or due):
        return []
    call.looked = now
    target = _target(call, city.streets, params)
    if not target:
        call.status, call.route = OFF_MAP, np.zeros(0, dtype=np.int64)
        return []
    fresh = strayed is not None or not len(call.route)
    starts = starts_of(call, strayed, city.streets, params) if fresh else [_at(call, city.streets)]
    route, time, begin = fastest(city.streets, _with_queues(city, params), starts, target)
    if not len(route):
        call.route = call.route[:0] if fresh else call.route
        call.status = UNREACHABLE if fresh else call.status
        return []
    if not fresh:
        left = call.route[int(np.searchsorted(cumulated(call, city.streets), call.along)) :]
        if np.array_equal(left, route) or time > params.better * _time_on(call, city, params):
            return []
    call.route, call.along = route, begin.along
    call.anchor, call.anchored = begin.along, call.seen if call.seen >= 0 else now
    call.status = WAITING
    keys = " ".join(city.streets.key[street] for street in route.tolist())  # for terminals; the text has the names
    streets = ", ".join(name for name, _ in groupby(city.names[street] for street in route.tolist()))
    return [
        Notice("desk", "info", "route", {"seconds": round(time), "streets": streets, "route": keys}, about=call.vehicle)
    ]


def _target(call: Call, streets: Streets, params: CorridorParams) -> list[Place]:
    if not np.isfinite(call.target).all():
        return []
    near = places_near(streets, streets.plane(np.array([call.target]))[0], params.reach)
    return [place for place in near if place.distance <= near[0].distance + params.near / 2]


def _at(call: Call, streets: Streets) -> Place:
    """Where a call is on its route."""
    ends = cumulated(call, streets)
    k = min(int(np.searchsorted(ends, call.along)), len(ends) - 1)
    street = int(call.route[k])
    return Place(
        street, float(np.clip(call.along - (ends[k] - streets.length[street]), 0.0, streets.length[street])), 0.0
    )


def _with_queues(city: _City, params: CorridorParams) -> Floats:
    """Times [s] of the streets with what stands at their signals: the queue's discharge is waited for."""
    times = city.times.copy()
    longest: dict[int, float] = {}
    for (street, _), way in city.junctions.ways.items():
        queue = queue_of(way.lanes, way.signal, city.junctions.cameras, city.queues, city.junctions.capacity)
        longest[street] = max(longest.get(street, 0.0), queue)
    for street, queue in longest.items():
        times[street] += params.signal_time + params.headway * queue
    return times


def _time_on(call: Call, city: _City, params: CorridorParams) -> float:
    """Time [s] that is left on the present route, as a search for another one counts it."""
    times = _with_queues(city, params)[call.route]
    ends = cumulated(call, city.streets)
    lengths = city.streets.length[call.route]
    return float((np.clip(ends - call.along, 0.0, lengths) / lengths * times).sum())


def _ahead(call: Call, city: _City, now: int, params: CorridorParams) -> list[Pass]:
    """The signals ahead of a call; none while it gives them back."""
    found = passes(call, city.streets, city.times, city.junctions, city.counts, city.shown, now, params)
    if found and found[0].eta <= found[0].lead:
        call.tire(now, found[0].lead, params)
    _judge(call, now, params)
    return found if call.status == UNDER_WAY else []


def _judge(call: Call, now: int, params: CorridorParams) -> None:
    """What a call's status is, as far as it is not that it has no way."""
    if call.status in (OFF_MAP, UNREACHABLE) or not len(call.route):
        return
    if call.seen >= 0 and call.age(now) > params.reckon:
        call.status = LOST
    elif now < call.resting:
        call.status = STUCK
    elif call.moved:
        call.status = UNDER_WAY
    else:
        call.status = WAITING


def _commands(
    view: View, wanted: list[Wish], held: dict[str, Ints], city: _City, params: CorridorParams
) -> tuple[tuple[Command, ...], dict[str, Ints]]:
    """Commands for the signals that are wished for, and at the lowest tier for those that make up for the wait."""
    actuator = dict(
        zip(column(view.actuators, "thing").tolist(), column(view.actuators, "actuator").tolist(), strict=True)
    )
    after = _free(held["signal"])
    until = view.now + round(params.lapse * MICROSECONDS)
    commands = []
    for wish in wanted:
        after["holder"][wish.signal], after["phase"][wish.signal] = wish.of.vehicle, wish.phase
        thing = city.junctions.signals[wish.signal].thing
        if thing in actuator:
            because = f"phase {wish.phase}: an emergency vehicle arrives in about {wish.of.eta:.0f} s"
            because += f", {wish.of.ahead:.0f} vehicles must leave before it" if wish.of.ahead >= 1 else ""
            commands.append(Command(actuator[thing], float(wish.phase), until, Tier.LIFE, because))
    for signal in np.flatnonzero(after["holder"] == NOBODY).tolist():
        make_up, ends = int(held["make_up"][signal]), int(held["make_up_until"][signal])
        if held["holder"][signal] != NOBODY:
            make_up, lasts, _ = starved(city.junctions, signal, int(held["phase"][signal]), city.queues, params)
            ends = view.now + round(lasts * MICROSECONDS)
        thing = city.junctions.signals[signal].thing
        if make_up == NOBODY or ends <= view.now or thing not in actuator:
            continue
        after["make_up"][signal], after["make_up_until"][signal] = make_up, ends
        because = f"phase {make_up}: those who waited while an emergency vehicle passed go next"
        commands.append(Command(actuator[thing], float(make_up), min(until, ends), Tier.COMFORT, because))
    return tuple(commands), after
