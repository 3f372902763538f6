"""The Arrow door: observations as an Arrow IPC stream, one column a field, no Python object a row.

Columns: ``stream`` (id) or ``key`` (the stream's key), ``time``, one of ``value``, ``text``, ``json``, and any other of
a batch. A number may come in another unit than its stream's: ``unit`` in the metadata of the field ``value``, for all
rows, or a column ``unit``, for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from civium.core import InputRefused, RowRefusal
from civium.core.observations import OBSERVATION
from civium.core.view import INSTANT
from civium.sources.batch import Batch, build

Resolve = Callable[[Sequence[str]], Mapping[str, int]]  # keys of streams to their ids; an unknown key is absent
_TYPES = {field.name: field.type for field in OBSERVATION} | {"key": pa.string(), "unit": pa.string()}
_REQUIRED = ("stream", "time")
_MOST_ROWS = 4_000_000  # of one body: more than its bytes can hold, but for compressed ones


def decode_arrow(body: bytes, now: int, resolve: Resolve) -> Batch:
    """Decode a body of the Arrow door; ``made`` defaults to ``now`` [us since epoch].

    Raises InputRefused when the stream cannot be read or a column has the wrong type; a row without stream or time,
    with an unknown key or with broken JSON is refused.
    """
    try:
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OSError, KeyError, ValueError) as error:
        raise InputRefused(f"the body is no Arrow IPC stream: {error}") from None
    return from_table(table, now, resolve)


def from_table(table: pa.Table, now: int, resolve: Resolve) -> Batch:
    """A batch from a table with the columns of the Arrow door."""
    names = set(table.column_names)
    unknown = [name for name in table.column_names if name not in _TYPES]
    if unknown or len(names) != table.num_columns:
        raise InputRefused(f"unknown or repeated column {', '.join(unknown) or 'names'}; known are {', '.join(_TYPES)}")
    if "time" not in names or len(names & {"stream", "key"}) != 1 or not names & {"value", "text", "json"}:
        raise InputRefused("the columns stream or key, time, and one of value, text, json are required")
    if table.num_rows > _MOST_ROWS:
        raise InputRefused(f"{table.num_rows} rows in one body; at most {_MOST_ROWS} are allowed", status=413)
    columns = {name: _cast(name, table.column(name), _TYPES[name]) for name in table.column_names}
    refused: dict[int, RowRefusal] = {}
    if "key" in columns:
        columns["stream"] = _streams(columns.pop("key"), resolve, refused)
    for name in _REQUIRED:
        empty = np.flatnonzero(columns[name].is_null().to_numpy(zero_copy_only=False)).tolist()
        refused |= {row: RowRefusal(row, f"it has no {name}") for row in empty if row not in refused}
        if empty:
            columns[name] = columns[name].fill_null(0 if name == "stream" else pa.scalar(0, INSTANT))
    if "json" in columns:
        _read_json(columns, refused)
    columns["made"] = columns["made"].fill_null(pa.scalar(now, INSTANT)) if "made" in columns else _now(table, now)
    units = _units(table, columns.pop("unit", None))
    return build(columns, refused.values(), units=units)


def _streams(keys: pa.Array, resolve: Resolve, refused: dict[int, RowRefusal]) -> pa.Array:
    """Ids of streams by key, each distinct key looked up once."""
    coded = keys.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    ids = resolve(texts)
    for row in _rows_of(coded, [text not in ids for text in texts]):
        refused[row] = RowRefusal(row, f"no Datastream has the key '{keys[row]}'")
    return pa.array([ids.get(text) for text in texts], pa.int64()).take(coded.indices)


def _read_json(columns: dict[str, pa.Array], refused: dict[int, RowRefusal]) -> None:
    """Refuse what is no JSON; a truth value is also kept as 1 or 0, as every door does."""
    coded = columns["json"].dictionary_encode()
    broken: list[bool] = []
    truths: list[float | None] = []
    for text in coded.dictionary.to_pylist():
        try:
            said = msgspec.json.decode(text)
        except msgspec.DecodeError:
            said = msgspec.UNSET
        broken.append(said is msgspec.UNSET)
        truths.append(float(said) if isinstance(said, bool) else None)
    for row in _rows_of(coded, broken):
        refused.setdefault(row, RowRefusal(row, "its json is no JSON text"))
    if any(truth is not None for truth in truths):
        truth = pa.array(truths, pa.float64()).take(coded.indices)
        columns["value"] = pc.coalesce(columns["value"], truth) if "value" in columns else truth


def _rows_of(coded: pa.DictionaryArray, chosen: Sequence[bool]) -> Iterator[int]:
    """Rows whose dictionary entry is chosen."""
    if any(chosen):
        yield from np.flatnonzero(np.array([*chosen, False])[pc.fill_null(coded.indices, -1).to_numpy()]).tolist()


def _units(table: pa.Table, column: pa.Array | None) -> pa.DictionaryArray | None:
    """The unit of each row as its sender says; null where it does not."""
    place = table.schema.get_field_index("value")
    stated = (table.schema.field(place).metadata or {}).get(b"unit") if place >= 0 else None
    if stated is None:
        return None if column is None else column.dictionary_encode()
    if column is not None:
        raise InputRefused("the unit stands in a column and in the metadata of 'value'; send one of them")
    indices = pa.array(np.zeros(table.num_rows, np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array([stated.decode(errors="replace")]))


def _cast(name: str, column: pa.ChunkedArray, to: pa.DataType) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # pyarrow keeps a chunked array when it is empty
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(to):
        if not pa.types.is_timestamp(array.type):
            raise InputRefused(f"column '{name}' is {array.type}; send timestamp[us, UTC]")
        if array.type.tz is None:
            raise InputRefused(f"column '{name}' has no time zone; send timestamp[us, UTC]")
    try:
        return pc.cast(array, to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputRefused(f"column '{name}' is {array.type} and does not fit {to}: {error}") from None


def _now(table: pa.Table, now: int) -> pa.Array:
    return pa.array(np.full(table.num_rows, now, np.int64)).cast(INSTANT)
