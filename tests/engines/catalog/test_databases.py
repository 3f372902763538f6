"""Rules of one kind of database or the other: what it must be, and how one that cannot do the role is refused."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from civium.core import EngineUnsuitable
from civium.engines.catalog import Catalog, Change, migrations
from civium.engines.catalog.database import CatalogUnavailable
from tests.cluster.stand import Postgres


@pytest.fixture
def shared(postgres: Postgres) -> Iterator[Catalog]:
    catalog = Catalog.open(f"postgresql:{postgres.create(uuid4().hex)}")
    yield catalog
    catalog.close()


def test_a_commit_to_a_file_survives_a_power_cut_and_readers_do_not_block(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    with catalog.engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    catalog.close()
    assert pragma["journal_mode"] == "wal"
    assert pragma["synchronous"] == 2
    assert pragma["foreign_keys"] == 1
    assert pragma["busy_timeout"] >= 1000


@pytest.mark.parametrize(
    "url", ["mysql://somewhere/db", "sqlite://", "sqlite:///:memory:", "postgresql:///db", "nonsense"]
)
def test_a_database_that_cannot_do_the_role_is_refused_by_name(url: str) -> None:
    with pytest.raises(EngineUnsuitable, match="catalog"):
        Catalog.open(url)


def test_a_server_that_does_not_let_us_in_is_named_without_the_password(postgres: Postgres) -> None:
    for address in (
        f"//civium:sesame@127.0.0.1:{postgres.port}/nowhere",
        f"//nobody:sesame@127.0.0.1:{postgres.port}/postgres",
        "//civium:sesame@127.0.0.1:1/postgres",
    ):
        with pytest.raises(EngineUnsuitable, match=r"127\.0\.0\.1 does not let us in") as refused:
            Catalog.open(f"postgresql:{address}")
        assert "sesame" not in str(refused.value)


def test_a_user_who_may_not_make_tables_is_told_what_is_missing(postgres: Postgres) -> None:
    address = postgres.create(uuid4().hex)
    with psycopg.connect(f"postgresql:{address}", autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(EngineUnsuitable, match="grant CREATE"):
        Catalog.open(f"postgresql:{address.replace('civium@', 'guest@')}")


def test_a_shared_catalogue_is_not_copied_to_a_file(shared: Catalog, tmp_path: Path) -> None:
    with pytest.raises(EngineUnsuitable, match="pg_dump"):
        shared.save(tmp_path / "copy.db")


def test_a_catalogue_is_loaded_from_one_snapshot(shared: Catalog) -> None:
    """Whatever others fold while it is loaded: position, ids and arrays speak of the same instant."""
    base = {"sensors": [{"id": 1, "key": "s"}], "observed_properties": [{"id": 1, "name": "p"}],
            "things": [{"id": 1, "key": "t"}]}  # fmt: skip
    shared.fold(1, Change(1, "test", "a test", base))
    done = threading.Event()

    def grow() -> None:
        for seq in range(2, 150):
            rows = [{"id": seq - 1, "key": str(seq), "thing": 1, "sensor": 1, "property": 1}]
            shared.fold(seq, Change(1, "test", "a test", {"datastreams": rows}))
        done.set()

    writer = threading.Thread(target=grow)
    writer.start()
    loads = 0
    while not done.is_set():
        loaded = Catalog(shared.engine)
        assert loaded.applied() == loaded.streams.count + 1 == loaded.next_id("datastreams")
        loads += 1
    writer.join()
    assert loads > 1


def test_a_server_that_restarts_is_an_outage_and_not_an_end(shared: Catalog, postgres: Postgres) -> None:
    row = {"id": 1, "key": "t"}
    postgres.stop()
    try:
        with pytest.raises(CatalogUnavailable, match="does not answer"):
            shared.fold(1, Change(1, "test", "a test", {"things": [row]}))
        with pytest.raises(CatalogUnavailable, match="does not answer"):
            shared.ids_by_key("things", ["t"])
    finally:
        postgres.serve()
    assert shared.fold(1, Change(1, "test", "a test", {"things": [row]}))
    assert shared.ids_by_key("things", ["t"]) == {"t": 1}


def test_many_that_start_at_once_make_the_tables_once(postgres: Postgres) -> None:
    url = f"postgresql:{postgres.create(uuid4().hex)}"
    opened: list[Catalog] = []
    odd: list[BaseException] = []

    def start() -> None:
        try:
            opened.append(Catalog.open(url))
        except BaseException as error:
            odd.append(error)

    starters = [threading.Thread(target=start) for _ in range(5)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert odd == []
    assert opened[0].fold(1, Change(1, "test", "a test", {"things": [{"id": 1, "key": "t"}]}))
    for one in opened:
        one.close()


def test_the_newest_step_is_known_without_looking() -> None:
    assert migrations.steps()[0] == migrations.NEWEST
