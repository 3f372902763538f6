"""The glossary: the properties that Civium's own practices and sandbox speak of, with their SI unit.

A city may register streams of any property; these names are ours, and ``docs/glossary.md`` is tested against them.
"""

PROPERTIES: dict[str, tuple[str, str]] = {
    # name: (SI unit, meaning)
    "vehicle_count": ("1", "vehicles within a detector's range at the end of the interval"),
    "queue_length": ("1", "vehicles that stand (under 1.4 m/s) within a detector's range at the end of the interval"),
    "vehicle_flow": ("1", "vehicles that passed a detector during the interval"),
    "occupancy": ("1", "share of the interval during which a vehicle stood over the detector (0..1)"),
    "vehicle_speed": ("m/s", "mean speed of the vehicles that passed during the interval"),
    "signal_phase": ("1", "index of the phase that a signal shows"),
    "parked_vehicles": ("1", "vehicles that stand in a car park"),
    "bay_taken": ("1", "whether a vehicle stands in a parking bay (1) or not (0)"),
    "sign_shows": ("1", "number of the car park, from 0 on, that a parking sign points to; -1 for none"),
    "ac_power": ("W", "electric power that a plant delivers"),
    "ghi": ("W/m^2", "global horizontal irradiance"),
    "dni": ("W/m^2", "direct normal irradiance"),
    "dhi": ("W/m^2", "diffuse horizontal irradiance"),
    "air_temperature": ("K", "air temperature"),
    "wind_speed": ("m/s", "wind speed"),
    "rain_rate": ("m/s", "depth of rain per time"),
    "expected_power": ("W", "power that a healthy plant would deliver now"),
    "performance_ratio": ("1", "measured over expected energy"),
}
