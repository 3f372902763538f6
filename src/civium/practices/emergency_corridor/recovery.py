"""After the vehicle has passed: a short green for those that waited longest in its cause."""

from collections.abc import Mapping

from civium.practices.emergency_corridor.junctions import Junctions
from civium.practices.emergency_corridor.params import CorridorParams
from civium.practices.emergency_corridor.readings import queue_of


def starved(
    junctions: Junctions, signal: int, held: int, queues: Mapping[int, float], params: CorridorParams
) -> tuple[int, float, float]:
    """The phase with the longest queue in lanes that the ``held`` phase kept red, for how long [s] it should be green,
    and that queue [vehicles]; -1 where nobody waits that would be worth it."""
    at = junctions.signals[signal]
    best, longest = -1, params.recover_queue
    for k in range(at.phases):
        lanes = tuple(sorted(at.lanes[k] - at.lanes[held]))
        queue = queue_of(lanes, signal, junctions.cameras, queues, junctions.capacity) if k != held else 0.0
        if queue >= longest and (best < 0 or queue > longest):
            best, longest = k, queue
    if best < 0:
        return -1, 0.0, 0.0
    needed = float(at.change[held, best]) + params.start_loss + params.headway * longest
    return best, min(needed, params.recover_most), longest
