"""Reads observations from CSV and Parquet, as parts for the Arrow door; every row keeps the line that it stood in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from civium.core import InputRefused
from civium.core.view import INSTANT
from civium.sources.files import LineRefusal, check_columns, first_bytes, open_text, read_header, size_of
from civium.sources.import_cells import TimeReading, read_numbers, read_times

COLUMNS = ("stream", "key", "time", "until", "made", "value", "text", "json", "quality", "unit")
_RESULTS = ("value", "text", "json")
_MOST_ROWS = 131_072  # of one part
_MOST_BYTES = 16 * 1024 * 1024
_BLOCK = 4 * 1024 * 1024  # [bytes] of a CSV file at a time


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read.

    ``columns`` maps our names to the file's (empty: they are the same, and the file has no others); ``unit`` is that
    of every value ("": that of its stream); ``wide`` is a column for each stream, named by its key, beside the time.
    """

    times: TimeReading = field(default_factory=TimeReading)
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for the Arrow door; ``lines[i]`` is the line (of Parquet: the row) of the file that row ``i`` stood in.

    ``share`` of the file was read up to here.
    """

    table: pa.Table
    lines: NDArray[np.int64]
    refused: list[LineRefusal]
    share: float


@dataclass(frozen=True, slots=True)
class _Block:
    table: pa.Table
    lines: NDArray[np.int64]
    broken: list[LineRefusal]
    share: float


def read_columns(text: str) -> dict[str, str]:
    """What ``time=Zeit,value=Wert`` says: the file's name of each of our columns. Raises InputRefused."""
    pairs = [pair.partition("=") for pair in filter(None, text.split(","))]
    for name, equals, given in pairs:
        if name.strip() not in COLUMNS or not equals or not given.strip():
            raise InputRefused(f"--columns has '{name}{equals}{given}'; write time=Zeit, of {', '.join(COLUMNS)}")
    return {name.strip(): given.strip() for name, _, given in pairs}


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet; any other is read as CSV."""
    return first_bytes(path).startswith(b"PAR1")


def read_parts(path: Path, reading: Reading, now: int) -> Iterator[Part]:
    """The observations of a file; a row without ``made`` gets the end of its time, or ``now`` [us] if that is earlier.

    Raises InputRefused when the file as a whole cannot be read; single rows are refused in their part.
    """
    blocks = _parquet_blocks(path, reading) if is_parquet(path) else _csv_blocks(path, reading)
    for block in blocks:
        width = block.table.num_columns - 1 if reading.wide else 1
        size = _MOST_BYTES * block.table.num_rows // max(block.table.nbytes, 1)
        step = max(1, min(_MOST_ROWS // max(width, 1), size))
        broken = block.broken
        for start in range(0, max(block.table.num_rows, 1), step):
            rows = block.table.slice(start, step).combine_chunks()
            lines = block.lines[start : start + step]
            yield (_wide if reading.wide else _long)(path, rows, lines, broken, reading, now, block.share)
            broken = []


def _long(
    path: Path,
    rows: pa.Table,
    lines: NDArray[np.int64],
    broken: list[LineRefusal],
    reading: Reading,
    now: int,
    share: float,
) -> Part:
    bad: dict[int, str] = {}
    given = {name: _array(rows, name) for name in rows.column_names}
    columns: dict[str, pa.Array] = {}
    columns["time"], columns["until"] = read_times("time", given["time"], reading.times, bad)
    for name in ("until", "made"):
        if name in given:
            read, _ = read_times(name, given[name], reading.times, bad)
            columns[name] = pc.coalesce(read, columns["until"]) if name == "until" else read
    for name, kind in (("stream", pa.int64()), ("value", pa.float64()), ("quality", pa.int16())):
        if name in given:
            columns[name] = read_numbers(name, given[name], kind, bad)
    for name in ("key", "text", "json", "unit"):
        if name in given:
            columns[name] = _texts(path, name, given[name])
    for name in ("time", "stream", "key"):
        if name in columns and columns[name].null_count:
            for row in np.flatnonzero(columns[name].is_null().to_numpy(zero_copy_only=False)).tolist():
                bad.setdefault(row, f"it has no {name}")
    if "key" in columns:
        columns["key"] = columns["key"].dictionary_encode()
    empty = np.logical_and.reduce([c.is_null().to_numpy(zero_copy_only=False) for c in given.values()])
    return _part(columns, lines, broken, bad, empty, reading.unit, now, share)


def _wide(
    path: Path,
    rows: pa.Table,
    lines: NDArray[np.int64],
    broken: list[LineRefusal],
    reading: Reading,
    now: int,
    share: float,
) -> Part:
    keys = [name for name in rows.column_names if name != "time"]
    bad: dict[int, str] = {}
    time, until = read_times("time", _array(rows, "time"), reading.times, bad)
    for row in np.flatnonzero(time.is_null().to_numpy(zero_copy_only=False)).tolist():
        bad.setdefault(row, "it has no time")
    refused = [LineRefusal(int(lines[row]), why) for row, why in bad.items() if not _is_blank(rows, row)]
    good = pc.and_kleene(time.is_valid(), pa.array(np.isin(np.arange(len(time)), list(bad), invert=True)))
    time, until, lines = time.filter(good), until.filter(good), lines[good.to_numpy(zero_copy_only=False)]
    wrong: dict[int, str] = {}
    values, absent = [], []
    for i, key in enumerate(keys):
        here: dict[int, str] = {}
        given = _array(rows, key).filter(good)
        absent.append(given.is_null().to_numpy(zero_copy_only=False))
        values.append(read_numbers(key, given, pa.float64(), here))
        wrong |= {i * len(time) + row: why for row, why in here.items()}
    columns = {
        "key": pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.arange(len(keys), dtype=np.int32), len(time))), pa.array(keys, pa.string())
        ),
        "time": pa.concat_arrays([time] * len(keys)),
        "until": pa.concat_arrays([until] * len(keys)),
        "value": pa.concat_arrays(values),
    }
    at, empty = np.tile(lines, len(keys)), np.concatenate(absent)
    return _part(columns, at, [*broken, *refused], wrong, empty, reading.unit, now, share)


def _part(
    columns: dict[str, pa.Array],
    lines: NDArray[np.int64],
    broken: list[LineRefusal],
    bad: dict[int, str],
    empty: NDArray[np.bool_],
    unit: str,
    now: int,
    share: float,
) -> Part:
    """Leave out bad rows, named, and empty ones, in silence."""
    refused = [*broken, *(LineRefusal(int(lines[row]), why) for row, why in bad.items() if not empty[row])]
    end = pc.coalesce(columns["until"], columns["time"])
    latest = pa.scalar(now, pa.int64()).cast(INSTANT)
    made = pc.if_else(pc.less(end, latest), end, latest)
    columns["made"] = pc.coalesce(columns["made"], made) if "made" in columns else made
    if columns["until"].null_count == len(lines):
        del columns["until"]
    keep = ~empty
    keep[list(bad)] = False
    if unit:
        value = pa.field("value", pa.float64(), metadata={"unit": unit})
        schema = pa.schema([value if name == "value" else pa.field(name, c.type) for name, c in columns.items()])
        table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    else:
        table = pa.table(columns)
    if not keep.all():
        table, lines = table.filter(pa.array(keep)), lines[keep]
    return Part(table, lines, refused, share)


def _csv_blocks(path: Path, reading: Reading) -> Iterator[_Block]:
    with open_text(path) as text:
        names, delimiter = read_header(text, path)
    wanted = _wanted(path, names, reading)
    broken: list[LineRefusal] = []

    def skip(row: pcsv.InvalidRow) -> str:
        broken.append(LineRefusal(row.number, f"it has {row.actual_columns} columns, not {row.expected_columns}"))
        return "skip"

    size, begin = size_of(path), 2
    try:
        with path.open("rb") as file:
            reader = pcsv.open_csv(
                file,
                pcsv.ReadOptions(use_threads=False, block_size=_BLOCK, skip_rows=1, column_names=names),
                pcsv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
                pcsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(wanted),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
            for batch in reader:
                skipped = np.array([refusal.line for refusal in broken if refusal.line >= begin], np.int64)
                lines = np.setdiff1d(np.arange(begin, begin + batch.num_rows + len(skipped)), skipped)[: batch.num_rows]
                begin = int(lines[-1]) + 1 if len(lines) else begin
                mine = [refusal for refusal in broken if refusal.line < begin]
                broken[:] = [refusal for refusal in broken if refusal.line >= begin]
                table = pa.Table.from_batches([batch]).rename_columns(list(wanted.values()))
                yield _Block(table, lines, mine, min(file.tell() / size, 1.0))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        told = str(error)
        if "UTF8" in told:
            raise InputRefused(f"{path} is not UTF-8 text, after line {begin - 1}; save it as UTF-8 first") from None
        raise InputRefused(f"{path}, after line {begin - 1}: {told}") from None
    if begin == 2 and not broken:
        raise InputRefused(f"{path} holds the names of columns, and no row")
    if broken:
        none = pa.table({name: pa.array([], pa.string()) for name in wanted.values()})
        yield _Block(none, np.empty(0, np.int64), broken, 1.0)


def _parquet_blocks(path: Path, reading: Reading) -> Iterator[_Block]:
    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(path, file.schema_arrow.names, reading)
            total, begin = max(file.metadata.num_rows, 1), 1
            for batch in file.iter_batches(_MOST_ROWS, columns=list(wanted)):
                lines = np.arange(begin, begin + batch.num_rows)
                begin += batch.num_rows
                table = pa.Table.from_batches([batch]).select(list(wanted)).rename_columns(list(wanted.values()))
                yield _Block(table, lines, [], (begin - 1) / total)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputRefused(f"{path} is no Parquet file that can be read: {error}") from None


def _wanted(path: Path, names: list[str], reading: Reading) -> dict[str, str]:
    """Our name of each column of the file that is to be read; raises InputRefused when they do not fit."""
    if reading.columns:
        check_columns(path, list(reading.columns.values()), names)
    ours = {given: name for name, given in reading.columns.items()}
    if reading.wide:
        wanted = {name: ours.get(name, name) for name in names}
        if "time" not in wanted.values() or len(wanted) < 2:
            raise InputRefused(f"{path}: --wide needs a column 'time', and one for each stream, named by its key")
        return wanted
    if not ours:
        check_columns(path, names, COLUMNS)
        ours = {name: name for name in names}
    has = set(ours.values())
    if "time" not in has or len(has & {"stream", "key"}) != 1 or not has & set(_RESULTS):
        raise InputRefused(
            f"{path} needs the columns time, stream (id) or key, and one of value, text, json; "
            f"it has {', '.join(names[:10])}"
        )
    if "unit" in has and reading.unit:
        raise InputRefused(f"{path} has a column 'unit'; leave out --unit")
    return ours


def _array(rows: pa.Table, name: str) -> pa.Array:
    column = rows.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    array: pa.Array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        return pa.array([], column.type)
    return array


def _texts(path: Path, name: str, array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputRefused(f"{path}: column '{name}' is {array.type}, not text") from None


def _is_blank(rows: pa.Table, row: int) -> bool:
    return all(not column[row].is_valid for column in rows.columns)
