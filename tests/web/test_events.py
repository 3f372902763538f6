"""Server-sent events: what comes is told once, a broken link goes on where it ended, strangers hear no secrets."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from civium.web.events import MOST_STRANGERS
from tests.city.conftest import CityProcess, city

__all__ = ["city"]

OF = {"of": "meter:air_temperature"}


@pytest.fixture(scope="module")
def streams(city: CityProcess) -> dict[str, int]:
    """Two meters: one open, one restricted."""
    stream = {"property": "air_temperature", "unit": "K"}
    lines = [
        {"key": f"meter/{access}", "kind": "meter", "streams": [{**stream, "key": access, "access": access}]}
        for access in ("open", "restricted")
    ]
    told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
    ids: dict[str, int] = told["streams"]
    return ids


def _tell(city: CityProcess, streams: dict[str, int], value: float) -> None:
    body = [
        {"Datastream": {"@iot.id": stream}, "components": ["result"], "dataArray": [[value]]}
        for stream in streams.values()
    ]
    city.client.post("/v1.1/CreateObservations", content=json.dumps(body).encode())


def _events(answer: httpx.Response) -> Iterator[tuple[str, str, Any]]:
    """Name, id and data of each event."""
    name = identity = ""
    for line in answer.iter_lines():
        field, _, text = line.partition(": ")
        if field == "event":
            name = text
        elif field == "id":
            identity = text
        elif field == "data":
            yield name, identity, json.loads(text)


def _values(client: httpx.Client, wanted: float, **asked: str) -> tuple[str, dict[str, float]]:
    """Listen until a value is told: the id of its event, and all that was heard by stream."""
    heard: dict[str, float] = {}
    with client.stream("GET", "/api/events", params={**OF, **asked}, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for name, identity, data in _events(answer):
            if name == "values":
                heard |= {str(stream): value for stream, value in zip(data["s"], data["v"], strict=True)}
                if wanted in data["v"]:
                    return identity, heard
    raise AssertionError("the link ended")


def test_a_broken_link_goes_on_where_it_ended(city: CityProcess, streams: dict[str, int]) -> None:
    _tell(city, streams, 280.0)
    last, heard = _values(city.client.http, 280.0)
    assert set(heard) == {str(one) for one in streams.values()}
    _tell(city, {"open": streams["open"]}, 281.5)
    _, heard = _values(city.client.http, 281.5, after=last)
    assert heard == {str(streams["open"]): 281.5}


def test_who_shows_no_token_hears_what_is_open_alone(city: CityProcess, streams: dict[str, int]) -> None:
    _tell(city, streams, 285.0)
    with httpx.Client(base_url=city.url) as stranger:
        _, heard = _values(stranger, 285.0)
    assert set(heard) == {str(streams["open"])}
    for of in ("chart", "gaps"):
        assert httpx.get(f"{city.url}/api/streams/{streams['restricted']}/{of}", params=SPAN).status_code == 404


SPAN = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize("asked", [{"of": "no-colon"}, {"thing": "-1"}])
def test_what_cannot_be_listened_to_is_refused(city: CityProcess, asked: dict[str, str]) -> None:
    assert 400 <= city.client.http.get("/api/events", params=asked).status_code < 500


def test_strangers_leave_room_for_who_has_a_token(city: CityProcess) -> None:
    host, _, port = city.url.rpartition("/")[2].partition(":")
    asked = f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()

    def answer(listening: ExitStack, more: bytes = b"") -> bytes:
        connection = listening.enter_context(socket.create_connection((host, int(port)), 60))
        connection.sendall(asked + more + b"\r\n")
        return connection.recv(100).split(b" ")[1]

    mine = f"Authorization: {city.client.http.headers['Authorization']}\r\n".encode()
    with ExitStack() as listening:
        told = [answer(listening) for _ in range(MOST_STRANGERS + 5)]
        assert set(told) == {b"200", b"503"}
        assert answer(listening, mine) == b"200"
