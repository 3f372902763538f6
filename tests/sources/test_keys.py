"""The index of recent keys, and the claims of a batch on it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.core.observations import MAX_ROWS
from civium.sources import keys as module
from civium.sources.batch import KEY, Batch, build
from civium.sources.claims import claim, messages
from civium.sources.keys import (
    MOST_NAMED,
    SPAN,
    RecentKeys,
    content_of,
    part_key,
    read_header,
    row_key,
    write_header,
)


def spans(*of: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(list(of), SPAN)


def batch(keys: Sequence[tuple[int, int]], **columns: pa.Array) -> Batch:
    count = len(keys)
    instants = pa.array(np.zeros(count, np.int64)).view(pa.timestamp("us", tz="UTC"))
    rows = {"stream": pa.array(np.ones(count, np.int64)), "time": instants, "made": instants}
    rows["value"] = pa.array(np.arange(count, dtype=float))
    return build({**rows, **columns}, (), np.array(list(keys), KEY) if any(key for key, _ in keys) else None)


def test_what_a_log_message_names_is_what_the_index_finds() -> None:
    named = spans((5, 9, 0, 1), (2**64 - 1, 2**64 - 1, 1, 70))
    index = RecentKeys(10)
    index.settle(read_header(write_header(named)), 1 << 16)
    one, many, none = index.find([5, 2**64 - 1, 6])
    assert (one and one.same(9, 1), one and one.first) == (True, 1 << 16)
    assert (many and many.same(2**64 - 1, 70), many and many.first) == (True, (1 << 16) + 1)
    assert none is None


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 30))
def test_the_latest_keys_are_found_and_the_oldest_forgotten(stored: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_YOUNG", 4)
        patch.setattr(module, "_TIER", 3)
        index = RecentKeys(most)
        first: dict[int, int] = {}
        for at, key in enumerate(stored, 1):
            index.settle(spans((key + 1, 7, 0, 1)), at)
            first[key + 1] = at
        assert len(index) <= max(most, 4) + 3 * 2 * 4
        latest = list(dict.fromkeys(key + 1 for key in reversed(stored)))[: max(0, most - 3 * 2 * 4)]
        assert [place and place.first for place in index.find(latest)] == [first[key] for key in latest]


def test_rows_with_a_known_key_are_not_new_and_another_content_is_told() -> None:
    index = RecentKeys(100)
    index.settle(spans((11, 1, 0, 1)), 500)
    claims = claim(batch([(11, 1), (0, 0), (12, 2), (12, 2), (11, 3)]), index, "", b"")
    assert [refusal.row for refusal in claims.conflicts] == [4]
    which, rows, new = claims.fresh()
    assert new["key"].tolist() == [12, 0]
    assert rows.column("value").to_pylist() == [2.0, 1.0]
    assert claims.order[claims.spans["row"][which]].tolist() == [2, 1]


def test_a_request_that_was_stored_in_part_is_new_in_the_other_part() -> None:
    large = batch([(0, 0)] * (MAX_ROWS + 10))
    index = RecentKeys(100)
    first = claim(large, index, "k", b"body")
    assert first.spans["rows"].tolist() == [MAX_ROWS, 10]
    index.settle(spans((part_key("k", 1), int(first.spans["content"][1]), 0, 10)), 9 << 16)
    again = claim(large, index, "k", b"body")
    assert [place and place.first for place in again.places] == [None, 9 << 16]
    with pytest.raises(InputRefused, match="another request") as refused:
        claim(large, index, "k", b"another body")
    assert refused.value.status == 409


def test_messages_are_bounded_in_rows_keys_and_bytes() -> None:
    many = claim(batch([(n + 1, 0) for n in range(3 * MOST_NAMED)]), RecentKeys(9), "", b"")
    parts = list(messages(many.table, many.spans))
    assert sum(part.num_rows for _, part, _ in parts) == 3 * MOST_NAMED
    assert max(len(keyed) for _, _, keyed in parts) <= MOST_NAMED
    assert all(keyed["row"].tolist() == list(range(len(keyed))) for _, _, keyed in parts)
    long = batch([(0, 0)] * 40, text=pa.array(["x" * 1_000_000] * 40))
    texts = claim(long, RecentKeys(9), "", b"")
    assert sum(part.num_rows for _, part, _ in messages(texts.table, texts.spans)) == 40
    assert max(part.nbytes for _, part, _ in messages(texts.table, texts.spans)) < 17_000_000
    with pytest.raises(InputRefused, match="row 1: it is larger"):
        claim(batch([(0, 0)] * 2, text=pa.array(["", "x" * 20_000_000])), RecentKeys(9), "", b"")


def test_keys_count_for_their_stream_and_their_kind() -> None:
    assert len({row_key(1, "a"), row_key(2, "a"), row_key(1, "b"), part_key("a", 0), part_key("a", 1)}) == 5
    assert content_of(b"a") != content_of(b"b")
