"""The page that a demo leaves behind: what ran, what control was worth, what was decided, and whether it can be proved.

One HTML file that needs nothing else. What has no data is said to have none.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from rich.console import Console
from rich.progress import Progress

from civium import __version__
from civium.client import CityClient
from civium.core import CiviumError, InputRefused, to_datetime
from civium.core.extras import require
from civium.report import plots, record, solar, traffic
from civium.web.dots import LOOKS
from civium.web.ground import Ground, frame_around, ground_of

_MOST_ROWS = 200_000  # of one series


class ReportFailed(CiviumError):
    """A step of the report could not be made; the message says which and why."""


def write_report(client: CityClient, city: Path, out: Path, *, speed: float | None = None) -> None:
    """Write the page about a city whose sandbox has stopped; ``speed`` is what the sandbox was asked for.

    Drives the same traffic again under fixed time first. Raises ReportFailed when that cannot be done, InputRefused
    when ``out`` cannot be written.
    """
    require("matplotlib", "sandbox")
    if not out.resolve().parent.is_dir():
        raise InputRefused(f"there is no folder {out.resolve().parent} for the report")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("report", total=1.0)

        def step(what: str) -> Callable[[float], None]:
            progress.update(task, description=what, completed=0.0)
            return lambda share: progress.update(task, completed=share)

        step("the same traffic under fixed time")
        _drive_again(city / "sandbox")
        step("reading the record")
        entries, broken = record.read_ledger(client)
        step("the city and its plants")
        facts = _facts(client, city, speed)
        proof = record.prove(entries, broken, client, step("replaying a sample of decisions"))
        step("drawing")
        page = _render(facts, record.deeds(entries), proof)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputRefused(f"the report cannot be written to {out}: {error.strerror}") from error


def _drive_again(work: Path) -> None:
    """Let the sandbox drive the same cars without control; in a process of its own, since it holds a simulator."""
    if not (work / "traffic.jsonl").is_file():
        return
    command = [sys.executable, "-m", "civium.sandbox.compare", "--work", str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this interpreter)
    if done.returncode:
        raise ReportFailed(f"the traffic could not be driven again: {done.stderr.strip()[-500:]}")


def _facts(client: CityClient, city: Path, speed: float | None) -> dict[str, Any]:
    """All that the page shows beside the record."""
    work = city / "sandbox"
    driven, runs = traffic.lines(work / "traffic.jsonl"), traffic.lines(work / "runs.jsonl")
    plants = json.loads((work / "plants.json").read_text()) if (work / "plants.json").is_file() else []
    status = client.get("/api/status")
    notices = client.get("/api/notices", limit=1000)
    end = datetime.fromisoformat(status["now"])
    span = {"from": (end - timedelta(days=7)).isoformat(), "to": end.isoformat(), "limit": _MOST_ROWS}
    due = client.get("/api/series", kind="pv_plant", property="expected_power", **span)
    got = client.get("/api/series", kind="pv_plant", property="ac_power", **span)
    places = {
        look.kind: client.get("/api/latest", kind=look.kind, property=look.property)["features"] for look in LOOKS
    }
    ground = ground_of(city / "twin")
    points = [tuple(f["geometry"]["coordinates"]) for features in places.values() for f in features]
    return {
        "status": status,
        "begun": end > to_datetime(0),
        "runs": runs,
        "extract": Path(runs[-1]["extract"]).name if runs else "",
        "speed": speed,
        "driven": driven,
        "both": traffic.compare(driven, traffic.lines(work / "fixed_time.jsonl")),
        "fleet": solar.fleet(due, got, plants, [n for n in notices if n["practice"] == "pv_fleet"]),
        "more": due["more"] or got["more"],
        "practices": client.get("/api/practices"),
        "notices": notices,
        "incidents": client.get("/api/incidents", limit=200),
        "ground": ground,
        "frame": ground.frame if ground else frame_around(points),
        "places": [(look, places[look.kind]) for look in LOOKS if places[look.kind]],
    }


def _render(facts: dict[str, Any], deeds: dict[str, record.Deeds], proof: record.Proof) -> str:
    both, fleet, driven = facts["both"], facts["fleet"], facts["driven"]
    times = {name: done.times["delay_ms"] for name, done in deeds.items() if done.times["delay_ms"]}
    pictures = {
        "map": _data_url(facts["ground"]) if facts["ground"] else "",
        "traffic": plots.traffic(both) if both and len(both.ours.time) > 1 else "",
        "solar_total": plots.solar_total(fleet, driven) if driven and fleet.rows else "",
        "solar_plants": plots.solar_plants(fleet) if any(row.ratio is not None for row in fleet.rows) else "",
        "latencies": plots.latencies(times) if times else "",
    }
    return _TEMPLATES.get_template("report.html").render(
        **facts,
        deeds=deeds,
        proof=proof,
        pictures=pictures,
        summary=traffic.summary(both) if both else [],
        controlled=any(done.fates["confirmed"] for done in deeds.values()),
        percentiles=record.percentiles,
        PERCENTILES=record.PERCENTILES,
        TIMES=record.TIMES,
        FATES=record.FATES,
        version=__version__,
        written=datetime.now(UTC),
    )


def _data_url(ground: Ground) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(ground.svg).decode()


def _instant(value: int | str) -> str:
    when = to_datetime(value) if isinstance(value, int) else datetime.fromisoformat(value)
    return f"{when:%Y-%m-%d %H:%M:%S}"


_TEMPLATES = Environment(
    loader=PackageLoader("civium.report", ""),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"instant": _instant, "number": lambda v: f"{v:,}".replace(",", "\u202f")}
