"""The rows of this moment: the live arrays, and whoever wants to see each row as it comes.

In a city of one process the writers hand over what they have just stored. Where many processes share a log, each
follows it by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core.observations import both, end_of, log_stream, pack
from civium.core.tasks import end
from civium.core.view import column
from civium.engines.log import Log
from civium.engines.passing import TROUBLE
from civium.engines.store import Store
from civium.twin.census import Census
from civium.twin.live import Live
from civium.twin.poison import readable
from civium.twin.progress import Progress

_CHECKPOINT_S = 60.0  # at most between two checkpoints
_LOOK_S = 5.0
_MANY_ROWS = 200_000  # since the last one: a start would read them all
_MOST_MESSAGES = 64
_RETRY_S = 1.0

# One row a stream is in memory while all are read; a window would hold them all, too many where there is no checkpoint.
_NEWEST = """
SELECT unnest(arg_max(
    {{'id': id, 'stream': stream, 'time': time, 'until': until, 'made': made, 'value': value, 'text': text,
      'json': json, 'quality': quality, 'feature': feature, 'params': params, 'parent': parent,
      'made_here': made_here}},
    epoch_us(time)::HUGEINT * 9007199254740992 + id))
FROM raw_observations WHERE {} GROUP BY stream
"""
_AMENDED = "SELECT DISTINCT unnest([was_stream, stream]) AS stream FROM lake.corrections WHERE {}"
_COUNT = "SELECT count(*) AS n FROM observations"
_SOON_S = 0.1
Watcher = Callable[[pa.Table, pa.Table], Awaitable[None]]


class Follower:
    """Folds rows into ``live``; ``seen`` is how far it has come."""

    def __init__(self, log: Log, store: Store, folder: Path) -> None:
        self._log, self._store, self._path = log, store, folder / "live.npz"
        self.live = Live()
        self.census = Census(store, folder / "extents.npz")
        self.seen = Progress()
        self._watchers: list[Watcher] = []
        self._folded = 0  # rows since the start
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` with the rows and the corrections of each commit."""
        self._watchers.append(watcher)

    async def start(self) -> None:
        """Bring the live arrays up to what the store holds; then follow the log, if others write."""
        at = {shard: (await asyncio.to_thread(self._store.applied, shard))[0] for shard in range(self._log.shards)}
        self.live, known = await asyncio.to_thread(Live.load, self._path)
        if any(known.get(shard, 0) > last for shard, last in at.items()):
            self.live, known = Live(), {}
        await asyncio.to_thread(self.census.start, at)
        self.live.calibrated = self._store.calibrated
        await self._catch_up(known, at)
        await self.count()
        self._tasks.append(asyncio.create_task(self._keep_saving()))
        if self._log.shared:
            self._tasks += [asyncio.create_task(self._follow(shard)) for shard in range(self._log.shards)]

    async def stop(self) -> None:
        """End, with a checkpoint."""
        await end(*self._tasks)
        await self._save()

    async def count(self) -> None:
        """Count the rows anew: streams were taken away with theirs."""
        counted = await asyncio.to_thread(self._store.query, _COUNT)
        self.live.rows = counted.column("n")[0].as_py()

    async def take(self, shard: int, until: int, rows: pa.Table, corrected: pa.Table) -> None:
        """Fold rows (schema ``STORED``) and corrections (``CORRECTED``) of a shard up to the log sequence ``until``."""
        await asyncio.to_thread(self._fold, rows)
        if corrected.num_rows:
            while (await asyncio.to_thread(self._store.applied, shard))[0] < until:  # where another process stores them
                await asyncio.sleep(_SOON_S)
            await asyncio.to_thread(self._store.look)
            streams = np.unique([column(corrected, name) for name in ("stream", "was_stream")])
            await asyncio.to_thread(self._settle, streams.astype(np.int64))
            await self.count()
        await self.seen.move(shard, until)
        for watcher in self._watchers:
            await watcher(rows, corrected)

    def _fold(self, rows: pa.Table) -> None:
        with self.census.changing:
            self.live.fold(rows)
            self.census.add(rows)
        self._folded += rows.num_rows

    def _settle(self, streams: NDArray[np.int64]) -> None:
        """Find the latest reading of some streams in the store, and how far theirs reach."""
        before = self.live.ids(streams)
        some = "stream IN (SELECT unnest(?::BIGINT[]))"
        newest = self._store.query(_NEWEST.format(some), [streams.tolist()])
        with self.census.changing:
            self.live.settle(streams, before, newest)
            self.census.settle(streams)

    async def _catch_up(self, known: dict[int, int], at: dict[int, int]) -> None:
        latest, counted = ({shard: end_of(shard, known.get(shard, 0)) for shard in at}, dict(self.census.extents.upto))
        newer = _newer(latest, "id")
        rows = await asyncio.to_thread(self._store.query, _NEWEST.format(newer))
        await asyncio.to_thread(self.live.fold, rows)
        await asyncio.to_thread(self._store.look)
        await asyncio.to_thread(self.census.catch_up, at)
        both_know = {shard: min(last, counted.get(shard, last)) for shard, last in latest.items()}
        amended = await asyncio.to_thread(self._store.query, _AMENDED.format(_newer(both_know, "version")))
        if amended.num_rows:
            await asyncio.to_thread(self._settle, column(amended, "stream").astype(np.int64))
        for shard, last in at.items():
            await self.seen.move(shard, last)

    async def _follow(self, shard: int) -> None:
        while True:
            tail = self._log.tail(log_stream(shard), self.seen.at(shard))
            try:
                while True:
                    messages = await tail.fetch(_MOST_MESSAGES, 5.0)
                    if messages and messages[0].sequence != self.seen.at(shard) + 1:
                        break  # the log has let go of what we have not seen: it is in the store
                    if messages:
                        told = [(m.sequence, readable(m.data)) for m in messages]
                        await self.take(shard, messages[-1].sequence, *await asyncio.to_thread(both, shard, told))
                known = {shard: self.seen.at(shard)}
                await self._catch_up(known, {shard: (await asyncio.to_thread(self._store.applied, shard))[0]})
            except Exception as error:
                await self.seen.fail(shard, error)
                await asyncio.sleep(_RETRY_S)
            finally:
                await tail.close()

    async def _keep_saving(self) -> None:
        saved = self._folded
        while True:
            for _ in range(round(_CHECKPOINT_S / _LOOK_S)):
                await asyncio.sleep(_LOOK_S)
                if self._folded - saved >= max(_MANY_ROWS, 2 * len(self.live.id)):  # a checkpoint has a row a stream
                    break
            with suppress(*TROUBLE):  # the store may be away for a while
                await asyncio.to_thread(self.census.recount_what_went)
            saved = self._folded
            await self._save()

    async def _save(self) -> None:
        positions = {shard: self.seen.at(shard) for shard in range(self._log.shards)}
        await asyncio.to_thread(self.live.save, self._path, positions)
        await asyncio.to_thread(self.census.save)


def _newer(known: Mapping[int, int], column: str) -> str:
    """The condition that an id is above the last one known of its shard."""
    above = (f"({column} > {last} AND {column} < {pack(shard + 1, 0)})" for shard, last in known.items())
    return " OR ".join(above) or "false"
