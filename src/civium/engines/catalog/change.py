"""A change to the catalogue: one message on the log stream CAT."""

from typing import Any

import msgspec
import pyarrow as pa

_LARGE = 64 * 1024  # a registration of 20,000 things repeats itself: compressed it is a tenth
_ZSTD = b"\x28\xb5\x2f\xfd"  # how every zstd frame begins, and no msgpack map does


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changes in the catalogue: ``at`` [us since epoch], ``who`` asked for it and ``why``.

    ``rows`` maps a table to its new rows, with their ids. A column that is left out takes its default; ``seq`` is set
    by the fold. ``updates`` are rows that exist: their ``id`` and the columns that change. ``deletes`` are the primary
    keys of rows that go. They are done in this order.
    """

    at: int
    who: str
    why: str
    rows: dict[str, list[dict[str, Any]]]
    updates: dict[str, list[dict[str, Any]]] = {}
    deletes: dict[str, list[dict[str, Any]]] = {}

    def encode(self) -> bytes:
        """One log message: msgpack, and zstd over it when it is large."""
        data = _ENCODER.encode(self)
        if len(data) < _LARGE:
            return data
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        compressed: bytes = sink.getvalue().to_pybytes()
        return compressed

    @classmethod
    def decode(cls, data: bytes) -> "Change":
        """The change of a log message."""
        if data.startswith(_ZSTD):
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                data = stream.read()
        return _DECODER.decode(data)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Change)
