"""One run of a scenario in SUMO with emergency trips: with or without the corridor, under fixed or adaptive signals."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from time import perf_counter
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from civium.core.extras import require
from civium.core.practice import Plan, Practice
from civium.practices.emergency_corridor.bench_city import DETECTORS_EVERY_S, BenchCity
from civium.practices.emergency_corridor.bench_trips import Trip, trips
from civium.sandbox.ambulance import TYPES, Terminal, define_types, mission
from civium.sandbox.detectors import write_detectors
from civium.sandbox.junction import read_junctions
from civium.sandbox.scenario import Scenario, without_writers
from civium.sandbox.street_facts import ground, street_things
from civium.sandbox.streets import projections, sumo_speaks

PREFIX = "civium-call-"
LONGEST_S = 4200  # of a scenario that goes on for longer
CORRIDOR, ADAPTIVE = "emergency_corridor", "signal_control"


@dataclass(frozen=True, slots=True)
class Arm:
    """What is compared: ``light`` says how the vehicle drives, ``corridor`` and ``adaptive`` which practices work,
    ``free``: empty streets without red lights."""

    light: str
    corridor: bool = False
    adaptive: bool = False
    free: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Arrival times [s] of the calls (until the end for who had not arrived), by call; ``others``: time lost by all
    other trips [s], those that waited to enter included, of ``cars`` trips."""

    arrival: dict[int, float]
    others: float
    cars: int
    unfinished: int
    signals: int
    turn_ms: float
    wall: float


def run(scenario: Scenario, seed: int, arm: Arm) -> Run:
    """Runs a scenario with a seed. Call it in a process of its own: libsumo keeps one simulation a process."""
    with contextlib.redirect_stdout(io.StringIO()):  # libsumo prints advice about Arrow on import
        libsumo = require("libsumo", "mobility")
    began = perf_counter()
    junctions = read_junctions(scenario.net, scenario.additional)
    streets = street_things(scenario.net)
    end = horizon(scenario)
    calls = trips(streets, junctions, seed, scenario.begin, end)
    with tempfile.TemporaryDirectory() as name, sumo_speaks():
        folder = Path(name)
        out, ours = folder / "trips.xml", folder / "civium-detectors.add.xml"
        detectors = write_detectors(scenario.net, junctions, ours, DETECTORS_EVERY_S)
        with projections():
            libsumo.start(_options(scenario, seed, arm, end, folder, ours, out))
        try:
            define_types(libsumo)
            names = [*[CORRIDOR] * arm.corridor, *[ADAPTIVE] * arm.adaptive]
            drivers = _Drivers(libsumo, scenario, calls, seed, arm)
            city = None
            if not arm.free:
                practices = [installed(practice) for practice in names]
                city = BenchCity(libsumo, junctions, detectors, streets, practices, drivers.listen)
            drivers.city = city if arm.corridor else None
            while (time := libsumo.simulation.getTime()) < end:
                drivers.step(int(time))
                if arm.free:
                    _all_green(libsumo)
                libsumo.simulationStep()
                if city is not None:
                    city.step(libsumo.simulation.getTime())
        finally:
            libsumo.close()
        arrival, others, cars, unfinished = read_trips(out, calls, end)
    turns = [cost for g in (city.guided if city is not None else []) for cost in g.costs]
    return Run(
        arrival=arrival,
        others=others,
        cars=cars,
        unfinished=unfinished,
        signals=sum(call.signals for call in calls),
        turn_ms=float(np.median(turns)) * 1e3 if turns else 0.0,
        wall=perf_counter() - began,
    )


def installed(practice: str) -> Practice:
    """A practice as the city finds it: practices do not know one another."""
    (found,) = entry_points(group="civium.practices", name=practice)
    loaded: Practice = found.load()
    return loaded


def horizon(scenario: Scenario) -> int:
    """When a run of a scenario ends [s]."""
    return min(scenario.end, scenario.begin + LONGEST_S)


def _options(scenario: Scenario, seed: int, arm: Arm, end: int, folder: Path, ours: Path, out: Path) -> list[str]:
    additional = [*(without_writers(f, folder) for f in scenario.additional), ours]
    options = ["sumo", "--net-file", str(scenario.net), "--seed", str(seed), "--time-to-teleport", "-1"]
    if scenario.routes and not arm.free:
        options += ["--route-files", ",".join(map(str, scenario.routes))]
    options += ["--additional-files", ",".join(map(str, additional))]
    options += ["--begin", str(scenario.begin), "--end", str(end)]
    options += [part for option, value in scenario.options for part in (f"--{option}", value)]
    options += ["--tripinfo-output", str(out), "--tripinfo-output.write-unfinished"]
    options += ["--tripinfo-output.write-undeparted", "--no-step-log", "--no-warnings", "--duration-log.disable"]
    return options


def _all_green(sim: Any) -> None:
    for signal in sim.trafficlight.getIDList():
        sim.trafficlight.setRedYellowGreenState(signal, "G" * len(sim.trafficlight.getRedYellowGreenState(signal)))


class _Drivers:
    """Sends the vehicles on their way, lets them speak, and drives the route that the practice tells."""

    def __init__(self, sim: Any, scenario: Scenario, calls: Sequence[Trip], seed: int, arm: Arm) -> None:
        self.city: BenchCity | None = None
        self._sim, self._calls, self._arm, self._seed = sim, calls, arm, seed
        self._to_lonlat = ground(scenario.net)
        self._left = 0  # calls that have begun
        self._under_way: dict[int, Terminal] = {}

    def step(self, second: int) -> None:
        """Begins the calls that are due and passes on what the vehicles say, once a second."""
        while self._left < len(self._calls) and self._calls[self._left].depart <= second:
            k, call = self._left, self._calls[self._left]
            name = f"{PREFIX}{k}"
            self._sim.route.add(name, call.streets)
            self._sim.vehicle.add(name, name, typeID=TYPES[self._arm.light], depart="now", departLane="best",
                                  departSpeed="max", arrivalPos=f"{call.end_m:.2f}")  # fmt: skip
            self._under_way[k] = Terminal(self._sim, name, self._to_lonlat, self._seed * 1000 + k)
            self._left += 1
        if self.city is None:
            return
        driving = set(self._sim.vehicle.getIDList())
        waiting = set(self._sim.simulation.getPendingVehicles())
        messages = self.city.messages
        for kind in messages.values():
            kind.clear()
        for k, terminal in list(self._under_way.items()):
            thing, name = self.city.vehicle(k), f"{PREFIX}{k}"
            if name in driving:
                messages["position"][thing] = terminal.position()
                messages["speed"][thing] = terminal.speed()
            elif name not in waiting and self._calls[k].depart < second:
                del self._under_way[k]  # it has arrived
                messages["mission"].setdefault(thing, mission(False, self._calls[k].target))
                continue
            messages["mission"][thing] = mission(True, self._calls[k].target)

    def listen(self, now: int, plan: Plan) -> None:
        """Drives the routes that a plan tells."""
        for notice in plan.notices:
            for k in self._under_way if self.city is not None and notice.key == "route" else ():
                if self.city is not None and self.city.vehicle(k) == notice.about:
                    self._take(f"{PREFIX}{k}", notice.values["route"].split(), self._calls[k].streets[-1])

    def _take(self, vehicle: str, route: list[str], end: str) -> None:
        if vehicle not in self._sim.vehicle.getIDList():
            return
        at = self._sim.vehicle.getRoadID(vehicle)
        if at in route and route[-1] == end:
            with contextlib.suppress(Exception):  # a driver who cannot change to that lane any more drives on
                self._sim.vehicle.setRoute(vehicle, route[route.index(at) :])


def read_trips(out: Path, calls: Sequence[Trip], end: int) -> tuple[dict[int, float], float, int, int]:
    """Arrival time [s] by call, from the call on; time lost by the others [s], their number, and who never arrived."""
    arrival = {k: float(end - call.depart) for k, call in enumerate(calls)}
    lost, cars, unfinished = 0.0, 0, 0
    for _, element in ET.iterparse(out):  # noqa: S314 (written by SUMO a moment ago)
        if element.tag != "tripinfo":
            continue
        arrived = float(element.get("arrival", "-1"))
        name = element.attrib["id"]
        if name.startswith(PREFIX):
            k = int(name.removeprefix(PREFIX))
            if arrived >= 0:
                arrival[k] = arrived - calls[k].depart
        else:
            lost += max(float(element.get("timeLoss", "0")), 0.0) + max(float(element.get("departDelay", "0")), 0.0)
            cars += 1
            unfinished += arrived < 0
        element.clear()
    return arrival, lost, cars, unfinished
