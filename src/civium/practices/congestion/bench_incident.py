"""An incident in a SUMO town, with and without the detours: the mean delay of all, also of who never heard of it.

Each case runs three times in a fresh process: an ordinary hour from which the practice learns (as two days before), and
the hour with the incident, once with deaf terminals and once with terminals that follow. A busy segment that can be
driven round crawls for twenty minutes.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from civium.bench.score import Score
from civium.practices.congestion.bench_drive import Case, Hour, run
from civium.sandbox.scenario import named, unpack

SEEDS = (0, 1, 2, 3, 4)


def bench(path: Path, smoke: bool, seeds: tuple[int, ...], say: Callable[[str], None]) -> Iterator[Score]:
    """Mean delay over the seeds, each with a segment and a demand of its own; and the worst seed."""
    folder = unpack(path) if path.is_file() and path.suffix == ".xz" else path
    configs = sorted(folder.rglob("*.sumocfg")) if folder.is_dir() else [folder]
    chosen = [c for c in configs if "acosta" in str(c)] or configs
    if not chosen:
        raise ValueError(f"{path.name} holds none of the layouts of this bench; see the practice's page")
    (scenario,) = named((chosen[0],))
    seeds = (seeds or SEEDS)[:1] if smoke else seeds or SEEDS
    spawn = multiprocessing.get_context("spawn")
    deaf: list[Hour] = []
    led: list[Hour] = []
    with (
        tempfile.TemporaryDirectory() as work,
        ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        before = {s: pool.submit(run, Case(scenario, s + 1000, Path(work), "")) for s in seeds}
        jobs = []
        for seed in seeds:
            usual = before[seed].result()
            if not usual.trips or not usual.busy:
                lacks = "street with a way round it" if usual.trips else "vehicle that departs"
                raise ValueError(f"{scenario.name} has no {lacks}")
            edge = usual.busy[int(np.random.default_rng([seed, 3]).integers(len(usual.busy)))]
            say(f"{scenario.name}, seed {seed}: segment {edge} crawls")
            jobs += [pool.submit(run, Case(scenario, seed, Path(work), edge, usual.readings, f)) for f in (False, True)]
        for k, job in enumerate(jobs):
            (led if k % 2 else deaf).append(job.result())
            say(f"{scenario.name}: delay {job.result().delay:.1f} s{' with detours' if k % 2 else ''}")
    found = [hour.found_s for hour in led if np.isfinite(hour.found_s)]
    calm = np.mean([job.result().delay for job in before.values()])
    note = (
        f"{len(seeds)} seeds, {led[0].trips} trips; {sum(h.followed for h in led)} drivers took a detour; found in "
        f"{len(found)} of {len(led)}, {np.mean(found) if found else np.nan:.0f} s after it began; without an incident "
        f"{calm:.1f} s"
    )
    for metric, of in (("mean delay of all with an incident", np.mean), ("the same, worst seed", np.max)):
        ours, base = (float(of([h.delay for h in hours])) for hours in (led, deaf))
        yield Score(scenario.name, metric, "s", ours, base, "lower", floor=base, note=note)
