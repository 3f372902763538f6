"""An emergency vehicle in a running SUMO: how it drives, and what its terminal sends."""

import json
from typing import Any

import numpy as np

from civium.sandbox.street_facts import ToLonLat

PLAIN, BLUE_LIGHT = "plain", "blue light"
TYPES = {PLAIN: "civium_ambulance", BLUE_LIGHT: "civium_ambulance_blue"}
GPS_ERROR_M = 3.0  # standard deviation, each way
RED_SPEED_M_S = 5.56  # at which a vehicle with blue light passes a red light (20 km/h)
BLUE_SPEED_FACTOR = 1.3


def define_types(sim: Any) -> None:
    """Makes the two types in a running simulation. A plain one drives as a car does.

    With blue light it is up to 1.3 times as fast as the limit, passes red lights at 20 km/h, and others make way for it
    (SUMO's device ``bluelight``).
    """
    for name in TYPES.values():
        sim.vehicletype.copy("DEFAULT_VEHTYPE", name)
        sim.vehicletype.setVehicleClass(name, "emergency")
        sim.vehicletype.setLength(name, 6.5)
        sim.vehicletype.setSpeedDeviation(name, 0.0)
        sim.vehicletype.setSpeedFactor(name, 1.0)
    blue = TYPES[BLUE_LIGHT]
    sim.vehicletype.setSpeedFactor(blue, BLUE_SPEED_FACTOR)
    sim.vehicletype.setParameter(blue, "has.bluelight.device", "true")
    sim.vehicletype.setParameter(blue, "junctionModel.jmDriveAfterRedTime", "1000")
    sim.vehicletype.setParameter(blue, "junctionModel.jmDriveRedSpeed", f"{RED_SPEED_M_S}")


class Terminal:
    """What a vehicle sends: position as its receiver sees it, speed, and its mission. Seeded."""

    def __init__(self, sim: Any, vehicle: str, to_lonlat: ToLonLat, seed: int) -> None:
        self._sim, self._vehicle, self._to_lonlat = sim, vehicle, to_lonlat
        self._random = np.random.default_rng(seed)

    def position(self) -> str:
        """A GeoJSON point."""
        x, y = self._sim.vehicle.getPosition(self._vehicle)
        dx, dy = self._random.normal(0.0, GPS_ERROR_M, 2)
        lon, lat = self._to_lonlat(x + float(dx), y + float(dy))
        return json.dumps({"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]})

    def speed(self) -> float:
        """[m/s]"""
        return round(max(float(self._sim.vehicle.getSpeed(self._vehicle)), 0.0), 2)


def mission(active: bool, target: tuple[float, float]) -> str:
    """The mission as JSON."""
    return json.dumps({"active": active, "target": [round(target[0], 7), round(target[1], 7)]})
