"""The live fold keeps the latest reading of each stream, in whatever order and however often rows arrive."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from civium.core.observations import STORED
from civium.twin.live import Live

Reading = tuple[int, int, float]
readings = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20), st.floats(-1e6, 1e6)), max_size=40)


def stored(rows: list[tuple[int, Reading]]) -> pa.Table:
    """Rows of id and (stream, time [us], value)."""
    columns = {
        "id": [i for i, _ in rows],
        "stream": [r[0] for _, r in rows],
        "time": [r[1] for _, r in rows],
        "made": [r[1] for _, r in rows],
        "value": [r[2] for _, r in rows],
    }
    return pa.table(
        [
            pa.array(columns[f.name], pa.int64() if pa.types.is_timestamp(f.type) else f.type).cast(f.type)
            if f.name in columns
            else pa.nulls(len(rows), f.type)
            for f in STORED
        ],
        schema=STORED,
    )


def state(live: Live) -> dict[int, tuple[int, int, float]]:
    return {int(s): (int(live.id[s]), int(live.time[s]), float(live.value[s])) for s in np.flatnonzero(live.id)}


@given(readings, st.randoms(use_true_random=False), st.integers(0, 40))
def test_order_grouping_and_repeats_do_not_matter(rows: list[Reading], random: object, cut: int) -> None:
    numbered = list(enumerate(rows, start=1))
    expected = {}
    for identity, (stream, time, value) in numbered:
        if stream not in expected or (time, identity) > (expected[stream][1], expected[stream][0]):
            expected[stream] = (identity, time, value)
    shuffled = list(numbered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a Random
    live = Live()
    live.fold(stored(shuffled[:cut]))
    live.fold(stored(shuffled))
    assert state(live) == expected


def test_one_wrong_year_is_not_the_latest_for_good(tmp_path: Path) -> None:
    live, year = Live(), 365 * 86_400_000_000
    later = stored([(2, (7, 70 * year, 99.0))])
    wrong = later.set_column(
        STORED.get_field_index("made"), "made", pa.array([20], pa.int64()).cast(pa.timestamp("us", "UTC"))
    )
    live.fold(wrong)
    seven = np.array([7])
    assert [one.tolist() for one in live.latest(seven)] == [[2], [70 * year], [99.0]]  # nothing else is known
    live.fold(stored([(3, (7, 30, 1.5))]))
    live.save(tmp_path / "live.npz", {0: 1})
    for one in (live, Live.load(tmp_path / "live.npz")[0]):
        assert [column.tolist() for column in one.latest(seven)] == [[3], [30], [1.5]]
        assert one.ids(seven).tolist() == [2]  # of the standard's order by time it is the last


def test_a_checkpoint_brings_back_numbers_and_texts(tmp_path: Path) -> None:
    live = Live()
    table = stored([(1, (5000, 10, 1.5))])
    live.fold(table.set_column(STORED.get_field_index("text"), "text", pa.array(["voll é"])))
    live.save(tmp_path / "live.npz", {0: 7, 2: 9})
    again, sequence = Live.load(tmp_path / "live.npz")
    assert (state(again), again.text, sequence) == (state(live), {5000: "voll é"}, {0: 7, 2: 9})


def test_a_damaged_checkpoint_is_as_if_there_were_none(tmp_path: Path) -> None:
    (tmp_path / "live.npz").write_bytes(b"PK\x03\x04 nonsense")
    again, sequence = Live.load(tmp_path / "live.npz")
    assert (state(again), sequence) == ({}, {})
