"""Observations in columns: the schema of a batch, and the id that the log gives each row.

An id packs shard, log sequence and row into 53 bits, so that it is exact in JSON and in JavaScript; it is also the
SensorThings ``@iot.id``. Ids of one shard grow in the order of acceptance: a read under a cut hides later ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core.view import INSTANT

_ROW_BITS = 16
_SEQUENCE_BITS = 32
SHARD_BITS = _SEQUENCE_BITS + _ROW_BITS  # an id shifted right by so many is its shard
MAX_ROWS = 1 << _ROW_BITS  # rows of one log message
MAX_ID = (1 << 53) - 1
AHEAD_US = 60_000_000  # what is of a time so far after its making is a forecast, or of a device with a wrong clock
_BITS = (1 << 32) - 1
MAX_SHARDS = 1 << (53 - _SEQUENCE_BITS - _ROW_BITS)

# A number is in ``value``, words are in ``text``; anything else that JSON can say is in ``json`` (a truth value also
# as 1 or 0 in ``value``, a whole number with more digits than a float has also as the nearest one). All three null: the
# sender says that the result is missing. Where the sender does not say when it was ``made``, that is when the city took
# it in: ``made_here``.
OBSERVATION = pa.schema(
    [
        pa.field("stream", pa.int64(), nullable=False),
        pa.field("time", INSTANT, nullable=False),
        ("until", INSTANT),
        pa.field("made", INSTANT, nullable=False),
        ("value", pa.float64()),
        ("text", pa.string()),
        ("json", pa.string()),
        ("quality", pa.int16()),
        ("feature", pa.int64()),
        ("params", pa.string()),
        ("parent", pa.string()),
        ("made_here", pa.bool_()),
    ]
)
STORED = pa.schema([pa.field("id", pa.int64()), *OBSERVATION])
# A log message holds observations, or corrections of stored ones: the whole new content of the row ``corrects``, or
# that it is ``gone`` (with its last content), and where the row itself stands.
CORRECTION = pa.schema(
    [
        *OBSERVATION,
        pa.field("corrects", pa.int64(), nullable=False),
        pa.field("gone", pa.bool_(), nullable=False),
        pa.field("was_stream", pa.int64(), nullable=False),
        pa.field("was_time", INSTANT, nullable=False),
    ]
)
CORRECTED = pa.schema([pa.field("id", pa.int64()), *CORRECTION])


def pack(shard: int, sequence: int, row: int = 0) -> int:
    """Id of a row."""
    return (shard << (_SEQUENCE_BITS + _ROW_BITS)) | (sequence << _ROW_BITS) | row


def unpack(identity: int) -> tuple[int, int, int]:
    """Shard, sequence and row of an id."""
    return (
        identity >> (_SEQUENCE_BITS + _ROW_BITS),
        (identity >> _ROW_BITS) & ((1 << _SEQUENCE_BITS) - 1),
        identity & (MAX_ROWS - 1),
    )


def batches_of(ids: NDArray[np.int64], most: int = 20) -> list[str]:
    """The names of the log messages in which some rows are, such as ``OBS0/17``: the first ``most``."""
    messages = np.unique(ids >> _ROW_BITS)[:most].tolist()
    return [f"{log_stream(shard)}/{sequence}" for shard, sequence, _ in (unpack(m << _ROW_BITS) for m in messages)]


def end_of(shard: int, sequence: int) -> int:
    """The largest id that a row of this sequence can have: a read under the cut takes ``id <= end_of(...)``."""
    return pack(shard, sequence, MAX_ROWS - 1)


def log_stream(shard: int) -> str:
    """The log stream that holds a shard's observations."""
    return f"OBS{shard}"


def shards_of(streams: NDArray[np.int64], shards: int) -> NDArray[np.int64]:
    """Which shard the observations of each stream go to: all of one stream to the same, so that their order is kept."""
    mixed: NDArray[np.int64] = _mixed(streams) % shards
    return mixed


def shard_of(stream: int, shards: int) -> int:
    """As ``shards_of``, for one stream."""
    return int(_mixed(stream)) % shards


def _mixed(streams: Any) -> Any:
    """32 bits of a hash (two rounds of multiply and shift): streams of one property often have every n-th id."""
    half = (streams & _BITS) * 0x45D9F3B & _BITS
    half = (half ^ half >> 16) * 0x45D9F3B & _BITS
    return half ^ half >> 16


def shards_in(cut: Mapping[str, int]) -> dict[int, int]:
    """The shards that a cut names, and the last sequence of each that it shows."""
    return {int(name[3:]): last for name, last in sorted(cut.items()) if name.startswith("OBS")}


def are_corrections(table: pa.Table) -> bool:
    """Whether the rows of a log message correct stored ones."""
    return "corrects" in table.column_names


def number(shard: int, messages: Sequence[tuple[int, pa.Table]], schema: pa.Schema = STORED) -> pa.Table:
    """The rows of some log messages (sequence, rows) with their ids: ``STORED``, or of corrections ``CORRECTED``."""
    tables = [schema.empty_table()]
    for sequence, table in messages:
        if table.num_rows > MAX_ROWS:
            raise ValueError(f"log message {sequence} holds {table.num_rows} rows; at most {MAX_ROWS} are allowed")
        first = pack(shard, sequence)
        tables.append(table.add_column(0, "id", pa.array(np.arange(first, first + table.num_rows, dtype=np.int64))))
    return pa.concat_tables([table.cast(schema) for table in tables])


def both(shard: int, messages: Sequence[tuple[int, pa.Table]]) -> tuple[pa.Table, pa.Table]:
    """The observations (``STORED``) and the corrections (``CORRECTED``) of some log messages, with their ids."""
    plain = [message for message in messages if not are_corrections(message[1])]
    other = [message for message in messages if are_corrections(message[1])]
    return number(shard, plain), number(shard, other, CORRECTED)


def encode(table: pa.Table) -> bytes:
    """A batch as one log message: Arrow IPC without the columns that are all null; large ones lz4-compressed."""
    used = [name for name in table.column_names if table.column(name).null_count < table.num_rows]
    sink = pa.BufferOutputStream()
    slim = table.select(used)
    options = pa.ipc.IpcWriteOptions(compression="lz4" if slim.nbytes > 65536 else None)
    with pa.ipc.new_stream(sink, slim.schema, options=options) as writer:
        writer.write_table(slim)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(data: bytes) -> pa.Table:
    """The batch of a log message, with all columns of ``OBSERVATION``."""
    with pa.ipc.open_stream(data) as reader:
        return complete(reader.read_all())


def complete(table: pa.Table) -> pa.Table:
    """The same rows with all columns of ``OBSERVATION`` (or ``CORRECTION``) in order; what was not there is null."""
    schema = CORRECTION if are_corrections(table) else OBSERVATION
    there = dict(zip(table.column_names, table.columns, strict=True))
    columns = []
    for f in schema:
        column = there.get(f.name)
        if column is None:
            columns.append(pa.nulls(table.num_rows, f.type))
        else:
            columns.append(column if column.type.equals(f.type) else column.cast(f.type))
    return pa.Table.from_arrays(columns, schema=schema)
