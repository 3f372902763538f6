"""The state of the city in numbers, for the interface and the first page."""

import asyncio
import os
from dataclasses import asdict
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import func, select

from civium.city import City
from civium.core import MICROSECONDS, InputRefused, Mandate, to_datetime
from civium.core.observations import shards_in
from civium.core.rights import Caller
from civium.core.view import column
from civium.engines.aggregate import Whole
from civium.engines.catalog.tables import THINGS
from civium.engines.rights import Reach
from civium.engines.rollups import DAY, QUARTER_HOUR
from civium.ledger.projection import DECISIONS
from civium.sources.feeds.attend import Attended
from civium.twin.census import LiveMoment
from civium.web.alarm_sight import AlarmSight
from civium.web.rules import watches
from civium.web.told import Told

_STEPS = {"15m": QUARTER_HOUR, "1h": 4 * QUARTER_HOUR, "1d": DAY}
_MOST_FIGURES = 200_000
_SERIES = """
SELECT w.thing, o.time, o."until", o.value FROM {} o JOIN wanted w ON o.stream = w.stream
WHERE o.time >= make_timestamp(?) AND o.time <= make_timestamp(?) AND o.value IS NOT NULL
ORDER BY o.time, w.thing, o.id LIMIT ?
"""


_FOREIGN = ("edge", "source")  # whose names are those of other systems
NOT_TOLD = "what it is, is told to staff"
_GROUPS = ("writer", "turn", "outbox", "announcer", "alarms", "mqtt", "edge", "source", "clock", "upkeep")


async def city_state(city: City, caller: Caller) -> dict[str, Any]:
    """Clock, things and streams, doors, log, store, process and troubles, to a caller who may not know every stream."""
    counts = await asyncio.to_thread(counts_of, city, city.rights.readable(caller))
    settings = await asyncio.to_thread(city.catalog.settings, city.catalog.applied())
    edges = [edge.door for edge in city.edges.values()]
    return {
        "name": city.settings.name,
        "now": to_datetime(city.clock.now()).isoformat(),
        "clock": city.settings.clock.source,
        "up_s": round((city.wall.now() - city.started) / MICROSECONDS, 1),
        "ticks": city.ticks,
        "last_tick": to_datetime(city.clock.last).isoformat() if city.clock.last else None,
        "advise_only": settings.advise_only,
        "things": await asyncio.to_thread(_things_by_kind, city, caller),
        **dict(zip(("streams", "streams_heard", "observations"), counts, strict=True)),
        "accepted": city.intake.accepted + city.mqtt.accepted + sum(door.accepted for door in edges),
        "refused": city.intake.refused + city.mqtt.refused + sum(door.refused for door in edges) + city.sources.refused,
        "dead_letters": sum((await city.letters.counts()).values()),
        "log": {
            "last": sum(shards_in(await city.log.cut()).values()),
            "applied": sum(city.stored.at(shard) for shard in range(city.log.shards)),
            "restarts": sum(log.server.restarts for log in (city.log, city.devices) if log and log.server),
        },
        "store": {
            "commits": sum(writer.commits for writer in city.writers.values()),
            "files": await asyncio.to_thread(city.store.files),
            "upkeep": asdict(city.keeper.done),
        },
        "doors": {
            "mqtt": f"{city.public.mqtt.host}:{city.public.mqtt.port}",
            "websocket": "{}:{}".format(*city.public.server.websocket) if city.public.server else "",
        },
        "alarms": len(await asyncio.to_thread(AlarmSight(city, caller).open)) if caller.everywhere else None,
        "edges": edges_of(city) if watches(caller) else {},
        "refusals": city.doorkeeper.refusals.told() if watches(caller) else None,
        "sources": {name: one.state() for name, one in sources_of(city).items()} if watches(caller) else {},
        "roles": sorted(city.roles),
        "work": work_of(city, caller),
        "memory_mb": round(_memory_bytes() / 1e6),
        "troubles": troubles_told(city, caller),
    }


def work_of(city: City, caller: Caller) -> dict[str, list[str]]:
    """What this process of the city does at this moment, by group; strangers are not told of whom it takes."""
    told = _GROUPS if watches(caller) else [group for group in _GROUPS if group not in _FOREIGN]
    return {group: city.leases.held(group) for group in told}


def edges_of(city: City) -> dict[str, str]:
    """The edges that this process fetches from: empty, or why nothing is fetched at this moment."""
    mine = {name: city.edges[name] for name in city.leases.held("edge")}
    return {name: edge.away or str(edge.door.failure or "") for name, edge in mine.items()}


def sources_of(city: City) -> dict[str, Attended]:
    """The sources that this process attends to: those it fetches from, and those that post to any door."""
    mine = city.leases.held("source")
    return {name: one for name, one in city.sources.by_name.items() if one.posted or name in mine}


def troubles_of(city: City) -> dict[str, str]:
    """What does not go well in this process."""
    writers = {f"writer {shard}": str(why) for shard, why in city.stored.failure.items()}
    others = {"outbox": city.outbox.trouble, "mqtt": city.mqtt.trouble, "announcer": city.announcer.trouble}
    return {**city.troubles, **writers, **{name: trouble for name, trouble in others.items() if trouble}}


def troubles_told(city: City, caller: Caller) -> dict[str, str]:
    """The same for a caller: their words name hosts, people on call and other systems, and are for staff."""
    troubles = troubles_of(city)
    if watches(caller):
        return troubles
    foreign = {name: name.partition(" ")[0] for name in troubles if name.startswith(_FOREIGN)}
    return {foreign.get(name, name): NOT_TOLD for name in troubles}


async def practices_state(city: City, told: Told) -> list[dict[str, Any]]:
    """Every installed practice, and the broken ones with why; ``told`` says which of their troubles are told."""
    settings = await asyncio.to_thread(city.catalog.settings, city.catalog.applied())
    rows = []
    for practice in city.turns.practices.found.values():
        projection = city.ledger.projection
        last = select(func.count().label("n"), func.max(DECISIONS.c.tick).label("tick"))
        (decided,) = await asyncio.to_thread(projection.rows, last.where(DECISIONS.c.practice == practice.id))
        register = city.turns.register(practice)
        rows.append(
            {
                "id": practice.id,
                "title": practice.title,
                "purpose": register.get("purpose", ""),
                "tier": practice.tier.name.lower(),
                "every_s": practice.every,
                "mandate": settings.mandates.get(practice.id, str(Mandate.ADVISE)),
                "params": dict(settings.parameters.get(practice.id, {})),
                "trouble": await asyncio.to_thread(told.trouble, practice.id, city.turns.trouble_of(practice.id)),
                "decisions": decided["n"],
                "last": to_datetime(decided["tick"]).isoformat() if decided["tick"] else None,
                "commands": await asyncio.to_thread(projection.counts, practice.id),
                "timing_ms": {k: round(v, 1) for k, v in city.turns.last_turn.get(practice.id, {}).items()},
            }
        )
    broken = [
        {"id": name, "trouble": f"it cannot be loaded: {why}"} for name, why in city.turns.practices.broken.items()
    ]
    return rows + broken


def latest_of_kind(city: City, reach: Reach, kind: str, property: str) -> dict[str, Any]:
    """Latest readings of a property of every thing of a kind, as a GeoJSON FeatureCollection; values in SI."""
    at = city.catalog.applied()
    streams = _readable(city, reach, property, kind, at)
    things = city.catalog.things_of([kind], at)
    where = {int(t): i for i, t in enumerate(column(things, "thing"))}
    identity, time, value = city.follower.live.latest(column(streams, "stream").astype(np.int64))
    lon, lat = column(things, "lon"), column(things, "lat")
    names = things.column("name").to_pylist()
    features = []
    for n, thing in enumerate(streams.column("thing").to_pylist()):
        i = where.get(thing)  # with no kind asked, streams of other things are among these
        if i is None or identity[n] == 0 or np.isnan(lon[i]):
            continue
        properties = {
            "thing": thing,
            "name": names[i],
            "value": None if np.isnan(value[n]) else float(value[n]),
            "time": to_datetime(int(time[n])).isoformat(),
            "unit": streams.column("unit")[n].as_py(),
        }
        point = {"type": "Point", "coordinates": [float(lon[i]), float(lat[i])]}
        features.append({"type": "Feature", "geometry": point, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def series_of_kind(
    city: City, reach: Reach, kind: str, property: str, first: int, last: int, limit: int, raw: bool = False
) -> dict[str, Any]:
    """Readings of a property of every thing of a kind, ``first`` to ``last`` [us since epoch], by time; values in SI.

    At most ``limit`` of them, the earliest; ``more`` says whether there are others.
    """
    at = city.catalog.applied()
    streams = _readable(city, reach, property, kind, at)
    wanted = streams.select(["stream", "thing"])
    sql = _SERIES.format("raw_observations" if raw else "observations")
    rows = city.store.query(sql, [first, last, limit + 1], {"wanted": wanted}) if wanted.num_rows else None
    told: dict[str, list[Any]] = rows.slice(0, limit).to_pydict() if rows is not None else {}
    with city.catalog.engine.connect() as connection:
        query = select(THINGS.c.id, THINGS.c.key, THINGS.c.name).where(THINGS.c.kind == kind).order_by(THINGS.c.id)
        mine = set(wanted.column("thing").to_pylist())
        things = [dict(row) for row in connection.execute(query).mappings() if row["id"] in mine]
    return {
        "kind": kind,
        "property": property,
        "unit": streams.column("unit")[0].as_py() if streams.num_rows else "",
        "things": things,
        "thing": told.get("thing", []),
        "time": [when.isoformat() for when in told.get("time", [])],
        "until": [when and when.isoformat() for when in told.get("until", [])],
        "value": told.get("value", []),
        "more": rows is not None and rows.num_rows > limit,
    }


def aggregate_of_kind(
    city: City,
    reach: Reach,
    kind: str,
    property: str,
    start: int,
    end: int,
    bucket: str,
    by: str,
    thing: int | None,
) -> dict[str, Any]:
    """Figures of a property of things of a kind ("" = any) or of one thing, in SI: see ``engines.aggregate``.

    Raises InputRefused where there would be more than 200,000 figures.
    """
    step = _STEPS[bucket]
    streams = _readable(city, reach, property, kind, city.catalog.applied())
    if thing is not None:
        streams = streams.filter(pc.equal(streams.column("thing"), thing))
    ids = column(streams, "stream").astype(np.int64)
    groups = {"stream": ids, "thing": column(streams, "thing").astype(np.int64), "city": np.zeros_like(ids)}[by]
    figures = len(np.unique(groups)) * max(-(-(end - start) // step), 0)
    if figures > _MOST_FIGURES:
        raise InputRefused(
            f"this asks for {figures:,} figures, at most {_MOST_FIGURES:,} are given: "
            "ask for longer steps, a shorter span, one thing, or by=city",
            status=413,
        )
    properties = np.unique(city.catalog.streams.property[ids]).tolist()
    # What was rolled up for the whole city is by the streams of that time.
    alike = by == "city" and thing is None and reach.whole and city.catalog.regrouped().isdisjoint(properties)
    whole = Whole(properties, kind) if alike else None
    answer = city.store.aggregate(pa.table({"stream": ids, "group": groups}), start, end, step, whole)
    told = answer.rows.to_pydict()
    return {
        "kind": kind,
        "property": property,
        "unit": streams.column("unit")[0].as_py() if streams.num_rows else "",
        "bucket": bucket,
        **({} if by == "city" else {by: told["group"]}),
        "start": [when.replace(tzinfo=UTC).isoformat() for when in told["start"]],
        **{name: told[name] for name in ("n", "mean", "low", "high")},
        **({"last": told["last"]} if by == "stream" else {}),
        "sources": [
            {"table": s.table, "from": to_datetime(s.start).isoformat(), "to": to_datetime(s.end).isoformat()}
            for s in answer.sources
        ],
    }


def _readable(city: City, reach: Reach, property: str, kind: str, at: int) -> pa.Table:
    """The streams of a property that may be read, as ``Catalog.streams_of`` tells them."""
    streams = city.catalog.streams_of(property, kind, at)
    return streams if reach.whole else streams.filter(reach.among(column(streams, "stream").astype(np.int64)))


def counts_of(city: City, reach: Reach) -> tuple[int, int, int]:
    """How many streams a caller reaches, how many of them have a reading, and their Observations."""
    live = city.follower.live
    if reach.whole:
        return city.catalog.streams.count, live.heard(reach.mask), live.rows
    rows = LiveMoment(live, city.follower.census).total(np.flatnonzero(reach.mask))
    return int(reach.mask.sum()), live.heard(reach.mask), rows


def _things_by_kind(city: City, caller: Caller) -> dict[str, int]:
    return {kind or "thing": count for kind, count in things_of_kinds(city, caller).items()}


def things_of_kinds(city: City, caller: Caller) -> dict[str, int]:
    """How many things of each kind there are, without those all of whose streams are hidden."""
    kinds, gone = city.catalog.kinds, city.rights.hidden_things(caller)
    counts = np.bincount(kinds.of[gone[gone < len(kinds.of)]], minlength=len(kinds.codes) + 1)
    hidden = {kind: int(counts[code]) for kind, code in kinds.codes.items() if code < len(counts)}
    with city.catalog.engine.connect() as connection:
        rows = connection.execute(select(THINGS.c.kind, func.count()).group_by(THINGS.c.kind).order_by(THINGS.c.kind))
        told = [(kind, count - hidden.get(kind, 0)) for kind, count in rows]
        return {str(kind): int(count) for kind, count in told if count > 0}


def _memory_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
