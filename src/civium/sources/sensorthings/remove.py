"""Plans what DELETE of SensorThings takes away: edits of the catalogue, or tombstones of Observations."""

from dataclasses import replace

import pyarrow as pa
from sqlalchemy import select

from civium.core import InputRefused
from civium.core.observations import CORRECTION
from civium.engines.catalog import references
from civium.engines.catalog.tables import ACTUATORS, LOCATIONS, THING_LOCATIONS
from civium.sources.changes import Edits
from civium.sources.sensorthings import capabilities
from civium.sources.sensorthings.amendment import ROWS_OF_IDS, Amendment, found, resolved, stored
from civium.sources.sensorthings.entities import Writer
from civium.sources.sensorthings.model import CAPABLE, OBSERVATIONS
from civium.sources.sensorthings.moment import ObservationReader
from civium.sources.sensorthings.query import parse_query
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.tree import Query

_MOST_TOMBSTONES = 200_000  # of one request: each is a row of the log


def plan_delete(path: str, library: Library, query: str = "") -> Amendment:
    """Plan the DELETE of the entity at ``path``, with all that goes with it (OGC 18-088, table 25); or with a
    ``$filter``, of the Observations of a collection that meet it.

    Raises ``InputRefused``: 404 for a path that leads to no entity, 409 for too many Observations.
    """
    with library.opened() as writer:
        return _delete_some(writer, path, parse_query(query), library) if query else delete_with(writer, path, library)


def _delete_some(writer: Writer, path: str, query: Query, library: Library) -> Amendment:
    place = resolved(path, writer)
    if place.entity.table is not OBSERVATIONS or place.row is not None or query != Query(filter=query.filter):
        raise InputRefused("with a query, DELETE takes a collection of Observations and $filter alone")
    found = writer.source.page(place.entity, replace(query, top=_MOST_TOMBSTONES), place.behind, _MOST_TOMBSTONES)
    if found.following:
        raise InputRefused(f"more than {_MOST_TOMBSTONES} Observations meet it: narrow $filter", status=409)
    ids = pa.table({"id": pa.array([row["id"] for row in found.rows], pa.int64())})
    rows = library.observations.query(ROWS_OF_IDS, (), {"asked": ids})
    return Amendment(place.entity, 0, Edits(), _gone(rows))


def delete_with(writer: Writer, path: str, library: Library) -> Amendment:
    """As ``plan_delete``, in a library that is open."""
    entity, row = found(path, writer)
    if entity.table is OBSERVATIONS:
        gone = _tombstones("id", row["id"], library.observations)
        if not gone.num_rows:
            raise InputRefused(f"there is no {entity.name} {row['id']}", status=404)
        return Amendment(entity, row["id"], Edits(), gone)
    connection = writer.source.ground.connection
    if entity.name in CAPABLE:
        before = library.catalog.last(ACTUATORS.name, [row["id"]])[row["id"]]
        if left := capabilities.remove(entity, row, before):
            return Amendment(entity, row["id"], left)
    edits = Edits(deletes=references.cascade(connection, entity.table, [row["id"]]))
    if entity.name == "Location":
        _leave_no_earlier_place(edits, writer)
    gone = CORRECTION.empty_table()
    if entity.name == "FeatureOfInterest":
        gone = _tombstones("feature", row["id"], library.observations)
        places = select(LOCATIONS.c.id).where(LOCATIONS.c.feature == row["id"])
        forget = [{"id": place, "feature": None} for place in connection.scalars(places)]
        edits.updates.update({"locations": forget} if forget else {})
    return Amendment(entity, row["id"], edits, gone)


def _leave_no_earlier_place(edits: Edits, writer: Writer) -> None:
    """A Thing that is left without its Location must not be back where it was before."""
    table, gone = THING_LOCATIONS, edits.deletes.get("thing_locations", [])
    for thing in {row["thing"] for row in gone}:
        query = select(table.c.thing, table.c.time, table.c.location).where(table.c.thing == thing)
        stays = [dict(row) for row in writer.source.ground.connection.execute(query).mappings()]
        latest = max(row["time"] for row in stays)
        gone += [row for row in stays if row["time"] < latest and row not in gone]


def _tombstones(column: str, identity: int, observations: ObservationReader) -> pa.Table:
    rows = stored(column, identity, observations, _MOST_TOMBSTONES + 1)
    if rows.num_rows > _MOST_TOMBSTONES:
        raise InputRefused(
            f"more than {_MOST_TOMBSTONES} Observations would go with it: delete their Datastreams first", status=409
        )
    return _gone(rows)


def _gone(rows: pa.Table) -> pa.Table:
    gone = rows.append_column("corrects", rows.column("id")).append_column("gone", pa.array([True] * rows.num_rows))
    return gone.select(CORRECTION.names).cast(CORRECTION)
