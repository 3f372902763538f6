"""The catalogue in a PostgreSQL database, which all processes of a city share."""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, Select, Table, create_engine, event, text
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError

from civium.core import EngineUnsuitable
from civium.core.extras import require
from civium.engines.catalog.database import CatalogUnavailable, Row

_ONE_AT_A_TIME = 0x636174  # the advisory lock of whoever makes or changes the tables of a catalogue
_CONNECT_S = 10
_TOO_COMPLEX = "54001"  # SQL nested too deeply, which is no trouble of the server's


class PostgreSql:
    """See ``Database``."""

    # It takes a lock first and must then see what the last one who held it wrote.
    writing: Mapping[str, Any] = {"isolation_level": "READ COMMITTED"}

    def open(self, url: URL) -> Engine:
        """The engine of a database that exists; the password may also come from ``PGPASSWORD``."""
        require("psycopg", "cluster")
        if not url.host or not url.database:
            raise EngineUnsuitable("catalog", f"'{url}' names no database; write postgresql://user@host:5432/database")
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="REPEATABLE READ",
            hide_parameters=True,  # they may be what only some may know
            pool_pre_ping=True,  # the server may have been restarted since
            # Compiling a filter over a polygon takes PostgreSQL longer than running it.
            connect_args={"connect_timeout": _CONNECT_S, "application_name": "civium", "options": "-c jit=off"},
        )
        try:
            with engine.connect() as connection:
                can_create = connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
        except (OperationalError, InterfaceError, ProgrammingError) as error:
            engine.dispose()
            said = str(error.orig).strip().replace(url.password or "\0", "***")
            raise EngineUnsuitable("catalog", f"PostgreSQL at {url.host} does not let us in: {said}") from None
        if not can_create:
            engine.dispose()
            raise EngineUnsuitable(
                "catalog",
                f"'{url.username}' may not make tables in the database '{url.database}' at {url.host}; make that user "
                "its owner, or grant CREATE on the schema public",
            )
        event.listen(engine, "handle_error", _unavailable)
        return engine

    def alone(self, connection: Connection) -> None:
        """Take the advisory lock of whoever makes tables, until the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ONE_AT_A_TIME})

    def insert(
        self, connection: Connection, table: Table, names: Sequence[str], constants: Row, rows: Sequence[Row]
    ) -> None:
        """Insert rows by COPY: much faster than statements, and the same few round trips for one row or a million."""
        psycopg = require("psycopg", "cluster")
        fixed = tuple(constants.values())
        columns = ", ".join(f'"{name}"' for name in (*names, *constants))
        pick = itemgetter(*names) if len(names) > 1 else lambda row, name=names[0]: (row[name],)
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row((*pick(row), *fixed))
        except psycopg.IntegrityError as error:
            raise IntegrityError(f"COPY {table.name}", None, error) from error
        except psycopg.OperationalError as error:
            raise CatalogUnavailable(_said(error)) from error

    def blocks(self, connection: Connection, query: Select[Any], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        """A cursor on the server: the driver's own would take in all rows at once."""
        for block in connection.execute(query, execution_options={"yield_per": size}).partitions():
            yield [tuple(row) for row in block]

    def save(self, engine: Engine, path: Path) -> None:
        """Refused: the database has tools that do it well."""
        raise EngineUnsuitable(
            "catalog",
            f"a catalogue in PostgreSQL is backed up by the database's own tools: pg_dump {engine.url.database} "
            f"at {engine.url.host}, or its continuous archiving",
        )


def _unavailable(context: ExceptionContext) -> None:
    too_complex = getattr(context.original_exception, "sqlstate", None) == _TOO_COMPLEX
    if isinstance(context.sqlalchemy_exception, OperationalError) and not context.is_pre_ping and not too_complex:
        raise CatalogUnavailable(_said(context.original_exception)) from context.original_exception


def _said(error: BaseException) -> str:
    return f"the catalogue's database does not answer: {str(error).strip()}; try again"
