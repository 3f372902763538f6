"""What needs a person now, gathered from the whole city; each list is bounded and says how much there is in all."""

import asyncio
import json
from typing import Any

import numpy as np
from sqlalchemy import func, select

from civium.city import City
from civium.core import MICROSECONDS
from civium.engines.catalog.tables import ACTUATORS, DATASTREAMS, OBSERVED_PROPERTIES, THINGS
from civium.engines.rights import Reach
from civium.ledger.projection import COMMANDS, DECISIONS, INCIDENTS, NOTICES
from civium.web.moments import notice_of
from civium.web.rules import watches
from civium.web.state import counts_of, practices_state, sources_of, things_of_kinds, troubles_told
from civium.web.told import Told

SILENT_S = 3600.0  # a stream that told nothing for so long is shown, however seldom it is meant to speak
_MOST = 50


async def desk_of(city: City, told: Told) -> dict[str, Any]:
    """The desk; see ``GET /api/desk``. Instants are in ms since epoch."""
    settings = await asyncio.to_thread(city.catalog.settings, city.catalog.applied())
    practices = await practices_state(city, told)
    return {
        "now": city.clock.now() // 1000,
        "name": city.settings.name,
        "advise_only": settings.advise_only,
        "waiting": await asyncio.to_thread(_waiting, city, told),
        "troubles": {
            **troubles_told(city, told.caller),
            **{f"source {n}": s.trouble for n, s in sources_of(city).items() if s.trouble and watches(told.caller)},
        },
        "practices": [p for p in practices if p["trouble"]],
        "silent": await asyncio.to_thread(_silent, city, told.reach),
        "dead_letters": sum((await city.letters.counts()).values()),
        "notices": await asyncio.to_thread(_notices, city, told),
        "incidents": await asyncio.to_thread(lambda: told.incidents(_incidents(city))),
        "figures": await asyncio.to_thread(_figures, city, told),
    }


def _waiting(city: City, told: Told) -> dict[str, Any]:
    """Commands that a person must approve or refuse before their time is over, the most urgent first."""
    now = city.clock.now()
    open_ = (COMMANDS.c.status == "pending", COMMANDS.c.until > now)
    asked = city.ledger.projection.rows
    (count,) = asked(select(func.count().label("n")).select_from(COMMANDS).where(*open_))
    found = asked(
        select(COMMANDS, DECISIONS.c.because.label("reason"))
        .join(DECISIONS, DECISIONS.c.id == COMMANDS.c.decision)
        .where(*open_)
        .order_by(COMMANDS.c.tier.desc(), COMMANDS.c.until)
        .limit(_MOST)
    )
    with city.catalog.engine.connect() as connection:
        query = (
            select(
                ACTUATORS.c.id,
                ACTUATORS.c.name,
                ACTUATORS.c.facts,
                THINGS.c.id.label("thing"),
                THINGS.c.name.label("of"),
            )
            .join(THINGS, THINGS.c.id == ACTUATORS.c.thing)
            .where(ACTUATORS.c.id.in_([one["actuator"] for one in found]))
        )
        rows = [dict(row) for row in connection.execute(query).mappings()]
    names = {row["id"]: row for row in rows if told.actuator(row["thing"])}
    listed = [
        {
            "decision": one["decision"],
            "number": one["number"],
            "practice": one["practice"],
            "value": one["value"],
            "tier": json.loads(one["wish"])["tier"],
            "until": one["until"] // 1000,
            "created": one["created"] // 1000,
            "why": told.why(one["practice"], json.loads(one["wish"]).get("because") or one["reason"]),
            "actuator": names.get(one["actuator"], {}).get("name", ""),
            "capability": one["actuator"],
            "facts": json.loads(names.get(one["actuator"], {}).get("facts", "{}")),
            "thing": names.get(one["actuator"], {}).get("thing"),
            "of": names.get(one["actuator"], {}).get("of", ""),
        }
        for one in found
    ]
    return {"count": count["n"], "commands": listed}


def _silent(city: City, reach: Reach) -> dict[str, Any]:
    """Streams that were heard once and told nothing for an hour, the longest silent first."""
    live, index = city.follower.live, city.catalog.streams
    size = min(len(live.id), len(index.exists))
    limit = city.clock.now() - int(SILENT_S * MICROSECONDS)
    told_at = np.maximum(live.time[:size], live.made[:size])  # an interval begins long before it is told
    silent = np.flatnonzero(index.exists[:size] & (live.id[:size] > 0) & (told_at < limit))
    silent = silent[reach.among(silent)]
    longest = silent[np.argsort(told_at[silent], kind="stable")][:_MOST]
    with city.catalog.engine.connect() as connection:
        query = (
            select(
                DATASTREAMS.c.id, OBSERVED_PROPERTIES.c.name.label("property"), THINGS.c.id.label("thing"),
                THINGS.c.name, THINGS.c.kind,
            )
            .join(THINGS, THINGS.c.id == DATASTREAMS.c.thing)
            .join(OBSERVED_PROPERTIES, OBSERVED_PROPERTIES.c.id == DATASTREAMS.c.property)
            .where(DATASTREAMS.c.id.in_(longest.tolist()))
        )  # fmt: skip
        told = {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    streams = [{**told[s], "time": int(told_at[s]) // 1000} for s in longest.tolist() if s in told]
    there = np.flatnonzero(index.exists)
    there = there[reach.among(there)]
    never = int((there >= size).sum() + (live.id[there[there < size]] == 0).sum())
    return {"count": len(silent), "streams": streams, "never_heard": never}


def _notices(city: City, told: Told) -> list[dict[str, Any]]:
    order = (NOTICES.c.at.desc(), NOTICES.c.decision, NOTICES.c.number)
    return [
        notice_of(row)
        for row in city.ledger.projection.rows(select(NOTICES).where(told.notices()).order_by(*order).limit(_MOST))
    ]


def _incidents(city: City) -> list[dict[str, Any]]:
    """The last time that each practice was held, broke or went on."""
    rows = city.ledger.projection.rows(select(INCIDENTS).order_by(INCIDENTS.c.seq.desc()).limit(10))
    return [{**row, "at": row["at"] // 1000} for row in rows]


def _figures(city: City, told: Told) -> dict[str, Any]:
    """The city in a few numbers."""
    streams, heard, rows = counts_of(city, told.reach)
    (decided,) = city.ledger.projection.rows(select(func.count().label("n")).select_from(DECISIONS))
    return {
        "things": sum(things_of_kinds(city, told.caller).values()),
        "streams": streams,
        "heard": heard,
        "observations": rows,
        "decisions": decided["n"],
    }
