"""Roll-ups: whatever came, late or twice, before or after a restart, the figures are those of all rows ever stored."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.core.observations import STORED, complete, pack
from civium.engines import settings as city_settings
from civium.engines.aggregate import Aggregate, Source, Whole
from civium.engines.rollups import DAY, GROUPS, QUARTER_HOUR, calendar, reopen, runs
from civium.engines.store import Store
from civium.engines.upkeep import Keeper, Stopped

HOUR = 4 * QUARTER_HOUR
KINDS = pa.table({"stream": [1, 2, 3], "property": [10, 10, 20], "kind": ["meter", "meter", "post"]}, schema=GROUPS)
BY_STREAM = pa.table({"stream": pa.array([1, 2, 3], pa.int64()), "group": pa.array([1, 2, 3], pa.int64())})
METERS = pa.table({"stream": pa.array([1, 2], pa.int64()), "group": pa.array([0, 0], pa.int64())})
PLAIN = """
SELECT {group} AS "group", make_timestamp(epoch_us(time) // {step} * {step}) AS start, count(*) AS n,
    sum(value) / count(*) AS mean, min(value) AS low, max(value) AS high, {last} AS last
FROM rows WHERE isfinite(value) AND epoch_us(time) >= {start} AND epoch_us(time) < {end} AND {which}
GROUP BY ALL ORDER BY ALL
"""
BARE = duckdb.connect()
LAST = "arg_max(value, epoch_us(time)::HUGEINT * 9007199254740992 + id)"


@dataclass
class Lake:
    """A store, its keeper, and a copy of every row that ever went in."""

    folder: Path
    keeping: city_settings.Store = field(default_factory=city_settings.Store)
    sequence: int = 0
    rows: pa.Table = field(default_factory=STORED.empty_table)
    store: Store = field(init=False)
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.open()
        self.store.adopt(0, "log")

    def open(self) -> None:
        self.store = Store.open(city_settings.Settings(store=self.keeping), self.folder)
        self.keeper = Keeper(self.store, self.keeping)

    def restart(self) -> None:
        self.keeper.stop()
        self.store.close()
        self.open()

    def add(self, *readings: tuple[int, int, float | None]) -> None:
        """Store readings: stream, time [us since epoch], value."""
        streams, times, values = zip(*readings, strict=True)
        time = pa.array(times, pa.int64()).cast(STORED.field("time").type)
        table = complete(
            pa.table({"stream": pa.array(streams, pa.int64()), "time": time, "made": time,
                      "value": pa.array(values, pa.float64())})
        )  # fmt: skip
        self.sequence += 1
        ids = pa.array([pack(0, self.sequence, n) for n in range(len(readings))], pa.int64())
        rows = table.add_column(0, "id", ids).cast(STORED)
        self.store.append(0, rows, self.sequence - 1, self.sequence)
        self.rows = pa.concat_tables([self.rows, rows])

    def keep(self, now: int) -> None:
        self.keeper.work(now, lambda: KINDS)

    def close_days(self, now: int) -> None:
        """Let upkeep see the rows, and come back when their days have had their rest."""
        self.keep(now - 2 * HOUR)
        self.keep(now)

    def raw(self) -> int:
        return int(self.store.query("SELECT count(*) AS n FROM lake.observations").column("n")[0].as_py())

    def plainly(self, start: int, end: int, step: int, *, city: bool = False) -> list[dict[str, Any]]:
        BARE.register("rows", self.rows)
        how = ("0", "stream IN (1, 2)", "NULL") if city else ("stream", "true", LAST)
        text = PLAIN.format(group=how[0], which=how[1], last=how[2], start=start, end=end, step=step)
        return seen(BARE.execute(text).to_arrow_table())


def seen(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows with the mean to 12 digits, since sums depend on their order."""
    return [
        {**row, "mean": float(f"{row['mean']:.12g}"), "start": row["start"].replace(tzinfo=None)}
        for row in rows.to_pylist()
    ]


def tables(answer: Aggregate) -> list[str]:
    return [source.table for source in answer.sources]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    made = Lake(tmp_path)
    yield made
    made.keeper.stop()
    made.store.close()


_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink an example takes minutes
_VALUE = st.one_of(st.integers(-40, 40).map(lambda n: n / 4), st.sampled_from([None, math.nan, math.inf]))
_READING = st.tuples(st.integers(1, 3), st.integers(0, 3 * 96 - 1).map(lambda n: n * QUARTER_HOUR // 2), _VALUE)
_ACTION = st.one_of(
    st.lists(_READING, min_size=1, max_size=12),
    st.sampled_from([5 * HOUR, DAY]),  # time goes by
    st.just("keep"),
    st.just("restart"),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=_PHASES)
@example(["keep", [(1, 0, 0.0)], 5 * HOUR, DAY, "keep", [(1, DAY + 8 * HOUR, 0.0)]], 0.0)  # a day that none knows of
@given(st.lists(_ACTION, max_size=10), st.sampled_from([0.0, 1.0]))
def test_figures_are_those_of_all_rows_whatever_happened_in_between(actions: list[Any], retention: float) -> None:
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder), city_settings.Store(retention_days=retention))
        now = 3 * HOUR
        for action in [*actions, "keep"]:
            if action == "keep":
                lake.close_days(now)
            elif action == "restart":
                lake.restart()
            elif isinstance(action, int):
                now += action
            else:
                lake.add(*action)
            answer = lake.store.aggregate(BY_STREAM, 3 * HOUR, 2 * DAY + HOUR, HOUR)
            assert seen(answer.rows) == lake.plainly(3 * HOUR, 2 * DAY + HOUR, HOUR)
            assert (answer.sources[0].start, answer.sources[-1].end) == (3 * HOUR, 2 * DAY + HOUR)
        for step in (QUARTER_HOUR, DAY):
            answer = lake.store.aggregate(BY_STREAM, 0, 2 * DAY, step)
            assert seen(answer.rows) == lake.plainly(0, 2 * DAY, step)
            whole = lake.store.aggregate(METERS, 0, 2 * DAY, step, Whole([10], "meter"))
            assert seen(whole.rows) == lake.plainly(0, 2 * DAY, step, city=True)
        lake.keeper.stop()
        lake.store.close()


def test_a_closed_day_is_answered_from_roll_ups_and_the_answer_says_so(lake: Lake) -> None:
    lake.add((1, 0, 1.0), (1, QUARTER_HOUR, 3.0), (1, DAY + 1, 5.0))
    assert tables(lake.store.aggregate(BY_STREAM, 0, 2 * DAY, HOUR)) == ["observations"]
    lake.close_days(DAY + HOUR)
    answer = lake.store.aggregate(BY_STREAM, 0, 2 * DAY, HOUR)
    assert answer.sources == (Source("quarter_hours", 0, DAY), Source("observations", DAY, 2 * DAY))
    assert tables(lake.store.aggregate(BY_STREAM, 0, 2 * DAY, DAY)) == ["days", "observations"]
    assert tables(lake.store.aggregate(METERS, 0, DAY, DAY, Whole([10], ""))) == ["city_quarter_hours"]
    assert tables(lake.store.aggregate(BY_STREAM, 0, DAY, QUARTER_HOUR // 15)) == ["observations"]


def test_a_late_row_counts_at_once_and_its_day_is_rolled_up_again_after_a_rest(lake: Lake) -> None:
    lake.add((1, 0, 1.0))
    lake.close_days(DAY + HOUR)
    lake.add((1, 1, 3.0))
    answer = lake.store.aggregate(BY_STREAM, 0, DAY, DAY)
    assert (tables(answer), answer.rows.column("mean").to_pylist()) == (["observations"], [2.0])
    lake.keep(DAY + 2 * HOUR)
    assert tables(lake.store.aggregate(BY_STREAM, 0, DAY, DAY)) == ["observations"]
    lake.keep(DAY + 3 * HOUR)
    answer = lake.store.aggregate(BY_STREAM, 0, DAY, DAY)
    assert (tables(answer), answer.rows.column("mean").to_pylist()) == (["days"], [2.0])


def test_a_correction_lets_a_day_be_rolled_up_anew(lake: Lake) -> None:
    lake.add((1, 0, 1.0))
    lake.close_days(DAY + HOUR)
    with lake.store.cursor() as c:
        c.execute("BEGIN")
        c.execute("UPDATE lake.observations SET value = 7 WHERE stream = 1")
        reopen(c, list(calendar(c)), DAY + HOUR)
        c.execute("COMMIT")
    for after in (HOUR, 3 * HOUR):
        lake.keep(DAY + after)
        assert lake.store.aggregate(BY_STREAM, 0, DAY, DAY).rows.column("high").to_pylist() == [7.0]
    assert tables(lake.store.aggregate(BY_STREAM, 0, DAY, DAY)) == ["days"]


def test_what_passes_its_retention_goes_step_by_step_and_an_answer_never_guesses(tmp_path: Path) -> None:
    lake = Lake(tmp_path, city_settings.Store(retention_days=2, quarter_hours_days=4, daily_days=6))
    lake.add((1, 0, 1.0), (1, QUARTER_HOUR, 5.0))
    lake.close_days(DAY + HOUR)
    assert lake.raw() == 2
    lake.keep(3 * DAY)
    assert lake.raw() == 0
    lake.add((1, 2 * QUARTER_HOUR, 6.0))  # later than its retention
    hourly = lake.store.aggregate(BY_STREAM, 0, DAY, HOUR)
    assert (tables(hourly), hourly.rows.column("mean").to_pylist()) == (["quarter_hours"], [4.0])
    lake.keep(3 * DAY)
    assert lake.raw() == 0
    assert seen(lake.store.aggregate(BY_STREAM, 0, DAY, HOUR).rows) == lake.plainly(0, DAY, HOUR)
    with pytest.raises(InputRefused, match="steps of 15 minutes"):
        lake.store.aggregate(BY_STREAM, 0, DAY, QUARTER_HOUR // 15)
    lake.keep(5 * DAY)
    with pytest.raises(InputRefused, match="only daily figures"):
        lake.store.aggregate(BY_STREAM, 0, DAY, HOUR)
    daily = lake.store.aggregate(METERS, 0, DAY, DAY, Whole([10], "meter"))
    assert (tables(daily), daily.rows.column("n").to_pylist()) == (["days"], [3])
    lake.keep(7 * DAY)
    with pytest.raises(InputRefused, match="nothing is left"):
        lake.store.aggregate(BY_STREAM, 0, DAY, DAY)
    lake.store.close()


def test_retention_counts_from_when_a_row_came_so_that_an_import_of_old_readings_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path, city_settings.Store(retention_days=2))
    lake.add((1, 100 * DAY, 1.0))
    lake.close_days(101 * DAY + HOUR)
    lake.add((2, 0, 1.0))
    lake.close_days(102 * DAY)
    lake.keep(103 * DAY)
    assert lake.store.query("SELECT stream FROM lake.observations").column("stream").to_pylist() == [2]
    lake.keep(104 * DAY)
    assert lake.raw() == 0
    lake.store.close()


def test_upkeep_that_is_cut_off_leaves_the_day_as_it_was_and_goes_on_later(lake: Lake) -> None:
    lake.add(*[(1 + n % 3, n * 1_000_000, float(n)) for n in range(2000)])
    lake.keep(HOUR)
    stopping: list[threading.Thread] = []

    def groups() -> pa.Table:  # asked for just before the day is rolled up
        stopping.append(threading.Thread(target=lake.keeper.stop))
        stopping[0].start()
        while not lake.keeper._stopped:
            pass
        return KINDS

    with pytest.raises(Stopped):
        lake.keeper.work(DAY + HOUR, groups)
    stopping[0].join()
    assert tables(lake.store.aggregate(BY_STREAM, 0, DAY, DAY)) == ["observations"]
    lake.keep(DAY + HOUR)
    answer = lake.store.aggregate(BY_STREAM, 0, DAY, QUARTER_HOUR)
    assert tables(answer) == ["quarter_hours"]
    assert seen(answer.rows) == lake.plainly(0, DAY, QUARTER_HOUR)


def test_upkeep_and_readers_do_not_disturb_a_writer(lake: Lake) -> None:
    wrong: list[BaseException] = []
    ended = threading.Event()

    def try_it(work: Any) -> None:
        try:
            while not ended.is_set():
                work()
        except BaseException as error:
            wrong.append(error)

    def look() -> None:
        before = lake.rows.num_rows
        counted = sum(lake.store.aggregate(BY_STREAM, 0, 3 * DAY, HOUR).rows.column("n").to_pylist())
        assert before <= counted <= lake.sequence * 30

    lake.add((1, 0, 1.0))
    clock = iter(range(DAY + HOUR, 10**15, 2 * HOUR))
    threads = [threading.Thread(target=try_it, args=(work,)) for work in (lambda: lake.keep(next(clock)), look)]
    for thread in threads:
        thread.start()
    for n in range(60):
        lake.add(*[(1 + i % 3, (n * 30 + i) * QUARTER_HOUR // 8, float(i)) for i in range(30)])
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen(lake.store.aggregate(BY_STREAM, 0, 3 * DAY, HOUR).rows) == lake.plainly(0, 3 * DAY, HOUR)


@pytest.mark.parametrize(
    ("start", "end", "step", "why"),
    [
        (0, DAY, 7_000_000, "does not divide a day"),
        (0, DAY, 0, "does not divide a day"),
        (1, DAY, HOUR, "whole steps"),
        (0, DAY + QUARTER_HOUR, DAY, "whole steps"),
        (DAY, DAY, HOUR, "not be empty"),
    ],
)
def test_a_span_that_would_cut_a_step_is_refused(lake: Lake, start: int, end: int, step: int, why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        lake.store.aggregate(BY_STREAM, start, end, step)


def test_runs_of_days() -> None:
    from datetime import date

    days = [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3)]
    assert list(runs(days)) == [(days[0], days[2]), (days[3], days[3])]
    assert list(runs([])) == []
