"""Travel time: how long each street takes, from devices that pass roadside readers, and what that costs the climate."""

from civium.core.practice import Make, Need, Practice
from civium.practices.travel_time.decide import decide
from civium.practices.travel_time.params import TravelTimeParams

PRACTICE = Practice(
    id="travel_time",
    title="Travel times and emissions of streets",
    needs=(
        Need("passage", "passage", "bluetooth_reader", unit="1", window=5400.0, stale=900.0),
        Need("link", "travel_time", "road_link", unit="s", window=3600.0, stale=3600.0, required=False),
    ),
    makes=(
        Make("travel_time", "road_link", "s", "mean time from reader to reader of those who drove through"),
        Make("travel_speed", "road_link", "m/s", "length over travel time"),
        Make("traffic_volume", "road_link", "1/s", "vehicles that drove through, those without a device estimated"),
        Make("carbon_dioxide", "road_link", "kg/s", "emitted on the link by all its vehicles"),
    ),
    decide=decide,
    params=TravelTimeParams,
    every=300.0,
    deadline=20.0,
)
