"""Corrections: later versions of rows of the history, which mask what they correct; a tombstone masks for good.

``lake.observations`` is never altered. A row of ``lake.corrections`` is a ``version`` of the row ``original``: its
whole new content, or that it is ``gone``; ``was_stream`` and ``was_time`` say where the original stands. The greatest
version holds; a reader under a cut sees the greatest within it. Versions take their ids from the log as rows do, in the
shard of their original, so they are noted and cut in the same way.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import duckdb
import pyarrow as pa

from civium.core.observations import STORED, end_of, pack

RAW = "lake.observations"
_COLUMNS = ", ".join(f'"{name}"' for name in STORED.names)
_VERSION = _COLUMNS.replace('"id"', "original AS id", 1)
_RELATION = """(
SELECT {columns} FROM lake.observations
    ANTI JOIN (SELECT original FROM lake.corrections WHERE {within}) ON id = original
UNION ALL
SELECT {version} FROM (SELECT * FROM lake.corrections WHERE {within}
    QUALIFY row_number() OVER (PARTITION BY original ORDER BY version DESC) = 1) WHERE NOT gone
)"""
_UNDER = "(SELECT * FROM {} WHERE {})"
_DAYS = """
SELECT version >> 48, day, max(version) FROM (
    SELECT version, unnest([was_time::DATE, time::DATE]) AS day FROM lake.corrections WHERE {}) GROUP BY 1, 2
"""
# Both where it stood and where its latest version stands are days without raw rows: nobody asks for it any more.
_GONE = """
DELETE FROM lake.corrections WHERE original IN (
    SELECT original FROM lake.corrections GROUP BY original
    HAVING min(was_time)::DATE IN (SELECT day FROM days_gone)
    AND (arg_max(gone, version) OR arg_max(time, version)::DATE IN (SELECT day FROM days_gone)))
"""


def there_are(c: duckdb.DuckDBPyConnection) -> bool:
    """Whether anything was ever corrected."""
    return c.execute("SELECT 1 FROM lake.corrections LIMIT 1").fetchone() is not None


def current(c: duckdb.DuckDBPyConnection) -> str:
    """SQL for the rows as they are now, with the columns of ``lake.observations``: itself where that is the same."""
    return relation("true") if there_are(c) else RAW


def relation(within: str) -> str:
    """SQL for the rows with the latest versions that meet a condition."""
    return _RELATION.format(columns=_COLUMNS, version=_VERSION, within=within)


def under(cut: Mapping[int, int], corrected: bool) -> str:
    """SQL for the rows that a cut shows, as they were then."""
    rows = relation(within(cut, "version")) if corrected else RAW
    return _UNDER.format(rows, within(cut, "id"))


def within(cut: Mapping[int, int], column: str) -> str:
    """The condition that an id lies within a cut: the last log sequence that is shown, by shard."""
    shown = (f"{column} BETWEEN {pack(shard, 0)} AND {end_of(shard, last)}" for shard, last in cut.items())
    return f"({' OR '.join(shown)})" if cut else "false"


def days_of(c: duckdb.DuckDBPyConnection, condition: str) -> list[tuple[int, date, int]]:
    """Shard, day and greatest version of the versions that meet a condition: where rows stood, and where they stand."""
    return c.execute(_DAYS.format(condition)).fetchall()


def forget(c: duckdb.DuckDBPyConnection, days: Iterable[date]) -> None:
    """Remove the versions of rows of days whose raw rows have gone, within the caller's transaction."""
    if there_are(c):
        c.register("days_gone", pa.table({"day": pa.array(list(days), pa.date32())}))
        c.execute(_GONE)
        c.unregister("days_gone")
