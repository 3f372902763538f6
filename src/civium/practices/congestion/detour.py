"""Ways round an incident that do not move the jam: nobody is led where he costs others more than he gains.

The time of a segment grows with its load by the function of the US Bureau of Public Roads, t = t0 (1 + 0.15 (v/c)^4).
Cars are led to the way whose *marginal* cost t + v dt/dv is least, in small parcels, until staying costs no more; a
detour is told only if all cars together gain (system optimum: Pigou 1920, Sheffi 1985, ch. 3.4).
"""

import heapq
from dataclasses import dataclass

import numpy as np

from civium.practices.congestion.memory import Floats, Ints
from civium.practices.congestion.network import Network
from civium.practices.congestion.params import CongestionParams

ALPHA, BETA = 0.15, 4.0
PARCELS = 10
USUAL_SPEED = 13.9  # [m/s] of a segment that tells no free flow
SLOWEST = 0.3  # [m/s] that a measured speed is taken for


@dataclass(frozen=True, slots=True)
class Detour:
    """A way round a segment (``incident``): after segment ``leave`` drive ``path``, go on with ``rejoin``; all rows.

    ``share`` of those who would pass; ``saves`` [s] a driver; ``gain`` [s/s] of all cars together.
    """

    incident: int
    leave: int
    path: tuple[int, ...]
    rejoin: int
    share: float
    saves: float
    gain: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Time of each segment now [s], its load and its capacity [vehicles/s]."""

    time: Floats
    load: Floats
    capacity: Floats

    def with_more(self, extra: Floats) -> Floats:
        """Time [s] if ``extra`` [vehicles/s] more drive there."""
        more, now = ((load / self.capacity) ** BETA for load in (self.load + extra, self.load))
        grown: Floats = self.time * (1 + ALPHA * more) / (1 + ALPHA * now)
        return grown

    def marginal(self, extra: Floats) -> Floats:
        """Cost to all cars of one more on each segment [s]."""
        slope = (
            ALPHA
            * BETA
            * ((self.load + extra) / self.capacity) ** BETA
            / (1 + ALPHA * (self.load / self.capacity) ** BETA)
        )
        cost: Floats = self.with_more(extra) + self.time * slope
        return cost


def detours(
    network: Network, incident: int, speed: Floats, flow: Floats, params: CongestionParams
) -> tuple[Detour, ...]:
    """The best way round a segment (row) for each direction in which one drives on; empty where none is worth it.

    ``speed`` [m/s] and ``flow`` [vehicles/s] of each segment now; NaN = unknown.
    """
    now = traffic(network, speed, flow, params)
    upstream = _upstream(network, incident, now.time, params.hops)
    ahead = network.after[incident]
    going = np.array([now.load[row] for row in ahead]) + 1e-3
    found = []
    extra = np.zeros(len(now.time))
    for rejoin, part in sorted(zip(ahead, going / going.sum(), strict=True), key=lambda pair: -pair[1]):
        one = _shared(network, incident, rejoin, upstream, float(part), now, extra, params)
        if one is not None:
            found.append(one)
    return tuple(found[: params.routes])


def traffic(network: Network, speed: Floats, flow: Floats, params: CongestionParams) -> Traffic:
    """Times as measured, where nothing is measured by the load."""
    free = np.where(np.isfinite(network.free), network.free, USUAL_SPEED)
    base = network.length / free
    capacity, load = network.lanes * params.lane_flow, np.nan_to_num(flow)
    by_load = base * (1 + ALPHA * (load / capacity) ** BETA)
    with np.errstate(invalid="ignore"):
        measured = np.maximum(network.length / np.maximum(speed, SLOWEST), base)
    return Traffic(np.where(np.isfinite(speed), measured, by_load), load, capacity)


def _upstream(network: Network, incident: int, time: Floats, hops: int) -> dict[int, float]:
    """Segments from whose end one reaches the incident: the time from there through it [s]."""
    told: dict[int, float] = {}
    edge = [(incident, float(time[incident]))]
    for _ in range(hops):
        farther = []
        for row, through in edge:
            for before in network.before[row]:
                if before != incident and before not in told:
                    told[before] = through
                    farther.append((before, through + float(time[before])))
        edge = farther
    return told


def _shared(
    network: Network,
    incident: int,
    rejoin: int,
    upstream: dict[int, float],
    part: float,
    now: Traffic,
    extra: Floats,
    params: CongestionParams,
) -> Detour | None:
    """Parcels of the cars that go on to ``rejoin`` are led round while that costs all cars less than to stay.

    They leave where that spares most. ``part`` of those in the incident go there; ``extra`` [vehicles/s] grows.
    """
    cost, onward = to_segment(network, rejoin, now.marginal(extra), incident)
    spared = {row: through - cost[row] for row, through in upstream.items() if row != rejoin}
    spared = {row: time for row, time in spared.items() if np.isfinite(time)}
    if not spared:
        return None
    leave = max(spared, key=lambda row: (spared[row], -row))
    through = upstream[leave]
    whole = part * float(np.clip(now.load[leave], 0.1 * now.capacity[incident], now.capacity[incident]))
    path = way(onward, leave, rejoin)
    parcel = params.followers * whole / PARCELS
    led = gain = 0.0
    rows = list(path)
    for _ in range(PARCELS):
        stays = through * (1.0 - led / whole)  # the queue shrinks with those who leave; what others gain is left out
        margin = stays - float(now.marginal(extra)[rows].sum())
        if margin < params.least_gain:
            break
        gain, led = gain + parcel * margin, led + parcel
        extra[rows] += parcel
    saves = through - float(now.with_more(extra)[rows].sum())
    if not led or saves < params.least_gain:
        return None
    return Detour(incident, leave, path, rejoin, part * led / whole, saves, gain)


def to_segment(network: Network, goal: int, cost: Floats, shut: int) -> tuple[Floats, Ints]:
    """Cost from the end of each segment to the begin of ``goal`` (Dijkstra 1959, backwards), and which comes next.

    ``shut`` is not driven; infinite where there is no way.
    """
    total, onward = np.full(len(cost), np.inf), np.full(len(cost), -1, dtype=np.int64)
    queue = [(0.0, row) for row in network.before[goal] if row != shut]
    for _, row in queue:
        total[row], onward[row] = 0.0, goal
    heapq.heapify(queue)
    while queue:
        spent, row = heapq.heappop(queue)
        if spent > total[row] or not np.isfinite(cost[row]):
            continue
        through = spent + float(cost[row])
        for before in network.before[row]:
            if before != shut and before != goal and through < total[before]:
                total[before], onward[before] = through, row
                heapq.heappush(queue, (through, before))
    return total, onward


def way(onward: Ints, leave: int, goal: int) -> tuple[int, ...]:
    """The segments after ``leave`` and before ``goal``."""
    rows = []
    at = int(onward[leave])
    while at != goal:
        rows.append(at)
        at = int(onward[at])
    return tuple(rows)
