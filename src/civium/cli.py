"""The ``civium`` command. Every command says what it does, and a user's mistake never ends in a stack trace.

Imports are inside the commands, so that ``--help`` is quick.
"""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from civium import cli_watch, cli_worth
from civium.cli_rights import audit, tokens

app = typer.Typer(
    name="civium",
    help="Civium, an open city operating system: sense, twin, decide, guard, record.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_watch.alarms, name="alarms")
app.add_typer(cli_watch.maintenance, name="maintenance")
app.add_typer(cli_watch.config, name="config")
app.command("calibrate")(cli_watch.calibrate)
CityFolder = Annotated[Path, typer.Option("--city", help="The city's state folder.", envvar="CIVIUM_CITY")]
HERE = Path("city")


def _version(asked: bool) -> None:
    if asked:
        from civium import __version__

        typer.echo(f"civium {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which this is.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    city: CityFolder = HERE,
    idle: Annotated[bool, typer.Option("--idle", help="No clock and any free port: for one command only.")] = False,
    role: Annotated[
        list[str] | None,
        typer.Option(help="door, writer, turn or web; may be repeated. Default: all; see docs/cluster.md"),
    ] = None,
) -> None:
    """Run a city until Ctrl-C, or one process of a city that is spread over several."""
    from civium.core.extras import arrow_without_pandas

    arrow_without_pandas()  # before anything makes an array
    gc.disable()  # until all is imported, which makes no garbage; it would be looked for in a fifth of the time
    from civium.city_folder import ROLES
    from civium.core import InputRefused
    from civium.serve import serve

    if unknown := set(role or ()) - set(ROLES):
        raise InputRefused(f"'{unknown.pop()}' is no role; use {', '.join(ROLES)}")
    roles = frozenset(role or ROLES)
    serve(city, turning=not idle, port=0 if idle else None, roles=roles, say=None if idle else typer.echo)


@app.command()
def edge(folder: Annotated[Path, typer.Argument(help="The edge's folder, with its civium.toml.")]) -> None:
    """Run an edge: a server for the devices of a place, which keeps what they send while the centre is out of reach."""
    from civium.edge import run_edge

    run_edge(folder, typer.echo)


@app.command()
def status(city: CityFolder = HERE) -> None:
    """Say how the city is."""
    from civium.client import connect
    from civium.show import show_status

    with connect(city) as client:
        show_status(client.get("/api/status"), client.get("/api/practices"))


@app.command()
def register(
    file: Annotated[Path, typer.Argument(help="Things with their streams: CSV, GeoJSON or JSON Lines.")],
    city: CityFolder = HERE,
    kind: Annotated[str, typer.Option(help="The kind of things that name none.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be registered.")] = False,
) -> None:
    """Register things and streams in bulk from a file; see docs/files.md."""
    from civium.from_files import register_file

    raise typer.Exit(register_file(file, city, kind=kind, dry_run=dry_run))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Observations: CSV or Parquet.")],
    city: CityFolder = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; store nothing.")] = False,
    on_error: Annotated[
        str, typer.Option(help="'refuse' the file for one bad row, or 'keep' the good rows.")
    ] = "refuse",
    unit: Annotated[str, typer.Option(help="Unit of every value; default: that of its stream.")] = "",
    timezone: Annotated[str, typer.Option(help="Of times that name none, such as Europe/Helsinki.")] = "",
    epoch: Annotated[str, typer.Option(help="Times are numbers: s, ms, us or ns since 1970 in UTC.")] = "",
    wide: Annotated[bool, typer.Option("--wide", help="A column for each stream, named by its key.")] = False,
    columns: Annotated[str, typer.Option(help="Which columns to read: time=Zeit,value=Wert,key=Sensor.")] = "",
) -> None:
    """Import observations from a file; see docs/files.md."""
    from civium.from_files import import_file
    from civium.sources.import_cells import TimeReading
    from civium.sources.import_files import Reading, read_columns

    reading = Reading(TimeReading(timezone, epoch), read_columns(columns), unit, wide)
    raise typer.Exit(import_file(file, city, reading, on_error=on_error, dry_run=dry_run))


@app.command()
def backup(
    target: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix; each city needs its own.")],
    city: CityFolder = HERE,
    keep: Annotated[int, typer.Option(min=0, help="Then remove all but so many newest backups; 0 keeps all.")] = 0,
) -> None:
    """Back up a city, while it runs or not."""
    from civium.show_care import run_backup

    run_backup(city, target, keep)


@app.command()
def restore(
    source: Annotated[str, typer.Argument(help="Where the backups are: a folder, or s3://bucket/prefix.")],
    city: CityFolder = HERE,
    name: Annotated[str, typer.Option("--backup", help="Which backup; default: the newest.")] = "",
) -> None:
    """Put a backup into a new city folder, after every file was proved whole."""
    from civium.show_care import run_restore

    run_restore(city, source, name)


@app.command()
def upgrade(city: CityFolder = HERE) -> None:
    """Bring a city that an older release left up to this one; its tables are copied first."""
    from civium.show_care import run_upgrade

    run_upgrade(city)


@app.command()
def letters(
    city: CityFolder = HERE,
    retry: Annotated[bool, typer.Option("--retry", help="Try them again: what is accepted now is stored.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Forget them for good.")] = False,
    topic: Annotated[str, typer.Option(help="Only those whose topic holds this text.")] = "",
) -> None:
    """Show the messages that could not be taken in, try them again after a fix, or drop them."""
    from civium.show_care import run_letters

    raise typer.Exit(run_letters(city, topic, retry=retry, drop=drop))


@app.command()
def doctor(
    city: CityFolder = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: what, state, said, do.")] = False,
) -> None:
    """Look at this computer and the city, and say what to do about what is wrong. Exit code 1: something is bad."""
    from civium.doctor import examine

    raise typer.Exit(examine(city, as_json=as_json))


@app.command()
def why(decision: Annotated[str, typer.Argument(help="Id of the decision.")], city: CityFolder = HERE) -> None:
    """Tell the story of a decision in plain words."""
    from civium.client import connect
    from civium.show import show_words

    with connect(city) as client:
        show_words(client.get(f"/api/decisions/{decision}")["words"])


@app.command()
def replay(
    city: CityFolder = HERE,
    start: Annotated[str | None, typer.Option("--from", help="First instant, e.g. 2026-06-01T08:00Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last instant.")] = None,
    practice: Annotated[str, typer.Option(help="Only this practice.")] = "",
) -> None:
    """Recompute decisions in this fresh process and prove them identical.

    Exit code 0: all identical. 1: a decision differs, or the ledger was altered. 2: some could not be replayed.
    """
    from civium.client import connect
    from civium.show import run_replay

    with connect(city) as client:
        raise typer.Exit(run_replay(client, start, end, practice))


@app.command()
def demo(
    city: CityFolder = HERE,
    town: Annotated[Path | None, typer.Option(help="OpenStreetMap extract; default: the centre of Helsinki.")] = None,
    speed: Annotated[float, typer.Option(min=1, max=60, help="Simulated seconds a second.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Of demand and weather.")] = 1,
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="End by itself after so many seconds.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with maps and plots at the end.")] = None,
    control: Annotated[
        bool, typer.Option(help="Whether signal control and the corridor may act from the start.")
    ] = True,
) -> None:
    """Bring up a whole city in a box: simulated devices, real doors, practices."""
    from civium.demo import run_demo

    run_demo(city, town=town, speed=speed, seed=seed, seconds=seconds, report=report, control=control)


twin = typer.Typer(help="The city model.", no_args_is_help=True)
app.add_typer(twin, name="twin")


@twin.command("build")
def twin_build(
    extract: Annotated[Path, typer.Argument(help="OpenStreetMap extract: .osm, .osm.gz or .osm.pbf.")],
    city: CityFolder = HERE,
    gtfs: Annotated[list[Path] | None, typer.Option(help="Timetable (GTFS zip); may be repeated.")] = None,
    elevation: Annotated[list[Path] | None, typer.Option(help="GeoTIFF or SRTM tile; may be repeated.")] = None,
    cityjson: Annotated[Path | None, typer.Option(help="3D buildings that replace the mapped ones.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the model too: a .png or .svg file.")] = None,
) -> None:
    """Build the city model of a town from its map."""
    from civium.show import build_with_progress

    build_with_progress(extract, city / "twin", gtfs or [], elevation or [], cityjson, picture)


app.add_typer(tokens, name="token")
app.command()(audit)

practices = typer.Typer(help="The decision modules: list them, change mandates, parameters, the switch.")
app.add_typer(practices, name="practices")


@practices.callback(invoke_without_command=True)
def practices_list(context: typer.Context, city: CityFolder = HERE) -> None:
    """List the practices of a city with their mandates."""
    if context.invoked_subcommand is None:
        from civium.client import connect
        from civium.show import show_practices

        with connect(city) as client:
            show_practices(client.get("/api/practices"))


Because = Annotated[str, typer.Option("--why", help="Goes on the record.")]
Who = Annotated[str, typer.Option("--who", help="For whom: goes on the record.", envvar="USER")]


@practices.command("mandate")
def practices_mandate(
    practice: str,
    mandate: Annotated[str, typer.Argument(help="advise, approve or act")],
    city: CityFolder = HERE,
    reason: Because = "",
    who: Who = "",
) -> None:
    """Change how far a practice may go."""
    from civium.client import connect
    from civium.core import InputRefused, Mandate

    if mandate not in list(Mandate):
        raise InputRefused(f"'{mandate}' is no mandate; use advise, approve or act")
    with connect(city) as client:
        client.post(f"/api/practices/{practice}/mandate", mandate=mandate, why=reason, who=who)
    typer.echo(f"{practice}: {mandate}")


@practices.command("params")
def practices_params(
    practice: str,
    params: Annotated[str, typer.Argument(help="JSON of what differs from the defaults.")],
    city: CityFolder = HERE,
    reason: Because = "",
    who: Who = "",
) -> None:
    """Change a practice's parameters."""
    import json

    from civium.client import connect
    from civium.core import InputRefused

    try:
        given = json.loads(params)
    except ValueError as error:
        raise InputRefused(f"the parameters are no JSON: {error}") from None
    with connect(city) as client:
        client.post(f"/api/practices/{practice}/parameters", params=given, why=reason, who=who)
    typer.echo(f"{practice}: {params}")


@practices.command("switch")
def practices_switch(
    to: Annotated[str, typer.Argument(help="advise (the whole city only advises) or mandates (they count again)")],
    city: CityFolder = HERE,
    reason: Because = "",
    who: Who = "",
) -> None:
    """The city-wide switch back to advise."""
    from civium.client import connect
    from civium.core import InputRefused

    if to not in ("advise", "mandates"):
        raise InputRefused(f"'{to}': use advise or mandates")
    with connect(city) as client:
        client.post("/api/switch", advise_only=to == "advise", why=reason, who=who)
    typer.echo("the whole city only advises" if to == "advise" else "the mandates count")


@practices.command("answer")
def practices_answer(
    decision: str,
    number: int,
    verdict: Annotated[str, typer.Argument(help="approve or refuse")],
    city: CityFolder = HERE,
    reason: Because = "",
    who: Who = "",
) -> None:
    """Approve or refuse a command that waits for a person."""
    from civium.client import connect

    with connect(city) as client:
        client.post(f"/api/decisions/{decision}/commands/{number}/{verdict}", why=reason, who=who)
    typer.echo(f"{decision}/{number}: {verdict}")


app.command()(cli_worth.bench)
app.command()(cli_worth.backtest)
app.command()(cli_worth.whatif)
app.command()(cli_worth.handbook)


@app.command()
def new(
    what: Annotated[str, typer.Argument(help="practice or source")],
    name: Annotated[str, typer.Argument(help="Its name, in snake_case.")],
    folder: Annotated[Path, typer.Option(help="Where to put it.")] = Path(),
) -> None:
    """Scaffold a new practice, or a new kind of source, that passes the checks."""
    from civium.check.scaffold import new_practice, new_source
    from civium.core import InputRefused

    if what not in ("practice", "source"):
        raise InputRefused(f"'{what}' cannot be made; use: civium new practice NAME, or civium new source NAME")
    for path in (new_practice if what == "practice" else new_source)(name, folder):
        typer.echo(path)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Practices; default: all, and the repository.")] = None,
) -> None:
    """Check the contracts: practices, layers, documentation."""
    from civium.show import run_check

    raise typer.Exit(run_check(names or None))


def main() -> None:
    """Entry point of the ``civium`` command."""
    try:
        app()
    except Exception as error:
        from civium.core import CiviumError

        if not isinstance(error, CiviumError):
            raise
        typer.secho(f"civium: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
