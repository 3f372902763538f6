"""Situations of traffic for drivers' terminals and other centres: DATEX II v3 JSON, fetched or listened to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from sqlalchemy import select
from starlette.responses import Response, StreamingResponse

from civium.city import City
from civium.core import InputRefused
from civium.engines.catalog.tables import THINGS
from civium.ledger.projection import NOTICES
from civium.publish.situations import open_situations, publication
from civium.web.doors import answer, caller_of, city_of
from civium.web.told import Told

router = APIRouter(prefix="/datex2/v3", tags=["public"])
MOST_LISTENERS = 200
_MOST = 2000  # notices that are looked back at
_EVERY_S = 1.0
_BEAT_S = 15.0
_UNTOLD = "zz"  # ISO 3166: no country


@router.get("/situations.json")
async def situations(request: Request) -> Response:
    """What happens on the streets now, and ways round it: a DATEX II v3 SituationPublication."""
    city = city_of(request)
    told = Told(city, caller_of(request))
    return answer(await asyncio.to_thread(_message, city, told), headers={"Cache-Control": "no-cache"})


@router.get("/situations/events", include_in_schema=False)  # it has no end
async def pushed(request: Request) -> StreamingResponse:
    """The same as server-sent events, `situations`, whenever it changes."""
    city, caller = city_of(request), caller_of(request)
    listeners: set[object] = request.app.state.__dict__.setdefault("situation_listeners", set())
    if len(listeners) >= MOST_LISTENERS:
        raise InputRefused(f"{MOST_LISTENERS} listen already; try again later", status=503)
    me = object()

    async def sent() -> AsyncIterator[bytes]:
        listeners.add(me)
        known, record, quiet = None, -1, 0.0
        try:
            yield b"retry: 1500\n\n"
            while city.rights.lives(caller):
                at = city.ledger.projection.applied
                if at != record:
                    record = at
                    message = await asyncio.to_thread(_message, city, Told(city, caller))
                    situations = message["messageContainer"]["payload"][0]["sitSituationPublication"]["situation"]
                    if situations != known:
                        known, quiet = situations, 0.0
                        yield b"event: situations\ndata: %b\n\n" % msgspec.json.encode(message)
                quiet += _EVERY_S
                if quiet >= _BEAT_S:  # so that a broken link is noticed
                    quiet = 0.0
                    yield b": still here\n\n"
                await asyncio.sleep(_EVERY_S)
        finally:
            listeners.discard(me)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(sent(), media_type="text/event-stream", headers=headers)


def _message(city: City, told: Told) -> dict[str, Any]:
    registers = {name: city.turns.register(practice) for name, practice in city.turns.practices.found.items()}
    kinds = {name: register["situations"] for name, register in registers.items() if "situations" in register}
    query = select(NOTICES).where(NOTICES.c.practice.in_(kinds), NOTICES.c.audience == "public", told.notices())
    query = query.order_by(NOTICES.c.at.desc(), NOTICES.c.decision.desc(), NOTICES.c.number.desc()).limit(_MOST)
    found = open_situations(reversed(city.ledger.projection.rows(query)), kinds)
    with city.catalog.engine.connect() as connection:
        rows = connection.execute(
            select(THINGS.c.id, THINGS.c.lon, THINGS.c.lat).where(THINGS.c.id.in_([one.thing for one in found]))
        ).all()
    return publication(
        found,
        {row.id: (row.lon, row.lat) for row in rows if row.lon is not None and row.lat is not None},
        now=city.clock.now(),
        creator=city.settings.register.organization or city.settings.name,
        country=city.settings.register.country.lower() or _UNTOLD,
    )
