"""What an engine's library raises when a disk, a database or a server cannot be used for a while: try again later."""

import duckdb
import nats.errors
from nats.js.errors import APIError
from sqlalchemy.exc import OperationalError

from civium.core import CiviumError

PASSING: tuple[type[Exception], ...] = (
    OSError,  # a full disk; a time that ran out
    OperationalError,  # SQLite: locked, or its disk is full
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
    nats.errors.Error,
    APIError,
)
TROUBLE: tuple[type[Exception], ...] = (CiviumError, *PASSING)  # these, and what our own engines say


async def ignore(error: Exception) -> None:
    """What a connection says of its troubles besides; every call reports its own failure."""
