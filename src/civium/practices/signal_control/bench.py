"""What it is worth: delay beside the same signals on fixed-time programs, with the same net, demand, seed and SUMO."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import numpy as np

from civium.bench.score import Score, Settings
from civium.practices.signal_control.episode import Run, run
from civium.sandbox.scenario import Scenario, generated, named, read_scenario

SOURCE = "RESCO (Ault and Sharon, NeurIPS 2021), utils/avg_timeLoss.py"
SEEDS = (0, 1, 2, 3, 4)
PUBLISHED = {  # delay [s]: fixed time, max-pressure, best learner and its name
    "ingolstadt1": (39.40, 23.62, 20.90, "IPPO"),
    "ingolstadt7": (91.31, 46.82, 31.19, "IDQN"),
}


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Two scores a scenario: the mean over the seeds and the worst seed. ``ValueError`` for an unreadable scenario."""
    seeds = settings.seeds or SEEDS
    seeds = seeds[:1] if settings.smoke else seeds
    with tempfile.TemporaryDirectory() as folder:
        for scenario in _scenarios(settings, Path(folder), say):
            yield from _scores(scenario, seeds, say)


def _scenarios(settings: Settings, folder: Path, say: Callable[[str], None]) -> Iterator[Scenario]:
    if settings.scenarios:
        yield from named(settings.scenarios)
        return
    recorded = [settings.data / "resco" / name / f"{name}.sumocfg" for name in PUBLISHED] if settings.data else []
    found = [read_scenario(path) for path in recorded if path.exists()]
    if len(found) < len(PUBLISHED):
        say("the RESCO scenarios are not in the data folder: only the generated town is run")
    if settings.smoke and found:
        found = found[:1]
    yield from found
    if not (settings.smoke and found):
        yield generated(folder)


def _scores(scenario: Scenario, seeds: tuple[int, ...], say: Callable[[str], None]) -> Iterator[Score]:
    fixed, guided = _runs(scenario, seeds, say)
    ours, baseline = [r.delay for r in guided], [r.delay for r in fixed]
    published = PUBLISHED.get(scenario.name)
    note = f"{len(seeds)} seeds, {guided[0].trips} trips; median turn {np.median([r.turn_ms for r in guided]):.1f} ms"
    if published:
        note += (
            f"; published {published[3]}, with fixed time {published[0]:.2f} and max-pressure {published[1]:.2f}: on "
            "SUMO 1.9 only, where fixed time loses more than here, so compare the ratio to fixed time"
        )
    for metric, of in (("mean delay", np.mean), ("delay of the worst seed", np.max)):
        yield Score(
            scenario=scenario.name,
            metric=metric,
            unit="s",
            ours=float(of(ours)),
            baseline=float(of(baseline)),
            better="lower",
            published=published[2] if published and metric == "mean delay" else None,
            source=SOURCE if published else "",
            floor=float(of(baseline)),
            note=note,
        )


def _runs(scenario: Scenario, seeds: tuple[int, ...], say: Callable[[str], None]) -> tuple[list[Run], list[Run]]:
    """Runs each seed twice, each run in a fresh process."""
    workers = min(2, os.cpu_count() or 1)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1) as pool:
        jobs: list[tuple[int, Future[Run], Future[Run]]] = [
            (seed, pool.submit(run, scenario, seed, False), pool.submit(run, scenario, seed, True)) for seed in seeds
        ]
        fixed, guided = [], []
        for seed, plain, ours in jobs:
            fixed.append(plain.result())
            guided.append(ours.result())
            a, b = fixed[-1], guided[-1]
            say(
                f"{scenario.name}, seed {seed}: fixed time {a.delay:.2f} s, {a.unfinished} not arrived; "
                f"guided {b.delay:.2f} s, {b.unfinished} not arrived"
            )
    return fixed, guided
