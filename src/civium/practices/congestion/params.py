"""The parameters of congestion: one set for all towns."""

from dataclasses import dataclass

from civium.core.practice import Params


@dataclass(frozen=True, slots=True)
class CongestionParams(Params):
    """Times in [s]; speeds as shares of free flow or of what is usual."""

    stale: float = 600.0  # a segment that is silent for longer has no present
    memory: float = 0.9997  # share of what was learned that stays after five more minutes (half of it in eight days)
    ridge: float = 10.0  # of the coefficients that all segments share
    shrink: float = 100.0  # terms of its own that a segment needs to count as much as the shared ones
    slow: float = 0.75  # of free flow, below which traffic is slow
    jam: float = 0.5  # below which it is congested
    stand: float = 0.2  # below which it stands
    surprise: float = 1.6  # times the 99th percentile of past drops at which a drop is sudden
    least_drop: float = 0.2  # of free flow that a sudden slow-down falls at least
    refractory: float = 600.0  # for which a segment is not called sudden again
    unusual: float = 0.65  # of the usual speed, below which a jam is an incident and not routine
    clear: float = 120.0  # for which traffic must flow again before an incident is over
    hops: int = 8  # segments upstream at which drivers may be told to leave
    routes: int = 3  # detours for one incident
    followers: float = 0.3  # of the drivers who hear of a detour and can take it
    least_gain: float = 60.0  # of a driver who takes a detour
    lapse: float = 300.0  # how long a detour holds without being said again
    jam_density: float = 0.133  # vehicles that stand on a metre of lane
    lane_flow: float = 0.5  # vehicles a second that a lane carries [1/s]
