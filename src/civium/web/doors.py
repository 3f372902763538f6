"""The doors over HTTP: bulk Arrow, registration and the city clock; bodies are bounded, answers name row and reason."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civium.city import City
from civium.core import CiviumError, InputRefused, from_datetime, to_datetime
from civium.core.logs import note, said_by
from civium.core.observations import batches_of
from civium.core.rights import ANY, PUBLIC, Caller, Role
from civium.core.traces import on, tell
from civium.engines.catalog import Catalog, CatalogUnavailable
from civium.engines.log import LogInDoubt, LogUnavailable
from civium.engines.passing import what_is_away
from civium.seeing import Ids, hidden_features
from civium.sources.arrow import decode_arrow
from civium.sources.batch import Batch
from civium.sources.changes import Edits, Rows
from civium.sources.intake import Receipt
from civium.sources.permits import permit_batch, permit_edits, permit_features
from civium.sources.register import Registered, decode_lines, plan
from civium.web.limits import TooMany
from civium.web.rules import NotAllowed

Build = Callable[[Catalog], Rows | Edits]
CALLER = "civium.caller"  # where a request keeps it
_LONGEST_KEY = 200
_BODIES = 3  # of the largest allowed size may be in memory at a time
_MOST_SHORT = 1024 * 1024  # byte, of what strangers send, and of what the framework reads before it looks who asks
_log = said_by("doors")
_BEYOND = 1024 * 1024  # byte; ``body_of`` refuses a body that is too long sooner, and says more


class DoorsBusy(CiviumError):
    """So much is being received that memory would run out. The sender must come back later."""


class BodyTooLong(HTTPException):
    """A body is longer than any may be on its way. As the framework's own exception it passes through what reads."""


class BoundedBodies:
    """Middleware that bounds each body, and those in memory from their first byte until their request is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = 0
        most = _MOST_SHORT if _is_short(scope) else most_bytes(scope["app"].state.city) + _BEYOND

        async def bounded() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            held += size
            self._held += size
            if held > most:
                raise BodyTooLong(413, f"the body is larger than {most / 1024**2:.3g} MB")
            # The first of all goes on: it is bounded by itself.
            if self._held > max(_BODIES * most_bytes(scope["app"].state.city), held):
                raise DoorsBusy("too much is being received at this moment; try again later")
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            self._held -= held


def _is_short(scope: Scope) -> bool:
    """Whether a request brings no more than a form: a source that posts shows its token before its body is read."""
    path = scope["path"]
    if path.startswith("/api/") and path != "/api/register":
        return True
    caller: Caller = scope.get(CALLER, PUBLIC)
    return caller.role is Role.PUBLIC and not caller.trusted and not path.startswith("/sources/")


def city_of(request: Request) -> City:
    """The city that this application serves."""
    city: City = request.app.state.city
    return city


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks; ``identity`` has found it out."""
    caller: Caller = connection.scope.get(CALLER, PUBLIC)
    return caller


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def refusal(error: CiviumError) -> Response:
    """The answer to what a door refuses: who must act, what to do, and which rows."""
    if isinstance(error, InputRefused):
        rows = [asdict(row) for row in error.rows[:1000]]
        content = {"code": error.status, "type": "error", "message": str(error), "rows": rows}
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return answer(
            content, error.status, {"Retry-After": str(error.retry_s)} if isinstance(error, TooMany) else headers
        )
    if isinstance(error, LogInDoubt):
        content = {"code": 504, "type": "error", "message": f"{error}; nobody knows yet whether it is stored"}
        return answer(content, 504, {"Retry-After": "1"})
    if isinstance(error, CatalogUnavailable):
        return put_off(error)
    if isinstance(error, LogUnavailable | DoorsBusy):
        return later(str(error))
    return answer({"code": 500, "type": "error", "message": str(error)}, 500)


def put_off(error: Exception) -> Response:
    """The answer when an engine cannot be used for a while."""
    said = str(getattr(error, "orig", None) or error).partition("\n")[0]  # behind it may stand SQL
    note(_log, "an engine is away or busy", logging.WARNING, error=type(error).__name__, said=said)
    return later(f"{what_is_away(error)} of the city is away or busy; try again later")


def later(why: str) -> Response:
    """The answer while something cannot be done; nothing of the request is kept, and it may be repeated."""
    return answer({"code": 503, "type": "error", "message": why}, 503, {"Retry-After": "1"})


async def body_of(request: Request, most: int | None = None) -> bytes:
    """The body, read in bounds; raises InputRefused (413) past ``most`` [byte] and ``doors.max_body_mb``."""
    own = caller_of(request).most_mb
    bounds = [most_bytes(city_of(request)), most, int(own * 1024**2) if own else None]
    most = min(bound for bound in bounds if bound is not None)
    stated = request.headers.get("content-length", "")
    too_large = InputRefused(f"the body is larger than {most / 1024**2:.3g} MB; send it in parts", status=413)
    if stated.isdigit() and int(stated) > most:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def most_bytes(city: City) -> int:
    """The largest allowed body [byte]."""
    return int(city.settings.doors.max_body_mb * 1024 * 1024)


def whole(request: Request, otherwise: str = "refuse") -> bool:
    """Whether one bad row refuses the request: ``?on_error=refuse``, or ``?on_error=keep`` the good rows; ``otherwise``
    is what the door does by itself."""
    wish = request.query_params.get("on_error", otherwise)
    if wish not in ("refuse", "keep"):
        raise InputRefused(f"on_error is '{wish}'; use 'refuse' or 'keep'")
    return wish == "refuse"


async def accept(
    request: Request, batch: Batch, body: bytes, otherwise: str = "refuse", made: Sequence[int] = ()
) -> Receipt:
    """Store the batch that was decoded from ``body`` as the request wishes, or ``otherwise``: see ``whole``.

    ``made`` are features that the request brings: nobody sees them before something is observed of them.
    """
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    content = b""
    if key:
        asked = request.scope["path"].encode() + b"\0"
        content = (await asyncio.to_thread(blake2b, body, digest_size=16)).digest() + asked
    city = city_of(request)
    caller, all_or_none = caller_of(request), whole(request, otherwise)
    batch = permit_batch(caller, city.rights, city.catalog, batch, whole=all_or_none)
    if not city.rights.readable(caller).everything:

        def foreign(_: Ids, features: Ids, __: NDArray[np.bool_]) -> NDArray[np.bool_]:
            return np.isin(features, hidden_features(city, caller, features)) & ~np.isin(features, made)

        batch = await asyncio.to_thread(partial(permit_features, batch, foreign, whole=all_or_none))
    stored = await city.intake.accept(batch, whole=all_or_none, key=key, content=content, dry_run=dry_run(request))
    if on() and len(stored.ids):
        tell(batches=batches_of(stored.ids))
    return stored


def permitted(request: Request, build: Build) -> Build:
    """What plans a change of the catalogue, and refuses (401, 403) one that the caller may not make."""
    caller, rights = caller_of(request), city_of(request).rights

    def build_permitted(catalog: Catalog) -> Rows | Edits:
        planned = build(catalog)
        permit_edits(caller, rights, catalog, planned if isinstance(planned, Edits) else Edits(planned))
        return planned

    return build_permitted


async def change(request: Request, build: Build, why: str) -> None:
    """Change the catalogue as the caller wishes, if it may; it stands in the log with the change."""
    await city_of(request).changes.make(permitted(request, build), who=caller_of(request).signed(), why=why)


def key_of(header: bytes) -> str:
    """The idempotency key of a request; empty when it has none."""
    if len(header) > _LONGEST_KEY:
        raise InputRefused(f"the Idempotency-Key is longer than {_LONGEST_KEY} characters")
    return header.decode("latin-1")


def dry_run(request: Request) -> bool:
    """Whether the request only asks what would be (``?dry_run=true``)."""
    return request.query_params.get("dry_run") == "true"


def receipt(stored: Receipt) -> Response:
    """The answer to a batch: how many rows were good, stored, and stored before under the same idempotency key; first
    and last id; and the refused rows."""
    return answer(
        {
            "good": len(stored.rows),
            "stored": len(stored.ids),
            "repeated": stored.repeated,
            "first_id": int(stored.ids[0]) if len(stored.ids) else None,
            "last_id": int(stored.ids[-1]) if len(stored.ids) else None,
            "refused": [asdict(row) for row in stored.refused[:1000]],
            "refused_count": len(stored.refused),
        },
        201 if len(stored.ids) else 200,
    )


async def post_arrow(request: Request) -> Response:
    """Observations in bulk as an Arrow IPC stream: ``stream`` or ``key``, ``time``, ``value`` and what else they have.

    ``?dry_run=true`` only checks.
    """
    city, body = city_of(request), await body_of(request)
    reach = city.rights.readable(caller_of(request))

    def resolve(keys: Sequence[str]) -> dict[str, int]:
        ids = city.catalog.ids_by_key("datastreams", keys)
        return ids if reach.whole else {key: stream for key, stream in ids.items() if reach.holds(stream)}

    batch = await asyncio.to_thread(decode_arrow, body, city.clock.now(), resolve)
    return receipt(await accept(request, batch, body))


async def post_register(request: Request) -> Response:
    """Things with their streams and actuators, as JSON Lines; ``?dry_run=true`` only checks."""
    city = city_of(request)
    lines = await asyncio.to_thread(decode_lines, await body_of(request))
    registered = Registered()
    planned = _unhidden(request, plan(lines, registered, city.clock.now()), registered)
    if dry_run(request):
        await asyncio.to_thread(permitted(request, planned), city.catalog)
    else:
        await city.changes.make(
            permitted(request, planned), who=caller_of(request).signed(), why=f"{len(lines)} things registered"
        )
    brief = request.query_params.get("ids") == "false"
    counts = {name: getattr(registered, name) for name in ("created", "updated", "unchanged")}
    content: dict[str, Any] = dict(counts)
    if not brief:
        content |= {"things": registered.things, "streams": registered.streams, "actuators": registered.actuators}
    return answer(content)


def _unhidden(request: Request, build: Build, registered: Registered) -> Build:
    """A plan that is refused (403) where a key is that of something of which the caller may not know."""
    caller, city = caller_of(request), city_of(request)

    def build_unhidden(catalog: Catalog) -> Rows | Edits:
        before = len(catalog.streams.exists)
        planned = build(catalog)
        hidden, reach = set(city.rights.hidden_things(caller).tolist()), city.rights.readable(caller)
        taken = [key for key, one in registered.things.items() if one in hidden]
        taken += [key for key, one in registered.streams.items() if one < before and not reach.holds(one)]
        if taken:
            raise InputRefused(f"the key '{taken[0]}' is taken by what '{caller.name}' may not change", status=403)
        return planned

    return build_unhidden


async def post_clock(request: Request) -> Response:
    """The sandbox tells the time; answers when the turns of that second are done."""
    city, caller = city_of(request), caller_of(request)
    if not (caller.everywhere or caller.trusted or ANY in caller.scope.kinds):
        raise NotAllowed(caller, "a token for the whole city")
    if city.clock.source != "door":
        raise InputRefused("this city keeps wall time; set clock.source to 'door' for a sandbox", status=409)
    try:
        told = msgspec.json.decode(await body_of(request), type=dict[str, datetime])["time"]
        instant = from_datetime(told)
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise InputRefused(f'send {{"time": "2026-06-01T08:00:00Z"}}: {error}') from None
    await city.tick(instant)
    return answer({"time": to_datetime(instant).isoformat()})
