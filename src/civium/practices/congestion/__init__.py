"""Practice ``congestion``: jams and incidents on each street segment, speeds to come, and ways round that help all."""

from civium.core import Make, Need, Practice, Tier
from civium.practices.congestion.decide import AHEAD, decide, start
from civium.practices.congestion.params import CongestionParams

PRACTICE = Practice(
    id="congestion",
    title="Congestion, forecasts and detours",
    needs=(
        Need("speed", "vehicle_speed", "street_segment", unit="m/s", window=900.0, stale=600.0),
        Need("flow", "vehicle_flow", "street_segment", unit="1", window=900.0, stale=600.0, required=False),
    ),
    makes=(
        Make("congestion_state", "street_segment", "1", "0 free, 1 slow, 2 congested, 3 standing"),
        *(
            Make(
                f"vehicle_speed_in_{name}",
                "street_segment",
                "m/s",
                f"speed expected in {name.replace('_', ' ')}",
                foretells="vehicle_speed",
            )
            for name in AHEAD
        ),
    ),
    decide=decide,
    start=start,
    params=CongestionParams,
    every=60.0,
    acts_on="driver_terminals",
    tier=Tier.COMFORT,
    deadline=15.0,
)
