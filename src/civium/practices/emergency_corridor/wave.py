"""The green wave: when each signal ahead must turn green so that its queue is gone when the vehicle arrives.

For the i-th signal of the route, at a driving time t_i from the vehicle, with the change time c of the signal and n_i
vehicles to leave before the vehicle,

    n_i = q_i + carry * n_(i-1),    lead_i = c + start_loss + headway * n_i + margin

and the signal is wished for as soon as t_i <= min(lead_i, lead_most), until the vehicle has passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from civium.practices.emergency_corridor.calls import STUCK, UNDER_WAY, Call, cumulated
from civium.practices.emergency_corridor.city_map import Floats, Ints, Streets
from civium.practices.emergency_corridor.junctions import Junctions, Way
from civium.practices.emergency_corridor.params import CorridorParams
from civium.practices.emergency_corridor.readings import queue_of

PASSED_M = 3.0  # beyond the stop line
SAME_JUNCTION_M = 80.0  # ways over the same signal so near to one another are driven in one phase, if one serves both


@dataclass(frozen=True, slots=True)
class Pass:
    """One vehicle on its way over one signal: ``eta`` and ``lead`` [s], vehicles ahead, ways that follow at once."""

    vehicle: int
    signal: int
    eta: float
    lead: float
    ahead: float
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a signal should show for whom."""

    signal: int
    phase: int
    of: Pass


def passes(
    call: Call, streets: Streets, times: Floats, junctions: Junctions, counts: Mapping[int, float],
    shown: Ints, now: int, params: CorridorParams,
) -> list[Pass]:  # fmt: skip
    """The signals ahead of a call, nearest first. ``times`` [s] to drive along each street at its limit, ``shown`` the
    phase of each signal (-1: unknown); ``counts``: vehicles seen by camera."""
    ends = cumulated(call, streets)
    at = call.reckoned(now, params)
    found: list[Pass] = []
    ahead, before, last_end = 0.0, -1, -np.inf
    for k in range(len(call.route) - 1):
        way = junctions.ways.get((int(call.route[k]), int(call.route[k + 1])))
        if way is None or ends[k] + PASSED_M <= call.along:
            continue
        if way.signal == before and ends[k] - last_end <= SAME_JUNCTION_M:
            one = found[-1]
            found[-1] = Pass(one.vehicle, one.signal, one.eta, one.lead, one.ahead, (*one.ways, way))
            last_end = ends[k]
            continue
        queue = queue_of(way.lanes, way.signal, junctions.cameras, counts, junctions.capacity)
        ahead = queue + params.carry * ahead
        change = _change(junctions, way, int(shown[way.signal]))
        lead = change + params.start_loss + params.headway * ahead + params.margin
        eta = _driving(call, streets, times, ends, at, k) / call.pace
        found.append(Pass(call.vehicle, way.signal, eta, min(lead, params.lead_most), ahead, (way,)))
        before, last_end = way.signal, ends[k]
    return found


def _driving(call: Call, streets: Streets, times: Floats, ends: Floats, at: float, k: int) -> float:
    """Time [s] from ``at`` [m] to the end of the k-th street of the route; 0 beyond it."""
    lengths = streets.length[call.route[: k + 1]]
    left = np.clip(ends[: k + 1] - at, 0.0, lengths)
    return float((left / lengths * times[call.route[: k + 1]]).sum())


def _change(junctions: Junctions, way: Way, shown: int) -> float:
    """The longest change [s] to a phase that serves a way, from the phase shown or, while that is unknown, from any."""
    serving = [k for k, p in enumerate(way.protected) if p == max(way.protected)]
    table = junctions.signals[way.signal].change[:, serving]
    return float((table[shown] if 0 <= shown < len(table) else table.max(axis=1)).max())


def remaining(call: Call, streets: Streets, times: Floats, now: int, params: CorridorParams) -> float:
    """Time [s] to the end of the route."""
    ends = cumulated(call, streets)
    return _driving(call, streets, times, ends, call.reckoned(now, params), len(ends) - 1) / call.pace


def wishes(
    ahead: list[Pass], holder: Ints, phase: Ints, shown: Ints, junctions: Junctions, params: CorridorParams
) -> list[Wish]:
    """One wish at most for each signal. Who has the signal keeps it unless another comes ``keeps`` earlier; else who
    comes first goes first, and of two at once the lower thing id. ``holder`` (-1: nobody) and ``phase`` by signal."""
    due: dict[int, list[Pass]] = {}
    for one in ahead:
        if one.eta <= one.lead and max(one.ways[0].protected) > 0:
            due.setdefault(one.signal, []).append(one)
    found = []
    for signal, wanted in sorted(due.items()):
        kept = int(holder[signal])
        order = sorted(wanted, key=lambda p: (p.eta - (params.keeps if p.vehicle == kept else 0.0), p.vehicle))
        now = int(phase[signal]) if kept == order[0].vehicle else int(shown[signal])
        found.append(Wish(signal, _phase(order, now), order[0]))
    return found


def _phase(order: list[Pass], now: int) -> int:
    """The phase that serves the first vehicle best: with the right of way, then its next way over the same signal, then
    the others that wait, then all that stands beside it; the present one where it is as good."""
    first = order[0].ways[0]
    best, most = 0, -1.0
    for k, protected in enumerate(first.protected):
        if protected == 0:
            continue
        score = 16.0 * protected + 4.0 * sum(way.protected[k] for way in order[0].ways[1:])
        score += 3.0 * sum(other.ways[0].protected[k] for other in order[1:])
        score += 2.0 * first.approach[k] + (0.5 if k == now else 0.0)
        if score > most + 1e-9:
            best, most = k, score
    return best


def may_act(call: Call, now: int, params: CorridorParams) -> bool:
    """Whether a call may move signals: it is under way, and was seen not long ago."""
    return call.status in (UNDER_WAY, STUCK) and call.moved and call.age(now) <= params.reckon
