"""Which FeatureOfInterest stands for the place where each thing is, as an array: doors ask it for every reading.

Things of the register may be anywhere. Of those that SensorThings made is known too which are ``nowhere``, and which
are ``unmarked``: at a place without a feature, since somebody took that away.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, String, cast, literal, select

from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import LOCATIONS, THING_LOCATIONS, THINGS

_OF_SENSORTHINGS = THINGS.c.key == literal("thing/") + cast(THINGS.c.id, String)


class Places:
    """The feature of the Location at which a thing is; one thread writes, a reader may keep what it took."""

    def __init__(self) -> None:
        self._feature: NDArray[np.int64] = np.zeros(1, np.int64)  # indexed by thing; 0: none
        self.nowhere: set[int] = set()
        self.unmarked: set[int] = set()

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
            .order_by(THING_LOCATIONS.c.time, LOCATIONS.c.lon.is_not(None), THING_LOCATIONS.c.location)
        )
        nowhere = select(THINGS.c.id).where(_OF_SENSORTHINGS, THINGS.c.id.not_in(select(THING_LOCATIONS.c.thing)))
        unmarked = (
            select(THING_LOCATIONS.c.thing)
            .join(LOCATIONS, LOCATIONS.c.id == THING_LOCATIONS.c.location)
            .join(THINGS, THINGS.c.id == THING_LOCATIONS.c.thing)
            .where(_OF_SENSORTHINGS, LOCATIONS.c.feature.is_(None))
        )
        some = None if things is None else sorted(set(things))
        if some is not None:
            query = query.where(among_ids(THING_LOCATIONS.c.thing, some))
            nowhere = nowhere.where(among_ids(THINGS.c.id, some))
            unmarked = unmarked.where(among_ids(THINGS.c.id, some))
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
        for kept, asked in ((self.nowhere, nowhere), (self.unmarked, unmarked)):
            kept.difference_update(kept.copy() if some is None else some)
            kept.update(map(int, connection.scalars(asked)))
        self.unmarked.difference_update(found)

    def concern(self, connection: Connection, locations: Iterable[int]) -> list[int]:
        """The things that are at some Locations."""
        query = select(THING_LOCATIONS.c.thing).where(among_ids(THING_LOCATIONS.c.location, sorted(set(locations))))
        return list(connection.scalars(query))
