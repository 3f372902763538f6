"""Who changed what of the catalogue, when and why, and what stood there before: told from the log itself.

Every change of things, streams, actuators, tokens, mandates, parameters and the switch is one message of the log stream
CAT; what a message displaced is kept beside its table. What persons say to commands stands on the record.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, select

from civium.core import to_datetime
from civium.engines.catalog import Change
from civium.engines.catalog.catalog import STREAM
from civium.engines.catalog.tables import METADATA, PAST

if TYPE_CHECKING:
    from civium.city import City

_MOST_ROWS = 20  # of one change that are told in full
_UNTOLD = {"digest", "seq"}
# The last row of these holds, with the columns that say of what.
_SETTINGS = {"mandates": ("practice",), "parameters": ("practice",), "switches": (), "orders": ("kind", "key")}


async def audit(city: "City", limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The last changes before message ``before`` of the log, the newest first: who, what, when, before, after."""
    last = city.log.last(STREAM) if before is None else min(before - 1, city.log.last(STREAM))
    await city.reach({STREAM: last})
    told = []
    for sequence in range(last, max(last - limit, 0), -1):
        change = Change.decode((await city.log.get(STREAM, sequence)).data)
        told.append(await asyncio.to_thread(_told, city, sequence, change))
    return told


def _told(city: "City", sequence: int, change: Change) -> dict[str, Any]:
    made: list[dict[str, Any]] = []
    count = sum(len(rows) for some in (change.rows, change.updates, change.deletes) for rows in some.values())
    with city.catalog.engine.connect() as connection:
        for what, some in (("made", change.rows), ("changed", change.updates), ("removed", change.deletes)):
            for name, rows in some.items():
                table, room = METADATA.tables[name], _MOST_ROWS - len(made)
                made += [_row(connection, table, what, row, sequence) for row in rows[:room]]
    return {
        "sequence": sequence,
        "at": to_datetime(change.at).isoformat(),
        "who": change.who,
        "why": change.why,
        "changes": made,
        "more": count - len(made),
    }


def _row(connection: Connection, table: Table, what: str, row: dict[str, Any], sequence: int) -> dict[str, Any]:
    told: dict[str, Any] = {"table": str(table.name), "what": what}
    keys = [str(column.name) for column in table.primary_key if column.name in row]
    told["key"] = {name: row[name] for name in keys} if keys != ["id"] else row["id"]
    if what == "made" and table.name in _SETTINGS:
        told["before"] = _earlier(connection, table, _SETTINGS[table.name], row, sequence)
    elif what != "made":
        was = _displaced(connection, table, keys, row, sequence)
        told["before"] = was if what == "removed" else {name: was.get(name) for name in row if name not in keys}
    if what != "removed":
        told["after"] = {name: value for name, value in row.items() if name not in keys}
    for side in ("before", "after"):
        if told.get(side):
            told[side] = {str(name): value for name, value in told[side].items() if name not in _UNTOLD}
    return told


def _displaced(
    connection: Connection, table: Table, keys: Sequence[str], row: dict[str, Any], sequence: int
) -> dict[str, Any]:
    """What a message displaced; empty where it was made by the same message."""
    past = PAST[table.name]
    query = select(*(past.c[c.name] for c in table.c))
    found = connection.execute(query.where(past.c.until == sequence, *(past.c[name] == row[name] for name in keys)))
    return dict(found.mappings().first() or {})


def _earlier(
    connection: Connection, table: Table, keys: Sequence[str], row: dict[str, Any], sequence: int
) -> dict[str, Any] | None:
    """The setting that held before."""
    query = select(table).where(table.c.seq < sequence, *(table.c[name] == row[name] for name in keys))
    found = connection.execute(query.order_by(table.c.seq.desc()).limit(1)).mappings().first()
    return None if found is None else dict(found)
