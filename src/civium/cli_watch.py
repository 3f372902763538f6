"""The commands of whoever watches a city: alarms, maintenance, calibrations and its configuration as files.

Imports are inside the commands, so that ``--help`` is quick.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

CityFolder = Annotated[Path, typer.Option("--city", help="The city's state folder.", envvar="CIVIUM_CITY")]
HERE = Path("city")
Because = Annotated[str, typer.Option("--why", help="Goes on the record.")]
Who = Annotated[str, typer.Option("--who", help="Goes on the record.", envvar="USER")]
Hours = Annotated[float, typer.Option("--hours", min=0.01, max=8760, help="How long from now [h].")]

alarms = typer.Typer(help="Alarms: show them, acknowledge, shelve, clear.")
maintenance = typer.Typer(help="Things and areas that are being worked on.")


@alarms.callback(invoke_without_command=True)
def alarms_list(
    context: typer.Context,
    city: CityFolder = HERE,
    history: Annotated[bool, typer.Option("--history", help="Those that are over instead.")] = False,
) -> None:
    """Show the alarms that are not over, the worst first."""
    if context.invoked_subcommand is None:
        from civium.client import connect
        from civium.show_watch import show_alarms

        with connect(city) as client:
            show_alarms(client.get("/api/alarms", state="history" if history else "open"))


@alarms.command("show")
def alarms_show(alarm: int, city: CityFolder = HERE) -> None:
    """Tell all about one alarm: what it is of, and what became of it."""
    from civium.client import connect
    from civium.show_watch import show_alarm

    with connect(city) as client:
        show_alarm(client.get(f"/api/alarms/{alarm}"))


@alarms.command("ack")
def alarms_ack(alarm: int, city: CityFolder = HERE, reason: Because = "", who: Who = "operator") -> None:
    """Acknowledge: somebody acts, and nobody is told any more."""
    _act(city, alarm, "ack", who=who, why=reason)


@alarms.command("shelve")
def alarms_shelve(
    alarm: int, reason: Because, city: CityFolder = HERE, hours: Hours = 8.0, who: Who = "operator"
) -> None:
    """Put an alarm, and those of the same rule and group, aside for a while."""
    _act(city, alarm, "shelve", who=who, why=reason, hours=hours)


@alarms.command("unshelve")
def alarms_unshelve(alarm: int, city: CityFolder = HERE, reason: Because = "", who: Who = "operator") -> None:
    """Take an alarm from the shelf before its time."""
    _act(city, alarm, "unshelve", who=who, why=reason)


@alarms.command("clear")
def alarms_clear(alarm: int, city: CityFolder = HERE, reason: Because = "", who: Who = "operator") -> None:
    """End a latched alarm whose condition is over."""
    _act(city, alarm, "clear", who=who, why=reason)


def _act(city: Path, alarm: int, what: str, *, who: str, why: str, hours: float | None = None) -> None:
    from civium.client import connect

    with connect(city) as client:
        body: dict[str, Any] = {"who": who, "why": why}
        if hours is not None:
            now = datetime.fromisoformat(client.get("/api/status")["now"])
            body["until"] = (now + timedelta(hours=hours)).isoformat()
        told = client.post(f"/api/alarms/{alarm}/{what}", **body)
    typer.echo(f"alarm {alarm}: {told['state']}")


def calibrate(
    datastream: Annotated[int, typer.Argument(help="Id of the Datastream.")],
    city: CityFolder = HERE,
    gain: Annotated[float, typer.Option(help="What a raw value is multiplied with.")] = 1.0,
    offset: Annotated[float, typer.Option(help="What is added then, in the unit of the stream.")] = 0.0,
    since: Annotated[str, typer.Option("--from", help="A whole quarter of an hour, e.g. 2026-06-01T08:00Z.")] = "",
    reason: Because = "",
    who: Who = "operator",
) -> None:
    """Correct what a stream reads from an instant on; the raw readings stay as they came."""
    from civium.client import connect

    with connect(city) as client:
        when = since or _quarter(client.get("/api/status")["now"])
        body: dict[str, Any] = {
            "datastream": datastream,
            "gain": gain,
            "offset": offset,
            "from": when,
            "who": who,
            "why": reason,
        }
        client.post("/api/calibrations", **body)
    typer.echo(f"Datastream {datastream}: raw * {gain:g} + {offset:g} from {when} on")


def _quarter(now: str) -> str:
    """The quarter of an hour in which an instant lies."""
    when = datetime.fromisoformat(now)
    return when.replace(minute=when.minute // 15 * 15, second=0, microsecond=0).isoformat()


config = typer.Typer(help="The configuration of a city as files.", no_args_is_help=True)


@config.command("export")
def config_export(folder: Annotated[Path, typer.Argument(help="Where the files go.")], city: CityFolder = HERE) -> None:
    """Write what people have ordered into files, for version control: mandates, rules, on-call lists, calibrations."""
    from civium.client import connect
    from civium.configuration import export

    with connect(city) as client:
        for path in export(client, city, folder):
            typer.echo(path)


@config.command("apply")
def config_apply(
    folder: Annotated[Path, typer.Argument(help="Where the files are.")],
    city: CityFolder = HERE,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only the differences are shown.")] = False,
    reason: Because = "",
    who: Who = "operator",
) -> None:
    """Bring a city to what files say; without --yes only say what would change, with exit code 1 if anything."""
    from civium.client import connect
    from civium.configuration import carry_out, differences

    with connect(city) as client:
        changes = differences(client, city, folder)
        for change in changes:
            typer.echo(change.said)
        if not changes:
            typer.echo("the city is as the files say")
        elif yes:
            carry_out(client, changes, who, reason)
            typer.echo(f"{len(changes)} changes are made")
        else:
            raise typer.Exit(1)


@maintenance.callback(invoke_without_command=True)
def maintenance_list(context: typer.Context, city: CityFolder = HERE) -> None:
    """Show what is under maintenance now."""
    if context.invoked_subcommand is None:
        from civium.client import connect
        from civium.show_watch import show_maintenance

        with connect(city) as client:
            show_maintenance(client.get("/api/maintenance")["maintenance"])


@maintenance.command("begin")
def maintenance_begin(
    reason: Because,
    city: CityFolder = HERE,
    thing: Annotated[int, typer.Option(min=0, help="Id of the thing.")] = 0,
    area: Annotated[Path | None, typer.Option(help="A file with a GeoJSON Polygon.")] = None,
    hours: Hours = 8.0,
    who: Who = "operator",
) -> None:
    """Put a thing or an area under maintenance: its alarms are silent, its commands refused."""
    from civium.client import connect
    from civium.show_watch import read_area

    body: dict[str, Any] = {"who": who, "why": reason}
    if thing:
        body["thing"] = thing
    if area is not None:
        body["area"] = read_area(area)
    with connect(city) as client:
        now = datetime.fromisoformat(client.get("/api/status")["now"])
        until = body["until"] = (now + timedelta(hours=hours)).astimezone(UTC).isoformat()
        told = client.post("/api/maintenance", **body)
    typer.echo(f"maintenance {told['id']} until {until}")


@maintenance.command("end")
def maintenance_end(key: str, city: CityFolder = HERE, reason: Because = "", who: Who = "operator") -> None:
    """End maintenance before its time."""
    from civium.client import connect

    with connect(city) as client:
        client.post(f"/api/maintenance/{key}/end", who=who, why=reason)
    typer.echo(f"maintenance {key}: over")
