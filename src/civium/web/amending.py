"""SensorThings over HTTP, what changes and takes away: PATCH, PUT and DELETE of every entity."""

import asyncio
from enum import Enum

import pyarrow as pa
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from civium.city import City
from civium.core import InputRefused
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.seeing import moment_of
from civium.sources.changes import Edits
from civium.sources.permits import permit_corrections
from civium.sources.sensorthings.amend import plan_update
from civium.sources.sensorthings.amendment import Amendment
from civium.sources.sensorthings.json_patch import MEDIA_TYPE
from civium.sources.sensorthings.model import OBSERVATIONS
from civium.sources.sensorthings.read import Library, read
from civium.sources.sensorthings.remove import plan_delete
from civium.sources.sensorthings.sight import Sight
from civium.web import reading
from civium.web.doors import answer, body_of, caller_of, change, city_of
from civium.web.posts import ROOT, root_of
from civium.web.reading import path_of

_MOST_NAMED = 20  # Observations of a Datastream, and Datastreams, on one line of the audit


def mount(app: FastAPI) -> None:
    """Add the routes."""
    tags: list[str | Enum] = ["SensorThings"]
    app.patch(ROOT + "/{path:path}", tags=tags)(patch)
    app.put(ROOT + "/{path:path}", tags=tags)(put)
    app.delete(ROOT + "/{path:path}", tags=tags)(delete)


async def patch(request: Request) -> Response:
    """Change what the body names of an entity; links by `{"@iot.id": ...}`. Answers the entity.

    A body of `application/json-patch+json` is a list of operations (RFC 6902).
    """
    return await _update(request, replace=False)


async def put(request: Request) -> Response:
    """Replace an entity: what the body does not name is reset, links stay. Answers the entity."""
    return await _update(request, replace=True)


async def delete(request: Request) -> Response:
    """Take an entity away, with what goes with it: a Thing with its Datastreams, a Datastream with its Observations.

    Of a collection of Observations, with `$filter`: those that meet it.
    """
    query = request.scope["query_string"].decode("latin-1")
    if "DELETE" not in reading.methods_of(path_of(request)) and not query:
        return await reading.refuse_method(request)
    city, path = city_of(request), path_of(request)
    async with city.amending:
        await city.read_barrier()
        planned = await asyncio.to_thread(plan_delete, path, library(city, request), query)
        if query and not planned.corrections.num_rows:
            return Response(status_code=200)
        while planned.corrections.num_rows:
            await _correct(request, planned)
            if planned.entity.table is OBSERVATIONS:
                return Response(status_code=200)
            await city.read_barrier()  # of a feature some may have come meanwhile
            planned = await asyncio.to_thread(plan_delete, path, library(city, request))

        def build(_: Catalog) -> Edits:
            return plan_delete(path, library(city, request)).edits

        await change(request, build, f"DELETE {path[:100]}")
    return Response(status_code=200)


async def _update(request: Request, replace: bool) -> Response:
    if request.method not in reading.methods_of(path_of(request)):
        return await reading.refuse_method(request)
    city, path, body = city_of(request), path_of(request), await body_of(request)
    ahead = city.settings.doors.future_s
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    json_patch = request.method == "PATCH" and kind == MEDIA_TYPE
    planned: list[Amendment] = []

    def plan() -> Amendment:
        return plan_update(path, body, library(city, request), replace, ahead, json_patch=json_patch)

    def build(_: Catalog) -> Edits:
        planned[:] = [plan()]
        return planned[0].edits

    async with city.amending:
        await city.read_barrier()
        amended = await asyncio.to_thread(plan)
        if amended.entity.table is OBSERVATIONS:
            await _correct(request, amended)
        else:
            await change(request, build, f"{request.method} {path[:100]}")
            if planned[0].corrections.num_rows:
                await _correct(request, planned[0])
    await city.read_barrier()
    base = root_of(request)
    link = f"{amended.entity.plural}({amended.id})"
    made = await asyncio.to_thread(read, link, "", city.catalog, city.store, base, city.clock.now())
    return answer(made, 200, {"Location": f"{base}/{link}"})


async def _correct(request: Request, amended: Amendment) -> None:
    """Store corrections; a day whose raw rows have gone takes none."""
    city = city_of(request)
    permit_corrections(caller_of(request), city.rights, amended.corrections)
    await check_days(city, amended.corrections)
    await correct(request, amended.corrections)


async def correct(request: Request, corrections: pa.Table) -> None:
    """Store corrections that the caller may make; the audit says first who makes them, and of which Observations.

    What they displace is kept in the history, and not told on the audit: it may be personal.
    """
    city = city_of(request)
    why = f"{request.method} of {corrections.num_rows} Observations: {_named(corrections)}"
    await city.changes.make(lambda _: Edits(), who=caller_of(request).signed(), why=why, bare=True)
    await city.intake.correct(corrections)


def _named(corrections: pa.Table) -> str:
    ids, streams = (column(corrections, name).astype("int64") for name in ("corrects", "was_stream"))
    gone = column(corrections, "gone").astype(bool)
    told = []
    for what, some in (("changed", ~gone), ("taken away", gone)):
        for stream in sorted(set(streams[some].tolist()))[:_MOST_NAMED]:
            mine = ids[some & (streams == stream)].tolist()
            more = f" and {len(mine) - _MOST_NAMED} more" if len(mine) > _MOST_NAMED else ""
            told.append(f"{what} of Datastream {stream}: {', '.join(map(str, mine[:_MOST_NAMED]))}{more}")
    return "; ".join(told)


async def check_days(city: City, corrections: pa.Table) -> None:
    """Refuse (409) corrections that put an Observation into a day whose raw rows have gone."""
    if not corrections.num_rows or column(corrections, "gone").all():
        return
    instants = column(corrections, "time").astype("int64")
    gone = await asyncio.to_thread(city.store.days_without_raw, int(instants.min()), int(instants.max()))
    if gone:
        why = f"the readings of {gone[0]} have passed their retention: no Observation can be moved there"
        raise InputRefused(why, status=409)


def library(city: City, request: Request) -> Library:
    """What a change is planned from."""
    sight = Sight.of(caller_of(request), city.rights)
    return Library(city.catalog, city.store, root_of(request), city.clock.now(), moment_of(city), sight=sight)
