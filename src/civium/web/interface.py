"""The operators' interface: state of the city, practices and their mandates, decisions and their story, replay's data.

Anyone reads, of streams what the caller may know; who may change what, ``web.rules`` says.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import select
from starlette.responses import Response, StreamingResponse

from civium.acts.approve import approve
from civium.city import City
from civium.core import InputRefused, Mandate, Practice, from_datetime
from civium.core.wire import write_view
from civium.engines.rights import Reach
from civium.ledger.projection import DECISIONS, INCIDENTS, NOTICES
from civium.ledger.story import story
from civium.twin.views import build_view, require_raw
from civium.web.doors import caller_of, city_of
from civium.web.rules import NotAllowed
from civium.web.state import aggregate_of_kind, city_state, latest_of_kind, practices_state, series_of_kind
from civium.web.told import Told

router = APIRouter(prefix="/api", tags=["interface"])
Limit = Annotated[int, Query(ge=1, le=1000)]


class Why(BaseModel):
    """Why, and for whom if not for oneself; both go on the record beside the caller."""

    who: str = Field("", max_length=100)
    why: str = Field("", max_length=1000)


class MandateWish(Why):
    """How far a practice may go."""

    mandate: Mandate


class ParametersWish(Why):
    """Parameters of a practice that differ from its defaults."""

    params: dict[str, Any]


class SwitchWish(Why):
    """The city-wide switch back to advise."""

    advise_only: bool


@router.get("/status")
async def status(request: Request) -> Any:
    """The state of the city: clock, streams, log, store, practices, troubles."""
    return await city_state(city_of(request), caller_of(request))


@router.get("/practices")
async def practices(request: Request) -> Any:
    """Every practice: mandate, trouble, how often it decided, was refused, confirmed."""
    return await practices_state(city_of(request), told_to(request))


@router.post("/practices/{practice}/mandate")
async def set_mandate(request: Request, practice: str, wish: MandateWish) -> dict[str, str]:
    """Change a practice's mandate: advise, approve or act."""
    await city_of(request).orders.set_mandate(practice, wish.mandate, _steers(request, practice, wish), wish.why)
    return {"practice": practice, "mandate": wish.mandate}


@router.post("/practices/{practice}/parameters")
async def set_parameters(request: Request, practice: str, wish: ParametersWish) -> dict[str, Any]:
    """Change a practice's parameters."""
    await city_of(request).orders.set_parameters(practice, wish.params, _steers(request, practice, wish), wish.why)
    return {"practice": practice, "params": wish.params}


@router.post("/switch")
async def set_switch(request: Request, wish: SwitchWish) -> dict[str, bool]:
    """Put the whole city back to advise, or let the mandates count again."""
    await city_of(request).orders.set_switch(wish.advise_only, caller_of(request).signed(wish.who), wish.why)
    return {"advise_only": wish.advise_only}


@router.get("/decisions")
async def decisions(request: Request, practice: str = "", limit: Limit = 50) -> Any:
    """The last decisions, newest first."""
    query = select(DECISIONS).order_by(DECISIONS.c.seq.desc()).limit(limit)
    if practice:
        query = query.where(DECISIONS.c.practice == practice)
    city = city_of(request)
    rows = await asyncio.to_thread(city.ledger.projection.rows, query)
    return await asyncio.to_thread(told_to(request).rows, rows)


@router.get("/decisions/{decision}")
async def decision_story(request: Request, decision: str) -> Any:
    """One decision: its entry on the ledger, what became of it, and the story in plain words."""
    city = city_of(request)
    return await story(city.ledger, city.catalog, decision, told_to(request))


@router.get("/decisions/{decision}/view")
async def decision_view(request: Request, decision: str) -> Response:
    """The View of a decision, built again from the store under its cut (for replay)."""
    city = city_of(request)
    entry = await _turn(request, decision)
    practice = city.turns.practices.found.get(entry["practice"])
    if practice is None:
        raise InputRefused(f"practice '{entry['practice']}' is not installed any more", status=409)
    await asyncio.to_thread(told_to(request).must_tell_all, practice.id)
    if (shard := entry["shard"]) not in practice.parts:
        raise InputRefused(f"practice '{practice.id}' has no shard '{shard}' any more", status=409)
    return await _view(city, practice, entry["tick"], entry["cut"], shard)


@router.get("/practices/{practice}/view")
async def past_view(request: Request, practice: str, tick: int, shard: str = "all") -> Response:
    """What a practice, or a shard of it, would have seen at an earlier tick [us since epoch], by all that is known now
    (for backtests)."""
    city = city_of(request)
    found = city.turns.practices.found.get(practice)
    if found is None:
        raise InputRefused(f"no practice '{practice}' is installed", status=404)
    await asyncio.to_thread(told_to(request).must_tell_all, practice)
    if shard not in found.parts:
        raise InputRefused(f"practice '{practice}' has the shards {', '.join(found.parts)}", status=404)
    return await _view(city, found, tick, {**await city.log.cut(), "CAT": city.catalog.applied()}, shard)


@router.get("/decisions/{decision}/state")
async def decision_state(request: Request, decision: str) -> Response:
    """The state that went into a decision (for replay); empty when the practice started with it."""
    entry = await _turn(request, decision)
    await asyncio.to_thread(told_to(request).must_tell_all, entry["practice"])
    name = entry["state_in"]
    data = await asyncio.to_thread(city_of(request).blobs.get, name) if name else b""
    return Response(data, media_type="application/octet-stream")


@router.post("/decisions/{decision}/commands/{number}/{verdict}")
async def judge_command(request: Request, decision: str, number: int, verdict: str, wish: Why) -> dict[str, str]:
    """Approve or refuse a command that waits for a person."""
    if verdict not in ("approve", "refuse"):
        raise InputRefused("use approve or refuse", status=404)
    city, refuse = city_of(request), verdict == "refuse"
    now, who = city.clock.now(), _steers(request, decision.partition(".")[0], wish)
    await approve(
        city.ledger, city.turns.guard, decision, number,
        who=who, why=wish.why, refuse=refuse, now=now, closed=city.watch.closed,
    )  # fmt: skip
    return {"decision": decision, "verdict": verdict}


@router.get("/notices")
async def notices(request: Request, limit: Limit = 50) -> Any:
    """The last notices, newest first."""
    query = select(NOTICES).where(await asyncio.to_thread(told_to(request).notices))
    query = query.order_by(NOTICES.c.at.desc(), NOTICES.c.decision, NOTICES.c.number).limit(limit)
    return await asyncio.to_thread(city_of(request).ledger.projection.rows, query)


@router.get("/incidents")
async def incidents(request: Request, limit: Limit = 50) -> Any:
    """When practices were held, broke, and resumed; newest first."""
    query = select(INCIDENTS).order_by(INCIDENTS.c.seq.desc()).limit(limit)
    rows = await asyncio.to_thread(city_of(request).ledger.projection.rows, query)
    return await asyncio.to_thread(told_to(request).incidents, rows)


@router.get("/latest")
async def latest(request: Request, kind: str, property: str) -> Any:
    """The latest reading of a property of every thing of a kind, as GeoJSON."""
    city = city_of(request)
    await city.read_barrier()
    return await asyncio.to_thread(latest_of_kind, city, reach_of(request), kind, property)


@router.get("/series")
async def series(
    request: Request,
    kind: str,
    property: str,
    start: Annotated[AwareDatetime, Query(alias="from")],
    end: Annotated[AwareDatetime, Query(alias="to")],
    limit: Annotated[int, Query(ge=1, le=200_000)] = 10_000,
    raw: bool = False,
) -> Any:
    """Readings of a property of every thing of a kind between two instants, in columns; the earliest ``limit``.

    ``raw`` ones are as they came, not calibrated.
    """
    city = city_of(request)
    await city.read_barrier()
    span = (from_datetime(start), from_datetime(end))
    return await asyncio.to_thread(series_of_kind, city, reach_of(request), kind, property, *span, limit, raw)


@router.get("/aggregate")
async def aggregate(
    request: Request,
    property: str,
    start: Annotated[AwareDatetime, Query(alias="from")],
    end: Annotated[AwareDatetime, Query(alias="to")],
    kind: str = "",
    bucket: Literal["15m", "1h", "1d"] = "1h",
    by: Literal["stream", "thing", "city"] = "city",
    thing: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Any:
    """Count, mean, least and greatest reading of a property in equal steps of time (days are days of UTC), in columns.

    Of every thing of a kind, or of one thing; ``sources`` says which table of the history the figures come from.
    """
    city = city_of(request)
    await city.read_barrier()
    span = (from_datetime(start), from_datetime(end))
    return await asyncio.to_thread(aggregate_of_kind, city, reach_of(request), kind, property, *span, bucket, by, thing)


@router.get("/ledger")
async def ledger(request: Request, after: Annotated[int, Query(ge=0)] = 0) -> StreamingResponse:
    """The ledger as it was written, one JSON object a line: its sequence and its raw text."""
    record = city_of(request).ledger

    async def lines() -> AsyncIterator[bytes]:
        async for sequence, raw in record.read(after):
            yield msgspec.json.encode({"sequence": sequence, "raw": raw.decode()}) + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def told_to(request: Request) -> Told:
    """What of the record the caller is told."""
    return Told(city_of(request), caller_of(request))


def reach_of(request: Request) -> Reach:
    """The streams that the caller may read."""
    return city_of(request).rights.readable(caller_of(request))


def _steers(request: Request, practice: str, wish: Why) -> str:
    """Who steers a practice; raises NotAllowed for a caller who may not."""
    caller = caller_of(request)
    if not caller.may_steer(practice):
        raise NotAllowed(caller, f"a token for the practice '{practice}'")
    return caller.signed(wish.who)


async def _view(city: City, practice: Practice, tick: int, cut: dict[str, int], shard: str) -> Response:
    await city.reach(cut)
    await asyncio.to_thread(require_raw, practice, tick, city.store)
    view = await asyncio.to_thread(build_view, practice, tick, cut, city.catalog, city.store, city.turns.layer, shard)
    buffer = io.BytesIO()
    await asyncio.to_thread(write_view, view, buffer)
    return Response(buffer.getvalue(), media_type="application/octet-stream")


async def _turn(request: Request, decision: str) -> dict[str, Any]:
    city = city_of(request)
    query = select(DECISIONS.c.seq).where(DECISIONS.c.id == decision)
    rows = await asyncio.to_thread(city.ledger.projection.rows, query)
    if not rows:
        raise InputRefused(f"no decision '{decision}' is on the record", status=404)
    entry = await city.ledger.entry(rows[0]["seq"])
    if entry["type"] == "wish":
        raise InputRefused(f"{entry['who']} asked for '{decision}': it was made from no View and no state", status=409)
    return entry
