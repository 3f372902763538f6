"""What every door must know of every stream, as arrays indexed by stream id: a million streams in tens of megabytes."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, case, func, select

from civium.core import Access
from civium.engines.catalog.database import Database
from civium.engines.catalog.tables import DATASTREAMS, PAST

NUMBER, TEXT, JSON, COUNT, TRUTH, COMPLEX = range(6)
_O_AND_M = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"
# SensorThings 1.1, table 12; any other type may hold any JSON.
VALUE_TYPES: dict[str, int] = {
    _O_AND_M + "Measurement": NUMBER,
    _O_AND_M + "CategoryObservation": TEXT,
    _O_AND_M + "Observation": JSON,
    _O_AND_M + "CountObservation": COUNT,
    _O_AND_M + "TruthObservation": TRUTH,
}
# Of a MultiDatastream: a list of as many values as it has components, each of one of the types above.
COMPLEX_TYPE = _O_AND_M + "ComplexObservation"
_TYPES = {**VALUE_TYPES, COMPLEX_TYPE: COMPLEX}
ACCESS: dict[str, int] = {str(access): code for code, access in enumerate(Access)}

# column of the table -> dtype here, and how its words become codes
_COLUMNS: dict[str, tuple[type[np.generic], Mapping[str, int] | None]] = {
    "factor": (np.float64, None),
    "offset": (np.float64, None),
    "nan_allowed": (np.bool_, None),
    "observation_type": (np.uint8, _TYPES),
    "thing": (np.int64, None),
    "property": (np.int64, None),
    "sensor": (np.int64, None),
    "access": (np.uint8, ACCESS),
    "personal": (np.bool_, None),
    "si_unit": (np.int32, None),  # its codes are given as units turn up
}
_UNKNOWN_CODE = {"observation_type": JSON, "access": ACCESS[str(Access.RESTRICTED)]}
_BLOCK = 20_000


def guard(access: str, *, personal: bool) -> int:
    """How guarded a stream is, as in ``ACCESS``: a personal one counts as restricted."""
    closed = ACCESS[str(Access.RESTRICTED)]
    return closed if personal else ACCESS.get(access, closed)


class StreamIndex:
    """Arrays indexed by stream id, each as long as the highest id + 1 (index 0 is unused).

    One thread writes; a reader that took an array may keep it.
    """

    exists: NDArray[np.bool_]
    factor: NDArray[np.float64]  # value in SI = given * factor + offset
    offset: NDArray[np.float64]
    nan_allowed: NDArray[np.bool_]
    value_type: NDArray[np.uint8]  # NUMBER, TEXT, JSON, COUNT, TRUTH or COMPLEX
    thing: NDArray[np.int64]
    property: NDArray[np.int64]  # id of the observed property
    sensor: NDArray[np.int64]
    access: NDArray[np.uint8]  # as in ACCESS
    personal: NDArray[np.bool_]
    si_unit: NDArray[np.int32]  # as in unit_codes
    lines: tuple[NDArray[np.float64], NDArray[np.float64]]  # factor and offset, of one moment

    def __init__(self) -> None:
        self.count = 0
        self.past_access = ACCESS[str(Access.OPEN)]  # how guarded any displaced row was, at most
        self.unit_codes: dict[str, int] = {}
        self._arrays: dict[str, NDArray[Any]] = {name: np.zeros(1024, dtype) for name, (dtype, _) in _COLUMNS.items()}
        self._arrays["exists"] = np.zeros(1024, np.bool_)
        self._show(1)

    def known(self, streams: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these ids (any integers) are streams."""
        inside = (streams > 0) & (streams < len(self.exists))
        return inside & self.exists[np.where(inside, streams, 0)]

    def extend(self, rows: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
        """Take in rows of the table ``datastreams``; ``defaults`` are what the columns hold that a row leaves out."""
        if not rows:
            return
        columns: dict[str, NDArray[Any]] = {}
        for name, (dtype, codes) in _COLUMNS.items():
            unknown, default = _UNKNOWN_CODE.get(name, 0), defaults[name]
            given = (row.get(name, default) for row in rows)
            if name == "si_unit":
                values: Iterable[Any] = (self._unit_code(text) for text in given)
            else:
                values = given if codes is None else (codes.get(word, unknown) for word in given)
            columns[name] = np.fromiter(values, dtype, len(rows))
        self._put(np.fromiter((row["id"] for row in rows), np.int64, len(rows)), columns)

    def extended(self, rows: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> "StreamIndex":
        """A copy with more rows, as in ``extend``."""
        other = StreamIndex()
        other.count, other.unit_codes = self.count, dict(self.unit_codes)
        other.past_access = self.past_access
        other._arrays = {name: array.copy() for name, array in self._arrays.items()}
        other._show(len(self.exists))
        other.extend(rows, defaults)
        return other

    def change(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in new values of streams that exist: their ``id`` and the columns of the table that change."""
        self._displace([row["id"] for row in rows])
        for row in rows:
            self._own({name for name in row if name in _COLUMNS})
            for name, (_, codes) in _COLUMNS.items():
                if name in row:
                    word = row[name]
                    unknown = _UNKNOWN_CODE.get(name, 0)
                    coded = self._unit_code(word) if name == "si_unit" else codes.get(word, unknown) if codes else word
                    self._arrays[name][row["id"]] = coded
        if rows:
            self._show(len(self.exists))

    def remove(self, streams: Sequence[int]) -> None:
        """Forget streams: they are known no more, and their ids are not given again."""
        self._displace(streams)
        if streams:
            self._own({"exists"})
            at = np.array(streams, np.int64)
            self.count -= int(self._arrays["exists"][at].sum())
            self._arrays["exists"][at] = False
            self._show(len(self.exists))

    def gone(self) -> NDArray[np.int64]:
        """The streams that were taken away, ascending: ids have no other gaps."""
        missing: NDArray[np.int64] = np.flatnonzero(~self.exists[1:]) + 1
        return missing

    def load(self, connection: Connection, database: Database) -> None:
        """Take in the whole table."""
        past = PAST[DATASTREAMS.name]
        last = max(connection.scalar(select(func.max(table.c.id))) or 0 for table in (DATASTREAMS, past))
        self._reserve(last + 1)
        self._show(last + 1)
        for access, personal in connection.execute(select(past.c.access, past.c.personal).distinct()):
            self.past_access = max(self.past_access, guard(access, personal=personal))
        for unit in connection.scalars(select(DATASTREAMS.c.si_unit).distinct()):
            self._unit_code(unit)
        query = select(DATASTREAMS.c.id, *(self._coded(name) for name in _COLUMNS))
        record = np.dtype([("id", np.int64), *((name, dtype) for name, (dtype, _) in _COLUMNS.items())])
        for block in database.blocks(connection, query, _BLOCK):
            rows = np.array(block, record)
            self._put(rows["id"], {name: rows[name] for name in _COLUMNS})

    def _displace(self, streams: Sequence[int]) -> None:
        """Know how guarded rows were that a change displaces."""
        if streams:
            at = np.array(streams, np.int64)
            some = np.where(self._arrays["personal"][at], ACCESS[str(Access.RESTRICTED)], self._arrays["access"][at])
            self.past_access = max(self.past_access, int(some.max()))

    def _put(self, at: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> None:
        size = max(len(self.exists), int(at.max()) + 1)
        self._reserve(size)
        for name, values in columns.items():
            self._arrays[name][at] = values
        self._arrays["exists"][at] = True
        self.count += len(at)
        self._show(size)

    def _reserve(self, size: int) -> None:
        capacity = len(self._arrays["exists"])
        if size > capacity:
            grown = max(size, capacity + capacity // 2)
            for name, old in self._arrays.items():
                self._arrays[name] = np.concatenate([old, np.zeros(grown - capacity, old.dtype)])

    def _own(self, names: Set[str]) -> None:
        """Let later changes of some arrays go past who took them before: a unit's factor and offset belong together."""
        for name in names:
            self._arrays[name] = self._arrays[name].copy()

    def _show(self, size: int) -> None:
        self.lines = (self._arrays["factor"][:size], self._arrays["offset"][:size])
        for name, array in self._arrays.items():
            setattr(self, "value_type" if name == "observation_type" else name, array[:size])

    def _coded(self, name: str) -> ColumnElement[Any]:
        codes = self.unit_codes if name == "si_unit" else _COLUMNS[name][1]
        if not codes:
            return DATASTREAMS.c[name]
        return case(codes, value=DATASTREAMS.c[name], else_=_UNKNOWN_CODE.get(name, 0))

    def _unit_code(self, unit: str) -> int:
        return self.unit_codes.setdefault(unit, len(self.unit_codes))
