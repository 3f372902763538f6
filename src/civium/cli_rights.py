"""The part of the ``civium`` command that says who may come in."""

from pathlib import Path
from typing import Annotated

import typer

CityFolder = Annotated[Path, typer.Option("--city", help="The city's state folder.", envvar="CIVIUM_CITY")]
Because = Annotated[str, typer.Option("--why", help="Goes on the record.")]
HERE = Path("city")
tokens = typer.Typer(help="Tokens: make one, list them, revoke one.", no_args_is_help=True)


@tokens.command("new")
def token_new(
    name: Annotated[str, typer.Argument(help="What it is called on the record, such as 'weather station 7'.")],
    role: Annotated[str, typer.Option(help="device, operator, department or administrator.")] = "device",
    kind: Annotated[list[str] | None, typer.Option(help="Streams of things of this kind; '*' is any.")] = None,
    thing: Annotated[list[int] | None, typer.Option(help="Streams of this thing, by id.")] = None,
    stream: Annotated[list[int] | None, typer.Option(help="This Datastream, by id.")] = None,
    practice: Annotated[list[str] | None, typer.Option(help="This practice; '*' is any.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second that it may make; 0: as the city says.")] = 0.0,
    max_body_mb: Annotated[float, typer.Option(min=0, help="The longest body that it may send; 0: likewise.")] = 0.0,
    days: Annotated[float | None, typer.Option(help="It ends after so many days; default: never.")] = None,
    reason: Because = "",
    city: CityFolder = HERE,
) -> None:
    """Make a token and print it, once; --kind, --thing, --stream and --practice may be repeated."""
    from civium.client import connect

    scopes = {"kinds": kind, "things": thing, "datastreams": stream, "practices": practice}
    wished = {what: some for what, some in scopes.items() if some}
    limits = {"requests_per_s": rate, "max_body_mb": max_body_mb}
    with connect(city) as client:
        made = client.post("/api/tokens", None, name=name, role=role, scopes=wished, days=days, why=reason, **limits)
    typer.echo(made["token"])


@tokens.command("list")
def token_list(city: CityFolder = HERE) -> None:
    """List the tokens: what each is for and when it ends; what they say is kept nowhere."""
    from civium.client import connect
    from civium.show_rights import show_tokens

    with connect(city) as client:
        show_tokens(client.get("/api/tokens"))


@tokens.command("revoke")
def token_revoke(
    token: Annotated[int, typer.Argument(help="Its id, as the list says it.")],
    reason: Because = "",
    city: CityFolder = HERE,
) -> None:
    """Revoke a token: from now on nobody comes in with it."""
    from civium.client import connect

    with connect(city) as client:
        revoked = client.delete(f"/api/tokens/{token}", why=reason)
    typer.echo(f"'{revoked['name']}' is revoked")


def audit(
    limit: Annotated[int, typer.Option(min=1, max=200, help="So many changes.")] = 20,
    before: Annotated[int | None, typer.Option(help="Those before this one, by its number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    city: CityFolder = HERE,
) -> None:
    """Say who changed what, when and why, and what stood there before; the newest first."""
    import json

    from civium.client import connect
    from civium.show_rights import show_audit

    with connect(city) as client:
        told = client.get("/api/audit", limit=limit, **({"before": before} if before else {}))
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_audit(told)
