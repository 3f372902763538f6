"""The steps that bring a lake of any age up to today's tables; a new lake takes them all.

A released step is never changed: what a later release needs is a further step, at the end. The lake keeps the number of
steps that it has taken in its table ``version``; a lake of release 0.1.0 has none and has taken the first.
"""

from collections.abc import Callable

import duckdb
import pyarrow as pa

from civium.core.observations import OBSERVATION, STORED

Connection = duckdb.DuckDBPyConnection
_SCHEMA = {
    pa.int64(): "BIGINT",
    pa.int16(): "SMALLINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
}

_MADE_HERE = "made_here"  # a column that came later


def taken(connection: Connection) -> int:
    """How many steps the lake that is attached as ``lake`` has taken; 0 when it is new."""
    found = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'")
    tables = {row[0] for row in found.fetchall()}
    if "version" in tables:
        row = connection.execute("SELECT steps FROM lake.version").fetchone()
        return int(row[0]) if row else 0
    return 1 if "observations" in tables else 0


def take(connection: Connection, after: int) -> None:
    """Take the steps after the first ``after``: all of them or none."""
    if after == len(STEPS):
        return
    connection.execute("BEGIN")
    try:
        for step in STEPS[after:]:
            step(connection)
        connection.execute("UPDATE lake.version SET steps = ?", [len(STEPS)])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _first_tables(c: Connection) -> None:
    columns = ", ".join(f'"{f.name}" {_SCHEMA[f.type]}' for f in STORED if f.name != _MADE_HERE)
    c.execute("CALL lake.set_option('parquet_compression', 'zstd')")
    c.execute("CALL lake.set_option('parquet_version', '2')")
    c.execute("CALL lake.set_option('sort_on_insert', 'false')")  # merges sort; an accepted row should not wait
    c.execute(f"CREATE TABLE lake.observations ({columns})")
    c.execute("ALTER TABLE lake.observations SET PARTITIONED BY (year(time), month(time), day(time))")
    c.execute("ALTER TABLE lake.observations SET SORTED BY (stream ASC, time ASC)")
    c.execute("CREATE TABLE lake.applied (shard INTEGER, seq BIGINT, log VARCHAR)")


def _version_kept(c: Connection) -> None:
    c.execute("CREATE TABLE lake.version (steps INTEGER)")
    c.execute("INSERT INTO lake.version VALUES (0)")


def _applied_by_shard(c: Connection) -> None:
    # A table a shard: two writers that update one table would conflict, though their rows are different.
    for shard, seq, log in c.execute("SELECT shard, seq, log FROM lake.applied").fetchall():
        add_shard(c, shard, seq, log)
    c.execute("DROP TABLE lake.applied")


def add_shard(c: Connection, shard: int, seq: int, log: str) -> None:
    """Make the one-row table that says how far a shard is folded, and from which log stream."""
    c.execute(f"CREATE TABLE lake.applied_{shard:d} (seq BIGINT, log VARCHAR)")
    c.execute(f"INSERT INTO lake.applied_{shard:d} VALUES (?, ?)", [seq, log])  # noqa: S608 - a number


def shards(c: Connection) -> set[int]:
    """The shards that have such a table."""
    found = c.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'").fetchall()
    return {int(name[8:]) for (name,) in found if name.startswith("applied_")}


def _rolled_up(c: Connection) -> None:
    figures = "n BIGINT, total DOUBLE, low DOUBLE, high DOUBLE"
    for name, day in (("quarter_hours", ", day(start)"), ("days", "")):  # only partitioned tables may be merged
        c.execute(
            f"CREATE TABLE lake.{name} (stream BIGINT, start TIMESTAMP, {figures}, last DOUBLE, last_at TIMESTAMP)"
        )
        c.execute(f"ALTER TABLE lake.{name} SET PARTITIONED BY (year(start), month(start){day})")
        c.execute(f"ALTER TABLE lake.{name} SET SORTED BY (stream ASC, start ASC)")
    c.execute(f"CREATE TABLE lake.city_quarter_hours (property BIGINT, kind VARCHAR, start TIMESTAMP, {figures})")
    c.execute("ALTER TABLE lake.city_quarter_hours SET PARTITIONED BY (year(start), month(start))")
    c.execute("ALTER TABLE lake.city_quarter_hours SET SORTED BY (property ASC, start ASC)")
    c.execute("CREATE TABLE lake.calendar (day DATE, state VARCHAR, since TIMESTAMP)")
    c.execute("CREATE TABLE lake.rolled (shard INTEGER, id BIGINT)")


def _corrected(c: Connection) -> None:
    columns = ", ".join(f'"{f.name}" {_SCHEMA[f.type]}' for f in OBSERVATION if f.name != _MADE_HERE)
    own = "version BIGINT, original BIGINT, gone BOOLEAN, was_stream BIGINT, was_time TIMESTAMP"
    c.execute(f"CREATE TABLE lake.corrections ({own}, {columns})")
    c.execute("ALTER TABLE lake.corrections SET PARTITIONED BY (year(was_time), month(was_time))")
    c.execute("ALTER TABLE lake.corrections SET SORTED BY (original ASC, version ASC)")


def _made_here(c: Connection) -> None:
    for table in ("observations", "corrections"):
        c.execute(f"ALTER TABLE lake.{table} ADD COLUMN {_MADE_HERE} BOOLEAN")


STEPS: tuple[Callable[[Connection], None], ...] = (
    _first_tables,
    _version_kept,
    _applied_by_shard,
    _rolled_up,
    _corrected,
    _made_here,
)
