"""What it is worth: delay beside the same signals on fixed-time programs, with the same net, demand, seed and SUMO."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from civium.bench.score import Score, Settings
from civium.practices.signal_control.episode import Run, run
from civium.practices.signal_control.noise import Noise
from civium.sandbox.other_sumo import sumo_of
from civium.sandbox.scenario import Scenario, generated, named, recorded

SOURCE = "RESCO (Ault and Sharon, NeurIPS 2021), utils/avg_timeLoss.py"
SEEDS = tuple(range(10))
OPTIONS = {"sumo": "a release of SUMO, run over TraCI in an environment of its own; published figures hold on 1.9.2"}
SAME_SUMO = "1.9."  # releases on which the published figures were made
PUBLISHED = {  # delay [s]: fixed time, max-pressure, best learner and its name
    "ingolstadt1": (39.40, 23.62, 20.90, "IPPO"),
    "ingolstadt7": (91.31, 46.82, 31.19, "IDQN"),
}
KNOWN = (*PUBLISHED, "bologna-acosta")
LOST = "Wildau"


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Scores of each scenario: mean, spread and worst seed, trips that did not end, and all again with detectors that
    err and fail. ``ValueError`` for an unreadable scenario, ``InputRefused`` for a SUMO that cannot be had."""
    seeds = settings.seeds or SEEDS
    seeds = seeds[:1] if settings.smoke else seeds
    sumo = settings.options.get("sumo", "")
    if sumo:
        say(f"SUMO {sumo}")
        sumo_of(sumo)
    with tempfile.TemporaryDirectory() as folder:
        for scenario in _scenarios(settings, Path(folder)):
            try:
                yield from _scores(scenario, _runs(scenario, seeds, sumo, say), sumo)
            except ValueError as error:
                if settings.scenarios:
                    raise
                settings.tell(f"{scenario.name} is left out: {error}")


def _scenarios(settings: Settings, folder: Path) -> Iterator[Scenario]:
    if settings.scenarios:
        yield from named(settings.scenarios)
        return
    if settings.data is None:
        settings.tell("no folder of data was given: only the generated town is run")
    else:
        found = _recorded(settings.data, settings.tell)
        yield from islice(found, 1) if settings.smoke else found
    if settings.data is None or not settings.smoke:
        yield generated(folder)


def _recorded(data: Path, tell: Callable[[str], None]) -> Iterator[Scenario]:
    for scenario in recorded(data, KNOWN, tell):
        if scenario.name == LOST:
            tell(
                f"{LOST} is not run by default, since guidance loses there (see Known limits): name it with --scenario"
            )
        else:
            yield scenario


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of all seeds: on fixed time, guided, and guided by detectors that err and fail."""

    fixed: list[Run]
    guided: list[Run]
    noisy: list[Run]


def _scores(scenario: Scenario, runs: _Runs, sumo: str) -> Iterator[Score]:
    fixed, guided = np.array([r.delay for r in runs.fixed]), np.array([r.delay for r in runs.guided])
    noisy = np.array([r.delay for r in runs.noisy])
    note = (
        f"{len(guided)} seeds, {runs.guided[0].trips} trips, SUMO {sumo or 'as installed'}; "
        f"median turn {np.median([r.turn_ms for r in runs.guided]):.1f} ms"
    )

    def score(metric: str, ours: float, baseline: float, unit: str = "s", **rest: Any) -> Score:
        return Score(scenario.name, metric, unit, float(ours), float(baseline), "lower", note=note, **rest)

    yield score("mean delay", guided.mean(), fixed.mean(), floor=float(fixed.mean()))
    if scenario.name in PUBLISHED and sumo.startswith(SAME_SUMO):
        of_fixed, of_pressure, of_learner, learner = PUBLISHED[scenario.name]
        for whose, delay in (("fixed time", of_fixed), ("max-pressure", of_pressure), (learner, of_learner)):
            yield score(f"mean delay, published: {whose}", guided.mean(), fixed.mean(), published=delay, source=SOURCE)
    yield score("standard deviation over the seeds", guided.std(), fixed.std())
    yield score("delay of the worst seed", guided.max(), fixed.max(), floor=float(fixed.max()))
    left = [max(r.unfinished for r in of) for of in (runs.guided, runs.fixed)]
    yield score("trips that did not end, worst seed", left[0], left[1], "1")
    yield score("mean delay, detectors err and 10 % fail", noisy.mean(), fixed.mean())
    yield score("the same, worst seed", noisy.max(), fixed.max())


def _runs(scenario: Scenario, seeds: tuple[int, ...], sumo: str, say: Callable[[str], None]) -> _Runs:
    """Runs each seed three times, each run in a fresh process."""
    workers = min(2, os.cpu_count() or 1)
    spawn = multiprocessing.get_context("spawn")
    done = _Runs([], [], [])
    with ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1) as pool:
        jobs: list[tuple[int, tuple[Future[Run], ...]]] = [
            (
                seed,
                (
                    pool.submit(run, scenario, seed, False, sumo=sumo),
                    pool.submit(run, scenario, seed, True, sumo=sumo),
                    pool.submit(run, scenario, seed, True, noise=Noise(), sumo=sumo),
                ),
            )
            for seed in seeds
        ]
        for seed, (plain, ours, erring) in jobs:
            for kept, job in zip((done.fixed, done.guided, done.noisy), (plain, ours, erring), strict=True):
                kept.append(job.result())
            say(
                f"{scenario.name}, seed {seed}: "
                + "; ".join(
                    f"{name} {of[-1].delay:.2f} s, {of[-1].unfinished} not arrived"
                    for name, of in (("fixed time", done.fixed), ("guided", done.guided), ("with noise", done.noisy))
                )
            )
    return done
