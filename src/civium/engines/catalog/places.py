"""Which FeatureOfInterest stands for the place where each thing is, as an array: doors ask it for every reading."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import LOCATIONS, THING_LOCATIONS


class Places:
    """The feature of the Location at which a thing is; one thread writes, a reader may keep what it took."""

    def __init__(self) -> None:
        self._feature: NDArray[np.int64] = np.zeros(1, np.int64)  # indexed by thing; 0: none

    def features(self, things: NDArray[np.int64]) -> NDArray[np.int64]:
        """The feature of each of these things; 0 where there is none."""
        feature = self._feature
        inside = (things > 0) & (things < len(feature))
        return np.where(inside, feature[np.where(inside, things, 0)], 0)

    def load(self, connection: Connection, things: Iterable[int] | None = None) -> None:
        """Take in where all things are, or where some are now."""
        query = (
            select(THING_LOCATIONS.c.thing, LOCATIONS.c.feature)
            .join(LOCATIONS, LOCATIONS.c.id == THING_LOCATIONS.c.location)
            .where(LOCATIONS.c.feature.is_not(None))
            .order_by(THING_LOCATIONS.c.time, THING_LOCATIONS.c.location)
        )
        some = None if things is None else sorted(set(things))
        if some is not None:
            query = query.where(among_ids(THING_LOCATIONS.c.thing, some))
        found = {int(thing): int(feature) for thing, feature in connection.execute(query)}  # the latest is the last
        feature = self._feature.copy()
        most = max(found, default=0) + 1
        if most > len(feature):
            feature = np.concatenate([feature, np.zeros(most + most // 2 - len(feature), np.int64)])
        for thing in some or ():
            if thing < len(feature):
                feature[thing] = 0
        feature[np.fromiter(found, np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
        self._feature = feature

    def concern(self, connection: Connection, locations: Iterable[int]) -> list[int]:
        """The things that are at some Locations."""
        query = select(THING_LOCATIONS.c.thing).where(among_ids(THING_LOCATIONS.c.location, sorted(set(locations))))
        return list(connection.scalars(query))
