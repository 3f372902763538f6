"""Observations as clients tell them, column by column, become a batch in Arrow: times, results, and the extras."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import RowRefusal
from civium.core.view import INSTANT
from civium.sources.batch import Batch, build
from civium.sources.instants import Instants, read_instants

VALID_TIME, QUALITY = "@iot.validTime", "@iot.resultQuality"  # where ``params`` keep what has no column of its own
_INT16 = 32_767


def batch_of(
    streams: NDArray[np.int64],
    columns: dict[str, Sequence[Any]],
    refused: list[RowRefusal],
    now: int | NDArray[np.int64],
    keys: NDArray[np.void] | None = None,
) -> Batch:
    """The columns of Observations as they were told, by the standard's names and each of the length of ``streams``, as
    a batch; those that are not told may be left out, and ``refused`` are rows that are known to be wrong.

    ``now`` [us since epoch] stands in for times that are not given.
    """
    length = len(streams)
    bad: dict[int, str] = {refusal.row: refusal.why for refusal in refused}

    def refuse(row: int, why: str) -> None:
        bad.setdefault(row, why)

    phenomenon = _instants(columns, "phenomenonTime", length, bad)
    made = _instants(columns, "resultTime", length, bad)
    for row in np.flatnonzero(made.interval):
        refuse(int(row), "resultTime is an interval; it must be an instant")
    made_or_now = np.where(made.given, made.start, now)
    # Without a phenomenonTime the server's own time holds (OGC 18-088, 8.2.8), but never one after the result was made.
    time = np.where(phenomenon.given, phenomenon.start, np.minimum(made_or_now, now))
    out: dict[str, pa.Array] = {
        "stream": pa.array(streams),
        "time": pa.array(time).view(INSTANT),
        "made": pa.array(made_or_now).view(INSTANT),
    }
    if not made.given.all():
        out["made_here"] = pa.array(~made.given)
    if phenomenon.interval.any():
        out["until"] = pa.array(phenomenon.end, mask=~phenomenon.interval).view(INSTANT)
    out.update(_results(columns.get("result", ()), bad))
    if _any(columns, "FeatureOfInterest/id"):
        out["feature"] = _integers(columns["FeatureOfInterest/id"], "FeatureOfInterest/id", pa.int64(), bad)
    if _any(columns, "resultQuality", "validTime", "parameters"):
        out["quality"], out["params"] = _extras(columns, length, bad)
    return build(out, [RowRefusal(row, why) for row, why in bad.items()], keys)


def _any(columns: dict[str, Sequence[Any]], *names: str) -> bool:
    return any(value is not None for name in names for value in columns.get(name, ()))


def _instants(columns: dict[str, Sequence[Any]], name: str, length: int, bad: dict[int, str]) -> Instants:
    if not _any(columns, name):
        nothing = np.zeros(length, np.int64)
        return Instants(nothing, nothing, np.zeros(length, np.bool_), np.zeros(length, np.bool_), {})
    instants = read_instants(columns[name])
    for row, why in instants.bad.items():
        bad.setdefault(row, f"{name}: {why}")
    return instants


def _results(results: Sequence[Any], bad: dict[int, str]) -> dict[str, pa.Array]:
    kinds = set(map(type, results))
    if kinds <= {float, int, type(None)}:
        try:
            return {"value": pa.array(results, pa.float64())}
        except pa.ArrowInvalid:  # an integer beyond 2**53: below, it is kept to the last digit beside
            pass
    elif kinds <= {str, type(None)}:
        return {"text": pa.array(results, pa.string())}

    def number(row: int, result: Any) -> float | None:
        try:
            return float(result) if isinstance(result, bool | int | float) else None
        except OverflowError:
            bad.setdefault(row, "result: the number is out of range")
            return None

    texts = [r if isinstance(r, str) else None for r in results]
    others = [msgspec.json.encode(r).decode() if _is_told_as_json(r) else None for r in results]
    return {
        "value": pa.array([number(row, result) for row, result in enumerate(results)], pa.float64()),
        "text": pa.array(texts, pa.string()),
        "json": pa.array(others, pa.string()),
    }


def _is_told_as_json(result: Any) -> bool:
    return isinstance(result, bool | dict | list) or (type(result) is int and abs(result) > 2**53)


def _integers(values: Sequence[Any], name: str, kind: pa.DataType, bad: dict[int, str]) -> pa.Array:
    def whole(row: int, value: Any) -> int | None:
        if value is None or (type(value) is int and abs(value) < 2**63):
            return value
        bad.setdefault(row, f"{name}: {value!r} is not an id")
        return None

    return pa.array([whole(row, value) for row, value in enumerate(values)], kind)


def _extras(columns: dict[str, Sequence[Any]], length: int, bad: dict[int, str]) -> tuple[pa.Array, pa.Array]:
    """Quality as a number where it is one; the rest as JSON text in ``params``."""
    nothing: Sequence[Any] = [None] * length
    quality: list[int | None] = [None] * length
    params: list[str | None] = [None] * length
    _instants(columns, "validTime", length, bad)
    extras = zip(*(columns.get(name) or nothing for name in ("parameters", "resultQuality", "validTime")), strict=True)
    for row, (parameters, judged, valid) in enumerate(extras):
        if parameters is not None and not isinstance(parameters, dict):
            bad.setdefault(row, "parameters: it must be an object")
            continue
        kept = dict(parameters or {})
        if type(judged) is int and abs(judged) <= _INT16:
            quality[row] = judged
        elif judged is not None:
            kept[QUALITY] = judged
        if valid is not None:
            kept[VALID_TIME] = valid
        if kept:
            params[row] = msgspec.json.encode(kept).decode()
    return pa.array(quality, pa.int16()), pa.array(params, pa.string())
