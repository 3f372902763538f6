"""Latest value and history of one stream, read through SensorThings from a city with a million streams and a hundred
million readings.

The history is folded straight into the store and the live arrays, as the writer does it, without passing a door.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from registry import Figure, Run, benchmark, require
from rows import INSTANT, ZERO_CELSIUS, posts
from running import FREE, Running, move_log, running

from civium.core import MICROSECONDS, to_datetime
from civium.core.observations import MAX_ROWS, STORED, complete, pack
from civium.engines.rollups import GROUPS
from civium.engines.settings import Store as Keeping
from civium.engines.settings import load
from civium.engines.store import Store
from civium.engines.upkeep import Keeper
from civium.twin.live import Live

_HOUR = 3600 * MICROSECONDS
_STREAMS_EACH = 10
_ASKED = 20  # streams that are read


@benchmark
def read_latest_history(run: Run) -> Iterable[Figure]:
    """Median over some streams, each read once, so that nothing is served from an earlier answer."""
    streams, hours = run.size(1_000_000, 2_000), run.size(100, 50)  # readings of a stream, one an hour
    start = (int(time.time()) // 3600 - hours + 1) * _HOUR  # the last reading is of this hour
    folder = run.folder / "city"
    with running(folder, "--idle") as city:
        city.register(posts(streams // _STREAMS_EACH, _STREAMS_EACH))
    run.say(f"{streams} streams registered")
    files = fill(run, folder, streams, hours, start)
    asked = np.random.default_rng(1).choice(streams, _ASKED, replace=False) + 1
    wanted = {int(s): _values(np.array([s]), np.arange(hours))[:, 0] for s in asked}
    with running(folder, "--idle") as city:
        seen = city.get("/api/status")["observations"]
        require(seen == streams * hours, f"{seen} of {streams * hours} readings are there")
        last = start + (hours - 1) * _HOUR
        latest = _timed(asked, lambda s: _observations(city, s, **{"$orderby": "phenomenonTime desc", "$top": 1}))
        whole = _timed(asked, lambda s: _observations(city, s, **{"$orderby": "phenomenonTime", "$top": 1000}))
        span = f"phenomenonTime ge {_text(start + 24 * _HOUR)} and phenomenonTime lt {_text(start + 48 * _HOUR)}"
        day = _timed(asked, lambda s: _observations(city, s, **{"$filter": span, "$orderby": "phenomenonTime",
                                                                "$top": 1000}))  # fmt: skip
    for s, values in wanted.items():
        require(latest[1][s] == [(_text(last), values[-1])], f"the latest value of stream {s} is {latest[1][s]}")
        require([v for _, v in whole[1][s]] == values.tolist(), f"the history of stream {s} is not what was stored")
        require([v for _, v in day[1][s]] == values[24:48].tolist(), f"a day of stream {s} is not what was stored")
    bare = _Bare(files, hours)
    rows = f"{streams:,} streams and {streams * hours:,} readings"
    floor_is = "bare DuckDB on the same Parquet"
    yield Figure(f"latest value of a stream, {rows}", latest[0], "ms", bare.latest(asked), floor_is)
    yield Figure(f"  its whole history, {hours} readings", whole[0], "ms", bare.whole(asked), floor_is)
    yield Figure("  one day of it", day[0], "ms", bare.day(asked, start + 24 * _HOUR), floor_is)


def _values(stream: NDArray[np.int64], hour: NDArray[np.int64]) -> NDArray[np.float64]:
    """The declared readings [degree Celsius], hours by streams: a daily course, and a scatter of tenths."""
    course = 12.0 + 8.0 * np.sin(2 * np.pi * hour[:, None] / 24.0)
    scatter = (stream[None, :] * 7919 + hour[:, None] * 104_729) % 101 / 10.0
    rounded: NDArray[np.float64] = np.round(course + scatter, 1)
    return rounded


def fill(run: Run, folder: Path, streams: int, hours: int, start: int) -> list[Path]:
    """Fold the readings hour by hour, merging each closed day; returns the Parquet files of the lake."""
    stream = np.arange(1, streams + 1, dtype=np.int64)
    store, live = Store.open(load(folder, FREE), folder), Live()
    keeper = Keeper(store, Keeping(retention_days=0))
    try:
        sequence, _ = store.applied(0)
        for hour in range(hours):
            instant = start + hour * _HOUR
            value = _values(stream, np.array([hour]))[0] + ZERO_CELSIUS
            rows, until = _number(_table(stream, instant, value), sequence)
            store.append(0, rows, sequence, until)
            live.fold(rows)
            sequence = until
            if (instant + _HOUR) % (24 * _HOUR) == 0 or hour == hours - 1:
                keeper.work(instant, GROUPS.empty_table)
                run.say(f"{(hour + 1) * streams:,} readings folded, {store.files()} files")
        live.save(folder / "live.npz", {0: sequence})
        found = store.query("SELECT data_file FROM ducklake_list_files('lake', 'observations')")
        files = [Path(name) for name in found.column("data_file").to_pylist()]
    finally:
        store.close()
    asyncio.run(move_log(folder, sequence))
    return files


def _table(stream: NDArray[np.int64], instant: int, value: NDArray[np.float64]) -> pa.Table:
    instants = pa.array(np.full(len(stream), instant)).cast(INSTANT)
    return complete(pa.table({"stream": stream, "time": instants, "made": instants, "value": value}))


def _number(rows: pa.Table, after: int) -> tuple[pa.Table, int]:
    """The rows with the ids that log messages after a sequence would give them; and the last of these sequences."""
    place = np.arange(rows.num_rows)
    ids = pack(0, after + 1) + (place // MAX_ROWS << 16) + place % MAX_ROWS
    return rows.add_column(0, STORED.field("id"), pa.array(ids)), after + -(-rows.num_rows // MAX_ROWS)


def _observations(city: Running, stream: int, **query: Any) -> list[tuple[str, float]]:
    found = city.get(f"/v1.1/Datastreams({stream})/Observations", **query)["value"]
    return [(one["phenomenonTime"], round(one["result"], 6)) for one in found]


def _timed(streams: NDArray[np.int64], read: Callable[[int], Any]) -> tuple[float, dict[int, Any]]:
    """Median time [ms] of reading each stream, after one read that nobody counts; and what was read."""
    read(1)
    times, answers = [], {}
    for stream in streams.tolist():
        begun = perf_counter()
        answers[stream] = read(stream)
        times.append((perf_counter() - begun) * 1e3)
    return median(times), answers


def _text(instant: int) -> str:
    return to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Bare:
    """The same questions to DuckDB alone, with the store's settings, on the same files."""

    def __init__(self, files: list[Path], hours: int) -> None:
        self._hours = hours
        self._duck = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
        self._from = f"FROM read_parquet({[str(file) for file in files]!r}, hive_partitioning = false) WHERE stream = "

    def latest(self, streams: NDArray[np.int64]) -> float:
        return self._median(streams, "SELECT id, time, value", "ORDER BY time DESC, id DESC LIMIT 1", 1)

    def whole(self, streams: NDArray[np.int64]) -> float:
        return self._median(streams, "SELECT id, time, value", "ORDER BY time", self._hours)

    def day(self, streams: NDArray[np.int64], start: int) -> float:
        span = f"AND time >= make_timestamp({start}) AND time < make_timestamp({start + 24 * _HOUR}) ORDER BY time"
        return self._median(streams, "SELECT id, time, value", span, 24)

    def _median(self, streams: NDArray[np.int64], select: str, rest: str, rows: int) -> float:
        def read(stream: int) -> None:
            found = self._duck.execute(f"{select} {self._from}{stream} {rest}").fetchall()
            require(len(found) == rows, f"bare DuckDB finds {len(found)} rows of stream {stream}, not {rows}")

        return _timed(streams, read)[0]
