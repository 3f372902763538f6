"""What the command line shows of alarms, maintenance, calibrations and configuration, with rich."""

import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from civium.core import InputRefused
from civium.show import console

_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


def show_alarms(told: dict[str, Any]) -> None:
    """Alarms, one a line."""
    if not told["alarms"]:
        console.print("no alarm")
        return
    table = Table("id", "severity", "state", "since", "alarm", "of", "who")
    for alarm in told["alarms"]:
        who = next((alarm[what]["who"] for what in ("cleared", "shelved", "acknowledged") if alarm[what]), "")
        size = f" ({alarm['streams']:,} streams)" if alarm["streams"] > 1 else ""
        colour = _COLOURS[alarm["severity"]]
        what = escape(f"{alarm['title']}: {alarm['said']}")
        table.add_row(
            str(alarm["id"]),
            f"[{colour}]{alarm['severity']}[/{colour}]",
            alarm["state"],
            alarm["raised"],
            what,
            escape(alarm["group"]["name"] + size),
            escape(who),
        )
    console.print(table)


def show_alarm(alarm: dict[str, Any]) -> None:
    """One alarm, with its readings and what became of it."""
    show_alarms({"alarms": [alarm]})
    if alarm["readings"]:
        table = Table("datastream", "thing", "time", "value")
        for one in alarm["readings"]:
            value = "" if one["value"] is None else f"{one['value']:g} {one['unit']}"
            table.add_row(escape(one["key"]), escape(one["thing_name"]), one["time"] or "never", value)
        console.print(table)
    for event in alarm["history"]:
        rest = ", ".join(f"{name} {word}" for name, word in event.items() if name not in ("at", "what") and word != "")
        console.print(f"{event['at']}  {event['what']}  {rest}", markup=False, highlight=False)


def show_maintenance(rows: list[dict[str, Any]]) -> None:
    """What is under maintenance."""
    if not rows:
        console.print("nothing is under maintenance")
        return
    table = Table("id", "what", "until", "who", "why")
    for row in rows:
        what = f"thing {row['thing']}" if row["thing"] else "an area"
        table.add_row(row["id"], what, row["until"], escape(row["who"]), escape(row["why"]))
    console.print(table)


def read_area(path: Path) -> dict[str, Any]:
    """The geometry of a GeoJSON file; raises InputRefused."""
    try:
        told: dict[str, Any] = json.loads(path.read_text())
        return dict(told.get("geometry") or told)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputRefused(f"{path} is no GeoJSON file: {error}") from None
