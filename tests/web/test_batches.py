"""Rules of the JSON Batch."""

from email import policy
from email.parser import BytesParser
from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.test_amending import Door, stream, thing

__all__ = ["city"]


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


def send(door: Door, *requests: dict[str, Any], status: int = 200) -> Any:
    done = door.http.post("/v1.1/$batch", json={"requests": list(requests)})
    assert done.status_code == status, done.text
    return done.json()["responses"] if status == 200 else done.json()


def test_parts_are_answered_in_their_order_and_refer_to_what_earlier_ones_made(door: Door) -> None:
    bare = stream()
    responses = send(
        door,
        {"id": "t", "method": "post", "url": "Things", "body": thing(name="batched", Datastreams=[])},
        {"id": "d", "method": "post", "url": "Datastreams", "body": {**bare, "Thing": {"@iot.id": "$t"}}},
        {"id": "o", "method": "post", "url": "$d/Observations", "body": {"result": 21.5}},
        {"id": "g", "method": "get", "url": "/v1.1/$t/Datastreams?$expand=Observations".replace("/v1.1/", "")},
        {"id": "p", "method": "patch", "url": "$t", "body": {"name": "patched"}},
        {"id": "x", "method": "get", "url": "Things(99999)"},
        {"id": "n", "method": "get", "url": "/v1.1/Things?$filter=name eq 'patched'&$select=name"},
        {"id": "r", "method": "delete", "url": "$o"},
    )
    assert [one["id"] for one in responses] == ["t", "d", "o", "g", "p", "x", "n", "r"]
    assert [one["status"] for one in responses] == [201, 201, 201, 200, 200, 404, 200, 200]
    assert responses[0]["headers"]["location"].endswith(f"Things({responses[0]['body']['@iot.id']})")
    assert responses[3]["body"]["value"][0]["Observations"][0]["result"] == 21.5
    assert responses[6]["body"]["value"] == [{"name": "patched"}]
    assert "Thing 99999" in responses[5]["body"]["message"]


def test_what_depends_on_a_refused_request_is_not_tried(door: Door) -> None:
    before = door.get("Things?$count=true&$top=0")["@iot.count"]
    responses = send(
        door,
        {"id": "a", "method": "post", "url": "Things", "body": {"name": "half"}},
        {"id": "b", "method": "post", "url": "Things", "body": thing(), "dependsOn": ["a"]},
        {"id": "c", "method": "get", "url": "$a"},
    )
    assert [one["status"] for one in responses] == [400, 424, 400]
    assert door.get("Things?$count=true&$top=0")["@iot.count"] == before


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ([], 400, "is no batch"),
        ({"requests": [{"id": "1", "method": "get"}]}, 400, "url"),
        ({"requests": [{"id": "1", "method": "brew", "url": "Things"}]}, 400, "method 'brew'"),
        ({"requests": [{"id": "1", "method": "get", "url": "Things"}] * 2}, 400, "stands twice"),
        ({"requests": [{"id": "1", "method": "get", "url": "x", "dependsOn": ["9"]}]}, 400, "depends on '9'"),
        ({"requests": [{"id": "1", "method": "get", "url": "x", "atomicityGroup": "g"}]}, 400, "GET cannot stand"),
        (
            {
                "requests": [
                    {"id": str(i), "method": "post", "url": "Things", "atomicityGroup": group}
                    for i, group in enumerate("aba")
                ]
            },
            400,
            "torn apart",
        ),
        ({"requests": [{"id": str(i), "method": "get", "url": "x"} for i in range(1001)]}, 413, "more than 1000"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(door: Door, body: Any, status: int, why: str) -> None:
    done = door.http.post("/v1.1/$batch", json=body)
    assert done.status_code == status
    assert why in done.text


@pytest.mark.parametrize("url", ["http://elsewhere/x", "/api/status", "/v1.1/../api/status", "$batch"])
def test_a_part_leads_nowhere_but_into_sensorthings(door: Door, url: str) -> None:
    [response] = send(door, {"id": "1", "method": "post", "url": url, "body": {}})
    assert response["status"] in (400, 404, 405)


def test_a_batch_needs_the_rights_that_its_parts_need(city: CityProcess) -> None:
    import httpx

    body = {"requests": [{"id": "1", "method": "post", "url": "Things", "body": thing()}]}
    with httpx.Client(base_url=city.url) as stranger:
        alone = stranger.post("/v1.1/Things", json=thing()).status_code
        together = stranger.post("/v1.1/$batch", json=body)
        told = together.json()["responses"][0]["status"] if together.status_code == 200 else together.status_code
        assert told == alone


def test_what_a_group_makes_is_changed_in_it(door: Door) -> None:
    group = {"atomicityGroup": "g", "method": "post"}
    patch = {**group, "method": "patch"}
    responses = send(
        door,
        {**group, "id": "t", "url": "Things", "body": thing(name="first", Datastreams=[])},
        {**patch, "id": "p", "url": "$t", "body": {"name": "second"}},
        {**group, "id": "d", "url": "$t/Datastreams", "body": stream()},
        {**patch, "id": "q", "url": "$d", "body": {"description": "told later"}},
        {**group, "id": "o", "url": "$d/Observations", "body": {"result": 1}},
        {**patch, "id": "r", "url": "$o", "body": {"result": 2}},
    )
    assert [one["status"] for one in responses] == [201, 200, 201, 200, 201, 200]
    made = [one["headers"]["location"].partition("/v1.1/")[2] for one in responses]
    assert (made[0], made[2], made[4]) == (made[1], made[3], made[5])
    assert door.get(made[0])["name"] == "second"
    assert door.get(made[2])["description"] == "told later"
    assert door.get(made[4])["result"] == 2


def test_a_group_is_done_together(door: Door) -> None:
    old, gone = door.post("Things", thing(name="old", Datastreams=[])), door.post("Things", thing(Datastreams=[]))
    requests: list[dict[str, Any]] = [
        {"id": "t", "method": "post", "url": "Things", "body": thing(name="grouped", Datastreams=[])},
        {"id": "d", "method": "post", "url": "$t/Datastreams", "body": stream()},
        {"id": "o", "method": "post", "url": "$d/Observations", "body": {"result": 21.5}},
        {"id": "p", "method": "patch", "url": old, "body": {"name": "new"}},
        {"id": "x", "method": "delete", "url": gone},
    ]
    together = [{**one, "atomicityGroup": "g"} for one in requests]
    after = {"id": "a", "method": "get", "url": "$t/Datastreams?$expand=Observations", "dependsOn": ["g"]}
    responses = send(door, *together, after)
    assert [one["status"] for one in responses] == [201, 201, 201, 200, 200, 200]
    assert responses[5]["body"]["value"][0]["Observations"][0]["result"] == 21.5
    assert responses[2]["headers"]["location"].endswith(f"Observations({responses[2]['body']['@iot.id']})")
    assert door.get(old)["name"] == "new"
    door.get(gone, 404)


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ({"method": "post", "url": "$d/Observations", "body": {"result": "warm"}}, 400),
        ({"method": "post", "url": "Things", "body": {"name": "nameless"}}, 400),
        ({"method": "delete", "url": "Things(99999)"}, 404),
    ],
)
def test_of_a_group_in_which_one_is_refused_nothing_is_done(door: Door, last: dict[str, Any], status: int) -> None:
    name = f"never {status} {last['method']} {len(last['url'])}"
    bare = stream(Thing=thing(name=name, Datastreams=[]))
    first = {"id": "d", "method": "post", "url": "Datastreams", "body": bare, "atomicityGroup": "g"}
    responses = send(door, first, {"id": "z", **last, "atomicityGroup": "g"})
    assert [one["status"] for one in responses] == [424, status]
    assert door.get(f"Things?$filter=name eq '{name}'")["value"] == []


MULTIPART = """--batch
Content-Type: application/http
Content-ID: 1

GET {root}/v1.1/Things?$top=1&$select=name HTTP/1.1


--batch
Content-Type: multipart/mixed; boundary=changes

--changes
Content-Type: application/http
Content-ID: 2

POST Things HTTP/1.1
Content-Type: application/json

{{"name": "in parts", "description": "of a multipart"}}
--changes
Content-Type: application/http
Content-ID: 3

PATCH Things({other}) HTTP/1.1
Content-Type: application/json

{{"name": "by a part"}}
--changes--
--batch
Content-Type: application/http

GET Things(99999) HTTP/1.1

--batch--
"""


def test_a_batch_of_the_standards_form_is_answered_in_it(door: Door) -> None:
    other = door.post("Things", thing(Datastreams=[])).partition("(")[2][:-1]
    text = MULTIPART.format(root=str(door.http.base_url).rstrip("/"), other=other).replace("\n", "\r\n")
    headers = {"Content-Type": "multipart/mixed; boundary=batch"}
    done = door.http.post("/v1.1/$batch", content=text.encode(), headers=headers)
    assert done.status_code == 200, done.text
    kind = done.headers["content-type"]
    assert kind.startswith("multipart/mixed; boundary=")
    told = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + done.content)
    first, changes, last = told.iter_parts()
    statuses = [part.get_payload().split()[1] for part in (first, *changes.iter_parts(), last)]
    assert statuses == ["200", "201", "200", "404"]
    assert door.get(f"Things({other})")["name"] == "by a part"
    assert len(door.ids("Things?$filter=name eq 'in parts'")) == 1


@pytest.mark.parametrize(
    "text", ["", "--batch", "--batch\r\n\r\nGET Things", "--batch\r\nContent-Type: application/http\r\n\r\nx"]
)
def test_a_multipart_that_is_none_is_refused(door: Door, text: str) -> None:
    headers = {"Content-Type": "multipart/mixed; boundary=batch"}
    assert door.http.post("/v1.1/$batch", content=text.encode(), headers=headers).status_code == 400
