"""Where things that move are: the last place that each told of itself, a GeoJSON point in its stream ``position``."""

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from civium.city import City
from civium.core import MICROSECONDS
from civium.core.view import column
from civium.engines.rights import Reach

PROPERTY = "position"
_GONE_S = 900.0  # who was silent for longer is nowhere
# $1 since when [us]
_LAST = """
SELECT w.thing AS thing, arg_max(o.json, o.time) AS place FROM observations o JOIN wanted w ON o.stream = w.stream
WHERE o.time > make_timestamp($1) AND o.json IS NOT NULL GROUP BY w.thing
"""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def positions_of(city: City, reach: Reach, kind: str) -> tuple[Ints, Ints, Floats, Floats]:
    """The things of a kind that tell where they are, as far as the caller may know; those that did lately, and where:
    longitude and latitude [deg]. What is no point on Earth is passed over."""
    streams = city.catalog.streams_of(PROPERTY, kind, city.catalog.applied())
    streams = streams.filter(pa.array(reach.among(column(streams, "stream").astype(np.int64))))
    if not streams.num_rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    since = city.clock.now() - int(_GONE_S * MICROSECONDS)
    rows = city.store.query(_LAST, [since], {"wanted": streams.select(["stream", "thing"])})
    placed, lon, lat = points_of(rows.column("place"))
    tellers, told = (column(table, "thing").astype(np.int64) for table in (streams, rows))
    return tellers, told[placed], lon, lat


def points_of(texts: pa.ChunkedArray) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Which of some GeoJSON texts are a point on Earth; longitude and latitude [deg] of these."""
    known = texts.to_numpy(zero_copy_only=False)
    shapes = shapely.from_geojson(known, on_invalid="ignore") if len(known) else np.zeros(0, object)
    lon, lat = shapely.get_x(shapes), shapely.get_y(shapes)
    with np.errstate(invalid="ignore"):
        placed = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
    return placed, lon[placed], lat[placed]
