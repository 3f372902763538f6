"""Dead letters: shown, tried again once after a fix, or dropped.

A letter that is tried again goes through the same examination as when it came, as of the instant at which it came. The
log message that it becomes bears the letter's number in its subject, so a letter that became one is never sent again,
whatever is killed in between.
"""

import asyncio
import re
from dataclasses import dataclass

import msgspec
import numpy as np

from civium.core import CiviumError, Clock
from civium.core.observations import decode, encode, log_stream, pack, shards_of
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.engines.log import Log
from civium.engines.log_letters import STREAMS, Kept, count, read, remove, state
from civium.sources.batch import Batch
from civium.sources.claims import claim
from civium.sources.examine import examine
from civium.sources.feeds.rows import DOOR, opened
from civium.sources.intake import Intake
from civium.sources.mqtt import feature_of, stream_of
from civium.sources.sensorthings.observations import decode_messages

_DATASTREAM = re.compile(r"Datastreams\((\d{1,16})\)")
_SHOWN = 10  # reasons


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of letters that were tried again: how many are readings now, how many stay, and why (the first)."""

    taken: int
    stay: int
    why: list[str]


class Letters:
    """The dead letters of a city."""

    def __init__(self, log: Log, catalog: Catalog, clock: Clock, future_s: float, intake: Intake) -> None:
        self._log, self._catalog, self._clock, self._future_s = log, catalog, clock, future_s
        self._intake = intake
        self._one_at_a_time = asyncio.Lock()

    async def counts(self) -> dict[str, int]:
        """How many letters there are: refused at a door (``DEAD``), and accepted but not folded (``POISON``)."""
        return {stream: await count(self._log, stream) for stream in STREAMS}

    async def listed(self, topic: str = "") -> list[Kept]:
        """The letters whose topic holds ``topic``, oldest first."""
        return [kept for stream in STREAMS async for kept in read(self._log, stream) if topic in kept.letter.topic]

    async def settle(self) -> None:
        """Remove the letters that have become readings already, before a crash or a lost answer."""
        if any((await self.counts()).values()):
            done = await self._done()
            for kept in await self.listed():
                if (kept.stream, kept.origin) in done:
                    await remove(self._log, kept)

    async def retry(self, topic: str = "") -> Tried:
        """Try letters again; what is refused again stays, with the new reason."""
        async with self._one_at_a_time:
            done, taken, why = await self._done(), 0, []
            for kept in await self.listed(topic):
                if (kept.stream, kept.origin) not in done:
                    refused = await self._send(kept)
                    if refused:
                        why.append(f"{kept.letter.topic}: {refused}")
                        await self._keep(kept, refused)
                        continue
                await remove(self._log, kept)
                taken += 1
            return Tried(taken, len(why), why[:_SHOWN])

    async def drop(self, topic: str = "") -> int:
        """Forget letters for good; how many."""
        async with self._one_at_a_time:
            letters = await self.listed(topic)
            for kept in letters:
                await remove(self._log, kept)
            return len(letters)

    async def _done(self) -> set[tuple[str, int]]:
        """Stream and first sequence of the letters that are log messages now."""
        done = set()
        for shard in range(self._log.shards):
            stream = log_stream(shard)
            told = await state(self._log, stream, f"civium.{stream.lower()}.letter.>")
            done |= {(name.split(".")[3], int(name.split(".")[4])) for name in told.get("subjects") or {}}
        return done

    async def _send(self, kept: Kept) -> str:
        """Put a letter's rows into the log; returns why not."""
        try:
            batch = await asyncio.to_thread(self._opened, kept)
            await self._intake.remembers()
            claims = claim(batch, self._intake.keys, "", b"")
            await claims.others()
        except CiviumError as error:
            return str(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if claims.conflicts:
            return claims.conflicts[0].why
        _, table, spans = claims.fresh()
        if not table.num_rows:  # a reading under the same key is there already
            return ""
        name = f"letter.{kept.stream}.{kept.origin}"
        shard = int(shards_of(column(table, "stream")[:1].astype(np.int64), self._log.shards)[0])
        sequence, _ = await self._log.publish(log_stream(shard), encode(table), subject=name, key=name)
        self._intake.keys.settle(spans[spans["key"] != 0], pack(shard, sequence))
        return ""

    def _opened(self, kept: Kept) -> Batch:
        """The rows of a letter; raises what stands in their way."""
        letter = kept.letter
        if kept.stream == "POISON":  # it was examined when it was accepted
            table = decode(letter.data)
            if not table.num_rows:
                raise CiviumError("it holds no row")
            return Batch(table, (), np.arange(table.num_rows))
        named = _DATASTREAM.search(letter.topic)
        now = self._clock.now()
        if letter.door == DOOR:
            batch = opened(letter.data, self._catalog, letter.at or now)
        else:
            stream = int(named[1]) if named else stream_of(letter.topic)
            batch = decode_messages([letter.data], [stream], letter.at or now, [feature_of(letter.topic)])
        batch = examine(batch, self._catalog, now, self._future_s)
        if batch.refused:
            raise CiviumError(batch.refused[0].why)
        return batch

    async def _keep(self, kept: Kept, why: str) -> None:
        """Write the new reason on a letter that stays: a new letter of the same origin, then the old one goes."""
        if why == kept.letter.why:
            return
        again = msgspec.structs.replace(kept.letter, why=why, origin=kept.origin, tries=kept.letter.tries + 1)
        key = f"letter/{kept.origin}/{again.tries}"
        await self._log.publish(kept.stream, msgspec.json.encode(again), subject=kept.letter.door, key=key)
        await remove(self._log, kept)
