"""Runs the cars of a town in SUMO, second by second, with its signal heads and detectors as devices.

SUMO's second 0 is the local midnight of the run's first day, so that programs and demand keep the time of day. libsumo
holds one simulation per process.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from civium.core import MICROSECONDS
from civium.core.extras import require
from civium.sandbox.demand import Demand
from civium.sandbox.detectors import Detector, write_detectors
from civium.sandbox.junction import Junction
from civium.sandbox.signal_head import SignalHead
from civium.sandbox.streets import projections
from civium.sandbox.sumo_street import SumoStreet

WARM_UP_S = 300  # streets are empty at the start of a run: it begins this much earlier, unobserved
_TALLY_EVERY_S = 5
# Drivers know the jams of the last minutes and look for a way round them every three minutes; whoever cannot enter the
# map within ten minutes gives up. A car that stands for five minutes in a row is taken out: that is a teleport.
DRIVERS = (
    ("ignore-route-errors", "true"), ("device.rerouting.probability", "1"), ("device.rerouting.period", "180"),
    ("device.rerouting.adaptation-interval", "10"), ("device.rerouting.adaptation-steps", "18"),
    ("time-to-teleport", "300"), ("max-depart-delay", "600"), ("routing-algorithm", "astar"),
)  # fmt: skip
_OPTIONS = (
    *(part for option, value in DRIVERS for part in (f"--{option}", value)),
    "--device.tripinfo.probability", "1", "--no-step-log", "--no-warnings", "--duration-log.disable",
    "--aggregate-warnings", "0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """What the streets have seen until an instant. Times in [s], speeds in [m/s], counts since the run was watched.

    ``delay`` is the time lost against free flow by all cars, those on the way and those waiting to enter included.
    """

    second: int
    running: int
    waiting: int
    mean_speed: float
    arrived: int
    departed: int
    teleports: int
    delay: float


class Traffic:
    """One running simulation; close it before the next one is opened in this process."""

    def __init__(
        self,
        net: Path,
        demand: Demand,
        second: int,
        work: Path,
        junctions: Sequence[Junction] = (),
        midnight: int = 0,
        warm_up: int = WARM_UP_S,
    ) -> None:
        """Opens the streets at ``second`` of the first day, whose ``midnight`` is in [us], after ``warm_up`` [s]."""
        os.environ["LIBSUMO_AS_TRACI"] = "quiet"  # it would print about the version of pyarrow, which is not shared
        self._sim: Any = require("libsumo", "sandbox")
        self._demand = demand
        self._routes: set[tuple[str, str]] = set()
        self._waited = 0.0
        self._midnight = midnight
        self.second = second - warm_up
        self.detectors: list[Detector] = []
        options = ["--begin", str(self.second), "--seed", str(demand.seed % 2**31)]
        if junctions:
            additional = work / "detectors.add.xml"
            self.detectors = write_detectors(net, junctions, additional)
            options += ["--additional-files", str(additional)]
        with projections():
            self._sim.start(["sumo", "--net-file", str(net), *options, *_OPTIONS])
        street = SumoStreet(self._sim)
        self.heads = {j.id: SignalHead(j, street, self.now, midnight) for j in junctions}
        for _ in range(warm_up):
            self.step()
        self._start = self._total()

    @property
    def now(self) -> int:
        """The instant [us] that the simulation has reached."""
        return self._midnight + self.second * MICROSECONDS

    @property
    def sim(self) -> Any:
        """The running libsumo, for its detectors."""
        return self._sim

    def step(self) -> list[str]:
        """One second on; returns the signals whose lamps have changed."""
        if self.second % 60 == 0 or not self._routes:
            self._enter(self.second // 60)
        changed = [key for key, head in self.heads.items() if head.step(self.now)]
        self._sim.simulationStep()
        self.second += 1
        if self.second % _TALLY_EVERY_S == 0:
            self._waited += float(_TALLY_EVERY_S) * len(self._sim.simulation.getPendingVehicles())
        return changed

    def _enter(self, minute: int) -> None:
        for trip in self._demand.trips(minute):
            pair = (trip.start, trip.end)
            route = f"{trip.start}>{trip.end}"
            if pair not in self._routes:
                self._sim.route.add(route, pair)
                self._routes.add(pair)
            depart = f"{max(trip.depart, self.second):.2f}"
            self._sim.vehicle.add(trip.id, route, depart=depart, departLane="best", departSpeed="max")

    def tally(self) -> Tally:
        """What has happened since the warm-up."""
        total, start = self._total(), self._start
        return Tally(
            second=self.second,
            running=total.running,
            waiting=total.waiting,
            mean_speed=total.mean_speed,
            arrived=total.arrived - start.arrived,
            departed=total.departed - start.departed,
            teleports=total.teleports - start.teleports,
            delay=total.delay - start.delay,
        )

    def _total(self) -> Tally:
        simulation, vehicle = self._sim.simulation, self._sim.vehicle
        ids = vehicle.getIDList()
        speeds = np.array([vehicle.getSpeed(v) for v in ids])
        arrived = int(self._figure("device.tripinfo.count"))
        lost = arrived * self._figure("device.tripinfo.timeLoss") + sum(vehicle.getTimeLoss(v) for v in ids)
        return Tally(
            second=self.second,
            running=len(ids),
            waiting=len(simulation.getPendingVehicles()),
            mean_speed=float(speeds.mean()) if len(speeds) else float("nan"),
            arrived=arrived,
            departed=int(self._figure("stats.vehicles.inserted")),
            teleports=int(self._figure("stats.teleports.total")),
            delay=lost + self._waited,
        )

    def _figure(self, key: str) -> float:
        return float(self._sim.simulation.getParameter("", key) or 0)

    def close(self) -> None:
        """Ends the simulation."""
        self._sim.close()
