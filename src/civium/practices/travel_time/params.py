"""The parameters of travel times: one set for all towns."""

from dataclasses import dataclass

from civium.core.practice import Params


@dataclass(frozen=True)
class TravelTimeParams(Params):
    """Times in [s], speeds in [m/s], shares 0..1."""

    span: float = 900.0  # of arrivals that one figure is the mean of
    fewest: int = 5  # vehicles that a figure must be of: fewer say nothing, and too much about a person
    pause: float = 120.0  # at a reader without being heard: then it is another visit
    longest: float = 3600.0  # from reader to reader: who takes longer has been elsewhere
    neighbours: int = 15  # samples that a sample is compared with
    spread: float = 3.5  # robust standard deviations from their median at which it is an outlier
    narrowest: float = 0.12  # robust standard deviation of the logarithm that is always allowed
    fastest: float = 60.0  # no vehicle is faster
    penetration: float = 0.3  # share of the vehicles that carry a device, for flows
    slow: float = 0.5  # share of its free speed under which a link is slow
