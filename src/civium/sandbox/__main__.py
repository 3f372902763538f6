"""Starts a city in a box: ``python -m civium.sandbox --osm EXTRACT --work FOLDER``."""

import asyncio
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from civium.core import CiviumError
from civium.sandbox.city import Sandbox, Setting

TOKEN = "CIVIUM_SANDBOX_TOKEN"  # noqa: S105 (the name of a variable)
_SAY_EVERY_S = 10.0  # where no one watches


class _Progress:
    """One line that changes on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._last = 0.0
        self._watched = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        if self._watched:
            sys.stderr.write(f"\r\x1b[K{text[:150]}")
            sys.stderr.flush()
        elif time.monotonic() - self._last >= _SAY_EVERY_S:
            self._last = time.monotonic()
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def end(self) -> None:
        if self._watched:
            sys.stderr.write("\n")


async def _run(setting: Setting, progress: _Progress) -> dict[str, object]:
    sandbox = Sandbox(setting, progress)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, sandbox.stop)
    return await sandbox.run()


def main(
    osm: Annotated[Path, typer.Option(help="OpenStreetMap extract: .osm, .osm.gz or .osm.pbf.")],
    work: Annotated[Path, typer.Option(help="Folder for the street net, the state of time and the record.")],
    base: Annotated[str, typer.Option(help="Where the platform listens.")] = "http://127.0.0.1:8765",
    mqtt: Annotated[str, typer.Option(help="Where its MQTT door listens, HOST:PORT.")] = "127.0.0.1:1883",
    speed: Annotated[float, typer.Option(min=1, max=60, help="Simulated seconds a second.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Of demand and weather.")] = 1,
    # typer reads the default as it reads what is typed
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = "2026-06-10",  # type: ignore[assignment]  # typer reads the text
    hour: Annotated[float, typer.Option(min=0, max=24, help="Local time at which a new town begins.")] = 8.0,
    wall: Annotated[float | None, typer.Option("--for", help="Wall time in seconds after which it ends.")] = None,
    control: Annotated[bool, typer.Option(help="Whether the signals follow the platform's wishes.")] = True,
    token: Annotated[
        str,
        typer.Option(envvar=TOKEN, help="Of an operator for ambulances and Bluetooth readers: they take part."),
    ] = "",
    readers_token: Annotated[
        str, typer.Option(help="Of the source 'bluetooth'; none: no readers.", envvar="CIVIUM_BLUETOOTH_TOKEN")
    ] = "",
) -> None:
    """Simulate the devices of a town and connect them to a platform."""
    host, _, port = mqtt.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter(f"'{mqtt}' is not HOST:PORT", param_hint="--mqtt")
    setting = Setting(base, (host, int(port)), osm, work, speed, seed, day.date(), hour, wall, control, token,
                      readers_token)  # fmt: skip
    progress = _Progress()
    try:
        summary = asyncio.run(_run(setting, progress))
    except CiviumError as error:
        progress.end()
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    progress.end()
    typer.echo(", ".join(f"{key} {value}" for key, value in summary.items() if value not in ("", 0)))


if __name__ == "__main__":
    typer.run(main)
