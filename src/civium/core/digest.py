"""Digests: the same content gives the same digest in every process, on every machine.

Arrow tables are digested by schema and by value (not by chunking or validity layout), arrays by dtype, shape and
bytes, everything else by canonical JSON (sorted keys, shortest round-trip floats).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from civium.core.practice import State
from civium.core.view import View


def _hasher() -> "hashlib._Hash":
    return hashlib.sha256()


def of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no blanks; dataclasses as objects, numpy scalars as numbers."""

    def plain(v: Any) -> Any:
        if is_dataclass(v) and not isinstance(v, type):
            return asdict(v)
        if isinstance(v, np.generic):
            return v.item()
        if isinstance(v, Mapping):
            return dict(v)
        raise TypeError(f"cannot digest a {type(v).__name__}")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain, ensure_ascii=False).encode()


def of_json(value: Any) -> str:
    return of_bytes(canonical_json(value))


def of_state(state: State) -> str:
    """Digest of named arrays."""
    h = _hasher()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name])
        h.update(canonical_json([name, array.dtype.str, list(array.shape)]))
        h.update(array.tobytes())
    return h.hexdigest()


def of_table(table: pa.Table) -> str:
    """Digest of a table by its values: nulls count, chunking and padding do not."""
    h = _hasher()
    h.update(canonical_json([[f.name, str(f.type)] for f in table.schema] + [table.num_rows]))
    for name in table.column_names:
        array = table.column(name).combine_chunks()
        nulls = pc.is_null(array)
        h.update(np.packbits(nulls.to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_binary(array.type):
            lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
            h.update(np.ascontiguousarray(lengths, dtype=np.int64).tobytes())
            h.update(_texts(array.drop_null()))
        elif pa.types.is_boolean(array.type):
            h.update(np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False)).tobytes())
        elif pa.types.is_timestamp(array.type):
            h.update(array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
            h.update(array.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        else:
            h.update(canonical_json(array.to_pylist()))
    return h.hexdigest()


def _texts(array: pa.Array) -> memoryview:
    """All the bytes of an array of texts without nulls, one after the other, without a Python object for each."""
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, data = array.buffers()
    if len(array) == 0 or data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1]
    return memoryview(data)[bounds[0] : bounds[-1]]


def of_view(view: View) -> str:
    """Digest of all that a practice can see."""
    return of_json(
        {
            "now": view.now,
            "cut": dict(view.cut),
            "frames": {k: of_table(t) for k, t in view.frames.items()},
            "things": of_table(view.things),
            "streams": of_table(view.streams),
            "actuators": of_table(view.actuators),
            "layers": {k: of_table(t) for k, t in view.layers.items()},
            "freshness": {k: asdict(f) for k, f in view.freshness.items()},
        }
    )
