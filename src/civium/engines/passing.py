"""What an engine's library raises when a disk, a database or a server cannot be used for a while: try again later."""

import duckdb
import nats.errors
from nats.js.errors import APIError
from sqlalchemy.exc import OperationalError

from civium.core import CiviumError
from civium.engines.catalog.database import CatalogUnavailable

PASSING: tuple[type[Exception], ...] = (
    OSError,  # a full disk; a time that ran out
    OperationalError,  # SQLite: locked, or its disk is full
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
    nats.errors.Error,
    APIError,
)


def what_is_away(error: Exception) -> str:
    """Which engine it is, for who asks from outside: what the library says may hold SQL, names of hosts and values."""
    if isinstance(error, OperationalError | CatalogUnavailable):
        return "the database"
    if isinstance(error, duckdb.Error):
        return "the history"
    if isinstance(error, nats.errors.Error | APIError):
        return "the log"
    return "the disk, or the network,"


TROUBLE: tuple[type[Exception], ...] = (CiviumError, *PASSING)  # these, and what our own engines say


async def ignore(error: Exception) -> None:
    """What a connection says of its troubles besides; every call reports its own failure."""
