"""What every query of SensorThings stands on: the catalogue, the lake, what is live, and what the caller may see."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from civium.engines.catalog import Catalog
from civium.sources.sensorthings.geometry import Geometries, geometries
from civium.sources.sensorthings.model import BY_NAME, Entity
from civium.sources.sensorthings.moment import Moment, ObservationReader, areas_of
from civium.sources.sensorthings.sight import Sight


@dataclass(frozen=True, slots=True)
class Ground:
    """What names are looked up in: the catalogue in one snapshot, the lake, and what is live; ``now`` [us since epoch].

    ``newest`` is the highest id of a stream that this process knows of: what has come since is not read.
    """

    catalog: Catalog
    connection: Connection
    observations: ObservationReader
    moment: Moment
    now: int
    newest: int
    record: Callable[[], Connection] | None = None  # where Tasks are; opened when it is asked
    sight: Sight | None = None  # what the caller may see; None: everything

    def geometries(self, entity: Entity, column: str) -> Geometries:
        """The geometries of a field, by id; None where there is none."""
        if column != "area":
            return geometries(self.catalog, self.connection, entity.table, column)
        streams = np.flatnonzero(self.catalog.streams.exists)
        found = np.full(len(self.catalog.streams.exists), None, dtype=object)
        features = self.geometries(BY_NAME["FeatureOfInterest"], "feature")
        found[streams] = areas_of(self.moment.features(streams), features)
        return found
