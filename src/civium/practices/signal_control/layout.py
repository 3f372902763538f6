"""The junctions as arrays: what the facts of signals and detectors say, parsed once for the same facts.

Ragged relations are flat index arrays (``pair_stage``, ``pair_lane``: this stage serves that lane). Stages, lanes and
links are numbered through all signals; signals and detectors stand in the order of their thing ids.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CAMERA, LOOP, EXIT = 0, 1, 2
ROLES = {"camera": CAMERA, "loop": LOOP, "exit": EXIT}
SHORTEST_EXIT_M = 15.0  # a shorter exit camera sees too few vehicles to tell a queue from one that stops


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Sizes: S signals, K stages, L incoming lanes, N links, M movements of vehicles, D detectors. Times in [s]."""

    signal: Ints  # S: thing id
    first_stage: Ints  # S + 1: stages of signal s are first_stage[s] .. first_stage[s + 1]
    stage_signal: Ints  # K
    min_green: Floats  # K
    max_red: Floats  # S
    change: Floats  # K, widest: time from stage k to the j-th stage of its signal until the new greens start
    lane_signal: Ints  # L
    lane_key: tuple[str, ...]
    lane_speed: Floats  # L [m/s]
    link_signal: Ints  # N
    link_walks: Bools  # N: a crossing for walkers
    first_link: Ints  # S + 1
    shows: Bools  # K, widest number of links: stage k shows link n of its signal green
    pair_stage: Ints  # pairs (stage, lane): the stage shows green to a movement of the lane
    pair_lane: Ints
    serve_pair: Ints  # green movements of each pair
    serve_movement: Ints
    serve_protected: Bools
    movement_lane: Ints  # M
    movement_link: Ints  # M
    movement_exit: Ints  # M: position of the exit detector, -1 = none
    movement_share: Floats  # M: assumed share of its lane's vehicles
    detector: Ints  # D: thing id
    detector_signal: Ints  # D, -1 = its signal is unknown
    detector_role: Ints  # D
    detector_capacity: Floats  # D [vehicles]
    detector_range: Floats  # D [m]
    watch_detector: Ints  # pairs (camera, lane): this camera sees vehicles bound for that lane
    watch_lane: Ints
    watch_share: Floats
    watch_distance: Floats  # [m] from the camera's near end to the stop line
    loop_lane: Ints  # D: lane of a loop, -1 for others
    controllable: Bools  # S


def layout_of(things: pa.Table) -> Layout:
    """Layout of the things of a View (kinds ``signal`` and ``detector``)."""
    rows = zip(
        things.column("thing").to_pylist(),
        things.column("kind").to_pylist(),
        things.column("facts").to_pylist(),
        strict=True,
    )
    return _layout(tuple(rows))


@lru_cache(maxsize=8)
def _layout(rows: tuple[tuple[int, str, str], ...]) -> Layout:
    signals = [(thing, json.loads(facts or "{}")) for thing, kind, facts in rows if kind == "signal"]
    signals = [(thing, facts) for thing, facts in signals if facts.get("signal") and facts.get("phases")]
    detectors = [(thing, json.loads(facts or "{}")) for thing, kind, facts in rows if kind == "detector"]
    detectors = [(thing, facts) for thing, facts in detectors if facts.get("role") in ROLES]
    return _Builder(signals, detectors).layout()


class _Builder:
    """Collects the flat arrays signal by signal."""

    def __init__(self, signals: list[tuple[int, Any]], detectors: list[tuple[int, Any]]) -> None:
        self.signals = signals
        self.detectors = detectors
        self.number = {facts["signal"]: s for s, (_, facts) in enumerate(signals)}
        self.lanes: dict[tuple[int, str], int] = {}
        self.exits = {
            (self.number[f["signal"]], f["lane"]): d
            for d, (_, f) in enumerate(detectors)
            if f["role"] == "exit" and f["signal"] in self.number and f["range_m"] >= SHORTEST_EXIT_M
        }

    def layout(self) -> Layout:
        most_stages = max((len(f["phases"]) for _, f in self.signals), default=1)
        most_links = max((int(f["links"]) for _, f in self.signals), default=1)
        speed: list[float] = []
        stages: list[tuple[int, float]] = []
        change: list[Floats] = []
        shows: list[Bools] = []
        links: list[tuple[int, bool]] = []
        movements: list[tuple[int, int, int, float]] = []
        serves: list[tuple[int, int, bool]] = []
        first_stage, first_link = [0], [0]
        for s, (_, facts) in enumerate(self.signals):
            for lane in facts["incoming"]:
                self.lanes[s, lane["lane"]] = len(speed)
                speed.append(float(lane["speed_m_s"]))
            walks = {m["link"] for m in facts["movements"] if m["pedestrian"]}
            links += [(s, i in walks) for i in range(facts["links"])]
            change.append(_changes(facts, most_stages))
            for phase in facts["phases"]:
                row = np.zeros(most_links, dtype=bool)
                row[phase["links"]] = True
                shows.append(row)
                stages.append((s, float(phase["min_green_s"])))
            self._movements(s, facts, first_stage[-1], first_link[-1], movements, serves)
            first_stage.append(len(stages))
            first_link.append(len(links))
        watch = self._watch()
        pairs = sorted({(k, movements[m][0]) for k, m, _ in serves})
        position = {pair: i for i, pair in enumerate(pairs)}
        lane_signal = np.array([s for s, _ in self.lanes], dtype=np.int64)
        table = [
            (self.number.get(f["signal"], -1), ROLES[f["role"]], f["capacity"], f["range_m"]) for _, f in self.detectors
        ]
        loop_lane = [
            self.lanes.get((self.number.get(f["signal"], -1), f["lane"]), -1) if f["role"] == "loop" else -1
            for _, f in self.detectors
        ]
        return Layout(
            signal=_ints(thing for thing, _ in self.signals),
            first_stage=_ints(first_stage),
            stage_signal=_ints(s for s, _ in stages),
            min_green=_floats(g for _, g in stages),
            max_red=_floats(f["max_red_s"] for _, f in self.signals),
            change=np.concatenate(change) if change else np.zeros((0, most_stages)),
            lane_signal=lane_signal,
            lane_key=tuple(key for _, key in self.lanes),
            lane_speed=_floats(speed),
            link_signal=_ints(s for s, _ in links),
            link_walks=np.array([w for _, w in links], dtype=bool),
            first_link=_ints(first_link),
            shows=np.array(shows, dtype=bool).reshape(len(stages), most_links),
            pair_stage=_ints(k for k, _ in pairs),
            pair_lane=_ints(lane for _, lane in pairs),
            serve_pair=_ints(position[k, movements[m][0]] for k, m, _ in serves),
            serve_movement=_ints(m for _, m, _ in serves),
            serve_protected=np.array([p for _, _, p in serves], dtype=bool),
            movement_lane=_ints(m[0] for m in movements),
            movement_link=_ints(m[1] for m in movements),
            movement_exit=_ints(m[2] for m in movements),
            movement_share=_floats(m[3] for m in movements),
            detector=_ints(thing for thing, _ in self.detectors),
            detector_signal=_ints(row[0] for row in table),
            detector_role=_ints(row[1] for row in table),
            detector_capacity=_floats(row[2] for row in table),
            detector_range=_floats(row[3] for row in table),
            watch_detector=_ints(w[0] for w in watch),
            watch_lane=_ints(w[1] for w in watch),
            watch_share=_floats(w[2] for w in watch),
            watch_distance=_floats(w[3] for w in watch),
            loop_lane=_ints(loop_lane),
            controllable=np.array([bool(f["controllable"]) for _, f in self.signals], dtype=bool),
        )

    def _movements(
        self,
        s: int,
        facts: Any,
        stage: int,
        link: int,
        movements: list[tuple[int, int, int, float]],
        serves: list[tuple[int, int, bool]],
    ) -> None:
        """Movements of vehicles of one signal, and which of its stages serve them."""
        ways: dict[str, int] = {}
        for m in facts["movements"]:
            ways[m["from"]] = ways.get(m["from"], 0) + 1
        for m in facts["movements"]:
            if m["pedestrian"] or (s, m["from"]) not in self.lanes:
                continue
            for k, phase in enumerate(facts["phases"]):
                shown = phase["state"][m["link"]]
                if m["link"] in phase["links"]:
                    serves.append((stage + k, len(movements), shown == "G"))
            to = self.exits.get((s, m["to"]), -1)
            movements.append((self.lanes[s, m["from"]], link + m["link"], to, 1.0 / ways[m["from"]]))

    def _watch(self) -> list[tuple[int, int, float, float]]:
        watch = []
        for d, (_, f) in enumerate(self.detectors):
            if f["role"] == "camera" and f["signal"] in self.number:
                s = self.number[f["signal"]]
                bound = [self.lanes[s, key] for key in f["serves"] if (s, key) in self.lanes]
                watch += [(d, lane, 1.0 / len(bound), float(f["distance_m"])) for lane in bound]
        return watch


def _changes(facts: Any, widest: int) -> Floats:
    """Change times [s] of one signal, in rows of the widest signal's length."""
    times = np.zeros((len(facts["phases"]), widest))
    times[:, : len(facts["phases"])] = facts["change_s"]
    return times


def _ints(values: Any) -> Ints:
    return np.array(list(values), dtype=np.int64)


def _floats(values: Any) -> Floats:
    return np.array(list(values), dtype=np.float64)
