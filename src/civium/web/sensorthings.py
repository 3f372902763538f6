"""SensorThings v1.1 over HTTP: entities created and read; observations in, singly and as dataArray."""

import asyncio
import re
from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from civium.city import City
from civium.core import InputRefused, RowRefusal
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.sources.batch import NOTHING_STORED, Batch
from civium.sources.claims import without
from civium.sources.intake import Receipt
from civium.sources.permits import permit_batch, permit_edits, permit_made
from civium.sources.sensorthings.amend import shortest
from civium.sources.sensorthings.data_array import decode_data_array
from civium.sources.sensorthings.features import NOWHERE
from civium.sources.sensorthings.observations import InlineEntity, decode_observations
from civium.sources.sensorthings.read import read
from civium.sources.sensorthings.sight import Sight
from civium.sources.sensorthings.write import Creation, plan_marks
from civium.web import amending, batches, reading, tasking
from civium.web.amending import library
from civium.web.doors import accept, answer, body_of, caller_of, city_of, key_of, whole
from civium.web.posts import ROOT, check_stream, root_of
from civium.web.reading import path_of

_OF_STREAM = re.compile(r"(?:Multi)?Datastreams\((\d{1,18})\)/Observations")
_MOST_KEYS = 10_000  # of entities; the earliest is forgotten


def mount(app: FastAPI) -> None:
    """Add the routes; the special ones first."""
    tags: list[str | Enum] = ["SensorThings"]
    app.post(f"{ROOT}/CreateObservations", tags=tags, status_code=201)(create_observations)
    app.post(f"{ROOT}/Observations", tags=tags, status_code=201)(post_observation)
    app.post(ROOT + "/Datastreams({stream:int})/Observations", tags=tags, status_code=201)(post_to_stream)
    app.post(ROOT + "/MultiDatastreams({stream:int})/Observations", tags=tags, status_code=201)(post_to_stream)
    batches.mount(app)
    tasking.mount(app)
    app.post(ROOT + "/{path:path}", tags=tags, status_code=201)(create)
    amending.mount(app)
    reading.mount(app)


async def create(request: Request) -> Response:
    """Create an entity, with what is nested in it (deep insert)."""
    path = path_of(request)
    if "POST" not in reading.methods_of(path):
        return await reading.refuse_method(request)
    if path.count("/") > 1:
        city = city_of(request)
        await city.read_barrier()
        path = await asyncio.to_thread(shortest, path, amending.library(city, request))
    if stream := _OF_STREAM.fullmatch(path):
        return await _post(request, int(stream[1]), path)
    return await _create(request, path, await body_of(request))


async def create_observations(request: Request) -> Response:
    """The dataArray extension: rows of many Datastreams in one body; answers a link or "error" for each row.

    With `?on_error=refuse` one bad row refuses all.
    """
    city, body = city_of(request), await body_of(request)
    batch = await asyncio.to_thread(decode_data_array, body, city.clock.now())
    count = batch.table.num_rows + len(batch.refused)
    batch = await _placed(request, batch, whole=whole(request, "keep"))
    stored = await accept(request, batch, body, "keep")
    links = await asyncio.to_thread(_links, f"{root_of(request)}/Observations", stored, count)
    return Response(links, 201, media_type="application/json")


def _links(base: str, stored: Receipt, count: int) -> bytes:
    """A JSON array of ``count`` texts: for each row the link of its Observation, or "error" where it was refused.

    A million links are tens of megabytes: they are joined by the column, with no object for each.
    """
    opening, closing = msgspec.json.encode(f"{base}(").decode()[:-1], ')"'
    link = pc.cast(pa.array(stored.ids), pa.string())
    between = f"{closing},{opening}"
    if not 0 < count == len(stored.ids):
        place = np.full(count, -1)
        place[stored.rows] = np.arange(len(stored.ids))
        link = pc.binary_join_element_wise(opening, link, closing, "")
        link = link.take(pa.array(place, mask=place < 0)).fill_null('"error"')
        opening, closing, between = "", "", ","
    joined = pc.binary_join(pa.ListArray.from_arrays([0, count], link), between)[0].as_buffer()
    return b"".join((b"[", opening.encode(), joined, closing.encode(), b"]"))


async def post_observation(request: Request) -> Response:
    """One Observation that names its Datastream, or a list of them."""
    return await _post(request, None, path_of(request))


async def post_to_stream(request: Request, stream: int) -> Response:
    """One Observation of this Datastream, or a list of them."""
    return await _post(request, stream, path_of(request))


async def _post(request: Request, stream: int | None, path: str) -> Response:
    body = await body_of(request)
    check_stream(city_of(request), caller_of(request), path.partition("s(")[0], stream)
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    try:
        batch = decode_observations(body, stream, city_of(request).clock.now(), key)
    except InlineEntity:
        return await _create(request, path, body)
    batch = await _placed(request, batch, whole=whole(request))
    return await _store(request, batch, body)


async def _placed(request: Request, batch: Batch, *, whole: bool) -> Batch:
    """The rows that name a feature or are of a place (OGC 18-088, 8.2.8); with ``whole`` another refuses all (400).

    A place whose feature was taken away gets another one.
    """
    city = city_of(request)
    # First of all: what is said of a place would tell of a hidden stream.
    batch = permit_batch(caller_of(request), city.rights, city.catalog, batch, whole=whole)
    table, catalog = batch.table, city.catalog
    stream = column(table, "stream").astype(np.int64)
    silent = table.column("feature").is_null().to_numpy() & catalog.streams.known(stream)
    thing = np.where(silent, catalog.streams.thing[np.where(silent, stream, 0)], 0)
    each = set(np.unique(thing).tolist())
    if unmarked := each & catalog.places.unmarked:
        await city.changes.make(
            lambda catalog: plan_marks(unmarked, catalog, city.clock.now()), who="civium", why="where things are"
        )
    nowhere = np.flatnonzero(np.isin(thing, list(each & catalog.places.nowhere)))
    refused = tuple(RowRefusal(row, NOWHERE) for row in batch.rows[nowhere].tolist())
    if refused and (whole or len(refused) == len(stream)):
        raise InputRefused(NOTHING_STORED, refused)
    return without(batch, refused) if refused else batch


async def _store(request: Request, batch: Batch, body: bytes, made: Sequence[int] = ()) -> Response:
    stored = await accept(request, batch, body, made=made)
    links = [f"{root_of(request)}/Observations({identity})" for identity in stored.ids.tolist()]
    if len(links) == 1:
        return Response(status_code=201, headers={"Location": links[0]})
    return answer(links, 201)


async def _create(request: Request, path: str, body: bytes) -> Response:
    """Create, once for each idempotency key: a repeat is answered with what the first made."""
    city = city_of(request)
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    if not key:
        return await _make(request, path, body)
    content = (path, blake2b(body, digest_size=16).digest())
    async with city.creating:
        before = city.created.get(key)
        if before is not None and before[0] != content:
            raise InputRefused("this Idempotency-Key was used for another request", status=409)
        if before is not None:
            return await _again(request, before[1])
        response = await _make(request, path, body)
        made = response.headers["location"].removeprefix(f"{root_of(request)}/")
        city.created[key] = (content, made)
        if len(city.created) > _MOST_KEYS:
            city.created.pop(next(iter(city.created)))
        return response


async def _again(request: Request, made: str) -> Response:
    """The answer to a repeat: the entity as it is now, or only where it was if it is there no more."""
    city, base = city_of(request), root_of(request)
    await city.read_barrier()
    try:
        sight, now = Sight.of(caller_of(request), city.rights), city.clock.now()
        found = await asyncio.to_thread(read, made, "", city.catalog, city.store, base, now, sight=sight)
    except InputRefused:
        return Response(status_code=201, headers={"Location": f"{base}/{made}"})
    return answer(found, 201, {"Location": f"{base}/{made}"})


async def _make(request: Request, path: str, body: bytes) -> Response:
    city = city_of(request)
    caller = caller_of(request)

    def permit(creation: Creation, catalog: Catalog) -> None:
        permit_made(caller, city.rights, catalog, creation.observations)
        permit_edits(caller, city.rights, catalog, creation.edits)

    sees = library(city, request).sees
    creation = await city.creator.make(path, body, caller.signed(), permit=permit, sees=sees)
    brought = [int(row["id"]) for row in creation.edits.rows.get("features", ())]
    if creation.id is None:
        assert creation.observations is not None
        return await _store(request, creation.observations, body, brought)
    link = f"{root_of(request)}/{creation.entity.plural}({creation.id})"
    if creation.observations is not None:
        try:
            await accept(request, creation.observations, body, made=brought)
        except InputRefused as error:
            why = f"{link} was created, but of the Observations in it {error.why}"
            raise InputRefused(why, error.rows, error.status) from None
    made = await asyncio.to_thread(_read_back, city, creation, root_of(request))
    return answer(made, 201, {"Location": link})


def _read_back(city: City, creation: Creation, base: str) -> object:
    return read(f"{creation.entity.plural}({creation.id})", "", city.catalog, city.store, base, city.clock.now())
