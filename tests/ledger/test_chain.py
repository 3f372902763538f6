"""The ledger's chain: a line that is altered, dropped or added is noticed."""

import hashlib

import pytest

from civium.core.digest import canonical_json
from civium.ledger.record import GENESIS, LedgerBroken
from civium.ledger.replay import check_chain


def chain(count: int) -> list[tuple[int, bytes]]:
    lines, previous = [], GENESIS
    for sequence in range(1, count + 1):
        data = canonical_json({"type": "events", "at": sequence, "prev": previous})
        previous = hashlib.sha256(data).hexdigest()
        lines.append((sequence, data))
    return lines


def test_a_whole_chain_is_read_in_order() -> None:
    assert [entry["at"] for _, entry in check_chain(chain(5))] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("altered", range(4))
def test_an_altered_line_breaks_the_chain_at_the_next(altered: int) -> None:
    lines = chain(5)
    sequence, data = lines[altered]
    lines[altered] = (sequence, data.replace(b'"events"', b'"Events"'))
    with pytest.raises(LedgerBroken, match=f"entry {altered + 2}"):
        list(check_chain(lines))


@pytest.mark.parametrize("dropped", range(4))
def test_a_dropped_line_is_missing(dropped: int) -> None:
    lines = chain(5)
    del lines[dropped]
    with pytest.raises(LedgerBroken, match=f"entry {dropped + 1} is missing"):
        list(check_chain(lines))
