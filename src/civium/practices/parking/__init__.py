"""Practice ``parking``: how full car parks are and will be, where a place will be free, which sensors are broken."""

from civium.core import Make, Need, Practice, Tier
from civium.practices.parking.decide import AHEAD, decide, start
from civium.practices.parking.params import ParkingParams

_WORDS = {"15_min": "a quarter of an hour", "30_min": "half an hour", "60_min": "an hour", "1_day": "a day"}

PRACTICE = Practice(
    id="parking",
    title="Parking",
    needs=(
        Need("count", "parked_vehicles", "car_park", unit="1", window=2700.0, stale=2400.0, required=False),
        Need("bay", "bay_taken", "parking_bay", unit="1", window=2700.0, stale=2400.0, required=False),
    ),
    makes=(
        *(
            Make(
                f"parked_vehicles_in_{name}",
                "car_park",
                "1",
                f"vehicles parked in {_WORDS[name]}, with an interval",
                foretells="parked_vehicles",
            )
            for name in AHEAD
        ),
        *(
            Make(f"place_free_probability_in_{name}", "car_park", "1", f"chance of a free place in {_WORDS[name]}")
            for name in AHEAD
        ),
        Make("place_free_probability_in_15_min", "parking_bay", "1", "chance that the bay is free in a quarter hour"),
    ),
    decide=decide,
    start=start,
    params=ParkingParams,
    every=60.0,
    acts_on="parking_guide",
    tier=Tier.COMFORT,
    deadline=10.0,
)
