"""The parameters of signal control: one set for all nets."""

from dataclasses import dataclass

from civium.core.practice import Params


@dataclass(frozen=True)
class SignalParams(Params):
    """Times in [s], headways in [s/vehicle], rates in [vehicles/s]."""

    lapse: float = 15.0  # how long a wish holds
    patience: float = 25.0  # after which a wish that is not shown is thought over
    greens: tuple[float, ...] = (5.0, 10.0, 20.0, 30.0)  # green times that a stage is judged by
    hysteresis: float = 1.1  # how many times more a change must gain than it loses
    headway: float = 2.0  # protected discharge before anything is learned
    permissive_headway: float = 5.0
    start_loss: float = 1.5  # from green to the first vehicle's moving
    halted: float = 5.0  # after which a queue that does not move in protected green waits for something else
    slowest: float = 0.02  # bounds of what is learned about a lane's discharge
    fastest: float = 0.7
    learning: float = 0.2  # share of a new observation
    inflow_time: float = 120.0  # over which inflow is smoothed
    aging: float = 3.0  # how much more a queue counts for each minute that it has stood
    oldest: float = 90.0  # no older counts more
    platoon: float = 4.0  # vehicles in sight that still count as a queue when none stands
    full: float = 0.8  # share of an exit's length taken by standing vehicles at which it is full
    jam: float = 0.4  # share of what a lane's cameras can see taken by standing vehicles at which it is jammed
    walker_wait: float = 80.0  # longest red at a crossing
    red_slack: float = 15.0  # before the longest red is reached, time to get there
    stage_slack: float = 8.0  # and more for every stage beyond two
    stale: float = 20.0  # a detector that is silent for longer has failed
    stuck: float = 90.0  # so has a camera whose picture does not change through so much green
