"""The record: an append-only, hash-chained stream of what was decided and what became of it.

An entry is one JSON message on the log stream LEDGER. ``prev`` is the SHA-256 of the message before it, so nobody can
alter or drop a line without breaking every line after it. Entry types: ``turn`` (one decision with its plan and the
guard's verdicts), ``wish`` (what a person asked for, with the guard's verdict), ``events`` (what became of commands
later), ``held``, ``broken`` and ``resumed`` (a practice).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from civium.core import CiviumError, DecisionEvent
from civium.core.digest import canonical_json
from civium.core.logs import note, said_by
from civium.core.tasks import end
from civium.engines.log import Log, LogConflict, LogUnavailable
from civium.engines.passing import TROUBLE
from civium.ledger.projection import Projection

GENESIS = "0" * 64
_LOG = said_by("record")
_MOST_CONFLICTS = 50
_RETRY_S = 0.5


class LedgerBroken(CiviumError):
    """The chain of the ledger does not hold: a line was altered, dropped or added."""


Entry = dict[str, Any]
Watcher = Callable[[int, Mapping[str, Any]], None]


class Ledger:
    """Appends entries one after the other, against those of other processes too; its tables are ``projection``."""

    def __init__(self, log: Log, projection: Projection) -> None:
        self._log, self.projection = log, projection
        self._previous = GENESIS
        self._order = asyncio.Lock()
        self._watchers: list[Watcher] = []
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, log: Log, folder: Path) -> "Ledger":
        """Open the ledger; folds what its tables have not seen and takes up the chain at its end."""
        projection = await asyncio.to_thread(Projection, folder / "ledger.db")
        ledger = cls(log, projection)
        await log.refresh("LEDGER")
        if projection.applied:
            ledger._previous = _hash((await log.get("LEDGER", projection.applied)).data)
        await ledger._catch_up()
        return ledger

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` with sequence and content of each entry from now on, whoever appended it, in order."""
        self._watchers.append(watcher)

    def follow(self) -> None:
        """Take in what other processes append, as it comes."""
        self._task = asyncio.create_task(self._follow())

    async def append(self, entry: Entry | Callable[[], Entry | None]) -> None:
        """Store one entry, synced.

        A function is asked for the entry, and asked again whenever something else was stored first, be it an earlier
        try whose answer was lost: what it says always follows from all that is on the record. None is nothing to add.
        """
        async with self._order:
            for _ in range(_MOST_CONFLICTS):
                try:
                    content = entry() if callable(entry) else entry
                    if content is not None:
                        await self._append(content)
                    return
                except LogConflict:  # another was first, or an earlier entry was stored although its answer was lost
                    await self._log.refresh("LEDGER")
                    await self._catch_up()
            raise LogUnavailable("the record is busy: every try to append was overtaken; try again")

    async def _append(self, entry: Entry) -> None:
        data = canonical_json({**entry, "prev": self._previous})
        sequence, _ = await self._log.publish("LEDGER", data, expect_last=self.projection.applied)
        _tell(sequence, entry)
        await self._fold(sequence, data, entry)

    async def catch_up(self) -> None:
        """Take in what is on the record by now."""
        async with self._order:
            await self._catch_up()

    async def _catch_up(self) -> None:
        async for message in self._log.read("LEDGER", after=self.projection.applied):
            await self._fold(message.sequence, message.data, msgspec.json.decode(message.data))

    async def _fold(self, sequence: int, data: bytes, entry: Mapping[str, Any]) -> None:
        if sequence <= self.projection.applied:
            return
        await asyncio.to_thread(self.projection.fold, sequence, entry)
        self._previous = _hash(data)
        for watcher in self._watchers:
            watcher(sequence, entry)

    async def _follow(self) -> None:
        while True:
            tail = self._log.tail("LEDGER", self.projection.applied)
            try:
                while True:
                    for message in await tail.fetch(100, 5.0):
                        async with self._order:
                            await self._fold(message.sequence, message.data, msgspec.json.decode(message.data))
            except TROUBLE:
                await asyncio.sleep(_RETRY_S)
            finally:
                await tail.close()

    async def entry(self, sequence: int) -> dict[str, Any]:
        """One entry as it was written."""
        return dict(msgspec.json.decode((await self._log.get("LEDGER", sequence)).data))

    async def read(self, after: int = 0) -> AsyncIterator[tuple[int, bytes]]:
        """Sequence and raw bytes of the entries after a sequence."""
        async for message in self._log.read("LEDGER", after):
            yield message.sequence, message.data

    async def close(self) -> None:
        await end(self._task)
        self.projection.close()


def _tell(sequence: int, entry: Entry) -> None:
    """Say what came on the record: a decision with the last batches that it could see, and what became of commands."""
    facts = {name: entry[name] for name in ("practice", "cut") if name in entry}
    decision = {"decision": entry["id"]} if "id" in entry else {}
    note(_LOG, entry["type"], entry=f"LEDGER/{sequence}", **decision, **facts)
    for event in entry.get("events", ()):
        note(_LOG, event["what"], entry=f"LEDGER/{sequence}", decision=event["decision"], command=event["command"])


def events_entry(events: Iterable[DecisionEvent], at: int) -> Entry | None:
    """The entry that says what became of commands; None when there is nothing to say."""
    told = [asdict(event) for event in events]
    return {"type": "events", "at": at, "events": told} if told else None


def check_link(sequence: int, data: bytes, previous: str) -> str:
    """Hash of an entry whose ``prev`` is ``previous``; raises LedgerBroken when the chain does not hold."""
    stated = msgspec.json.decode(data)["prev"]
    if stated != previous:
        raise LedgerBroken(f"ledger entry {sequence} does not follow from the one before it: the record was altered")
    return _hash(data)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
