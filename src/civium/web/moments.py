"""What the console draws and tells of the things of the city now; values in SI."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Label, func, or_, select

from civium.city import City
from civium.core import InputRefused
from civium.core.rights import Caller
from civium.core.view import column
from civium.engines.catalog.tables import (
    ACTUATORS,
    DATASTREAMS,
    LOCATIONS,
    OBSERVED_PROPERTIES,
    SENSORS,
    THING_LOCATIONS,
    THINGS,
)
from civium.engines.rights import Reach, readable_sql, thing_sql
from civium.ledger.projection import COMMANDS, DECISIONS, NOTICES
from civium.twin.model.layers import layer_names, read_summary
from civium.web import relief
from civium.web.dots import LOOKS
from civium.web.moving import positions_of
from civium.web.past import degrees, short, streams_of
from civium.web.state import things_of_kinds
from civium.web.tiles import LEAST_ZOOM, MOST_ZOOM, version_of
from civium.web.told import Told

MOST_NAMED = 20_000  # things of a kind whose names are told with their places
_LAST = 20
_MAIN = {look.kind: look.property for look in LOOKS}


def map_of(city: City, told: Told) -> dict[str, Any]:
    """What a map needs to begin: the city model, where it lies, and the kinds of things with their properties."""
    twin = city.folder / "twin"
    version = version_of(twin)
    model = read_summary(twin) if version else None
    kinds = _kinds(city, told.caller)
    return {
        "name": city.settings.name,
        "bounds": model.bounds if model else _bounds(city, told.caller),
        "centre": model.centre if model else None,
        "layers": layer_names(twin) if version else [],
        "attribution": [" ".join(w for w in line.split() if "://" not in w).rstrip(",") for line in model.attribution]
        if model
        else [],
        "tiles": f"/tiles/{{z}}/{{x}}/{{y}}.mvt?v={version}" if version else None,
        "zooms": [LEAST_ZOOM, MOST_ZOOM],
        "terrain": {
            "tiles": f"/tiles/terrain/{{z}}/{{x}}/{{y}}.png?v={version}",
            "zooms": [relief.LEAST_ZOOM, relief.MOST_ZOOM],
        }
        if version and relief.LAYER in layer_names(twin)
        else None,
        "kinds": kinds,
    }


def places_of(city: City, told: Told, kind: str) -> dict[str, Any]:
    """Where the things of a kind are, in columns; their names too where they are not too many.

    ``ground`` is the height [m] of the ground below each, where the city model has a terrain; ``moves`` says that
    they tell where they are, so that one should ask again: one that is silent and was registered without a place is
    among them, and nowhere (None).
    """
    things = city.catalog.things_of([kind], city.catalog.applied())
    lon, lat = column(things, "lon").copy(), column(things, "lat").copy()
    identity = column(things, "thing").astype(np.int64)
    tellers, which, *where_now = positions_of(city, told.reach, kind)
    row = np.searchsorted(identity, which)  # things are sorted
    known = (row < len(identity)) & np.isin(which, identity)
    lon[row[known]], lat[row[known]] = (now[known] for now in where_now)
    placed = ~np.isnan(lon) | np.isin(identity, tellers)
    placed &= ~np.isin(identity, city.rights.hidden_things(told.caller))
    names = things.filter(pa.array(placed)).column("name").to_pylist() if placed.sum() <= MOST_NAMED else None
    lon, lat = lon[placed], lat[placed]
    where = {"lon": degrees(lon), "lat": degrees(lat), "ground": _ground(city, lon, lat)}
    return {"kind": kind, "thing": identity[placed].tolist(), **where, "name": names, "moves": len(tellers) > 0}


def _ground(city: City, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[float] | None:
    twin = city.folder / "twin"
    version = version_of(twin)
    if not version or relief.LAYER not in layer_names(twin):
        return None
    heights: list[float] = np.round(relief.relief_of(twin, version).heights(lon, lat), 1).tolist()
    return heights


def values_of(city: City, reach: Reach, kind: str, property: str) -> dict[str, Any]:
    """The latest value of a property of each thing of a kind, in columns; times [ms since epoch]."""
    streams = streams_of(city, reach, kind, property)
    ids = column(streams, "stream").astype(np.int64)
    identity, time, value = city.follower.live.latest(ids)
    heard = (identity > 0) & ~np.isnan(value)
    return {
        "kind": kind,
        "property": property,
        "unit": streams.column("unit")[0].as_py() if streams.num_rows else "",
        "stream": ids[heard].tolist(),
        "thing": column(streams, "thing").astype(np.int64)[heard].tolist(),
        "value": short(value[heard]),
        "time": (time[heard] // 1000).tolist(),
    }


def thing_of(city: City, told: Told, thing: int) -> dict[str, Any]:
    """All that is known of a thing: facts, streams with their latest reading, actuators and what was asked of them."""
    with city.catalog.engine.connect() as connection:
        row = (
            connection.execute(
                select(THINGS, *_here()).where(THINGS.c.id == thing, thing_sql(told.caller, THINGS.c.id))
            )
            .mappings()
            .first()
        )
        if row is None:
            raise InputRefused(f"there is no thing {thing}", status=404)
        found = connection.execute(
            select(
                DATASTREAMS.c.id, DATASTREAMS.c.name, DATASTREAMS.c.si_unit, DATASTREAMS.c.access,
                DATASTREAMS.c.personal, OBSERVED_PROPERTIES.c.name.label("property"), SENSORS.c.name.label("sensor"),
            )
            .join(OBSERVED_PROPERTIES, OBSERVED_PROPERTIES.c.id == DATASTREAMS.c.property)
            .join(SENSORS, SENSORS.c.id == DATASTREAMS.c.sensor)
            .where(DATASTREAMS.c.thing == thing)
            .order_by(DATASTREAMS.c.id)
            .limit(200)
        ).mappings().all()  # fmt: skip
        streams = [dict(one) for one in found if told.reach.holds(one["id"])]
        actuators = [
            dict(one)
            for one in connection.execute(
                select(ACTUATORS.c.id, ACTUATORS.c.name, ACTUATORS.c.kind, ACTUATORS.c.facts)
                .where(ACTUATORS.c.thing == thing)
                .limit(50)
            ).mappings()
        ]
    latest = {one["stream"]: one for one in city.follower.live.newest(np.array([s["id"] for s in streams], np.int64))}
    for stream in streams:
        said = latest.get(stream["id"])
        stream["value"] = (said["text"] or said["json"] or _number(said["value"])) if said else None
        stream["time"] = said["time"] // 1000 if said else None
    for actuator in actuators:
        actuator["facts"] = json.loads(actuator["facts"])
        actuator["held"] = _holder(city, actuator["id"])
    return {
        **{name: row[name] for name in ("id", "key", "name", "description", "kind")},
        "lon": row["here_lon"],
        "lat": row["here_lat"],
        "facts": json.loads(row["properties"]),
        "streams": streams,
        "actuators": actuators,
        **_touched(city, told, thing, [actuator["id"] for actuator in actuators]),
    }


def _holder(city: City, actuator: int) -> dict[str, Any] | None:
    """Who holds an actuator now, with which tier, until when [ms since epoch], by which Task."""
    held = city.turns.guard.held.get(actuator)
    if held is None or held.until <= city.clock.now():
        return None
    task = city.ledger.projection.task(held.decision, held.command)
    return {"practice": held.practice, "tier": held.tier.name.lower(), "until": held.until // 1000, "task": task}


def _touched(city: City, told: Told, thing: int, actuators: Sequence[int]) -> dict[str, Any]:
    """The last commands to a thing's actuators with the reason of each, and the last notices about it."""
    rows = city.ledger.projection.rows
    commands = rows(
        select(COMMANDS, DECISIONS.c.because.label("reason"))
        .join(DECISIONS, DECISIONS.c.id == COMMANDS.c.decision)
        .where(COMMANDS.c.actuator.in_(actuators))
        .order_by(COMMANDS.c.id.desc())
        .limit(_LAST)
    )
    asked = [
        {
            "decision": one["decision"],
            "number": one["number"],
            "practice": one["practice"],
            "who": one["who"],
            "actuator": one["actuator"],
            "value": one["value"],
            "at": one["created"] // 1000,
            "until": one["until"] // 1000,
            "status": one["status"],
            "why": one["why"] or told.why(one["practice"], json.loads(one["wish"]).get("because") or one["reason"]),
        }
        for one in commands
    ]
    about = select(NOTICES).where(NOTICES.c.about == thing, told.notices())
    notices = rows(about.order_by(NOTICES.c.at.desc()).limit(_LAST))
    return {"commands": asked, "notices": [notice_of(one) for one in notices]}


def notice_of(row: dict[str, Any]) -> dict[str, Any]:
    """A notice as the console tells it."""
    return {
        "decision": row["decision"],
        "practice": row["practice"],
        "at": row["at"] // 1000,
        "severity": row["severity"],
        "audience": row["audience"],
        "text": row["values"],
        "about": row["about"],
    }


def listed_things(city: City, told: Told, words: str, kind: str, after: int, limit: int) -> dict[str, Any]:
    """Things by id, some at a time: those after the id ``after`` of a kind ("" = any) whose name or key holds words.

    ``next`` is where the next page begins (None: there is none), ``count`` how many there are in all.
    """
    wanted = words.replace("\0", "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    chosen = [or_(*(c.ilike(f"%{wanted}%", escape="\\") for c in (THINGS.c.name, THINGS.c.key)))] if words else []
    chosen += [THINGS.c.kind == kind] if kind else []
    chosen += [] if told.reach.everything else [thing_sql(told.caller, THINGS.c.id)]
    query = (
        select(THINGS.c.id, THINGS.c.name, THINGS.c.kind, THINGS.c.key, *_here("lon", "lat"))
        .where(*chosen, THINGS.c.id > after)
        .order_by(THINGS.c.id)
        .limit(limit + 1)
    )
    with city.catalog.engine.connect() as connection:
        count = connection.scalar(select(func.count()).select_from(THINGS).where(*chosen))
        rows = [dict(row) for row in connection.execute(query).mappings()]
    more = len(rows) > limit
    return {"things": rows[:limit], "next": rows[limit - 1]["id"] if more else None, "count": count}


def _here(*names: str) -> list[Label[Any]]:
    """Where a thing is now, else where it was registered: longitude and latitude [deg], under these names."""
    stays = THING_LOCATIONS.c
    told: list[Label[Any]] = []
    for of, name in zip(("lon", "lat"), names or ("here_lon", "here_lat"), strict=True):
        moved = (
            select(LOCATIONS.c[of])
            .join(THING_LOCATIONS, stays.location == LOCATIONS.c.id)
            .where(stays.thing == THINGS.c.id, LOCATIONS.c.lon.is_not(None))
            .order_by(stays.time.desc(), stays.location.desc())
            .limit(1)
            .scalar_subquery()
        )
        told.append(func.coalesce(moved, THINGS.c[of]).label(name))
    return told


def _kinds(city: City, caller: Caller) -> list[dict[str, Any]]:
    """Each kind of thing: how many, its properties with units, and the one that a map shows first."""
    told = (
        select(THINGS.c.kind, OBSERVED_PROPERTIES.c.name, DATASTREAMS.c.si_unit, func.count().label("n"))
        .join(DATASTREAMS, DATASTREAMS.c.thing == THINGS.c.id)
        .join(OBSERVED_PROPERTIES, OBSERVED_PROPERTIES.c.id == DATASTREAMS.c.property)
        .where(readable_sql(caller, DATASTREAMS))
        .group_by(THINGS.c.kind, OBSERVED_PROPERTIES.c.name, DATASTREAMS.c.si_unit)
        .order_by(THINGS.c.kind, OBSERVED_PROPERTIES.c.name)
    )
    with city.catalog.engine.connect() as connection:
        properties = connection.execute(told).all()
    answer = []
    for kind, count in things_of_kinds(city, caller).items():
        own = [{"name": name, "unit": unit, "streams": n} for of, name, unit, n in properties if of == kind]
        names = [one["name"] for one in own]
        main = _MAIN.get(kind) if _MAIN.get(kind) in names else (names[0] if names else None)
        answer.append({"kind": kind, "things": count, "property": main, "properties": own})
    return answer


def _bounds(city: City, caller: Caller) -> tuple[float, float, float, float] | None:
    query = select(func.min(THINGS.c.lon), func.min(THINGS.c.lat), func.max(THINGS.c.lon), func.max(THINGS.c.lat))
    query = query.where(thing_sql(caller, THINGS.c.id))
    with city.catalog.engine.connect() as connection:
        west, south, east, north = connection.execute(query).one()
    return None if west is None else (west - 0.002, south - 0.002, east + 0.002, north + 0.002)


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else value
