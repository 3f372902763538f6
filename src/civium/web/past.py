"""What things told, and where they were, over a past time: what a map plays and a chart draws; values in SI."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.city import City
from civium.core import MICROSECONDS, InputRefused
from civium.core.view import column
from civium.engines.rights import Reach
from civium.web.moving import PROPERTY, points_of

MOST_FIGURES = 600_000  # of one answer about the past
MOST_POINTS = 2_000  # of one chart
_LOOK_BACK_S = 900.0
# $1 since, $2 end, $3 step [us]
_PAST = """
SELECT w.n AS n, (epoch_us(o.time) - $1 + $3 - 1) // $3 AS frame, arg_max({told}, o.time) AS told
FROM observations o JOIN wanted w ON o.stream = w.stream
WHERE o.time >= make_timestamp($1) AND o.time <= make_timestamp($2) AND {told} IS NOT NULL
GROUP BY ALL ORDER BY frame
"""
# $1 start, $2 step, $3 stream, $4 end
_CHART = """
SELECT (epoch_us(time) - $1) // $2 AS bucket, arg_max(epoch_us(time), time) AS at, min(value) AS low,
       max(value) AS high, avg(value) AS mean, arg_max(value, time) AS last, count(*) AS n
FROM observations WHERE stream = $3 AND time >= make_timestamp($1) AND time < make_timestamp($4)
  AND value IS NOT NULL
GROUP BY ALL ORDER BY bucket
"""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def streams_of(city: City, reach: Reach, kind: str, property: str) -> pa.Table:
    """The streams of a property of things of a kind that the caller reaches."""
    streams = city.catalog.streams_of(property, kind, city.catalog.applied())
    return streams.filter(pa.array(reach.among(column(streams, "stream").astype(np.int64))))


def past_of(city: City, reach: Reach, kind: str, property: str, start: int, end: int, step_s: float) -> dict[str, Any]:
    """What each thing of a kind last told of a property, at each step between two instants [us]: a row a step.

    ``places`` is None, or tells in the same way where those were that tell where they are. A value holds until the next
    one, at most a quarter of an hour. Raises InputRefused past 600,000 figures.
    """
    streams, moving = (streams_of(city, reach, kind, name) for name in (property, PROPERTY))
    steps = _Steps(start, end, int(step_s * MICROSECONDS))
    figures = max(streams.num_rows + 2 * moving.num_rows, 1)
    if steps.count * figures > MOST_FIGURES or (steps.before + steps.count) * figures > 2 * MOST_FIGURES:
        raise InputRefused(f"this asks for more than {MOST_FIGURES:,} figures: take a longer step", status=413)
    frame, n, told = _read(city, streams, "o.value", steps)
    values = steps.held(streams.num_rows, frame, n, told.to_numpy(zero_copy_only=False))
    return {
        "kind": kind,
        "property": property,
        "thing": column(streams, "thing").astype(np.int64).tolist(),
        "start": start // 1000,
        "step": steps.step // 1000,
        "values": [short(row) for row in values],
        "places": _places(city, moving, steps) if moving.num_rows else None,
    }


@dataclass(frozen=True, slots=True)
class _Steps:
    """Instants [us] from ``start`` on to ``end``, and as many before as a value may hold."""

    start: int
    end: int
    step: int

    @property
    def count(self) -> int:
        return max((self.end - self.start) // self.step + 1, 0)

    @property
    def before(self) -> int:
        return max(1, int(_LOOK_BACK_S * MICROSECONDS) // self.step)

    @property
    def since(self) -> int:
        return self.start - self.before * self.step

    def held(self, streams: int, frame: Ints, n: Ints, told: Floats) -> Floats:
        """A row a step, a column a stream: each value carried on for as long as it may hold; NaN where none is."""
        spread = np.full((self.before + self.count, streams), np.nan)
        inside = frame < len(spread)
        spread[frame[inside], n[inside]] = told[inside]
        rows = np.arange(len(spread))[:, None]
        last = np.maximum.accumulate(np.where(np.isnan(spread), -1, rows), axis=0)
        held = np.take_along_axis(spread, np.maximum(last, 0), axis=0)
        held[(last < 0) | (rows - last >= self.before)] = np.nan
        return held[self.before :]


def _places(city: City, streams: pa.Table, steps: _Steps) -> dict[str, Any]:
    frame, n, told = _read(city, streams, "o.json", steps)
    placed, *where = points_of(told)
    lon, lat = (steps.held(streams.num_rows, frame[placed], n[placed], axis) for axis in where)
    things = column(streams, "thing").astype(np.int64).tolist()
    return {"thing": things, "lon": [degrees(row) for row in lon], "lat": [degrees(row) for row in lat]}


def _read(city: City, streams: pa.Table, told: str, steps: _Steps) -> tuple[Ints, Ints, pa.ChunkedArray]:
    """The last thing told in each step, by number of the step and place of the stream in ``streams``."""
    wanted = pa.table({"stream": streams.column("stream"), "n": np.arange(streams.num_rows)})
    rows = city.store.query(_PAST.format(told=told), [steps.since, steps.end, steps.step], {"wanted": wanted})
    return column(rows, "frame").astype(np.int64), column(rows, "n").astype(np.int64), rows.column("told")


def degrees(values: Floats) -> list[float | None]:
    """Longitudes or latitudes to the centimetre; None where there is none."""
    return [None if value != value else value for value in np.round(values, 7).tolist()]


def short(values: Any) -> list[float | None]:
    """Numbers in five digits, which is more than a map shows; None where there is none."""
    return [None if value != value else float(f"{value:.5g}") for value in values.tolist()]


def chart_of(city: City, stream: int, start: int, end: int, points: int) -> dict[str, Any]:
    """Readings of a stream between two instants [us], thinned to at most ``points`` steps: low, mean, high."""
    step = max((end - start) // points, 1)
    told = city.store.query(_CHART, [start, step, stream, end]).to_pydict()
    return {
        "stream": stream,
        "time": [at // 1000 for at in told["at"]],
        **{name: told[name] for name in ("low", "mean", "high", "last", "n")},
    }
