"""The sandbox's own record in its work folder: how far time has come, its runs, and the truth by the minute.

``instant.json``: the last instant that was told; ``runs.jsonl``: one line a start; ``traffic.jsonl``: one line a
simulated minute; ``plants.json``: the plants with the faults that only the sandbox knows.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from civium.core import to_datetime
from civium.sandbox.sun import Plant, power
from civium.sandbox.town import Town
from civium.sandbox.traffic import Tally


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the sandbox: enough to drive the same cars again."""

    number: int
    extract: str
    seed: int
    day: str  # ISO date
    second: int  # since that day's midnight at which it began
    control: bool
    ambulances: bool = False


class Record:
    """The work folder of one sandbox."""

    def __init__(self, work: Path) -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)

    def instant(self) -> int | None:
        """The last instant [us] that was told, if any."""
        try:
            return int(json.loads((self.work / "instant.json").read_text())["instant"])
        except FileNotFoundError:
            return None

    def keep_instant(self, instant: int) -> None:
        """Written before the platform is told, so that time never goes back, wherever the sandbox is killed."""
        new = self.work / "instant.new"
        new.write_text(json.dumps({"instant": instant, "time": to_datetime(instant).isoformat()}))
        new.replace(self.work / "instant.json")

    def runs(self) -> list[Run]:
        """All starts so far."""
        return [Run(**line) for line in self.lines("runs.jsonl")]

    def begin(self, extract: Path, seed: int, day: str, second: int, control: bool, ambulances: bool = False) -> Run:
        """Notes a new start."""
        run = Run(len(self.runs()), str(extract.resolve()), seed, day, second, control, ambulances)
        self.append("runs.jsonl", asdict(run))
        return run

    def plants(self, plants: Sequence[Plant]) -> None:
        """Notes the truth about the plants."""
        (self.work / "plants.json").write_text(json.dumps([asdict(plant) for plant in plants], indent=1))

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Adds a line to a file of JSON lines."""
        with (self.work / name).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file of JSON lines; a line cut short by a kill is left out."""
        found = []
        try:
            for line in (self.work / name).read_text(encoding="utf-8").splitlines():
                try:
                    found.append(json.loads(line))
                except json.JSONDecodeError:
                    continue
        except FileNotFoundError:
            return []
        return found


def minute(run: int, town: Town, tally: Tally) -> dict[str, Any]:
    """One line of truth: the streets since the run was watched; the plants' power [W] now, and without faults."""
    instant = town.midnight + tally.second * 1_000_000
    speed = round(tally.mean_speed, 3) if tally.running else None
    return {
        "run": run,
        "time": to_datetime(instant).isoformat(),
        **asdict(tally),
        "mean_speed": speed,
        "delay": round(tally.delay, 1),
        "pv_power_w": round(float(power(town.plants, town.weather, instant).sum())),
        "pv_healthy_w": round(float(power(town.plants, town.weather, instant, healthy=True).sum())),
    }
