"""Maintenance: a thing or an area whose alarms are silent and whose commands are refused, until an end."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import and_, func, select

from civium.core import InputRefused, to_datetime
from civium.engines.catalog import Catalog, orders
from civium.engines.catalog.tables import LOCATIONS, ORDERS, THING_LOCATIONS, THINGS

_MOST_POINTS = 10_000
Ids = NDArray[np.int64]


class Upkeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is being worked on: a thing, or an area (GeoJSON Polygon, WGS 84); until when [us since epoch]."""

    until: int
    thing: int = 0
    area: dict[str, Any] | None = None


def read_upkeep(body: Mapping[str, Any]) -> Upkeep:
    """What was given; raises InputRefused, which says what is wrong with it."""
    try:
        upkeep = msgspec.convert(body, Upkeep)
    except msgspec.ValidationError as error:
        raise InputRefused(f"this is no maintenance: {error}") from None
    if bool(upkeep.thing) == (upkeep.area is not None):
        raise InputRefused("maintenance is of a `thing`, or of an `area`")
    if upkeep.area is not None:
        _shape(upkeep.area)
    return upkeep


def _shape(area: Mapping[str, Any]) -> Any:
    if area.get("type") not in ("Polygon", "MultiPolygon"):
        raise InputRefused("an area is a GeoJSON Polygon or MultiPolygon")
    try:
        shape = shapely.from_geojson(msgspec.json.encode(area))
    except shapely.errors.GEOSException as error:
        raise InputRefused(f"the area is no GeoJSON geometry: {error}") from None
    if shape.is_empty or not shape.is_valid or shapely.get_num_coordinates(shape) > _MOST_POINTS:
        raise InputRefused(f"the area is empty, crosses itself, or has more than {_MOST_POINTS:,} points")
    return shape


class Maintenance:
    """What is under maintenance now, by thing; follows the catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._at = (-1, -1)
        self._orders: dict[str, orders.Order] = {}
        self._until: Ids = np.zeros(1, np.int64)  # by thing
        self._which: dict[int, str] = {}  # thing -> key of the order that lasts longest

    def in_force(self, now: int) -> dict[str, tuple[orders.Order, Upkeep]]:
        """The maintenance that is not over at ``now`` [us since epoch], by key."""
        self._refresh()
        read = {key: (order, msgspec.convert(order.body, Upkeep)) for key, order in self._orders.items()}
        return {key: found for key, found in read.items() if found[1].until > now}

    def things(self, things: Ids, now: int) -> NDArray[np.bool_]:
        """Which of these things are under maintenance at ``now``."""
        self._refresh()
        until = self._until
        inside = (things > 0) & (things < len(until))
        return inside & (until[np.where(inside, things, 0)] > now)

    def closed(self, actuators: Mapping[int, int], now: int) -> dict[int, str]:
        """Of actuators (with their things) those that take no command at ``now``, and why."""
        ids = list(actuators)
        under = self.things(np.fromiter(actuators.values(), np.int64, len(ids)), now)
        found = {}
        for at in np.flatnonzero(under).tolist():
            order = self._orders[self._which[actuators[ids[at]]]]
            until = to_datetime(msgspec.convert(order.body, Upkeep).until).isoformat(timespec="seconds")
            why = order.why or "no reason given"  # who ordered it is not for the public record
            found[ids[at]] = f"it is under maintenance until {until}: {why}"
        return found

    def _refresh(self) -> None:
        """Look again when an order was given, or when things may have moved."""
        now = self._catalog.changed(ORDERS), self._catalog.changed(THINGS, LOCATIONS, THING_LOCATIONS)
        if now == self._at or (now[0] == self._at[0] and not self._orders):
            return
        found = orders.in_force(self._catalog, orders.MAINTENANCE)
        until, which = np.zeros(1, np.int64), {}
        for key, order in found.items():
            upkeep = msgspec.convert(order.body, Upkeep)
            for thing in [upkeep.thing] if upkeep.thing else self._inside(upkeep.area or {}):
                if thing >= len(until):
                    until = np.concatenate([until, np.zeros(thing + 1024 - len(until), np.int64)])
                if upkeep.until > until[thing]:
                    until[thing], which[thing] = upkeep.until, key
        self._orders, self._until, self._which, self._at = found, until, which, now

    def _inside(self, area: Mapping[str, Any]) -> Sequence[int]:
        """The things whose place lies in an area: where they are now, else where they were registered."""
        shape = _shape(area)
        west, south, east, north = shape.bounds
        here, stays = LOCATIONS.c, THING_LOCATIONS.c
        latest = select(stays.thing, func.max(stays.time).label("time")).group_by(stays.thing).subquery()
        moved = (
            select(stays.thing, here.lon, here.lat)
            .join(latest, and_(latest.c.thing == stays.thing, latest.c.time == stays.time))
            .join(LOCATIONS, here.id == stays.location)
            .where(here.lon.is_not(None))
            .subquery()
        )
        lon, lat = func.coalesce(moved.c.lon, THINGS.c.lon), func.coalesce(moved.c.lat, THINGS.c.lat)
        query = (
            select(THINGS.c.id, lon, lat)
            .outerjoin(moved, moved.c.thing == THINGS.c.id)
            .where(lon.between(west, east), lat.between(south, north))
        )
        with self._catalog.engine.connect() as connection:
            rows = connection.execute(query).all()
        within = shapely.intersects_xy(shape, [row[1] for row in rows], [row[2] for row in rows])
        return [int(row[0]) for row, inside in zip(rows, within, strict=True) if inside]
