"""Copies of the lake: its catalogue as of one moment while it runs, and the Parquet files that this catalogue names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from civium.engines import lake_steps
from civium.engines.store import Store

_NAME = "copied"
_CATALOGUE = "__ducklake_metadata_lake"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One immutable file of the lake: its name within the lake's data, where it is, and its size [bytes]."""

    name: str
    url: str
    size: int


def save(store: Store, path: Path) -> list[StoredFile]:
    """Write the lake's catalogue, as of now and without its past, to the new DuckDB file ``path``.

    Returns every file that it names. They stay where they are until the store is told otherwise: see ``Store.hold``.
    """
    _copy(store, path)
    return _files(store, path)


def _copy(store: Store, path: Path) -> None:
    """All tables as one transaction sees them. ``COPY FROM DATABASE`` fails on PostgreSQL's indexes (ducklake #524)."""
    with _attached(store, f"ducklake:{path}"):
        pass  # makes the tables of an empty lake, with their keys
    with _attached(store, str(path)) as cursor:
        cursor.begin()
        tables = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = ?", [_NAME]).fetchall()
        for (table,) in tables:  # rows are never inlined (see lakes), so there are no tables of inlined rows
            cursor.execute(f"DELETE FROM {_NAME}.main.{table}")  # noqa: S608 - names that DuckLake gave
            cursor.execute(f"INSERT INTO {_NAME}.main.{table} BY NAME FROM {_CATALOGUE}.{table}")
        cursor.commit()


def _files(store: Store, path: Path) -> list[StoredFile]:
    root = store.data.rstrip("/") + "/"
    with _attached(store, f"ducklake:{path}", f"(DATA_PATH '{root}', OVERRIDE_DATA_PATH true)") as cursor:
        # What earlier snapshots alone need is not copied, so the copy must not speak of it.
        cursor.execute(f"CALL ducklake_expire_snapshots('{_NAME}', older_than => now())")
        cursor.execute("DELETE FROM __ducklake_metadata_copied.ducklake_files_scheduled_for_deletion")
        tables = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = ?", [_NAME])
        files: dict[str, int] = {}
        for (table,) in tables.fetchall():
            listed = cursor.execute(f"FROM ducklake_list_files('{_NAME}', '{table}')")
            for data, data_size, _, _, gone, gone_size, *_ in listed.fetchall():
                files[data] = data_size
                if gone:
                    files[gone] = gone_size
    return [StoredFile(url.removeprefix(root), url, size) for url, size in sorted(files.items())]


@contextmanager
def _attached(store: Store, url: str, options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor that sees the copy; another one lets go of it, since the transaction of the first may be aborted."""
    with store.cursor() as cursor:
        cursor.execute(f"ATTACH '{url}' AS {_NAME} {options}")
    try:
        with store.cursor() as cursor:
            yield cursor
    finally:
        with store.cursor() as cursor:
            cursor.execute(f"DETACH {_NAME}")


def rebind(store: Store, shard: int, log: str) -> None:
    """Bind a shard, if anything was folded from it, to the log stream that its own was restored as."""
    with store.cursor() as cursor:
        if shard in lake_steps.shards(cursor):
            cursor.execute(f"UPDATE lake.applied_{shard:d} SET log = ?", [log])  # noqa: S608 - a number
