"""Rules of corrections: they mask, a cut shows what was known then, and figures follow them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core.observations import (
    CORRECTED,
    CORRECTION,
    OBSERVATION,
    STORED,
    both,
    complete,
    decode,
    encode,
    pack,
)
from civium.core.view import INSTANT
from civium.engines.rollups import DAY, GROUPS, QUARTER_HOUR
from civium.engines.settings import Settings
from civium.engines.settings import Store as Keeping
from civium.engines.store import Store
from civium.engines.upkeep import Keeper
from civium.twin.live import Live

DAY_ONE = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = int(DAY_ONE.timestamp()) * 1_000_000
NO_ROWS = STORED.empty_table()
Content = dict[str, Any]


def content(stream: int, time: int, value: float | None, **more: Any) -> Content:
    return {"stream": stream, "time": FIRST + time, "made": FIRST + time, "value": value, **more}


def batch(rows: list[Content], schema: pa.Schema = OBSERVATION) -> pa.Table:
    columns = {}
    for f in schema:
        values = pa.array([row.get(f.name) for row in rows], pa.int64() if f.type == INSTANT else f.type)
        columns[f.name] = values.cast(f.type)
    return pa.table(columns, schema=schema)


class Lake:
    """A store, and a plain model of it: the content of each row as of each message."""

    def __init__(self, folder: Path, **keeping: float) -> None:
        self.store = Store.open(Settings(), folder)
        self.store.adopt(0, "log")
        self.keeper = Keeper(self.store, Keeping(**keeping))
        self.sequence = 0
        self.rows: dict[int, Content] = {}
        self.originals: dict[int, Content] = {}
        self.past: list[dict[int, Content]] = [{}]

    def groups(self) -> pa.Table:
        return pa.table({"stream": [1, 2, 3], "property": [1, 1, 1], "kind": ["", "", ""]}, schema=GROUPS)

    def send(self, table: pa.Table) -> None:
        """As the log would bring it."""
        rows, corrected = both(0, [(self.sequence + 1, decode(encode(table)))])
        self.store.append(0, rows, self.sequence, self.sequence + 1, corrected)
        self.sequence += 1
        self.past.append(dict(self.rows))

    def add(self, *rows: Content) -> list[int]:
        ids = [pack(0, self.sequence + 1, at) for at in range(len(rows))]
        self.rows.update(zip(ids, rows, strict=True))
        self.originals.update(zip(ids, rows, strict=True))
        self.send(batch(list(rows)))
        return ids

    def correct(self, identity: int, to: Content | None) -> None:
        original = self.originals[identity]
        told = {
            **(to or self.rows[identity]),
            "corrects": identity,
            "gone": to is None,
            "was_stream": original["stream"],
            "was_time": original["time"],
        }
        if to is None:
            del self.rows[identity]
        else:
            self.rows[identity] = to
        self.send(batch([told], CORRECTION))

    def seen(self, rows: str = "observations") -> dict[int, tuple[Any, ...]]:
        found = self.store.query(f"SELECT id, stream, epoch_us(time), value, text FROM {rows}")
        return {one[0]: one[1:] for one in zip(*(column.to_pylist() for column in found.columns), strict=True)}

    def expected(self, rows: dict[int, Content]) -> dict[int, tuple[Any, ...]]:
        return {i: (row["stream"], row["time"], row["value"], row.get("text")) for i, row in rows.items()}

    def figures(self, step: int = QUARTER_HOUR, days: int = 4) -> dict[tuple[int, int], tuple[int, float]]:
        streams = pa.table({"stream": [1, 2, 3], "group": [1, 2, 3]})
        rows = self.store.aggregate(streams, FIRST, FIRST + days * DAY, step).rows.to_pydict()
        start = [(when.replace(tzinfo=UTC) - DAY_ONE) // timedelta(microseconds=step) for when in rows["start"]]
        told = zip(rows["group"], start, rows["n"], rows["mean"], strict=True)
        return {(group, at): (n, round(n * mean, 6)) for group, at, n, mean in told}

    def expected_figures(self, step: int = QUARTER_HOUR) -> dict[tuple[int, int], tuple[int, float]]:
        figures: dict[tuple[int, int], tuple[int, float]] = {}
        for row in self.rows.values():
            if row["value"] is not None:
                key = (row["stream"], (row["time"] - FIRST) // step)
                n, total = figures.get(key, (0, 0.0))
                figures[key] = (n + 1, round(total + row["value"], 6))
        return figures

    def work(self, day: float) -> None:
        self.keeper.work(FIRST + int(day * DAY), self.groups)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    made = Lake(tmp_path)
    yield made
    made.store.close()


def test_a_message_of_corrections_travels_through_the_log_unaltered() -> None:
    told = batch([content(1, 5, 2.0, corrects=7, gone=False, was_stream=3, was_time=9)], CORRECTION)
    again = decode(encode(told))
    assert again.equals(complete(told))
    rows, corrected = both(2, [(4, again), (5, batch([content(1, 2, 3.0)]))])
    assert rows["id"].to_pylist() == [pack(2, 5)]
    assert corrected.schema == CORRECTED
    assert corrected["id"].to_pylist() == [pack(2, 4)]


def test_a_correction_masks_and_a_tombstone_takes_away_and_a_cut_shows_what_was_known_then(lake: Lake) -> None:
    one, two, three = lake.add(content(1, 1, 10.0), content(1, 2, 20.0), content(2, 3, None, text="shut"))
    lake.correct(one, content(1, 5, 11.0))
    lake.correct(one, content(2, 6, 12.0))
    lake.correct(two, None)
    assert lake.seen() == {one: (2, FIRST + 6, 12.0, None), three: (2, FIRST + 3, None, "shut")}
    for cut, rows in enumerate(lake.past):
        assert lake.seen(lake.store.under({0: cut})) == lake.expected(rows)
    assert len(lake.seen("lake.observations")) == 3


def test_without_corrections_readers_read_the_table_itself(lake: Lake) -> None:
    lake.add(content(1, 1, 10.0))
    plan = lake.store.query("EXPLAIN SELECT count(*) FROM observations").column(1)[0].as_py()
    own = lake.store.query("EXPLAIN SELECT count(*) FROM lake.observations").column(1)[0].as_py()
    assert plan == own
    assert "JOIN" not in plan


def test_streams_that_were_taken_away_are_hidden_however_many_they_are(lake: Lake) -> None:
    lake.add(content(1, 1, 10.0), content(2, 1, 20.0))
    lake.store.hide(np.array([1]))
    assert [row[0] for row in lake.seen().values()] == [2]
    lake.store.hide(np.array([1, *range(5, 500)]))
    assert [row[0] for row in lake.seen().values()] == [2]
    lake.store.hide(np.array([], np.int64))
    assert [row[0] for row in lake.seen().values()] == [1, 2]


def test_corrections_are_seen_after_a_restart(lake: Lake, tmp_path: Path) -> None:
    (one,) = lake.add(content(1, 1, 10.0))
    lake.correct(one, content(1, 1, 11.0))
    lake.store.close()
    lake.store = Store.open(Settings(), tmp_path)
    assert lake.seen() == lake.expected(lake.rows)


def test_another_opener_of_the_lake_sees_them_when_it_looks(lake: Lake) -> None:
    (one,) = lake.add(content(1, 1, 10.0))
    lake.correct(one, content(1, 1, 11.0))
    lake.store._corrected = False  # as in a process that did not store the correction
    lake.store._show()
    lake.store.look()
    assert lake.seen() == lake.expected(lake.rows)


ROWS = st.tuples(st.integers(1, 3), st.integers(0, 3 * 96 - 1), st.integers(-50, 50))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ROWS),
        st.tuples(st.just("correct"), st.tuples(st.integers(0, 99), ROWS)),
        st.tuples(st.just("remove"), st.integers(0, 99)),
        st.tuples(st.just("work"), st.floats(0.5, 6)),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_was_corrected_readers_figures_and_cuts_agree_with_the_rows(
    steps: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    live = Live()
    now = 0.0
    lake.add(content(1, 5, 1.0), content(2, DAY + 5, 2.0))
    for what, how in steps:
        there = sorted(lake.rows)
        if what == "add":
            lake.add(content(how[0], how[1] * QUARTER_HOUR + 7, float(how[2])))
        elif what == "correct" and there:
            stream, quarter, value = how[1]
            lake.correct(there[how[0] % len(there)], content(stream, quarter * QUARTER_HOUR + 3, float(value)))
        elif what == "remove" and there:
            lake.correct(there[how % len(there)], None)
        elif what == "work":
            now += how
            lake.work(now)
        assert lake.figures() == lake.expected_figures()
    lake.work(now + 30)
    lake.work(now + 60)
    assert lake.figures() == lake.expected_figures()
    assert lake.figures(DAY) == lake.expected_figures(DAY)
    assert lake.seen() == lake.expected(lake.rows)
    for cut, rows in enumerate(lake.past):
        assert lake.seen(lake.store.under({0: cut})) == lake.expected(rows)
    live.fold(lake.store.query("SELECT * FROM lake.observations").select(STORED.names).cast(STORED))
    streams = np.array([1, 2, 3])
    live.settle(streams, live.ids(streams), lake.store.query("SELECT * FROM observations").cast(STORED))
    for stream in (1, 2, 3):
        mine = [(row["time"], i, row["value"]) for i, row in lake.rows.items() if row["stream"] == stream]
        identity, time, value = (column[0] for column in live.latest(np.array([stream])))
        assert (max(mine) if mine else 0) == ((time, identity, value) if mine else identity)
    lake.store.close()


def test_corrections_pass_their_retention_with_their_rows_and_not_before(tmp_path: Path) -> None:
    lake = Lake(tmp_path, retention_days=3)
    early, moved = lake.add(content(1, 5, 1.0), content(1, 6, 2.0))
    (gone,) = lake.add(content(2, 7, 3.0))
    lake.correct(early, content(1, 5, 10.0))
    lake.correct(moved, content(1, 2 * DAY, 20.0))
    lake.correct(gone, None)
    lake.work(1.1)
    lake.work(3.2)
    before = lake.figures(DAY)
    assert before == lake.expected_figures(DAY)

    def kept() -> list[int]:
        return sorted(lake.store.query("SELECT original FROM lake.corrections").column("original").to_pylist())

    lake.work(4.8)  # the first day goes
    assert kept() == [moved]
    assert lake.seen() == {moved: (1, FIRST + 2 * DAY, 20.0, None)}
    assert lake.figures(DAY) == before
    lake.work(8)
    assert kept() == []
    assert lake.seen() == {}
    assert lake.figures(DAY) == before
    lake.store.close()


def test_a_stream_that_got_a_later_reading_meanwhile_keeps_it() -> None:
    live = Live()
    first = batch([content(1, 5, 1.0, text=None)]).add_column(0, "id", pa.array([7])).cast(STORED)
    later = batch([content(1, 9, None, text="new")]).add_column(0, "id", pa.array([8])).cast(STORED)
    live.fold(first)
    before = live.ids(np.array([1]))
    live.fold(later)
    live.settle(np.array([1]), before, NO_ROWS)
    assert live.id[1] == 8
    assert live.text[1] == "new"
    live.settle(np.array([1]), live.ids(np.array([1])), NO_ROWS)
    assert live.id[1] == 0
    assert live.text == {}
    assert live.heard(np.array([False, True])) == 0
    live.fold(later)
    assert live.heard(np.array([False, True])) == 1
    assert live.heard(np.array([False, False])) == 0
