"""What the catalogue asks of the database that it is kept in; ``sqlite`` and ``postgresql`` give it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, Select, Table

from civium.core import CiviumError

Row = Mapping[str, Any]


class CatalogUnavailable(CiviumError):
    """The catalogue's database does not answer now. Whoever runs it must look; what was asked can be tried again."""


class Database(Protocol):
    """One kind of database. A transaction of its engine is one snapshot from its first statement on."""

    writing: Mapping[str, Any]
    """Execution options of a transaction that writes: it waits for others that do, and sees what they wrote."""

    def open(self, url: URL) -> Engine:
        """An engine for a database that may be new; raises EngineUnsuitable."""
        ...

    def alone(self, connection: Connection) -> None:
        """Wait until no other process makes or changes the tables, for as long as the transaction lasts."""
        ...

    def insert(
        self, connection: Connection, table: Table, names: Sequence[str], constants: Row, rows: Sequence[Row]
    ) -> None:
        """Insert rows that all have these names; ``constants`` are the other columns, the same in each.

        Raises SQLAlchemy's IntegrityError.
        """
        ...

    def blocks(self, connection: Connection, query: Select[Any], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        """The rows of a query as the driver gives them, ``size`` at a time: a million must not be in memory at once."""
        ...

    def save(self, engine: Engine, path: Path) -> None:
        """Write all of it as it is now to a new file, while it is in use; raises EngineUnsuitable if it cannot."""
        ...
