"""The parameters of parking: one set for all towns."""

from dataclasses import dataclass

from civium.core.practice import Params


@dataclass(frozen=True, slots=True)
class ParkingParams(Params):
    """Times in [s], lengths in [m]; shares are of a car park's capacity."""

    stale: float = 2400.0  # a car park that is silent for longer has no present
    spare: float = 0.05  # places that must be free before one is found without a search
    week: float = 0.35  # weight of the newest week in the weekday-time profile
    day: float = 0.15  # weight of the newest day in the profile of any day
    memory: float = 0.999  # share of what was learned that stays after one more half hour
    ridge: float = 0.01  # of the coefficients that all car parks share
    shrink: float = 3.0  # how many half hours of its own a car park's coefficients need to count as much as the shared
    frozen: float = 10_800.0  # a count that does not change for longer, where it should by much, is stuck
    frozen_swing: float = 0.08  # that much
    bay_frozen: float = 172_800.0  # a bay that shows the same for longer while the others of its car park turn over
    bay_turnover: float = 8.0  # times that they turned over on average meanwhile
    over: float = 0.02  # a count so far beyond the capacity, or below zero, is impossible
    drift_days: int = 4  # days in a row whose low departs from that of a week before
    drift_apart: float = 0.05  # by at least that much
    drift_step: float = 0.01  # and by so much more each day
    approach: float = 600.0  # from the sign to the place
    lapse: float = 300.0  # how long a sign's wish holds
    per_sign: float = 30.0  # cars an hour that follow a sign which tells no number of its own
    search_m: float = 800.0  # distance that a search costs which begins at a full car park
    keep_m: float = 60.0  # gain for which a sign is not changed
