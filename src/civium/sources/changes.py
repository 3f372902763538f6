"""Changes of the catalogue: into the log first, synced, then folded; one at a time, so that ids are dense."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from civium.core import Clock, EngineUnsuitable, InputRefused
from civium.core.tasks import end
from civium.engines.catalog import Catalog, Change, references
from civium.engines.log import Log, LogConflict, LogUnavailable
from civium.engines.passing import TROUBLE

Rows = dict[str, list[dict[str, Any]]]
Watcher = Callable[[int, Change], Awaitable[None]]  # log sequence, and what it changed
_MOST_CONFLICTS = 50
_REHEARSED = 2_000  # rows of one change
_RETRY_S = 0.5


@dataclass(slots=True)
class Edits:
    """What is to change, by table: new ``rows``, ``updates`` (``id`` and new values), ``deletes`` (primary keys)."""

    rows: Rows = field(default_factory=dict)
    updates: Rows = field(default_factory=dict)
    deletes: Rows = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(map(any, (self.rows.values(), self.updates.values(), self.deletes.values())))


class Changes:
    """Owns the catalogue of this process: what it changes, and what other processes of the city change."""

    def __init__(self, log: Log, catalog: Catalog, clock: Clock) -> None:
        self._log, self.catalog, self._clock = log, catalog, clock
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` with each change that this process has taken in."""
        self._watchers.append(watcher)

    async def start(self) -> None:
        """Fold what came while this process was away; raises EngineUnsuitable for a catalogue of another log."""
        last = await self._log.refresh("CAT")
        if self.catalog.applied() > last:
            raise EngineUnsuitable(
                "catalog",
                f"it holds {self.catalog.applied()} messages, but this city's log has {last}: it is of another city, or"
                " the log was lost; give this city a catalogue of its own",
            )
        await self.catch_up()

    async def catch_up(self) -> None:
        """Fold what the log holds and the catalogue has not seen (of others, or after a crash between the two)."""
        async with self._one_at_a_time:
            await self._catch_up()

    def follow(self) -> None:
        """Take in what other processes change, as it comes."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        await end(self._task)

    async def make(
        self, build: Callable[[Catalog], Rows | Edits], *, who: str, why: str, key: str = "", bare: bool = False
    ) -> Rows:
        """Make what ``build`` plans from the catalogue as it is now; returns the new rows with their ids.

        Under the same ``key`` (none: empty) it is made once, as long as the log remembers it. What changes nothing is
        written down only if ``bare``.
        ``build`` runs alone, in a thread, and again when another process was first; what it raises passes through and
        changes nothing.
        """
        async with self._one_at_a_time:
            for _ in range(_MOST_CONFLICTS):
                try:
                    return await self._make(build, who, why, key, bare)
                except LogConflict:  # another was first, or an earlier message was stored although its answer was lost
                    await self._log.refresh("CAT")
                    await self._catch_up()
            raise LogUnavailable("the catalogue is busy: every try to change it was overtaken; try again")

    async def _catch_up(self) -> None:
        async for message in self._log.read("CAT", after=self.catalog.applied()):
            await self._fold(message.sequence, Change.decode(message.data))

    async def _fold(self, sequence: int, change: Change) -> None:
        if await asyncio.to_thread(self.catalog.fold, sequence, change):
            for watcher in self._watchers:
                await watcher(sequence, change)

    async def _make(self, build: Callable[[Catalog], Rows | Edits], who: str, why: str, key: str, bare: bool) -> Rows:
        planned = await asyncio.to_thread(build, self.catalog)
        edits = planned if isinstance(planned, Edits) else Edits(planned)
        if edits or bare:
            change = Change(self._clock.now(), who, why, edits.rows, edits.updates, edits.deletes)
            await asyncio.to_thread(_check, self.catalog, edits, change)
            data = await asyncio.to_thread(change.encode)
            sequence, repeated = await self._log.publish("CAT", data, key=key, expect_last=self.catalog.applied())
            if repeated:  # what was made then is what the log says, not what was planned now
                await self._catch_up()
            else:
                await self._fold(sequence, change)
        return edits.rows

    async def _follow(self) -> None:
        while True:
            tail = self._log.tail("CAT", self.catalog.applied())
            try:
                while True:
                    for message in await tail.fetch(100, 5.0):
                        async with self._one_at_a_time:
                            if message.sequence > self.catalog.applied():
                                await self._fold(message.sequence, Change.decode(message.data))
            except TROUBLE:
                await asyncio.sleep(_RETRY_S)
            finally:
                await tail.close()


def _check(catalog: Catalog, edits: Edits, change: Change) -> None:
    """Refuse what no database could fold, before it is in the log for good."""
    for tables in (edits.rows, edits.updates):
        for table, some in tables.items():
            _check_texts(table, some)
    with catalog.engine.connect() as connection:
        why = references.dangling(connection, edits.rows, edits.updates, edits.deletes)
    if why:
        raise InputRefused(f"{why}: it was taken away meanwhile", status=409)
    if sum(len(rows) for tables in (edits.rows, edits.updates, edits.deletes) for rows in tables.values()) > _REHEARSED:
        return  # of the register, which has looked for its keys itself
    try:
        catalog.rehearse(change)
    except (IntegrityError, DataError, OverflowError, ValueError) as error:
        told = error.orig if isinstance(error, DBAPIError) else error
        raise InputRefused(f"this contradicts itself, or what is there: {told}", status=409) from None


def _check_texts(table: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str) and "\0" in value:
                raise InputRefused(f"the {name} of one of the {table} holds the character NUL, which no text may")
