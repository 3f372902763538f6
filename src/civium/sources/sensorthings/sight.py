"""What a caller may see of each entity: conditions on rows that every query takes in.

Observations and Datastreams are seen where their stream may be read. A Thing, Sensor or ObservedProperty all of whose
Datastreams are hidden is hidden with them; so are the places and actuators of a hidden Thing, and a feature that only
hidden Observations are of.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, exists, not_, or_, select

from civium.core.rights import Caller
from civium.engines.catalog import Catalog
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import ACTUATORS, DATASTREAMS, LOCATIONS, THING_LOCATIONS
from civium.engines.rights import Reach, Rights, readable_sql
from civium.sources.sensorthings.moment import Moment

_BY_COLUMN = {"Thing": "id", "HistoricalLocation": "thing", "TaskingCapability": "thing", "Actuator": "thing"}
_OF_STREAMS = {"Sensor": "sensor", "ObservedProperty": "property"}
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
        return None if reach.whole else cls(caller, reach)

    def sees(self, entity: str, row: Any, moment: Moment, catalog: Catalog) -> Sql | None:
        """The condition on rows of an entity of the catalogue; None: there is none."""
        if entity in ("Datastream", "MultiDatastream"):
            return readable_sql(self.caller, row)
        if entity in _BY_COLUMN:
            return self._some(DATASTREAMS.alias(), "thing", row.c[_BY_COLUMN[entity]])
        if entity in _OF_STREAMS:
            return self._some(DATASTREAMS.alias(), _OF_STREAMS[entity], row.c.id)
        if entity == "Location":
            return self._place(row.c.id)
        if entity == "FeatureOfInterest":
            open_, hidden = self._features(moment, catalog)
            places = LOCATIONS.alias()
            here = select(places.c.id).where(places.c.feature == row.c.id).correlate_except(places)
            never = not_(among_ids(row.c.id, hidden))
            return or_(
                among_ids(row.c.id, open_), and_(never, not_(exists(here.where(not_(self._place(places.c.id))))))
            )
        return None

    def actuators(self) -> Any:
        """A query for the actuators that are hidden."""
        c = ACTUATORS.c
        return select(c.id).where(not_(self._some(DATASTREAMS.alias(), "thing", c.thing)))

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

    def _some(self, streams: Any, column: str, identity: Any) -> Sql:
        """That something has a Datastream that is seen, or none at all."""
        one = select(streams.c.id).where(streams.c[column] == identity).correlate_except(streams)
        return or_(exists(one.where(readable_sql(self.caller, streams))), not_(exists(one)))

    def _place(self, identity: Any) -> Sql:
        """That a Location is, or was, one of a Thing that is seen, or of none."""
        stays = THING_LOCATIONS.alias()
        of = select(stays.c.thing).where(stays.c.location == identity).correlate_except(stays)
        return or_(exists(of.where(self._some(DATASTREAMS.alias(), "thing", stays.c.thing))), not_(exists(of)))

    def _features(self, moment: Moment, catalog: Catalog) -> tuple[list[int], list[int]]:
        """The features of Observations that are seen, and of others."""

        def of(streams: NDArray[np.int64]) -> NDArray[np.int64]:
            some = [one for one in moment.features(streams) if len(one)]
            return np.unique(np.concatenate(some)) if some else np.zeros(0, np.int64)

        hidden, told = of(self.hidden(catalog)), of(self.readable)
        return told.tolist(), np.setdiff1d(hidden, told).tolist()
