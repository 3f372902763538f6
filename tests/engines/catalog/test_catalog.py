"""Rules of the catalogue: folded once, hidden above the cut, the same after a restart."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from civium.core.view import ACTUATORS, THINGS
from civium.engines.age import DataNewer
from civium.engines.catalog import COUNT, JSON, NUMBER, STREAMS_OF, TEXT, TRUTH, Catalog, Change, Settings
from civium.engines.catalog.database import CatalogUnavailable
from civium.engines.catalog.tables import DATASTREAMS, FEATURES, METADATA

O_AND_M = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"


def change(**rows: list[dict[str, Any]]) -> Change:
    return Change(at=1, who="test", why="a test", rows=rows)


def thing(i: int, **more: Any) -> dict[str, Any]:
    return {"id": i, "key": f"thing/{i}", "name": f"Thing {i}", **more}


def stream(i: int, thing: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": i, "key": f"stream/{i}", "thing": thing, "sensor": 1, "property": 1, **more}


BASE = {
    "sensors": [{"id": 1, "key": "sensor/1"}],
    "observed_properties": [{"id": 1, "name": "air_temperature"}, {"id": 2, "name": "wind_speed"}],
    "things": [thing(1, kind="lamp", lon=24.9, lat=60.1), thing(2, kind="plant")],
}


@pytest.fixture
def url(new_catalog: Callable[[], str]) -> str:
    return new_catalog()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    opened = Catalog.open(url)
    opened.fold(1, change(**BASE))
    yield opened
    opened.close()


def test_the_migrations_lead_to_the_tables_of_today(catalog: Catalog) -> None:
    with catalog.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_message_is_folded_once_also_after_a_restart(catalog: Catalog, url: str) -> None:
    message = change(datastreams=[stream(1), stream(2)])
    assert catalog.fold(2, message)
    assert not catalog.fold(2, message)
    catalog.close()
    again = Catalog.open(url)
    assert again.applied() == 2
    assert not again.fold(2, message)
    assert again.streams.count == 2
    assert again.next_id("datastreams") == 3
    assert again.next_id("features") == 1


def test_a_change_travels_through_the_log_unaltered() -> None:
    message = change(things=[thing(1, properties='{"height": 4.5}', lon=None)])
    assert Change.decode(message.encode()) == message


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ({"things": [thing(3)], "datastreams": [stream(1, thing=99)]}, IntegrityError),
        ({"things": [thing(3), thing(4, key="thing/1")]}, IntegrityError),
        ({"things": [thing(3)], "sensors": [{"id": 2}]}, ValueError),
        ({"things": [thing(3), thing(4, colour="red")]}, ValueError),
        ({"things": [thing(3)], "lamps": [{}]}, ValueError),
    ],
)
def test_of_a_message_with_a_bad_row_nothing_is_kept(catalog: Catalog, rows: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        catalog.fold(2, change(**rows))
    assert catalog.applied() == 1
    assert catalog.next_id("things") == 3
    assert catalog.streams.count == 0
    assert catalog.fold(2, change(things=[thing(3)]))


def test_the_stream_index_knows_what_a_door_must_know(catalog: Catalog, url: str) -> None:
    kinds = {"Measurement": NUMBER, "CategoryObservation": TEXT, "Observation": JSON, "CountObservation": COUNT}
    rows = [stream(10 + code, observation_type=O_AND_M + name) for name, code in kinds.items()]
    rows.append(stream(20, thing=2, observation_type=O_AND_M + "TruthObservation", property=2, nan_allowed=True))
    rows.append(stream(21, factor=0.5, offset=273.15, access="restricted", observation_type="something else"))
    catalog.fold(2, change(datastreams=rows))
    for index in (catalog.streams, Catalog.open(url).streams):
        assert index.count == 6
        assert np.flatnonzero(index.exists).tolist() == [10, 11, 12, 13, 20, 21]
        assert index.value_type[[10, 11, 12, 13, 20, 21]].tolist() == [NUMBER, TEXT, JSON, COUNT, TRUTH, JSON]
        assert (index.thing[20], index.property[20], bool(index.nan_allowed[20])) == (2, 2, True)
        assert (index.factor[21], index.offset[21], index.access[21]) == (0.5, 273.15, 2)
        assert index.known(np.array([-5, 0, 10, 14, 21, 22, 2**60])).tolist() == [0, 0, 1, 0, 1, 0, 0]


@settings(max_examples=25, deadline=None)
@given(messages=st.lists(st.lists(st.integers(1, 5000), min_size=1, max_size=5), max_size=8))
def test_the_stream_index_holds_exactly_the_rows_of_the_table(
    new_catalog: Callable[[], str], messages: list[list[int]]
) -> None:
    catalog = Catalog.open(new_catalog())
    catalog.fold(1, change(**BASE))
    seen: set[int] = set()
    for seq, ids in enumerate(messages, start=2):
        new = set(ids) - seen
        seen |= new
        catalog.fold(seq, change(datastreams=[stream(i, factor=float(i)) for i in new]))
        assert catalog.applied() == seq
    assert set(np.flatnonzero(catalog.streams.exists)) == seen
    assert all(catalog.streams.factor[i] == i for i in seen)
    with catalog.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(DATASTREAMS)) == len(seen) == catalog.streams.count
    catalog.close()


def test_streams_above_the_cut_are_hidden(catalog: Catalog) -> None:
    catalog.fold(2, change(datastreams=[stream(2, si_unit="K"), stream(1, thing=2), stream(3, property=2)]))
    catalog.fold(3, change(datastreams=[stream(4, si_unit="K")]))
    assert catalog.streams_of("air_temperature", "", 1).num_rows == 0
    assert catalog.streams_of("air_temperature", "", 2)["stream"].to_pylist() == [1, 2]
    lamps = catalog.streams_of("air_temperature", "lamp", 3)
    assert lamps.schema == STREAMS_OF
    assert lamps.to_pylist() == [
        {"stream": 2, "thing": 1, "property": "air_temperature", "unit": "K"},
        {"stream": 4, "thing": 1, "property": "air_temperature", "unit": "K"},
    ]
    catalog.fold(4, change(datastreams=[stream(5)]))
    assert catalog.streams_of("air_temperature", "lamp", 4)["stream"].to_pylist() == [2, 4, 5]
    assert catalog.streams_of("air_temperature", "lamp", 3).equals(lamps)


def test_a_thing_is_where_it_was_at_the_cut(catalog: Catalog) -> None:
    place = {"id": 1, "lon": 25.0, "lat": 61.0}
    move = {"thing": 1, "location": 1, "time": 500}
    catalog.fold(2, change(locations=[place], thing_locations=[move]))
    before, after = (catalog.things_of(["lamp", "plant"], cut) for cut in (1, 2))
    assert before.schema == THINGS
    assert [(r["thing"], r["lon"], r["lat"]) for r in before.to_pylist()] == [(1, 24.9, 60.1), (2, None, None)]
    assert [(r["thing"], r["lon"], r["lat"]) for r in after.to_pylist()] == [(1, 25.0, 61.0), (2, None, None)]


def test_actuators_of_a_kind(catalog: Catalog) -> None:
    head = {"key": "a/1", "thing": 1, "kind": "signal", "name": "Head", "facts": '{"safe": 0}'}
    catalog.fold(2, change(actuators=[{"id": 1, **head}, {"id": 2, **head, "key": "a/2", "kind": "valve"}]))
    assert catalog.actuators_of("signal", 1) == ACTUATORS.empty_table()
    assert catalog.actuators_of("signal", 2).to_pylist() == [
        {"actuator": 1, "thing": 1, "kind": "signal", "name": "Head", "facts": '{"safe": 0}'}
    ]


def test_the_latest_setting_under_the_cut_holds(catalog: Catalog) -> None:
    assert catalog.settings(1) == Settings()
    act = {"practice": "signal_control", "mandate": "act", "who": "ann", "why": "tested", "at": 5}
    catalog.fold(2, change(mandates=[act, {**act, "practice": "pv_fleet"}]))
    catalog.fold(3, change(mandates=[{**act, "mandate": "advise"}], switches=[{"advise_only": True, "at": 6}]))
    catalog.fold(4, change(parameters=[{"practice": "pv_fleet", "params": '{"seed": 3}', "at": 7}]))
    catalog.fold(5, change(switches=[{"advise_only": False, "at": 8}]))
    assert catalog.settings(2).mandates == {"signal_control": "act", "pv_fleet": "act"}
    assert catalog.settings(4) == Settings(
        mandates={"signal_control": "advise", "pv_fleet": "act"}, parameters={"pv_fleet": {"seed": 3}}, advise_only=True
    )
    assert not catalog.settings(5).advise_only


def test_keys_are_found_and_unknown_ones_are_absent(catalog: Catalog) -> None:
    assert catalog.ids_by_key("things", ["thing/2", "nobody"]) == {"thing/2": 2}
    assert catalog.ids_by_key("observed_properties", ["wind_speed"]) == {"wind_speed": 2}


def test_readers_in_threads_see_whole_messages(catalog: Catalog) -> None:
    odd: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with catalog.engine.connect() as connection:
                count = connection.scalar(select(func.count()).select_from(DATASTREAMS))
            if count % 100:
                odd.append(count)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for message in range(20):
        rows = [stream(message * 100 + i + 1) for i in range(100)]
        assert catalog.fold(message + 2, change(datastreams=rows))
    done.set()
    for reader in readers:
        reader.join()
    assert odd == []


def test_a_failed_writing_transaction_leaves_nothing_and_no_lock(catalog: Catalog, url: str) -> None:
    def fail() -> None:
        with catalog.transaction() as connection:
            connection.exec_driver_sql("INSERT INTO features VALUES (1, '', '', '', '', '{}', 9)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    other = Catalog.open(url)
    assert other.fold(2, change(things=[thing(3)]))
    with other.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(FEATURES)) == 0
    other.close()


def test_a_catalogue_of_a_newer_release_is_refused_by_name(catalog: Catalog, url: str) -> None:
    with catalog.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    catalog.close()
    for upgrade in (False, True):
        with pytest.raises(DataNewer, match="version 9999"):
            Catalog.open(url, upgrade=upgrade)


def test_texts_sort_by_their_code_points(catalog: Catalog) -> None:
    names = ["a b", "B", "a", "ab", "a-c", "\u00e4", "\u00c4", "\U0001f6a6", "_", "Z"]
    catalog.fold(2, change(things=[thing(10 + i, name=name) for i, name in enumerate(names)]))
    table = METADATA.tables["things"].c
    with catalog.engine.connect() as connection:
        assert list(connection.scalars(select(table.name).where(table.id >= 10).order_by(table.name))) == sorted(names)
        assert set(connection.scalars(select(table.name).where(table.id >= 10, table.name < "a"))) == {"B", "Z", "_"}


def test_two_that_share_a_catalogue_insert_each_message_once(catalog: Catalog, url: str) -> None:
    """In one file or one database: who comes second takes in what the first has inserted."""
    other = Catalog.open(url)
    messages = [change(datastreams=[stream(i), stream(i + 1)], things=[thing(100 + i)]) for i in range(1, 60, 2)]
    odd: list[BaseException] = []

    def follow(mine: Catalog) -> None:
        try:
            for seq, message in enumerate(messages, start=2):
                assert mine.next_id("datastreams") == mine.streams.count + 1 == 2 * seq - 3
                assert mine.fold(seq, message)
                assert mine.applied() == seq
        except BaseException as error:
            odd.append(error)

    followers = [threading.Thread(target=follow, args=[one]) for one in (catalog, other)]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()
    assert odd == []
    with other.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(DATASTREAMS)) == 60
    third = Catalog.open(url)
    for one in (catalog, other, third):
        assert (one.applied(), one.streams.count, one.next_id("things")) == (31, 60, 160)
        assert one.streams_of("air_temperature", "", 31).num_rows == 60
    other.close()
    third.close()


def test_who_is_behind_sees_no_more_than_it_knows(catalog: Catalog, url: str) -> None:
    ahead = Catalog.open(url)
    message = change(things=[thing(3, kind="lamp")], datastreams=[stream(1)])
    ahead.fold(2, message)
    assert catalog.ids_by_key("things", ["thing/1", "thing/3"]) == {"thing/1": 1}
    assert catalog.rows_by_key("things", ["thing/3"]) == {}
    assert catalog.things_of(["lamp"], 2).num_rows == 1
    assert catalog.next_id("things") == 3
    assert catalog.fold(2, message)
    assert catalog.rows_by_key("things", ["thing/3"])["thing/3"]["id"] == 3
    assert catalog.things_of(["lamp"], 2).num_rows == 2
    assert catalog.streams.count == 1
    ahead.close()


def test_a_database_that_was_set_back_stops_who_is_ahead_of_it(catalog: Catalog) -> None:
    catalog.fold(2, change(things=[thing(3)]))
    with catalog.transaction() as connection:
        connection.exec_driver_sql("UPDATE applied SET seq = 1")
    with pytest.raises(CatalogUnavailable, match="restart"):
        catalog.fold(3, change(things=[thing(4)]))
    assert catalog.applied() == 2
