"""Conditions over a million streams at once: which begin to be an alarm, and which cease to be one.

Nothing here runs once for a reading: rows of a commit are folded into arrays as they come, and a rule looks at arrays.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.alarms.rules import Rule
from civium.core import MICROSECONDS
from civium.core.observations import AHEAD_US
from civium.core.view import column

Ids = NDArray[np.int64]
Numbers = NDArray[np.float64]
_NEVER = np.iinfo(np.int64).min
_MOST_TOLD = 4_000_000  # stream ids that wait to be looked at


@dataclass(frozen=True, slots=True)
class Latest:
    """Some streams: when one was last made [us since epoch] (0: none yet), the time and the value of the latest."""

    made: Ids
    time: Ids
    value: Numbers


@dataclass(frozen=True, slots=True)
class Arrived:
    """The streams that had newer readings since the last look, ascending, with the greatest and the least of each."""

    streams: Ids
    high: Numbers
    low: Numbers


class Arrivals:
    """Folds the rows of commits into the peaks of each stream, so that a spike between two looks is seen.

    Any thread may add; a row that is older than what was looked at is of the past, and no alarm. What was looked at
    counts for nothing where it is of a time that is yet to come and the row is not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._high: Numbers = np.full(1024, np.nan)
        self._low: Numbers = np.full(1024, np.nan)
        self._seen: Ids = np.full(1024, _NEVER, np.int64)
        self._told: list[Ids] = []

    def add(self, rows: pa.Table) -> None:
        """Take in stored rows."""
        if rows.num_rows == 0:
            return
        stream, time, made = (column(rows, name).astype(np.int64) for name in ("stream", "time", "made"))
        value = column(rows, "value").astype(np.float64)
        with self._lock:
            self._reserve(int(stream.max()) + 1)
            seen, now = self._seen[stream], made + AHEAD_US
            fresh = (time > seen) | ((time <= now) & (now < seen))
            stream, value = stream[fresh], value[fresh]
            np.fmax.at(self._high, stream, value)
            np.fmin.at(self._low, stream, value)
            self._told.append(np.unique(stream))
            if sum(map(len, self._told)) > _MOST_TOLD:
                self._told = [np.unique(np.concatenate(self._told))]

    def take(self, time_of: Callable[[Ids], Ids]) -> Arrived:
        """What arrived since the last look; ``time_of`` gives the time of the latest reading of streams, which is
        looked at now."""
        with self._lock:
            streams = np.unique(np.concatenate(self._told)) if self._told else np.empty(0, np.int64)
            self._told = []
            found = Arrived(streams, self._high[streams], self._low[streams])
            self._high[streams] = self._low[streams] = np.nan
            self._seen[streams] = time_of(streams)
        return found

    def _reserve(self, size: int) -> None:
        have = len(self._high)
        if size > have:
            more = max(size, have + have // 2) - have
            self._high = np.concatenate([self._high, np.full(more, np.nan)])
            self._low = np.concatenate([self._low, np.full(more, np.nan)])
            self._seen = np.concatenate([self._seen, np.full(more, _NEVER, np.int64)])


class Lookout:
    """One rule over its streams (ids, ascending). ``alarm`` is the alarm that each belongs to, 0 where none.

    ``since`` [us since epoch] is when the rule began to be watched: silence is counted from then on at the earliest.
    """

    def __init__(self, rule: Rule, streams: Ids, since: int) -> None:
        self.rule, self.streams, self.since = rule, streams, since
        self.alarm: Ids = np.zeros(len(streams), np.int64)
        self._holds: Ids = np.zeros(len(streams), np.int64)  # since when the condition holds; 0: it does not
        self._time: Ids = np.full(len(streams), _NEVER, np.int64)  # of the reading that a rate is taken from
        self._value: Numbers = np.full(len(streams), np.nan)

    def take_over(self, other: "Lookout") -> None:
        """Go on with what an earlier lookout of the same condition knows of the same streams."""
        _, mine, theirs = np.intersect1d(self.streams, other.streams, assume_unique=True, return_indices=True)
        self.since = other.since
        for name in ("alarm", "_holds", "_time", "_value"):
            getattr(self, name)[mine] = getattr(other, name)[theirs]

    def belong(self, streams: Ids, alarm: int) -> None:
        """Streams belong to an alarm from now on (0: to none)."""
        place = np.searchsorted(self.streams, streams)
        inside = place < len(self.streams)
        place, streams = place[inside], streams[inside]
        self.alarm[place[self.streams[place] == streams]] = alarm

    def look(
        self,
        latest: Callable[[Ids], Latest],
        arrived: Arrived | None,
        quiet: Callable[[Ids], NDArray[np.bool_]],
        now: int,
    ) -> tuple[Ids, Ids]:
        """Positions of the streams that begin to be an alarm at ``now`` [us since epoch], and of those that cease.

        ``arrived`` None looks at all. What is ``quiet`` begins nothing, and ceases.
        """
        at = self._concerned(arrived)
        if len(at) == 0:
            return at, at
        readings = latest(self.streams[at])
        holds, over = self._judge(at, readings, arrived, now)
        inside = self.alarm[at] > 0
        hushed = quiet(self.streams[at])
        holds &= ~hushed
        self._holds[at] = np.where(holds, np.where(self._holds[at] > 0, self._holds[at], now), 0)
        long = now - self._holds[at] >= int(self.rule.when.for_s * MICROSECONDS)
        begins = holds & long & ~inside
        ceases = inside & (hushed | (over & ~holds))
        return at[begins], at[ceases]

    def _concerned(self, arrived: Arrived | None) -> Ids:
        if arrived is None or self.rule.when.silent_s is not None:
            return np.arange(len(self.streams))
        place = self._places(arrived.streams)[0]
        return np.unique(np.concatenate([place, np.flatnonzero(self._holds > 0), np.flatnonzero(self.alarm > 0)]))

    def _places(self, streams: Ids) -> tuple[Ids, Ids]:
        """Positions of those streams that are ours, and which of them those are."""
        if len(self.streams) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        place = np.minimum(np.searchsorted(self.streams, streams), len(self.streams) - 1)
        ours = np.flatnonzero(self.streams[place] == streams)
        return place[ours], ours

    def _judge(
        self, at: Ids, readings: Latest, arrived: Arrived | None, now: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where the condition holds, and where it is over (in between, all stays as it is)."""
        when = self.rule.when
        if when.silent_s is not None:
            span = int(when.silent_s * MICROSECONDS)
            age = now - readings.made
            return now - np.maximum(readings.made, self.since) > span, (readings.made > 0) & (age <= span)
        if when.rate_above is not None or when.rate_below is not None:
            rate = self._rate(at, readings)
            return _beyond(rate, rate, when.rate_above, when.rate_below, when.clear)
        high, low = readings.value.copy(), readings.value.copy()
        if arrived is not None and len(arrived.streams):
            place, ours = self._places(arrived.streams)
            here = np.searchsorted(at, place)
            high[here] = np.fmax(high[here], arrived.high[ours])
            low[here] = np.fmin(low[here], arrived.low[ours])
        holds, _ = _beyond(high if when.above is not None else low, low, when.above, when.below, when.clear)
        return holds, _beyond(readings.value, readings.value, when.above, when.below, when.clear)[1]

    def _rate(self, at: Ids, readings: Latest) -> Numbers:
        """Change a second between the reading that was kept and the latest; NaN where there is nothing to compare."""
        span = max(int(self.rule.when.span_s * MICROSECONDS), 1)
        known = self._time[at] != _NEVER
        elapsed = np.where(known, readings.time - np.where(known, self._time[at], 0), 0)
        ready = known & (elapsed >= span) & (readings.made > 0)
        rate = np.full(len(at), np.nan)
        rate[ready] = (readings.value - self._value[at])[ready] / (elapsed[ready] / MICROSECONDS)
        keep = (ready | ~known) & (readings.made > 0) & ~np.isnan(readings.value)
        self._time[at[keep]], self._value[at[keep]] = readings.time[keep], readings.value[keep]
        return rate


def _beyond(
    peak: Numbers, value: Numbers, above: float | None, below: float | None, clear: float | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a level is passed, and where it is left behind; NaN is neither."""
    if above is not None:
        return peak > above, value <= (above if clear is None else clear)
    assert below is not None
    return peak < below, value >= (below if clear is None else clear)
