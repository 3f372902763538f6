"""Figures of many readings at once: count, mean, least and greatest in equal steps of time.

Each day of the span is answered from the coarsest table that knows it exactly, and the answer says from which:
roll-ups where a day is closed, raw rows where it is open or a late row has come since.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from civium.core import InputRefused, to_datetime
from civium.engines import corrections
from civium.engines.calibration import CALIBRATED, NONE, Calibrations
from civium.engines.rollups import (
    DAILY,
    DAY,
    FORGOTTEN,
    OPEN,
    QUARTER_HOUR,
    ROLLED,
    calendar,
    instant,
    late,
    positions,
    unknown,
)

_RAW, _QUARTER_HOURS, _DAYS, _CITY = "observations", "quarter_hours", "days", "city_quarter_hours"
_RAW_SQL = """
SELECT w."group", (epoch_us(o.time) - {start}) // {step} AS k, count(*) AS n, sum(o.value) AS total,
    min(o.value) AS low, max(o.value) AS high,
    arg_max(o.value, epoch_us(o.time)::HUGEINT * 9007199254740992 + o.id) AS last, max(o.time) AS last_at
FROM {rows} o JOIN wanted w ON o.stream = w.stream
WHERE o.time >= make_timestamp({first}) AND o.time < make_timestamp({end}) AND isfinite(o.value) AND {which}
GROUP BY ALL
"""
_STREAMS_SQL = """
SELECT w."group", (epoch_us(o.start) - {start}) // {step} AS k, sum(o.n)::BIGINT AS n, sum(o.total) AS total,
    min(coalesce(o.low, o.total)) AS low, max(coalesce(o.high, o.total)) AS high,
    arg_max(coalesce(o.last, o.total), o.last_at) AS last, max(o.last_at) AS last_at
FROM {figures} o JOIN wanted w ON o.stream = w.stream
WHERE o.start >= make_timestamp({first}) AND o.start < make_timestamp({end})
GROUP BY ALL
"""
# The same of streams that are calibrated: the figures of a bucket are mapped as its readings would be.
_CALIBRATED_SQL = """(SELECT f.* REPLACE (
    coalesce(f.total * k.gain + f.n * k."offset", f.total) AS total,
    coalesce(if(k.gain < 0, coalesce(f.high, f.total), coalesce(f.low, f.total)) * k.gain + k."offset", f.low) AS low,
    coalesce(if(k.gain < 0, coalesce(f.low, f.total), coalesce(f.high, f.total)) * k.gain + k."offset", f.high) AS high,
    coalesce(coalesce(f.last, f.total) * k.gain + k."offset", f.last) AS last)
FROM lake.{table} f LEFT JOIN memory.main.calibrations k
    ON f.stream = k.stream AND f.start >= k.since AND f.start < k.until)"""
_CITY_SQL = """
SELECT 0::BIGINT AS "group", (epoch_us(start) - {start}) // {step} AS k, sum(n)::BIGINT AS n, sum(total) AS total,
    min(low) AS low, max(high) AS high, NULL::DOUBLE AS last, NULL::TIMESTAMP AS last_at
FROM lake.city_quarter_hours
WHERE start >= make_timestamp({first}) AND start < make_timestamp({end}) AND {which}
GROUP BY ALL
"""
_SUM_SQL = """
SELECT "group", make_timestamp({start} + k * {step}) AS start, sum(n)::BIGINT AS n, sum(total) / sum(n) AS mean,
    min(low) AS low, max(high) AS high, {last} AS last
FROM ({parts}) GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Whole:
    """That the streams asked for are all streams of some observed properties (ids), of things of a kind ("" = any)."""

    properties: Sequence[int]
    kind: str


@dataclass(frozen=True, slots=True)
class Source:
    """Which table of the lake the figures of a part of the span come from [us since epoch]; the end is not in it."""

    table: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``rows``: ``group, start, n, mean, low, high, last``, by group and start; no row where there was no reading.

    Values are SI; ``last`` is the last reading of the group (null for the whole city).
    """

    rows: pa.Table
    sources: tuple[Source, ...]


def aggregate(
    c: duckdb.DuckDBPyConnection,
    wanted: pa.Table,
    start: int,
    end: int,
    step: int,
    whole: Whole | None = None,
    known: Calibrations = NONE,
) -> Aggregate:
    """Figures of the readings with ``start <= time < end`` [us since epoch] in steps of ``step`` [us].

    ``wanted`` says which streams, and in which group each counts: ``stream, group``. With ``whole`` its streams are
    one group, the whole city. Raises InputRefused for a span or step that cuts days otherwise than in equal parts, and
    where a day's readings have passed their retention and what is left of them is too coarse.
    """
    _check(start, end, step)
    c.execute("BEGIN")  # one state of the lake for all that follows
    try:
        c.register("wanted", wanted)
        last = "NULL::DOUBLE" if whole else "arg_max(last, last_at)"
        mine = np.isin(known.stream, wanted.column("stream").to_numpy())
        if mine.any():
            whole = None  # what was summed up over streams cannot be mapped
        split = {to_datetime(since).date() for since in known.since[mine & (known.since % DAY != 0)].tolist()}
        sources = _sources(c, start, end, step, whole is not None, split)
        new = unknown(positions(c))
        rows, figures = corrections.current(c), "lake.{table}"
        if mine.any():
            rows, figures = CALIBRATED.format(rows=rows), _CALIBRATED_SQL
        late_rows = [(source, new if more else []) for source, more in sources]
        parts = [part for source, some in late_rows for part in _parts(source, start, step, whole, some, rows, figures)]
        text = _SUM_SQL.format(start=start, step=step, last=last, parts=" UNION ALL ".join(parts))
        figures = c.execute(text).to_arrow_table()
        c.unregister("wanted")
        return Aggregate(figures, tuple(source for source, _ in sources))
    finally:
        c.execute("ROLLBACK")


def _check(start: int, end: int, step: int) -> None:
    if step <= 0 or DAY % step:
        raise InputRefused(f"a step of {step / 1e6:g} s does not divide a day")
    if start % step or end % step or start >= end:
        span = f"{to_datetime(start).isoformat()} to {to_datetime(end).isoformat()}"
        raise InputRefused(
            f"the span {span} must not be empty, and begin and end on whole steps of {step / 1e6:g} s (UTC)"
        )


def _sources(
    c: duckdb.DuckDBPyConnection, start: int, end: int, step: int, whole: bool, split: Set[date]
) -> list[tuple[Source, bool]]:
    """Which table answers for which part, in the order of time, and whether late raw rows have to be added to it."""
    first, last = to_datetime(start).date(), to_datetime(end - 1).date()
    days = {day: it.state for day, it in calendar(c).items() if first <= day <= last}
    closed = sorted(day for day, state in days.items() if state != OPEN)
    between = [closed[0] + timedelta(days=n) for n in range((closed[-1] - closed[0]).days + 1)] if closed else []
    behind = late(c, between, positions(c)) if closed else set()
    silent = {day for day in between if day not in days and day not in behind}  # no row ever came
    found: list[tuple[Source, bool]] = []
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        state = days.get(day)
        table = _table(day, state, step, whole, day in split) if day not in behind or state != ROLLED else _RAW
        more = table != _RAW and day in behind
        until = min(end, instant(day) + DAY)
        if found and (day in silent or (found[-1][0].table == table and found[-1][1] == more)):
            found[-1] = (Source(found[-1][0].table, found[-1][0].start, until), found[-1][1])
        else:
            found.append((Source(table, max(start, instant(day)), until), more))
    return found


def _table(day: date, state: str | None, step: int, whole: bool, split: bool) -> str:
    """The coarsest table that knows a day exactly; raises InputRefused where there is none any more.

    In a day that is ``split`` a calibration begins: its daily figures are of both.
    """
    fine = step % QUARTER_HOUR != 0
    if state is None or state == OPEN or (state == ROLLED and fine):
        return _RAW
    if state == FORGOTTEN:
        raise InputRefused(f"nothing is left of {day}: its readings have passed their retention", status=410)
    if fine:
        raise InputRefused(
            f"the readings of {day} have passed their retention: ask for steps of 15 minutes", status=410
        )
    if state == DAILY:
        if step != DAY:
            raise InputRefused(f"only daily figures are left of {day}: ask for steps of one day", status=410)
        if split:
            raise InputRefused(f"only daily figures are left of {day}, in which a calibration begins", status=410)
        return _DAYS
    return _CITY if whole else _DAYS if step == DAY and not split else _QUARTER_HOURS


def _parts(
    source: Source, start: int, step: int, whole: Whole | None, late_rows: list[str], rows: str, figures: str
) -> Iterator[str]:
    """SQL for the figures of one source and of late rows; ``rows`` is the SQL of raw rows, ``figures`` of a roll-up."""
    span = {"start": start, "step": step, "first": source.start, "end": source.end}
    if source.table == _RAW:
        yield _RAW_SQL.format(**span, rows=rows, which="true")
    elif source.table == _CITY and whole:
        some = " OR ".join(f"property = {int(one)}" for one in whole.properties) or "false"
        kind = whole.kind.replace("'", "''")
        yield _CITY_SQL.format(**span, which=f"({some})" + (f" AND kind = '{kind}'" if kind else ""))
    else:
        yield _STREAMS_SQL.format(**span, figures=figures.format(table=source.table))
    for new in late_rows:
        yield _RAW_SQL.format(**span, rows=rows, which=new)
