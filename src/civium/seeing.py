"""What a caller sees, at a city, and so what its readings and changes may refer to."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from civium.core.rights import PUBLIC, Caller
from civium.engines.catalog.tables import FEATURES
from civium.sources.sensorthings.moment import LakeMoment, Moment
from civium.sources.sensorthings.sight import Sight
from civium.twin.census import LiveMoment

if TYPE_CHECKING:
    from civium.city import City

Ids = NDArray[np.int64]


def moment_of(city: "City") -> Moment:
    """What is known of streams now: at once where the process follows the log, else from the lake."""
    if city.roles & {"turn", "web"}:
        return LiveMoment(city.follower.live, city.follower.census)
    return LakeMoment(city.store)


def hidden_features(city: "City", caller: Caller, features: Ids) -> Ids:
    """Those of some features that a caller may not know of; an id that none has is not among them."""
    sight = Sight.of(caller, city.rights)
    there = np.unique(features[(features > 0) & (features < city.catalog.next_id(FEATURES.name))])
    if sight is None or not len(there):
        return there[:0]
    seen = sight.seen("FeatureOfInterest", FEATURES, there.tolist(), moment_of(city), city.catalog)
    return np.setdiff1d(there, np.array(sorted(seen), np.int64))


def foreign_features(city: "City", streams: Ids, features: Ids, by_topic: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of readings whose sender is not known any more: which name a feature that is none of theirs.

    A reading of an open stream may name what everybody sees; one of another stream also what its thing was observed of.
    Else who may write one stream could make known, by an open reading, where a restricted one was observed. Where only
    the body names the stream, which no server looks at, it must be one that is open: others have topics of their own.
    """
    index, open_ = city.catalog.streams, city.rights.readable(PUBLIC)
    guarded = by_topic & index.known(streams) & ~open_.among(streams)
    hidden = np.isin(features, hidden_features(city, PUBLIC, features))
    if not hidden.any():
        return guarded
    thing = index.thing[: len(index.exists)]
    for row in np.flatnonzero(hidden).tolist():
        stream = int(streams[row])
        if 0 < stream < len(thing) and not open_.holds(stream):
            mine = np.flatnonzero((thing == thing[stream]) & index.exists)
            hidden[row] = not any(features[row] in some for some in moment_of(city).features(mine))
    foreign: NDArray[np.bool_] = hidden | guarded
    return foreign
