"""Versions of rows: what a change displaces is kept beside its table, for who reads under a cut what held then.

A table holds what is now; ``<table>_past`` the rows that message ``until`` displaced or took away. Both change in one
transaction, and where several processes share the database, one that is behind it finds in the second what it still
knows from the first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    FromClause,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from civium.engines.catalog.database import Database, Row
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import PAST

Keys = Sequence[Mapping[str, Any]]
_AT_ONCE = 10_000  # ids in one statement


def as_of(connection: Connection, table: Table, cut: int) -> FromClause:
    """The rows of a table as of a message, in the transaction's snapshot; their past is read only where it matters."""
    past = PAST[table.name]
    held = select(*table.c).where(table.c.seq <= cut)
    if connection.scalar(select(past.c.until).where(past.c.until > cut).limit(1)) is None:
        return held.subquery()
    before = select(*(past.c[c.name] for c in table.c)).where(past.c.seq <= cut, past.c.until > cut)
    return union_all(held, before).subquery()


def defaults(table: Table) -> dict[str, Any]:
    """What a column holds when a change leaves it out; ``...`` stands in a column that must be given."""

    def default(column: Column[Any]) -> Any:
        if isinstance(column.default, ScalarElementColumnDefault):
            return column.default.arg
        return None if column.nullable else ...

    return {column.name: default(column) for column in table.c}


def last(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Rows by their id, those that were taken away as they were last; ``gone`` says which those are."""
    past = PAST[table.name]
    found: dict[int, dict[str, Any]] = {}
    before = select(*(past.c[c.name] for c in table.c)).where(among_ids(past.c.id, ids)).order_by(past.c.seq)
    for row in connection.execute(before).mappings():
        found[row["id"]] = {**row, "gone": True}
    for row in connection.execute(select(*table.c).where(among_ids(table.c.id, ids))).mappings():
        found[row["id"]] = {**row, "gone": False}
    return found


def add(database: Database, connection: Connection, table: Table, constants: Row, rows: Sequence[Row]) -> None:
    """Insert rows; ``constants`` are the columns that a row leaves out (``...``: it must not)."""
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        blocks.setdefault(tuple(row), []).append(row)
    for names, block in blocks.items():
        if unknown := set(names) - constants.keys():
            raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
        given = [name for name in names if name != "seq"]
        left_out = {name: value for name, value in constants.items() if name not in given}
        if missing := [name for name, value in left_out.items() if value is ...]:
            raise ValueError(f"{table.name} needs {missing[0]}")
        database.insert(connection, table, given, left_out, block)


def change(connection: Connection, table: Table, rows: Keys, seq: int) -> None:
    """Put new values into rows, given as their ``id`` and the columns that change.

    A row that is not there is passed over. Raises ``ValueError`` for a column that does not exist.
    """
    for row in rows:
        if unknown := row.keys() - table.c.keys():
            raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    _keep(connection, table, rows, seq)
    blocks: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        names = tuple(name for name in row if name not in ("id", "seq"))
        blocks.setdefault(names, []).append({f"new_{name}": row[name] for name in names} | {"old_id": row["id"]})
    for names, block in blocks.items():
        values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
        statement = update(table).values({**values, "seq": seq}).where(table.c.id == bindparam("old_id"))
        connection.execute(statement, block)


def remove(connection: Connection, table: Table, keys: Keys, seq: int) -> None:
    """Take rows away, given as the columns of their primary key; a row that is not there is passed over."""
    _keep(connection, table, keys, seq)
    if "id" in table.c:
        for ids in _blocks(keys):
            connection.execute(delete(table).where(among_ids(table.c.id, ids)))
    elif keys:
        connection.execute(delete(table).where(*_named(table)), _bound(table, keys))


def _keep(connection: Connection, table: Table, keys: Keys, seq: int) -> None:
    """Copy rows to the past of their table; those that this message made itself were never seen."""
    past = PAST[table.name]
    names = [*(c.name for c in table.c), "until"]
    old = select(*table.c, literal(seq)).where(table.c.seq < seq)
    if "id" in table.c:
        for ids in _blocks(keys):
            connection.execute(insert(past).from_select(names, old.where(among_ids(table.c.id, ids))))
    elif keys:
        connection.execute(insert(past).from_select(names, old.where(*_named(table))), _bound(table, keys))


def _blocks(keys: Keys) -> list[list[int]]:
    ids = [int(key["id"]) for key in keys]
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]


def _named(table: Table) -> list[Any]:
    return [column == bindparam(f"key_{column.name}") for column in table.primary_key]


def _bound(table: Table, keys: Keys) -> list[dict[str, Any]]:
    return [{f"key_{column.name}": key[column.name] for column in table.primary_key} for key in keys]
