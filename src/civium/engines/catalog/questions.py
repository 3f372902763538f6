"""What Views ask of the catalogue as of a cut: streams, things and actuators, and what the operators decided."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, FromClause, Select, Table, and_, func, literal, select

from civium.engines.catalog.streams import COMPLEX_TYPE
from civium.engines.catalog.tables import (
    ACTUATORS,
    DATASTREAMS,
    LOCATIONS,
    MANDATES,
    OBSERVED_PROPERTIES,
    PARAMETERS,
    SWITCHES,
    THING_LOCATIONS,
    THINGS,
)

STREAMS_OF = pa.schema(
    [("stream", pa.int64()), ("thing", pa.int64()), ("property", pa.string()), ("unit", pa.string())]
)
Held = Callable[[Table], FromClause]  # the rows of a table as of a cut


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operators decided: per practice its mandate and its parameters, and the city-wide switch."""

    mandates: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    advise_only: bool = False


def streams_of(held: Held, property: str, kind: str) -> Select[Any]:
    """Streams of a property of things of a kind ("" = any), as ``STREAMS_OF``."""
    streams, properties = held(DATASTREAMS), held(OBSERVED_PROPERTIES)
    found = (
        select(streams.c.id, streams.c.thing, properties.c.name, streams.c.si_unit)
        .join(properties, properties.c.id == streams.c.property)
        .where(properties.c.name == property, streams.c.observation_type != COMPLEX_TYPE)
        .order_by(streams.c.id)
    )
    if not kind:
        return found
    things = held(THINGS)
    return found.join(things, things.c.id == streams.c.thing).where(things.c.kind == kind)


def things_of(held: Held, kinds: Sequence[str]) -> Select[Any]:
    """Things of some kinds, where they were then."""
    things, places, stays = held(THINGS), held(LOCATIONS), held(THING_LOCATIONS)
    latest = (stays.c.time.desc(), stays.c.location.desc())
    moved = (
        select(
            stays.c.thing,
            places.c.lon,
            places.c.lat,
            func.row_number().over(partition_by=stays.c.thing, order_by=latest).label("rank"),
        )
        .join(places, places.c.id == stays.c.location)
        .join(things, things.c.id == stays.c.thing)
        .where(things.c.kind.in_(kinds), places.c.lon.is_not(None))
        .subquery()
    )
    return (
        select(
            things.c.id,
            things.c.kind,
            things.c.name,
            func.coalesce(moved.c.lon, things.c.lon),
            func.coalesce(moved.c.lat, things.c.lat),
            things.c.properties,
        )
        .outerjoin(moved, and_(moved.c.thing == things.c.id, moved.c.rank == literal(1)))
        .where(things.c.kind.in_(kinds))
        .order_by(things.c.id)
    )


def actuators_of(held: Held, kind: str) -> Select[Any]:
    """Actuators of a kind."""
    c = held(ACTUATORS).c
    return select(c.id, c.thing, c.kind, c.name, c.facts).where(c.kind == kind, c.thing.is_not(None)).order_by(c.id)


def settings(connection: Connection, cat_seq: int) -> Settings:
    """Mandates, parameters and the switch as of a message of the catalogue's log."""
    mandates = connection.execute(_latest(MANDATES, "mandate", cat_seq))
    parameters = connection.execute(_latest(PARAMETERS, "params", cat_seq))
    switch = connection.scalar(
        select(SWITCHES.c.advise_only).where(SWITCHES.c.seq <= cat_seq).order_by(SWITCHES.c.seq.desc()).limit(1)
    )
    return Settings(
        mandates={str(practice): str(mandate) for practice, mandate in mandates},
        parameters={practice: json.loads(params) for practice, params in parameters},
        advise_only=bool(switch),
    )


def _latest(table: Table, column: str, cat_seq: int) -> Select[Any]:
    last = (
        select(table.c.practice, func.max(table.c.seq).label("seq"))
        .where(table.c.seq <= cat_seq)
        .group_by(table.c.practice)
        .subquery()
    )
    here = and_(last.c.practice == table.c.practice, last.c.seq == table.c.seq)
    return select(table.c.practice, table.c[column]).join(last, here)
