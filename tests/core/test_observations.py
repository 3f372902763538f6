"""Ids are exact, ordered by acceptance, and batches survive the log."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from civium.core.observations import (
    MAX_ID,
    MAX_ROWS,
    MAX_SHARDS,
    OBSERVATION,
    complete,
    decode,
    encode,
    end_of,
    pack,
    shard_of,
    shards_of,
    unpack,
)

shards = st.integers(0, 31)
sequences = st.integers(0, 2**32 - 1)
rows = st.integers(0, MAX_ROWS - 1)


@given(shards, sequences, rows)
def test_an_id_tells_where_its_row_was_accepted(shard: int, sequence: int, row: int) -> None:
    identity = pack(shard, sequence, row)
    assert unpack(identity) == (shard, sequence, row)
    assert 0 <= identity <= MAX_ID
    assert int(float(identity)) == identity  # exact in JSON and JavaScript


@given(sequences.filter(lambda s: s > 0), rows, rows)
def test_a_cut_takes_all_rows_of_its_sequence_and_none_of_the_next(sequence: int, row: int, later: int) -> None:
    assert pack(0, sequence - 1, later) <= end_of(0, sequence - 1) < pack(0, sequence, row) <= end_of(0, sequence)


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(0, 2**52), st.none() | st.floats(allow_nan=False)), max_size=50
    )
)
def test_a_batch_survives_the_log(readings: list[tuple[int, int, float | None]]) -> None:
    instant = OBSERVATION.field("time").type
    table = complete(
        pa.table(
            {
                "stream": pa.array([r[0] for r in readings], pa.int64()),
                "time": pa.array([r[1] for r in readings], pa.int64()).cast(instant),
                "made": pa.array([r[1] for r in readings], pa.int64()).cast(instant),
                "value": pa.array([r[2] for r in readings], pa.float64()),
            }
        )
    )
    assert decode(encode(table)).equals(table)


def test_a_large_batch_is_smaller_in_the_log_than_in_memory() -> None:
    count = 50_000
    table = complete(
        pa.table({"stream": np.arange(count), "time": pa.array(np.arange(count)).cast(OBSERVATION.field("time").type),
                  "made": pa.array(np.arange(count)).cast(OBSERVATION.field("time").type), "value": np.ones(count)})
    )  # fmt: skip
    assert len(encode(table)) < table.nbytes / 2


@given(st.integers(1, MAX_SHARDS), st.lists(st.integers(1, 10**9), min_size=1))
def test_one_stream_and_many_are_put_into_the_same_shard(shards: int, streams: list[int]) -> None:
    assert shards_of(np.array(streams), shards).tolist() == [shard_of(stream, shards) for stream in streams]


def test_streams_of_one_property_do_not_meet_in_one_shard() -> None:
    for step in (1, 2, 3, 4, 8):
        counts = np.bincount(shards_of(np.arange(1, 8000, step), 4), minlength=4)
        assert counts.min() > 0.8 * counts.mean()
