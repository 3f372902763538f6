"""The bench's small city: devices become Views, practices plan, the higher tier wins, signal heads obey."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from civium.core.clock import MICROSECONDS
from civium.core.nouns import Tier
from civium.core.practice import Command, Plan, Practice, State
from civium.core.view import ACTUATORS, FRAME, THINGS, View
from civium.sandbox.detectors import Column, Detector, read_detectors
from civium.sandbox.junction import Junction
from civium.sandbox.signal_head import SignalHead
from civium.sandbox.street_facts import StreetThing
from civium.sandbox.sumo_street import SumoStreet

DETECTORS_EVERY_S = 5
VEHICLES = 16  # emergency vehicles of the bench's city
Rows = tuple[list[int], list[Any]]


@dataclass(slots=True)
class Holder:
    """Who holds a signal, as the guard knows it."""

    practice: str
    tier: Tier
    until: int


@dataclass(slots=True)
class Guided:
    """A practice at work: its state, and how often its commands were admitted and refused."""

    practice: Practice
    state: State | None = None
    admitted: int = 0
    refused: int = 0
    costs: list[float] = field(default_factory=list)


class BenchCity:
    """Signals are things 1 .. S and actuators, then detectors, vehicles (``vehicle(k)``) and streets."""

    def __init__(
        self,
        sim: Any,
        junctions: Sequence[Junction],
        detectors: Sequence[Detector],
        streets: Sequence[StreetThing],
        practices: Sequence[Practice],
        told: Callable[[int, Plan], None],
    ) -> None:
        self._sim, self._detectors, self._told = sim, detectors, told
        self._second = int(sim.simulation.getTime())
        street = SumoStreet(sim)
        self.heads = [SignalHead(j, street, self._second * MICROSECONDS) for j in junctions]
        self.guided = [Guided(practice) for practice in practices]
        self.messages: dict[str, dict[int, str | float]] = {"mission": {}, "position": {}, "speed": {}}
        self._held: dict[int, Holder] = {}
        self._columns: dict[str, Column] = {}
        self._measured = 0
        self._first_vehicle = len(junctions) + len(detectors) + 1
        kinds = ["signal"] * len(junctions) + ["detector"] * len(detectors) + ["emergency_vehicle"] * VEHICLES
        facts = [json.dumps(j.facts()) for j in junctions] + [json.dumps(d.facts()) for d in detectors]
        facts += ["{}"] * VEHICLES + [json.dumps(s.facts) for s in streets]
        kinds += ["street"] * len(streets)
        none = [None] * len(kinds)
        self._things = pa.table(
            {"thing": range(1, len(kinds) + 1), "kind": kinds, "name": kinds, "lon": none, "lat": none, "facts": facts},
            schema=THINGS,
        )
        self._actuators = pa.table(
            {
                "actuator": range(1, len(junctions) + 1),
                "thing": range(1, len(junctions) + 1),
                "kind": ["signal"] * len(junctions),
                "name": [j.name for j in junctions],
                "facts": [json.dumps(j.actuator_facts()) for j in junctions],
            },
            schema=ACTUATORS,
        )

    def vehicle(self, k: int) -> int:
        """Thing id of the k-th emergency vehicle."""
        return self._first_vehicle + k % VEHICLES

    def step(self, time: float) -> None:
        """Called after each step of the simulation, at ``time`` [s]."""
        if int(time) <= self._second:
            return
        self._second = int(time)
        now = self._second * MICROSECONDS
        if self.guided and self._second % DETECTORS_EVERY_S == 0:
            self._columns, self._measured = read_detectors(self._sim, self._detectors), now
        for guided in self.guided:
            if self._second % round(guided.practice.every) == 0 and self._columns and self._busy(guided):
                self._turn(guided, now)
        for head in self.heads:
            head.step(now)

    def _busy(self, guided: Guided) -> bool:
        """A practice that looks at missions has nothing to say where there is none and none was a moment ago."""
        reads_missions = any(need.name == "mission" for need in guided.practice.needs)
        return not reads_missions or bool(self.messages["mission"]) or self._after_mission(guided)

    def _after_mission(self, guided: Guided) -> bool:
        state = guided.state
        return state is not None and bool((state["holder"] >= 0).any() or (state["make_up"] >= 0).any())

    def _turn(self, guided: Guided, now: int) -> None:
        view = self._view(guided.practice, now)
        practice = guided.practice
        if guided.state is None:
            guided.state = practice.start(view, practice.params())
        plan, guided.state = practice.decide(view, guided.state, practice.params())
        for i, command in enumerate(plan.commands):
            if self._allowed(practice.id, command, now):
                self._held[command.actuator] = Holder(practice.id, command.tier, command.until)
                head = self.heads[command.actuator - 1]
                guided.admitted += 1
                guided.refused += bool(head.obey(f"{practice.id}.{now}.{i}", command.value, command.until, now))
            else:
                guided.refused += 1
        self._told(now, plan)

    def _allowed(self, practice: str, command: Command, now: int) -> bool:
        """Rule 5 of the guard: another's unlapsed command of the same or a higher tier is not displaced."""
        held = self._held.get(command.actuator)
        free = held is None or held.until <= now or held.practice == practice
        return free or (held is not None and held.tier < command.tier)

    def _view(self, practice: Practice, now: int) -> View:
        phases = [float(head.reading(now).stage) for head in self.heads]
        first = len(phases) + 1
        rows: dict[str, tuple[list[int] | Any, Any]] = {
            name: (column.detector + first, column.value) for name, column in self._columns.items()
        }
        rows["signal_phase"] = (list(range(1, first)), phases)
        for name, messages in self.messages.items():
            rows[name] = (sorted(messages), [messages[thing] for thing in sorted(messages)])
        frames = {}
        for k, need in enumerate(practice.needs):
            things, values = rows.get(need.property, ([], []))
            if need.name == "street_speed":
                things, values = [], []
            time = self._measured if need.kind == "detector" else now
            frames[need.name] = _frame(time, np.asarray(things, np.int64), values, k * self._things.num_rows)
        return View(now=now, cut={"OBS0": now}, frames=frames, things=self._things, actuators=self._actuators)


def _frame(now: int, things: Any, values: Any, offset: int) -> pa.Table:
    n = len(things)
    words = n > 0 and isinstance(values[0], str)
    return pa.table(
        {
            "id": things + offset,
            "stream": things + offset,
            "thing": things,
            "time": pa.array(np.full(n, now, dtype=np.int64)).cast(FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.nulls(n, pa.float64()) if words else pa.array(values, pa.float64(), from_pandas=True),
            "text": pa.array(values, pa.string()) if words else pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )


Messages = Mapping[int, str | float]
