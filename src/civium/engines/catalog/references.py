"""What refers to what in the catalogue: rows that go with others, and references that lead nowhere.

Both follow from the foreign keys of the tables, so a table that is added is in them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, or_, select

from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import METADATA, PAST

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
# What goes although it does not refer to what it goes with itself: through which table, by which columns, whose rows.
_UPWARDS = {
    "locations": ("historical_location_locations", "location", "historical_location", "historical_locations"),
    "observed_properties": ("components", "property", "datastream", "datastreams"),
}
_AT_ONCE = 10_000  # ids in one statement


def cascade(connection: Connection, table: Table, ids: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
    """The rows that go when rows of a table go, they themselves included: keys by table.

    Whatever refers to them goes with them; with a Location also the HistoricalLocations that name it, and with an
    ObservedProperty the MultiDatastreams of which it is one (OGC 18-088, table 25).
    """
    gone: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    pending: list[tuple[Table, list[int]]] = [(table, sorted(set(ids)))]
    for one in pending[0][1]:
        gone.setdefault(table.name, {})[(one,)] = {"id": one}
    while pending:
        parent, some = pending.pop()
        for child, column in _children(parent):
            found = gone.setdefault(child.name, {})
            fresh: list[int] = []
            keys = list(child.primary_key)
            for row in _rows(connection, keys, column, some):
                if row not in found:
                    found[row] = dict(zip((key.name for key in keys), row, strict=True))
                    fresh += [int(row[0])] if "id" in child.c else []
            if fresh:
                pending.append((child, fresh))
        if parent.name in _UPWARDS:
            between, mine, theirs, owner = _UPWARDS[parent.name]
            links, owners = METADATA.tables[between], METADATA.tables[owner]
            named = [row[0] for row in _rows(connection, [links.c[theirs]], links.c[mine], some)]
            found = gone.setdefault(owners.name, {})
            fresh = sorted({one for one in named if (one,) not in found})
            found.update({(one,): {"id": one} for one in fresh})
            if fresh:
                pending.append((owners, fresh))
    return {name: list(rows.values()) for name, rows in gone.items() if rows}


def dangling(connection: Connection, rows: Rows, updates: Rows, deletes: Rows) -> str:
    """Why a change cannot be folded, for a reference in it that leads nowhere; "" when all lead somewhere."""
    gone = {name: {row["id"] for row in some if "id" in row} for name, some in deletes.items()}
    made = {name: {row["id"] for row in some if "id" in row} for name, some in rows.items()}
    for name in (*rows, *updates):
        for column in METADATA.tables[name].c:
            for key in column.foreign_keys:
                parent = key.column.table
                given = (
                    row[column.name] for some in (rows, updates) for row in some.get(name, ()) if column.name in row
                )
                wanted = {one for one in given if one is not None} - made.get(parent.name, set())
                known = {row[0] for row in _rows(connection, [parent.c.id], parent.c.id, sorted(wanted))}
                lost = wanted - known | wanted & gone.get(parent.name, set())
                if lost:
                    return f"{name} would refer to row {min(lost)} of {parent.name}, which does not exist"
    return ""


def regrouped(connection: Connection) -> set[int]:
    """The observed properties (ids) of which a stream was taken away, or went to another property, thing or kind.

    What was summed up over all streams of such a property may have another stream in it, or one too few.
    """
    streams, things = METADATA.tables["datastreams"], METADATA.tables["things"]
    before, was = PAST["datastreams"], PAST["things"]
    gone = streams.c.id.is_(None)
    other = or_(gone, streams.c.property != before.c.property, streams.c.thing != before.c.thing)
    moved = select(before.c.property, streams.c.property).outerjoin(streams, streams.c.id == before.c.id).where(other)
    kinds = select(things.c.id).join(was, was.c.id == things.c.id).where(things.c.kind != was.c.kind)
    found = {one for row in connection.execute(moved.distinct()) for one in row if one is not None}
    return found | set(connection.scalars(select(streams.c.property).where(streams.c.thing.in_(kinds)).distinct()))


def _children(parent: Table) -> list[tuple[Table, Column[Any]]]:
    """The tables that refer to one, each with the column that does."""
    return [
        (table, column)
        for table in METADATA.sorted_tables
        if table.name in PAST
        for column in table.c
        for key in column.foreign_keys
        if key.column.table is parent
    ]


def _rows(
    connection: Connection, columns: Sequence[Column[Any]], among: Column[Any], ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for at in range(0, len(ids), _AT_ONCE):
        query = select(*columns).where(among_ids(among, ids[at : at + _AT_ONCE]))
        found += [tuple(row) for row in connection.execute(query)]
    return found
