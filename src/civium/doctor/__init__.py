"""``civium doctor``: looks at the computer, a city's folder and the city, and says what to do about what is wrong."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from civium.client import connect, running_url
from civium.core import CiviumError
from civium.doctor import city, computer
from civium.doctor import folder as place
from civium.doctor.finding import Finding, State
from civium.engines.settings import load

__all__ = ["Finding", "State", "examine", "findings"]


def examine(folder: Path, *, as_json: bool = False) -> int:
    """Print all findings; returns the exit code: 1 when anything is bad."""
    console = Console(soft_wrap=True, highlight=False)
    colours = {State.GOOD: "green", State.LOOK: "yellow", State.BAD: "red"}
    found = []
    for finding in findings(folder):
        found.append(finding)
        if not as_json:
            console.print(f"[{colours[finding.state]}]{finding.state:4}[/]  {finding.what}: {escape(finding.said)}")
            if finding.do:
                console.print(f"      -> {escape(finding.do)}")
    if as_json:
        console.print(json.dumps([asdict(finding) for finding in found], indent=1), markup=False)
    return int(any(finding.state is State.BAD for finding in found))


def findings(folder: Path) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield from computer.findings()
    yield from place.room(folder)
    try:
        settings = load(folder)
    except CiviumError as error:
        yield Finding("settings", State.BAD, str(error), f"correct {folder / 'civium.toml'} or the environment")
        return
    yield Finding("settings", State.GOOD, f"city '{settings.name}' in {folder}")
    url = running_url(folder)
    yield from place.ports(settings, running=url is not None)
    if url is None and not (folder / "catalog.db").exists():
        yield Finding("city", State.LOOK, f"there is none in {folder}", f"civium up --city {folder}, or civium demo")
        return
    yield from place.rights(folder)
    yield from place.tables(settings, folder)
    yield place.leftovers(folder)
    yield place.log_said(folder)
    yield place.last_backup(folder)
    said = f"it runs at {url}" if url else "it does not run; it was started for this examination, without a clock"
    yield Finding("city", State.GOOD, said)
    try:
        with connect(folder) as client:
            yield from city.findings(client, running=url is not None)
    except (CiviumError, httpx.HTTPError) as error:
        yield Finding("city", State.BAD, str(error), "what it says above is what stands in the way of its start")
