"""The verdict of a round: what was accepted is stored, each reading once; the record holds; replay agrees.

Every check returns its complaints, in words; none is a pass. It compares identities, and knows nothing of how the city
was started.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.ledger.record import LedgerBroken
from civium.ledger.replay import check_chain
from tests.faults.load import ACCEPTED, NOTES, REFUSED, UNKNOWN

STORED = pa.schema([("stream", pa.int64()), ("number", pa.int64())])  # one row for each stored reading
LONGEST_ANSWER_S = 65.0  # however long the log is away, a request is answered within this
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Tally:
    """How many readings of a round were accepted, refused, unknown to their sender, and stored."""

    accepted: int
    refused: int
    unknown: int
    stored: int


def check_readings(notes: pa.Table, stored: pa.Table) -> tuple[Tally, list[str]]:
    """Identities of the notes against those that are stored (schema ``STORED``)."""
    accepted = np.unique(_identities(notes.filter(pc.equal(notes["outcome"], ACCEPTED))))
    unknown = np.unique(_identities(notes.filter(pc.equal(notes["outcome"], UNKNOWN))))
    refused = np.unique(_identities(notes.filter(pc.equal(notes["outcome"], REFUSED))))
    found, times = np.unique(_pack(stored["stream"].to_numpy(), stored["number"].to_numpy()), return_counts=True)
    unknown = np.setdiff1d(unknown, accepted, assume_unique=True)
    refused = np.setdiff1d(refused, np.concatenate([accepted, unknown]))
    door = dict(zip(notes["stream"].to_pylist(), notes["door"].to_pylist(), strict=True))
    complaints = []
    for words, wrong in (
        ("accepted, but not stored", np.setdiff1d(accepted, found, assume_unique=True)),
        ("stored more than once", found[times > 1]),
        ("stored, although the sender was told that they were not", np.intersect1d(refused, found, assume_unique=True)),
        ("stored, but never sent", np.setdiff1d(found, np.concatenate([accepted, unknown, refused]))),
    ):
        if len(wrong):
            doors = Counter(door.get(int(identity) >> 32, "?") for identity in wrong)
            some = ", ".join(f"{int(w) >> 32}/{int(w) & 0xFFFFFFFF}" for w in wrong[:_SHOWN])
            complaints.append(f"{len(wrong)} readings were {words} (by {dict(doors)}; e.g. {some})")
    if not len(accepted):
        complaints.append("no reading was accepted: this round proves nothing")
    return Tally(len(accepted), len(refused), len(unknown), int(times.sum())), complaints


def as_of(notes: pa.Table, instant: float) -> pa.Table:
    """What the senders knew at ``instant`` [s, CLOCK_MONOTONIC]: what was answered later is unknown."""
    later = pc.greater(notes["at"], instant)
    outcome = pc.if_else(later, pa.scalar(UNKNOWN, pa.int8()), notes["outcome"])
    return notes.set_column(notes.column_names.index("outcome"), NOTES.field("outcome"), outcome)


def check_answers(notes: pa.Table) -> list[str]:
    """The doors say 503 with Retry-After when they are shut, and never keep anybody waiting for ever."""
    complaints = []
    http = notes.filter(pc.greater(notes["status"], 0))
    statuses = Counter(http["status"].to_pylist())
    if strange := {status: n for status, n in statuses.items() if status not in (200, 201, 503, 504)}:
        complaints.append(f"answers other than 201 and 503: {strange}")
    bare = http.filter(pc.and_(pc.equal(http["status"], 503), pc.invert(http["retry_after"])))
    if bare.num_rows:
        complaints.append(f"{bare.num_rows} answers 503 without Retry-After")
    slowest = pc.max(http["took"]).as_py() or 0.0
    if slowest > LONGEST_ANSWER_S:
        complaints.append(f"an answer took {slowest:.1f} s")
    return complaints


def check_record(
    lines: Iterable[tuple[int, bytes]], seen: Set[str], estimates: Mapping[tuple[str, int], int]
) -> tuple[int, list[str]]:
    """The chain of the ledger, its decisions and what became of them; returns how many decisions there are.

    ``seen`` are decisions that the city showed before the fault; ``estimates`` counts the stored ones by decision and
    thing.
    """
    complaints: list[str] = []
    states: dict[str, str | None] = {}
    ticks: dict[str, int] = {}
    decisions: Counter[str] = Counter()
    events: Counter[tuple[str, int, str]] = Counter()
    wanted: set[tuple[str, int]] = set()
    try:
        for _, entry in check_chain(lines):
            for event in entry.get("events", ()):
                events[event["decision"], event["command"], event["what"]] += 1
            if entry["type"] != "turn":
                continue
            decisions[entry["id"]] += 1
            if ticks.get(entry["practice"], 0) >= entry["tick"]:
                complaints.append(f"{entry['id']} was decided after a later tick")
            ticks[entry["practice"]] = entry["tick"]
            if states.get(entry["practice"]) != entry["state_in"]:
                complaints.append(f"{entry['id']} does not start from the state that the decision before it left")
            states[entry["practice"]] = entry["state_out"]
            wanted |= {(entry["id"], e["thing"]) for e in entry["plan"]["estimates"]}
    except LedgerBroken as error:
        complaints.append(str(error))
    complaints += _some("decisions twice on the record", [d for d, n in decisions.items() if n > 1])
    complaints += _some("decisions that were shown are gone from the record", sorted(seen - decisions.keys()))
    complaints += _some("events twice on the record", [e for e, n in events.items() if n > 1])
    complaints += _some("events of unknown decisions", [e for e in events if e[0] not in decisions])
    complaints += _some("estimates stored more than once", [e for e, n in estimates.items() if n > 1])
    complaints += _some("estimates of the record are not stored", sorted(wanted - estimates.keys()))
    complaints += _some("stored estimates are not on the record", sorted(estimates.keys() - wanted))
    return len(decisions), complaints


def _some(words: str, found: list[Any]) -> list[str]:
    return [f"{len(found)} {words}, e.g. {', '.join(map(str, found[:_SHOWN]))}"] if found else []


def _pack(stream: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    return (stream.astype(np.int64) << 32) | number.astype(np.int64)


def _identities(notes: pa.Table) -> NDArray[np.int64]:
    count = notes["count"].to_numpy()
    start = np.repeat(_pack(notes["stream"].to_numpy(), notes["first"].to_numpy()), count)
    within = np.arange(len(start)) - np.repeat(np.cumsum(count) - count, count)
    return start + within
