"""What is received is bounded, each by itself and all together; who comes too much is told so, and is served when there
is room again."""

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.types import Message, Receive, Scope, Send

from civium.web.doors import BoundedBodies, DoorsBusy
from tests.city.conftest import CityProcess

_LARGEST = 1024 * 1024  # byte
_SCOPE = {"type": "http", "path": "/sources/x", "app": SimpleNamespace(state=SimpleNamespace(city=SimpleNamespace(
    settings=SimpleNamespace(doors=SimpleNamespace(max_body_mb=1.0)))))}  # fmt: skip


def test_a_body_beyond_the_bound_is_refused_and_welcome_when_the_others_are_answered() -> None:
    async def flood() -> None:
        answered = asyncio.Event()
        received = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal received
            await receive()
            received += 1
            await answered.wait()

        bounded = BoundedBodies(app)

        async def request() -> None:
            async def receive() -> Message:
                return {"type": "http.request", "body": bytes(_LARGEST)}

            async def send(_: Message) -> None:
                return None

            await bounded(_SCOPE, receive, send)

        first = [asyncio.create_task(request()) for _ in range(3)]
        await asyncio.sleep(0)
        assert received == 3
        with pytest.raises(DoorsBusy):
            await request()
        answered.set()
        await asyncio.gather(*first)
        await request()
        assert received == 4

    asyncio.run(flood())


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    folder = tmp_path_factory.mktemp("strict") / "city"
    city = CityProcess(folder, True, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    yield city
    city.stop()


_MOST_SENT = 64 * 1024 * 1024  # byte; the city ends it long before
LONG = b"a" * 50_000
CHUNKED = b"POST /v1.1/Things HTTP/1.1\r\nTransfer-Encoding: chunked"


def endless(city: CityProcess, beginning: bytes, part: bytes) -> int:
    """Send a beginning and then one part again and again, until the city has enough: how much it took [byte]."""
    host, _, port = city.url.rpartition("/")[2].partition(":")
    sent = 0
    with socket.create_connection((host, int(port)), 30) as connection:
        try:
            connection.sendall(beginning)
            while sent < _MOST_SENT:
                connection.sendall(part)
                sent += len(part)
        except OSError:  # it was closed
            return sent
    return sent


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        (b"GET /api/me HTTP/1.1\r\n", b"X-A: " + LONG + b"\r\n"),
        (b"GET /api/me HTTP/1.1\r\nX-A: ", LONG),
        (b"GET /", LONG),
        (CHUNKED + b"\r\nHost: 127.0.0.1\r\n\r\n1;", LONG),
        (CHUNKED + b"\r\nHost: 127.0.0.1\r\n\r\n1\r\n \r\n0\r\n", b"X-A: " + LONG + b"\r\n"),
    ],
    ids=["fields", "one field", "an address", "an extension of a chunk", "a trailer"],
)
def test_what_stands_before_and_between_the_parts_of_a_body_does_not_grow_for_ever(
    strict: CityProcess, beginning: bytes, part: bytes
) -> None:
    assert endless(strict, beginning, part) < _MOST_SENT
    assert strict.client.http.get("/api/me").status_code == 200


@pytest.mark.parametrize("path", ["/api/login", "/api/tokens", "/api/switch", "/v1.1/$batch", "/v1.1/Things", "/ask"])
def test_a_stranger_sends_a_megabyte_at_most(strict: CityProcess, path: str) -> None:
    body = b"%x\r\n%b\r\n" % (len(LONG), b" " * len(LONG))
    beginning = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    told = answered(strict, f"{beginning}Transfer-Encoding: chunked\r\n\r\n".encode(), body, 2 * 1024 * 1024)
    assert told.split(b" ")[1] in (b"401", b"413"), told


def answered(city: CityProcess, beginning: bytes, part: bytes, most: int) -> bytes:
    """What the city says to a beginning and no more than so many bytes of one part again and again."""
    host, _, port = city.url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(beginning)
        for _ in range(most // len(part)):
            connection.sendall(part)
        return connection.recv(4096)
