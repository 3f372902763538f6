"""The live fold: the latest reading of every stream, in arrays indexed by stream id."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core.observations import AHEAD_US
from civium.core.view import column
from civium.engines.calibration import NONE, Calibrations

_NOTHING: dict[str, Any] = dict.fromkeys(("until", "text", "json", "quality", "params", "parent"))
_NEVER = np.iinfo(np.int64).min
_TIMES = ("last_made", "present", "present_made")


class Live:
    """Latest reading of each stream: the one with the greatest time, then the greatest id.

    Arrays: ``id`` (0 = none yet), ``time`` and ``made`` [us since epoch], ``value`` (SI; NaN when it is text or json).
    ``feature`` is 0 where a row names none, ``made_here`` is as in ``STORED``. The texts are kept apart, for the
    streams that have them, and so is in ``more`` what else a row says.

    ``last_made`` is when any reading was last made; ``present``, ``present_id``, ``present_made`` and ``present_value``
    are of the latest one that is no forecast.
    """

    def __init__(self) -> None:
        self.id: NDArray[np.int64] = np.zeros(1024, np.int64)
        self.time: NDArray[np.int64] = np.full(1024, _NEVER, np.int64)
        self.made: NDArray[np.int64] = np.full(1024, _NEVER, np.int64)
        self.value: NDArray[np.float64] = np.full(1024, np.nan)
        self.feature: NDArray[np.int64] = np.zeros(1024, np.int64)
        self.made_here: NDArray[np.bool_] = np.zeros(1024, np.bool_)
        self.last_made: NDArray[np.int64] = np.full(1024, _NEVER, np.int64)
        self.present: NDArray[np.int64] = np.full(1024, _NEVER, np.int64)
        self.present_made: NDArray[np.int64] = np.full(1024, _NEVER, np.int64)
        self.present_id: NDArray[np.int64] = np.zeros(1024, np.int64)
        self.present_value: NDArray[np.float64] = np.full(1024, np.nan)
        self.text: dict[int, str] = {}
        self.more: dict[int, dict[str, Any]] = {}
        self.rows = 0
        self.calibrated: Calibrations = NONE  # is applied to what is read; the arrays are raw

    def fold(self, rows: pa.Table) -> None:
        """Take in stored rows (schema ``STORED``), in any order, more than once if need be."""
        if rows.num_rows == 0:
            return
        stream = column(rows, "stream").astype(np.int64)
        time = column(rows, "time").astype(np.int64)
        identity = column(rows, "id").astype(np.int64)
        names = rows.column_names
        order = np.lexsort((identity, time, stream))
        last = order[np.append(stream[order][1:] != stream[order][:-1], True)]
        self._reserve(int(stream.max()) + 1)
        self._hear(rows, order, last)
        s, t, i = stream[last], time[last], identity[last]
        newer = (t > self.time[s]) | ((t == self.time[s]) & (i > self.id[s]))
        last, s = last[newer], s[newer]
        self.time[s], self.id[s] = time[last], identity[last]
        self.made[s] = column(rows, "made").astype(np.int64)[last]
        self.value[s] = column(rows, "value").astype(np.float64)[last]
        self.feature[s] = pc.fill_null(rows.column("feature"), 0).to_numpy()[last] if "feature" in names else 0
        here = rows.column("made_here") if "made_here" in names else None
        self.made_here[s] = False if here is None else pc.fill_null(here, False).to_numpy()[last]
        self._keep(rows, last, s)
        self.rows += rows.num_rows
        for name in ("text", "json"):
            if name in rows.column_names and rows.column(name).null_count < rows.num_rows:
                words = rows.column(name).take(pa.array(last)).to_pylist()
                self.text.update({int(k): w for k, w in zip(s, words, strict=True) if w is not None})

    def _hear(self, rows: pa.Table, order: NDArray[np.int64], last: NDArray[np.int64]) -> None:
        """Keep when streams were last heard, and their latest reading that is no forecast.

        ``order`` is that of the rows by stream and time, ``last`` are those of each stream's latest.
        """
        stream, time, made = (column(rows, name).astype(np.int64) for name in ("stream", "time", "made"))
        np.maximum.at(self.last_made, stream, made)
        now = time <= made + AHEAD_US
        if not now.all():
            order = order[now[order]]
            last = order[np.append(stream[order][1:] != stream[order][:-1], True)] if len(order) else order
        s, t = stream[last], time[last]
        if not (newer := t >= self.present[s]).all():
            last, s, t = last[newer], s[newer], t[newer]
        self.present[s], self.present_made[s] = t, made[last]
        self.present_id[s] = column(rows, "id").astype(np.int64)[last]
        self.present_value[s] = column(rows, "value").astype(np.float64)[last]

    def settle(self, streams: NDArray[np.int64], before: NDArray[np.int64], rows: pa.Table) -> None:
        """Put in what is now the latest of some streams, whose latest was corrected or taken away.

        ``before`` are the ids that were here when ``rows`` (as in ``fold``, at most one a stream) were read: a stream
        that has got a later reading meanwhile keeps it.
        """
        self._reserve(int(streams.max(initial=0)) + 1)
        same = streams[self.id[streams] == before]
        self.id[same], self.time[same], self.made[same], self.value[same] = 0, _NEVER, _NEVER, np.nan
        self.feature[same] = 0
        self.present[same] = self.present_made[same] = _NEVER
        for stream in same.tolist():
            self.text.pop(stream, None)
            self.more.pop(stream, None)
        count = self.rows
        self.fold(rows)
        self.rows = count

    def heard(self, exists: NDArray[np.bool_]) -> int:
        """How many of the streams that exist have a reading."""
        size = min(len(self.id), len(exists))
        return int(((self.id[:size] > 0) & exists[:size]).sum())

    def ids(self, streams: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ids of the latest readings of some streams; 0 = none."""
        self._reserve(int(streams.max(initial=0)) + 1)
        return self.id[streams]

    def latest(self, streams: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Id (0 = none), time [us since epoch] and value (SI) of the latest readings of some streams.

        Where the latest is a forecast, or of a device with a wrong clock, and a reading of the present was made after
        it, it is that one: else one wrong year would be the latest for good.
        """
        inside = (streams >= 0) & (streams < len(self.id))
        at = np.where(inside, streams, 0)
        identity, time, value = (
            np.where(inside, self.id[at], 0),
            np.where(inside, self.time[at], _NEVER),
            self.value[at],
        )
        now = (identity > 0) & (time > self.made[at] + AHEAD_US) & (self.present_made[at] > self.made[at])
        if now.any():
            at = at[now]
            identity[now], time[now], value[now] = self.present_id[at], self.present[at], self.present_value[at]
        return identity, time, self.calibrated.applied(streams, time, value)

    def latest_made(
        self, streams: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """As ``latest``: the id, when a stream was last heard, the time [us since epoch] and the value (SI)."""
        identity, time, value = self.latest(streams)
        at = np.where((streams >= 0) & (streams < len(self.made)), streams, 0)
        return identity, np.where(identity > 0, np.maximum(self.last_made[at], self.made[at]), _NEVER), time, value

    def newest(self, streams: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The latest row of each of these streams that has one, with all that ``STORED`` names; times [us]."""
        some = streams[(streams >= 0) & (streams < len(self.id))]
        some = some[self.id[some] > 0]
        values = self.calibrated.applied(some, self.time[some], self.value[some])
        columns = (self.id[some], some, self.time[some], self.made[some], values, self.feature[some])
        told = zip(*(array.tolist() for array in (*columns, self.made_here[some])), strict=True)
        rows = []
        for identity, stream, time, made, value, feature, here in told:
            row = {"id": identity, "stream": stream, "time": time, "made": made, "value": value, **_NOTHING}
            row["feature"], row["made_here"] = feature or None, here
            if value != value or stream in self.more:
                row.update(self.more.get(stream, ()))
                row["value"] = None if row.pop("none", False) else value
            rows.append(row)
        return rows

    def _keep(self, rows: pa.Table, last: NDArray[np.int64], streams: NDArray[np.int64]) -> None:
        """What the latest rows say beside the arrays; ``none`` where they have no value, which is not NaN."""
        latest = rows.select([name for name in (*_NOTHING, "value") if name in rows.column_names]).take(pa.array(last))
        silent = all(latest.column(name).null_count == len(last) for name in latest.column_names if name in _NOTHING)
        if silent and not latest.column("value").null_count:
            if self.more:
                for stream in streams.tolist():
                    self.more.pop(stream, None)
            return
        if "until" in latest.column_names:
            place = latest.column_names.index("until")
            latest = latest.set_column(place, "until", latest.column("until").cast(pa.int64()))
        for stream, row in zip(streams.tolist(), latest.to_pylist(), strict=True):
            value = row.pop("value")
            told = {name: word for name, word in row.items() if word is not None}
            if value is None:
                told["none"] = True
            if told:
                self.more[stream] = told
            else:
                self.more.pop(stream, None)

    def save(self, path: Path, positions: Mapping[int, int]) -> None:
        """Checkpoint with the log sequence of each shard up to which it is folded; whole or not at all."""
        partial = path.with_suffix(".part")
        texts = np.array(list(self.text.items()), dtype=object)
        with partial.open("wb") as file:
            np.savez(
                file,
                id=self.id,
                time=self.time,
                made=self.made,
                more=np.frombuffer(msgspec.msgpack.encode(self.more), np.uint8),
                value=self.value,
                feature=self.feature,
                made_here=self.made_here,
                **{name: getattr(self, name) for name in (*_TIMES, "present_id", "present_value")},
                shard=np.array(list(positions), np.int64),
                sequence=np.array(list(positions.values()), np.int64),
                rows=np.int64(self.rows),
                text_stream=np.array([k for k, _ in texts], np.int64),
                text=np.array([w.encode() for _, w in texts], np.bytes_),
            )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> tuple["Live", dict[int, int]]:
        """The checkpoint and its log sequences by shard; an empty fold and none when there is none that can be read."""
        live = cls()
        try:
            with np.load(path) as saved:
                live.id, live.time, live.value = saved["id"], saved["time"], saved["value"]
                live.made, live.feature, live.made_here = saved["made"], saved["feature"], saved["made_here"]
                live.more = msgspec.msgpack.decode(saved["more"].tobytes(), type=dict[int, dict[str, Any]])
                for name in (*_TIMES, "present_id", "present_value"):
                    setattr(live, name, saved[name])
                live.rows = int(saved["rows"])
                words = [w.decode() for w in saved["text"].tolist()]
                live.text = dict(zip(saved["text_stream"].tolist(), words, strict=True))
                positions = dict(zip(saved["shard"].tolist(), saved["sequence"].tolist(), strict=True))
                return live, positions
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, msgspec.DecodeError):
            return cls(), {}

    def _reserve(self, size: int) -> None:
        have = len(self.id)
        if size > have:
            more = max(size, have + have // 2) - have
            self.id = np.concatenate([self.id, np.zeros(more, np.int64)])
            self.time = np.concatenate([self.time, np.full(more, _NEVER, np.int64)])
            self.made = np.concatenate([self.made, np.full(more, _NEVER, np.int64)])
            self.value = np.concatenate([self.value, np.full(more, np.nan)])
            self.feature = np.concatenate([self.feature, np.zeros(more, np.int64)])
            self.made_here = np.concatenate([self.made_here, np.zeros(more, np.bool_)])
            self.present_id = np.concatenate([self.present_id, np.zeros(more, np.int64)])
            for name in _TIMES:
                setattr(self, name, np.concatenate([getattr(self, name), np.full(more, _NEVER, np.int64)]))
            self.present_value = np.concatenate([self.present_value, np.full(more, np.nan)])
