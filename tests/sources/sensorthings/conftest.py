"""A city of two lamps and a gate: a catalogue in each kind of database, a lake in memory, filled by the real paths."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from civium.core.view import INSTANT
from civium.engines.catalog import Catalog, Change
from civium.engines.deadline import in_history
from civium.sources.batch import Batch
from civium.sources.examine import examine
from civium.sources.instants import read_instant
from civium.sources.sensorthings.read import Answer, read
from civium.sources.sensorthings.write import Creation, plan_create

NOW = read_instant("2026-11-22T12:00:00Z")
BASE = "http://city/v1.1"


class Lake:
    """DuckDB in memory with the lake's table; counts the queries."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("ATTACH ':memory:' AS lake")
        self.connection.execute(
            "CREATE TABLE lake.observations (id BIGINT, stream BIGINT, time TIMESTAMP, until TIMESTAMP, made TIMESTAMP,"
            " value DOUBLE, text VARCHAR, json VARCHAR, quality SMALLINT, feature BIGINT, params VARCHAR, parent TEXT,"
            " made_here BOOLEAN)"
        )
        self.connection.execute("CREATE VIEW observations AS SELECT * FROM lake.observations")
        self.connection.execute("CREATE VIEW raw_observations AS SELECT * FROM observations")
        self.queries = 0
        self.rows = 0

    def query(
        self,
        sql: str,
        params: Sequence[Any] = (),
        tables: Mapping[str, pa.Table] | None = None,
        *,
        deadline: float = math.inf,
    ) -> pa.Table:
        self.queries += 1
        for name, table in (tables or {}).items():
            self.connection.register(name, table)
        with in_history(self.connection, deadline):
            return self.connection.execute(sql, list(params)).to_arrow_table()

    def append(self, table: pa.Table) -> np.ndarray:
        ids = np.arange(self.rows + 1, self.rows + 1 + table.num_rows)
        self.rows += table.num_rows
        for place, field in enumerate(table.schema):
            if field.type == INSTANT:  # the lake's times are UTC without a zone
                table = table.set_column(place, field.name, table.column(place).cast(pa.timestamp("us")))
        self.connection.register("batch", table.append_column("id", pa.array(ids)))
        self.connection.execute("INSERT INTO lake.observations BY NAME SELECT * FROM batch")
        return ids


class City:
    """Posts and gets as a client would, without a web server."""

    def __init__(self, url: str) -> None:
        self.catalog = Catalog.open(url)
        self.lake = Lake()
        self.now = NOW

    def post(self, path: str, body: Any) -> Creation:
        creation = plan_create(path, msgspec.json.encode(body), self.catalog, self.now)
        edits = creation.edits
        if edits:
            change = Change(self.now, "test", "post", edits.rows, edits.updates, edits.deletes)
            self.catalog.fold(self.catalog.applied() + 1, Change.decode(change.encode()))
        if creation.observations is not None:
            self.observe(creation.observations)
        return creation

    def observe(self, batch: Batch) -> list[int]:
        examined = examine(batch, self.catalog, self.now, 60)
        assert examined.refused == ()
        return self.lake.append(examined.table).tolist()

    def answer(self, url: str) -> Answer:
        path, _, query = url.partition("?")
        return read(path, query, self.catalog, self.lake, BASE, self.now)

    def get(self, url: str) -> dict[str, Any]:
        answer = self.answer(url)
        assert isinstance(answer, dict)
        msgspec.json.encode(answer)
        return answer

    def names(self, url: str, key: str = "name") -> list[Any]:
        return [entity[key] for entity in self.get(url)["value"]]


def thing(
    name: str, lon: float, lat: float, streams: Sequence[dict[str, Any]] = (), **properties: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"the {name}",
        "properties": properties,
        "Locations": [
            {
                "name": f"place of {name}",
                "description": "where it stands",
                "encodingType": "application/geo+json",
                "location": {"type": "Point", "coordinates": [lon, lat]},
            }
        ],
        "Datastreams": streams,
    }


def stream(name: str, observed: Any, unit: str = "degC", kind: str = "Measurement", **more: Any) -> dict[str, Any]:
    observed = observed if isinstance(observed, int) else new_property(observed)
    return {
        "name": name,
        "description": f"{name} of a thing",
        "observationType": f"http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_{kind}",
        "unitOfMeasurement": {"name": unit, "symbol": unit, "definition": None},
        "ObservedProperty": {"@iot.id": observed} if isinstance(observed, int) else observed,
        "Sensor": {
            "name": f"sensor of {name}",
            "description": "a probe",
            "encodingType": "application/pdf",
            "metadata": "http://example.org/probe.pdf",
        },
        **more,
    }


def new_property(name: str) -> dict[str, Any]:
    return {"name": name, "definition": f"http://example.org/{name}", "description": f"the {name}"}


@pytest.fixture(scope="module")
def city(new_catalog: Callable[[], str]) -> Iterator[City]:
    """For tests that only read."""
    built = build(new_catalog())
    yield built
    built.catalog.close()


@pytest.fixture
def own_city(new_catalog: Callable[[], str]) -> Iterator[City]:
    """For a test that writes."""
    built = build(new_catalog())
    yield built
    built.catalog.close()


def build(url: str) -> City:
    city = City(url)
    values = [
        {"result": 20 + i / 10, "phenomenonTime": f"2026-11-22T1{i}:00:00Z", "resultTime": f"2026-11-22T1{i}:00:01Z"}
        for i in range(3)
    ]
    city.post("Things", thing("lamp one", 24.94, 60.17, [
        stream("air one", "air_temperature", Observations=values),
        stream("lit one", "lit", "", "TruthObservation", Observations=[{"result": True}, {"result": False}]),
    ], kind="lamp", key="lamp/1", height=4.5))  # fmt: skip
    warm = [{"result": 21.5, "phenomenonTime": "2026-11-22T09:00:00Z"}]
    city.post(
        "Things", thing("lamp two", 24.95, 60.18, [stream("air two", 1, Observations=warm)], kind="lamp", height=6)
    )
    city.post("Things", thing("gate", 25.5, 61.0, [
        stream("passed", "vehicle_count", "1", "CountObservation", Observations=[{"result": 7}]),
        stream("state", "state", "", "CategoryObservation", Observations=[{"result": "open"}, {"result": "shut"}]),
        stream("report", "report", "", "Observation", Observations=[{"result": {"speed": 3.5, "lane": "a"}}]),
        stream("flow", "vehicle_flow", "veh/h", Observations=[{"result": 1234}]),
    ], kind="gate"))  # fmt: skip
    return city
