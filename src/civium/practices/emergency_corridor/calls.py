"""The calls: what is remembered of each vehicle on a mission, and how its positions move it along its route."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from civium.core.clock import MICROSECONDS
from civium.core.practice import State
from civium.practices.emergency_corridor.city_map import Floats, Ints, Place, Streets, places_near, project
from civium.practices.emergency_corridor.params import CorridorParams
from civium.practices.emergency_corridor.readings import Fix, Mission, Point

NOWHERE: Point = (float("nan"), float("nan"))
WAITING, UNDER_WAY, OFF_MAP, UNREACHABLE, LOST, STUCK = range(6)
BACKWARDS_M = 30.0  # a position may lie so far behind the last one,
AGAINST_M = 8.0  # and by so much it shows that the vehicle drives the other way
THERE_M = 30.0  # from its target a vehicle has arrived
MOVES_M_S = 1.5
MOVED_M = 10.0
FAMILIAR = 0.9  # share of the pace that is kept from turn to turn


@dataclass(slots=True)
class Call:
    """One vehicle on a mission; instants in [us], places as longitude and latitude [deg], ``route`` as streets.

    ``along`` [m] is its place from the beginning of its route, ``pace`` how much faster than the limit it drives,
    ``doubt`` the last position that was not believed, ``anchor`` [m] where it last came on by as much as counts,
    ``resting`` until when its signals are given back.
    """

    vehicle: int
    heard: int
    target: Point
    seen: int = -1
    where: Point = NOWHERE
    along: float = 0.0
    speed: float = 0.0
    pace: float = 1.0
    moved: bool = False
    doubts: int = 0
    doubted: int = -1
    doubt: Point = NOWHERE
    anchor: float = 0.0
    anchored: int = -1
    resting: int = -1
    looked: int = -1
    status: int = WAITING
    route: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def age(self, now: int) -> float:
        """Seconds since its last position."""
        return (now - self.seen) / MICROSECONDS if self.seen >= 0 else float("inf")

    def reckoned(self, now: int, params: CorridorParams) -> float:
        """Where it should be on its route now [m]: it is taken to drive on as it did, for a while."""
        return self.along + self.speed * min(max(self.age(now), 0.0), params.reckon)

    def tire(self, now: int, lead: float, params: CorridorParams) -> None:
        """Gives its signals back for a while, if it has not come on although the queue had ``lead`` [s] to leave: then
        something else stands in the way, and holding others would only make it worse."""
        if now >= self.resting and (now - self.anchored) / MICROSECONDS > lead + params.patience:
            self.resting = self.anchored = now + round(params.rest * MICROSECONDS)


_INTS = ("vehicle", "heard", "seen", "moved", "doubts", "doubted", "anchored", "resting", "looked", "status")
_FLOATS = ("along", "speed", "pace", "anchor")
_POINTS = ("target", "where", "doubt")
assert {*_INTS, *_FLOATS, *_POINTS, "route"} == {f.name for f in fields(Call)}


def no_calls() -> dict[str, Ints | Floats]:
    """The state of no call."""
    return remember([])


def remember(calls: list[Call]) -> dict[str, Ints | Floats]:
    """The calls as named arrays."""
    routes = [call.route for call in calls]
    state: dict[str, Ints | Floats] = {}
    for name in _INTS:
        state[name] = np.array([int(getattr(call, name)) for call in calls], dtype=np.int64)
    for name in _FLOATS:
        state[name] = np.array([getattr(call, name) for call in calls], dtype=np.float64)
    for name in _POINTS:
        state[name] = np.array([getattr(call, name) for call in calls], dtype=np.float64).reshape(len(calls), 2)
    state["route"] = np.concatenate([*routes, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    state["first"] = np.append(0, np.cumsum([len(route) for route in routes])).astype(np.int64)
    return state


def recall(state: State) -> list[Call]:
    """The calls that were remembered."""
    calls = []
    for i in range(len(state["vehicle"])):
        told: dict[str, Any] = {name: int(state[name][i]) for name in _INTS}
        told |= {name: float(state[name][i]) for name in _FLOATS}
        told |= {name: (float(state[name][i, 0]), float(state[name][i, 1])) for name in _POINTS}
        told["moved"] = bool(told["moved"])
        route = state["route"][state["first"][i] : state["first"][i + 1]].copy()
        calls.append(Call(**told, route=route))
    return calls


def open_and_close(calls: list[Call], missions: dict[int, Mission], now: int, params: CorridorParams) -> list[Call]:
    """The calls that are open now, by vehicle: new ones, those repeated, and those not yet forgotten."""
    known = {call.vehicle: call for call in calls}
    for vehicle, mission in missions.items():
        call = known.get(vehicle)
        if not mission.active:
            if call is None or mission.time >= call.heard:
                known.pop(vehicle, None)
            continue
        target = mission.target or NOWHERE
        if call is None:
            if (now - mission.time) / MICROSECONDS <= params.forget:
                call = known[vehicle] = Call(vehicle, mission.time, target)
        elif mission.time >= call.heard:
            if target != call.target and not (np.isnan(target).all() and np.isnan(call.target).all()):
                call.target, call.looked, call.status = target, -1, WAITING
            call.heard = mission.time
        if call is not None and call.seen < 0 and mission.origin is not None:
            call.where = mission.origin
    open_calls = [c for c in known.values() if (now - c.heard) / MICROSECONDS <= params.forget]
    return sorted(open_calls, key=lambda c: c.vehicle)


def follow(
    call: Call, fix: Fix | None, speed: float | None, streets: Streets, now: int, params: CorridorParams
) -> Floats | None:
    """Moves a call to a new position. When it has left its route (or has none) and needs one from ``call.where``: the
    way it drives there [m], of length zero if that is not known; else None.

    A position that would need an impossible speed, or lies off the route, is believed only when the next ones agree
    with it. One that lies on no street is passed over, as is one older than the last.
    """
    if fix is None or fix.where is None or fix.time <= call.seen or fix.time > now:
        return None
    here = streets.plane(np.array([fix.where]))[0]
    passed = (fix.time - call.seen) / MICROSECONDS
    moved = _apart(streets, fix.where, call.where) if call.seen >= 0 else 0.0
    heading = here - streets.plane(np.array([call.where]))[0] if call.seen >= 0 else np.zeros(2)
    heading = heading if np.hypot(*heading) > MOVED_M else np.zeros(2)
    possible = call.seen < 0 or moved <= params.jump * passed + params.snap
    if possible and len(call.route):
        along, distance, way = _on_route(call, streets, here, params.jump * passed + params.snap)
        against = along < call.along - AGAINST_M
        heading = -way if against and distance <= params.near else heading
        if distance <= params.near and not against:
            _accept(call, fix, max(along, call.along), moved / passed if passed > 0 else 0.0, speed, params)
            _learn_pace(call, streets, params)
            return None
    if call.seen >= 0 and not _believed(call, fix, streets, params):
        return None
    if not places_near(streets, here, params.snap):
        return None
    _accept(call, fix, 0.0, moved / passed if possible else 0.0, speed, params)
    return heading


def starts_of(call: Call, heading: Floats | None, streets: Streets, params: CorridorParams) -> list[Place]:
    """Where a route of a call may begin: streets about its position, but only those that lead the way it drives."""
    xy = streets.plane(np.array([call.where]))[0]
    near = places_near(streets, xy, params.snap)
    if heading is not None and heading.any():
        near = places_near(streets, xy, params.snap, heading) or near
    return [place for place in near if place.distance <= near[0].distance + params.near / 2]


def cumulated(call: Call, streets: Streets) -> Floats:
    """Distance [m] of the end of each street of the route from its beginning."""
    ends: Floats = np.cumsum(streets.length[call.route])
    return ends


def _apart(streets: Streets, a: Point, b: Point) -> float:
    one, other = streets.plane(np.array([a, b]))
    return float(np.hypot(*(one - other)))


def _on_route(call: Call, streets: Streets, xy: Floats, ahead: float) -> tuple[float, float, Floats]:
    """Nearest point of the route about its last place: from its beginning [m], how far it is away [m], and the way of
    the route there."""
    ends = cumulated(call, streets)
    begins = ends - streets.length[call.route]
    within = np.flatnonzero((ends >= call.along - BACKWARDS_M) & (begins <= call.along + ahead))
    best = (call.along, float("inf"), np.zeros(2))
    for k in within.tolist():
        street = int(call.route[k])
        piece = slice(int(streets.first_segment[street]), int(streets.first_segment[street + 1]))
        distance, along = project(streets.segment[piece], streets.segment_along[piece], xy)
        nearest = int(np.argmin(distance))
        if float(distance[nearest]) < best[1]:
            at = streets.segment[piece][nearest]
            best = (float(begins[k] + along[nearest]), float(distance[nearest]), at[2:] - at[:2])
    return best


def _believed(call: Call, fix: Fix, streets: Streets, params: CorridorParams) -> bool:
    """Counts readings in a row that contradict what was known, and agree with one another."""
    assert fix.where is not None
    passed = (fix.time - call.doubted) / MICROSECONDS
    agrees = call.doubts > 0 and _apart(streets, fix.where, call.doubt) <= params.jump * passed + params.snap
    call.doubts = call.doubts + 1 if agrees else 1
    call.doubt, call.doubted = fix.where, fix.time
    return call.doubts >= params.believe


def _accept(call: Call, fix: Fix, along: float, seemed: float, speed: float | None, params: CorridorParams) -> None:
    assert fix.where is not None
    told = speed if speed is not None and 0.0 <= speed <= params.jump else min(seemed, params.jump)
    call.where, call.seen, call.along, call.speed = fix.where, fix.time, along, told
    call.doubts = 0
    if call.anchored < 0 or abs(along - call.anchor) >= params.progress:
        call.anchor, call.anchored, call.resting = along, fix.time, -1
        call.moved |= call.anchored >= 0 and along > MOVED_M
    call.moved |= told > MOVES_M_S


def _learn_pace(call: Call, streets: Streets, params: CorridorParams) -> None:
    at = int(np.searchsorted(cumulated(call, streets), call.along))
    limit = float(streets.speed[call.route[min(at, len(call.route) - 1)]])
    kept = 1.0 + FAMILIAR * (call.pace - 1.0)
    call.pace = float(np.clip(max(call.speed / limit, kept), 1.0, params.fastest))
