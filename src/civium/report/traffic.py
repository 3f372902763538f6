"""Traffic with and without control: the sandbox's own record of one run, and of the same cars under fixed time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_GONE = ("arrived", "departed", "teleports", "delay")  # counts since the run was watched


@dataclass(frozen=True, slots=True)
class Minutes:
    """One run by the minute: instants, and by name the value of each minute (counts: within it; speed: at its end)."""

    time: tuple[datetime, ...]
    value: dict[str, tuple[float, ...]]

    def total(self, name: str) -> float:
        """Sum of a count over the run."""
        return sum(self.value[name])

    @property
    def speed(self) -> float:
        """Mean of the cars' mean speed at the ends of the minutes [m/s]; NaN when none drove."""
        told = [v for v in self.value["mean_speed"] if v == v]
        return sum(told) / len(told) if told else float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same minutes twice: as the city drove them, and under fixed time."""

    ours: Minutes
    fixed: Minutes


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the summary; ``better`` None where neither is."""

    name: str
    unit: str
    ours: float
    fixed: float
    better: bool | None

    @property
    def change(self) -> float | None:
        """Ours against fixed time [1]; None where there is nothing to compare with."""
        return self.ours / self.fixed - 1 if self.fixed else None


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines; none where there is no file; a line cut short by a kill is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def compare(driven: Sequence[dict[str, Any]], fixed: Sequence[dict[str, Any]]) -> Comparison | None:
    """The minutes that both records hold, in order; None where there is none."""
    again = {(line["run"], line["second"]): line for line in fixed}
    both = [(line, again[key]) for line in driven if (key := (line["run"], line["second"])) in again]
    if not both:
        return None
    return Comparison(_minutes([ours for ours, _ in both]), _minutes([theirs for _, theirs in both]))


def _minutes(told: Sequence[dict[str, Any]]) -> Minutes:
    value: dict[str, list[float]] = {name: [] for name in (*_GONE, "mean_speed", "waiting")}
    before: dict[str, Any] = {}
    for line in told:
        first = line["run"] != before.get("run")
        for name in _GONE:
            value[name].append(line[name] - (0 if first else before[name]))
        value["mean_speed"].append(float("nan") if line["mean_speed"] is None else line["mean_speed"])
        value["waiting"].append(line["waiting"])
        before = line
    times = tuple(datetime.fromisoformat(line["time"]) for line in told)
    return Minutes(times, {name: tuple(values) for name, values in value.items()})


def summary(both: Comparison) -> list[Row]:
    """What the whole run came to, ours beside fixed time."""
    ours, fixed = both.ours, both.fixed
    rows = [("Total delay", "veh h", ours.total("delay") / 3600, fixed.total("delay") / 3600, True)]
    if ours.total("departed") and fixed.total("departed"):
        each = (m.total("delay") / m.total("departed") for m in (ours, fixed))
        rows.append(("Delay a car that set off", "s", next(each), next(each), True))
    rows += [
        ("Mean speed", "km/h", ours.speed * 3.6, fixed.speed * 3.6, False),
        ("Cars that arrived", "1", ours.total("arrived"), fixed.total("arrived"), False),
        ("Cars taken out because they stood (teleports)", "1", ours.total("teleports"), fixed.total("teleports"), True),
    ]
    return [
        Row(name, unit, a, b, None if a == b or a != a or b != b else (a < b) == less)
        for name, unit, a, b, less in rows
    ]
