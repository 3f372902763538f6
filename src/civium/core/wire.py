"""Views, states and plans as bytes: one form for worker processes, for replay and for the log.

A View is a JSON header and its tables as Arrow IPC files in one buffer, so that a memory-mapped View costs no copy.
"""

import struct
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from civium.core.practice import MAX_STATE_BYTES, Plan, State, state_bytes
from civium.core.view import Freshness, View

_MAGIC = b"CIVVIEW1"
_ALIGN = 64


def write_view(view: View, to: BinaryIO) -> None:
    """Write a View to a binary file that starts at its position 0."""
    tables = {
        "things": view.things,
        "streams": view.streams,
        "actuators": view.actuators,
        **{f"frame:{name}": table for name, table in view.frames.items()},
        **{f"layer:{name}": table for name, table in view.layers.items()},
    }
    parts: list[pa.Buffer] = []
    places: dict[str, tuple[int, int]] = {}
    at = 0
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        buffer = sink.getvalue()
        places[name] = (at, buffer.size)
        parts.append(buffer)
        at += -(-buffer.size // _ALIGN) * _ALIGN
    header = msgspec.json.encode(
        {
            "now": view.now,
            "cut": dict(view.cut),
            "freshness": {name: asdict(f) for name, f in view.freshness.items()},
            "places": places,
        }
    )
    start = -(-(len(_MAGIC) + 8 + len(header)) // _ALIGN) * _ALIGN
    to.write((_MAGIC + struct.pack("<Q", len(header)) + header).ljust(start, b"\0"))
    for buffer in parts:
        to.write(buffer)
        to.write(b"\0" * (-buffer.size % _ALIGN))


def read_view(buffer: pa.Buffer) -> View:
    """A View on the buffer, without copying its tables. Raises ValueError on anything else."""
    whole = memoryview(buffer)
    if bytes(whole[:8]) != _MAGIC:
        raise ValueError("not a view")
    (length,) = struct.unpack("<Q", whole[8:16])
    header = msgspec.json.decode(bytes(whole[16 : 16 + length]))
    start = -(-(16 + length) // _ALIGN) * _ALIGN

    def table(name: str) -> pa.Table:
        at, size = header["places"][name]
        return pa.ipc.open_file(pa.BufferReader(buffer.slice(start + at, size))).read_all()

    def named(prefix: str) -> dict[str, pa.Table]:
        return {name[len(prefix) :]: table(name) for name in header["places"] if name.startswith(prefix)}

    return View(
        now=header["now"],
        cut=header["cut"],
        frames=named("frame:"),
        things=table("things"),
        streams=table("streams"),
        actuators=table("actuators"),
        layers=named("layer:"),
        freshness={name: Freshness(**f) for name, f in header["freshness"].items()},
    )


def encode_state(state: State) -> bytes:
    """Named arrays, zstd-compressed; refuses object arrays and states over the limit with ValueError."""
    if (size := state_bytes(state)) > MAX_STATE_BYTES:
        raise ValueError(f"the state holds {size} bytes; at most {MAX_STATE_BYTES} are allowed")
    plain: dict[str, tuple[str, list[int], bytes]] = {}
    for name in sorted(state):
        array = np.ascontiguousarray(state[name])
        if array.dtype.hasobject:
            raise ValueError(f"state '{name}' holds Python objects; only numbers, booleans and fixed text are allowed")
        plain[name] = (array.dtype.str, list(np.shape(state[name])), array.tobytes())
    packed = msgspec.msgpack.encode(plain)
    compressed: bytes = pa.compress(packed, codec="zstd", asbytes=True)
    return struct.pack("<Q", len(packed)) + compressed


def decode_state(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The named arrays; read-only, since a state is never changed in place."""
    (size,) = struct.unpack("<Q", data[:8])
    plain = msgspec.msgpack.decode(pa.decompress(data[8:], size, codec="zstd", asbytes=True))
    return {name: np.frombuffer(raw, dtype).reshape(shape) for name, (dtype, shape, raw) in plain.items()}


def encode_plan(plan: Plan) -> bytes:
    """A plan as JSON, the keys of its notices' values in order, so that what the record gives back encodes the same.

    Refuses numbers that are not finite with ValueError.
    """
    numbers = [v for e in plan.estimates for v in (e.value, e.lower, e.upper) if v is not None]
    numbers += [c.value for c in plan.commands if not isinstance(c.value, str)]
    if not all(np.isfinite(numbers)):
        raise ValueError("the plan holds a number that is not finite")
    return msgspec.json.encode(plan, order="deterministic")


def decode_plan(data: bytes) -> Plan:
    return msgspec.json.decode(data, type=Plan)


def convert_params(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Parameters of a practice from JSON; msgspec.ValidationError names what does not fit."""
    unknown = set(given) - {f.name for f in fields(kind)}
    if unknown:
        raise msgspec.ValidationError(f"unknown parameter {', '.join(sorted(unknown))}")
    return msgspec.convert(dict(given), kind)
