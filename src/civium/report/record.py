"""What the ledger says about a run: decisions, what became of commands, times taken, and the proof by replay."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from civium.client import CityClient
from civium.core import MICROSECONDS
from civium.ledger.record import LedgerBroken
from civium.ledger.replay import check_chain, replay
from civium.turn import code_of, decide_on

SAMPLE = 40  # decisions that are replayed
PERCENTILES = (50, 95, 99)
FATES = ("admitted", "sent", "confirmed", "refused", "advised", "pending", "failed", "overridden", "released", "lapsed")
TIMES = {"view_ms": "to build the View", "decide_ms": "to decide", "delay_ms": "from tick to the record"}


@dataclass(slots=True)
class Deeds:
    """What one practice did: ``fates[what]`` counts its commands to which that ever happened."""

    decisions: int = 0
    commands: int = 0
    estimates: int = 0
    notices: int = 0
    mandates: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    why_refused: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # [ms]
    confirmed_after: list[float] = field(default_factory=list)  # seconds of the city's clock [s]


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the chain holds, and what replay said of a sample of decisions."""

    entries: int
    broken: str
    decisions: int
    verdicts: Counter[str]
    others: tuple[str, ...]  # why some were not identical

    @property
    def replayed(self) -> int:
        return self.verdicts.total()


def read_ledger(client: CityClient) -> tuple[list[dict[str, Any]], str]:
    """Every entry up to the first break of the chain, and how it is broken ("" when it holds)."""
    entries = []
    try:
        for _, entry in check_chain(client.ledger()):
            entries.append(entry)
    except LedgerBroken as error:
        return entries, str(error)
    return entries, ""


def deeds(entries: Iterable[dict[str, Any]]) -> dict[str, Deeds]:
    """What each practice did, from the entries of a ledger in order."""
    done: dict[str, Deeds] = defaultdict(Deeds)
    tick: dict[str, tuple[str, int]] = {}  # decision -> practice and instant [us since epoch]
    had: set[tuple[str, int, str]] = set()
    for entry in entries:
        if entry["type"] == "turn":
            tick[entry["id"]] = (entry["practice"], entry["tick"])
            _count(done[entry["practice"]], entry)
        for event in entry.get("events", ()):
            if event["decision"] not in tick:  # what a person asked for
                continue
            practice, decided = tick[event["decision"]]
            mark = (event["decision"], event["command"], event["what"])
            if mark in had:
                continue
            had.add(mark)
            one = done[practice]
            one.fates[event["what"]] += 1
            if event["what"] == "refused":
                one.why_refused[event["why"]] += 1
            if event["what"] == "confirmed":
                one.confirmed_after.append((event["at"] - decided) / MICROSECONDS)
    return dict(done)


def _count(one: Deeds, entry: dict[str, Any]) -> None:
    plan = entry["plan"]
    one.decisions += 1
    one.commands += len(plan["commands"])
    one.estimates += len(plan["estimates"])
    one.notices += len(plan["notices"])
    one.mandates["advise" if entry["advise_only"] else entry["mandate"]] += 1
    for name in TIMES:
        one.times[name].append(entry["timing"][name])


def percentiles(values: Sequence[float]) -> list[float]:
    """The ``PERCENTILES`` and the greatest of some values; none of none."""
    return [*np.percentile(values, PERCENTILES).tolist(), max(values)] if values else []


def sample(entries: Sequence[dict[str, Any]], most: int = SAMPLE) -> list[dict[str, Any]]:
    """Decisions to replay: the first and the last of each practice, and others evenly between, as many of each."""
    of_practice: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if entry["type"] == "turn":
            of_practice[entry["practice"]].append(entry)
    chosen: list[dict[str, Any]] = []
    for turns in of_practice.values():
        count = min(len(turns), max(most // len(of_practice), 1))
        chosen += [turns[i] for i in np.linspace(0, len(turns) - 1, count).round().astype(int).tolist()]
    return chosen


def prove(entries: Sequence[dict[str, Any]], broken: str, client: CityClient, tell: Callable[[float], None]) -> Proof:
    """Replay a sample of the decisions in this process; ``tell`` hears the share done."""
    chosen = sample(entries)
    verdicts: Counter[str] = Counter({"identical": 0})
    others: dict[str, list[str]] = defaultdict(list)
    for number, entry in enumerate(chosen, 1):
        verdict = replay(entry, client, decide_on, code_of)
        verdicts[verdict.outcome] += 1
        if verdict.outcome != "identical":
            others[f"{verdict.outcome}: {verdict.why}"].append(verdict.decision)
        tell(number / len(chosen))
    decisions = sum(entry["type"] == "turn" for entry in entries)
    told = tuple(f"{len(those)} {what} (the first: {those[0]})" for what, those in others.items())
    return Proof(len(entries), broken, decisions, verdicts, told)
