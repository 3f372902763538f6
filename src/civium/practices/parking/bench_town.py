"""Driving saved in a simulated town: cars that look for a place, with and without the signs; same seeds, same demand.

The town is the centre of a SUMO net with its parking areas. Who finds a car park full learns it there and drives on to
the next (SUMO's own parking search); who follows a sign drives to the car park that it showed at departure. The sensors
are the counts of the car parks alone.
"""

import json
import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from civium.bench.score import Score
from civium.core.extras import require
from civium.practices.parking.bench_drive import Drive, drive
from civium.sandbox.scenario import unpack
from civium.sandbox.sumo_net import open_xml

SEEDS = (0, 1, 2, 3, 4)
LOTS, RADIUS_M, MARGIN_M = 20, 700.0, 600.0
CARS_H, HOURS, STAY_S = 420.0, 1.5, 2700.0
LOAD = 0.85  # of all places that are taken when it has settled
OBEY = 0.8  # of the drivers follow the signs
SMOKE_HOURS = 0.75


@dataclass(frozen=True, slots=True)
class Centre:
    """The cut net and its car parks: id, lane, offset on it [m], place [m]."""

    net: Path
    lots: tuple[tuple[str, str, float, float, float], ...]


def is_town(path: Path) -> bool:
    """Whether a path is a packed scenario or a folder with a SUMO net."""
    return path.name.endswith(".tar.xz") or (path.is_dir() and bool(list(path.rglob("*.net.xml*"))))


def bench(path: Path, smoke: bool, seeds: tuple[int, ...], say: Callable[[str], None]) -> Iterator[Score]:
    """Mean over seeds and the worst seed. ``ValueError`` when there is no net or no parking area."""
    seeds = (seeds or SEEDS)[:1] if smoke else seeds or SEEDS
    with tempfile.TemporaryDirectory() as folder:
        centre = cut(unpack(path) if path.is_file() else path, Path(folder))
        say(f"{path.name}: {len(centre.lots)} car parks in the centre")
        plain, guided = _runs(centre, Path(folder), seeds, SMOKE_HOURS if smoke else HOURS, say)
    name = path.name.removesuffix(".tar.xz")
    walk, unparked = (
        [np.mean([getattr(d, k) for d in runs]) for runs in (guided, plain)] for k in ("walk", "unparked")
    )
    note = (
        f"{len(seeds)} seeds, {guided[0].cars} cars each, {OBEY:.0%} follow; walk from place to goal {walk[0]:.0f} m, "
        f"without signs {walk[1]:.0f} m; without a place at the end {unparked[0]:.1f} and {unparked[1]:.1f} cars"
    )
    held = ("cruise",) if not smoke else ()  # in a smoke run the car parks never fill: signs have nothing to win
    for metric, of, pick in (
        ("driven beyond the way to the goal, a car", np.mean, "cruise"),
        ("the same, worst seed", np.max, "cruise"),
        ("driven in all, a car", np.mean, "driven"),
        ("driven and walked beyond, a car", np.mean, "beyond"),
    ):
        ours, theirs = (float(of([getattr(d, pick) for d in runs])) for runs in (guided, plain))
        yield Score(name, metric, "m", ours, theirs, "lower", floor=theirs if pick in held else None, note=note)


def _runs(
    centre: Centre, folder: Path, seeds: tuple[int, ...], hours: float, say: Callable[[str], None]
) -> tuple[list[Drive], list[Drive]]:
    """Runs each seed twice, each run in a fresh process: libsumo holds one simulation."""
    spawn = multiprocessing.get_context("spawn")
    jobs = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=spawn, max_tasks_per_child=1) as pool:
        for seed in seeds:
            case = folder / f"seed{seed}"
            case.mkdir()
            demand(centre, case, seed, hours)
            jobs += [(seed, guided, pool.submit(drive, centre.net, case, seed, guided)) for guided in (False, True)]
        runs: dict[bool, list[Drive]] = {False: [], True: []}
        for seed, guided, job in jobs:
            one = job.result()
            runs[guided].append(one)
            say(f"seed {seed}, {'with' if guided else 'without'} signs: {one.cruise:.0f} m beyond the way to the goal")
    return runs[False], runs[True]


def cut(folder: Path, work: Path) -> Centre:
    """The part of a net around the place with most parking areas, and the car parks there."""
    nets = sorted(folder.rglob("*.net.xml*"))
    areas = [p for p in sorted(folder.rglob("*.add.xml")) if "<parkingArea " in p.read_text(encoding="utf-8")]
    if not nets or not areas:
        raise ValueError(f"{folder.name} holds no .net.xml(.gz) or no .add.xml with parking areas")
    wanted = {
        element.attrib["lane"]: (element.attrib["id"], float(element.get("startPos", "0")))
        for element in ET.parse(areas[0]).getroot().iter("parkingArea")  # noqa: S314 (the operator's own scenario)
    }
    place = {}
    with open_xml(nets[0]) as stream:
        for _, element in ET.iterparse(stream):  # noqa: S314 (the operator's own scenario)
            if element.tag == "lane" and element.get("id") in wanted:
                shape = element.attrib["shape"].split()
                place[element.attrib["id"]] = tuple(float(v) for v in shape[len(shape) // 2].split(",")[:2])
            if element.tag == "edge":
                element.clear()
    lanes = sorted(place)
    xy = np.array([place[lane] for lane in lanes])
    near = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    middle = xy[int((near < RADIUS_M).sum(axis=1).argmax())]
    box = np.concatenate([middle - RADIUS_M - MARGIN_M, middle + RADIUS_M + MARGIN_M])
    net = work / "centre.net.xml"
    program = Path(require("sumo", "mobility").SUMO_HOME, "bin", "netconvert")
    done = subprocess.run(  # noqa: S603 (a program of SUMO's wheel)
        [program, "-s", nets[0], "--keep-edges.in-boundary", ",".join(f"{v:.1f}" for v in box), "-o", net,
         "--keep-edges.by-vclass", "passenger", "--keep-edges.components", "1", "--no-warnings",
         "--offset.disable-normalization"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"netconvert failed: {done.stderr.strip()[-300:]}")
    kept = _lengths(net)
    order = np.argsort(np.hypot(*(xy - middle).T))
    lots, taken = [], set()
    for k in order.tolist():
        edge, lane = lanes[k].rpartition("_")[0], lanes[k]
        if edge in kept and edge not in taken and kept[edge] > 25.0 and np.hypot(*(xy[k] - middle)) < RADIUS_M:
            taken.add(edge)
            lots.append((wanted[lane][0], edge, min(wanted[lane][1], kept[edge] - 15.0), *map(float, xy[k])))
    if len(lots) < 3:
        raise ValueError(f"{folder.name} has fewer than three car parks on streets for cars")
    return Centre(net, tuple(lots[:LOTS]))


def _lengths(net: Path) -> dict[str, float]:
    """Length [m] of each edge that cars may use."""
    return {
        edge.attrib["id"]: min(float(lane.attrib["length"]) for lane in edge.iter("lane"))
        for edge in ET.parse(net).getroot().iter("edge")  # noqa: S314 (written a moment ago)
        if edge.get("function") is None
    }


def demand(centre: Centre, case: Path, seed: int, hours: float) -> None:
    """Writes the car parks with their search, and the cars: when, from where, with which goal, for how long."""
    sumolib = require("sumolib", "mobility")
    net = sumolib.net.readNet(str(centre.net))
    random = np.random.default_rng([seed, 11])
    n = len(centre.lots)
    draw = np.random.default_rng(5).dirichlet(np.ones(n) * 1.5)  # the town itself is the same for every seed
    places = np.random.default_rng(6).uniform(0.5, 1.5, n)
    capacity = np.maximum(np.round(places / places.sum() * CARS_H * STAY_S / 3600 / LOAD), 4).astype(int)
    lane = {edge: net.getEdge(edge).getLanes() for _, edge, *_ in centre.lots}
    with (case / "parking.add.xml").open("w", encoding="utf-8") as out:
        out.write("<additional>\n")
        for (key, edge, at, *_), places_ in zip(centre.lots, capacity.tolist(), strict=True):
            use = next(x for x in lane[edge] if x.allows("passenger"))
            out.write(
                f'<parkingArea id="{key}" lane="{use.getID()}" startPos="{at:.1f}" endPos="{at + 12:.1f}" '
                f'friendlyPos="true" roadsideCapacity="{places_}"/>\n'
            )
        for key, edge, *_ in centre.lots:
            out.write(f'<rerouter id="r{key}" edges="{edge}"><interval begin="0" end="1e6">')
            out.writelines(f'<parkingAreaReroute id="{other[0]}" visible="false"/>' for other in centre.lots)
            out.write("</interval></rerouter>\n")
        out.write("</additional>\n")
    xy = np.array([lot[3:] for lot in centre.lots])
    edges = [e for e in net.getEdges() if e.allows("passenger") and e.getLength() > 30]
    middle = xy.mean(axis=0)
    far = [e for e in edges if np.hypot(*(np.array(e.getFromNode().getCoord()) - middle)) > RADIUS_M]
    reach = {}
    cars = []
    for depart in np.sort(random.uniform(0, hours * 3600, int(CARS_H * hours))).tolist():
        goal = int(random.choice(n, p=draw))
        entry = far[int(random.integers(len(far)))]
        target = net.getEdge(centre.lots[goal][1])
        pair = (entry.getID(), goal)
        if pair not in reach:
            reach[pair] = net.getShortestPath(entry, target, vClass="passenger")[0] is not None
        if reach[pair]:
            stay = float(max(random.exponential(STAY_S), 300.0))
            cars.append([round(depart, 1), entry.getID(), goal, round(stay), bool(random.random() < OBEY)])
    told = {
        "lots": [[key, edge, at, x, y, int(c)] for (key, edge, at, x, y), c in zip(centre.lots, capacity, strict=True)],
        "cars": cars,
        "share": draw.tolist(),
        "hours": hours,
        "cars_h": CARS_H,
    }
    (case / "case.json").write_text(json.dumps(told), encoding="utf-8")
