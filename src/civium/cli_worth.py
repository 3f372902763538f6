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
    """Measure what a practice is worth, beside the baseline of the same run.

    Exit code 0: each floor is held. 1: one is not. 2: what was asked for cannot be run, or nothing was scored.
    """
    from civium.core import InputRefused
    from civium.show import run_bench

    try:
        code = run_bench(practice, smoke, seeds, scenario or [], data, option or [])
    except InputRefused as error:
        typer.secho(f"civium: {error}", fg=typer.colors.RED, err=True)
        code = 2
    raise typer.Exit(code)


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


def whatif(
    practice: str,
    policy: Annotated[
        list[str], typer.Option(help="A policy of the practice, NAME or NAME:JSON of parameters; repeat it to compare.")
    ],
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days to drive.")] = 5,
    apart: Annotated[float, typer.Option(min=0, help="Days from one to the next.")] = 365.0,
    growth: Annotated[float, typer.Option(min=-0.5, max=1, help="Growth of demand a year: 0.02 is 2 %.")] = 0.02,
    seeds: Annotated[str, typer.Option(help="Random seeds, each drives every day.")] = "1,2,3",
    scenario: Annotated[Path | None, typer.Option(help="Your own .sumocfg, or its folder.")] = None,
    town: Annotated[Path | None, typer.Option(help="OpenStreetMap extract; default: the centre of Helsinki.")] = None,
    hour: Annotated[float, typer.Option(min=0, max=23.5, help="Local time at which the town's day begins.")] = 8.0,
    minutes: Annotated[int, typer.Option(min=5, max=1440, help="How much of the town's day to drive.")] = 30,
    city: CityFolder = HERE,
) -> None:
    """Foresee what policies do to a town as its demand grows: the same days under each, with intervals."""
    from civium.show_whatif import run_whatif

    run_whatif(
        practice, policy, city, days=days, apart=apart, growth=growth, seeds=seeds, scenario=scenario, town=town,
        hour=hour, minutes=minutes,
    )  # fmt: skip


def handbook(
    out: Annotated[Path, typer.Argument(help="The folder for its four files.")] = Path("handbook"),
    city: CityFolder = HERE,
    start: Annotated[str | None, typer.Option("--from", help="First instant; default: seven days ago.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last instant; default: the city's now.")] = None,
    timezone: Annotated[str, typer.Option(help="Of its hours, such as Europe/Helsinki; default: UTC.")] = "",
) -> None:
    """Write the low-carbon traffic handbook from what roadside readers heard: HTML and PDF, English and Chinese."""
    from civium.client import connect
    from civium.show import run_handbook

    with connect(city) as client:
        run_handbook(client, out, start, end, timezone)
