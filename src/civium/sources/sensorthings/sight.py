"""What a caller may see of each entity: conditions on rows that every query takes in.

Observations and Datastreams are seen where their stream may be read. A Thing, Sensor or ObservedProperty all of whose
Datastreams are hidden is hidden with them, also when they are deleted; so are the places and actuators of a hidden
Thing. A feature is seen where an Observation of it is, or where it is the place of a Thing that is seen: one that
nothing was observed of may have been of a guarded Observation, or of one that is on its way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, exists, not_, or_, select

from civium.core.rights import Caller
from civium.engines.catalog import Catalog
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.gone import left, left_by_thing, left_by_thing_of, left_of_several
from civium.engines.catalog.tables import ACTUATORS, COMPONENTS, DATASTREAMS, LOCATIONS, THING_LOCATIONS
from civium.engines.rights import Reach, Rights, owner_sql, readable_sql, thing_sql
from civium.sources.sensorthings.moment import Moment

_BY_COLUMN = {"Thing": "id", "HistoricalLocation": "thing"}
Sql = ColumnElement[bool]


@dataclass(frozen=True)
class Sight:
    """What one caller sees of the catalogue at this moment."""

    caller: Caller
    reach: Reach

    @classmethod
    def of(cls, caller: Caller, rights: Rights) -> "Sight | None":
        """The sight of a caller; None: it sees everything."""
        reach = rights.readable(caller)
        return None if reach.everything else cls(caller, reach)

    def sees(self, entity: str, row: Any, moment: Moment, catalog: Catalog) -> Sql | None:
        """The condition on rows of an entity of the catalogue; None: there is none."""
        if entity in ("Datastream", "MultiDatastream"):
            return readable_sql(self.caller, row)
        if entity in ("TaskingCapability", "Actuator"):
            return self._actuator(row)
        if entity in _BY_COLUMN:
            return thing_sql(self.caller, row.c[_BY_COLUMN[entity]])
        if entity == "Sensor":
            return owner_sql(self.caller, "sensor", row.c.id)
        if entity == "ObservedProperty":
            return self._property(row.c.id)
        if entity == "Location":
            return self._place(row.c.id)
        if entity == "FeatureOfInterest":
            open_, hidden = self._features(moment, catalog)
            places = LOCATIONS.alias()
            here = select(places.c.id).where(places.c.feature == row.c.id).correlate_except(places)
            shown: Sql = exists(here.where(self._place(places.c.id)))
            if self.caller.trusted:  # who is on this machine may post one first, and observe it then
                shown = or_(shown, not_(exists(here)))
            return or_(among_ids(row.c.id, open_), and_(not_(among_ids(row.c.id, hidden)), shown))
        return None

    def seen(self, entity: str, rows: Any, ids: Iterable[int], moment: Moment, catalog: Catalog) -> set[int]:
        """Those of some ids of an entity, whose ``rows`` are a table, that are there and seen."""
        condition = self.sees(entity, rows, moment, catalog)
        query = select(rows.c.id).where(among_ids(rows.c.id, sorted(ids)))
        with catalog.engine.connect() as connection:
            return set(connection.scalars(query if condition is None else query.where(condition)))

    def actuators(self) -> Any:
        """A query for the actuators that are hidden."""
        return select(ACTUATORS.c.id).where(not_(self._actuator(ACTUATORS)))

    @cached_property
    def readable(self) -> NDArray[np.int64]:
        """The ids of the streams that are seen."""
        ids: NDArray[np.int64] = np.flatnonzero(self.reach.mask)
        return ids

    def hidden(self, catalog: Catalog) -> NDArray[np.int64]:
        """The ids of the streams that are not seen."""
        there = catalog.streams.exists.copy()
        size = min(len(there), len(self.reach.mask))
        there[:size] &= ~self.reach.mask[:size]
        ids: NDArray[np.int64] = np.flatnonzero(there)
        return ids

    def _actuator(self, row: Any) -> Sql:
        """That its Thing is seen; or it has none, nor ever was of a hidden one."""
        knowable = partial(thing_sql, self.caller)
        return and_(knowable(row.c.thing), not_(left_by_thing_of(row, knowable)))

    def _property(self, identity: Any) -> Sql:
        """As ``owner_sql``, of an ObservedProperty, which may be one of several of a MultiDatastream."""
        readable = partial(readable_sql, self.caller)
        streams, parts = DATASTREAMS.alias(), COMPONENTS.alias()
        own = select(streams.c.id).where(streams.c.property == identity).correlate_except(streams)
        several = select(streams.c.id).join(parts, parts.c.datastream == streams.c.id)
        several = several.where(parts.c.property == identity).correlate_except(streams, parts)
        seen = [exists(one.where(readable(streams))) for one in (own, several)]
        told = (exists(own), exists(several), left("property", identity, readable), left_of_several(identity, readable))
        return or_(*seen, not_(or_(*told)))

    def _place(self, identity: Any) -> Sql:
        """That a Location is, or was, one of a Thing that is seen; or is of none, nor ever was of a hidden one."""
        knowable = partial(thing_sql, self.caller)
        stays = THING_LOCATIONS.alias()
        of = select(stays.c.thing).where(stays.c.location == identity).correlate_except(stays)
        none = and_(not_(exists(of)), not_(left_by_thing(identity, knowable)))
        return or_(exists(of.where(knowable(stays.c.thing))), none)

    def _features(self, moment: Moment, catalog: Catalog) -> tuple[list[int], list[int]]:
        """The features of Observations that are seen, and of others."""

        def of(streams: NDArray[np.int64]) -> NDArray[np.int64]:
            some = [one for one in moment.features(streams) if len(one)]
            return np.unique(np.concatenate(some)) if some else np.zeros(0, np.int64)

        hidden, told = of(self.hidden(catalog)), of(self.readable)
        return told.tolist(), np.setdiff1d(hidden, told).tolist()
