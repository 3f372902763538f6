"""What is known of streams without reading their history: how many observations, from when to when, and the latest.

The live arrays tell it at once; where a process has none, the lake is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Row = Mapping[str, Any]
Tables = Mapping[str, pa.Table]
_NEVER = {"made_first": np.iinfo(np.int64).max, "made_last": np.iinfo(np.int64).min}


class ObservationReader(Protocol):
    """Runs DuckDB SQL on the lake, whose observations are the view ``observations``."""

    def query(self, sql: str, params: Sequence[Any] = (), tables: Tables | None = None) -> pa.Table: ...


class TimedReader(Protocol):
    """Runs it until a ``deadline`` [s, of ``time.monotonic``]; past that it raises QueryTooLong."""

    def query(
        self, sql: str, params: Sequence[Any] = (), tables: Tables | None = None, *, deadline: float = ...
    ) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Punctual:
    """A reader with a deadline for all that it runs."""

    reader: TimedReader
    deadline: float

    def query(self, sql: str, params: Sequence[Any] = (), tables: Tables | None = None) -> pa.Table:
        """See ``ObservationReader``."""
        return self.reader.query(sql, params, tables, deadline=self.deadline)


class Spans(Protocol):
    """Of some streams: how many observations, and from when to when they are and were made [us since epoch].

    Where ``counts`` is 0 the rest means nothing; where of none is told when it was made, the first is after the last.
    """

    @property
    def counts(self) -> Ids: ...
    @property
    def first(self) -> Ids: ...
    @property
    def last(self) -> Ids: ...  # the end of an interval counts
    @property
    def made_first(self) -> Ids: ...
    @property
    def made_last(self) -> Ids: ...


@dataclass(frozen=True, slots=True)
class _Spans:
    counts: Ids
    first: Ids
    last: Ids
    made_first: Ids
    made_last: Ids


class Moment(Protocol):
    """What the live arrays know."""

    def spans(self, streams: Ids) -> Spans: ...

    def total(self, streams: Ids) -> int:
        """How many observations some streams have together."""
        ...

    def newest(self, streams: Ids) -> Sequence[Row]:
        """The latest observation of each stream that has one: greatest time, then greatest id. Rows as in the lake,
        times [us since epoch]."""
        ...

    def features(self, streams: Ids) -> list[Ids]:
        """For each stream the ids of the features that its observations are of."""
        ...


_SPANS = """
SELECT stream, count(*) AS counts, min(time) AS first, max(coalesce(until, time)) AS last,
    min(made) FILTER (made_here IS NOT TRUE) AS made_first, max(made) FILTER (made_here IS NOT TRUE) AS made_last
FROM observations WHERE stream IN (SELECT stream FROM asked) GROUP BY stream
"""
_LATEST = """
SELECT * FROM observations WHERE stream IN (SELECT stream FROM asked)
QUALIFY row_number() OVER (PARTITION BY stream ORDER BY time DESC, id DESC) = 1
"""
_FEATURES = """
SELECT DISTINCT stream, feature FROM observations
WHERE stream IN (SELECT stream FROM asked) AND feature IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class LakeMoment:
    """The same, asked of the lake each time."""

    lake: ObservationReader

    def spans(self, streams: Ids) -> Spans:
        table = self._ask(_SPANS, streams)
        names = [field.name for field in fields(_Spans)]
        out = _Spans(*(np.zeros(len(streams), np.int64) for _ in names))
        order = np.argsort(streams)
        place = order[np.searchsorted(streams, table.column("stream").to_numpy(), sorter=order)]
        for name in names:
            column = table.column(name)
            column = column if name == "counts" else column.cast(pa.timestamp("us", column.type.tz))
            getattr(out, name)[place] = column.cast(pa.int64()).fill_null(_NEVER.get(name, 0)).to_numpy()
        return out

    def total(self, streams: Ids) -> int:
        return int(self.spans(streams).counts.sum())

    def newest(self, streams: Ids) -> Sequence[Row]:
        return rows_of(self._ask(_LATEST, streams))

    def features(self, streams: Ids) -> list[Ids]:
        found: dict[int, list[int]] = {}
        for row in self._ask(_FEATURES, streams).to_pylist():
            found.setdefault(row["stream"], []).append(row["feature"])
        return [np.array(found.get(stream, []), np.int64) for stream in streams.tolist()]

    def _ask(self, sql: str, streams: Ids) -> pa.Table:
        return self.lake.query(sql, (), {"asked": pa.table({"stream": streams})})


def rows_of(table: pa.Table) -> Sequence[Row]:
    """Rows of the lake as objects; times [us since epoch]."""
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            instants = table.column(place).cast(pa.timestamp("us", field.type.tz)).cast(pa.int64())
            table = table.set_column(place, field.name, instants)
    rows: Sequence[Row] = table.to_pylist()
    return rows


def area_of(features: Ids, geometries: NDArray[Any]) -> Any:
    """The box around some features, as a geometry: a point where they are all at one; None where none has a place.

    ``geometries`` are those of all features, by id.
    """
    known = features[features < len(geometries)]
    low_x, low_y, high_x, high_y = shapely.total_bounds(geometries[known])
    if not np.isfinite(low_x):
        return None
    if low_x == high_x and low_y == high_y:
        return shapely.Point(low_x, low_y)
    return shapely.box(low_x, low_y, high_x, high_y)
