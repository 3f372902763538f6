"""The one accept path behind every door: examine, put into the log, and answer only when it is stored there.

Single readings are examined together, with those that came while the last log message was being stored; batches each by
themselves. What was stored under an idempotency key is found again: the sender gets the same ids, and nothing is stored
twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import Clock, InputRefused, RowRefusal
from civium.core.observations import MAX_ROWS, SHARD_BITS, shard_of
from civium.core.tasks import end
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.engines.log import Log, LogUnavailable
from civium.sources.batch import NOTHING_STORED, Batch
from civium.sources.claims import Claims, by_shard, claim, messages, without
from civium.sources.examine import examine
from civium.sources.keys import RecentKeys
from civium.sources.lane import NO_SPANS, Lane
from civium.sources.sensorthings.observations import Reading, gather

_MOST_WAITING = 2_000_000  # rows in memory on their way to the log; more are told to come back
_MOST_SINGLES = 50_000  # readings, whose objects are larger than rows
_IN_FLIGHT = 4  # log messages of one large request that are stored at the same time
_QUICK_ROWS = 5_000  # more are examined beside the loop


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored: the id of each accepted row, its position in what was sent, and the refused rows.

    ``repeated`` of the rows were in the log already under the same idempotency key. A dry run has no ids.
    """

    ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    refused: tuple[RowRefusal, ...]
    repeated: int = 0


class Intake:
    """Accepts readings and batches from all doors."""

    def __init__(self, log: Log, catalog: Catalog, clock: Clock, future_s: float, recent_keys: int) -> None:
        self._log, self._catalog, self._clock, self._future_s = log, catalog, clock, future_s
        self.keys = RecentKeys(recent_keys)
        self.lanes = [Lane(log, shard, self.keys, self._examine_readings) for shard in range(log.shards)]
        self._rows_waiting = 0
        self._complete = [asyncio.Event() for _ in self.lanes]  # the index has the recent keys of that shard
        self._remembering: list[asyncio.Task[None]] = []
        self._accepted = 0
        self._refused = 0

    @property
    def accepted(self) -> int:
        """Rows that were accepted since the start."""
        return self._accepted + sum(lane.accepted for lane in self.lanes)

    @property
    def refused(self) -> int:
        """Rows that were refused since the start."""
        return self._refused + sum(lane.refused for lane in self.lanes)

    def start(self) -> None:
        """Fill the index of recent keys from the log; who comes with a key meanwhile waits."""
        both = zip(self.lanes, self._complete, strict=True)
        self._remembering = [asyncio.create_task(lane.remember(complete)) for lane, complete in both]

    async def stop(self) -> None:
        """End what ``start`` began."""
        await end(*self._remembering)

    async def remembers(self) -> None:
        """Wait until the index of recent keys is complete."""
        for complete in self._complete:
            await complete.wait()

    @property
    def remembers_all(self) -> bool:
        """Whether the index of recent keys is complete."""
        return all(complete.is_set() for complete in self._complete)

    async def post(self, reading: Reading) -> int:
        """Store one reading; returns its id. Raises InputRefused, and LogUnavailable as ``accept`` does."""
        if reading.key:
            await self.remembers()
        return await self.offer(reading)

    def offer(self, reading: Reading) -> "asyncio.Future[int]":
        """As ``post``, for who has waited for ``remembers`` and does not want to wait for the answer here."""
        lane = self.lanes[shard_of(reading.stream, len(self.lanes))]
        lane.check_open()
        self._check_room(1)
        if lane.waiting >= _MOST_SINGLES:
            raise LogUnavailable("too many readings are waiting to be stored; try again later")
        return lane.post(reading)

    async def accept(
        self, batch: Batch, *, whole: bool = True, key: str = "", content: bytes = b"", dry_run: bool = False
    ) -> Receipt:
        """Store a batch. With ``whole``, one bad row refuses all (InputRefused); else the good rows are kept.

        A ``dry_run`` says the same and stores nothing.

        ``key`` is the idempotency key of the request, for the rows that have none of their own: what was stored under
        it is not stored again. ``content`` is what was sent, to tell a repeat from another request under the same key
        (InputRefused, 409); without it the key alone decides.
        Raises LogUnavailable when not all of it could be stored, or nobody knows yet: the sender must try again, with
        the same keys if what was stored must not be stored twice.
        """
        rows = batch.table.num_rows
        self._check_room(rows)
        self._rows_waiting += rows
        try:
            return await self._accept(batch, whole, key, content, dry_run)
        finally:
            self._rows_waiting -= rows

    def _check_room(self, rows: int) -> None:
        if self._rows_waiting + rows > max(_MOST_WAITING, rows):  # a request larger than that goes alone
            raise LogUnavailable("too many rows are waiting to be stored; try again later")

    def _examine_readings(self, readings: Sequence[Reading]) -> Batch:
        now = self._clock.now()
        return examine(gather(readings, now), self._catalog, now, self._future_s)

    async def _accept(self, batch: Batch, whole: bool, key: str, content: bytes, dry_run: bool) -> Receipt:
        # Most batches are small and quick; a large one must not hold up the other doors.
        large = batch.table.num_rows > _QUICK_ROWS
        arguments = (batch, self._catalog, self._clock.now(), self._future_s)
        batch = await asyncio.to_thread(examine, *arguments) if large else examine(*arguments)
        if dry_run and not whole:
            return Receipt(np.empty(0, np.int64), batch.rows, batch.refused)
        self._refused += 0 if dry_run else len(batch.refused)
        if batch.refused and (whole or batch.table.num_rows == 0):
            raise InputRefused(NOTHING_STORED, batch.refused)
        if dry_run:
            return Receipt(np.empty(0, np.int64), batch.rows, ())
        if key or batch.keys is not None:
            await self.remembers()
        parts = by_shard(batch, len(self.lanes))
        for shard, _, _ in parts:
            self.lanes[shard].check_open()
        claims = [claim(part, self.keys, key and f"{key}/{shard}", content) for shard, _, part in parts]
        if conflicts := tuple(conflict for one in claims for conflict in one.conflicts):
            self._refused += len(conflicts)
            if whole or len(conflicts) == batch.table.num_rows:
                raise InputRefused(NOTHING_STORED, tuple(sorted(conflicts, key=lambda r: r.row)), 409)
            batch = without(batch, conflicts)
            parts = by_shard(batch, len(self.lanes))
            claims = [claim(part, self.keys, key and f"{key}/{shard}", content) for shard, _, part in parts]
        for one in claims:
            self.keys.expect(one.new)
        shards = [shard for shard, _, _ in parts]
        done = await asyncio.gather(*map(self._store, shards, claims), return_exceptions=True)
        ids, repeated = np.empty(batch.table.num_rows, np.int64), 0
        for (_, at, _), stored in zip(parts, done, strict=True):
            if isinstance(stored, BaseException):
                raise stored
            ids[at], repeated = stored[0], repeated + stored[1]
        self._accepted += batch.table.num_rows
        return Receipt(ids, batch.rows, batch.refused, repeated)

    async def correct(self, table: pa.Table) -> None:
        """Store corrections (schema ``CORRECTION``), each in the shard of the row that it corrects.

        Raises LogUnavailable when not all of them could be stored, or nobody knows yet.
        """
        shards = column(table, "corrects").astype(np.int64) >> SHARD_BITS
        for shard in np.unique(shards).tolist():
            part = table.filter(pa.array(shards == shard))
            for at in range(0, part.num_rows, MAX_ROWS):
                await self.lanes[shard].store(part.slice(at, MAX_ROWS), NO_SPANS, alone=True)

    async def _store(self, shard: int, claims: Claims) -> tuple[NDArray[np.int64], int]:
        """Store what is new; the ids of all rows in the order of the batch, and how many of them were stored before."""
        spans = claims.spans
        first = np.zeros(len(spans), np.int64)
        new, table, fresh = claims.fresh()
        gate = asyncio.Semaphore(_IN_FLIGHT)
        parts = list(messages(table, fresh))

        async def store(which: slice, part: pa.Table, keyed: NDArray[np.void]) -> None:
            async with gate:
                alone = len(parts) > 1 or part.num_rows > MAX_ROWS // 2
                at = await self.lanes[shard].store(part, keyed, alone=alone)
            first[new[which]] = at + fresh["row"][which].astype(np.int64) - int(fresh["row"][which.start])

        done = await asyncio.gather(*(store(*part) for part in parts), return_exceptions=True)
        for error in done:
            if error is not None:
                raise error
        first += await claims.others()
        for at, place in enumerate(claims.places):
            if place is not None and first[at] == 0:  # a repeat of another row of the batch
                first[at] = place.first
        rows = spans["rows"].astype(np.int64)
        ids = np.empty(len(claims.order), np.int64)
        ids[claims.order] = np.repeat(first - spans["row"], rows) + np.arange(len(ids))
        return ids, int(rows.sum() - fresh["rows"].sum(dtype=np.int64))
