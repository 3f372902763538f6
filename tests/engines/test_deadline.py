"""A read that takes too long is stopped, and the next one on the same connection is not."""

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from civium.engines.catalog import Catalog
from civium.engines.deadline import QueryTooLong, in_catalogue
from civium.engines.settings import Settings
from civium.engines.store import Store

ENDLESS = "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE a.range + b.range < 0"
COUNTING = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
MOST_S = 30.0  # on a machine with other things to do


def test_a_read_of_the_history_ends_at_its_deadline(tmp_path: Path) -> None:
    store = Store.open(Settings(), tmp_path)
    begun = time.monotonic()
    with pytest.raises(QueryTooLong):
        store.query(ENDLESS, deadline=begun + 0.2)
    assert time.monotonic() - begun < MOST_S
    with pytest.raises(QueryTooLong, match="time was over"):
        store.query("SELECT 1 AS n", deadline=begun)
    assert store.query("SELECT 1 AS n", deadline=time.monotonic() + MOST_S).column("n").to_pylist() == [1]
    store.close()


def test_a_read_of_the_catalogue_ends_at_its_deadline(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path}/catalog.db")
    begun = time.monotonic()
    with pytest.raises(QueryTooLong), catalog.engine.begin() as connection, in_catalogue(connection, begun + 0.2):
        connection.execute(text(COUNTING)).all()
    assert time.monotonic() - begun < MOST_S
    with catalog.engine.begin() as connection, in_catalogue(connection, time.monotonic() + MOST_S):
        assert connection.scalar(text("SELECT 1")) == 1
    catalog.close()
