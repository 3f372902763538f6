"""What happens in the city, as server-sent events: new values, ticks of the clock, decisions.

Nothing is queued for a listener. Each time it has taken what was sent, it is sent the latest value of every stream that
moved since: one that is slow gets fewer, newer values. An event's id is how far it reaches (`shard.shard;ledger`), so
that a link that broke goes on from there.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import Field
from sqlalchemy import select
from starlette.responses import StreamingResponse

from civium.city import City
from civium.core import InputRefused
from civium.core.observations import end_of, pack
from civium.core.rights import Caller, Role
from civium.core.view import column
from civium.ledger.projection import DECISIONS
from civium.web.doors import caller_of, city_of
from civium.web.state import troubles_of
from civium.web.told import Told

router = APIRouter(prefix="/api", tags=["console"])
MOST_LISTENERS = 200
MOST_STRANGERS = 100  # of them: who has a token still finds a place
_EVERY_S = 0.5
_MOST_KINDS = 20
_MOST_DECISIONS = 30
_BEAT = 20  # rounds without news until a tick is sent anyway, so that a broken link is noticed


class Listener:
    """One who listens: which streams, and how far it was told."""

    def __init__(self, city: City, caller: Caller, wanted: list[tuple[str, str]], things: list[int], last: str) -> None:
        self.caller = caller
        self._city, self._wanted, self._things = city, wanted, things
        self._shards = city.log.shards
        self._told = dict.fromkeys(range(self._shards), 0)
        self._record = city.ledger.projection.applied
        self._streams: NDArray[np.int64] = np.zeros(0, np.int64)
        self._catalogue = -1
        self._tick = -1
        self._go_on(last)

    def news(self) -> list[bytes]:
        """The events since the last call, ready to send."""
        events = []
        upto = {shard: self._city.follower.seen.at(shard) for shard in range(self._shards)}
        values = self._values()
        record = self._city.ledger.projection.applied
        decisions = self._decisions(record) if record > self._record else []
        self._told, self._record = upto, record
        if values:
            events.append(self._event("values", values))
        if decisions:
            events.append(self._event("decisions", decisions))
        if self._city.clock.last != self._tick:
            self._tick = self._city.clock.last
            events.append(self.tick())
        return events

    def tick(self) -> bytes:
        """The city's time [ms since epoch] and how many troubles it has."""
        return self._event("tick", {"now": self._city.clock.now() // 1000, "troubles": len(troubles_of(self._city))})

    def _go_on(self, last: str) -> None:
        """Take up where an event id says; an id of another make begins anew."""
        try:
            shards, _, record = last.partition(";")
            told = [int(one) for one in shards.split(".")]
            if len(told) == self._shards:
                self._told = dict(enumerate(told))
                self._record = min(int(record), self._record)
        except ValueError:
            return

    def _values(self) -> dict[str, list[Any]]:
        """The latest values of the streams that were heard since, in columns."""
        at = self._city.catalog.applied()
        if at != self._catalogue:
            self._catalogue, self._streams = at, self._chosen(at)
        identity, time, value = self._city.follower.live.latest(self._streams)
        moved = np.zeros(len(identity), bool)
        for shard, told in self._told.items():
            after = end_of(shard, told) if told else pack(shard, 0)
            moved |= (identity > after) & (identity < pack(shard + 1, 0))
        moved &= ~np.isnan(value)
        if not moved.any():
            return {}
        return {
            "s": self._streams[moved].tolist(),
            "v": [float(f"{one:.6g}") for one in value[moved].tolist()],
            "t": (time[moved] // 1000).tolist(),
        }

    def _chosen(self, at: int) -> NDArray[np.int64]:
        streams = [column(self._city.catalog.streams_of(p, k, at), "stream") for k, p in self._wanted]
        if self._things:
            index = self._city.catalog.streams
            streams.append(np.flatnonzero(np.isin(index.thing, self._things) & index.exists))
        chosen = np.unique(np.concatenate([np.zeros(0, np.int64), *streams])).astype(np.int64)
        return chosen[self._city.rights.readable(self.caller).among(chosen)]

    def _decisions(self, upto: int) -> list[dict[str, Any]]:
        query = (
            select(DECISIONS)
            .where(DECISIONS.c.seq > self._record, DECISIONS.c.seq <= upto)
            .order_by(DECISIONS.c.seq.desc())
            .limit(_MOST_DECISIONS)
        )
        return Told(self._city, self.caller).rows(self._city.ledger.projection.rows(query))

    def _event(self, name: str, data: Any) -> bytes:
        upto = ".".join(str(self._told[shard]) for shard in range(self._shards))
        return b"event: %b\nid: %b\ndata: %b\n\n" % (
            name.encode(), f"{upto};{self._record}".encode(), msgspec.json.encode(data),
        )  # fmt: skip


@router.get("/events", include_in_schema=False)  # it has no end, which no description of an interface can say
async def events(
    request: Request,
    of: Annotated[list[str] | None, Query(max_length=_MOST_KINDS)] = None,
    thing: Annotated[list[Annotated[int, Field(ge=0, le=2**53)]] | None, Query(max_length=_MOST_KINDS)] = None,
) -> StreamingResponse:
    """Server-sent events: `values` of the streams `of=kind:property` and of some things, `decisions`, and `tick`s."""
    city = city_of(request)
    listeners: set[Listener] = request.app.state.__dict__.setdefault("listeners", set())
    stranger = caller_of(request).role is Role.PUBLIC
    strangers = sum(one.caller.role is Role.PUBLIC for one in listeners)
    if len(listeners) >= MOST_LISTENERS or (stranger and strangers >= MOST_STRANGERS):
        raise InputRefused(f"{len(listeners)} listen already; try again later", status=503)
    last = request.headers.get("last-event-id") or request.query_params.get("after", "")
    listener = Listener(city, caller_of(request), list(_pairs(of or [])), thing or [], last)

    async def sent() -> AsyncIterator[bytes]:
        listeners.add(listener)
        try:
            yield b"retry: 1500\n\n"
            quiet = 0
            while True:
                if not city.rights.lives(listener.caller):
                    return  # logged out, revoked or expired meanwhile
                told = await asyncio.to_thread(listener.news)
                quiet = 0 if told else quiet + 1
                if quiet >= _BEAT:
                    told, quiet = [listener.tick()], 0
                for event in told:
                    yield event
                await asyncio.sleep(_EVERY_S)
        finally:
            listeners.discard(listener)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(sent(), media_type="text/event-stream", headers=headers)


def _pairs(wanted: Iterable[str]) -> Iterable[tuple[str, str]]:
    for one in wanted:
        kind, colon, property = one.partition(":")
        if not colon:
            raise InputRefused(f"of={one[:60]}: write kind:property")
        yield kind, property
