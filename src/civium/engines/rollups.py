"""Roll-ups: 15-minute and daily figures of every stream, and 15-minute figures of every property of the whole city.

They are tables of the lake. A closed day is rolled up from its raw rows in one transaction with its line in
``calendar``; a row that comes late opens its day again, and the day is rolled up anew. A day whose raw rows have passed
their retention takes late rows in by addition: the tables hold partial figures, and whoever reads them adds them up.

Functions take a DuckDB connection with the lake attached, and are called by one process at a time: the one that keeps
the lake. Only numbers are rolled up; NaN and the infinities are none. Days are days of UTC.

| table | a row |
| --- | --- |
| ``quarter_hours``, ``days`` | ``stream, start, n, total, low, high, last, last_at``: ``low``, ``high`` and ``last`` are null where n is 1, since they are ``total`` then |
| ``city_quarter_hours`` | ``property, kind, start, n, total, low, high``: all streams of a property of things of a kind |
| ``calendar`` | ``day, state, since``: what became of each day that ever had a row, and when one last came |
| ``rolled`` | ``shard, id``: up to which id the calendar knows of the rows |
"""  # noqa: E501 - a table

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import duckdb
import pyarrow as pa

from civium.core.observations import pack
from civium.engines import corrections

QUARTER_HOUR: Final = 900_000_000  # [us]
DAY: Final = 86_400_000_000  # [us]
TABLES: Final = ("quarter_hours", "days", "city_quarter_hours")
# What answers for a day: raw rows; roll-ups beside raw rows; roll-ups alone; daily figures alone; nothing any more.
OPEN, ROLLED, RETIRED, DAILY, FORGOTTEN = "open", "rolled", "retired", "daily", "forgotten"
RAW_GONE = (RETIRED, DAILY, FORGOTTEN)
GROUPS = pa.schema([("stream", pa.int64()), ("property", pa.int64()), ("kind", pa.string())])

_FIRST = date(1970, 1, 1)
_STREAMS_AT_ONCE = 20_000  # at most 96 quarter-hours of each are in memory while a day is rolled up
_NEW = "SELECT id >> 48, time::DATE, count(*), max(id) FROM lake.observations WHERE {} GROUP BY 1, 2"
_LATE = "SELECT DISTINCT time::DATE FROM lake.observations WHERE {}"
_STREAMS = "SELECT DISTINCT stream FROM {rows} WHERE isfinite(value) AND {which} ORDER BY 1"
_ANY = "SELECT 1 FROM lake.{} WHERE {} LIMIT 1"
_GONE = "DELETE FROM lake.{} WHERE {}"
# The last reading is the one with the greatest time, then the greatest id.
_CHUNK = """
CREATE OR REPLACE TEMP TABLE chunk AS
SELECT stream, make_timestamp({day} + (epoch_us(time) - {day}) // {bucket} * {bucket}) AS start, count(*) AS n,
    sum(value) AS total, min(value) AS low, max(value) AS high,
    arg_max(value, epoch_us(time)::HUGEINT * 9007199254740992 + id) AS last, max(time) AS last_at
FROM {rows}
WHERE time >= make_timestamp({day}) AND time < make_timestamp({end}) AND isfinite(value) AND {which}
GROUP BY ALL
"""
_QUARTER_HOURS = """
INSERT INTO lake.quarter_hours BY NAME SELECT * REPLACE (
    CASE WHEN n > 1 THEN low END AS low, CASE WHEN n > 1 THEN high END AS high, CASE WHEN n > 1 THEN last END AS last)
FROM chunk ORDER BY stream, start
"""
_DAYS = """
INSERT INTO lake.days BY NAME SELECT * REPLACE (
    CASE WHEN n > 1 THEN low END AS low, CASE WHEN n > 1 THEN high END AS high, CASE WHEN n > 1 THEN last END AS last)
FROM (SELECT stream, make_timestamp({day}) AS start, sum(n)::BIGINT AS n, sum(total) AS total, min(low) AS low,
    max(high) AS high, arg_max(last, last_at) AS last, max(last_at) AS last_at FROM chunk GROUP BY stream)
ORDER BY stream
"""
_CITY = """
INSERT INTO lake.city_quarter_hours BY NAME
SELECT property, kind, start, sum(n)::BIGINT AS n, sum(total) AS total, min(low) AS low, max(high) AS high
FROM chunk JOIN groups USING (stream) GROUP BY ALL ORDER BY property, kind, start
"""

Connection = duckdb.DuckDBPyConnection
Sync = Callable[[], None]  # makes written files durable, before a commit


@dataclass(frozen=True, slots=True)
class Day:
    """A day with rows: whether its figures come from raw rows (OPEN), stand in the roll-ups (ROLLED), or are all that
    is left of it (RETIRED); and when a row last came for it, by the city's clock [us since epoch]."""

    state: str
    since: int


Calendar = dict[date, Day]


def calendar(c: Connection) -> Calendar:
    """What became of each day that ever had a row."""
    rows = c.execute("SELECT day, state, epoch_us(since) FROM lake.calendar ORDER BY day").fetchall()
    return {day: Day(state, since) for day, state, since in rows}


def positions(c: Connection) -> dict[int, int]:
    """Up to which id the calendar knows of the rows of each shard."""
    return {int(shard): int(identity) for shard, identity in c.execute("SELECT shard, id FROM lake.rolled").fetchall()}


def unknown(known: dict[int, int], column: str = "id") -> list[str]:
    """SQL conditions, one a shard: which rows the calendar does not know of yet. One range each, so that files and row
    groups can be passed over by their least and greatest id."""
    last = max(known, default=0)
    ends = [f" AND {column} < {pack(shard + 1, 0)}" for shard in range(last)] + [""]
    return [f"({column} > {known.get(shard, pack(shard, 0) - 1)}{end})" for shard, end in enumerate(ends)]


def note(c: Connection, groups: Callable[[], pa.Table], now: int, sync: Sync) -> int:
    """Put the days of new rows and corrections into the calendar as open, exactly once; returns how many rows were new.

    A row for a retired day goes into the roll-ups at once, and is raw no longer. ``groups`` gives the property and kind
    of each stream (schema ``GROUPS``); ``now`` is the city's time [us since epoch].
    """
    with transaction(c, sync):
        known, days = positions(c), calendar(c)
        fresh: dict[int, int] = {}
        touched: dict[date, int] = {}
        for new in unknown(known):
            for shard, day, rows, last in c.execute(_NEW.format(new)).fetchall():
                touched[day] = touched.get(day, 0) + rows
                fresh[shard] = max(fresh.get(shard, 0), last)
        amended = [one for new in unknown(known, "version") for one in corrections.days_of(c, new)]
        for shard, day, last in amended:
            if day not in days or days[day].state not in RAW_GONE:
                touched.setdefault(day, 0)
            fresh[shard] = max(fresh.get(shard, 0), last)
        if not fresh:
            return 0
        gone = [day for day in sorted(touched) if day in days and days[day].state in RAW_GONE]
        if gone:
            c.register("groups", groups())
        for day in gone:
            for new in unknown(known):
                _add(c, day, new, days[day].state)
                c.execute(_GONE.format("observations", f"{_within(day)} AND {new}"))
        days.update({day: Day(OPEN, now) for day in touched if day not in gone})
        _write_calendar(c, days)
        c.execute("DELETE FROM lake.rolled")
        c.executemany("INSERT INTO lake.rolled VALUES (?, ?)", sorted({**known, **fresh}.items()))
    return sum(touched.values())


def reopen(c: Connection, days: Iterable[date], now: int) -> None:
    """Let days be rolled up anew, within the caller's transaction: a correction changed what is read of them.

    A retired day cannot be: what it was made from is gone, so the caller must change its figures.
    """
    known = calendar(c)
    known.update({day: Day(OPEN, now) for day in days if day not in known or known[day].state not in RAW_GONE})
    _write_calendar(c, known)


def roll(c: Connection, day: date, groups: pa.Table, sync: Sync) -> None:
    """Roll up one day from its raw rows, all or nothing; what was rolled up of it before goes."""
    with transaction(c, sync):
        days = calendar(c)
        for name in TABLES:
            _delete(c, name, "start", [day])
        c.register("groups", groups)
        _add(c, day, "true", ROLLED)
        days[day] = Day(ROLLED, days[day].since)
        _write_calendar(c, days)


def retire(c: Connection, before: int, sync: Sync) -> tuple[int, int]:
    """Remove the raw rows of rolled-up days that ended, and last heard of, before an instant [us since epoch].

    Returns how many days and rows went.
    """
    with transaction(c, sync):
        days = calendar(c)
        due = _due(days, ROLLED, before)
        if due:  # a day with rows that the calendar does not know of must wait
            due = sorted(set(due) - late(c, due, positions(c)))
        rows = _delete(c, "observations", "time", due)
        _mark(c, days, due, RETIRED)
        if due:
            corrections.forget(c, [day for day, it in days.items() if it.state in RAW_GONE])
        return len(due), rows


def forget(c: Connection, before: int, state: str, sync: Sync) -> int:
    """Remove what is left of days longer ago, once their raw rows have gone; returns how many days.

    The state DAILY leaves their daily figures, FORGOTTEN nothing.
    """
    with transaction(c, sync):
        days = calendar(c)
        due = _due(days, RETIRED, before)
        for name in ("quarter_hours", "city_quarter_hours"):
            _delete(c, name, "start", due)
        if state == FORGOTTEN:
            due = sorted([*due, *_due(days, DAILY, before)])
            _delete(c, "days", "start", due)
        _mark(c, days, due, state)
        return len(due)


def late(c: Connection, days: Sequence[date], known: dict[int, int]) -> set[date]:
    """Which of some sorted days have rows, or corrections of rows, that the calendar does not know of yet."""
    span = f"time >= make_timestamp({instant(days[0])}) AND time < make_timestamp({instant(days[-1]) + DAY})"
    found: set[date] = set()
    for new in unknown(known):
        found.update(day for (day,) in c.execute(_LATE.format(f"{span} AND {new}")).fetchall())
    for new in unknown(known, "version"):
        found.update(day for _, day, _ in corrections.days_of(c, new))
    return found & set(days)


def _due(days: Calendar, state: str, before: int) -> list[date]:
    """Days in a state that ended, and last heard of, before an instant: an import of old readings is young."""
    return sorted(d for d, it in days.items() if it.state == state and max(instant(d) + DAY, it.since) <= before)


def _delete(c: Connection, table: str, column: str, days: Sequence[date]) -> int:
    rows = 0
    for first, last in runs(days):
        span = f"{column} >= make_timestamp({instant(first)}) AND {column} < make_timestamp({instant(last) + DAY})"
        if c.execute(_ANY.format(table, span)).fetchone():
            gone = c.execute(_GONE.format(table, span)).fetchone()
            rows += int(gone[0]) if gone else 0
    return rows


def _mark(c: Connection, days: Calendar, some: Sequence[date], state: str) -> None:
    if some:
        days.update({day: Day(state, days[day].since) for day in some})
        _write_calendar(c, days)


def runs(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """First and last of each unbroken run of sorted days."""
    first = last = None
    for day in days:
        if first is None or last is None:
            first = last = day
        elif day - last == timedelta(days=1):
            last = day
        else:
            yield first, last
            first = last = day
    if first is not None and last is not None:
        yield first, last


def _add(c: Connection, day: date, which: str, state: str) -> None:
    """Add the figures of a day's raw rows that meet a condition, some thousand streams at a time."""
    if state == FORGOTTEN:
        return
    start = instant(day)
    rows = corrections.current(c)
    found = c.execute(_STREAMS.format(rows=rows, which=f"{_within(day)} AND {which}")).fetchnumpy()["stream"]
    for at in range(0, len(found), _STREAMS_AT_ONCE):
        part = found[at : at + _STREAMS_AT_ONCE]
        some = f"stream >= {part[0]} AND stream <= {part[-1]} AND {which}"
        c.execute(_CHUNK.format(rows=rows, day=start, end=start + DAY, bucket=QUARTER_HOUR, which=some))
        c.execute(_DAYS.format(day=start))
        if state != DAILY:
            c.execute(_QUARTER_HOURS)
            c.execute(_CITY)
        c.execute("DROP TABLE chunk")


@contextmanager
def transaction(c: Connection, sync: Sync) -> Iterator[None]:
    """All or nothing, with its files on disk before it counts."""
    c.execute("BEGIN")
    try:
        yield
        sync()
        c.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a commit that failed has ended it
            c.execute("ROLLBACK")
        raise


def _write_calendar(c: Connection, days: Calendar) -> None:
    """The whole of it: one small file, where changed lines would each leave a file of deletions."""
    table = pa.table(
        {
            "day": pa.array(list(days), pa.date32()),
            "state": pa.array([day.state for day in days.values()], pa.string()),
            "since": pa.array([day.since for day in days.values()], pa.timestamp("us")),
        }
    )
    c.execute("DELETE FROM lake.calendar")
    c.register("days_now", table)
    c.execute("INSERT INTO lake.calendar BY NAME SELECT * FROM days_now ORDER BY day")
    c.unregister("days_now")


def _within(day: date, column: str = "time") -> str:
    start = instant(day)
    return f"{column} >= make_timestamp({start}) AND {column} < make_timestamp({start + DAY})"


def instant(day: date) -> int:
    """Where a day begins [us since epoch]."""
    return (day - _FIRST).days * DAY
