"""The catalogue in a SQLite file: one process, synced at every commit, readers beside the writer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    literal,
    literal_column,
    null,
)
from sqlalchemy.engine.interfaces import DBAPIConnection

from civium.core import EngineUnsuitable
from civium.engines.catalog.database import Row


class Sqlite:
    """See ``Database``."""

    # A writing transaction holds SQLite's write lock from its first moment, so it cannot fail half-way.
    writing: Mapping[str, Any] = {"civium_begin": "BEGIN IMMEDIATE"}

    def open(self, url: URL) -> Engine:
        """The engine of the file, made if there is none."""
        if not url.database or url.database == ":memory:":
            raise EngineUnsuitable("catalog", f"'{url}' is not a SQLite file; write sqlite:///path/to/catalog.db")
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def alone(self, connection: Connection) -> None:
        """Nothing to do: the file is one process's own."""

    def insert(
        self, connection: Connection, table: Table, names: Sequence[str], constants: Row, rows: Sequence[Row]
    ) -> None:
        """Insert rows straight through the driver: SQLAlchemy's binding of names costs twice the insert."""
        values: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in names}
        values |= {name: _literal(connection, table.c[name], value) for name, value in constants.items()}
        statement = insert(table).values(values).compile(connection.engine)
        order = statement.positiontup or []
        pick = itemgetter(*order) if len(order) > 1 else lambda row, name=order[0]: (row[name],)
        connection.exec_driver_sql(str(statement), list(map(pick, rows)))

    def blocks(self, connection: Connection, query: Select[Any], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        """The driver's own cursor: nothing in the rows needs SQLAlchemy's processing."""
        cursor = connection.execute(query).cursor
        assert cursor is not None
        while block := cursor.fetchmany(size):
            yield block

    def save(self, engine: Engine, path: Path) -> None:
        """Write it to a new SQLite file."""
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(path),))


def _literal(connection: Connection, column: Column[Any], value: Any) -> ColumnElement[Any]:
    if value is None:
        return null()
    text = literal(value, column.type).compile(connection.engine, compile_kwargs={"literal_binds": True})
    return literal_column(str(text), column.type)


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    # With the driver's own handling of transactions off, SQLAlchemy's "begin" decides where one starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        "foreign_keys=ON",
        "cache_size=-32000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("civium_begin", "BEGIN"))
