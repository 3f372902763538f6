"""The quick way for single Observations answers what the routes answer, in the order of the requests."""

import json
import re
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.city.conftest import CityProcess, city
from tests.web.standard import place

__all__ = ["city"]


@pytest.fixture(scope="module")
def streams(city: CityProcess) -> list[int]:
    """A stream of numbers in degree Celsius, and one of words."""
    made = []
    for name, kind, unit in (("heat", "Measurement", "degC"), ("state", "CategoryObservation", "")):
        thing = {
            "name": f"oven {name}",
            "description": "",
            "Locations": [place()],
            "Datastreams": [
                {
                    "name": name,
                    "description": "",
                    "observationType": f"http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_{kind}",
                    "unitOfMeasurement": {"name": unit or None, "symbol": unit or None, "definition": None},
                    "Sensor": {"name": "probe", "description": "", "encodingType": "text/plain", "metadata": "m"},
                    "ObservedProperty": {"name": f"oven_{name}", "definition": "urn:x", "description": ""},
                }
            ],
        }
        answer = city.client.http.post("/v1.1/Things", json=thing)
        assert answer.status_code == 201, answer.text
        (stream,) = city.client.get(f"{answer.headers['location']}/Datastreams")["value"]
        made.append(stream["@iot.id"])
    return made


class Wire:
    """One connection; raw requests, read answers."""

    def __init__(self, city: CityProcess) -> None:
        split = urlsplit(city.url)
        self.host = split.netloc
        self.socket = socket.create_connection((split.hostname, split.port), 20)
        self._read = self.socket.makefile("rb")

    def request(self, path: str, body: bytes, *fields: str) -> bytes:
        head = [f"POST {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}", *fields, "", ""]
        return "\r\n".join(head).encode() + body

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._read.readline().split()[1])
        fields = {}
        while line := self._read.readline().strip().decode():
            name, _, value = line.partition(": ")
            fields[name.lower()] = value
        return status, fields, self._read.read(int(fields["content-length"]))

    def ask(self, path: str, body: bytes, *fields: str) -> tuple[int, dict[str, str], bytes]:
        self.socket.sendall(self.request(path, body, *fields))
        return self.answer()

    def close(self) -> None:
        self._read.close()
        self.socket.close()


times = st.sampled_from(
    [None, "2026-06-01T12:00:00Z", "2026-06-01T12:00:00.25+02:00", "2026-06-01T12:00:00Z/2026-06-01T13:00:00Z",
     "2026-06-01T12:00:00", "2999-01-01T00:00:00Z", "tomorrow", "2026-06-01T13:00:00Z/2026-06-01T12:00:00Z", 7]
)  # fmt: skip
observations = st.fixed_dictionaries(
    {},
    optional={
        "result": st.sampled_from([1, -2.5, 1e300, 10**30, None, "warm", "", True, [1, 2], {"a": 1}]),
        "phenomenonTime": times,
        "resultTime": times,
        "resultQuality": st.sampled_from([None, 3, "good", {"a": [1]}]),
        "validTime": times,
        "parameters": st.sampled_from([None, {}, {"a": {"b": 1}}, [1]]),
        "FeatureOfInterest": st.sampled_from([{"@iot.id": 999}, {"@iot.id": "x"}]),
        "Datastream": st.sampled_from([{"@iot.id": 1}, {"@iot.id": 2}, {"@iot.id": 99}, {"@iot.id": -1}, 5]),
        "colour": st.just("red"),
    },
)
bodies = observations.map(lambda o: json.dumps(o).encode()) | st.sampled_from(
    [b"", b"{", b"null", b"7", b'"x"', b"\xff\xfe", b"[]", b'[{"result": 1}]', b'{"result": NaN}', b'{"result": 1} ']
)


def outcome(city: CityProcess, told: tuple[int, dict[str, str], bytes]) -> Any:
    """What must be the same whichever way a request went: nothing but ids and instants of arrival may differ."""
    status, fields, body = told
    kind = fields.get("content-type")
    if status != 201 or "location" not in fields:
        return status, kind, json.loads(body) if body and status != 201 else len(body) > 2
    found = city.client.get(fields["location"])
    stored = {k: v for k, v in found.items() if not k.startswith("@") and not k.endswith("Link")}
    arrived = {k for k, v in stored.items() if k.endswith("Time") and v and not re.match("2026-0[56]|2999", v)}
    return status, kind, {k: "now" if k in arrived else v for k, v in stored.items()}


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, place=st.sampled_from(["{0}", "{1}", "999", None]))
def test_every_way_of_a_post_says_and_stores_the_same(
    city: CityProcess, streams: list[int], body: bytes, place: str | None
) -> None:
    path = "/v1.1/Observations" if place is None else f"/v1.1/Datastreams({place.format(*streams)})/Observations"
    wire = Wire(city)
    try:
        quick = outcome(city, wire.ask(path, body))
        assert outcome(city, wire.ask(path, body, "TE: trailers")) == quick  # uvicorn, ahead of the framework
        assert outcome(city, wire.ask(f"{path}?on_error=refuse", body)) == quick  # the routes
    finally:
        wire.close()


def test_pipelined_requests_are_answered_in_their_order_whoever_answers(city: CityProcess, streams: list[int]) -> None:
    wire = Wire(city)
    path = f"/v1.1/Datastreams({streams[0]})/Observations"
    asked = [
        (path, b'{"result": 1}', 201),
        (path, b'{"result": "hot"}', 400),
        ("/v1.1/nonsense", b"{}", 404),
        (path, b'{"result": 2}', 201),
        (f"{path}?on_error=keep", b'[{"result": 3}, {"result": "x"}]', 201),
        ("/v1.1/Datastreams(99999)/Observations", b'{"result": 2}', 404),
        *[(path, b'{"result": 4}', 201)] * 100,
    ]
    requests = b"".join(wire.request(where, body) for where, body, _ in asked)
    threading.Thread(target=wire.socket.sendall, args=(requests,)).start()
    told = [wire.answer() for _ in asked]
    assert [status for status, _, _ in told] == [status for *_, status in asked]
    assert len({fields["location"] for status, fields, _ in told if "location" in fields}) == 103
    wire.close()


def test_a_request_that_comes_byte_by_byte_is_taken(city: CityProcess, streams: list[int]) -> None:
    wire = Wire(city)
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = wire.request(f"/v1.1/Datastreams({streams[0]})/Observations", b'{"result": 5}')
    for cut in (1, 20, len(request) - 13, len(request) - 1):
        wire.socket.sendall(request[:cut])
        threading.Event().wait(0.05)
        wire.socket.sendall(request[cut:])
        assert wire.answer()[0] == 201
    wire.close()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Host: evil.example"], 400),
        (["Host: LOCALHOST"], 201),
        (["Transfer-Encoding: chunked"], 201),
        (["X-Forwarded-Proto: https"], 201),
        (["Idempotency-Key: " + "x" * 201], 400),
    ],
)
def test_what_is_not_plain_is_left_to_the_framework(
    city: CityProcess, streams: list[int], fields: list[str], status: int
) -> None:
    wire = Wire(city)
    body = b'{"result": 5}'
    named = {field.partition(":")[0] for field in fields}
    head = [f"POST /v1.1/Datastreams({streams[0]})/Observations HTTP/1.1", *fields]
    head += [f"Host: {wire.host}"] * ("Host" not in named)
    if "Transfer-Encoding" in named:
        body = b"d\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        head.append(f"Content-Length: {len(body)}")
    wire.socket.sendall("\r\n".join([*head, "", ""]).encode() + body)
    told = wire.answer()
    assert told[0] == status
    if "X-Forwarded-Proto" in named:
        assert told[1]["location"].startswith("https://")
    wire.close()


@pytest.mark.parametrize("way", ["", "TE: trailers", "query"])
def test_a_key_is_one_reading_on_every_way_and_by_header_or_payload(
    city: CityProcess, streams: list[int], way: str
) -> None:
    wire = Wire(city)
    path = f"/v1.1/Datastreams({streams[0]})/Observations"
    first = wire.ask(path, b'{"result": 8}', "Idempotency-Key: shared")
    again = path + "?on_error=refuse" if way == "query" else path
    fields = [way] if ":" in way else []
    repeat = wire.ask(again, b'{"idempotencyKey": "shared", "result": 8}', *fields)
    assert (repeat[0], repeat[1]["location"]) == (201, first[1]["location"])
    other = wire.ask(again, b'{"result": 9}', "Idempotency-Key: shared", *fields)
    assert other[0] == 409
    assert b"idempotency key" in other[2]
    wire.close()
