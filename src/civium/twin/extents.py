"""What is known of the history of every stream without reading it: how many observations, from when to when, of which
features. It grows with every row, and is counted anew where rows were corrected or have passed their retention."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core.observations import unpack
from civium.core.view import column

Ids = NDArray[np.int64]
_LATE, _EARLY = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_LEAST, _GREATEST = ("first", "made_first"), ("last", "made_last")
_MANY = -1  # in ``feature``: more than one


class Spans(NamedTuple):
    """Of some streams: how many observations, and from when to when they are and were made [us since epoch].

    Where ``counts`` is 0 the rest means nothing; where of none is told when it was made, the first is after the last.
    """

    counts: Ids
    first: Ids
    last: Ids  # the end of an interval counts
    made_first: Ids
    made_last: Ids


# What ``put`` takes; {} are the rows, and a condition on them.
QUERY = """
SELECT stream, count(*) AS counts, min(time) AS first, max(coalesce(until, time)) AS last,
    min(made) FILTER (made_here IS NOT TRUE) AS made_first, max(made) FILTER (made_here IS NOT TRUE) AS made_last
FROM {} WHERE {} GROUP BY stream
"""
FEATURES = "SELECT DISTINCT stream, feature FROM {} WHERE feature IS NOT NULL AND ({})"


class Extents:
    """Arrays indexed by stream id: ``counts`` and the times as in ``Spans``; ``feature`` is the only one that the
    observations of a stream are of (0: none, -1: several, which are in ``several``). ``upto`` is the highest id by
    shard."""

    def __init__(self) -> None:
        self.counts: Ids = np.zeros(1024, np.int64)
        self.first: Ids = np.full(1024, _LATE)
        self.last: Ids = np.full(1024, _EARLY)
        self.made_first: Ids = np.full(1024, _LATE)
        self.made_last: Ids = np.full(1024, _EARLY)
        self.feature: Ids = np.zeros(1024, np.int64)
        self.several: dict[int, set[int]] = {}
        self.upto: dict[int, int] = {}
        self.retired = 0  # days whose raw rows had gone when all was counted

    def add(self, rows: pa.Table) -> None:
        """Take in stored rows (schema ``STORED``), each shard's in the order of their ids; those it has are passed
        over."""
        identity = column(rows, "id").astype(np.int64)
        if len(identity) and int(identity.min()) <= max(self.upto.values(), default=0):
            known = np.zeros(len(identity), np.int64)
            shards = identity >> 48
            for shard, last in self.upto.items():
                known[shards == shard] = last
            rows = rows.filter(pa.array(identity > known))
            identity = column(rows, "id").astype(np.int64)
        if not len(identity):
            return
        for shard in np.unique(identity >> 48).tolist():
            self.upto[shard] = int(identity[identity >> 48 == shard].max())
        stream, time = (column(rows, name).astype(np.int64) for name in ("stream", "time"))
        made = made_last = column(rows, "made").astype(np.int64)
        if rows.column("made_here").null_count < rows.num_rows:
            here = pc.fill_null(rows.column("made_here"), False).to_numpy()
            made, made_last = np.where(here, _LATE, made), np.where(here, _EARLY, made)
        ends = time
        if rows.column("until").null_count < rows.num_rows:
            ends = rows.column("until").cast(pa.int64()).fill_null(_EARLY).to_numpy()
            ends = np.where(ends == _EARLY, time, ends)
        order = np.argsort(stream, kind="stable")
        each, starts, counts = np.unique(stream[order], return_index=True, return_counts=True)
        lows = (np.minimum.reduceat(one[order], starts) for one in (time, made))
        highs = (np.maximum.reduceat(one[order], starts) for one in (ends, made_last))
        self._take(each, counts, dict(zip(_LEAST, lows, strict=True)) | dict(zip(_GREATEST, highs, strict=True)))
        if rows.column("feature").null_count < rows.num_rows:
            seen = rows.select(["stream", "feature"]).group_by(["stream", "feature"]).aggregate([]).drop_null()
            self._see(column(seen, "stream").astype(np.int64), column(seen, "feature").astype(np.int64))

    def put(self, table: pa.Table, features: pa.Table) -> None:
        """Take in what ``QUERY`` and ``FEATURES`` tell of streams; it is added to what is here."""
        if table.num_rows:
            absent = dict.fromkeys(_LEAST, _LATE) | dict.fromkeys(_GREATEST, _EARLY)
            ends = {
                name: table.column(name).cast(pa.int64()).fill_null(nothing).to_numpy()
                for name, nothing in absent.items()
            }
            self._take(column(table, "stream").astype(np.int64), column(table, "counts").astype(np.int64), ends)
        if features.num_rows:
            self._see(*(column(features, name).astype(np.int64) for name in ("stream", "feature")))

    def forget(self, streams: Ids) -> None:
        """Know nothing of some streams."""
        self._reserve(int(streams.max(initial=0)) + 1)
        self.counts[streams], self.feature[streams] = 0, 0
        for name in _LEAST:
            getattr(self, name)[streams] = _LATE
        for name in _GREATEST:
            getattr(self, name)[streams] = _EARLY
        for stream in streams.tolist():
            self.several.pop(stream, None)

    def merge(self, other: "Extents") -> None:
        """Take in what another has seen of later rows."""
        some = np.flatnonzero(other.counts)
        ends = {name: getattr(other, name)[some] for name in (*_LEAST, *_GREATEST)}
        self._take(some, other.counts[some], ends)
        one = np.flatnonzero(other.feature > 0)
        self._see(one, other.feature[one])
        for stream, features in other.several.items():
            self._see(np.full(len(features), stream), np.array(list(features), np.int64))
        self.upto |= other.upto

    def spans(self, streams: Ids) -> Spans:
        """What is known of some streams."""
        inside = streams < len(self.counts)
        at = np.where(inside, streams, 0)
        return Spans(*(np.where(inside, getattr(self, name)[at], 0) for name in Spans._fields))

    def features(self, streams: Ids) -> list[Ids]:
        """For each stream the ids of the features that its observations are of."""
        none = np.zeros(0, np.int64)
        found = []
        for stream in streams.tolist():
            one = int(self.feature[stream]) if stream < len(self.feature) else 0
            several = self.several.get(stream, ()) if one == _MANY else (one,)
            found.append(np.array(sorted(several), np.int64) if one else none)
        return found

    def save(self, path: Path) -> None:
        """Checkpoint, whole or not at all."""
        partial = path.with_suffix(".part")
        several = {stream: sorted(features) for stream, features in self.several.items()}
        told = msgspec.msgpack.encode({"several": several, "upto": self.upto, "retired": self.retired})
        with partial.open("wb") as file:
            arrays = {name: getattr(self, name) for name in (*Spans._fields, "feature")}
            np.savez(file, told=np.frombuffer(told, np.uint8), **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Extents":
        """The checkpoint; nothing known when there is none that can be read."""
        extents = cls()
        try:
            with np.load(path) as saved:
                told = msgspec.msgpack.decode(saved["told"].tobytes(), type=_Told)
                for name in (*Spans._fields, "feature"):
                    setattr(extents, name, saved[name])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, msgspec.DecodeError):
            return cls()
        extents.several = {stream: set(features) for stream, features in told.several.items()}
        extents.upto, extents.retired = told.upto, told.retired
        return extents

    def ahead_of(self, applied: Mapping[int, int]) -> bool:
        """Whether rows were counted that a store does not hold, whose last sequences these are."""
        return any(unpack(last)[1] > applied.get(shard, 0) for shard, last in self.upto.items())

    def _take(self, streams: Ids, counts: Ids, ends: Mapping[str, Any]) -> None:
        self._reserve(int(streams.max(initial=0)) + 1)
        self.counts[streams] += counts
        for name in _LEAST:
            array = getattr(self, name)
            array[streams] = np.minimum(array[streams], ends[name])
        for name in _GREATEST:
            array = getattr(self, name)
            array[streams] = np.maximum(array[streams], ends[name])

    def _see(self, streams: Ids, features: Ids) -> None:
        """Note which features streams are of; a stream may come more than once."""
        order = np.argsort(streams, kind="stable")
        streams, features = streams[order], features[order]
        again = np.append(False, streams[1:] == streams[:-1])
        self._reserve(int(streams.max(initial=0)) + 1)
        new = ~again & (self.feature[streams] == 0)
        self.feature[streams[new]] = features[new]
        for stream, feature in zip(streams[~new].tolist(), features[~new].tolist(), strict=True):
            one = int(self.feature[stream])
            if one == feature:
                continue
            self.several.setdefault(stream, {one}).add(feature)
            self.feature[stream] = _MANY

    def _reserve(self, size: int) -> None:
        have = len(self.counts)
        if size > have:
            more = max(size, have + have // 2) - have
            empty = {"counts": 0, "feature": 0} | dict.fromkeys(_LEAST, _LATE) | dict.fromkeys(_GREATEST, _EARLY)
            for name, nothing in empty.items():
                setattr(self, name, np.concatenate([getattr(self, name), np.full(more, nothing)]))


class _Told(msgspec.Struct):
    several: dict[int, list[int]]
    upto: dict[int, int]
    retired: int
