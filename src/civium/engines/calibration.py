"""Calibrations: what a stream reads is raw * gain + offset from an instant on. The raw value is what is stored.

They are orders of the catalogue, and so in the cut: who reads under a cut applies those that were known then. Gain and
offset are of SI values here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.engines.catalog import Catalog, orders

Ids = NDArray[np.int64]
Numbers = NDArray[np.float64]
_FOR_EVER = np.iinfo(np.int64).max
QUARTER_HOUR_US = 900_000_000  # a calibration begins on one, so that no figure of a roll-up is of two
TABLE = "memory.main.calibrations"
# Rows (of ``lake.observations``) as they are read: the ranges of one stream do not overlap.
CALIBRATED = """(SELECT r.* REPLACE (coalesce(r.value * k.gain + k."offset", r.value) AS value) FROM {rows} r
LEFT JOIN memory.main.calibrations k ON r.stream = k.stream AND r.time >= k.since AND r.time < k.until)"""


@dataclass(frozen=True)
class Calibrations:
    """Of each entry the stream, from when to when it holds [us since epoch], gain and offset; by stream and time."""

    stream: Ids
    since: Ids
    until: Ids
    gain: Numbers
    offset: Numbers

    def __bool__(self) -> bool:
        return len(self.stream) > 0

    @cached_property
    def streams(self) -> Ids:
        """The streams that have any."""
        return np.unique(self.stream)

    def applied(self, streams: Ids, times: Ids, values: Numbers) -> Numbers:
        """Raw values of streams at times [us since epoch], as they are to be read."""
        if not self:
            return values
        some = np.flatnonzero(np.isin(streams, self.streams))
        if len(some) == 0:
            return values
        pair = np.dtype([("stream", np.int64), ("since", np.int64)])
        known, asked = np.empty(len(self.stream), pair), np.empty(len(some), pair)
        known["stream"], known["since"] = self.stream, self.since
        asked["stream"], asked["since"] = streams[some], times[some]
        # The last entry that is not after what is asked for: ours, or of a stream before.
        later = np.r_[np.zeros(len(known)), np.ones(len(asked))]
        both = np.concatenate([known, asked])
        order = np.lexsort((later, both["since"], both["stream"]))
        is_known = order < len(known)
        before = np.empty(len(order), np.int64)
        before[order] = np.cumsum(is_known) - 1
        place = before[len(known) :]
        fits = (place >= 0) & (self.stream[np.maximum(place, 0)] == asked["stream"])
        result = values.copy()
        at, which = some[fits], place[fits]
        result[at] = values[at] * self.gain[which] + self.offset[which]
        return result

    def table(self) -> pa.Table:
        """For the lake, whose times are UTC without a zone."""
        far = np.datetime64("294000-01-01", "us").astype(np.int64)
        columns = {
            "stream": pa.array(self.stream),
            "since": pa.array(self.since, pa.timestamp("us")),
            "until": pa.array(np.minimum(self.until, far), pa.timestamp("us")),
            "gain": pa.array(self.gain),
            "offset": pa.array(self.offset),
        }
        return pa.table(columns)


def calibrations(catalog: Catalog, at: int | None = None) -> Calibrations:
    """Those that are in force as of a message of the catalogue's log (default: now)."""
    found = orders.in_force(catalog, orders.CALIBRATION, at).values()
    rows = sorted((o.body["datastream"], o.body["since"], o.body["si_gain"], o.body["si_offset"]) for o in found)
    stream, since = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    until = np.full(len(rows), _FOR_EVER)
    if len(rows) > 1:
        same = stream[1:] == stream[:-1]
        until[:-1][same] = since[1:][same]
    gain, offset = (np.array([row[n] for row in rows], np.float64) for n in (2, 3))
    return Calibrations(stream, since, until, gain, offset)


_NO_IDS, _NO_NUMBERS = np.empty(0, np.int64), np.empty(0, np.float64)
NONE = Calibrations(_NO_IDS, _NO_IDS, _NO_IDS, _NO_NUMBERS, _NO_NUMBERS)
