"""Prints what policies would do in the years to come."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from civium.bench.trial import Future
from civium.core import InputRefused
from civium.engines.computes import open_compute
from civium.engines.settings import load
from civium.twin.model import locate_example
from civium.whatif import Effect, foresee, interval, policies_of

console = Console()
_YEAR_DAYS = 365.0


def run_whatif(
    practice: str,
    policies: Sequence[str],
    city: Path,
    *,
    days: int,
    apart: float,
    growth: float,
    seeds: str,
    scenario: Path | None,
    town: Path | None,
    hour: float,
    minutes: int,
) -> None:
    """Drive ``days`` days that lie ``apart`` [days], with ``growth`` [share a year] of demand, under each policy.

    Raises ``InputRefused`` for what cannot be driven.
    """
    module, chosen = policies_of(practice, policies)
    try:
        numbers = tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise InputRefused(f"--seeds '{seeds}': write numbers with commas") from None
    if len(set(numbers)) < len(numbers):
        raise InputRefused(f"--seeds '{seeds}': name each once")
    factors = tuple((1.0 + growth) ** (day * apart / _YEAR_DAYS) for day in range(days))
    extract = (town or locate_example("helsinki")).resolve()
    future = Future(factors, numbers, scenario, extract, city / "sandbox", hour, minutes)
    compute = open_compute(load(city), _ready)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=1.0)
            effect = asyncio.run(
                foresee(
                    module, chosen, future, compute,
                    lambda text, share: progress.update(task, description=text, completed=share),
                )
            )  # fmt: skip
    except ValueError as error:
        raise InputRefused(str(error)) from None
    finally:
        compute.close()
    for measure in effect.units:
        console.print(_table(effect, measure, factors, apart))
    told = "95 % confidence over the seeds" if len(numbers) > 1 else "no interval: name more than one seed"
    console.print(f"± {told}; differences to '{chosen[0].text}' are taken day by day and seed by seed", markup=False)


def _ready() -> None:
    """Nothing that a worker must have before its first trial."""


def _table(effect: Effect, measure: str, factors: Sequence[float], apart: float) -> Table:
    figures = effect.figures[measure]
    table = Table("day", "demand", title=escape(f"{measure} [{effect.units[measure]}]"))
    for number, policy in enumerate(effect.policies):
        table.add_column(escape(policy.text), justify="right")
        if number:
            table.add_column("difference", justify="right")
    for day, factor in enumerate(factors):
        table.add_row(f"{day * apart:g}", f"{100 * factor:.1f} %", *_cells(figures[:, day]))
    if len(factors) > 1:
        table.add_section()
        table.add_row("all", "", *_cells(figures.mean(axis=1)))
    return table


def _cells(figures: NDArray[np.float64]) -> list[str]:
    """A cell for each policy's figures (policies, seeds), and its difference to the first."""
    cells = [_told(*interval(figures[0]))]
    for own in figures[1:]:
        cells += [_told(*interval(own)), _told(*interval(own - figures[0]), signed=True)]
    return cells


def _told(mean: float, half: float, signed: bool = False) -> str:
    text = f"{mean:+.1f}" if signed else f"{mean:.1f}"
    return text if np.isnan(half) else f"{text} ± {half:.1f}"
