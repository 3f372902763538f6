"""The part of the ``civium`` command that says what a practice is worth: on benches, on the past, on a town to come."""

from pathlib import Path
from typing import Annotated

import typer

CityFolder = Annotated[Path, typer.Option("--city", help="The city's state folder.", envvar="CIVIUM_CITY")]
HERE = Path("city")


def bench(
    practice: str,
    smoke: Annotated[bool, typer.Option(help="The smallest honest run; fails when a floor is not held.")] = False,
    seeds: Annotated[str, typer.Option(help="Random seeds, e.g. 1,2,3; default: the bench's own.")] = "",
    scenario: Annotated[list[Path] | None, typer.Option(help="Your own net or weather file; may be repeated.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of recorded data.", envvar="CIVIUM_BENCH_DATA")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="An option of this bench: KEY=VALUE; may be repeated.")
    ] = None,
) -> None:
    """Measure what a practice is worth, beside the baseline of the same run."""
    from civium.show import run_bench

    raise typer.Exit(run_bench(practice, smoke, seeds, scenario or [], data, option or []))


def backtest(
    practice: str,
    city: CityFolder = HERE,
    start: Annotated[str | None, typer.Option("--from", help="First instant, e.g. 2026-06-01T08:00Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last instant.")] = None,
    lines: Annotated[bool, typer.Option("--json", help="Progress and result as JSON, one object a line.")] = False,
    what_if: Annotated[
        list[str] | None, typer.Option(help='Other parameters beside those in force, as JSON: {"lapse": 20}.')
    ] = None,
) -> None:
    """What a practice would have decided on the city's own past; nothing is sent or written."""
    from civium.client import connect
    from civium.show import run_backtest

    with connect(city) as client:
        run_backtest(client, practice, start, end, what_if or (), lines=lines)
