"""Results of a Datastream whose unit or type changes: they stay the numbers that they were given as."""

import pyarrow as pa

from civium.core.observations import CORRECTION
from civium.engines.catalog import COUNT, JSON, NUMBER
from civium.engines.catalog.streams import VALUE_TYPES
from civium.sources.sensorthings.lake import given
from civium.sources.sensorthings.moment import Row

MOST_RESTATED = 10_000  # Observations of one request: each is a row of the log


def restate(rows: pa.Table, before: Row, after: Row) -> pa.Table | None:
    """Corrections of all ``rows`` of a Datastream (as stored, with ``was_stream`` and ``was_time``), whose row in the
    catalogue is another ``after``; None where a result cannot be of the new type."""
    old, new = (VALUE_TYPES.get(row["observation_type"], JSON) for row in (before, after))
    if new not in (NUMBER, COUNT, JSON):
        return None
    values = rows.column("value").to_pylist()
    if old in (NUMBER, COUNT):
        values = [None if v is None else given(v, before["factor"], before["offset"]) for v in values]
    if new in (NUMBER, COUNT):
        others = zip(values, rows.column("text").to_pylist(), rows.column("json").to_pylist(), strict=True)
        if any(value is None and (text or json) for value, text, json in others):
            return None
        if new == COUNT and not all(v is None or float(v).is_integer() for v in values):
            return None
        values = [None if v is None else v * after["factor"] + after["offset"] for v in values]
    place = rows.schema.get_field_index("value")
    rows = rows.set_column(place, "value", pa.array(values, pa.float64()))
    rows = rows.append_column("corrects", rows.column("id"))
    rows = rows.append_column("gone", pa.array([False] * rows.num_rows))
    return rows.select(CORRECTION.names).cast(CORRECTION)
