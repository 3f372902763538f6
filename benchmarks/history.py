"""A history of a thousand million readings: bytes of a reading on disk, what closing a day costs, how fast it is read.

100,000 streams of 25,000 things, a reading each 864 s over 100 days. The last day goes into the store as the writer
does it, commit after commit, and is then merged; the others are inserted as such a merge leaves them, sorted, since a
hundred times the same would take hours. Then upkeep closes the days.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from statistics import quantiles
from time import perf_counter
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from registry import Figure, Run, benchmark, require
from rows import INSTANT
from running import FREE, Running, move_log, running

from civium.core import MICROSECONDS, to_datetime
from civium.core.observations import MAX_ROWS, STORED, complete, pack
from civium.engines.aggregate import Whole
from civium.engines.rollups import DAY, GROUPS
from civium.engines.settings import Store as Keeping
from civium.engines.settings import load
from civium.engines.store import Store
from civium.engines.upkeep import Keeper
from civium.twin.census import Census
from civium.twin.live import Live

_EACH_DAY = 100  # readings of a stream
_EVERY = DAY // _EACH_DAY
_COMMITS = 20  # of the day that is written as the writer does it
_ASKED = 40  # streams that are read
_HOUR = 3600 * MICROSECONDS
_BYTES = 26  # of disk a reading, with its roll-ups and what a merge leaves for twenty minutes
_KIND = "quarter"
_SHARES = (  # the declared values: a quarter of the streams each
    ("energy", "kWh", "a meter's register in steps of 0.1 kWh"),
    ("temperature", "K", "a daily course in steps of 0.1 K"),
    ("vehicle_count", "1", "a Poisson count of mean 12"),
    ("noise", "1", "normal noise, a random double"),
)


@benchmark
def history(run: Run) -> Iterable[Figure]:
    """Needs 26 GB of disk at full size, and an hour or more."""
    made = _Made(things=run.size(25_000, 500), days=run.size(100, 12))
    rows = f"{made.rows:,} readings of {made.streams:,} streams"
    need, free = made.rows * _BYTES, disk_usage(run.folder).free
    require(free > need, f"this needs {need / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free")
    for number, (name, unit, words) in enumerate(_SHARES):
        run.say(f"property {number} of 4, a quarter of the streams: {name} [{unit}], {words}")
    folder = run.folder / "city"
    with running(folder, "--idle") as city:
        city.register(made.register())
        for number, (name, *_) in enumerate(_SHARES):
            told = city.get(f"/v1.1/Datastreams({number + 1})/ObservedProperty")
            require(told["name"] == name, f"stream {number + 1} measures {told['name']}")
            made.properties.append(told["@iot.id"])
    store = Store.open(load(folder, FREE), folder)
    try:
        yield from _build(run, made, store, folder, rows)
        asyncio.run(move_log(folder, store.applied(0)[0]))
        yield from _read(made, store, rows)
    finally:
        store.close()
    with running(folder, "--idle") as city:
        yield from _ask(made, city, folder)


@dataclass
class _Made:
    """The declared readings. Stream s (from 1) measures property (s - 1) % 4 of thing (s - 1) // 4."""

    things: int
    days: int

    def __post_init__(self) -> None:
        self.streams = 4 * self.things
        self.properties: list[int] = []
        self.rows = self.streams * self.days * _EACH_DAY
        self.start = (int(time.time()) * MICROSECONDS // DAY - self.days) * DAY  # the last day ended last midnight
        self.stream = np.arange(1, self.streams + 1, dtype=np.int64)
        fixed = np.random.default_rng(1)
        self._offset = fixed.integers(0, 864, self.streams) * MICROSECONDS  # a device reports at its own second
        self._level = fixed.integers(0, 100_000, self.things).astype(np.float64)  # [0.1 kWh]

    def register(self) -> Iterable[dict[str, Any]]:
        for n in range(self.things):
            where = {"type": "Point", "coordinates": [24.9 + n % 1000 * 1e-4, 60.1 + n // 1000 * 1e-4]}
            streams = [{"property": name, "unit": unit} for name, unit, _ in _SHARES]
            yield {"key": f"{_KIND}/{n}", "kind": _KIND, "where": where, "streams": streams}

    def day(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Times and results' times [us since epoch] and values (SI) of one day, streams by readings. Days in order."""
        chance = np.random.default_rng(number + 2)
        shape = (self.things, _EACH_DAY)
        at = self.start + number * DAY + np.arange(_EACH_DAY) * _EVERY
        times = self._offset[:, None] + at[None, :]
        made = times + chance.integers(0, 2000, times.shape) * 1000  # sent within two seconds, known to the ms
        values = np.empty((self.streams, _EACH_DAY))
        level = self._level[:, None] + chance.poisson(3.0, shape).cumsum(axis=1)
        self._level = level[:, -1]
        course = 285.0 + 8.0 * np.sin(2 * np.pi * np.arange(_EACH_DAY) / _EACH_DAY)
        values[0::4] = np.round(level * 0.1, 1) * 3.6e6
        values[1::4] = np.round(course[None, :] + chance.normal(0.0, 0.3, shape), 1)
        values[2::4] = chance.poisson(12.0, shape)
        values[3::4] = chance.normal(0.0, 1.0, shape)
        return times, made, values

    def groups(self) -> pa.Table:
        kinds = pa.array(np.full(self.streams, _KIND))
        properties = np.array(self.properties, np.int64)[(self.stream - 1) % 4]
        return pa.table({"stream": self.stream, "property": properties, "kind": kinds}, schema=GROUPS)


def _rows(made: _Made, number: int, after: int) -> tuple[pa.Table, NDArray[np.int64], int]:
    """Rows of one day sorted by stream and time; each reading's place in the order of arrival; the last sequence.

    In each round every stream reports once, in an order that is another each time.
    """
    times, results, values = made.day(number)
    chance = np.random.default_rng(-number & 0xFFFF)
    place = np.argsort(chance.random((_EACH_DAY, made.streams)), axis=1).T + np.arange(_EACH_DAY) * made.streams
    place = np.ascontiguousarray(place).ravel()
    ids = pack(0, after + 1) + (place // MAX_ROWS << 16) + place % MAX_ROWS
    columns = {"stream": np.repeat(made.stream, _EACH_DAY), "value": values.ravel()}
    instants = {"time": pa.array(times.ravel()).cast(INSTANT), "made": pa.array(results.ravel()).cast(INSTANT)}
    table = complete(pa.table({**columns, **instants})).add_column(0, STORED.field("id"), pa.array(ids))
    return table, place, after + -(-table.num_rows // MAX_ROWS)


def _build(run: Run, made: _Made, store: Store, folder: Path, rows: str) -> Iterable[Figure]:
    keeper = Keeper(store, Keeping(retention_days=0))
    live, bulk = Live(), 0.0
    sequence, log = store.applied(0)
    require(bool(log), "the store has not been adopted by the city")
    for number in range(made.days - 1):
        table, _, until = _rows(made, number, sequence)
        begun = perf_counter()
        store.append(0, table, sequence, until)
        bulk += perf_counter() - begun
        sequence = until
        if number % 10 == 9:
            run.say(f"{(number + 1) * made.streams * _EACH_DAY:,} readings inserted")
    keeper.work(made.start + (made.days - 1) * DAY, made.groups)  # it sees the rows; only the last day is not over
    begun = perf_counter()
    keeper.work(made.start + (made.days - 1) * DAY + 2 * _HOUR, made.groups)
    rolled = perf_counter() - begun
    require(keeper.done.rolled_days == made.days - 1, f"only {keeper.done.rolled_days} days are rolled up")
    run.say(f"{made.days - 1} days rolled up")
    day = made.streams * _EACH_DAY
    table, place, last = _rows(made, made.days - 1, sequence)
    arrived = table.take(pa.array(np.argsort(place)))
    live.fold(arrived.slice(arrived.num_rows - made.streams))
    live.rows = made.rows
    live.save(folder / "live.npz", {0: last})
    begun = perf_counter()
    for part in np.array_split(np.arange(last - sequence), _COMMITS):
        if len(part):
            some = arrived.slice(int(part[0]) * MAX_ROWS, len(part) * MAX_ROWS)
            store.append(0, some, sequence, sequence + len(part))
            sequence += len(part)
    written = perf_counter() - begun
    floor = _bare_copy(run.folder, table)
    before = store.files()
    del table, place, arrived, some
    keeper.work(made.start + made.days * DAY, made.groups)
    resident = _forget_peak()
    begun = perf_counter()
    keeper.work(made.start + made.days * DAY + _HOUR, made.groups)
    closed = perf_counter() - begun
    memory = _peak() - resident
    run.say(f"the last day was in {before - made.days + 1} files; {store.files()} hold the readings now")
    census = Census(store, folder / "extents.npz")  # a city that runs counts its rows as they come
    census.start({0: sequence})
    census.catch_up({0: sequence})
    census.save()
    run.say("every stream's rows are counted")
    sizes = _sizes(store)
    one = np.sort(store.query(_FILE_SIZES).column("bytes").to_numpy())[-made.days :]
    raw = "int64 id, stream and time, double"
    yield Figure(f"a reading with its id, {rows}", sizes["observations"] / made.rows, "byte", 32, raw, aim=16.0)
    yield Figure("  its share of the 15-minute figures", sizes["quarter_hours"] / made.rows, "byte", 32, raw)
    yield Figure("  of daily figures and of those of the city",
                 (sizes["days"] + sizes["city_quarter_hours"]) / made.rows, "byte", 32, raw)  # fmt: skip
    yield Figure("  the largest day of them, beside the median day", one[-1] / day, "byte", float(np.median(one)) / day,
                 "median day")  # fmt: skip
    each = f"s for a day of {day:,} readings"
    yield Figure(f"insert, {each}, sorted", bulk / (made.days - 1), "s", floor, "DuckDB copies them to Parquet")
    yield Figure(f"  {_COMMITS} commits, as they arrive", written, "s", floor, "DuckDB copies them to Parquet")
    yield Figure("  roll-ups of a closed day", rolled / (made.days - 1), "s", floor, "DuckDB copies them to Parquet")
    all_of_it = "  merge, sort and roll-ups of a day as it arrived"
    yield Figure(all_of_it, closed, "s", floor, "DuckDB copies them to Parquet")
    yield Figure("  memory that this takes at most", memory, "MB", 2048, "what the store may take")


def _read(made: _Made, store: Store, rows: str) -> Iterable[Figure]:
    bare = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
    names = {
        name: [f.as_py() for f in store.query(f"SELECT data_file FROM ducklake_list_files('lake', '{name}')").column(0)]
        for name in ("observations", "quarter_hours")
    }
    chance = np.random.default_rng(7)
    asked = chance.choice(made.streams, _ASKED, replace=False) + 1
    days = chance.integers(0, made.days, _ASKED)
    spans = [(int(s), made.start + int(d) * DAY) for s, d in zip(asked, days, strict=True)]
    text = ("SELECT id, time, value FROM {} WHERE stream = {} AND time >= make_timestamp({}) "
            "AND time < make_timestamp({}) ORDER BY time")  # fmt: skip

    def a_day(source: str, ask: Callable[[str], int]) -> Callable[[tuple[int, int]], None]:
        def read(span: tuple[int, int]) -> None:
            found = ask(text.format(source, span[0], span[1], span[1] + DAY))
            require(found == _EACH_DAY, f"stream {span[0]} has {found} readings of a day")

        return read

    mine = _spread(spans, a_day("lake.observations", lambda sql: store.query(sql).num_rows))
    files = f"read_parquet({names['observations']!r}, hive_partitioning = true)"

    def pruned(span: tuple[int, int]) -> None:
        when = to_datetime(span[1])
        where = f"year = {when.year} AND month = {when.month} AND day = {when.day} AND stream = {span[0]}"
        found = bare.execute(f"SELECT id, time, value FROM {files} WHERE {where} ORDER BY time").fetchall()
        require(len(found) == _EACH_DAY, f"bare DuckDB finds {len(found)} readings of a day of stream {span[0]}")

    floor = _spread(spans, pruned)
    yield Figure("one stream's day, p50", mine[0], "ms", floor[0], "bare DuckDB on the same Parquet")
    yield Figure("  p95", mine[1], "ms", floor[1], "bare DuckDB on the same Parquet", aim=50.0)
    counted = _best(lambda: store.query("SELECT count(*) AS n FROM lake.observations").column("n")[0].as_py())
    require(counted[1] == made.rows, f"{counted[1]} of {made.rows} readings are there")
    floor_count = _best(lambda: bare.execute(f"SELECT count(*) FROM {files}").fetchone())
    yield Figure(f"count of {rows}", counted[0] * 1e3, "ms", floor_count[0] * 1e3, "bare DuckDB on the same Parquet")
    month = min(30, made.days)
    start = made.start + (made.days - month) * DAY
    streams = made.stream[1::4]
    wanted = pa.table({"stream": streams, "group": np.zeros_like(streams)})
    hours = f"each hour of {month} days, one property of {len(streams):,} streams"
    span = (start, start + month * DAY, _HOUR)
    city = _best(lambda: store.aggregate(wanted, *span, Whole(made.properties[1:2], _KIND)))
    require([s.table for s in city[1].sources] == ["city_quarter_hours"], "the city's table does not answer")
    summed = ("SELECT epoch_us({0}) // 3600000000, sum({1}) AS n, sum({2}) / sum({1}), min({3}), max({4}) FROM "
              "read_parquet({5!r}, hive_partitioning = false) "
              "WHERE {0} >= make_timestamp({6}) AND (stream - 1) % 4 = 1 GROUP BY 1 ORDER BY 1")  # fmt: skip
    raw = _once(lambda: bare.execute(
        summed.format("time", "1", "value", "value", "value", names["observations"], start)).fetchall())  # fmt: skip
    require(
        [r[1] for r in raw[1]] == city[1].rows.column("n").to_pylist(), "the counts of raw rows and roll-ups differ"
    )
    means = np.array([r[2] for r in raw[1]]) / city[1].rows.column("mean").to_numpy() - 1
    require(float(np.abs(means).max()) < 1e-12, "the means of raw rows and roll-ups differ")
    yield Figure(hours, city[0], "s", raw[0], "bare DuckDB, raw rows", aim=2.0)
    fine = _once(lambda: store.aggregate(wanted, *span))
    require(fine[1].rows.column("n").to_pylist() == city[1].rows.column("n").to_pylist(), "two roll-ups differ")
    columns = ("start", "n", "total", "coalesce(low, total)", "coalesce(high, total)")
    floor_fine = _once(lambda: bare.execute(summed.format(*columns, names["quarter_hours"], start)).fetchall())
    yield Figure("  from the figures of each stream", fine[0], "s", floor_fine[0], "bare DuckDB, 15-minute figures")
    bare.close()


def _ask(made: _Made, city: Running, folder: Path) -> Iterable[Figure]:
    """The same of a running city, through its doors."""
    require(city.get("/api/status")["observations"] == made.rows, "the running city does not know all readings")
    asked = [int(s) for s in np.random.default_rng(9).choice(made.streams, _ASKED, replace=False) + 1]
    live, at = Live.load(folder / "live.npz")
    require(at.get(0, 0) > 0, "there are no live arrays")
    arrays = _spread(asked, lambda s: live.latest(np.array([s])))
    yield Figure("latest of a stream, live arrays, p95", arrays[1], "ms", arrays[1], "itself", aim=5.0)
    floor = _spread(asked, lambda _: city.get("/v1.1"))
    latest = _spread(asked, lambda s: city.get(f"/v1.1/Datastreams({s})/Observations",
                                               **{"$orderby": "phenomenonTime desc", "$top": 1}))  # fmt: skip
    yield Figure("  through SensorThings, p95", latest[1], "ms", floor[1], "the root document")
    end = made.start + made.days * DAY
    span = {"from": _text(end - min(30, made.days) * DAY), "to": _text(end)}
    query = {"property": "temperature", "kind": _KIND, "bucket": "1h", **span}
    told = _best(lambda: city.get("/api/aggregate", **query))
    require(len(told[1]["start"]) == 24 * min(30, made.days), "some hours are missing")
    yield Figure(
        "each hour of the month through /api/aggregate", told[0], "s", floor[0] / 1e3, "the root document", aim=2.0
    )


_FILE_SIZES = "SELECT data_file_size_bytes AS bytes FROM ducklake_list_files('lake', 'observations')"


def _sizes(store: Store) -> dict[str, int]:
    """Bytes of Parquet of each table."""
    sizes = {}
    for name in ("observations", "quarter_hours", "days", "city_quarter_hours"):
        text = _FILE_SIZES.replace("observations", name)
        sizes[name] = int(store.query(text).column("bytes").to_numpy().sum())
    return sizes


def _bare_copy(folder: Path, table: pa.Table) -> float:
    """Seconds that DuckDB alone takes to write the rows of a day to one Parquet file."""
    slim = table.select(["id", "stream", "time", "made", "value"])
    slim = slim.cast(
        pa.schema([f.with_type(pa.timestamp("us")) if f.name in ("time", "made") else f for f in slim.schema])
    )
    with duckdb.connect(config={"threads": 2}) as bare:
        bare.register("day", slim)
        begun = perf_counter()
        bare.execute(f"COPY (FROM day) TO '{folder / 'day.parquet'}' (COMPRESSION zstd, PARQUET_VERSION v2)")
        return perf_counter() - begun


def _spread(asked: list[Any], read: Callable[[Any], Any]) -> tuple[float, float]:
    """Median and 95th percentile [ms] of reading each, after one read that nobody counts."""
    read(asked[0])
    times = [_once(lambda one=one: read(one))[0] * 1e3 for one in asked]
    return quantiles(times, n=2)[0], quantiles(times, n=20)[-1]


def _forget_peak() -> float:
    """Let the largest resident memory of this process count from now; returns the present one [MB]."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """Largest resident memory of this process [MB]."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def _once(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = perf_counter()
    answer = work()
    return perf_counter() - begun, answer


def _best(work: Callable[[], Any]) -> tuple[float, Any]:
    return min((_once(work) for _ in range(3)), key=lambda timed: timed[0])


def _text(instant: int) -> str:
    return to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%SZ")
