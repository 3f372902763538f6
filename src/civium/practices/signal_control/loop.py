"""The bench's small city: detectors become Views, ``decide`` plans, signal heads obey; nothing else passes."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
WINDOW_S = 15  # of the practice's needs
PROPERTIES = ("vehicle_count", "queue_length", "occupancy", "vehicle_flow")


class GuidedStreets:
    """Steps the heads once a second and takes a turn every five: ``costs`` [s] of the turns, commands and refusals."""

    def __init__(
        self,
        sim: Any,
        junctions: Sequence[Junction],
        detectors: Sequence[Detector],
        params: SignalParams,
        noise: Callable[[Mapping[str, Column]], Mapping[str, Column]] = dict,
    ) -> None:
        self.costs: list[float] = []
        self.commands = 0
        self.refused = 0
        self._sim = sim
        self._detectors = detectors
        self._noise = noise
        self._heard: deque[tuple[int, Mapping[str, Column]]] = deque(maxlen=WINDOW_S // TURN_S)
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
        columns = self._noise(read_detectors(self._sim, self._detectors))
        phases = [head.reading(now).stage for head in self.heads]
        self._heard.append((now, columns))
        view = city_view(self._heard, phases, self._things, self._actuators)
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
    heard: Sequence[tuple[int, Mapping[str, Column]]], phases: Sequence[int], things: pa.Table, actuators: pa.Table
) -> View:
    """The View at the last instant of what was ``heard`` (instant [us], readings), with the signals' phases then."""
    signals, now = len(phases), heard[-1][0]
    frames = {}
    for k, name in enumerate(PROPERTIES):
        thing = np.concatenate([columns[name].detector for _, columns in heard]) + signals + 1
        value = np.concatenate([columns[name].value for _, columns in heard])
        time = np.repeat([at for at, _ in heard], [len(columns[name].detector) for _, columns in heard])
        order = np.lexsort((time, thing))
        frames[name] = _frame(time[order], thing[order], k * things.num_rows + thing[order], value[order])
    thing = np.arange(1, signals + 1, dtype=np.int64)
    frames["signal_phase"] = _frame(
        np.full(signals, now), thing, len(PROPERTIES) * things.num_rows + thing, np.array(phases, dtype=np.float64)
    )
    return View(now=now, cut={"OBS0": now}, frames=frames, things=things, actuators=actuators)


def _frame(time: Any, thing: Any, stream: Any, value: Any) -> pa.Table:
    n = len(thing)
    return pa.table(
        {
            "id": stream,
            "stream": stream,
            "thing": thing,
            "time": pa.array(time.astype(np.int64)).cast(FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.array(value, from_pandas=True),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )
