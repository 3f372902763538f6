"""One hour of a SUMO town in a process of its own: detectors on every segment, the practice, terminals that follow."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from civium.core import MICROSECONDS, NeedUnmet, State, View
from civium.core.extras import require
from civium.core.view import ACTUATORS, FRAME, INSTANT, THINGS
from civium.practices.congestion.decide import decide, start
from civium.practices.congestion.memory import DAY, Floats
from civium.practices.congestion.params import CongestionParams
from civium.sandbox.scenario import Scenario, without_writers
from civium.sandbox.streets import projections, sumo_speaks

HOUR_S, AFTER_S = 3600, 1800
BEGIN_S, END_S = 1200, 2400  # of the incident, after the begin
CRAWL = 0.6  # [m/s]
SAMPLE_S, TURN_S = 5, 60
MORNING = 1_780_300_800 * MICROSECONDS  # a Monday at eight
BUSY = 8  # segments of which the incident's is drawn
EQUIPPED = 0.3


@dataclass(frozen=True, slots=True)
class Case:
    """One run: the segment that crawls ("" = none), yesterday's readings, and whether terminals follow."""

    scenario: Scenario
    seed: int
    work: Path
    edge: str
    usual: tuple[Floats, Floats] | None = None
    follow: bool = False


@dataclass(slots=True)
class Hour:
    """``delay`` [s] a trip; the readings (speed [m/s], flow [1/min]) by minute and segment; the busiest that have a way
    round; how many terminals ``followed``; ``found_s`` after the incident's begin, infinite if never."""

    delay: float = 0.0
    trips: int = 0
    readings: tuple[Floats, Floats] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    busy: list[str] = field(default_factory=list)
    followed: int = 0
    found_s: float = np.inf


def run(case: Case) -> Hour:
    """Runs a case."""
    os.environ["LIBSUMO_AS_TRACI"] = "quiet"
    sumo: Any = require("libsumo", "mobility")
    own = case.work / f"{case.seed}-{case.edge != ''}-{case.follow}"
    own.mkdir(exist_ok=True)
    scenario = case.scenario
    additional = [str(without_writers(path, own)) for path in scenario.additional]
    options = ["--net-file", str(scenario.net), "--route-files", ",".join(map(str, scenario.routes))]
    options += ["--additional-files", ",".join(additional)] if additional else []
    options += [word for name, value in scenario.options for word in (f"--{name}", value)]
    begin = scenario.begin
    with sumo_speaks():
        with projections():
            sumo.start(
                ["sumo", *options, "--begin", str(begin), "--seed", str(case.seed), "--no-step-log", "--no-warnings",
                 "--duration-log.disable", "--device.tripinfo.probability", "1", "--time-to-teleport", "-1",
                 "--aggregate-warnings", "0"]
            )  # fmt: skip
        try:
            return _Street(sumo, case).live()
        finally:
            sumo.close()


class _Street:
    def __init__(self, sumo: Any, case: Case) -> None:
        self.sumo, self.case = sumo, case
        lane = sumo.lane
        every = [e for e in sumo.edge.getIDList() if not e.startswith(":")]
        own = {e: [f"{e}_{k}" for k in range(sumo.edge.getLaneNumber(e))] for e in every}
        self.edges = sorted(e for e in every if any(_cars(lane.getAllowed(x)) for x in own[e]))
        self.row = {e: k for k, e in enumerate(self.edges)}
        lanes = [own[e] for e in self.edges]
        self.length = np.array([lane.getLength(names[0]) for names in lanes])
        free = [max(lane.getMaxSpeed(x) for x in names) for names in lanes]
        next_ = [
            sorted({link[0].rpartition("_")[0] for x in names for link in lane.getLinks(x)} & self.row.keys())
            for names in lanes
        ]
        facts = [
            {
                "code": e,
                "length_m": float(self.length[k]),
                "free_speed_m_s": float(free[k]),
                "lanes": len(lanes[k]),
                "leads_to": next_[k],
            }
            for k, e in enumerate(self.edges)
        ]
        count = len(self.edges)
        self.things = pa.table(
            [
                pa.array(range(1, count + 1)), pa.array(["street_segment"] * count), pa.array(self.edges),
                pa.nulls(count, pa.float64()), pa.nulls(count, pa.float64()), pa.array([json.dumps(f) for f in facts]),
            ],
            schema=THINGS,
        )  # fmt: skip
        self.acts = pa.table([[1], [count + 1], ["driver_terminals"], ["terminals"], ["{}"]], schema=ACTUATORS)
        self.next = next_
        self.state: State = {}
        self.params = CongestionParams()
        self.asked: set[tuple[str, str]] = set()
        self.hour = Hour()

    def live(self) -> Hour:
        """The hour, and the time until all have arrived."""
        sumo, case = self.sumo, self.case
        self._learn()
        speeds, flows = [], []
        samples: list[tuple[Floats, Floats]] = []
        used = np.zeros(len(self.edges))
        for second in range(HOUR_S + AFTER_S):
            if case.edge and second == BEGIN_S:
                self._speed(CRAWL)
            if case.edge and second == END_S:
                self._speed(-1.0)
            sumo.simulationStep()
            if second % SAMPLE_S == 0:
                samples.append(self._sample())
            if second % TURN_S == TURN_S - 1:
                speed, flow = _minute(samples, self.length)
                used += np.nan_to_num(flow)
                speeds.append(speed)
                flows.append(flow)
                samples.clear()
                if case.usual is not None:
                    self._turn(speed, flow, MORNING + (second + 1) * MICROSECONDS, second)
            if second >= HOUR_S and sumo.simulation.getMinExpectedNumber() == 0:
                break
        self.hour.delay, self.hour.trips = self._delay()
        self.hour.readings = (np.array(speeds), np.array(flows))
        self.hour.busy = self._busy(used)
        return self.hour

    def _delay(self) -> tuple[float, int]:
        """Mean time lost and waited at departure [s] of all trips, those on the way and those that wait included."""
        sumo = self.sumo

        def figure(name: str) -> float:
            return float(sumo.simulation.getParameter("", f"device.tripinfo.{name}") or 0)

        arrived, running = int(figure("count")), sumo.vehicle.getIDList()
        waiting = sumo.simulation.getPendingVehicles()
        lost = arrived * (figure("timeLoss") + figure("departDelay"))
        lost += sum(sumo.vehicle.getTimeLoss(v) + sumo.vehicle.getDepartDelay(v) for v in running)
        lost += sum(sumo.vehicle.getDepartDelay(v) for v in waiting)
        trips = arrived + len(running) + len(waiting)
        return lost / max(trips, 1), trips

    def _speed(self, speed: float) -> None:
        edge = self.case.edge
        for k in range(self.sumo.edge.getLaneNumber(edge)):
            lane = f"{edge}_{k}"
            if speed > 0:
                self._before = self.sumo.lane.getMaxSpeed(lane)
            self.sumo.lane.setMaxSpeed(lane, speed if speed > 0 else self._before)

    def _sample(self) -> tuple[Floats, Floats]:
        edge = self.sumo.edge
        count = np.array([edge.getLastStepVehicleNumber(e) for e in self.edges], dtype=np.float64)
        return count, np.array([edge.getLastStepMeanSpeed(e) for e in self.edges])

    def _busy(self, used: Floats) -> list[str]:
        """The most driven segments with at least two that follow upstream of them: so there is a way round."""
        choice = [
            e for e in np.array(self.edges)[np.argsort(-used, kind="stable")].tolist()
            if self.length[self.row[e]] > 40.0 and any(len(self.next[k]) > 1 for k in self._before_of(e))
        ]  # fmt: skip
        return choice[:BUSY]

    def _before_of(self, edge: str) -> list[int]:
        return [k for k, ahead in enumerate(self.next) if edge in ahead]

    def _learn(self) -> None:
        """Two ordinary mornings, as the same detectors saw them."""
        if self.case.usual is None:
            return
        for days in (2, 1):
            for minute, (speed, flow) in enumerate(zip(*self.case.usual, strict=True)):
                self._decide(speed, flow, MORNING - days * DAY + (minute + 1) * 60 * MICROSECONDS)

    def _decide(self, speed: Floats, flow: Floats, now: int) -> Any:
        frames = {"speed": _frame(speed, now), "flow": _frame(flow, now)}
        view = View(now, {}, frames, things=self.things, actuators=self.acts)
        self.state = self.state or start(view, self.params)
        try:
            plan, self.state = decide(view, self.state, self.params)
        except NeedUnmet:
            return None
        return plan

    def _turn(self, speed: Floats, flow: Floats, now: int, second: int) -> None:
        plan = self._decide(speed, flow, now)
        if plan is None:
            return
        here = self.row.get(self.case.edge, -1) + 1
        near = {here, *(k + 1 for k in self._before_of(self.case.edge))}
        if second >= BEGIN_S and any(n.key == "incident" and n.about in near for n in plan.notices):
            self.hour.found_s = min(self.hour.found_s, second + 1.0 - BEGIN_S)
        if self.case.follow and plan.commands:
            self._follow(json.loads(plan.commands[0].value))

    def _follow(self, ways: list[dict[str, Any]]) -> None:
        """Terminals ask once for each incident; the share of them that is wanted turns off."""
        vehicle = self.sumo.vehicle
        for key in vehicle.getIDList():
            draw = np.random.default_rng([self.case.seed, *key.encode()]).random(2)
            if draw[0] >= EQUIPPED:
                continue
            route, at = vehicle.getRoute(key), vehicle.getRouteIndex(key)
            for told in ways:
                ahead = list(route[max(at, 0) :])
                if (key, told["avoid"]) in self.asked or told["after"] not in ahead or told["avoid"] not in ahead:
                    continue
                i, j = ahead.index(told["after"]), ahead.index(told["avoid"])
                if i > j or ahead[j + 1 : j + 2] != [told["rejoin"]]:
                    continue
                self.asked.add((key, told["avoid"]))
                if draw[1] < told["share"] / EQUIPPED:
                    self._turn_off(key, ahead[: i + 1] + told["path"] + ahead[j + 1 :])
                break

    def _turn_off(self, key: str, route: list[str]) -> None:
        try:
            self.sumo.vehicle.setRoute(key, route)
            self.hour.followed += 1
        except self.sumo.TraCIException:  # a vehicle that may not drive there, or is past the turn, goes on as it was
            return


def _cars(allowed: tuple[str, ...]) -> bool:
    return not allowed or "passenger" in allowed


def _minute(samples: list[tuple[Floats, Floats]], length: Floats) -> tuple[Floats, Floats]:
    """Mean speed of the cars of a minute [m/s], NaN where none drove, and how many passed."""
    count = np.array([c for c, _ in samples])
    speed = np.array([v for _, v in samples])
    cars = count.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(cars > 0, (count * speed).sum(axis=0) / cars, np.nan)
    flow = (count * speed / length).mean(axis=0) * 60.0
    return mean, flow


def _frame(value: Floats, now: int) -> pa.Table:
    known = np.flatnonzero(np.isfinite(value))
    count = len(known)
    told = {
        "id": pa.array(np.arange(1, count + 1)),
        "stream": pa.array(known + 1),
        "thing": pa.array(known + 1),
        "time": pa.array(np.full(count, now)).cast(INSTANT),
        "value": pa.array(value[known]),
    }
    return pa.table([told.get(f.name, pa.nulls(count, f.type)) for f in FRAME], schema=FRAME)
