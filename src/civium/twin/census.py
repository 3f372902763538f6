"""Keeps the extents of all streams: brought up to what the store holds at the start, growing with every row, counted
anew when raw rows have passed their retention."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core.observations import end_of, pack
from civium.engines import rollups
from civium.engines.store import Store
from civium.twin.extents import FEATURES, QUERY, Extents, Spans
from civium.twin.live import Live

Ids = NDArray[np.int64]
_ROWS = "observations"


class Census:
    """The extents; whoever changes or reads them holds ``changing``."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store, self._path = store, path
        self.extents = Extents()
        self.changing = threading.RLock()
        self._beside: Extents | None = None  # takes the rows that come while all is counted anew

    def start(self, applied: Mapping[int, int]) -> None:
        """Take up the checkpoint; ``applied`` is the last sequence of each shard in the store."""
        self.extents = Extents.load(self._path)
        if self.extents.ahead_of(applied):
            self.extents = Extents()
        if not self.extents.upto:
            self.extents.retired = self._retired()

    def catch_up(self, applied: Mapping[int, int]) -> None:
        """Count the rows that the store has and the extents do not."""
        with self.changing:
            upto = {shard: self.extents.upto.get(shard, pack(shard, 0) - 1) for shard in applied}
            bounds = {shard: end_of(shard, last) for shard, last in applied.items()}
            newer = [f"(id > {upto[shard]} AND id <= {bounds[shard]})" for shard in applied]
            self.extents.put(*self._ask(" OR ".join(newer)))
            self.extents.upto |= {shard: max(bounds[shard], upto[shard]) for shard in applied}

    def add(self, rows: Any) -> None:
        """Take in stored rows."""
        self.extents.add(rows)
        if self._beside is not None:
            self._beside.add(rows)

    def settle(self, streams: Ids) -> None:
        """Count some streams anew: rows of theirs were corrected or taken away."""
        with self.changing:
            bounds = [f"(id >= {pack(shard, 0)} AND id <= {last})" for shard, last in self.extents.upto.items()]
            which = f"stream IN (SELECT unnest(?::BIGINT[])) AND ({' OR '.join(bounds) or 'false'})"
            told = self._ask(which, streams.tolist())
            self.extents.forget(streams)
            self.extents.put(*told)

    def recount_what_went(self) -> None:
        """Count everything anew if days have lost their raw rows since."""
        retired = self._retired()
        if retired == self.extents.retired:
            return
        with self.changing:
            self._beside, upto = Extents(), dict(self.extents.upto)
        try:
            bounds = [f"(id >= {pack(shard, 0)} AND id <= {last})" for shard, last in upto.items()]
            fresh = Extents()
            fresh.put(*self._ask(" OR ".join(bounds) or "false"))
            with self.changing:
                fresh.upto, fresh.retired = upto, retired
                fresh.merge(self._beside)
                self.extents = fresh
        finally:
            self._beside = None

    def save(self) -> None:
        """Checkpoint."""
        with self.changing:
            self.extents.save(self._path)

    def _ask(self, which: str, *params: Any) -> tuple[pa.Table, pa.Table]:
        """What the store's rows that meet a condition tell of their streams."""
        counts, features = (self._store.query(sql.format(_ROWS, which), params) for sql in (QUERY, FEATURES))
        return counts, features

    def _retired(self) -> int:
        """How many days have lost their raw rows."""
        with self._store.cursor() as cursor:
            return sum(day.state in rollups.RAW_GONE for day in rollups.calendar(cursor).values())


class LiveMoment:
    """What is known of streams at this moment, without a look into the history."""

    def __init__(self, live: Live, census: Census) -> None:
        self._live, self._census = live, census

    def spans(self, streams: Ids) -> Spans:
        """See ``Spans``."""
        with self._census.changing:
            return self._census.extents.spans(streams)

    def total(self, streams: Ids) -> int:
        """How many observations some streams have together."""
        return int(self.spans(streams).counts.sum())

    def newest(self, streams: Ids) -> Sequence[dict[str, Any]]:
        """The latest row of each stream that has one."""
        with self._census.changing:
            there = self._census.extents.spans(streams).counts > 0
            return self._live.newest(streams[there])

    def features(self, streams: Ids) -> list[Ids]:
        """For each stream the ids of the features that its observations are of."""
        with self._census.changing:
            return self._census.extents.features(streams)
