"""The writer of a shard: folds its observations from the log into the store, exactly once."""

import asyncio
from collections.abc import Awaitable, Callable

import pyarrow as pa

from civium.core import Clock
from civium.core.logs import note, said_by
from civium.core.observations import both, log_stream
from civium.core.tasks import end
from civium.core.traces import span
from civium.engines.log import Log, LogUnavailable
from civium.engines.store import Store, StoreConflict
from civium.engines.tail import Message
from civium.twin import poison
from civium.twin.progress import Progress

_LOG = said_by("writer")
_MOST_MESSAGES = 64
_MOST_ROWS = 1_000_000  # of one commit
_SHARED_COMMIT_S = 0.1  # readers that wait share a commit: ten a second at most
_TIDY_S = 60.0
_KEEP_MESSAGES = 20_000  # applied log messages that stay in the log for inspection

_RETRY_S = 1.0

Stored = Callable[[int, int, pa.Table, pa.Table], Awaitable[None]]


class Writer:
    """One shard's writer. ``stored`` is told the shard, log sequence, rows and corrections of each commit."""

    def __init__(
        self,
        log: Log,
        store: Store,
        clock: Clock,
        shard: int,
        commit_every_s: float,
        progress: Progress,
        stored: Stored,
    ) -> None:
        self._log, self._store, self._clock, self._shard, self._commit_every = log, store, clock, shard, commit_every_s
        self._stream = log_stream(shard)
        self._progress, self._stored = progress, stored
        self.applied = 0
        self.commits = 0
        self._kept: int | None = None  # a backup needs the log after this sequence
        self._task: asyncio.Task[None] | None = None

    def keep_log(self, keep: bool) -> None:
        """While a backup is made, let the log keep whatever the store does not have by now."""
        if not keep:
            self._kept = None
        elif self._kept is None:
            self._kept = self.applied

    async def start(self) -> None:
        """Check that log and store belong together, then fold for ever.

        Raises StoreConflict when the log is not the one that the store was folded from, or has lost messages.
        """
        identity = await self._log.created(self._stream)
        self.applied, known = await asyncio.to_thread(self._store.applied, self._shard)
        if not known:
            await asyncio.to_thread(self._store.adopt, self._shard, identity)
        elif known != identity:
            raise StoreConflict(
                f"the log {self._stream} was made at {identity}, but the store was folded from one made at {known}; "
                "put the old log back, or start a new city folder"
            )
        last, first = await self._log.refresh(self._stream), await self._log.first(self._stream)
        if last < self.applied:
            raise StoreConflict(f"the store holds {self.applied} messages of {self._stream} but the log only {last}")
        if first > self.applied + 1:
            raise StoreConflict(
                f"the log {self._stream} begins at {first} but the store ends at {self.applied}: messages are missing"
            )
        await self._progress.move(self._shard, self.applied)
        self._task = asyncio.create_task(self._keep_folding())

    async def stop(self) -> None:
        """End; with a log of our own, fold what is in it first."""
        if self._task and not self._task.done() and not self._log.shared:
            await self._progress.reach({self._stream: self._log.last(self._stream)})
        await end(self._task)

    async def _keep_folding(self) -> None:
        """Fold; after trouble (a full disk, a log that is away) go on from what the store holds."""
        while True:
            try:
                await self._run()
            except StoreConflict as conflict:  # waiting will not help: an operator must look
                await self._progress.fail(self._shard, conflict)
                return
            except Exception as error:
                await self._progress.fail(self._shard, error)
                await asyncio.sleep(_RETRY_S)

    async def _run(self) -> None:
        self.applied, _ = await asyncio.to_thread(self._store.applied, self._shard)
        tail = self._log.tail(self._stream, self.applied)
        loop = asyncio.get_running_loop()
        tidied, committed = loop.time(), 0.0
        waiting: list[tuple[int, pa.Table]] = []
        rows = 0
        try:
            while True:
                for message in await self._fetch(tail.fetch, bool(waiting)):
                    due = self.applied + len(waiting) + 1
                    if message.sequence > due and await self._log.keeps(self._stream, due):
                        # A node died with what it was about to deliver: it is in the log, and is read again.
                        raise LogUnavailable(f"the log {self._stream} did not deliver message {due}; it is read again")
                    if message.sequence != due:
                        raise StoreConflict(
                            f"the log {self._stream} skips from {self.applied + len(waiting)} to {message.sequence}"
                        )
                    waiting.append((message.sequence, await self._opened(message)))
                    rows += waiting[-1][1].num_rows
                now = loop.time()
                if not waiting:
                    continue
                due = now - committed >= self._commit_every
                sought = self._progress.wanted(self._shard)
                wanted = sought > self.applied and (waiting[-1][0] >= sought or now - committed >= _SHARED_COMMIT_S)
                if due or wanted or rows >= _MOST_ROWS:
                    if wanted and now - committed < _SHARED_COMMIT_S:
                        await asyncio.sleep(_SHARED_COMMIT_S - (now - committed))
                    committed = loop.time()
                    await self._commit(waiting)
                    waiting, rows = [], 0
                    if now - tidied > _TIDY_S:
                        tidied = now
                        await self._tidy()
        finally:
            await tail.close()

    async def _fetch(self, fetch: Callable[[int, float], Awaitable[list[Message]]], more: bool) -> list[Message]:
        if more and self._progress.wanted(self._shard) > self.applied:
            return await fetch(_MOST_MESSAGES, 0.005)
        return await fetch(_MOST_MESSAGES, 0.02 if more else 5.0)

    async def _opened(self, message: Message) -> pa.Table:
        """The rows of a message; none when it cannot be read, which is kept for whoever looks into it."""
        try:
            return poison.opened(message.data)
        except poison.AT_FAULT as error:
            await poison.bury(self._log, self._clock, self._stream, message.sequence, error)
            return poison.NOTHING

    async def _commit(self, waiting: list[tuple[int, pa.Table]]) -> None:
        until = waiting[-1][0]
        batches = f"{self._stream}/{waiting[0][0]}", f"{self._stream}/{until}"
        with span("store batch", shard=self._shard, first_batch=batches[0], last_batch=batches[1]) as told:
            rows, corrected = await self._append(waiting, self.applied)
            told.set_attribute("civium.rows", rows.num_rows)
        self.applied = until
        self.commits += 1
        note(_LOG, "stored", first_batch=batches[0], last_batch=batches[1], rows=rows.num_rows)
        await self._stored(self._shard, until, rows, corrected)
        await self._progress.move(self._shard, until)

    async def _append(self, waiting: list[tuple[int, pa.Table]], after: int) -> tuple[pa.Table, pa.Table]:
        """Store some messages behind ``after``; returns their rows and their corrections.

        When the store refuses what they say, each is stored alone, and the one at fault is buried.
        """
        try:
            rows, corrected = await asyncio.to_thread(both, self._shard, waiting)
            await asyncio.to_thread(self._store.append, self._shard, rows, after, waiting[-1][0], corrected)
        except poison.AT_FAULT as error:
            if len(waiting) == 1:
                await poison.bury(self._log, self._clock, self._stream, waiting[0][0], error)
                return await self._append([(waiting[0][0], poison.NOTHING)], after)
            parts = []
            for one in waiting:
                parts.append(await self._append([one], after))
                after = one[0]
            return pa.concat_tables([rows for rows, _ in parts]), pa.concat_tables([some for _, some in parts])
        return rows, corrected

    async def _tidy(self) -> None:
        applied = self.applied if self._kept is None else self._kept
        if applied > _KEEP_MESSAGES:
            await self._log.purge_before(self._stream, applied - _KEEP_MESSAGES)
