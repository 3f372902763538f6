"""The store: the history of all observations in DuckLake, Parquet by day, and how far each shard is folded.

One process owns a local lake; a lake with its catalogue in PostgreSQL is shared. A batch and its
position in the log are one transaction, synced before it commits, so a crash or a power cut repeats nothing and loses
nothing that was reported. Times in the lake are UTC.
"""

import ctypes
import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import CiviumError, to_datetime
from civium.core.observations import CORRECTED
from civium.core.view import INSTANT
from civium.engines import corrections, lake_steps, lakes, rollups
from civium.engines.abilities import check
from civium.engines.age import DataNewer, DataOlder
from civium.engines.aggregate import Aggregate, Whole, aggregate
from civium.engines.calibration import CALIBRATED, NONE, TABLE, Calibrations
from civium.engines.deadline import in_history
from civium.engines.settings import Settings

_NO_CORRECTIONS = CORRECTED.empty_table()
_NAMES = {"id": "version", "corrects": "original"}  # in the lake, of what the log calls otherwise
_RENAMED = [_NAMES.get(name, name) for name in CORRECTED.names]

_VIEW = "CREATE OR REPLACE VIEW memory.main.{} AS SELECT * FROM {}{}"
_NOT_AMONG = " WHERE stream NOT IN ({})"
_FEW = 200  # streams that are written out, so that DuckDB can pass over files by them


class StoreConflict(CiviumError):
    """Two writers for one shard, or a log that is not the one the store was folded from. An operator must look."""


class Store:
    """The lake, opened for writing by this process. Any thread may read; one thread writes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, data: str, synced: Path | None) -> None:
        """``data`` is where the Parquet files are; ``synced`` the folder to sync before a commit, None on S3."""
        self._connection = connection
        self._synced = synced
        self.data = data
        self._held = 0
        self._writing = threading.Lock()
        self._idle: list[duckdb.DuckDBPyConnection] = []  # a new cursor's first query of the lake costs a third more
        self._corrected = False
        self._hidden: NDArray[np.int64] = np.empty(0, np.int64)
        self.calibrated: Calibrations = NONE
        self._showing = threading.Lock()
        self._show()
        self.look()

    @classmethod
    def open(cls, settings: Settings, city: Path, *, upgrade: bool = False) -> "Store":
        """Open or make the lake; refuses a second process, and names what is missing.

        Raises DataOlder for a lake of an older release, unless ``upgrade`` allows to change it; DataNewer.
        """
        scheme, rest = check("store", settings.engines.store)
        folder = city / (rest if scheme == "ducklake" else "lake")
        (folder / "temporary").mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(
            config={
                "memory_limit": f"{settings.store.memory_mb}MB",
                "threads": settings.store.threads,
                "temp_directory": str(folder / "temporary"),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "preserve_insertion_order": "false",
            }
        )
        with nullcontext() if scheme == "ducklake" else lakes.alone(rest):
            synced: Path | None = folder
            if scheme == "ducklake":
                data = lakes.attach_local(connection, folder)
            else:
                data = lakes.attach_shared(connection, rest)
                synced = None if data.startswith("s3://") else Path(data)
            taken = lake_steps.taken(connection)
            known = len(lake_steps.STEPS)
            if taken > known:
                connection.close()
                raise DataNewer("the history", str(taken), str(known), folder)
            if 0 < taken < known and not upgrade:
                connection.close()
                raise DataOlder("the history", str(taken), str(known), folder)
            lake_steps.take(connection, taken)
        return cls(connection, data, synced)

    def close(self) -> None:
        for cursor in self._idle:
            cursor.close()
        self._connection.close()

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own to the lake, for what the engine offers beside this class."""
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def hold(self, keep: bool) -> None:
        """While it is held (as often as it is let go), upkeep removes no file that anyone could still be copying."""
        self._held += 1 if keep else -1

    @property
    def held(self) -> bool:
        """Whether files that nobody reads any more must stay."""
        return self._held > 0

    def applied(self, shard: int) -> tuple[int, str]:
        """The last log sequence that was folded for a shard, and the identity of that log stream ("" = none yet)."""
        cursor = self._connection.cursor()
        if shard not in lake_steps.shards(cursor):
            return 0, ""
        row = cursor.execute(f"SELECT seq, log FROM lake.applied_{shard:d}").fetchone()  # noqa: S608 - a number
        return (int(row[0]), str(row[1])) if row else (0, "")

    def adopt(self, shard: int, log: str) -> None:
        """Bind a new shard to the log stream that it is folded from."""
        with self._writing, _transaction(self._connection) as c:
            lake_steps.add_shard(c, shard, 0, log)

    def append(self, shard: int, rows: pa.Table, after: int, until: int, corrected: pa.Table = _NO_CORRECTIONS) -> None:
        """Fold rows (schema ``STORED``) of the log sequences ``after < s <= until`` in one synced transaction, with
        corrections (schema ``CORRECTED``) of rows that were stored before or are now.

        Raises StoreConflict when the shard is not at ``after``.
        """
        with self._writing, _transaction(self._connection) as c:
            if rows.num_rows:
                c.register("batch", _plain(rows))
                c.execute("INSERT INTO lake.observations BY NAME SELECT * FROM batch")
                c.unregister("batch")
            if corrected.num_rows:
                c.register("batch", _plain(corrected.rename_columns(_RENAMED)))
                c.execute("INSERT INTO lake.corrections BY NAME SELECT * FROM batch")
                c.unregister("batch")
            move = f"UPDATE lake.applied_{shard:d} SET seq = ? WHERE seq = ?"  # noqa: S608 - a number
            moved = c.execute(move, [until, after]).fetchone()
            if not moved or moved[0] != 1:
                raise StoreConflict(f"shard {shard} is not at {after}: is another writer at work on this lake?")
            self.sync()
        if corrected.num_rows:
            self.look()

    def look(self) -> None:
        """See whether rows were corrected since, by whichever process: then readers are shown what holds."""
        if not self._corrected:
            with self.cursor() as cursor:
                self._corrected = corrections.there_are(cursor)
            if self._corrected:
                self._show()

    def hide(self, streams: NDArray[np.int64]) -> None:
        """Let readers see no rows of these streams (all that were taken away); who reads under a cut names its own."""
        self._hidden = streams
        self._show()

    def calibrate(self, known: Calibrations) -> None:
        """Let readers of ``observations`` see values as they are calibrated now; what is stored stays as it was."""
        if not known and not self.calibrated:
            return
        with self.cursor() as cursor, self._showing:
            cursor.register("known", known.table())
            cursor.execute(f"CREATE OR REPLACE TABLE {TABLE} AS FROM known")
            cursor.unregister("known")
        self.calibrated = known
        self._show()

    def under(self, cut: Mapping[int, int]) -> str:
        """SQL for the rows that a cut shows (the last log sequence by shard), as they were then."""
        return corrections.under(cut, self._corrected)

    def _show(self) -> None:
        """Make the view ``observations``, which readers read: without corrections it is the table itself."""
        rows = corrections.relation("true") if self._corrected else corrections.RAW
        with self.cursor() as cursor, self._showing:
            if len(self._hidden) > _FEW:
                cursor.register("streams", pa.table({"stream": self._hidden}))
                cursor.execute("CREATE OR REPLACE TABLE memory.main.hidden AS FROM streams")
                which = _NOT_AMONG.format("SELECT stream FROM memory.main.hidden")
            else:
                which = _NOT_AMONG.format(", ".join(map(str, self._hidden.tolist()))) if len(self._hidden) else ""
            cursor.execute(_VIEW.format("raw_observations", rows, which))
            read = CALIBRATED.format(rows=rows) if self.calibrated else rows
            cursor.execute(_VIEW.format("observations", read, which))

    def query(
        self,
        sql: str,
        params: Sequence[Any] = (),
        tables: Mapping[str, pa.Table] | None = None,
        *,
        deadline: float = math.inf,
    ) -> pa.Table:
        """Run one read of ``observations``; ``tables`` are visible under their names too. Times are UTC instants.

        ``observations`` are the rows as they are now, ``raw_observations`` the same as they came (not calibrated),
        ``lake.observations`` all that were ever stored. Raises QueryTooLong when it is not done by ``deadline`` [s, of
        ``time.monotonic``], or needs more memory than there is.
        """
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self._connection.cursor()
        try:
            for name, table in (tables or {}).items():
                cursor.register(name, table)
            with in_history(cursor, deadline):
                answer: pa.Table = cursor.execute(sql, list(params)).to_arrow_table()
            for name in tables or ():
                cursor.unregister(name)
        except BaseException:
            cursor.close()
            raise
        self._idle.append(cursor)
        instants = {f.name: INSTANT for f in answer.schema if pa.types.is_timestamp(f.type)}
        schema = pa.schema([pa.field(f.name, instants.get(f.name, f.type)) for f in answer.schema])
        return answer.cast(schema)

    def aggregate(self, streams: pa.Table, start: int, end: int, step: int, whole: Whole | None = None) -> Aggregate:
        """Count, mean, least, greatest and last of the readings of some streams, in equal steps: see ``aggregate``."""
        with self.cursor() as cursor:
            return aggregate(cursor, streams, start, end, step, whole, self.calibrated)

    def days_without_raw(self, start: int, end: int) -> list[date]:
        """The days between two instants [us since epoch] whose raw rows have passed their retention."""
        with self.cursor() as cursor:
            days = rollups.calendar(cursor)
        span = (to_datetime(start).date(), to_datetime(end).date())
        return [day for day, it in days.items() if it.state in rollups.RAW_GONE and span[0] <= day <= span[1]]

    def sync(self) -> None:
        """Make the files durable that were written so far; an object store does so by itself."""
        if self._synced is not None:
            _sync(self._synced)

    def files(self) -> int:
        """How many Parquet files hold the observations now."""
        with self.cursor() as cursor:
            row = cursor.execute("SELECT count(*) FROM ducklake_list_files('lake', 'observations')").fetchone()
            return int(row[0]) if row else 0


def _plain(rows: pa.Table) -> pa.Table:
    """The rows as the lake takes them at once: UTC without a zone, since DuckDB casts zones through a calendar, one
    row after the other; and no column that is all null, since it would copy each null into its partition.
    """
    used = rows.select([name for name in rows.column_names if rows.column(name).null_count < rows.num_rows])
    naive = [f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in used.schema]
    return used.cast(pa.schema(naive))


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """All or nothing; a commit that fails has rolled back by itself."""
    connection.execute("BEGIN")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def _sync(folder: Path) -> None:
    """Sync the lake's file system: DuckDB never syncs its Parquet files, and a power cut would leave them short."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), f"cannot sync the file system of {folder}")
    finally:
        os.close(handle)
