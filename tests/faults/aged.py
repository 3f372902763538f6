"""Weeks of history in the lake of a stopped city that upkeep has yet to see to; what its figures must be is known.

The rows are put there behind the log's back: on streams of their own, under the ids of a shard that this city has not.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from civium.core.observations import pack
from civium.engines.lakes import attach_local
from civium.engines.rollups import DAY, QUARTER_HOUR
from civium.engines.settings import Settings
from civium.engines.store import Store

FIRST_STREAM = 1_000_000  # no stream of the load has such an id
_STREAMS, _DAYS, _EACH = 1_000, 40, 24
_SHARD = 7
# Day, stream and number of a reading give its value, so that every figure can be said in advance.
_ROWS = f"""
INSERT INTO lake.observations BY NAME
SELECT {pack(_SHARD, 0)} + row_number() OVER () - 1 AS id, {FIRST_STREAM} + s AS stream,
    make_timestamp($today - (d + 2) * {DAY} + n * {DAY // _EACH}) AS time, time AS made, (d * {_EACH} + n)::DOUBLE AS value
FROM range({_STREAMS}) streams (s), range({_DAYS}) days (d), range({_EACH}) numbers (n)
"""  # noqa: E501 - a query
_OPEN = f"""
INSERT INTO lake.calendar
SELECT make_timestamp($today - (d + 2) * {DAY})::DATE, 'open', make_timestamp($today - (d + 1) * {DAY})
FROM range({_DAYS}) days (d)
"""


def _today() -> int:
    """The start of this day [us since epoch]."""
    return int(datetime.now(UTC).timestamp() * 1e6) // DAY * DAY


def age(folder: Path) -> None:
    """Give the lake of a stopped city its history: each day ended long ago, and was not seen to."""
    with duckdb.connect() as c:
        attach_local(c, folder / "lake")
        for query in (_ROWS, _OPEN):
            c.execute(query, {"today": _today()})
        c.execute("INSERT INTO lake.rolled VALUES (?, ?)", [_SHARD, pack(_SHARD, 0) + _STREAMS * _DAYS * _EACH - 1])


def check(folder: Path) -> list[str]:
    """Whatever upkeep has come to in a city that is stopped: the history's figures are exact."""
    streams = pa.table({"stream": np.arange(FIRST_STREAM, FIRST_STREAM + _STREAMS), "group": np.zeros(_STREAMS, int)})
    today, complaints = _today(), []
    store = Store.open(Settings(), folder)
    try:
        answer = store.aggregate(streams, today - (_DAYS + 2) * DAY, today - DAY, DAY)
        quarters = store.aggregate(streams, today - (_DAYS + 2) * DAY, today - DAY, QUARTER_HOUR)
    finally:
        store.close()
    wanted = [_STREAMS * _EACH] * _DAYS
    for name, found in (("days", _by_day(answer.rows)), ("quarter-hours", _by_day(quarters.rows))):
        if [n for n, _ in found] != wanted:
            complaints.append(
                f"the {name} of the history count {found[:3]} ... of {len(found)} days, not {wanted[0]} each"
            )
        sums = [_STREAMS * sum(range(d * _EACH, (d + 1) * _EACH)) for d in reversed(range(_DAYS))]
        if not np.allclose([total for _, total in found], sums[: len(found)], rtol=1e-9):
            complaints.append(f"the {name} of the history add up to something else")
    return complaints


def _by_day(rows: pa.Table) -> list[tuple[int, float]]:
    """Count and sum of each day, in order."""
    counts: dict[int, tuple[int, float]] = {}
    for start, n, mean in zip(*(rows.column(name).to_pylist() for name in ("start", "n", "mean")), strict=True):
        before = counts.get(start.date(), (0, 0.0))
        counts[start.date()] = before[0] + n, before[1] + n * mean
    return [counts[day] for day in sorted(counts)]
