"""What the live arrays tell is what the history would, to the last letter of the JSON."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core.observations import STORED, pack
from civium.sources.sensorthings.moment import LakeMoment
from civium.sources.sensorthings.read import read
from civium.twin.census import LiveMoment
from civium.twin.extents import Extents
from civium.twin.live import Live
from tests.sources.sensorthings.conftest import BASE, City, Lake, build

LATEST = "Observations($top=1;$orderby=phenomenonTime desc)"
URLS = [
    "Datastreams",
    "Datastreams(3)",
    f"Datastreams?$expand={LATEST}",
    "Datastreams?$expand=Observations($top=1;$orderby=phenomenonTime desc,id desc;$count=true;$select=result)",
    f"Things(1)/Datastreams?$expand={LATEST}&$count=true",
    f"Things?$expand=Datastreams($expand={LATEST})",
    "Datastreams(1)/Observations?$top=1&$orderby=phenomenonTime%20desc",
    "Datastreams(2)/Observations?$top=1&$orderby=phenomenonTime%20desc&$count=true",
    "Observations?$count=true&$top=0",
    "Datastreams?$expand=Observations($count=true;$top=0)",
    "Datastreams?$orderby=phenomenonTime%20desc&$select=name",
    "Datastreams?$filter=resultTime%20gt%202026-11-22T10:00:00Z&$select=observedArea,resultTime",
]


@pytest.fixture(scope="module")
def world(new_catalog: Callable[[], str]) -> Iterator[City]:
    city = build(new_catalog())
    places = [("Point", [24.0, 60.0]), ("Point", [25.0, 60.0]), ("Point", [25.0, 61.0])]
    for stream, time, (kind, where) in zip((1, 1, 3), ("09:00", "12:30", "12:00"), places, strict=True):
        feature = {"name": "f", "description": "", "encodingType": "application/geo+json",
                   "feature": {"type": kind, "coordinates": where}}  # fmt: skip
        city.post("Observations", {
            "result": 3, "Datastream": {"@iot.id": stream}, "FeatureOfInterest": feature, "resultQuality": 5,
            "parameters": {"depth": 1}, "validTime": "2026-11-22T00:00:00Z/2026-11-23T00:00:00Z",
            "phenomenonTime": f"2026-11-22T{time}:00Z/2026-11-22T13:00:00Z",
        })  # fmt: skip
    yield city
    city.catalog.close()


def moment_of(live: Live, extents: Extents) -> LiveMoment:
    return LiveMoment(live, SimpleNamespace(changing=threading.RLock(), extents=extents))  # type: ignore[arg-type]  # of a census, what is asked here


def rows_of(lake: Lake) -> pa.Table:
    rows = lake.query("SELECT * FROM lake.observations ORDER BY id")
    return pa.table({f.name: rows.column(f.name).cast(f.type) for f in STORED}, schema=STORED)


@pytest.mark.parametrize("url", URLS)
def test_the_same_json_as_from_the_history(world: City, url: str) -> None:
    live, extents, rows = Live(), Extents(), rows_of(world.lake)
    for part in (rows.slice(0, 5), rows.slice(5, 4), rows.slice(9)):
        live.fold(part)
        extents.add(part)
    path, _, query = url.partition("?")
    asked = (path, query, world.catalog, world.lake, BASE, world.now)
    quick, slow = read(*asked, moment_of(live, extents)), read(*asked)
    assert msgspec.json.encode(quick) == msgspec.json.encode(slow)


def test_the_latest_of_all_streams_takes_no_query_of_the_history(world: City) -> None:
    live, extents = Live(), Extents()
    live.fold(rows_of(world.lake))
    extents.add(rows_of(world.lake))
    before = world.lake.queries
    read("Datastreams", f"$expand={LATEST}", world.catalog, world.lake, BASE, world.now, moment_of(live, extents))
    assert world.lake.queries == before


ROW = st.fixed_dictionaries(
    {
        "stream": st.integers(1, 4),
        "time": st.integers(0, 9),
        "made": st.integers(0, 9),
        "until": st.none() | st.integers(10, 19),
        "value": st.none() | st.floats(-9, 9) | st.just(float("nan")),
        "text": st.none() | st.just("word"),
        "json": st.none() | st.just("{}"),
        "quality": st.none() | st.integers(0, 3),
        "feature": st.none() | st.integers(1, 3),
        "params": st.none() | st.just('{"a":1}'),
        "made_here": st.none() | st.booleans(),
    }
)


def table(rows: list[dict[str, Any]], first: int) -> pa.Table:
    told = [{**row, "id": pack(0, 1, first + place), "parent": None} for place, row in enumerate(rows)]

    def array(field: pa.Field) -> pa.Array:
        plain = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        return pa.array([row[field.name] for row in told], plain).cast(field.type)

    return pa.table([array(field) for field in STORED], schema=STORED)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=25), cut=st.integers(0, 25))
def test_whatever_comes_the_arrays_know_what_the_history_holds(
    rows: list[dict[str, Any]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    live, extents, lake = Live(), Extents(), Lake()
    for part in (table(rows[:cut], 0), table(rows[cut:], cut)):
        for _ in range(2):  # what comes again is passed over
            live.fold(part)
            extents.add(part)
        if part.num_rows:
            plain = part.cast(
                pa.schema([f.with_type(pa.timestamp("us")) if "time" in str(f.type) else f for f in STORED])
            )
            lake.connection.register("batch", plain)
            lake.connection.execute("INSERT INTO lake.observations BY NAME SELECT * FROM batch")
    path: Path = tmp_path_factory.mktemp("kept") / "extents.npz"
    extents.save(path)
    live.save(path.with_name("live.npz"), {0: 1})
    kept = moment_of(Live.load(path.with_name("live.npz"))[0], Extents.load(path))
    streams = np.arange(1, 6, dtype=np.int64)
    truth = LakeMoment(lake)
    for known in (moment_of(live, extents), kept):
        spans, told = known.spans(streams), truth.spans(streams)
        some = told.counts > 0
        for name in ("counts", "first", "last", "made_first", "made_last"):
            np.testing.assert_array_equal(getattr(spans, name)[some], getattr(told, name)[some])
        assert spans.counts.tolist() == told.counts.tolist()
        assert [sorted(one) for one in known.features(streams)] == [sorted(one) for one in truth.features(streams)]
        assert by_stream(known.newest(streams)) == by_stream(truth.newest(streams))


def by_stream(rows: Any) -> dict[int, Any]:
    plain = [{**row, "made_here": bool(row["made_here"])} for row in rows]
    return {row["stream"]: {name: repr(row[name]) for name in STORED.names} for row in plain}
