"""What it is worth: how much sooner the same emergency trips arrive, and what that costs all others."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from civium.bench.score import Score, Settings
from civium.practices.emergency_corridor.bench_trips import FIRST_S, LAST_S, SHORTEST_M, trips
from civium.practices.emergency_corridor.city_map import Floats
from civium.practices.emergency_corridor.episode import Arm, Run, horizon, run
from civium.sandbox.ambulance import BLUE_LIGHT, PLAIN
from civium.sandbox.junction import read_junctions
from civium.sandbox.scenario import Scenario, generated, named, recorded
from civium.sandbox.street_facts import street_things

OPTIONS = {
    "calls": "emergency trips a net, at least (200)",
    "rows": f"what is compared, of: {PLAIN}, {BLUE_LIGHT}, adaptive (all, with commas between)",
}
CALLS, SMOKE_CALLS = 200, 6
ROWS = {PLAIN: (PLAIN, False), BLUE_LIGHT: (BLUE_LIGHT, False), "adaptive": (PLAIN, True)}
KNOWN = ("ingolstadt7", "bologna-acosta", "Wildau")
SOURCE = "EMVLight (Su et al., Transportation Research C 146, 2023): up to -42.6 % emergency time, on its own nets"


@dataclass(frozen=True, slots=True)
class Compared:
    """Arrival times [s] of the same calls on free roads, without and with the corridor; time lost by others [s]."""

    free: Floats
    without: Floats
    guided: Floats
    others_without: float
    others_guided: float
    cars: int
    note: str

    @property
    def removed(self) -> float:
        """Share of the delay above the drive on free roads that is gone."""
        return 1.0 - float((self.guided - self.free).sum()) / max(float((self.without - self.free).sum()), 1e-9)


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Five scores a net and row. ``ValueError`` for an unreadable scenario or an option that is none."""
    calls = _calls(settings)
    rows = [name.strip() for name in settings.options.get("rows", ",".join(ROWS)).split(",")]
    if unknown := [name for name in rows if name not in ROWS]:
        raise ValueError(f"rows: '{unknown[0]}' is none of {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory() as folder:
        for scenario in _scenarios(settings, Path(folder)):
            try:
                seeds = _seeds(scenario, settings.seeds, calls)
                for name in rows[:1] if settings.smoke else rows:
                    yield from _scores(scenario, seeds, name, say)
            except ValueError as error:
                if settings.scenarios:
                    raise
                settings.tell(f"{scenario.name} is left out: {error}")


def _calls(settings: Settings) -> int:
    told = settings.options.get("calls", str(SMOKE_CALLS if settings.smoke else CALLS))
    if not told.isdigit() or int(told) < 1:
        raise ValueError(f"calls: '{told}' is not a number of trips")
    return int(told)


def _scenarios(settings: Settings, folder: Path) -> Iterator[Scenario]:
    if settings.scenarios:
        yield from named(settings.scenarios)
        return
    found = recorded(settings.data, KNOWN, settings.tell) if settings.data else iter(())
    if settings.data is None or settings.smoke:
        next(found, None)  # a folder of another layout is refused in a smoke run too
        why = "a smoke run" if settings.data else "no folder of data was given"
        settings.tell(f"{why}: only the generated town is run")
        yield generated(folder)
    else:
        yield from found


def _seeds(scenario: Scenario, wanted: tuple[int, ...], calls: int) -> list[int]:
    """The seeds that were asked for, or as many from 0 on as are needed for so many calls. ``ValueError`` if there is
    no call."""
    streets, junctions = street_things(scenario.net), read_junctions(scenario.net, scenario.additional)
    if not junctions:
        raise ValueError(f"{scenario.name} has no traffic light: nothing could be turned green")
    if horizon(scenario) - scenario.begin <= FIRST_S + LAST_S:
        raise ValueError(f"{scenario.name} is driven for less than {FIRST_S + LAST_S} s: no call begins in that time")
    seeds: list[int] = []
    made = 0
    for seed in wanted or count():
        if made >= calls and not wanted:
            break
        begun = len(trips(streets, junctions, seed, scenario.begin, horizon(scenario)))
        if not begun:
            why = f"no street from which one could drive {SHORTEST_M:g} m over a signal to another (seed {seed})"
            raise ValueError(f"{scenario.name} has {why}")
        made += begun
        seeds.append(seed)
    return seeds


def _scores(scenario: Scenario, seeds: list[int], row: str, say: Callable[[str], None]) -> Iterator[Score]:
    light, adaptive = ROWS[row]
    arms = (Arm(light, free=True), Arm(light, adaptive=adaptive), Arm(light, corridor=True, adaptive=adaptive))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=context, max_tasks_per_child=1) as pool:
        begun = [[pool.submit(run, scenario, seed, arm) for arm in arms] for seed in seeds]
        runs: list[list[Run]] = []
        for seed, futures in zip(seeds, begun, strict=True):
            runs.append([future.result() for future in futures])
            say(f"{scenario.name}, {row}, seed {seed}: {_line(_compared(runs[-1:]))}")
    found = _compared(runs)
    about = f"{scenario.name}, {row}"
    for metric, ours, baseline in (
        ("mean arrival", found.guided.mean(), found.without.mean()),
        ("p95 arrival", np.percentile(found.guided, 95), np.percentile(found.without, 95)),
        ("p99 arrival", np.percentile(found.guided, 99), np.percentile(found.without, 99)),
        ("delay of others", found.others_guided / found.cars, found.others_without / found.cars),
    ):
        mean = metric == "mean arrival"
        yield Score(
            scenario=about,
            metric=metric,
            unit="s",
            ours=float(ours),
            baseline=float(baseline),
            better="lower",
            floor=float(baseline) if mean else None,
            source=SOURCE if mean else "",
            note=found.note if mean else f"{float(ours) / max(float(baseline), 1e-9) - 1:+.1%}",
        )
    yield Score(about, "share of the delay removed", "1", found.removed, 0.0, "higher", floor=0.0)


def _compared(runs: list[list[Run]]) -> Compared:
    def arrivals(arm: int) -> Floats:
        return np.array([seed[arm].arrival[k] for seed in runs for k in sorted(seed[arm].arrival)])

    free, without, guided = (arrivals(arm) for arm in range(3))
    ways = sum(seed[2].signals for seed in runs)
    note = f"{len(guided)} calls over {ways} signals, {len(runs)} seeds; on free roads {free.mean():.1f} s"
    late = [sum(seed[arm].unfinished for seed in runs) for arm in (1, 2)]
    note += f"; others not arrived {late[1]}, without {late[0]}"
    return Compared(
        free,
        without,
        guided,
        sum(seed[1].others for seed in runs),
        sum(seed[2].others for seed in runs),
        max(sum(seed[1].cars for seed in runs), 1),
        note,
    )


def _line(found: Compared) -> str:
    return (
        f"mean arrival {found.without.mean():.0f} s, with the corridor {found.guided.mean():.0f} s "
        f"({found.removed:.0%} of the delay removed), delay of others "
        f"{found.others_guided / max(found.others_without, 1e-9) - 1:+.1%}"
    )
