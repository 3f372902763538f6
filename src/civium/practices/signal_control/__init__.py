"""Signal control: chooses, for each signal, the stage that lets most vehicles go, from what its detectors see."""

from civium.core.nouns import Tier
from civium.core.practice import Need, Practice
from civium.practices.signal_control.decide import decide, start
from civium.practices.signal_control.params import SignalParams

PRACTICE = Practice(
    id="signal_control",
    title="Adaptive signal control",
    needs=(
        Need("vehicle_count", "vehicle_count", "detector", unit="1", window=15.0, stale=20.0),
        Need("queue_length", "queue_length", "detector", unit="1", window=15.0, stale=20.0),
        Need("vehicle_flow", "vehicle_flow", "detector", unit="1", window=15.0, stale=20.0, required=False),
        Need("occupancy", "occupancy", "detector", unit="1", window=15.0, stale=20.0, required=False),
        Need("signal_phase", "signal_phase", "signal", unit="1", window=15.0, stale=20.0),
    ),
    decide=decide,
    start=start,
    params=SignalParams,
    every=5.0,
    acts_on="signal",
    tier=Tier.COMFORT,
    deadline=3.0,
)
