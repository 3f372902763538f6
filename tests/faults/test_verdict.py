"""The verdict sees what it is there to see."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pyarrow as pa

from civium.ledger.record import GENESIS
from tests.faults.load import ACCEPTED, NOTES, REFUSED, UNKNOWN
from tests.faults.verdict import STORED, as_of, check_answers, check_readings, check_record


def noted(*rows: tuple[int, int, int, int], status: int = 201, took: float = 0.1, retry_after: bool = True) -> pa.Table:
    """Notes of (stream, first, count, outcome), one answer a second."""
    lines = [
        ("single", stream, first, count, outcome, float(at), took, status, retry_after)
        for at, (stream, first, count, outcome) in enumerate(rows)
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(zip(*lines, strict=True), NOTES, strict=True)], schema=NOTES)


def held(*rows: tuple[int, int]) -> pa.Table:
    """Stored (stream, number)."""
    return pa.table([pa.array(c, pa.int64()) for c in zip(*rows, strict=True)], schema=STORED)


def test_each_accepted_reading_stored_once_is_no_complaint() -> None:
    notes = noted((1, 1, 3, ACCEPTED), (2, 1, 1, REFUSED), (2, 2, 1, UNKNOWN), (2, 3, 1, UNKNOWN))
    tally, complaints = check_readings(notes, held((1, 1), (1, 2), (1, 3), (2, 3)))
    assert complaints == []
    assert (tally.accepted, tally.refused, tally.unknown, tally.stored) == (3, 1, 2, 4)


def test_what_is_lost_doubled_refused_and_yet_stored_or_never_sent_is_told() -> None:
    notes = noted((1, 1, 2, ACCEPTED), (2, 1, 1, REFUSED), (2, 2, 1, UNKNOWN))
    _, complaints = check_readings(notes, held((1, 1), (2, 1), (2, 2), (2, 2), (3, 1)))
    told = "\n".join(complaints)
    assert "1 readings were accepted, but not stored" in told
    assert "1 readings were stored more than once" in told
    assert "1 readings were stored, although the sender was told that they were not" in told
    assert "1 readings were stored, but never sent" in told


def test_a_refused_reading_that_was_accepted_when_it_was_repeated_counts_as_accepted() -> None:
    notes = noted((1, 1, 1, REFUSED), (1, 1, 1, UNKNOWN), (1, 1, 1, ACCEPTED))
    assert check_readings(notes, held((1, 1)))[1] == []


def test_what_was_answered_after_a_power_cut_may_be_missing_from_it() -> None:
    notes = noted((1, 1, 1, ACCEPTED), (1, 2, 1, ACCEPTED))
    assert check_readings(as_of(notes, 0.5), held((1, 1)))[1] == []
    assert check_readings(as_of(notes, 1.5), held((1, 1)))[1] != []


def test_answers_are_201_or_503_with_retry_after_and_in_time() -> None:
    assert check_answers(noted((1, 1, 1, ACCEPTED))) == []
    assert check_answers(noted((1, 1, 1, REFUSED), status=503)) == []
    assert "without Retry-After" in check_answers(noted((1, 1, 1, REFUSED), status=503, retry_after=False))[0]
    assert "500" in check_answers(noted((1, 1, 1, REFUSED), status=500))[0]
    assert "100.0 s" in check_answers(noted((1, 1, 1, ACCEPTED), took=100.0))[0]


def turn(number: int, state_in: str | None, **other: Any) -> dict[str, Any]:
    plan = {"estimates": [{"thing": 5}]}
    entry = {"type": "turn", "id": f"p.{number}", "practice": "p", "tick": number, "state_in": state_in}
    return {**entry, "state_out": f"s{number}", "plan": plan, "events": [], **other}


def chained(entries: Sequence[dict[str, Any]]) -> list[tuple[int, bytes]]:
    lines, previous = [], GENESIS
    for sequence, entry in enumerate(entries, 1):
        raw = json.dumps({**entry, "prev": previous}).encode()
        previous = sha256(raw).hexdigest()
        lines.append((sequence, raw))
    return lines


def test_a_record_that_holds_is_no_complaint() -> None:
    lines = chained([turn(1, None), turn(2, "s1")])
    assert check_record(lines, {"p.1"}, {("p.1", 5): 1, ("p.2", 5): 1}) == (2, [])


def test_a_record_with_gaps_doubles_and_forks_is_told() -> None:
    sent = {"decision": "p.1", "command": 0, "what": "sent"}
    entries = [turn(1, None), turn(3, None), turn(2, "s3"), {"type": "events", "events": [sent, sent]}]
    told = "\n".join(check_record(chained(entries), {"p.9"}, {("p.1", 5): 2, ("p.7", 5): 1})[1])
    assert "p.3 does not start from the state that the decision before it left" in told
    assert "p.2 was decided after a later tick" in told
    assert "events twice on the record" in told
    assert "gone from the record, e.g. p.9" in told
    assert "1 estimates stored more than once" in told
    assert "2 estimates of the record are not stored" in told
    assert "1 stored estimates are not on the record" in told
    broken = chained([turn(1, None), turn(2, "s1")])
    broken[0] = (1, broken[0][1].replace(b"p.1", b"p.0"))
    assert "the record was altered" in "\n".join(check_record(broken, set(), {})[1])
