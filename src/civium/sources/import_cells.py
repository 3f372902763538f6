"""Reads columns of instants and numbers as files have them; a row that cannot be read is told, with the reason."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core import InputRefused
from civium.core.view import INSTANT
from civium.sources.instants import read_instants

EPOCH_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_NUMBER = r"^\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))\s*$"
_ZONED = r":.*(?i:z|[+-]\d{2}(:?\d{2})?)$"
_NAIVE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?$"
_LATEST_US = 253_402_300_800_000_000  # year 10000


@dataclass(frozen=True, slots=True)
class TimeReading:
    """What a time without a zone means: local time of ``timezone`` (IANA name), or a count of ``epoch`` (s, ms, us, ns)
    since 1970 in UTC. Both empty: it is refused."""

    timezone: str = ""
    epoch: str = ""

    def __post_init__(self) -> None:
        if self.epoch and self.epoch not in EPOCH_US:
            raise InputRefused(f"--epoch is '{self.epoch}'; use {', '.join(EPOCH_US)}")
        if self.timezone and self.timezone != "UTC":
            try:
                ZoneInfo(self.timezone)
            except (ValueError, OSError, KeyError):
                raise InputRefused(
                    f"there is no time zone '{self.timezone}' here; write Europe/Helsinki, or install tzdata"
                ) from None


def read_times(name: str, array: pa.Array, how: TimeReading, bad: dict[int, str]) -> tuple[pa.Array, pa.Array]:
    """Instants of a column, and the ends of its intervals (``start/end``); ``bad`` gets why a row cannot be read.

    Raises InputRefused when the column as a whole says no zone and ``how`` neither.
    """
    kind = array.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None and not how.timezone:
            raise InputRefused(f"column '{name}' has no time zone; say which with --timezone, such as Europe/Helsinki")
        array = array.cast(pa.timestamp("us", kind.tz), safe=False)
        return (array.cast(INSTANT) if kind.tz else _local(array, how.timezone, bad)), pa.nulls(len(array), INSTANT)
    if how.epoch and not pa.types.is_date(kind):
        return _epoch(name, array, how.epoch, bad), pa.nulls(len(array), INSTANT)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        raise InputRefused(
            f"column '{name}' holds numbers; say with --epoch whether they are s, ms, us or ns since 1970"
        )
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputRefused(f"column '{name}' is {kind}, not an instant")
    array = pc.utf8_trim_whitespace(array.cast(pa.string()))
    if how.timezone:
        local = pc.fill_null(pc.invert(pc.match_substring_regex(array, _ZONED)), False)
        local = pc.and_(local, pc.fill_null(pc.match_substring_regex(array, _NAIVE), False))
        if pc.any(local).as_py():
            zoned, ends = _zoned(array.filter(pc.invert(local)), np.flatnonzero(~_flags(local)), bad)
            read = pc.replace_with_mask(pa.nulls(len(array), INSTANT), pc.invert(local), zoned)
            plain = pc.replace_with_mask(pa.nulls(len(array), pa.string()), local, array.filter(local))
            return (
                pc.coalesce(read, _local(plain.cast(pa.timestamp("us")), how.timezone, bad)),
                pc.replace_with_mask(pa.nulls(len(array), INSTANT), pc.invert(local), ends),
            )
    return _zoned(array, np.arange(len(array)), bad)


def read_numbers(name: str, array: pa.Array, to: pa.DataType, bad: dict[int, str]) -> pa.Array:
    """Numbers of a column, null where there is none; ``bad`` gets why a row cannot be read."""
    if pa.types.is_boolean(array.type) or not (
        pa.types.is_string(array.type)
        or pa.types.is_large_string(array.type)
        or pa.types.is_integer(array.type)
        or pa.types.is_floating(array.type)
        or pa.types.is_decimal(array.type)
        or pa.types.is_null(array.type)
    ):
        raise InputRefused(f"column '{name}' is {array.type}, not numbers")
    try:
        return array.cast(to, safe=not pa.types.is_floating(to))
    except pa.ArrowInvalid:
        pass
    what = "number" if pa.types.is_floating(to) else f"whole number of {to.bit_width} bits"
    texts = array if pa.types.is_string(array.type) else array.cast(pa.string())
    fits = _flags(pc.fill_null(pc.match_substring_regex(texts, _NUMBER), True))
    numbers = pc.if_else(pa.array(fits), pc.utf8_trim_whitespace(texts), None).cast(pa.float64())
    if not pa.types.is_floating(to):
        value = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)
        most = 2.0 ** min(to.bit_width - 1, 53)
        fits &= (value == np.floor(value)) & (np.abs(value) < most)
        numbers = pc.if_else(pa.array(fits), numbers, None)
    for row in np.flatnonzero(~fits).tolist():
        bad.setdefault(row, f"'{texts[row].as_py()[:60]}' in column '{name}' is no {what}")
    return numbers.cast(to)


def _zoned(texts: pa.Array, rows: NDArray[np.int64], bad: dict[int, str]) -> tuple[pa.Array, pa.Array]:
    read = read_instants(texts)
    for row, why in read.bad.items():
        more = ", or use --timezone" if "no time zone" in why else ""
        more = ", or use --epoch" if "not an ISO" in why else more
        bad.setdefault(int(rows[row]), why + more)
    missing = ~read.given
    missing[list(read.bad)] = True
    return (
        pa.array(read.start, mask=missing).cast(INSTANT),
        pa.array(read.end, mask=missing | ~read.interval).cast(INSTANT),
    )


def _local(times: pa.Array, zone: str, bad: dict[int, str]) -> pa.Array:
    """Local times as instants; an hour that the clock change skips or repeats cannot be resolved without a guess."""
    if zone == "UTC":
        return times.cast(INSTANT)
    first, last = (pc.assume_timezone(times, zone, ambiguous=w, nonexistent=w) for w in ("earliest", "latest"))
    unclear = pc.fill_null(pc.not_equal(first, last), False)
    for row in np.flatnonzero(_flags(unclear)).tolist():
        when = times[row].as_py().isoformat(" ")
        bad.setdefault(row, f"'{when}' is skipped or repeated by the clock change in {zone}; add its offset from UTC")
    return first.cast(INSTANT)


def _epoch(name: str, array: pa.Array, unit: str, bad: dict[int, str]) -> pa.Array:
    numbers = read_numbers(name, array, pa.float64(), bad)
    whole = None
    if pa.types.is_integer(array.type):
        whole = array.cast(pa.int64())
    elif not pa.types.is_floating(array.type):
        texts = array.cast(pa.string())
        if pc.all(pc.fill_null(pc.match_substring_regex(texts, r"^-?\d{1,18}$"), True)).as_py():
            whole = texts.cast(pa.int64())
    given = numbers.is_valid().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        value = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False) * EPOCH_US[unit]
    outside = given & ~(np.abs(value) < _LATEST_US)
    for row in np.flatnonzero(outside).tolist():
        bad.setdefault(row, f"{array[row].as_py()} {unit} since 1970 is no year of ours: is --epoch {unit} right?")
    if whole is None:
        exact = np.rint(np.where(outside, 0.0, value)).astype(np.int64)
    else:  # exact also where a double would round
        counts = np.where(outside, 0, pc.fill_null(whole, 0).to_numpy(zero_copy_only=False))
        exact = counts // 1000 if unit == "ns" else counts * int(EPOCH_US[unit])
    return pa.array(exact, mask=~given | outside).cast(INSTANT)


def _flags(array: pa.Array) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False).astype(np.bool_)
    return flags
