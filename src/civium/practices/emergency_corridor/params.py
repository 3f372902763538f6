"""The parameters of the corridor: one set for all nets."""

from dataclasses import dataclass

from civium.core.practice import Params


@dataclass(frozen=True)
class CorridorParams(Params):
    """Times in [s], lengths in [m], headways in [s/vehicle]."""

    lapse: float = 7.0  # how long a wish holds; renewed every turn
    headway: float = 2.0  # between vehicles that leave a queue
    start_loss: float = 2.0  # from green to the first vehicle's moving
    margin: float = 6.0  # earlier than the sum: an estimate of arrival is never exact
    carry: float = 0.5  # share of the vehicles ahead at one signal that drive on to the next one of the route
    lead_most: float = 40.0  # a signal is never taken earlier than this before the arrival
    fastest: float = 1.5  # a vehicle with blue light drives at most so much faster than the limit
    keeps: float = 10.0  # whom a signal serves already goes first, unless another comes so much earlier
    recover_most: float = 20.0  # longest green for those that had to wait
    recover_queue: float = 3.0  # standing vehicles that are worth it
    near: float = 25.0  # from the route's line: on it
    snap: float = 60.0  # from any street: on that street
    reach: float = 200.0  # from the nearest street to a target
    jump: float = 60.0  # speed [m/s] beyond which a change of position cannot be
    believe: int = 3  # readings in a row that contradict what was known, before they are believed
    reckon: float = 20.0  # for how long a vehicle without position is taken to drive on
    forget: float = 120.0  # a call that is not repeated for so long is over
    patience: float = 25.0  # longer than it needs to clear the queue; who does not come on then gives its signals back,
    rest: float = 45.0  # for so long
    progress: float = 15.0  # what counts as coming on
    reconsider: float = 20.0  # between looks for a better route
    better: float = 0.85  # share of the time left that another route must take
    signal_time: float = 5.0  # that a signal costs a route beyond its queue
