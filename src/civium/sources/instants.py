"""Reads ISO 8601 instants and intervals by the column; a text without a time zone is refused: its zone is a guess."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core.clock import MICROSECONDS, from_datetime, to_datetime
from civium.core.view import INSTANT

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(?P<zone>Z|z|[+-]\d{2}(:?\d{2})?)?|(?P<day>\d{4}-\d{2}-\d{2})"
)

_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)
_LENGTH = ("P", "p", "-")


@dataclass(frozen=True, slots=True)
class Instants:
    """A column of instants [us since epoch]: ``start``, and ``end`` where ``interval``; ``given`` is False for null.

    ``bad`` tells, by row, why a text is no instant; such rows hold 0.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    interval: NDArray[np.bool_]
    given: NDArray[np.bool_]
    bad: dict[int, str]


def read_instant(text: str) -> int:
    """Instant [us since epoch] of one ISO 8601 text; raises ``ValueError`` that says what is wrong with it."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"'{_short(text)}' is not an ISO 8601 instant")
    if match["zone"] is None:
        raise ValueError(f"'{text}' names no time zone; add Z or an offset such as +02:00")
    try:
        return from_datetime(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"'{text}' is not a real instant: {error}") from None


def read_duration(text: str) -> int:
    """Length [us] that an ISO 8601 text of days, hours, minutes and seconds tells; raises ``ValueError``."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        raise ValueError(f"'{_short(text)}' is not a duration of days, hours, minutes and seconds such as PT1H30M")
    days, hours, minutes = (int(part or 0) for part in match.groups()[1:4])
    if max(days, hours, minutes) > 10**7:
        raise ValueError(f"'{_short(text)}' is too long")
    span = timedelta(days=days, hours=hours, minutes=minutes)
    length = span // timedelta(microseconds=1) + round(float(match[5] or 0) * MICROSECONDS)
    return -length if match[1] else length


def read_period(text: str) -> tuple[int, int | None]:
    """Start and end [us since epoch] of an instant, or of an interval ``start/end``, one of which may be a duration;
    raises ``ValueError``."""
    first, slash, last = text.partition("/")
    if slash and first[:1] in _LENGTH:
        end = read_instant(last)
        return _moved(end, -_length(first)), end
    start = read_instant(first)
    if not slash:
        return start, None
    if last[:1] in _LENGTH:
        return start, _moved(start, _length(last))
    end = read_instant(last)
    if end < start:
        raise ValueError(f"the interval '{text}' ends before it starts")
    return start, end


def _length(text: str) -> int:
    length = read_duration(text.upper())
    if length < 0:
        raise ValueError(f"'{text}' is no length of an interval: it is negative")
    return length


def _moved(instant: int, by: int) -> int:
    try:
        return from_datetime(to_datetime(instant) + timedelta(microseconds=by))
    except OverflowError:
        raise ValueError("the interval reaches outside the years 1 to 9999") from None


def write_instant(instant: int) -> str:
    """ISO 8601 text in UTC, with as many decimals as it needs."""
    text = to_datetime(instant).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def read_instants(values: Sequence[object] | pa.Array) -> Instants:
    """Read a column of texts or nulls, fast where all are plain, row by row where some are not."""
    try:
        texts = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
        return _whole_column(texts)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _row_by_row(values.to_pylist() if isinstance(values, pa.Array) else values)


def _whole_column(texts: pa.Array) -> Instants:
    """Raises ``ArrowInvalid`` if a single text is not as Arrow itself reads it."""
    slash = pc.match_substring(texts, "/")
    if not slash.true_count and not texts.null_count:  # most columns, and the quickest way through them
        start, nothing = pc.cast(texts, INSTANT).view(pa.int64()).to_numpy(), np.zeros(len(texts), np.int64)
        return Instants(start, nothing, nothing.astype(np.bool_), np.ones(len(texts), np.bool_), {})
    interval = pc.fill_null(slash, False)
    parts = pc.split_pattern(texts, "/", max_splits=1)
    texts = pc.list_element(parts, 0)
    ends = pc.cast(pc.list_element(parts.filter(interval), 1), INSTANT)
    end = pc.replace_with_mask(pa.nulls(len(texts), INSTANT), interval, ends)
    start = pc.cast(texts, INSTANT)
    if pc.any(pc.less(end, start)).as_py():
        raise pa.ArrowInvalid("an interval ends before it starts")
    return Instants(
        start=pc.fill_null(start.cast(pa.int64()), 0).to_numpy(),
        end=pc.fill_null(end.cast(pa.int64()), 0).to_numpy(),
        interval=interval.to_numpy(zero_copy_only=False),
        given=pc.is_valid(texts).to_numpy(zero_copy_only=False),
        bad={},
    )


def _row_by_row(values: Sequence[object]) -> Instants:
    start, end = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    interval, given = np.zeros(len(values), np.bool_), np.ones(len(values), np.bool_)
    out = Instants(start, end, interval, given, {})
    for row, text in enumerate(values):
        if text is None:
            out.given[row] = False
            continue
        if not isinstance(text, str):
            out.bad[row] = f"{_short(str(text))} is not an ISO 8601 text"
            continue
        try:
            first, last = read_period(text)
        except ValueError as error:
            out.bad[row] = str(error)
            continue
        out.start[row] = first
        if last is not None:
            out.end[row], out.interval[row] = last, True
    return out


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
