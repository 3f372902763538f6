"""A client that others wrote works unchanged, and HTTP is as the standard and RFC 9110 say."""

import json
from typing import Any

import frost_sta_client as sta
import pytest
import requests
from frost_sta_client.model.ext.data_array_document import DataArrayDocument
from frost_sta_client.model.ext.data_array_value import DataArrayValue

from tests.city.conftest import CityProcess, city

__all__ = ["city"]


@pytest.fixture(scope="module")
def service(city: CityProcess) -> sta.SensorThingsService:
    return sta.SensorThingsService(f"{city.url}/v1.1")


@pytest.fixture(scope="module")
def made(service: sta.SensorThingsService) -> sta.Datastream:
    """A Datastream with its Thing, Sensor, ObservedProperty and twelve Observations, created by the client."""
    place = sta.Location(
        name="quay", description="by the sea", encoding_type="application/geo+json",
        location={"type": "Point", "coordinates": [24.95, 60.16]},
    )  # fmt: skip
    thing = sta.Thing(name="tide gauge", description="at the quay", properties={"owner": "port"}, locations=[place])
    stream = sta.Datastream(
        name="level", description="of the sea", thing=thing,
        observation_type="http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        unit_of_measurement=sta.UnitOfMeasurement(name="metre", symbol="m", definition="ucum:m"),
        sensor=sta.Sensor(name="float", description="d", encoding_type="text/plain", metadata="m"),
        observed_property=sta.ObservedProperty(name="sea_level", definition="urn:sea", description="d"),
    )  # fmt: skip
    service.create(stream)
    for n in range(12):
        one = sta.Observation(
            result=n / 10, phenomenon_time=f"2026-06-01T{n:02}:00:00Z", result_time=f"2026-06-01T{n:02}:00:01Z",
            parameters={"n": n}, datastream=sta.Datastream(id=stream.id),
        )  # fmt: skip
        service.create(one)
        assert one.id
    return stream


def test_frost_client_finds_filters_expands_and_pages(service: sta.SensorThingsService, made: sta.Datastream) -> None:
    query = service.datastreams().query()
    [found] = query.filter(f"name eq 'level' and id eq {made.id}").expand("Thing,ObservedProperty").list().entities
    assert found.thing.name == "tide gauge"
    assert found.observed_property.name == "sea_level"
    assert found.unit_of_measurement.symbol == "m"
    behind = found.get_observations().query().orderby("phenomenonTime", "desc").top(5).list()
    assert [o.result for o in behind] == [n / 10 for n in range(11, -1, -1)]  # it follows the next links by itself
    assert service.things().find(found.thing.id).properties == {"owner": "port"}
    counted = service.observations().query().filter(f"Datastream/id eq {made.id} and result gt 0.55").count().list()
    assert counted.count == 6
    with_place = service.things().query().filter("name eq 'tide gauge'").expand("Locations").list().entities[0]
    assert with_place.locations.entities[0].location["coordinates"] == [24.95, 60.16]


def test_frost_client_tells_what_was_wrong(service: sta.SensorThingsService) -> None:
    with pytest.raises(requests.exceptions.HTTPError) as error:
        service.things().query().filter("colour eq 'red'").list()
    assert error.value.response.status_code == 400
    assert "colour" in error.value.response.json()["message"]


def test_what_is_live_is_in_the_answer_at_once(city: CityProcess, made: sta.Datastream) -> None:
    stream = city.client.get(f"/v1.1/Datastreams({made.id})")
    assert stream["phenomenonTime"] == "2026-06-01T00:00:00Z/2026-06-01T11:00:00Z"
    assert stream["resultTime"] == "2026-06-01T00:00:01Z/2026-06-01T11:00:01Z"
    latest = f"/v1.1/Datastreams({made.id})?$expand=Observations($top=1;$orderby=phenomenonTime desc;$count=true)"
    told = city.client.get(latest)
    assert told["Observations@iot.count"] == 12
    assert [o["result"] for o in told["Observations"]] == [1.1]
    assert told["Observations"][0]["parameters"] == {"n": 11}
    following = city.client.get(told["Observations@iot.nextLink"].removeprefix(city.url))
    assert following["value"][0]["result"] == 1.0


PLACES = {
    "": "GET, HEAD, OPTIONS",
    "/Things(1)/name": "GET, HEAD, OPTIONS",
    "/Things(1)/name/$value": "GET, HEAD, OPTIONS",
    "/Things/$ref": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize("path", PLACES)
def test_a_wrong_method_is_told_the_right_ones(city: CityProcess, made: sta.Datastream, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = city.client.http.request(method, f"/v1.1{path}", json={})
        assert refused.status_code == 405, method
        assert refused.headers["allow"] == PLACES[path]
        assert method in refused.json()["message"]
    asked = city.client.http.options(f"/v1.1{path}")
    assert (asked.status_code, asked.headers["allow"]) == (204, PLACES[path])


def test_collections_can_be_posted_to(city: CityProcess) -> None:
    assert "POST" in city.client.http.options("/v1.1/Things").headers["allow"]
    assert "POST" not in city.client.http.options("/v1.1/Things(1)").headers["allow"]
    assert city.client.http.post("/v1.1/Things(1)", json={}).status_code == 405


@pytest.mark.parametrize("path", ["", "/Things", "/Things(1)/name", "/Things?$resultFormat=CSV", "/Things(999999)"])
def test_head_is_get_without_a_body(city: CityProcess, made: sta.Datastream, path: str) -> None:
    get, head = city.client.http.get(f"/v1.1{path}"), city.client.http.head(f"/v1.1{path}")
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


FORMATS = {"dataArray": "application/json", "CSV": "text/csv; charset=utf-8", "GeoJSON": "application/geo+json"}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_have_their_media_type(city: CityProcess, made: sta.Datastream, name: str) -> None:
    answer = city.client.http.get(f"/v1.1/Datastreams({made.id})/Observations?$resultFormat={name}&$top=3")
    assert answer.headers["content-type"] == FORMATS[name]
    told: dict[str, Any] = {} if name == "CSV" else json.loads(answer.text)
    assert len(answer.text.splitlines()) == 4 if name == "CSV" else "@iot.nextLink" in told


def test_a_long_answer_comes_piece_by_piece_and_whole(city: CityProcess, made: sta.Datastream) -> None:
    rows = [[f"2026-05-{1 + n // 1440:02}T{n // 60 % 24:02}:{n % 60:02}:00Z", n / 8] for n in range(30_000)]
    body = [{"Datastream": {"@iot.id": made.id}, "components": ["phenomenonTime", "result"], "dataArray": rows}]
    assert city.client.http.post("/v1.1/CreateObservations", json=body).status_code == 201
    url = f"/v1.1/Datastreams({made.id})/Observations?$orderby=phenomenonTime&$filter="
    url += "phenomenonTime lt 2026-06-01T00:00:00Z"
    with city.client.http.stream("GET", url + "&$resultFormat=CSV&$select=phenomenonTime,result") as answer:
        assert "content-length" not in answer.headers
        lines = list(answer.iter_lines())
    assert lines[1:] == [f"{time},{int(result) if result.is_integer() else result}" for time, result in rows]
    arrays = city.client.get(url + "&$resultFormat=dataArray&$select=result&$top=1000000")
    assert [row[0] for group in arrays["value"] for row in group["dataArray"]] == [result for _, result in rows]
    page = city.client.get(url + "&$top=1000000&$count=true")
    assert (len(page["value"]), page["@iot.count"]) == (10_000, 30_000)
    deep = city.client.get(url + "&$skip=29999")
    assert [o["result"] for o in deep["value"]] == [29_999 / 8]


def test_frost_client_patches_every_entity(service: sta.SensorThingsService, made: sta.Datastream) -> None:
    query = service.datastreams().query().filter(f"id eq {made.id}").expand("Thing,Sensor,ObservedProperty")
    [stream] = query.list().entities
    for entity in (stream, stream.thing, stream.sensor, stream.observed_property):
        service.patch(entity, [{"op": "replace", "path": "/description", "value": "patched"},
                               {"op": "add", "path": "/properties/floor", "value": 3}])  # fmt: skip
    [found] = query.list().entities
    assert (found.description, found.properties["floor"], found.thing.description) == ("patched", 3, "patched")
    service.patch(found, [{"op": "test", "path": "/properties/floor", "value": 3},
                          {"op": "move", "from": "/properties/floor", "path": "/properties/level"}])  # fmt: skip
    service.patch(found.thing, [{"op": "remove", "path": "/properties/floor"}])
    assert service.datastreams().find(made.id).properties == {"level": 3}


def test_frost_client_updates_and_deletes(service: sta.SensorThingsService, made: sta.Datastream) -> None:
    thing = sta.Thing(name="buoy", description="off the quay", properties={"colour": "red"})
    service.create(thing)
    found = service.things().find(thing.id)
    found.description = "further off"
    service.update(found)
    assert service.things().find(thing.id).description == "further off"
    assert service.things().find(thing.id).properties == {"colour": "red"}
    service.delete(found)
    with pytest.raises(requests.exceptions.HTTPError) as gone:
        service.things().find(thing.id)
    assert gone.value.response.status_code == 404


def test_what_was_taken_away_is_no_longer_counted(city: CityProcess, made: sta.Datastream) -> None:
    url = f"/v1.1/Datastreams({made.id})/Observations"
    late = city.client.http.post(url, json={"result": 9, "phenomenonTime": "2026-08-01T00:00:00Z"})
    before = city.client.get(f"{url}?$count=true&$top=0")["@iot.count"]
    assert city.client.get(f"/v1.1/Datastreams({made.id})")["phenomenonTime"].endswith("/2026-08-01T00:00:00Z")
    assert city.client.http.delete(late.headers["location"]).is_success
    assert city.client.get(f"{url}?$count=true&$top=0")["@iot.count"] == before - 1
    assert city.client.get(f"/v1.1/Datastreams({made.id})")["phenomenonTime"].endswith("/2026-06-01T11:00:00Z")
    assert city.client.get(f"{url}?$top=1&$orderby=phenomenonTime desc")["value"][0]["result"] == 1.1


def test_frost_client_makes_observations_by_the_array(city: CityProcess, service: sta.SensorThingsService) -> None:
    it = sta.Thing(name="weir", description="of a mill", locations=[sta.Location(
        name="mill", description="m", encoding_type="application/geo+json",
        location={"type": "Point", "coordinates": [24.9, 60.2]})])  # fmt: skip
    service.create(it)
    streams = []
    for name in ("above", "below"):
        stream = sta.Datastream(
            name=name, description=name, thing=sta.Thing(id=it.id), observation_type="urn:example:anything",
            unit_of_measurement=sta.UnitOfMeasurement(name="metre", symbol="m", definition="ucum:m"),
            sensor=sta.Sensor(name="s", description="d", encoding_type="text/plain", metadata="m"),
            observed_property=sta.ObservedProperty(name="p", definition="urn:p", description="d"),
        )  # fmt: skip
        service.create(stream)
        streams.append(stream)
    columns = DataArrayValue.Property
    document = DataArrayDocument()
    for number, stream in enumerate(streams):
        rows = DataArrayValue()
        rows.datastream = sta.Datastream(id=stream.id)
        rows.components = {columns.PHENOMENON_TIME, columns.RESULT, columns.RESULT_TIME, columns.PARAMETERS}
        for n in range(3):
            rows.add_observation(sta.Observation(
                result={"n": n} if number else n, phenomenon_time=f"2026-06-01T0{n}:00:00Z",
                result_time=f"2026-06-01T0{n}:00:01Z", parameters={"n": n}))  # fmt: skip
        document.add_data_array_value(rows)
    made = service.observations().create(document)
    assert len(made) == 6
    ids = [int(one.self_link.rpartition("(")[2][:-1]) for one in made]
    told = [service.observations().find(identity) for identity in ids]
    assert [one.result for one in told] == [0, 1, 2, {"n": 0}, {"n": 1}, {"n": 2}]
    assert [one.parameters for one in told] == [{"n": 0}, {"n": 1}, {"n": 2}] * 2
    assert service.observations().query().filter(f"Datastream/id eq {streams[1].id}").count().list().count == 3
