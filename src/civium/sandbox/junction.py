"""A signal-controlled junction: its movements, stages, conflicts and times, read from a SUMO net.

The signal program of the net is the engineer's authority: stages (green phases), yellow and clearance times and the
fixed-time fallback come from it. Where it would give two conflicting movements protected green, the one that must
yield is demoted to permissive green.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.sandbox.signal_plan import (
    GREEN,
    MIN_GREEN_S,
    YELLOW_S,
    Movement,
    clearance,
    in_order,
    protect,
    runs,
    stages,
    yellow,
)
from civium.sandbox.sumo_net import Connection, Lane, Node, Place, Program, StreetNet, read_net, read_programs

WALK_S = 5.0  # shortest time that a crossing shows green
MAX_RED_S = 120.0
LONGEST_RED_S = 180.0


@dataclass(frozen=True, eq=False, slots=True)
class Junction:
    """One signal controller. Link ``i`` is character ``i`` of a state string; times in [s], lengths in [m].

    ``stages`` are the green phases, wished for by index; ``program`` the fixed-time plan as (state, duration);
    ``conflicts[i, j]``: the movements of links i and j cross or merge; ``yellow[i]``, ``min_green[i]`` per link;
    ``clearance[j, i]``: time that link j must be red before its foe i may turn green.
    """

    id: str
    name: str
    x: float
    y: float
    lon: float | None
    lat: float | None
    links: int
    kind: str
    offset: float
    program: tuple[tuple[str, float], ...]
    stages: tuple[str, ...]
    movements: tuple[Movement, ...]
    lanes: Mapping[str, Lane]
    pedestrian: tuple[bool, ...]
    conflicts: NDArray[np.bool_]
    yellow: tuple[float, ...]
    min_green: tuple[float, ...]
    clearance: NDArray[np.float64]

    @property
    def controllable(self) -> bool:
        """Whether there is a choice: at least two stages."""
        return len(self.stages) > 1

    @property
    def cycle(self) -> float:
        """Length of the fixed-time cycle [s]."""
        return sum(duration for _, duration in self.program)

    @property
    def max_red(self) -> float:
        """Longest red [s] that a wish may cause: then the fixed-time program comes, until all have had green."""
        return min(max(MAX_RED_S, self.cycle), LONGEST_RED_S)

    def planned(self, seconds: float) -> str:
        """State that the fixed-time program shows at ``seconds`` of its time base [s]."""
        at = (seconds - self.offset) % self.cycle
        for state, duration in self.program:
            at -= duration
            if at < 0:
                return state
        return self.program[-1][0]

    def stage_of(self, state: str) -> int:
        """Index of the stage whose vehicle greens are exactly those of ``state``; -1 while changing."""
        shown = self._vehicles(state)
        return next((i for i, stage in enumerate(self.stages) if self._vehicles(stage) == shown), -1)

    def _vehicles(self, state: str) -> tuple[bool | str, ...]:
        only_pedestrians = not any(c in GREEN for c, p in zip(state, self.pedestrian, strict=True) if not p)
        return tuple(
            c in GREEN if p else c for c, p in zip(state, self.pedestrian, strict=True) if only_pedestrians or not p
        )

    def change_time(self, old: int, new: int) -> float:
        """Time [s] from the end of a stage until all that conflicts with it may be green in another stage."""
        ending = [j for j in range(self.links) if self.stages[old][j] in GREEN and self.stages[new][j] not in GREEN]
        starting = [i for i in range(self.links) if self.stages[new][i] in GREEN and self.stages[old][i] not in GREEN]
        times = [
            self.clearance[j, i] + (0.0 if self.pedestrian[j] else self.yellow[j])
            for j in ending
            for i in starting
            if self.conflicts[j, i]
        ]
        return float(max(times, default=0.0))

    def incoming(self) -> tuple[str, ...]:
        """Lanes that vehicles come from."""
        return tuple(dict.fromkeys(m.from_lane for m in self.movements if not m.pedestrian))

    def outgoing(self) -> tuple[str, ...]:
        """Lanes that vehicles go to."""
        return tuple(dict.fromkeys(m.to_lane for m in self.movements if not m.pedestrian))

    def facts(self) -> dict[str, Any]:
        """Facts of the Thing of kind ``signal``, fit for JSON: all that a controller may know of the junction."""
        phases = []
        for state in self.stages:
            green = [i for i, c in enumerate(state) if c in GREEN]
            phases.append(
                {
                    "state": state,
                    "links": green,
                    "lanes": list(
                        dict.fromkeys(m.from_lane for m in self.movements if m.link in green and not m.pedestrian)
                    ),
                    "min_green_s": max((self.min_green[i] for i in green), default=MIN_GREEN_S),
                    "fixed_s": sum(d for s, d in self.program if self.stage_of(s) == self.stage_of(state)),
                }
            )
        foes = [[int(i), int(j)] for i, j in np.argwhere(np.triu(self.conflicts))]
        vehicles = [i for i in range(self.links) if not self.pedestrian[i]]
        walkers = [i for i in range(self.links) if self.pedestrian[i]]
        return {
            "signal": self.id,
            "controllable": self.controllable,
            "program": self.kind,
            "links": self.links,
            "phases": phases,
            "yellow_s": max((self.yellow[i] for i in vehicles), default=YELLOW_S),
            "all_red_s": _longest(self.clearance, vehicles),
            "pedestrian_walk_s": max((self.min_green[i] for i in walkers), default=0.0),
            "pedestrian_clearance_s": _longest(self.clearance, walkers),
            "max_red_s": self.max_red,
            "change_s": [[self.change_time(a, b) for b in range(len(phases))] for a in range(len(phases))],
            "cycle_s": self.cycle,
            "offset_s": self.offset,
            "fixed_program": [[state, duration] for state, duration in self.program],
            "movements": [
                {"link": m.link, "from": m.from_lane, "to": m.to_lane, "turn": m.turn, "pedestrian": m.pedestrian}
                for m in self.movements
            ],
            "conflicts": foes,
            "incoming": [_lane_facts(self.lanes[key]) for key in self.incoming()],
            "outgoing": [_lane_facts(self.lanes[key]) for key in self.outgoing()],
        }

    def actuator_facts(self) -> dict[str, Any]:
        """Facts of the actuator: wishes are phase indices; without one the head runs its fixed-time program."""
        return {"choices": list(range(len(self.stages))), "safe": "fixed-time program"}


def read_junctions(net: Path, additional: Iterable[Path] = ()) -> list[Junction]:
    """Junctions with a signal program, by id. A later program (of ``additional`` files too) replaces an earlier one,
    as in SUMO; a signal without phases or without links is left out. ``ValueError`` if ``net`` is no SUMO net."""
    streets = read_net(net)
    for path in additional:
        for program in read_programs(path):
            streets.programs.setdefault(program.signal, []).append(program)
    controlled: dict[str, list[Connection]] = {}
    for connection in streets.connections:
        if connection.tl and connection.indices:
            controlled.setdefault(connection.tl, []).append(connection)
    requests = _requests(streets)
    place = streets.place()
    found = []
    for signal, connections in sorted(controlled.items()):
        running = [p for p in streets.programs.get(signal, []) if p.phases and p.id != "off"]
        if running:
            found.append(_junction(streets, running[-1], connections, requests, place))
    return found


Request = tuple[Node, int]


def _junction(
    streets: StreetNet,
    program: Program,
    connections: list[Connection],
    requests: Mapping[int, Request],
    place: Place,
) -> Junction:
    movements = tuple(
        Movement(index, c.from_lane, c.to_lane, c.turn, walk, streets.lanes[c.to_lane].length if walk else 0.0)
        for c in connections
        for index in c.indices
        for walk in [streets.lanes[c.to_lane].function == "crossing"]
    )
    n = 1 + max(m.link for m in movements)
    walking = [False] * n
    for m in movements:
        walking[m.link] |= m.pedestrian
    conflicts, yields = _conflicts(n, connections, requests)
    plan = [(protect(s.ljust(n, "r")[:n], conflicts, yields), d) for s, d in in_order(program) if d > 0]
    plan = plan or [("r" * n, 1.0)]
    nodes = {requests[id(c)][0].id: requests[id(c)][0] for c in connections if id(c) in requests}
    x = float(np.mean([v.x for v in nodes.values()])) if nodes else 0.0
    y = float(np.mean([v.y for v in nodes.values()])) if nodes else 0.0
    lon, lat = place(x, y)
    speed = max((streets.lanes[m.from_lane].speed for m in movements if not m.pedestrian), default=13.9)
    least = [
        p.min_duration for p in program.phases if p.min_duration and program.kind != "static" and p.min_duration >= 3
    ]
    min_green = min(max(min(least, default=MIN_GREEN_S), 3.0), 10.0)
    used = {key for m in movements for key in (m.from_lane, m.to_lane)}
    streets_met = dict.fromkeys(streets.lanes[m.from_lane].name for m in movements if not m.pedestrian)
    return Junction(
        id=program.signal,
        name=" / ".join(name for name in streets_met if name)[:120] or program.signal,
        x=x,
        y=y,
        lon=lon,
        lat=lat,
        links=n,
        kind=program.kind,
        offset=program.offset,
        program=tuple(plan),
        stages=stages(plan, walking),
        movements=movements,
        lanes={key: streets.lanes[key] for key in sorted(used)},
        pedestrian=tuple(walking),
        conflicts=conflicts,
        yellow=tuple(yellow(plan, i, speed) for i in range(n)),
        min_green=tuple(min([WALK_S if walking[i] else min_green, *runs(plan, i, GREEN)]) for i in range(n)),
        clearance=clearance(plan, conflicts, walking, movements),
    )


def _requests(streets: StreetNet) -> dict[int, Request]:
    """Node and request index of each controlled connection, keyed by ``id(connection)``.

    A connection's request is that of the last internal lane of its way (SUMO lists those in ``intLanes``); in nets
    without internal lanes it is its rank among the node's incoming lanes.
    """
    at_internal = {lane: (node, i) for node in streets.nodes.values() for i, lane in enumerate(node.internal)}
    at_incoming = {lane: node for node in streets.nodes.values() for lane in node.incoming}
    onward = {c.from_lane: c.via for c in streets.connections if c.via and c.from_lane.startswith(":")}
    of_lane: dict[str, list[Connection]] = {}
    for c in streets.connections:
        of_lane.setdefault(c.from_lane, []).append(c)
    found: dict[int, Request] = {}
    for c in streets.connections:
        if not c.tl:
            continue
        via = c.via or c.to_lane
        for _ in range(4):
            if via in at_internal or via not in onward:
                break
            via = onward[via]
        if via in at_internal:
            found[id(c)] = at_internal[via]
        elif c.from_lane in at_incoming:
            node = at_incoming[c.from_lane]
            ranked = [id(k) for lane in node.incoming for k in of_lane.get(lane, [])]
            if len(ranked) == len(node.foes):
                found[id(c)] = (node, ranked.index(id(c)))
    return found


def _conflicts(
    n: int, connections: list[Connection], requests: Mapping[int, Request]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which links conflict and which yield, as (n, n) matrices; what the net does not tell counts as a conflict."""
    conflicts = np.zeros((n, n), dtype=bool)
    yields = np.zeros((n, n), dtype=bool)
    known = [(c, *requests[id(c)]) for c in connections if id(c) in requests]
    for a, node, i in known:
        for b, other, j in known:
            if node.id == other.id:
                for p in a.indices:
                    for q in b.indices:
                        conflicts[p, q] |= bool(node.foes[i] >> j & 1)
                        yields[p, q] |= bool(node.response[i] >> j & 1)
    for c in connections:
        if id(c) not in requests:
            conflicts[list(c.indices), :] = True
            conflicts[:, list(c.indices)] = True
    conflicts |= conflicts.T
    np.fill_diagonal(conflicts, False)
    return conflicts, yields


def _longest(clearance: NDArray[np.float64], links: list[int]) -> float:
    return float(clearance[links].max()) if links else 0.0


def _lane_facts(lane: Lane) -> dict[str, Any]:
    return {"lane": lane.id, "edge": lane.edge, "length_m": lane.length, "speed_m_s": lane.speed}
