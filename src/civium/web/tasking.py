"""Tasks over HTTP: staff may ask an actuator in its scope for something, and let go of it again."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from civium.core import InputRefused
from civium.engines.catalog.tables import ACTUATORS
from civium.ledger.projection import COMMANDS
from civium.sources.sensorthings.read import read
from civium.sources.sensorthings.tasking import decode_task
from civium.web.doors import answer, body_of, caller_of, city_of, key_of
from civium.web.posts import ROOT, root_of
from civium.web.reading import path_of
from civium.web.rules import NotAllowed


def mount(app: FastAPI) -> None:
    """Add the routes; they stand before those of the other entities."""
    for path in ("/Tasks", "/TaskingCapabilities({capability:int})/Tasks"):
        app.post(ROOT + path, tags=["SensorThings"], status_code=201)(create_task)
    app.delete(ROOT + "/Tasks({task:int})", tags=["SensorThings"])(delete_task)


async def create_task(request: Request) -> Response:
    """Ask an actuator for something. The answer says what the guard made of it: its `status` is admitted, refused (with
    the `reason`), or advised while the city is switched to advise."""
    city, path, body = city_of(request), path_of(request), await body_of(request)
    hidden = set(city.rights.hidden_things(caller_of(request)).tolist())
    command, who, parameters = await asyncio.to_thread(decode_task, path, body, city.catalog, city.clock.now(), hidden)
    await asyncio.to_thread(_may_ask, request, command.actuator)
    who = caller_of(request).signed(who)
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    task = await city.wishes.ask(command, who, key=key, content=path.encode() + b"\0" + body, parameters=parameters)
    base, now = root_of(request), city.clock.now()
    record = city.ledger.projection.engine
    told = await asyncio.to_thread(read, f"Tasks({task})", "", city.catalog, city.store, base, now, None, record)
    return answer(told, 201, {"Location": f"{base}/Tasks({task})"})


async def delete_task(request: Request, task: int) -> Response:
    """Let go of what a Task holds. It stays on the record as released; its device falls back when it would have lapsed
    anyway."""
    city = city_of(request)
    if task >= 2**63:
        raise InputRefused(f"there is no Task {task}", status=404)
    of_task = select(COMMANDS.c.actuator).where(COMMANDS.c.id == task)
    for row in await asyncio.to_thread(city.ledger.projection.rows, of_task):
        await asyncio.to_thread(_may_ask, request, row["actuator"])
    await city.wishes.release(task, caller_of(request).signed(), "the Task was deleted")
    return Response(status_code=200)


def _may_ask(request: Request, actuator: int) -> None:
    """Refuse a caller in whose scope the thing of an actuator is not."""
    city, caller = city_of(request), caller_of(request)
    known = city.catalog.last(ACTUATORS.name, [actuator]).get(actuator)
    if known is not None and not city.rights.may_change(caller, known["thing"]):
        raise NotAllowed(caller, "a token in whose scope the actuator's thing is")
