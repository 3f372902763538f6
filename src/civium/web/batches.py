"""SensorThings JSON Batch: many requests in one, answered in their order (OGC 18-088, 11; OData JSON Format 4.01, 19).

Each part goes the way that it would go alone. A part may refer to what an earlier part made by ``$id``: at the
beginning of its url, and as ``@iot.id`` in its body. Parts of an ``atomicityGroup`` are refused, since nothing of them
could be undone.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from civium.core import InputRefused
from civium.web.doors import answer, body_of
from civium.web.posts import ROOT, root_of

_MOST_PARTS = 1_000
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_OF_THE_CALLER = (b"host", b"authorization", b"cookie", b"x-civium-csrf", b"origin", b"sec-fetch-site")
_LINK = re.compile(r"/([A-Za-z]+\((\d+)\))$")
_REFERENCE = re.compile(r"\$([A-Za-z0-9_.~-]+)")


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
    """Many requests in one: `{"requests": [{"id", "method", "url", "body"}]}`; answers `responses` in their order."""
    try:
        parts = msgspec.json.decode(await body_of(request), type=_Batch).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"the body is no batch: {error}") from None
    _check(parts)
    made: dict[str, str] = {}  # by the part's id: what it made, such as Things(1)
    done: dict[str, bool] = {}
    responses: list[dict[str, Any]] = []
    for part in parts:
        try:
            response = await _answer(request, part, made, done)
        except InputRefused as error:
            content = {"code": error.status, "type": "error", "message": str(error)}
            response = {"id": part.id, "status": error.status, "body": content}
        done[part.id] = response["status"] < 400
        responses.append(response)
        if link := _LINK.search(response.get("headers", {}).get("location", "")):
            made[part.id] = link[1]
    return answer({"responses": responses})


def _check(parts: list[_Part]) -> None:
    if len(parts) > _MOST_PARTS:
        raise InputRefused(f"a batch of more than {_MOST_PARTS} requests; send it in parts", status=413)
    seen: set[str] = set()
    for part in parts:
        if part.id in seen:
            raise InputRefused(f"the id '{part.id[:40]}' stands twice in the batch")
        if part.method.upper() not in _METHODS:
            raise InputRefused(
                f"request '{part.id[:40]}': the method '{part.method[:10]}' is none of {', '.join(_METHODS)}"
            )
        if unknown := sorted(set(part.after) - seen):
            raise InputRefused(f"request '{part.id[:40]}' depends on '{unknown[0][:40]}', which is not before it")
        if part.group:
            why = "what one request of it did cannot be undone when another is refused; send them without a group"
            raise InputRefused(f"request '{part.id[:40]}' is of an atomicityGroup: {why}", status=501)
        seen.add(part.id)


async def _answer(request: Request, part: _Part, made: Mapping[str, str], done: Mapping[str, bool]) -> dict[str, Any]:
    """Let one part go its way through the application."""
    if failed := [one for one in part.after if not done[one]]:
        raise InputRefused(f"request '{failed[0]}', on which it depends, was refused", status=424)
    path, _, query = _path(request, part.url, made).partition("?")
    if path.startswith("$batch"):
        raise InputRefused("a batch cannot hold another batch")
    content = _referred(part.body, made)
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


def _path(request: Request, url: str, made: Mapping[str, str]) -> str:
    """What stands behind the service root: of an absolute url, one from the root of the server, or a relative one."""
    if match := _REFERENCE.match(url):
        if match[1] in made:
            return made[match[1]] + url[match.end() :]
        if match[1] != "batch":
            raise InputRefused(f"'{url[:40]}' refers to a request that made nothing")
    parts = urlsplit(url)
    root = urlsplit(root_of(request)).path
    path = parts.path
    if parts.netloc or path.startswith("/"):
        if not path.startswith(f"{root}/"):
            raise InputRefused(f"'{url[:60]}' is not below {root}")
        path = path.removeprefix(f"{root}/")
    return path + (f"?{parts.query}" if parts.query else "")


def _referred(content: Any, made: Mapping[str, str]) -> Any:
    """A body in which ``@iot.id`` of the form ``$id`` is the id of what that request made."""
    if isinstance(content, list):
        return [_referred(one, made) for one in content]
    if not isinstance(content, dict):
        return content
    found = {name: _referred(value, made) for name, value in content.items()}
    name = found.get("@iot.id")
    if isinstance(name, str) and name.startswith("$"):
        link = _LINK.search("/" + made.get(name[1:], ""))
        if link is None:
            raise InputRefused(f"@iot.id '{name[:40]}' refers to a request that made nothing")
        found["@iot.id"] = int(link[2])
    return found
