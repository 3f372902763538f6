"""The functions of geometry, calculated outside of the databases, which know none: by GEOS, for all rows at once.

What they look at is kept decoded, one array for each field that holds GeoJSON, and follows the catalogue.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, select

from civium.engines.catalog import Catalog

Geometries = NDArray[Any]  # of shapely geometries, None where there is none
_MOST_CORNERS = 10_000
_RELATION = 9  # letters of a DE-9IM pattern
_BLOCK = 50_000


@dataclass(frozen=True, slots=True)
class GeometryFunction:
    """``gives`` a kind; ``of`` works on one or two arrays of geometries; ``pattern``: it takes a text as third."""

    gives: str
    of: Callable[..., NDArray[Any]]
    takes: int = 2
    pattern: bool = False


def _length(shapes: Any) -> Any:
    """Length of lines [degree]; an area has none, whatever its boundary."""
    return np.where(shapely.get_dimensions(shapes) < 2, shapely.length(shapes), 0.0)


FUNCTIONS: dict[str, GeometryFunction] = {
    # In the plane of longitude and latitude [degree], as in the coordinate system of the data (EPSG:4326).
    "geo.distance": GeometryFunction("number", shapely.distance),
    "geo.length": GeometryFunction("number", _length, takes=1),
    "geo.intersects": GeometryFunction("bool", shapely.intersects),
    "st_equals": GeometryFunction("bool", shapely.equals),
    "st_disjoint": GeometryFunction("bool", shapely.disjoint),
    "st_touches": GeometryFunction("bool", shapely.touches),
    "st_within": GeometryFunction("bool", shapely.within),
    "st_overlaps": GeometryFunction("bool", shapely.overlaps),
    "st_crosses": GeometryFunction("bool", shapely.crosses),
    "st_intersects": GeometryFunction("bool", shapely.intersects),
    "st_contains": GeometryFunction("bool", shapely.contains),
    "st_relate": GeometryFunction("bool", shapely.relate_pattern, pattern=True),
}


def calculate(function: GeometryFunction, given: Sequence[Any], kinds: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
    """What a function gives for each id, and for which ids it means something.

    ``given`` are arrays of geometries by id, or texts of literals, and ``kinds`` what each is. Raises ``ValueError``
    and shapely's errors.
    """
    expected = ["geometry"] * function.takes + ["string"] * function.pattern
    if list(kinds) != expected:
        raise ValueError(f"it takes {' and '.join(expected)}, not {' and '.join(kinds) or 'nothing'}")
    taken: list[Any] = []
    for kind, one in zip(kinds, given, strict=True):
        if kind == "string":
            taken.append(check_pattern(one or ""))
        elif isinstance(one, np.ndarray):
            taken.append(one)
        else:
            taken.append(read_literal(one or ""))
            shapely.prepare(taken[-1])
    found = np.asarray(function.of(*taken))
    if found.ndim == 0:
        return found, np.zeros(0, np.int64)
    missing = np.logical_or.reduce([shapely.is_missing(one) for one in taken if isinstance(one, np.ndarray)])
    return found, np.flatnonzero(~missing)


def read_literal(text: str) -> Any:
    """The geometry of a literal, in well-known text (an ``SRID=4326;`` before it may stand) or GeoJSON.

    Raises ``ValueError``.
    """
    bare = text.strip()
    if bare[:5].upper() == "SRID=":
        system, _, bare = bare.partition(";")
        if system[5:].strip() != "4326":
            raise ValueError(f"its coordinate system is {system[:20]}; it can be SRID=4326")
    try:
        found = shapely.from_geojson(bare) if bare[:1] == "{" else shapely.from_wkt(bare)
    except shapely.errors.ShapelyError as error:
        known = "well-known text or GeoJSON"
        raise ValueError(f"'{text[:40]}' is not a geometry in {known}: {str(error)[:100]}") from None
    if found is None or not np.isfinite(shapely.get_coordinates(found)).all():
        raise ValueError(f"'{text[:40]}' holds a coordinate that is not a number")
    if shapely.get_num_coordinates(found) > _MOST_CORNERS:
        raise ValueError(f"a geometry of more than {_MOST_CORNERS} corners is too large")
    return found


def present(shapes: Geometries) -> list[int]:
    """The ids for which there is a geometry."""
    ids: list[int] = np.flatnonzero(~shapely.is_missing(shapes)).tolist()
    return ids


def check_pattern(pattern: str) -> str:
    """A pattern of DE-9IM, such as ``T*F**F***``; raises ``ValueError``."""
    if len(pattern) != _RELATION or set(pattern.upper()) - set("TF*012"):
        raise ValueError(f"'{pattern[:20]}' is not a pattern of nine letters T, F, *, 0, 1, 2")
    return pattern.upper()


def decode(texts: Sequence[str | None]) -> Geometries:
    """Geometries of GeoJSON texts (or of Features); None where a text holds none."""
    given = np.array([text if text and text.lstrip()[:1] == "{" else None for text in texts], dtype=object)
    found: Geometries = shapely.from_geojson(given, on_invalid="ignore")
    return found


class _Column:
    """The geometries of one column, by id."""

    def __init__(self) -> None:
        self.seq = 0
        self.of: Geometries = np.full(1, None, dtype=object)

    def follow(self, connection: Connection, table: Table, column: str) -> None:
        """Take in the rows that have come or changed since."""
        query = select(table.c.id, table.c[column], table.c.seq).where(table.c.seq > self.seq)
        for block in connection.execute(query).partitions(_BLOCK):
            ids = np.array([row[0] for row in block], np.int64)
            size = int(ids.max()) + 1
            if size > len(self.of):
                more = np.full(max(size, len(self.of) * 3 // 2) - len(self.of), None, dtype=object)
                self.of = np.concatenate([self.of, more])
            self.of[ids] = decode([row[1] for row in block])
            self.seq = max(self.seq, max(int(row[2]) for row in block))


_KEPT: WeakKeyDictionary[Catalog, dict[tuple[str, str], _Column]] = WeakKeyDictionary()
_FOLLOWING = threading.Lock()


def geometries(catalog: Catalog, connection: Connection, table: Table, column: str) -> Geometries:
    """The geometries of a column of the catalogue, by id (place 0 is unused); None where there is no GeoJSON."""
    with _FOLLOWING:
        kept = _KEPT.setdefault(catalog, {}).setdefault((table.name, column), _Column())
        kept.follow(connection, table, column)
        return kept.of
