"""Rules of what changes and goes: what held under a cut is answered for ever, in both databases and beside others."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from civium.core.observations import OBSERVATION
from civium.engines.catalog import Catalog, Change, references
from civium.engines.catalog.streams import _COLUMNS
from civium.engines.catalog.tables import LOCATIONS, METADATA, SENSORS, THINGS
from civium.sources.batch import build
from civium.sources.examine import examine
from tests.engines.catalog.test_catalog import BASE, stream, thing

Cities = list[dict[str, Any]]


def change(rows: Any = None, updates: Any = None, deletes: Any = None) -> Change:
    made = Change(1, "test", "a test", rows or {}, updates or {}, deletes or {})
    assert Change.decode(made.encode()) == made
    return made


def seen(catalog: Catalog, cut: int) -> Cities:
    """Everything that a View may ask the catalogue for."""
    kinds = ["lamp", "plant", ""]
    tables = [catalog.streams_of(name, kind, cut) for name in ("air_temperature", "wind") for kind in kinds]
    tables += [catalog.things_of(kinds, cut), *(catalog.actuators_of(kind, cut) for kind in ("lamp", "plant"))]
    return [table.to_pydict() for table in tables]


@pytest.fixture
def url(new_catalog: Callable[[], str]) -> str:
    return new_catalog()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    opened = Catalog.open(url)
    opened.fold(1, change(BASE))
    yield opened
    opened.close()


def test_a_cut_shows_the_thing_as_it_was_named_and_placed_then(catalog: Catalog) -> None:
    place = {"id": 1, "location": "{}", "lon": 1.0, "lat": 2.0}
    catalog.fold(2, change({"locations": [place], "thing_locations": [{"thing": 1, "location": 1, "time": 5}]}))
    catalog.fold(3, change(updates={"things": [{"id": 1, "name": "renamed"}], "locations": [{"id": 1, "lon": 9.0}]}))
    catalog.fold(4, change(deletes={"thing_locations": [{"thing": 1, "location": 1, "time": 5}]}))
    told = [catalog.things_of(["lamp"], cut).select(["name", "lon"]).to_pylist() for cut in (1, 2, 3, 4)]
    assert told == [
        [{"name": "Thing 1", "lon": 24.9}],
        [{"name": "Thing 1", "lon": 1.0}],
        [{"name": "renamed", "lon": 9.0}],
        [{"name": "renamed", "lon": 24.9}],
    ]


def test_what_was_taken_away_is_gone_for_now_and_there_for_earlier_cuts(catalog: Catalog, url: str) -> None:
    catalog.fold(2, change({"datastreams": [stream(1), stream(2, 2)], "actuators": [actuator(1, 1)]}))
    with catalog.engine.connect() as connection:
        gone = references.cascade(connection, THINGS, [1])
    assert gone == {"things": [{"id": 1}], "datastreams": [{"id": 1}], "actuators": [{"id": 1}]}
    before = seen(catalog, 2)
    catalog.fold(3, change(deletes=gone))
    again = Catalog.open(url)
    for one in (catalog, again):
        assert seen(one, 2) == before
        assert one.streams_of("air_temperature", "", 3)["stream"].to_pylist() == [2]
        assert one.things_of(["lamp"], 3).num_rows == one.actuators_of("lamp", 3).num_rows == 0
        assert one.ids_by_key("datastreams", ["stream/1", "stream/2"]) == {"stream/2": 2}
        assert one.streams.gone().tolist() == [1]
        assert one.streams.count == 1
        assert [one.next_id(name) for name in ("things", "datastreams", "actuators")] == [3, 3, 2]
        assert one.groups()["stream"].to_pylist() == [2]
    again.close()


def test_a_stream_that_was_taken_away_takes_no_observation_and_a_feature_is_no_longer_named(catalog: Catalog) -> None:
    catalog.fold(2, change({"datastreams": [stream(1), stream(2)], "features": [{"id": 1}, {"id": 2}]}))
    catalog.fold(3, change(deletes={"datastreams": [{"id": 1}], "features": [{"id": 2}]}))
    columns = {
        "stream": pa.array([1, 2, 2]),
        "value": pa.array([1.0, 2.0, 3.0]),
        "feature": pa.array([None, 1, 2], pa.int64()),
    }
    instants = {name: pa.array([1, 1, 1]).cast(OBSERVATION.field("time").type) for name in ("time", "made")}
    examined = examine(build(columns | instants, ()), catalog, 1, 60)
    assert [(one.row, one.why) for one in examined.refused] == [
        (0, "no Datastream 1 is registered"),
        (2, "no such FeatureOfInterest"),
    ]


def test_a_changed_unit_holds_for_what_comes_next_and_never_in_part(catalog: Catalog, url: str) -> None:
    catalog.fold(2, change({"datastreams": [stream(1, factor=2.0, offset=1.0, si_unit="K")]}))
    before = catalog.streams.lines
    catalog.fold(3, change(updates={"datastreams": [{"id": 1, "factor": 5.0, "offset": 7.0, "access": "restricted"}]}))
    assert (before[0][1], before[1][1]) == (2.0, 1.0)
    again = Catalog.open(url)
    for index in (catalog.streams, again.streams):
        assert (index.lines[0][1], index.lines[1][1], index.factor[1]) == (5.0, 7.0, 5.0)
        assert index.access[1] == 2
    again.close()


def test_with_a_location_go_its_histories_and_with_a_sensor_its_streams(catalog: Catalog) -> None:
    rows = {
        "locations": [{"id": 1}, {"id": 2}],
        "thing_locations": [{"thing": 1, "location": 1, "time": 3}, {"thing": 1, "location": 2, "time": 3}],
        "historical_locations": [{"id": 1, "thing": 1, "time": 3}, {"id": 2, "thing": 2, "time": 3}],
        "historical_location_locations": [
            {"historical_location": 1, "location": 1},
            {"historical_location": 1, "location": 2},
            {"historical_location": 2, "location": 2},
        ],
        "datastreams": [stream(1), stream(2)],
    }
    catalog.fold(2, change(rows))
    with catalog.engine.connect() as connection:
        place = references.cascade(connection, LOCATIONS, [1])
        sensor = references.cascade(connection, SENSORS, [1])
    assert sensor == {"sensors": [{"id": 1}], "datastreams": [{"id": 1}, {"id": 2}]}
    assert place == {
        "locations": [{"id": 1}],
        "thing_locations": [{"thing": 1, "time": 3, "location": 1}],
        "historical_location_locations": [
            {"historical_location": 1, "location": 1},
            {"historical_location": 1, "location": 2},
        ],
        "historical_locations": [{"id": 1}],
    }
    catalog.fold(3, change(deletes=place))
    with catalog.engine.connect() as connection:
        left = connection.execute(select(METADATA.tables["historical_location_locations"])).all()
    assert [tuple(row)[:2] for row in left] == [(2, 2)]


@pytest.mark.parametrize(
    ("rows", "updates", "deletes", "why"),
    [
        ({"datastreams": [stream(1, 9)]}, {}, {}, "datastreams would refer to row 9 of things"),
        ({}, {"datastreams": [{"id": 1, "sensor": 4}]}, {}, "datastreams would refer to row 4 of sensors"),
        ({"datastreams": [stream(1, 1)]}, {}, {"things": [{"id": 1}]}, "would refer to row 1 of things"),
        ({"datastreams": [stream(1, 3)], "things": [thing(3)]}, {}, {}, ""),
    ],
)
def test_a_reference_that_leads_nowhere_is_found_before_it_is_in_the_log(
    catalog: Catalog, rows: Any, updates: Any, deletes: Any, why: str
) -> None:
    with catalog.engine.connect() as connection:
        found = references.dangling(connection, rows, updates, deletes)
    assert why in found
    assert bool(why) == bool(found)


def test_who_is_behind_loses_nothing_that_another_process_replaced_or_took_away(catalog: Catalog, url: str) -> None:
    catalog.fold(2, change({"datastreams": [stream(1), stream(2)]}))
    behind = Catalog.open(url)
    before = seen(behind, 2)
    later = change(updates={"datastreams": [{"id": 1, "name": "new"}], "things": [{"id": 1, "kind": "pole"}]})
    last = change(deletes={"datastreams": [{"id": 2}]})
    catalog.fold(3, later)
    catalog.fold(4, last)
    fresh = Catalog.open(url)
    behind._answers.clear()
    assert seen(behind, 2) == before
    assert seen(behind, 99) == before  # a process reads no further than its position
    assert behind.ids_by_key("datastreams", ["stream/1", "stream/2"]) == {"stream/1": 1, "stream/2": 2}
    assert behind.rows_by_key("datastreams", ["stream/1"])["stream/1"]["name"] == ""
    behind.fold(3, later)
    behind.fold(4, last)
    for cut in (2, 3, 4):
        assert seen(behind, cut) == seen(catalog, cut) == seen(fresh, cut)
    assert behind.streams.gone().tolist() == [2]
    behind.close()
    fresh.close()


def test_a_property_whose_streams_went_elsewhere_is_known_as_such(catalog: Catalog, url: str) -> None:
    rows = {"datastreams": [stream(i, 1 + i % 2, property=i) for i in (1, 2, 3)]}
    rows["observed_properties"] = [{"id": 3, "name": "third"}]
    catalog.fold(2, change(rows))
    assert catalog.regrouped() == set()
    catalog.fold(3, change(updates={"datastreams": [{"id": 1, "name": "renamed"}], "things": [{"id": 1, "name": "x"}]}))
    assert catalog.regrouped() == set()
    catalog.fold(4, change(deletes={"datastreams": [{"id": 3}]}))
    assert catalog.regrouped() == {3}
    catalog.fold(5, change(updates={"datastreams": [{"id": 1, "thing": 1}]}))
    assert catalog.regrouped() == {3, 1}
    catalog.fold(6, change(updates={"things": [{"id": 1, "kind": "mast"}]}))
    again = Catalog.open(url)
    assert catalog.regrouped() == again.regrouped() == {1, 2, 3}
    again.close()


def actuator(i: int, of: int) -> dict[str, Any]:
    return {"id": i, "key": f"actuator/{i}", "thing": of, "kind": "lamp", "facts": "{}"}


KINDS = ["add", "rename", "kind", "move", "property", "unit", "remove", "remove stream"]
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 40)),
    min_size=4,
    max_size=14,
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_cut_answers_for_ever_what_it_answered_when_it_was_the_last(
    steps: list[tuple[str, int]], new_catalog: Callable[[], str]
) -> None:
    url = new_catalog()
    catalog = Catalog.open(url)
    catalog.fold(1, change({**BASE, "locations": [{"id": i, "lon": float(i), "lat": 0.5} for i in (1, 2, 3)]}))
    answers = [seen(catalog, 0), seen(catalog, 1)]
    things, streams, places = [1, 2], [], {}
    for seq, (step, pick) in enumerate(steps, start=2):
        rows: dict[str, Any] = {}
        updates: dict[str, Any] = {}
        deletes: dict[str, Any] = {}
        one = things[pick % len(things)] if things else 0
        own = streams[pick % len(streams)] if streams else 0
        if step == "add" or not one:
            new, made = catalog.next_id("things"), catalog.next_id("datastreams")
            rows["things"] = [thing(new, kind=["lamp", "plant"][pick % 2])]
            rows["datastreams"] = [stream(made, new, property=1 + pick % 2), stream(made + 1, one or new)]
            rows["actuators"] = [actuator(catalog.next_id("actuators"), new)]
            things, streams = [*things, new], [*streams, made, made + 1]
        elif step in ("rename", "kind"):
            updates["things"] = [{"id": one, "name": f"n{pick}"} if step == "rename" else {"id": one, "kind": "plant"}]
        elif step == "move":
            row = {"thing": one, "location": 1 + pick % 3, "time": seq}
            rows["thing_locations"] = [row]
            deletes["thing_locations"] = [places[one]] if one in places else []
            places[one] = row
        elif step == "remove":
            with catalog.engine.connect() as connection:
                deletes = references.cascade(connection, THINGS, [one])
            gone = {row["id"] for row in deletes.get("datastreams", ())}
            things, streams = [t for t in things if t != one], [s for s in streams if s not in gone]
            places.pop(one, None)
        elif own and step == "remove stream":
            deletes["datastreams"] = [{"id": own}]
            streams.remove(own)
        elif own:
            more = {"property": 1 + pick % 2} if step == "property" else {"si_unit": f"u{pick}", "factor": float(pick)}
            updates["datastreams"] = [{"id": own, **more}]
        catalog.fold(seq, change(rows, updates, deletes))
        answers.append(seen(catalog, seq))
    again = Catalog.open(url)
    catalog._answers.clear()
    for cut, then in enumerate(answers):
        assert seen(catalog, cut) == then
        assert seen(again, cut) == then
    assert len(again.streams.exists) == len(catalog.streams.exists)
    at = np.flatnonzero(catalog.streams.exists)
    assert at.tolist() == np.flatnonzero(again.streams.exists).tolist() == sorted(streams)
    units = [{code: unit for unit, code in one.streams.unit_codes.items()} for one in (catalog, again)]
    for name in _COLUMNS:
        kept = "value_type" if name == "observation_type" else name
        mine, fresh = (getattr(one.streams, kept)[at].tolist() for one in (catalog, again))
        if name == "si_unit":
            mine, fresh = [units[0][code] for code in mine], [units[1][code] for code in fresh]
        assert mine == fresh, name
    catalog.close()
    again.close()
