"""Practice ``pv_fleet``: what every solar plant should give, which one gives less, and the likely reason."""

from civium.core import Make, Need, Practice, Tier
from civium.practices.pv_fleet.decide import WINDOW, FleetParams, decide, start

_STATION = "weather_station"

PRACTICE = Practice(
    id="pv_fleet",
    title="Solar plants that give less than they should",
    needs=(
        Need("power", "ac_power", "pv_plant", unit="W", window=WINDOW, stale=21600.0),
        Need("ghi", "ghi", _STATION, unit="W/m^2", window=WINDOW, stale=7200.0),
        Need("dni", "dni", _STATION, unit="W/m^2", window=WINDOW, stale=7200.0, required=False),
        Need("dhi", "dhi", _STATION, unit="W/m^2", window=WINDOW, stale=7200.0, required=False),
        Need("air_temperature", "air_temperature", _STATION, unit="K", window=WINDOW, stale=7200.0, required=False),
        Need("wind_speed", "wind_speed", _STATION, unit="m/s", window=WINDOW, stale=7200.0, required=False),
    ),
    makes=(
        Make("expected_power", "pv_plant", "W", "power that a healthy plant would deliver now"),
        Make("performance_ratio", "pv_plant", "1", "measured over expected energy of the last three hours"),
    ),
    decide=decide,
    start=start,
    params=FleetParams,
    every=300.0,
    deadline=30.0,
    tier=Tier.COMFORT,
    requires=("energy",),
)
