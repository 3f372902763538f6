"""Tasks over HTTP: whoever holds the operator's token may ask an actuator for something, and let go of it again."""

import asyncio

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from civium.sources.sensorthings.read import read
from civium.sources.sensorthings.tasking import decode_task
from civium.web.doors import answer, body_of, city_of, key_of
from civium.web.interface import operator
from civium.web.posts import ROOT, root_of
from civium.web.reading import path_of


def mount(app: FastAPI) -> None:
    """Add the routes; they stand before those of the other entities."""
    for path in ("/Tasks", "/TaskingCapabilities({capability:int})/Tasks"):
        app.post(ROOT + path, tags=["SensorThings"], status_code=201, dependencies=[Depends(operator)])(create_task)
    app.delete(ROOT + "/Tasks({task:int})", tags=["SensorThings"], dependencies=[Depends(operator)])(delete_task)


async def create_task(request: Request) -> Response:
    """Ask an actuator for something. The answer says what the guard made of it: its `status` is admitted, refused (with
    the `reason`), or advised while the city is switched to advise."""
    city, path, body = city_of(request), path_of(request), await body_of(request)
    command, who = await asyncio.to_thread(decode_task, path, body, city.catalog, city.clock.now())
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    task = await city.wishes.ask(command, who, key=key, content=path.encode() + b"\0" + body)
    base, now = root_of(request), city.clock.now()
    record = city.ledger.projection.engine
    told = await asyncio.to_thread(read, f"Tasks({task})", "", city.catalog, city.store, base, now, None, record)
    return answer(told, 201, {"Location": f"{base}/Tasks({task})"})


async def delete_task(request: Request, task: int) -> Response:
    """Let go of what a Task holds. It stays on the record as released; its device falls back when it would have lapsed
    anyway."""
    await city_of(request).wishes.release(task, "operator", "the Task was deleted")
    return Response(status_code=200)
