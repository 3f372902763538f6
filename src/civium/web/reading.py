"""SensorThings over HTTP, what only reads: GET, HEAD, OPTIONS, and which methods an address takes."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from civium.city import City
from civium.core import InputRefused
from civium.seeing import moment_of
from civium.sources.sensorthings.formats import Streamed
from civium.sources.sensorthings.model import BY_PLURAL, ENTITIES, target
from civium.sources.sensorthings.read import read
from civium.sources.sensorthings.sight import Sight
from civium.web import described
from civium.web.doors import answer, caller_of, city_of
from civium.web.posts import ROOT, root_of

_LAST = re.compile(r"([^/()]*)(\(.*\))?")
_ANSWER_S = 5.0  # what takes longer to read is refused
_SENT = 65_536  # byte, at least, in one piece
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - a door on every address of the machine
_READ = ("GET", "HEAD", "OPTIONS")
_POSTED = ("", "CreateObservations", "$batch")
_TO_ONE = {link.name for entity in ENTITIES for link in entity.links if not link.many}
_TO_MANY = {link.name for entity in ENTITIES for link in entity.links if link.many}


# The same of Tasking: a collection, and one entity.
_TASKED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Tasks": (("POST",), ("DELETE",)),
}
_OF_ENTITY = (*_READ, "PATCH", "PUT", "DELETE")


def mount(app: FastAPI) -> None:
    """Add the routes, last of all: what is left over is answered with the methods that there are."""
    tags: list[str | Enum] = ["SensorThings"]
    app.get(ROOT, tags=tags, summary="The sets of entities, and what the service conforms to")(get)
    for plural in BY_PLURAL:  # what a path may lead to is told for the first two steps, and works alike for all
        app.get(f"{ROOT}/{plural}", tags=tags, openapi_extra=described.collection(plural))(get)
        app.get(f"{ROOT}/{plural}({{id}})", tags=tags, openapi_extra=described.entity(plural))(get)
    app.get(ROOT + "/{path:path}", tags=tags, openapi_extra=described.anywhere())(get)
    for path in (ROOT, ROOT + "/{path:path}"):
        app.api_route(path, methods=["HEAD"], include_in_schema=False)(get)

    others = ["POST", "PUT", "PATCH", "DELETE"]
    for path in (ROOT, ROOT + "/{path:path}"):
        app.api_route(path, methods=["OPTIONS"], include_in_schema=False)(_options)
        app.api_route(path, methods=others, include_in_schema=False)(refuse_method)


async def _options(request: Request) -> Response:
    return Response(status_code=204, headers={"Allow": ", ".join(methods_of(path_of(request)))})


async def refuse_method(request: Request) -> Response:
    """405, with the methods that the address takes; 404 where there is nothing at all."""
    first = path_of(request).partition("/")[0].partition("(")[0]
    if first not in BY_PLURAL and first not in _TASKED and first not in _POSTED:
        raise InputRefused(f"there are no '{first[:60]}'; there are {', '.join(BY_PLURAL)}", status=404)
    if nowhere := _unknown(path_of(request)):
        raise InputRefused(f"'{nowhere[:60]}' leads nowhere", status=404)
    allowed = ", ".join(methods_of(path_of(request)))
    message = f"{request.method} does not work here; {allowed} do"
    return answer({"code": 405, "type": "error", "message": message}, 405, {"Allow": allowed})


def _unknown(path: str) -> str:
    """The first segment of a path that is neither a link nor a property of what is before it."""
    first, *rest = (unquote(segment).partition("(")[0] for segment in path.split("/"))
    entity = BY_PLURAL.get(first)
    for name in rest:
        link = entity.link(name) if entity else None
        if entity is None or (link is None and (name in ("id", "@iot.id") or name[:1] == "$")):
            return ""
        if link is None:
            return "" if entity.field(name.partition("[")[0]) else name
        entity = target(link)
    return ""


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that an address takes."""
    last = path.rpartition("/")[2]
    match = _LAST.fullmatch(last)
    name, identity = (match[1], match[2]) if match else (last, None)
    if not path or last in ("$ref", "$value"):
        return _READ
    if name in _POSTED and name:
        return ("POST", "OPTIONS")
    if name in _TASKED:
        return _READ if identity is not None and "/" in path else (*_READ, *_TASKED[name][identity is not None])
    if identity is not None and (name in BY_PLURAL or name in _TO_MANY):
        return _OF_ENTITY
    if name in _TO_ONE and "/" in path:
        return _OF_ENTITY
    if name in BY_PLURAL or name in _TO_MANY:
        return (*_READ, "POST")
    return _READ


async def get(request: Request) -> Response:
    """Entities, collections, properties and values, by the query language of the standard.

    `$filter`, `$orderby`, `$top`, `$skip`, `$count`, `$select`, `$expand` and `$resultFormat` (`dataArray`, `CSV`,
    `GeoJSON`) are explained in the documentation.
    """
    city = city_of(request)
    await city.read_barrier()
    query = request.scope["query_string"].decode("latin-1")
    path, base, record = path_of(request), root_of(request), city.ledger.projection.engine
    sight = Sight.of(caller_of(request), city.rights)
    arguments = (path, query, city.catalog, city.store, base, city.clock.now(), moment_of(city), record)
    found = await asyncio.to_thread(read, *arguments, _ANSWER_S, _brokers(request, city), sight)
    if found is None:
        return Response(status_code=204)
    if isinstance(found, Streamed):
        return StreamingResponse(_sent(found.pieces), media_type=found.media_type)
    return PlainTextResponse(found) if isinstance(found, str) else answer(found)


def _brokers(request: Request, city: City) -> list[str]:
    """Where devices and subscribers connect by MQTT."""
    mqtt, server = city.public.mqtt, city.public.server
    doors = [("mqtts" if mqtt.tls else "mqtt", mqtt.host, mqtt.port, "")]
    if server is not None:
        doors.append(("wss" if server.tls else "ws", *server.websocket, "/mqtt"))
    here = request.url.hostname or "127.0.0.1"
    return [f"{scheme}://{here if host in _ANY else host}:{port}{path}" for scheme, host, port, path in doors]


async def _sent(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is made in a thread, when the one before is on its way."""
    while piece := await asyncio.to_thread(_some, pieces):
        yield piece


def _some(pieces: Iterator[bytes]) -> bytes:
    """The next pieces together; nothing at the end."""
    out: list[bytes] = []
    size = 0
    for piece in pieces:
        out.append(piece)
        size += len(piece)
        if size >= _SENT:
            break
    return b"".join(out)


def path_of(request: Request) -> str:
    """What stands behind the service root, percent-encoded as it came."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.partition(b"?")[0].decode("latin-1").removeprefix(ROOT).strip("/")
