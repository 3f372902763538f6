"""Which rows of a batch are to be stored, and in which log messages; which are stored already under their keys."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import InputRefused, RowRefusal
from civium.core.observations import MAX_ROWS, shards_of
from civium.core.view import column
from civium.sources.batch import NOTHING_STORED, Batch
from civium.sources.keys import MOST_NAMED, SPAN, Place, RecentKeys, content_of, part_key, settled

CONFLICT = "its idempotency key was used for another reading; a repeat must say the same, a new reading needs a new key"
_REQUEST_CONFLICT = "the idempotency key was used for another request; a repeat must say the same"
MOST_BYTES = 16 * 1024 * 1024  # of the rows of one log message


@dataclass(frozen=True, slots=True)
class Claims:
    """The rows of ``table`` in spans, each under one key or none (0) and in one log message.

    Row ``i`` of ``table`` is row ``order[i]`` of the batch; ``places[s]`` is where span ``s`` is, or is about to be:
    None where it is new. ``new`` are the places that new keys will have. ``conflicts`` are rows of the batch whose key
    was used for something else.
    """

    table: pa.Table
    order: NDArray[np.int64]
    spans: NDArray[np.void]
    places: list[Place | None]
    new: dict[int, Place]
    conflicts: tuple[RowRefusal, ...]

    def fresh(self) -> tuple[NDArray[np.int64], pa.Table, NDArray[np.void]]:
        """What is new: which spans, their rows, and they themselves, counted from the first of these rows."""
        new = np.array([place is None for place in self.places], np.bool_)
        if new.all():
            return np.arange(len(new)), self.table, self.spans
        spans = self.spans[new]
        spans["row"] = np.cumsum(spans["rows"]) - spans["rows"]
        return np.flatnonzero(new), self.table.filter(pa.array(np.repeat(new, self.spans["rows"]))), spans

    async def others(self) -> NDArray[np.int64]:
        """The id of the first row of each span that others store or have stored; 0 for the rest. Raises what hindered
        them."""
        own = {id(place) for place in self.new.values()}
        first = [0 if place is None or id(place) in own else await settled(place) for place in self.places]
        return np.array(first, np.int64)


def claim(batch: Batch, keys: RecentKeys, key: str, content: bytes) -> Claims:
    """Look up the keys of a batch; ``key`` is that of the request, for the rows without one of their own.

    Raises InputRefused (409) when that was used for another request than ``content``, and 413 for a row that is too
    large for a log message.
    """
    table, count = batch.table, batch.table.num_rows
    own = np.zeros(count, np.bool_) if batch.keys is None else batch.keys["key"] != 0
    named = int(own.sum())
    order = np.argsort(~own, kind="stable")  # those with keys of their own come first
    if 0 < named < count:
        table = table.take(pa.array(order))
    alone = np.empty(named, SPAN)
    if batch.keys is not None:
        alone["key"], alone["content"] = batch.keys["key"][own], batch.keys["content"][own]
        alone["row"], alone["rows"] = np.arange(named), 1
    parts = []
    for number, (start, rows) in enumerate(_parts(table, named, count - named, batch.rows[order])):
        told = content_of(content, batch.rows[order[start : start + rows]].tobytes()) if key and content else 0
        parts.append((part_key(key, number) if key else 0, told, start, rows))
    spans = np.concatenate([alone, np.array(parts, SPAN)])
    places: list[Place | None] = []
    conflicts: list[RowRefusal] = []
    new: dict[int, Place] = {}
    for (hashed, said, row, rows), place in zip(spans.tolist(), keys.find(spans["key"].tolist()), strict=True):
        before = new.get(hashed) if place is None else place
        if before is None and hashed:
            new[hashed] = Place(said, rows)
        elif before is not None and not before.same(said, rows):
            if row >= named:
                raise InputRefused(_REQUEST_CONFLICT, status=409)
            conflicts.append(RowRefusal(int(batch.rows[order[row]]), CONFLICT))
        places.append(before)
    return Claims(table, order, spans, places, new, tuple(sorted(conflicts, key=lambda r: r.row)))


def by_shard(batch: Batch, shards: int) -> list[tuple[int, NDArray[np.int64], Batch]]:
    """The batch in parts whose rows go to one shard each: which shard, which rows of the table, and they."""
    if shards == 1:
        return [(0, np.arange(batch.table.num_rows), batch)]
    home = shards_of(column(batch.table, "stream").astype(np.int64), shards)
    parts = []
    for shard in np.unique(home).tolist():
        at = np.flatnonzero(home == shard)
        parts.append((shard, at, batch.only(at)))
    return parts


def without(batch: Batch, refused: tuple[RowRefusal, ...]) -> Batch:
    """A batch without some more rows, which are named by their position in what was sent."""
    good = np.flatnonzero(~np.isin(batch.rows, [refusal.row for refusal in refused]))
    return Batch(
        batch.table.take(pa.array(good)),
        tuple(sorted((*batch.refused, *refused), key=lambda r: r.row)),
        batch.rows[good],
        None if batch.keys is None else batch.keys[good],
        None if batch.units is None else batch.units.take(pa.array(good)),
    )


def messages(table: pa.Table, spans: NDArray[np.void]) -> Iterator[tuple[slice, pa.Table, NDArray[np.void]]]:
    """Log messages for ``spans``, which follow one another in ``table``: which they are, the rows, and the spans with
    keys, counted from the first row of their message."""
    waiting = [slice(0, len(spans))] if len(spans) else []
    while waiting:
        which = waiting.pop()
        some = spans[which]
        start, rows = int(some["row"][0]), int(some["rows"].sum(dtype=np.int64))
        part = table.slice(start, rows)
        if len(some) > 1 and (rows > MAX_ROWS or len(some) > MOST_NAMED or part.nbytes > MOST_BYTES):
            middle = (which.start + which.stop) // 2
            waiting += [slice(middle, which.stop), slice(which.start, middle)]
            continue
        keyed = some[some["key"] != 0].copy()
        keyed["row"] -= start
        yield which, part, keyed


def _parts(table: pa.Table, start: int, rows: int, sent: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Start and length of parts that fit a log message each; ``sent`` is where the rows stood in what was sent."""
    waiting = [(at, min(MAX_ROWS, start + rows - at)) for at in range(start, start + rows, MAX_ROWS)][::-1]
    while waiting:
        at, length = waiting.pop()
        if table.slice(at, length).nbytes <= MOST_BYTES:
            yield at, length
        elif length == 1:
            why = f"it is larger than {MOST_BYTES // 1024**2} MB"
            raise InputRefused(NOTHING_STORED, (RowRefusal(int(sent[at]), why),), status=413)
        else:
            waiting += [(at + length // 2, length - length // 2), (at, length // 2)]
