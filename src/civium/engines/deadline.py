"""Until when a read may take: past that it is stopped, in the history and in the catalogue alike."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from civium.core import CiviumError

_STEPS = 20_000  # of SQLite's machine, between two looks at the clock: about a millisecond
_STOPPED = ("interrupted", "statement timeout")  # what SQLite and PostgreSQL say


class QueryTooLong(CiviumError):
    """A read takes longer, or needs more memory, than it may. Who asks must ask for less."""


@contextmanager
def in_history(cursor: duckdb.DuckDBPyConnection, deadline: float) -> Iterator[None]:
    """Stop what runs on a cursor at a deadline [s, of ``time.monotonic``]; raises QueryTooLong."""
    if deadline == math.inf:
        yield
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise QueryTooLong("its time was over")
    timer = threading.Timer(left, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise QueryTooLong("its time was over") from None
    except duckdb.OutOfMemoryException:
        raise QueryTooLong("it needs more memory than there is") from None
    finally:
        timer.cancel()
    if time.monotonic() >= deadline:  # the interrupt may come yet, and must not meet another query on this cursor
        raise QueryTooLong("its time was over")


@contextmanager
def in_catalogue(connection: Connection, deadline: float) -> Iterator[None]:
    """The same for what runs on a connection to the catalogue, in a transaction."""
    if deadline == math.inf:
        yield
        return
    sqlite = connection.dialect.name == "sqlite"
    raw: Any = connection.connection.dbapi_connection  # SQLAlchemy types it as any database's
    if sqlite:
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    else:
        left = max(1, int((deadline - time.monotonic()) * 1e3))
        connection.execute(text(f"SET LOCAL statement_timeout = {left:d}"))
    try:
        yield
    except OperationalError as error:
        if any(word in str(error.orig) for word in _STOPPED):
            raise QueryTooLong("its time was over") from None
        raise
    finally:
        if sqlite:
            raw.set_progress_handler(None, 0)
