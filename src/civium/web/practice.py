"""One practice whole, for the console: register entry, freshness of its inputs, parameters, mandates, incidents."""

from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import select

from civium.city import City
from civium.core import MICROSECONDS, InputRefused, Practice
from civium.core.view import column
from civium.engines.catalog.tables import MANDATES
from civium.engines.rights import Reach
from civium.ledger.projection import INCIDENTS
from civium.web.told import Told

_LAST = 10


def inputs_of(city: City, practice: Practice, reach: Reach) -> list[dict[str, Any]]:
    """What a practice needs of observations: how many streams of those that the caller reaches there are, how many are
    fresh, the newest [ms]."""
    told = []
    now = city.clock.now()
    for need in practice.needs:
        if need.layer:
            continue
        streams = city.catalog.streams_of(need.property, need.kind, city.catalog.applied())
        ids = column(streams, "stream").astype(np.int64)
        ids = ids[reach.among(ids)]
        identity, time, _ = city.follower.live.latest(ids)
        heard = identity > 0
        told.append(
            {
                "property": need.property,
                "kind": need.kind,
                "unit": need.unit,
                "window_s": need.window,
                "stale_s": need.stale,
                "required": need.required,
                "streams": len(ids),
                "heard": int(heard.sum()),
                "fresh": int((heard & (time > now - int(need.stale * MICROSECONDS))).sum()),
                "newest": int(time[heard].max()) // 1000 if heard.any() else None,
            }
        )
    return told


def practice_of(city: City, told: Told, practice: str) -> dict[str, Any]:
    """See ``GET /api/practices/{practice}``; raises InputRefused (404) when it is not installed."""
    found = city.turns.practices.found.get(practice)
    if found is None:
        raise InputRefused(f"no practice '{practice}' is installed", status=404)
    settings = city.catalog.settings(city.catalog.applied())
    changed = settings.parameters.get(practice, {})
    defaults = asdict(found.params())
    with city.catalog.engine.connect() as connection:
        query = select(MANDATES).where(MANDATES.c.practice == practice).order_by(MANDATES.c.seq.desc()).limit(_LAST)
        mandates = [dict(row) for row in connection.execute(query).mappings()]
    query = select(INCIDENTS).where(INCIDENTS.c.practice == practice).order_by(INCIDENTS.c.seq.desc()).limit(_LAST)
    return {
        "register": {name: text for name, text in city.turns.register(found).items() if isinstance(text, str)},
        "needs": inputs_of(city, found, told.reach),
        "params": [{"name": n, "value": changed.get(n, of), "default": of} for n, of in defaults.items()],
        "mandates": [{**row, "who": told.person(row["who"]), "at": row["at"] // 1000} for row in mandates],
        "incidents": [{**row, "at": row["at"] // 1000} for row in told.incidents(city.ledger.projection.rows(query))],
    }
