"""One run of a simulated town, in a process of its own: cars, car parks, and the practice that looks at the counts."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from civium.core import MICROSECONDS, State
from civium.core.extras import require
from civium.practices.parking import bench_feed as feed
from civium.practices.parking.decide import decide, start
from civium.practices.parking.params import ParkingParams
from civium.sandbox.streets import projections, sumo_speaks

EPOCH = 1_780_000_000 * MICROSECONDS // (1800 * MICROSECONDS) * (1800 * MICROSECONDS)
SETTLE_S = 1800  # the first half hour fills the car parks and is not counted
AFTER_S = 1200  # for the last cars to arrive
METRES_A_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class Drive:
    """Per car that left after the town had settled [m]: driven in all, beyond the shortest way to the goal, walked."""

    cars: int
    driven: float
    cruise: float
    walk: float
    unparked: int

    @property
    def beyond(self) -> float:
        """Driven beyond the shortest way, and walked from the place to the goal [m]."""
        return self.cruise + self.walk


def drive(net: Path, case: Path, seed: int, guided: bool) -> Drive:
    """Drives all cars of a case; with signs where ``guided``."""
    os.environ["LIBSUMO_AS_TRACI"] = "quiet"
    sumo: Any = require("libsumo", "mobility")
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    lots, cars = told["lots"], told["cars"]
    end = int(told["hours"] * 3600)
    with sumo_speaks():
        with projections():
            sumo.start(
                ["sumo", "--net-file", str(net), "--additional-files", str(case / "parking.add.xml"), "--seed",
                 str(seed), "--no-step-log", "--no-warnings", "--duration-log.disable", "--time-to-teleport", "300",
                 "--ignore-route-errors", "--aggregate-warnings", "0"]
            )  # fmt: skip
        try:
            return _drive(sumo, lots, cars, told, end, guided)
        finally:
            sumo.close()


def _drive(sumo: Any, lots: list[Any], cars: list[Any], told: dict[str, Any], end: int, guided: bool) -> Drive:
    signs = Signs(lots, told)
    direct, driven, parked = {}, {}, {}
    position = 0
    for second in range(end + AFTER_S):
        if second % 60 == 0 and guided:
            signs.look([sumo.parkingarea.getVehicleCount(lot[0]) for lot in lots], EPOCH + second * MICROSECONDS)
        while position < len(cars) and cars[position][0] <= second:
            _, entry, goal, stay, obeys = cars[position]
            key = str(position)
            aim = signs.shown(goal) if guided and obeys else goal
            way = sumo.simulation.findRoute(entry, lots[goal][1])
            ours = sumo.simulation.findRoute(entry, lots[aim][1])
            position += 1
            if not way.edges or not ours.edges:
                continue
            sumo.route.add(f"way{key}", ours.edges)
            sumo.vehicle.add(key, f"way{key}", departLane="best", departSpeed="max")
            sumo.vehicle.setParkingAreaStop(key, lots[aim][0], duration=stay)
            direct[key] = way.length - (sumo.lane.getLength(lots[goal][1] + "_0") - lots[goal][2])
        sumo.simulationStep()
        for key in sumo.simulation.getParkingStartingVehiclesIDList():
            driven[key] = sumo.vehicle.getDistance(key)
            parked[key] = sumo.vehicle.getStops(key, 1)[0].stoppingPlaceID
    counted = [key for key in direct if cars[int(key)][0] >= SETTLE_S]
    there = [key for key in counted if key in driven]
    place = {lot[0]: np.array(lot[3:5]) for lot in lots}
    walk = [float(np.hypot(*(place[parked[key]] - place[lots[cars[int(key)][2]][0]]))) for key in there]
    way = np.array([driven[key] for key in there])
    return Drive(
        cars=len(counted),
        driven=float(way.mean()),
        cruise=float((way - [direct[key] for key in there]).mean()),
        walk=float(np.mean(walk)),
        unparked=len(counted) - len(there),
    )


class Signs:
    """A sign for each goal, as the practice would have it point."""

    def __init__(self, lots: list[Any], told: dict[str, Any]) -> None:
        codes = [lot[0] for lot in lots]
        rows: list[feed.Row] = [
            (k + 1, "car_park", lot[0], lot[3] / METRES_A_DEGREE, lot[4] / METRES_A_DEGREE - 0.01,
             {"code": lot[0], "capacity": lot[5]})
            for k, lot in enumerate(lots)
        ]  # fmt: skip
        xy = np.array([lot[3:5] for lot in lots])
        apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
        self._table = feed.things(rows)
        self._signs = feed.actuators(
            [
                (k + 1, k + 1, "parking_guide", f"to {codes[k]}",
                 {"distance_m": dict(zip(codes, apart[k].round(1).tolist(), strict=True)),
                  "cars_per_hour": told["cars_h"] * told["share"][k]})
                for k in range(len(lots))
            ]
        )  # fmt: skip
        self._row = {code: k for k, code in enumerate(codes)}
        self._aim = list(range(len(lots)))
        self._state: State = {}
        self._params = ParkingParams()

    def look(self, counts: list[int], now: int) -> None:
        """One turn of the practice on the counts of this minute."""
        things = np.arange(1, len(counts) + 1)
        view = feed.view(now, self._table, feed.frame(things, np.array(counts, np.float64), now), self._signs)
        self._state = self._state or start(view, self._params)
        plan, self._state = decide(view, self._state, self._params)
        for command in plan.commands:
            self._aim[command.actuator - 1] = self._row[str(command.value)]

    def shown(self, goal: int) -> int:
        """The car park that the sign of a goal points to."""
        return self._aim[goal]
