"""Upkeep of the lake: small files are merged, closed days sorted and rolled up, old rows removed, old files deleted.

It never holds up the way in: it works on a connection of its own, in transactions that conflict with no writer's. Each
step is one transaction whose files are synced before it commits, so that kill -9 or a power cut at any moment leaves
the lake as it was before the step or after it; what such an end leaves on disk is deleted a day later.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import duckdb
import pyarrow as pa

from civium.engines.rollups import (
    DAILY,
    DAY,
    FORGOTTEN,
    OPEN,
    TABLES,
    Connection,
    calendar,
    forget,
    instant,
    note,
    retire,
    roll,
    transaction,
)
from civium.engines.settings import Store as Keeping

_SMALL_FILE = 16 * 1024 * 1024  # [byte] merged in each round
_LARGE_FILE = 512 * 1024 * 1024  # [byte] merged when a day closes, and when there are many
_MANY_FILES = 100  # a point read opens each file that could hold the stream
_SMALL_AT_ONCE = 16  # merged files of one transaction: so much is lost when it is cut off
_KEPT_SNAPSHOTS = "10 minutes"  # a query that runs longer than this may lose its files
_KEPT_FILES = "20 minutes"
_ORPHANS = "1 day"  # files that no transaction ever named: older than any transaction can be
_GRACE = 15 * 60 * 1_000_000  # [us] a day is closed so long after its end: devices may be late
_REST = 3600 * 1_000_000  # [us] a day that late rows opened is rolled up again when none came for so long


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What upkeep did since the start, and what it does now."""

    doing: str = ""
    rounds: int = 0
    merged_files: int = 0
    rolled_days: int = 0
    open_days: int = 0  # closed by the clock, but not rolled up yet
    retired_days: int = 0
    deleted_rows: int = 0


class Stopped(Exception):
    """Upkeep was told to stop; the step that it was at is as if it had never begun."""


class Lake(Protocol):
    """What is kept: the store."""

    @property
    def held(self) -> bool: ...

    def cursor(self) -> AbstractContextManager[Connection]: ...

    def sync(self) -> None: ...


class Keeper:
    """Keeps one lake. One thread works; any may look at ``done``, or ``stop`` it."""

    def __init__(self, lake: Lake, keeping: Keeping) -> None:
        self._lake, self._keeping, self._sync = lake, keeping, lake.sync
        self.done = Upkeep()
        self._stopped = False
        self._working = threading.Lock()
        self._connection: Connection | None = None

    def stop(self) -> None:
        """Cut off what is under way, and wait until it has ended."""
        self._stopped = True
        while not self._working.acquire(timeout=0.1):
            connection = self._connection
            if connection is not None:
                with suppress(duckdb.Error):
                    connection.interrupt()
        self._stopped = False
        self._working.release()

    def work(self, now: int, groups: Callable[[], pa.Table]) -> Upkeep:
        """One round at the city's time ``now`` [us since epoch]: all that is due. Returns what was done so far.

        ``groups`` gives the property and kind of each stream (schema ``rollups.GROUPS``). Raises Stopped.
        """
        with self._working, self._lake.cursor() as c:
            self._check()
            self._connection = c
            try:
                self._round(c, now, groups)
            except duckdb.InterruptException as cut:
                raise Stopped from cut
            finally:
                self._connection = None
                self.done = replace(self.done, doing="")
            return self.done

    def _round(self, c: Connection, now: int, groups: Callable[[], pa.Table]) -> None:
        self._say("noting new rows")
        note(c, groups, now, self._sync)
        self._say("merging small files")
        self._merge(c, "observations", _SMALL_FILE)
        self._merge(c, "corrections", _SMALL_FILE)
        if _files(c, "observations") > _MANY_FILES:
            self._merge(c, "observations", _LARGE_FILE)
        self._close_days(c, now, groups)
        self._let_go(c, now)
        if not self._lake.held:
            self._say("deleting old files")
            c.execute(f"CALL ducklake_expire_snapshots('lake', older_than => now() - INTERVAL '{_KEPT_SNAPSHOTS}')")
            c.execute(f"CALL ducklake_cleanup_old_files('lake', older_than => now() - INTERVAL '{_KEPT_FILES}')")
        if self.done.rounds == 0:
            c.execute(f"CALL ducklake_delete_orphaned_files('lake', older_than => now() - INTERVAL '{_ORPHANS}')")
        self.done = replace(self.done, rounds=self.done.rounds + 1)

    def _close_days(self, c: Connection, now: int, groups: Callable[[], pa.Table]) -> None:
        """Sort and roll up the days that are over, and those that late rows opened again."""
        due = []
        for day, it in calendar(c).items():
            ended = instant(day) + DAY + _GRACE
            if it.state == OPEN and ended <= now and (it.since <= ended or now - it.since >= _REST):
                due.append(day)
        self.done = replace(self.done, open_days=len(due))
        if not due:
            return
        self._say(f"sorting {len(due)} closed days")
        self._merge(c, "observations", _LARGE_FILE)
        known = groups()
        for day in due:
            self._say(f"rolling up {day.isoformat()}, {self.done.open_days} to go")
            roll(c, day, known, self._sync)
            self.done = replace(self.done, rolled_days=self.done.rolled_days + 1, open_days=self.done.open_days - 1)
        self._say("merging roll-ups")
        for table in TABLES:
            self._merge(c, table, _SMALL_FILE)

    def _let_go(self, c: Connection, now: int) -> None:
        keeping = self._keeping
        if keeping.retention_days:
            self._say("removing raw rows past their retention")
            days, rows = retire(c, now - int(keeping.retention_days * DAY), self._sync)
            self.done = replace(
                self.done, retired_days=self.done.retired_days + days, deleted_rows=self.done.deleted_rows + rows
            )
        for kept, state in ((keeping.quarter_hours_days, DAILY), (keeping.daily_days, FORGOTTEN)):
            if kept:
                self._say("removing roll-ups past their retention")
                forget(c, now - int(kept * DAY), state, self._sync)

    def _merge(self, c: Connection, table: str, below: int) -> None:
        """Merge the files of each partition that are smaller than ``below`` [byte], sorted.

        Each partition has its turn once: what a writer adds meanwhile is for the next round, or this one never ends.
        """
        at_once = _SMALL_AT_ONCE if below == _SMALL_FILE else 1  # one large one, since it is sorted in memory
        call = (
            f"CALL ducklake_merge_adjacent_files('lake', '{table}', max_file_size => {below}, "
            f"max_compacted_files => {at_once})"
        )
        for _ in range(-(-_partitions(c, table) // at_once)):
            self._check()
            with transaction(c, self._sync):
                done = c.execute(call).fetchall()
            merged = sum(int(row[2]) for row in done)
            if merged == 0:
                return
            self.done = replace(self.done, merged_files=self.done.merged_files + merged)

    def _say(self, doing: str) -> None:
        self._check()
        self.done = replace(self.done, doing=doing)

    def _check(self) -> None:
        if self._stopped:
            raise Stopped


def _files(c: Connection, table: str) -> int:
    row = c.execute("SELECT count(*) FROM ducklake_list_files('lake', ?)", [table]).fetchone()
    return int(row[0]) if row else 0


def _partitions(c: Connection, table: str) -> int:
    """In how many folders the files of a table are."""
    folders = "SELECT count(DISTINCT parse_dirpath(data_file)) FROM ducklake_list_files('lake', ?)"
    row = c.execute(folders, [table]).fetchone()
    return int(row[0]) if row else 0
