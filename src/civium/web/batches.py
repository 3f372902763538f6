"""SensorThings Batch: many requests in one, answered in their order: as JSON (OData JSON Format 4.01, 19), or as a
multipart (OGC 18-088, 11; ``web.multiparts``).

Each part goes the way that it would go alone, and those of an ``atomicityGroup`` together (``web.groups``). A part may
refer to what an earlier part made by ``$id``: at the beginning of its url, and as ``@iot.id`` in its body.
"""

import asyncio
import re
from collections.abc import Mapping
from enum import Enum
from itertools import groupby
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from civium.core import InputRefused
from civium.sources.sensorthings.groups import Step, StepRefused, referred, referred_path
from civium.sources.sensorthings.json_patch import MEDIA_TYPE
from civium.web import groups, multiparts
from civium.web.doors import answer, body_of
from civium.web.posts import ROOT, root_of

_MOST_PARTS = 1_000
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_OF_THE_CALLER = (b"host", b"authorization", b"cookie", b"x-civium-csrf", b"origin", b"sec-fetch-site")
_LINK = re.compile(r"/([A-Za-z]+\(\d+\))$")


class _Part(msgspec.Struct, rename={"group": "atomicityGroup", "after": "dependsOn"}):
    id: str
    method: str
    url: str
    body: Any = msgspec.UNSET
    headers: dict[str, str] = {}
    group: str = ""
    after: list[str] = []


class _Batch(msgspec.Struct):
    requests: list[_Part]


def mount(app: FastAPI) -> None:
    """Add the route."""
    tags: list[str | Enum] = ["SensorThings"]
    app.post(ROOT + "/$batch", tags=tags)(batch)


async def batch(request: Request) -> Response:
    """Many requests in one: `{"requests": [{"id", "method", "url", "body"}]}`; answers `responses` in their order.

    Or a body of `multipart/mixed`, answered by another.
    """
    body, kind = await body_of(request), request.headers.get("content-type", "")
    told: list[dict[str, Any]] = []
    try:
        if multipart := kind.strip().lower().startswith(multiparts.MEDIA_TYPE):
            told = await asyncio.to_thread(multiparts.read_requests, body, kind)
            parts = msgspec.convert(told, list[_Part])
        else:
            parts = msgspec.json.decode(body, type=_Batch).requests
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"the body is no batch: {error}") from None
    _check(parts)
    made: dict[str, str] = {}  # by the part's id: what it made, such as Things(1)
    done: dict[str, bool] = {}
    responses: list[dict[str, Any]] = []
    for group, some in groupby(parts, key=lambda part: part.group):
        if group:
            responses += await _together(request, group, list(some), made, done)
            continue
        for part in some:
            responses.append(await _alone(request, part, made, done))
    if multipart:
        content, media_type = multiparts.write_responses(responses, told)
        return Response(content, 200, media_type=media_type)
    return answer({"responses": responses})


async def _alone(request: Request, part: _Part, made: dict[str, str], done: dict[str, bool]) -> dict[str, Any]:
    """The answer to a part that goes its own way."""
    try:
        response = await _answer(request, part, made, done)
    except InputRefused as error:
        response = {"id": part.id, "status": error.status, "body": refused(error)}
    done[part.id] = response["status"] < 400
    if link := _LINK.search(response.get("headers", {}).get("location", "")):
        made[part.id] = link[1]
    return response


async def _together(
    request: Request, group: str, parts: list[_Part], made: dict[str, str], done: dict[str, bool]
) -> list[dict[str, Any]]:
    """The answers to the parts of a group: all of them are done, or none is."""
    ids = [part.id for part in parts]
    try:
        if failed := [one for part in parts for one in part.after if one not in ids and not done[one]]:
            raise InputRefused(f"request '{failed[0]}', on which it depends, was refused", status=424)
        steps = [_step(request, part) for part in parts]
        responses = await groups.make(request, steps, made)
    except InputRefused as error:
        at_fault = error.step if isinstance(error, StepRefused) else ids[0]
        others = InputRefused(f"request '{at_fault}' of its group was refused, so nothing of it was done", status=424)
        whys = [error if one == at_fault else others for one in ids]
        responses = [{"id": one, "status": w.status, "body": refused(w)} for one, w in zip(ids, whys, strict=True)]
    done.update(dict.fromkeys([*ids, group], all(one["status"] < 400 for one in responses)))
    return responses


def _step(request: Request, part: _Part) -> Step:
    kind = next((value for name, value in part.headers.items() if name.lower() == "content-type"), "")
    body = None if part.body is msgspec.UNSET else part.body
    path = _path(request, part.url).partition("?")[0]
    return Step(part.id, part.method.upper(), path, body, kind.partition(";")[0].strip().lower() == MEDIA_TYPE)


def refused(error: InputRefused) -> dict[str, Any]:
    """The body of an answer to what was refused."""
    return {"code": error.status, "type": "error", "message": str(error)}


def _check(parts: list[_Part]) -> None:
    if len(parts) > _MOST_PARTS:
        raise InputRefused(f"a batch of more than {_MOST_PARTS} requests; send it in parts", status=413)
    seen: set[str] = set()  # ids, and the groups that are over
    last = ""
    for part in parts:
        if last and part.group != last:
            seen.add(last)
        if part.id in seen:
            raise InputRefused(f"the id '{part.id[:40]}' stands twice in the batch")
        if part.method.upper() not in _METHODS:
            raise InputRefused(
                f"request '{part.id[:40]}': the method '{part.method[:10]}' is none of {', '.join(_METHODS)}"
            )
        if unknown := sorted(set(part.after) - seen):
            raise InputRefused(f"request '{part.id[:40]}' depends on '{unknown[0][:40]}', which is not before it")
        if part.group and part.method.upper() == "GET":
            raise InputRefused(f"request '{part.id[:40]}': a GET cannot stand in an atomicityGroup")
        if part.group and part.group in seen:
            raise InputRefused(f"the atomicityGroup '{part.group[:40]}' is torn apart, or has the id of a request")
        last = part.group
        seen.add(part.id)


async def _answer(request: Request, part: _Part, made: Mapping[str, str], done: Mapping[str, bool]) -> dict[str, Any]:
    """Let one part go its way through the application."""
    if failed := [one for one in part.after if not done[one]]:
        raise InputRefused(f"request '{failed[0]}', on which it depends, was refused", status=424)
    path, _, query = referred_path(_path(request, part.url), made).partition("?")
    if path.startswith("$batch"):
        raise InputRefused("a batch cannot hold another batch")
    content = referred(part.body, made)
    body = b"" if content is msgspec.UNSET else msgspec.json.encode(content)
    raw = quote(f"{ROOT}/{path}", safe="/$()'%,:;=@!*~.-_").encode()
    kept = [(name, value) for name, value in request.scope["headers"] if name in _OF_THE_CALLER]
    own = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in part.headers.items()
    ]
    allowed = [
        (name, value) for name, value in own if name in (b"idempotency-key", b"content-type", b"accept", b"prefer")
    ]
    scope = {
        **{
            name: value
            for name, value in request.scope.items()
            if name not in ("path_params", "route", "endpoint", "router")
        },
        "method": part.method.upper(),
        "path": f"{ROOT}/{path}",
        "raw_path": raw,
        "query_string": quote(query, safe="/$()'%,:;=@!*~.-_&+?").encode(),
        "headers": [*kept, *allowed, (b"content-length", str(len(body)).encode())],
    }
    status, headers, pieces = 500, {}, []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            pieces.append(message.get("body", b""))

    await request.app(scope, receive, send)
    told: dict[str, Any] = {"id": part.id, "status": status}
    if "location" in headers:
        told["headers"] = {"location": headers["location"]}
    text = b"".join(pieces)
    if text:
        told["body"] = (
            msgspec.Raw(text) if "json" in headers.get("content-type", "") else text.decode("utf-8", "replace")
        )
    return told


def _path(request: Request, url: str) -> str:
    """What stands behind the service root: of an absolute url, one from the root of the server, or a relative one; what
    begins with ``$`` is left as it is."""
    if url.startswith("$"):
        return url
    parts = urlsplit(url)
    root = urlsplit(root_of(request)).path
    path = parts.path
    if parts.netloc or path.startswith("/"):
        if not path.startswith(f"{root}/"):
            raise InputRefused(f"'{url[:60]}' is not below {root}")
        path = path.removeprefix(f"{root}/")
    return path + (f"?{parts.query}" if parts.query else "")
