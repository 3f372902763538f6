"""What guarded streams leave behind when they are taken away, or go elsewhere: conditions on what is left without one.

Else the thing, the sensor, the properties and the place of a guarded stream would be seen by everyone as soon as it is
deleted. What was last there is told by the displaced rows (``PAST``), so that no order of deletions opens anything.
"""

from collections.abc import Callable

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, literal_column, not_, or_, select

from civium.engines.catalog.tables import ACTUATORS, COMPONENTS, DATASTREAMS, PAST, THING_LOCATIONS, THINGS

Sql = ColumnElement[bool]
Readable = Callable[[FromClause], Sql]  # that a row of the table datastreams, or of its past, may be read
Knowable = Callable[[ColumnElement[int]], Sql]  # that a thing may be known of


def left(column: str, identity: ColumnElement[int], readable: Readable) -> Sql:
    """That a stream of some ``column`` (thing, sensor, property) was once there that, as it was last, may not be
    read."""
    past = PAST[DATASTREAMS.name].alias()
    return exists(_closed(past, column, readable).where(past.c[column] == identity).correlate_except(past))


def left_of_several(property: ColumnElement[int], readable: Readable) -> Sql:
    """The same of a property that was one of several of a MultiDatastream."""
    parts, streams = PAST[COMPONENTS.name].alias(), DATASTREAMS.alias()
    past, last, now = PAST[DATASTREAMS.name].alias(), PAST[DATASTREAMS.name].alias(), DATASTREAMS.alias()
    of = parts.c.datastream
    newer = select(last.c.id).where(last.c.id == past.c.id, last.c.seq > past.c.seq).correlate_except(last)
    there = select(now.c.id).where(now.c.id == past.c.id).correlate_except(now)
    was = select(past.c.id).where(past.c.id == of, _guarded(past), not_(readable(past)), not_(exists(newer)))
    is_ = select(streams.c.id).where(streams.c.id == of, not_(readable(streams)))
    closed = or_(
        exists(is_.correlate_except(streams)), exists(was.where(not_(exists(there))).correlate_except(past, last, now))
    )
    return exists(select(parts.c.id).where(parts.c.property == property, closed).correlate_except(parts))


def left_by_thing(location: ColumnElement[int], knowable: Knowable) -> Sql:
    """That a thing was once at a Location that may not be known of."""
    stays = PAST[THING_LOCATIONS.name].alias()
    there = select(stays.c.thing).where(stays.c.location == location, not_(knowable(stays.c.thing)))
    return exists(there.correlate_except(stays))


def left_by_thing_of(actuator: FromClause, knowable: Knowable) -> Sql:
    """That an actuator is of no thing now, and was once of one that may not be known of."""
    past = PAST[ACTUATORS.name].alias()
    was = select(past.c.id).where(past.c.id == actuator.c.id, past.c.thing.is_not(None), not_(knowable(past.c.thing)))
    return and_(actuator.c.thing.is_(None), exists(was.correlate_except(past)))


def things_left(readable: Readable) -> Select[tuple[int]]:
    """The things that are without a stream now, and of which ``left`` is true."""
    past, things, now = PAST[DATASTREAMS.name].alias(), THINGS.alias(), DATASTREAMS.alias()
    there = exists(select(things.c.id).where(things.c.id == past.c.thing).correlate_except(things))
    some = exists(select(now.c.id).where(now.c.thing == past.c.thing).correlate_except(now))
    return _closed(past, "thing", readable).with_only_columns(past.c.thing).where(there, not_(some)).distinct()


def _closed(past: FromClause, column: str, readable: Readable) -> Select[tuple[int]]:
    """Displaced rows that may not be read, and after which their stream was not there again as something else."""
    later = PAST[DATASTREAMS.name].alias()
    again = and_(later.c.id == past.c.id, later.c.seq > past.c.seq, later.c[column] == past.c[column])
    newer = exists(select(later.c.id).where(again).correlate_except(later))
    return select(past.c.id).where(_guarded(past), not_(readable(past)), not_(newer))


def _guarded(past: FromClause) -> Sql:
    """What the indexes of the past of streams hold: everybody reads the others. Both databases must see it as it is
    said there."""
    return or_(past.c.access != literal_column("'open'"), past.c.personal)
