"""Towns of the bench: a simulated peak in which the passing of every vehicle is known, and what readers hear of it."""

import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from civium.core.extras import require
from civium.practices.travel_time.network import Bools, Floats, Ints
from civium.sandbox.bluetooth import LEAVING_S, RANGE_M, Heard, Stays, heard, strangers
from civium.sandbox.scenario import Scenario, without_writers
from civium.sandbox.streets import Edge, read_streets

READERS = 16
APART_M = 250.0  # at least, between two readers
BUSY = 100  # vehicles that a link must have in all


@dataclass(frozen=True, eq=False, slots=True)
class Drive:
    """Who passed where: by passage the vehicle, the reader, when it entered its range and when it left the stop line
    [s]; by vehicle whether it halts on the way by itself, as a bus does."""

    vehicle: Ints
    reader: Ints
    enter: Floats
    passed: Floats
    halts: Bools


@dataclass(frozen=True, eq=False, slots=True)
class Street:
    """A link of the town from reader to reader, with its length [m] and free speed [m/s]."""

    start: int
    end: int
    length: float
    free_speed: float


def drive(scenario: Scenario, seed: int) -> tuple[Drive, list[Street]]:
    """Runs a scenario in SUMO and puts readers where most vehicles pass; the true passages, and the busy links."""
    edges = read_streets(scenario.net).edges
    with tempfile.TemporaryDirectory() as name:
        told = Path(name, "routes.xml")
        _run(scenario, seed, told, Path(name))
        trips = _trips(told, edges)
    readers = _readers([trip for trip, _, _ in trips], edges)
    return _passages(trips, readers, edges)


def _run(scenario: Scenario, seed: int, told: Path, folder: Path) -> None:
    home = require("sumo", "mobility").SUMO_HOME
    options = ["--net-file", str(scenario.net), "--route-files", ",".join(map(str, scenario.routes))]
    if scenario.additional:
        options += ["--additional-files", ",".join(str(without_writers(f, folder)) for f in scenario.additional)]
    options += ["--begin", str(scenario.begin), "--end", str(scenario.end), "--seed", str(seed)]
    options += [part for option, value in scenario.options for part in (f"--{option}", value)]
    options += ["--vehroute-output", str(told), "--vehroute-output.exit-times", "--no-step-log", "--no-warnings"]
    done = subprocess.run(  # noqa: S603 (a program of SUMO's wheel)
        [str(Path(home, "bin", "sumo")), *options],
        env={**os.environ, "SUMO_HOME": home}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"SUMO could not run {scenario.name}: {' '.join(done.stderr.split())[:300]}")


_Trip = tuple[list[str], list[float], bool]  # edges, times at which each was left (the first: departure), halts


def _trips(told: Path, edges: Mapping[str, Edge]) -> list[_Trip]:
    trips = []
    for _, element in ET.iterparse(told):  # noqa: S314 (written by SUMO a moment ago)
        if element.tag != "vehicle":
            continue
        route = element.find("route")
        if route is None:  # it looked for a new way: the last one is the way that it took
            distribution = element.find("routeDistribution")
            route = distribution[-1] if distribution is not None else None
        if route is not None and route.get("exitTimes"):
            way = route.attrib["edges"].split()
            left = [float(element.attrib["depart"]), *map(float, route.attrib["exitTimes"].split())]
            if all(edge in edges for edge in way):
                trips.append((way, left, element.find("stop") is not None))
        element.clear()
    return trips


def _readers(ways: Sequence[Sequence[str]], edges: Mapping[str, Edge]) -> dict[str, int]:
    """The junctions that most vehicles pass, ``APART_M`` from one another at least."""
    busy = Counter(edges[edge].end for way in ways for edge in way[:-1])
    place = {edge.end: edge.shape[-1] for edge in edges.values()}
    chosen: dict[str, int] = {}
    for node, _ in sorted(busy.items(), key=lambda item: (-item[1], item[0])):
        if len(chosen) < READERS and all(np.hypot(*(place[node] - place[o])) >= APART_M for o in chosen):
            chosen[node] = len(chosen)
    return chosen


def _passages(
    trips: Sequence[_Trip], readers: Mapping[str, int], edges: Mapping[str, Edge]
) -> tuple[Drive, list[Street]]:
    rows: list[tuple[int, int, float, float]] = []
    ways: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for vehicle, (way, left, _) in enumerate(trips):
        at: list[int] = []
        for n, edge in enumerate(way[:-1]):
            reader = readers.get(edges[edge].end)
            if reader is not None and left[n + 1] >= 0:
                near = min(1.0, RANGE_M / edges[edge].length)
                rows.append((vehicle, reader, left[n + 1] - near * (left[n + 1] - left[n]), left[n + 1]))
                at.append(n)
        for a, b in pairwise(at):
            between = [edges[edge] for edge in way[a + 1 : b + 1]]
            length = sum(e.length for e in between)
            pair = readers[edges[way[a]].end], readers[edges[way[b]].end]
            ways.setdefault(pair, []).append((length, sum(e.length / e.speed for e in between)))
    streets = []
    for (start, end), taken in sorted(ways.items()):
        if len(taken) >= BUSY and start != end:
            length, free = np.median(np.array(taken), axis=0)
            streets.append(Street(start, end, float(length), float(length / free)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    halts = np.array([halt for _, _, halt in trips], dtype=bool)
    return Drive(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3], halts), streets


def listen(known: Drive, penetration: float, seed: int) -> Heard:
    """What the town's readers hear of a drive, strangers included."""
    rng = np.random.default_rng([seed, 0xB1])
    stays = Stays(known.vehicle, known.reader, known.enter, known.passed + LEAVING_S)
    readers, vehicles = int(known.reader.max()) + 1, len(known.halts)
    own = heard(stays, vehicles, readers, penetration, rng)
    others = strangers(readers, float(known.passed.min()), float(known.passed.max()), vehicles // 50, rng)
    return Heard(*(np.concatenate([getattr(own, n), getattr(others, n)]) for n in ("address", "reader", "time")))
