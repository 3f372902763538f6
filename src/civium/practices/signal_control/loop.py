"""The bench's small city: detectors become Views, ``decide`` plans, signal heads obey; nothing else passes."""

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from civium.core.clock import MICROSECONDS
from civium.core.practice import State
from civium.core.view import ACTUATORS, FRAME, THINGS, View
from civium.practices.signal_control.decide import decide, start
from civium.practices.signal_control.params import SignalParams
from civium.sandbox.detectors import Column, Detector, read_detectors
from civium.sandbox.junction import Junction
from civium.sandbox.signal_head import SignalHead
from civium.sandbox.sumo_street import SumoStreet

TURN_S = 5
PROPERTIES = ("vehicle_count", "queue_length", "occupancy", "vehicle_flow")


class GuidedStreets:
    """Steps the heads once a second and takes a turn every five: ``costs`` [s] of the turns, commands and refusals."""

    def __init__(
        self, sim: Any, junctions: Sequence[Junction], detectors: Sequence[Detector], params: SignalParams
    ) -> None:
        self.costs: list[float] = []
        self.commands = 0
        self.refused = 0
        self._sim = sim
        self._detectors = detectors
        self._params = params
        self._second = int(sim.simulation.getTime())
        street = SumoStreet(sim)
        self.heads = [SignalHead(j, street, self._second * MICROSECONDS) for j in junctions]
        self._things, self._actuators = city_tables(junctions, detectors)
        self._state: State | None = None

    def step(self, time: float) -> None:
        """Called after each step of the simulation, at ``time`` [s]."""
        if int(time) <= self._second:
            return
        self._second = int(time)
        now = self._second * MICROSECONDS
        if self._second % TURN_S == 0:
            self._turn(now)
        for head in self.heads:
            head.step(now)

    def _turn(self, now: int) -> None:
        columns = read_detectors(self._sim, self._detectors)
        phases = [head.reading(now).stage for head in self.heads]
        view = city_view(now, columns, phases, self._things, self._actuators)
        began = perf_counter()
        state = start(view, self._params) if self._state is None else self._state
        plan, self._state = decide(view, state, self._params)
        self.costs.append(perf_counter() - began)
        for i, command in enumerate(plan.commands):
            head = self.heads[command.actuator - 1]
            why = head.obey(f"{now}.{i}", command.value, command.until, now, f"signal_control..{now}")
            self.commands += 1
            self.refused += bool(why)


def city_tables(junctions: Sequence[Junction], detectors: Sequence[Detector]) -> tuple[pa.Table, pa.Table]:
    """Tables ``things`` and ``actuators`` of a View: signals are things 1 .. n, their actuators too; then detectors."""
    n = len(junctions)
    facts = [json.dumps(j.facts()) for j in junctions] + [json.dumps(d.facts()) for d in detectors]
    things = pa.table(
        {
            "thing": range(1, n + len(detectors) + 1),
            "kind": ["signal"] * n + ["detector"] * len(detectors),
            "name": [j.name for j in junctions] + [d.key for d in detectors],
            "lon": [j.lon for j in junctions] + [d.lon for d in detectors],
            "lat": [j.lat for j in junctions] + [d.lat for d in detectors],
            "facts": facts,
        },
        schema=THINGS,
    )
    actuators = pa.table(
        {
            "actuator": range(1, n + 1),
            "thing": range(1, n + 1),
            "kind": ["signal"] * n,
            "name": [j.name for j in junctions],
            "facts": [json.dumps(j.actuator_facts()) for j in junctions],
        },
        schema=ACTUATORS,
    )
    return things, actuators


def city_view(
    now: int, columns: Mapping[str, Column], phases: Sequence[int], things: pa.Table, actuators: pa.Table
) -> View:
    """The View at ``now`` [us]: the last reading of every detector and signal."""
    signals = len(phases)
    frames = {}
    for k, name in enumerate(PROPERTIES):
        column = columns[name]
        thing = column.detector + signals + 1
        frames[name] = _frame(now, thing, k * things.num_rows + thing, column.value)
    thing = np.arange(1, signals + 1, dtype=np.int64)
    frames["signal_phase"] = _frame(
        now, thing, len(PROPERTIES) * things.num_rows + thing, np.array(phases, dtype=np.float64)
    )
    return View(now=now, cut={"OBS0": now}, frames=frames, things=things, actuators=actuators)


def _frame(now: int, thing: Any, stream: Any, value: Any) -> pa.Table:
    n = len(thing)
    time = pa.array(np.full(n, now, dtype=np.int64)).cast(FRAME.field("time").type)
    return pa.table(
        {
            "id": stream,
            "stream": stream,
            "thing": thing,
            "time": time,
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.array(value, from_pandas=True),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )
