"""The lane of one shard: examined rows into its log stream, grouped, and nothing stored twice when an answer is lost.

Requests are grouped without a timer: whatever arrives while one log message is being stored goes into the next, and
each request is answered when its own rows are stored. A message whose answer is lost may be stored or not: until that
is known (it is sent again under the same number, which the log knows), its senders wait and the lane is shut: who comes
is told to come back, nothing of theirs is stored, and nothing piles up in memory while the log is away.

This is the one place where observations enter the log: with several shards there are several lanes.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import InputRefused, RowRefusal
from civium.core.logs import note, said_by
from civium.core.observations import MAX_ROWS, OBSERVATION, encode, pack, unpack
from civium.engines.log import Log, LogConflict, LogInDoubt, LogUnavailable
from civium.sources.batch import NOTHING_STORED, Batch
from civium.sources.claims import CONFLICT, MOST_BYTES
from civium.sources.keys import HEADER, MOST_NAMED, SPAN, Place, RecentKeys, read_header, settled, write_header
from civium.sources.overtaking import Overtaken, Seen, Taken
from civium.sources.sensorthings.observations import Reading

_LOG = said_by("door")
_RETRY_S = 0.1
_ANSWER_S = 2.0  # a log that takes longer to answer may have died: its message is in doubt
_LONGEST_S = 60.0  # that a sender is kept waiting for what became of a message in doubt
_QUICK_ROWS = 5_000  # more are encoded beside the loop
PLAIN, KEYED = "0", "0.keyed"
NO_SPANS = np.empty(0, SPAN)
_NO_ROWS = OBSERVATION.empty_table()

Examine = Callable[[Sequence[Reading]], Batch]


@dataclass(slots=True, eq=False)
class _Single:
    reading: Reading
    stored: asyncio.Future[int]


@dataclass(slots=True, eq=False)
class _Part:
    table: pa.Table
    spans: NDArray[np.void]
    stored: asyncio.Future[int]


_Waiting = _Single | _Part


class Lane:
    """Stores the observations of one shard."""

    def __init__(self, log: Log, shard: int, keys: RecentKeys, examine: Examine) -> None:
        self._log, self._shard, self._keys, self._examine = log, shard, keys, examine
        self._stream = f"OBS{shard}"
        self._singles: deque[_Single] = deque()
        self._parts: deque[_Part] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self.accepted = 0  # readings that were posted singly
        self.refused = 0
        self._storing: set[asyncio.Task[None]] = set()
        self._in_doubt = 0  # messages of which nobody knows yet whether they are stored
        self._seen = Seen(self._stream)
        self._name, self._count = secrets.token_hex(8), 0

    async def remember(self, complete: asyncio.Event) -> None:
        """Fill the index with the keys that the log still names; where others store too, go on with theirs."""
        subject = self._seen.keyed
        until: int | None = None
        tail = self._log.tail(self._stream, 0, subjects=(subject,), headers_only=True)
        while True:
            try:
                if until is None:
                    last = await self._log.last_of(self._stream, subject)
                    until = 0 if last is None else last.sequence
            except LogUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            if tail.position >= until:
                complete.set()
                if not self._log.shared:
                    return await tail.close()
            for message in await tail.fetch(1000, 5.0):
                if named := message.headers.get(HEADER):
                    self._keys.settle(read_header(named), pack(self._shard, message.sequence))
                self._seen.see(message.subject, message.sequence)

    def check_open(self) -> None:
        """Raise LogUnavailable while it is not known whether a message was stored."""
        if self._in_doubt:
            raise _away()

    @property
    def waiting(self) -> int:
        """Readings that wait for the next message."""
        return len(self._singles)

    def post(self, reading: Reading) -> asyncio.Future[int]:
        """Store a reading with those that come at the same time: its id; InputRefused or LogUnavailable."""
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._singles.append(_Single(reading, stored))
        self._wake()
        return stored

    async def store(self, table: pa.Table, spans: NDArray[np.void], *, alone: bool = False) -> int:
        """Store examined rows (at most MAX_ROWS and MOST_BYTES) in one log message; returns the id of the first.

        ``spans`` (at most MOST_NAMED) are those of their keys, expected in the index. With what comes at the same time,
        or ``alone``. Raises LogUnavailable when they were not stored, or when nobody knows yet.
        """
        part = _Part(table, spans, asyncio.get_running_loop().create_future())
        if self._in_doubt:
            away = _away()
            self._keys.release(spans["key"].tolist(), away)
            raise away
        if alone:
            storing = asyncio.create_task(self._put(table, spans, [part]))
            self._storing.add(storing)
            storing.add_done_callback(self._storing.discard)
        else:
            self._parts.append(part)
            self._wake()
        return await part.stored

    async def store_marked(
        self, table: pa.Table, spans: NDArray[np.void], name: str, key: str, headers: Mapping[str, str], after: int
    ) -> int:
        """Store rows in a message of their own under ``name`` and ``key``, with ``headers`` that say where they come
        from; returns its sequence when it is stored.

        Raises LogUnavailable when it is not, and in a shared log LogConflict when the last message under ``name`` is
        not the one with the sequence ``after``: another door took over.
        """
        subject = f"{name}.keyed" if len(spans) or self._log.shared else name
        try:
            return unpack(await self._send(table, spans, [], subject, key, headers, after))[1]
        except (LogUnavailable, LogConflict) as error:
            self._keys.release(spans["key"].tolist(), error)
            raise

    def _wake(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        while self._singles or self._parts:
            waiting, table, spans = self._take()
            if waiting:
                await self._put(table, spans, waiting)

    def _take(self) -> tuple[list[_Waiting], pa.Table, NDArray[np.void]]:
        """What goes into the next message: readings, then batches as long as there is room."""
        waiting, table, spans = self._take_singles()
        tables, named = [table], [spans]
        rows, size, names = table.num_rows, table.nbytes, len(spans)
        while self._parts:
            part = self._parts[0]
            rows, size, names = rows + part.table.num_rows, size + part.table.nbytes, names + len(part.spans)
            if waiting and (rows > MAX_ROWS or size > MOST_BYTES or names > MOST_NAMED):
                break
            waiting.append(self._parts.popleft())
            named.append(part.spans.copy())
            named[-1]["row"] += rows - part.table.num_rows
            tables.append(part.table)
        together = table if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()
        return waiting, together, np.concatenate(named)

    def _take_singles(self) -> tuple[list[_Waiting], pa.Table, NDArray[np.void]]:
        singles = [self._singles.popleft() for _ in range(min(len(self._singles), MOST_NAMED))]
        if not singles:
            return [], _NO_ROWS, NO_SPANS
        try:
            batch = self._examine([single.reading for single in singles])
        except Exception:  # one of them is beyond what anybody thought of; the others must not suffer
            singles = [single for single in singles if self._can_be_examined(single)]
            batch = self._examine([single.reading for single in singles])
        self.accepted, self.refused = self.accepted + len(batch.rows), self.refused + len(batch.refused)
        for refusal in batch.refused:
            _fail(singles[refusal.row], InputRefused(NOTHING_STORED, (RowRefusal(0, refusal.why),)))
        good = [singles[row] for row in batch.rows.tolist()]
        if batch.keys is None:
            return list(good), batch.table, NO_SPANS
        new = self._without_repeats(good)
        if len(new) < len(good):
            batch = self._examine([single.reading for single in new])
        named = [(one.reading.key, one.reading.content, row, 1) for row, one in enumerate(new) if one.reading.key]
        self._keys.expect({key: Place(content, rows) for key, content, _, rows in named})
        return list(new), batch.table, np.array(named, SPAN)

    def _can_be_examined(self, single: _Single) -> bool:
        try:
            self._examine([single.reading])
        except Exception as error:
            _fail(single, error)
            return False
        return True

    def _without_repeats(self, singles: list[_Single]) -> list[_Single]:
        """Those that are not stored under their key; the others are answered as the first was, or are about to be."""
        new: list[_Single] = []
        first: dict[int, _Single] = {}
        for single, place in zip(singles, self._keys.find([s.reading.key for s in singles]), strict=True):
            reading = single.reading
            if not reading.key:
                new.append(single)
            elif place is not None:
                if not place.same(reading.content, 1):
                    _fail(single, InputRefused(NOTHING_STORED, (RowRefusal(0, CONFLICT),), 409))
                else:
                    _follow(single, place)
            elif (before := first.get(reading.key)) is None:
                first[reading.key] = single
                new.append(single)
            elif before.reading.content != reading.content:
                _fail(single, InputRefused(NOTHING_STORED, (RowRefusal(0, CONFLICT),), 409))
            else:
                before.stored.add_done_callback(partial(_copy, single.stored))
        return new

    async def _put(self, table: pa.Table, spans: NDArray[np.void], waiting: Sequence[_Waiting]) -> None:
        """Store one message and tell those who wait what became of it."""
        try:
            first = await self._send(table, spans, waiting, KEYED if len(spans) else PLAIN)
        except BaseException as error:
            told = error if isinstance(error, Exception) else LogUnavailable("the city stops; try again later")
            self._keys.release(spans["key"].tolist(), told)
            for one in waiting:
                _fail(one, told)
            if not isinstance(error, LogUnavailable):
                raise
            return
        for one in waiting:
            if not one.stored.done():
                one.stored.set_result(first)
            first += one.table.num_rows if isinstance(one, _Part) else 1

    async def _send(
        self,
        table: pa.Table,
        spans: NDArray[np.void],
        waiting: Sequence[_Waiting],
        subject: str,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        after: int | None = None,
    ) -> int:
        """Publish until it is known what became of it; the id of the first row."""
        if not self._log.shared or (after is None and not len(spans)):
            return await self._send_now(table, spans, waiting, subject, key, headers, after)
        await self._take_turn()
        try:
            return await self._send_now(table, spans, waiting, subject, key, headers, after)
        finally:
            self._seen.turn.release()

    async def _take_turn(self) -> None:
        while True:
            self.check_open()  # who waits behind a message in doubt must come back
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    await self._seen.turn.acquire()
                    return

    async def _send_now(
        self,
        table: pa.Table,
        spans: NDArray[np.void],
        waiting: Sequence[_Waiting],
        subject: str,
        key: str,
        headers: Mapping[str, str] | None,
        after: int | None,
    ) -> int:
        data = await asyncio.to_thread(encode, table) if table.num_rows > _QUICK_ROWS else encode(table)
        sent = {**(headers or {}), **({HEADER: write_header(spans)} if len(spans) else {})}
        self._count += 1
        key = key or f"{self._name}/{self._count}"
        doubtful, before = False, self._log.last(self._stream)
        until = asyncio.get_running_loop().time() + _LONGEST_S
        giving_up: asyncio.TimerHandle | None = None
        try:
            while True:
                try:
                    # The log knows its keys for ten minutes of its own clock; it may be away for longer.
                    found = await self._log.holds(self._stream, key, before) if doubtful else None
                    sequence = found or await self._publish(data, subject, key, sent, spans, after)
                    break
                except Overtaken:
                    if not doubtful and asyncio.get_running_loop().time() > until:
                        raise LogUnavailable("other doors were first each time; try again later") from None
                    continue
                except Taken as error:  # ours would have been refused behind it, if it was still on its way
                    raise (LogInDoubt(str(error)) if doubtful else error) from None
                except LogInDoubt as error:
                    if not doubtful:
                        doubtful = True
                        self._in_doubt += 1
                        self._turn_away()
                        giving_up = asyncio.get_running_loop().call_later(_LONGEST_S, _fail_all, waiting, error)
                except LogUnavailable:
                    if not doubtful:
                        raise
                await asyncio.sleep(_RETRY_S)
        finally:
            self._in_doubt -= doubtful
            if giving_up is not None:
                giving_up.cancel()
        first = pack(self._shard, sequence)
        note(_LOG, "accepted", batch=f"{self._stream}/{sequence}", rows=table.num_rows)
        self._keys.settle(spans, first)
        return first

    async def _publish(
        self,
        data: bytes,
        subject: str,
        key: str,
        headers: Mapping[str, str],
        spans: NDArray[np.void],
        after: int | None,
    ) -> int:
        publish = partial(
            self._log.publish, self._stream, data, subject=subject, key=key, headers=headers, timeout=_ANSWER_S
        )
        if not self._log.shared or (after is None and not len(spans)):
            return (await publish())[0]
        seen = self._seen.last
        if after is not None and not self._seen.follows(subject, after):
            raise LogConflict(f"another door stores what comes to {subject.partition('.')[0]}")
        if any(place is not None and place.first for place in self._keys.find(spans["key"].tolist())):
            raise Taken("the same came to another door at this moment; try again later")
        try:
            sequence, _ = await publish(expect_last=seen, expect_of=self._seen.keyed)
        except LogConflict:
            await self._seen.look(seen, _ANSWER_S)
            raise Overtaken from None
        self._seen.stored(subject, sequence)
        return sequence

    def _turn_away(self) -> None:
        """Tell those who are behind a message in doubt to come back: nothing of theirs was sent."""
        away = _away()
        for part in self._parts:
            self._keys.release(part.spans["key"].tolist(), away)
        behind: list[_Waiting] = [*self._singles, *self._parts]
        _fail_all(behind, away)
        self._singles.clear()
        self._parts.clear()


def _away() -> LogUnavailable:
    return LogUnavailable("the log does not answer at this moment; try again later")


def _fail(one: _Waiting, why: Exception) -> None:
    if not one.stored.done():
        one.stored.set_exception(why)


def _fail_all(waiting: Sequence[_Waiting], why: Exception) -> None:
    for one in waiting:
        _fail(one, why)


def _follow(single: _Single, place: Place) -> None:
    """Answer as the one was who sent the same before."""
    if place.first:
        single.stored.set_result(place.first)
    else:
        asyncio.ensure_future(settled(place)).add_done_callback(partial(_copy, single.stored))


def _copy(to: asyncio.Future[int], done: asyncio.Future[int]) -> None:
    error = done.exception()
    if to.done():
        return
    if error is not None:
        to.set_exception(error)
    else:
        to.set_result(done.result())
