"""Emergency calls of a town: now and then an ambulance drives from one street to another and tells where it is.

When and between which streets is a pure function of the seed, whatever happens on the streets. An ambulance drives as a
car does and keeps to the lights; what makes way for it is what the platform wishes for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from civium.sandbox.ambulance import PLAIN, TYPES, Terminal, define_types, mission
from civium.sandbox.street_facts import StreetThing, ground
from civium.sandbox.town import Town
from civium.sandbox.traffic import Traffic

AMBULANCES = 3
EVERY_S = 600  # one call in each such span
REPEATS_S = 5  # a mission is told again so often
SHORTEST_M = 400.0
TRIES = 20
CLOSED = 3  # how often the end of a mission is told


def ambulance_key(k: int) -> str:
    """Key of the Thing of an ambulance."""
    return f"ambulance/{k + 1}"


@dataclass(slots=True)
class _Call:
    vehicle: str
    target: tuple[float, float]
    terminal: Terminal
    told_end: int = 0


class Emergencies:
    """The ambulances of a running town."""

    def __init__(self, town: Town, traffic: Traffic, streets: Sequence[StreetThing]) -> None:
        self.streets = streets  # where they may drive; none: no ambulance ever does
        self._traffic, self._seed = traffic, town.demand.seed
        self._to_lonlat = ground(town.net)
        self._calls: dict[int, _Call] = {}  # by ambulance
        self.begun = 0
        define_types(traffic.sim)

    def enter(self) -> None:
        """Sends an ambulance on its way when a call is due at the present second; every ambulance is busy at times."""
        second = self._traffic.second
        span = second // EVERY_S
        random = np.random.default_rng([self._seed, span, 911])
        if not self.streets or second != span * EVERY_S + int(random.integers(30, EVERY_S - 30)):
            return
        free = next((k for k in range(AMBULANCES) if k not in self._calls), None)
        found = self._way(random)
        if free is None or found is None:
            return
        way, target = found
        vehicle = f"ambulance.{span}"
        self._traffic.sim.route.add(vehicle, way)
        self._traffic.sim.vehicle.add(vehicle, vehicle, typeID=TYPES[PLAIN], departLane="best", departSpeed="max")
        self._calls[free] = _Call(vehicle, target, Terminal(self._traffic.sim, vehicle, self._to_lonlat, span))
        self.begun += 1

    def _way(self, random: np.random.Generator) -> tuple[list[str], tuple[float, float]] | None:
        """Streets of a way from a random street to another, and the point [deg] that it leads to."""
        for _ in range(TRIES):
            start, end = (self.streets[int(k)] for k in random.integers(0, len(self.streets), 2))
            found = self._traffic.sim.simulation.findRoute(start.facts["street"], end.facts["street"], TYPES[PLAIN])
            if len(found.edges) > 1 and found.length >= SHORTEST_M:
                lon, lat = end.facts["shape"][-1]
                return list(found.edges), (lon, lat)
        return None

    def readings(self) -> dict[str, Any]:
        """What the ambulances tell at the present second, by stream key: text of JSON, or a number."""
        driving = set(self._traffic.sim.vehicle.getIDList()) if self._calls else set()
        waiting = set(self._traffic.sim.simulation.getPendingVehicles()) if self._calls else set()
        told: dict[str, Any] = {}
        for k, call in list(self._calls.items()):
            key = ambulance_key(k)
            gone = call.vehicle not in driving and call.vehicle not in waiting
            if call.vehicle in driving:
                told[f"{key}/position"] = json.loads(call.terminal.position())
                told[f"{key}/speed"] = call.terminal.speed()
            if gone or self._traffic.second % REPEATS_S == 0:
                told[f"{key}/mission"] = json.loads(mission(not gone, call.target))
            call.told_end += gone
            if call.told_end >= CLOSED:
                del self._calls[k]
        return told


STREAMS: Mapping[str, tuple[str, str]] = {  # of an ambulance: unit and type
    "mission": ("", "json"),
    "position": ("", "json"),
    "speed": ("m/s", "number"),
}
