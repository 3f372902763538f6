"""What an engine's library says of its trouble is for the error output; who asks hears which engine it is."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import nats.errors
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from civium.engines.catalog import Catalog, CatalogUnavailable
from civium.ledger.projection import Projection
from civium.web.doors import put_off, refusal

SECRET = "sesame"
DRIVERS = RuntimeError(f"database is locked\nLINE 1: SELECT {SECRET}")
ERRORS: list[tuple[Exception, str]] = [
    (OperationalError(f"SELECT {SECRET}", {"id": SECRET}, DRIVERS), "database"),
    (CatalogUnavailable(f"no connection to {SECRET}"), "database"),
    (duckdb.IOException(f"no file\nLINE 1: SELECT {SECRET}"), "history"),
    (nats.errors.TimeoutError(), "log"), (OSError(28, "No space left on device", SECRET), "disk"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "engine"), ERRORS)
def test_who_asks_hears_which_engine_is_away_and_no_more(error: Exception, engine: str) -> None:
    answer = refusal(error) if isinstance(error, CatalogUnavailable) else put_off(error)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    told = bytes(answer.body).decode()
    assert engine in told
    assert SECRET not in told


def test_no_error_of_a_database_repeats_its_parameters(new_catalog: Callable[[], str], tmp_path: Path) -> None:
    catalog = Catalog.open(new_catalog())
    assert catalog.engine.hide_parameters
    with catalog.engine.connect() as connection, pytest.raises(Exception, match="hide_parameters") as failed:
        connection.execute(text("SELECT :a FROM nowhere"), {"a": SECRET})
    assert SECRET not in str(failed.value)
    catalog.close()
    record = Projection(tmp_path / "record.db")
    assert record.engine.hide_parameters
    record.close()
