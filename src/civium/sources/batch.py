"""A batch of observations on its way in: one Arrow table of one shape, whichever door it came through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import RowRefusal
from civium.core.observations import OBSERVATION

KEY = np.dtype([("key", "<u8"), ("content", "<u8")])  # as in sources.keys; key 0: none
NOTHING_CREATED = "nothing was created"
NOTHING_STORED = "nothing was stored"  # how every door begins to say why


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded rows, the refused ones apart.

    ``table`` has the schema ``OBSERVATION``; its row ``i`` is row ``rows[i]`` of what was sent. ``keys``, when any row
    bore an idempotency key, are those of the table's rows (dtype ``KEY``). Values are still in the unit of the sender:
    that of their stream, or where ``units`` (texts, dictionary-encoded) is not null, that one.
    """

    table: pa.Table
    refused: tuple[RowRefusal, ...]
    rows: NDArray[np.int64]
    keys: NDArray[np.void] | None = None
    units: pa.DictionaryArray | None = None

    def only(self, at: NDArray[np.int64]) -> "Batch":
        """Some rows of the table; what was refused is told elsewhere."""
        keys = None if self.keys is None else self.keys[at]
        return Batch(self.table.take(pa.array(at, pa.int64())), (), self.rows[at], keys)


def build(
    columns: Mapping[str, pa.Array],
    refused: Iterable[RowRefusal],
    keys: NDArray[np.void] | None = None,
    units: pa.DictionaryArray | None = None,
) -> Batch:
    """A batch of equally long columns (a missing one is null) without the refused rows."""
    length = len(columns["stream"])
    refused = tuple(sorted(refused, key=lambda refusal: refusal.row))
    arrays = [columns[field.name] if field.name in columns else pa.nulls(length, field.type) for field in OBSERVATION]
    rows = np.arange(length, dtype=np.int64)
    if refused:
        rows = np.delete(rows, [refusal.row for refusal in refused])
        arrays = [array.take(pa.array(rows)) for array in arrays]
        keys = None if keys is None else keys[rows]
        units = None if units is None else units.take(pa.array(rows))
    return Batch(pa.Table.from_arrays(arrays, schema=OBSERVATION), refused, rows, keys, units)
