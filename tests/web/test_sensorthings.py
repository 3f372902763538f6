"""SensorThings over HTTP on a real city: what is created can be read, at once, in the unit of its owner."""

import json
from typing import Any

import pytest

from tests.city.conftest import CityProcess, city

__all__ = ["city"]

OVEN: dict[str, Any] = {
    "name": "Oven",
    "description": "bakes",
    "properties": {"kind": "oven"},
    "Locations": [
        {"name": "kitchen", "description": "", "encodingType": "application/geo+json",
         "location": {"type": "Point", "coordinates": [24.9, 60.1]}}
    ],
    "Datastreams": [
        {
            "name": "heat",
            "description": "its temperature",
            "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
            "unitOfMeasurement": {"name": "degree Celsius", "symbol": "degC", "definition": "ucum:Cel"},
            "Sensor": {"name": "probe", "description": "", "encodingType": "text/plain", "metadata": "m"},
            "ObservedProperty": {"name": "air_temperature", "definition": "urn:x", "description": ""},
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def stream(city: CityProcess) -> str:
    """Link of the Datastream of a new oven, relative to the city."""
    thing = city.client.http.post("/v1.1/Things", json=OVEN)
    assert thing.status_code == 201, thing.text
    assert thing.headers["location"] == thing.json()["@iot.selfLink"]
    (made,) = city.client.get(f"{thing.headers['location']}/Datastreams")["value"]
    return str(made["@iot.selfLink"])


def test_a_read_sees_every_accepted_write_in_the_unit_of_its_owner(city: CityProcess, stream: str) -> None:
    for result in (21.5, 180.0, -3.25):
        answer = city.client.http.post(f"{stream}/Observations", json={"result": result})
        assert answer.status_code == 201
        assert city.client.get(answer.headers["location"])["result"] == result
    found = city.client.get(f"{stream}/Observations?$filter=result gt 20&$orderby=result desc&$count=true")
    assert [o["result"] for o in found["value"]] == [180.0, 21.5]
    assert found["@iot.count"] == 2


def test_one_request_brings_things_streams_and_their_last_observation(city: CityProcess, stream: str) -> None:
    city.client.http.post(f"{stream}/Observations", json={"result": 7, "phenomenonTime": "2030-01-01T00:00:00Z"})
    expand = "Datastreams($expand=Observations($top=1;$orderby=phenomenonTime desc),ObservedProperty)"
    (oven,) = city.client.get(f"/v1.1/Things?$filter=name eq 'Oven'&$expand={expand}")["value"]
    (heat,) = oven["Datastreams"]
    assert heat["ObservedProperty"]["name"] == "air_temperature"
    assert [o["result"] for o in heat["Observations"]] == [7]


def test_a_data_array_answers_a_link_a_row_and_error_for_a_refused_one(city: CityProcess, stream: str) -> None:
    identity = int(stream.rpartition("(")[2].rstrip(")"))
    body = [{"Datastream": {"@iot.id": identity}, "components": ["phenomenonTime", "result"],
             "dataArray": [["2026-01-01T00:00:00Z", 1], ["2026-01-01T00:00:01Z", "hot"], ["tomorrow", 3]]}]  # fmt: skip
    refused = city.client.http.post("/v1.1/CreateObservations?on_error=refuse", json=body)
    assert refused.status_code == 400
    assert [row["row"] for row in refused.json()["rows"]] == [1, 2]
    kept = city.client.http.post("/v1.1/CreateObservations", json=body)
    assert kept.status_code == 201
    link, *others = kept.json()
    assert others == ["error", "error"]
    assert city.client.get(link)["result"] == 1


def test_the_same_idempotency_key_is_one_reading(city: CityProcess, stream: str) -> None:
    links = {
        city.client.http.post(
            f"{stream}/Observations", json={"result": 99}, headers={"Idempotency-Key": "once"}
        ).headers["location"]
        for _ in range(3)
    }
    assert len(links) == 1
    assert city.client.get(f"{stream}/Observations?$filter=result eq 99&$count=true")["@iot.count"] == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"result": 1, "resultTime": "2999-01-01T00:00:00Z"}, "future"),
        ({"result": None}, "missing or NaN"),
        ({"result": "warm"}, "takes numbers"),
        ({"result": 1, "phenomenonTime": "2026-01-01T00:00:00"}, "zone"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_is_refused_says_why(city: CityProcess, stream: str, body: dict[str, Any], why: str) -> None:
    answer = city.client.http.post(f"{stream}/Observations", json=body)
    assert answer.status_code == 400
    assert why in answer.json()["message"]


def test_a_body_over_the_limit_is_refused(city: CityProcess, stream: str) -> None:
    answer = city.client.http.post(f"{stream}/Observations", content=b" " * (65 * 1024 * 1024))
    assert answer.status_code == 413
    assert "MB" in answer.json()["message"]


def test_an_unknown_host_name_is_refused(city: CityProcess) -> None:
    assert city.client.http.get("/api/status", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/api/switch", "/api/practices/dimmer/mandate", "/api/practices/dimmer/parameters"])
def test_only_the_operator_changes_anything(city: CityProcess, path: str) -> None:
    body = {"advise_only": True, "mandate": "act", "params": {}}
    for header in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        answer = city.client.http.post(path, content=json.dumps(body), headers=header)
        assert answer.status_code == 401
