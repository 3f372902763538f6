"""Single Observations over HTTP, ahead of the framework: what thousands of devices send thousands of times a second.

The same functions accept what comes this way and what goes through the routes of ``sensorthings``: a list, an entity
inside the Observation, a query string or a long body go there.
"""

import re
from functools import lru_cache

import numpy as np
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civium.city import City
from civium.core import CiviumError, InputRefused
from civium.core.observations import batches_of
from civium.core.rights import PUBLIC, Caller
from civium.core.traces import on, tell
from civium.engines.catalog import COMPLEX, Catalog
from civium.engines.passing import PASSING
from civium.sources.permits import permit_reading
from civium.sources.sensorthings.features import needs_place
from civium.sources.sensorthings.observations import InlineEntity, decode_reading, is_array
from civium.web.doors import CALLER, key_of, most_bytes, put_off, refusal
from civium.web.rules import Need, NotAllowed, meets

ROOT = "/v1.1"
_PATH = re.compile(rb"/v1\.1/(?:((?:Multi)?Datastream)s\(([0-9]{1,18})\)/)?Observations")
LONGEST = 8_192  # byte; many of these go into one log message


class Posts:
    """Middleware that answers a POST of one Observation; it stands behind those that check the host and the bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = None
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            match = _PATH.fullmatch(scope.get("raw_path") or b"")
        if match is None:
            await self._app(scope, receive, send)
        else:
            await self._post(match[1] or b"", int(match[2]) if match[2] else None, scope, receive, send)

    async def _post(self, kind: bytes, stream: int | None, scope: Scope, receive: Receive, send: Send) -> None:
        city: City = scope["app"].state.city
        headers = dict(reversed(scope["headers"]))  # the first of a name counts
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > min(LONGEST, most_bytes(city)):
            await self._app(scope, receive, send)
            return
        body = b""
        try:
            if not meets(caller := scope.get(CALLER, PUBLIC), Need.WRITER):
                raise NotAllowed(caller, Need.WRITER)
            received = await _body(receive)
            if received is None:
                return
            body = received
            check_stream(city, caller, kind.decode(), stream)
            if is_array(body):
                await self._app(scope, _again(body, receive), send)
                return
            reading = decode_reading(body, stream, key_of(headers.get(b"idempotency-key", b"")))
            permit_reading(caller, city.rights, city.catalog, reading.stream)
            hidden = reading.feature is not None and not city.rights.readable(caller).everything
            if hidden or needs_place(reading, city.catalog):  # the routes look whether it may be known of
                await self._app(scope, _again(body, receive), send)
                return
            identity = await city.intake.post(reading)
            if on():
                tell(batches=batches_of(np.array([identity])))
        except InlineEntity:
            await self._app(scope, _again(body, receive), send)
            return
        except CiviumError as error:
            await refusal(error)(scope, receive, send)
            return
        except PASSING as error:
            await put_off(error)(scope, receive, send)
            return
        location = b"%b%d)" % (observations_of(scope["scheme"], headers[b"host"]), identity)
        fields = [(b"content-length", b"0"), (b"location", location)]
        await send({"type": "http.response.start", "status": 201, "headers": fields})
        await send({"type": "http.response.body", "body": b""})


def check_stream(city: City, caller: Caller, kind: str, stream: int | None) -> None:
    """Refuse (404) Observations sent to a Datastream or MultiDatastream, as ``kind`` says, that is none, or of which
    the caller may not know."""
    if stream is None:
        return
    known = city.rights.writable(caller).holds(stream) or city.rights.readable(caller).holds(stream)
    if not (known and is_there(city.catalog, kind, stream)):
        raise InputRefused(f"there is no {kind} {stream}", status=404)


def is_there(catalog: Catalog, kind: str, stream: int) -> bool:
    """Whether there is such a Datastream, or MultiDatastream."""
    streams = catalog.streams
    known = 0 < stream < len(streams.exists) and bool(streams.exists[stream])
    return known and (streams.value_type[stream] == COMPLEX) == (kind == "MultiDatastream")


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when the client went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives the body once more to the routes."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return rest.pop() if rest else await receive()

    return replay


@lru_cache(maxsize=64)
def observations_of(scheme: str, host: bytes) -> bytes:
    """What stands before the id in a link to an Observation, as the routes write it."""
    asked = Request({"type": "http", "scheme": scheme, "path": "/", "headers": [(b"host", host)], "query_string": b""})
    return f"{root_of(asked)}/Observations(".encode()


def root_of(request: Request) -> str:
    """The service root under which a request came."""
    return f"{request.base_url}".rstrip("/") + ROOT
