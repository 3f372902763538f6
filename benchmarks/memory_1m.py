"""A million streams: how long registering them takes, and what the serving process holds in memory then."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from registry import Figure, Run, benchmark, require
from rows import as_arrow, hours_before_today, posts, readings
from running import Running, running

_STREAMS_EACH = 10


@benchmark
def memory_1m(run: Run) -> Iterable[Figure]:
    """Resident memory after registering, and after a restart with a latest value for every stream."""
    streams = run.size(1_000_000, 2_000)
    folder = run.folder / "city"
    with running(run.folder / "empty") as city:
        bare = _settled(city)
    with running(folder) as city:
        begun = perf_counter()
        city.register(posts(streams // _STREAMS_EACH, _STREAMS_EACH))
        took = perf_counter() - begun
        seen = city.get("/api/status")["streams"]
        require(seen == streams, f"{seen} of {streams} streams are registered")
        registered = _settled(city)
        run.say(f"{streams} streams registered in {took:.1f} s")
        city.post("/bulk/observations", as_arrow(readings(streams, 1, hours_before_today(24), seed=0)))
    with running(folder) as city:
        heard = city.get("/api/status")["streams_heard"]
        require(heard == streams, f"{heard} of {streams} streams have a latest value after a restart")
        restarted = _settled(city)
    floor_is = "the same process without streams"
    yield Figure(f"registering {streams:,} streams through the door", took, "s", _bare_rows(run.folder, streams),
                 "bare SQLite insert of as many keyed rows", aim=120.0)  # fmt: skip
    yield Figure(f"memory with {streams:,} streams, just registered", registered / 1e6, "MB", bare / 1e6, floor_is,
                 aim=1500.0)  # fmt: skip
    yield Figure("  after a restart, with a latest value each", restarted / 1e6, "MB", bare / 1e6, floor_is, aim=1500.0)


def _settled(city: Running) -> int:
    """Resident memory [byte] when the city has answered and its first turns are made."""
    city.get("/api/practices")
    city.get("/api/status")
    return city.memory()


def _bare_rows(folder: Path, count: int) -> float:
    """Seconds that SQLite alone needs for rows with a unique key, synced."""
    with sqlite3.connect(folder / "bare.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE streams (id INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT, thing INTEGER)")
        begun = perf_counter()
        rows = ((n, f"post/{n}/air_temperature", f"post/{n} air_temperature", n // 10) for n in range(count))
        database.executemany("INSERT INTO streams VALUES (?, ?, ?, ?)", rows)
        database.commit()
        return perf_counter() - begun
