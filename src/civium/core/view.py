"""The View: the twin at one log cut, reduced to what a practice declared that it needs. Frozen and columnar.

Columns (all tables are Arrow):

- ``frames[need]``: ``id, stream, thing, time, until, value, text, quality``, sorted by ``stream, time, id``;
  instants as ``timestamp[us, UTC]``, values in SI; in ``text`` stands also what JSON says that is no number.
- ``things``: ``thing, kind, name, lon, lat, facts`` (``facts`` is JSON text), sorted by ``thing``.
- ``streams``: ``stream, thing, property, unit, need``, sorted by ``need, stream``: which streams could be in a frame.
- ``actuators``: ``actuator, thing, kind, name, facts``, sorted by ``actuator``.
- ``layers[name]``: a layer of the city model, as it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

INSTANT = pa.timestamp("us", tz="UTC")
FRAME = pa.schema(
    [
        ("id", pa.int64()),
        ("stream", pa.int64()),
        ("thing", pa.int64()),
        ("time", INSTANT),
        ("until", INSTANT),
        ("value", pa.float64()),
        ("text", pa.string()),
        ("quality", pa.int16()),
    ]
)
THINGS = pa.schema(
    [
        ("thing", pa.int64()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("facts", pa.string()),
    ]
)
STREAMS = pa.schema(
    [
        ("stream", pa.int64()),
        ("thing", pa.int64()),
        ("property", pa.string()),
        ("unit", pa.string()),
        ("need", pa.string()),
    ]
)
ACTUATORS = pa.schema(
    [
        ("actuator", pa.int64()),
        ("thing", pa.int64()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("facts", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh one need is: how many streams exist, how many have a young enough reading, the newest [us]."""

    streams: int
    fresh: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class View:
    """What one practice sees at one tick. ``now`` is the tick [us since epoch]; ``cut`` the log sequences behind it."""

    now: int
    cut: Mapping[str, int]
    frames: Mapping[str, pa.Table]
    things: pa.Table = field(default_factory=THINGS.empty_table)
    streams: pa.Table = field(default_factory=STREAMS.empty_table)
    actuators: pa.Table = field(default_factory=ACTUATORS.empty_table)
    layers: Mapping[str, pa.Table] = field(default_factory=dict)
    freshness: Mapping[str, Freshness] = field(default_factory=dict)


def column(table: pa.Table, name: str) -> NDArray[np.generic]:
    """A column as a numpy array; instants as int64 [us since epoch], null numbers as NaN."""
    chunked = table.column(name)
    if pa.types.is_timestamp(chunked.type):
        chunked = chunked.cast(pa.int64())
    array: NDArray[np.generic] = chunked.to_numpy()
    return array


def latest(frame: pa.Table) -> pa.Table:
    """The last row of each stream of a frame (the frame is sorted by stream, time, id)."""
    if frame.num_rows == 0:
        return frame
    stream = column(frame, "stream")
    last = np.append(stream[1:] != stream[:-1], True)
    return frame.take(pa.array(np.flatnonzero(last)))
