"""Emergency corridor: the fastest route for a vehicle on a mission, and a green wave ahead of it."""

from civium.core.nouns import Tier
from civium.core.practice import Make, Need, Practice
from civium.practices.emergency_corridor.decide import decide, start
from civium.practices.emergency_corridor.params import CorridorParams

PRACTICE = Practice(
    id="emergency_corridor",
    title="Emergency corridor",
    needs=(
        Need("mission", "mission", "emergency_vehicle", window=60.0, stale=60.0, required=False),
        Need("position", "position", "emergency_vehicle", window=10.0, stale=10.0, required=False),
        Need("speed", "speed", "emergency_vehicle", unit="m/s", window=10.0, stale=10.0, required=False),
        Need("street_speed", "vehicle_speed", "street", unit="m/s", window=300.0, stale=300.0, required=False),
        Need("vehicle_count", "vehicle_count", "detector", unit="1", window=15.0, stale=20.0, required=False),
        Need("queue_length", "queue_length", "detector", unit="1", window=15.0, stale=20.0, required=False),
        Need("signal_phase", "signal_phase", "signal", unit="1", window=15.0, stale=20.0, required=False),
    ),
    makes=(Make("time_to_arrival", "emergency_vehicle", "s", "time until it reaches its target"),),
    decide=decide,
    start=start,
    params=CorridorParams,
    every=2.0,
    acts_on="signal",
    tier=Tier.LIFE,
    deadline=6.0,
)
