"""PV expected against measured: the platform's own estimates and readings, beside the sandbox's truth on faults."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PlantRow:
    """One plant: mean expected and measured power [W] over the same intervals; the truth; what the practice said."""

    name: str
    peak: float  # [W]
    expected: float | None
    measured: float | None
    fault: str  # as only the sandbox knows it
    said: tuple[str, ...]

    @property
    def ratio(self) -> float | None:
        """Measured over expected [1]."""
        return self.measured / self.expected if self.expected and self.measured is not None else None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All plants, and by interval the sum of expected and measured power [W] of the plants that have both."""

    rows: tuple[PlantRow, ...]
    begin: tuple[datetime, ...]
    until: tuple[datetime, ...]
    expected: tuple[float, ...]
    measured: tuple[float, ...]

    @property
    def faulty(self) -> list[PlantRow]:
        return [row for row in self.rows if row.fault != "healthy"]

    @property
    def named(self) -> list[PlantRow]:
        return [row for row in self.rows if row.said]


def fleet(
    expected: Mapping[str, Any],
    measured: Mapping[str, Any],
    plants: Sequence[Mapping[str, Any]],
    notices: Sequence[Mapping[str, Any]],
) -> Fleet:
    """Join what ``/api/series`` gave of ``expected_power`` and ``ac_power`` with the sandbox's plants and notices.

    An estimate holds from its time until its end; the readings in between are averaged.
    """
    readings: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
    for thing, when, value in zip(measured["thing"], measured["time"], measured["value"], strict=True):
        readings[thing].append((datetime.fromisoformat(when), value))
    of_plant: dict[int, list[tuple[float, float]]] = defaultdict(list)
    of_interval: dict[tuple[datetime, datetime], list[tuple[float, float]]] = defaultdict(list)
    columns = (expected["thing"], expected["time"], expected["until"], expected["value"])
    for thing, when, end, due in zip(*columns, strict=True):
        begin = datetime.fromisoformat(when)
        until = datetime.fromisoformat(end) if end else begin
        got = [value for at, value in readings[thing] if begin <= at <= until]
        if got:
            pair = (due, sum(got) / len(got))
            of_plant[thing].append(pair)
            of_interval[(begin, until)].append(pair)
    said: dict[int, list[str]] = defaultdict(list)
    for notice in notices:
        if notice["about"] is not None:
            said[notice["about"]].append(notice["values"])
    truth = {plant["key"]: plant for plant in plants}
    rows = [
        _row(thing, truth.get(thing["key"], {}), of_plant[thing["id"]], said[thing["id"]])
        for thing in measured["things"]
    ]
    spans = sorted(of_interval)
    sums = [tuple(map(sum, zip(*of_interval[span], strict=True))) for span in spans]
    return Fleet(
        tuple(rows),
        tuple(begin for begin, _ in spans),
        tuple(until for _, until in spans),
        tuple(due for due, _ in sums),
        tuple(got for _, got in sums),
    )


def _row(
    thing: Mapping[str, Any], truth: Mapping[str, Any], pairs: Sequence[tuple[float, float]], said: Sequence[str]
) -> PlantRow:
    due = sum(pair[0] for pair in pairs) / len(pairs) if pairs else None
    got = sum(pair[1] for pair in pairs) / len(pairs) if pairs else None
    return PlantRow(
        thing["name"], truth.get("peak_power_w", float("nan")), due, got, truth.get("fault", "unknown"), tuple(said)
    )
