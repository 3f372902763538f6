"""The SQL of the lake: DuckDB's dialect, ids as a condition, and results in the unit in which they were given."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Double,
    Integer,
    Select,
    String,
    TryCast,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    try_cast,
)
from sqlalchemy import literal_column as raw
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.sql.compiler import SQLCompiler

from civium.core import InputRefused
from civium.engines.catalog import COUNT, NUMBER, Catalog
from civium.sources.sensorthings.functions import Sql, Value

_LANES = {"number": pa.float64(), "string": pa.string()}
FEW = 500  # ids that are written out, so that DuckDB can skip files by them
DIGITS = 12  # significant digits that survive the way through SI
# What SQLite and PostgreSQL say of SQL that they do not read.
_DEEP = ("parser stack overflow", "Expression tree is too large", "stack depth limit", "too complex")
_TINY = 1e-200  # has a logarithm, zero has none


@dataclass(frozen=True, slots=True)
class Units:
    """How results of some streams are said in the unit in which they were given, as numbers in SQL."""

    catalog: Catalog
    streams: NDArray[np.int64] | None = None  # None: any

    def given(self, si: Sql, stream: Sql) -> Sql:
        """The value as it was given."""
        groups = sorted(self._lines(), key=lambda group: len(group[2]))
        if not groups:
            return si
        *others, (factor, offset, _) = groups
        common = _given(si, factor, offset)
        cases = [(stream.in_(among(ids)), _given(si, factor, offset)) for factor, offset, ids in others]
        return case(*cases, else_=common) if cases else common

    def _lines(self) -> Iterator[tuple[float, float, NDArray[np.int64]]]:
        """Factor and offset of each unit in use, and the streams that use it."""
        index = self.catalog.streams
        ids = np.flatnonzero(index.exists) if self.streams is None else self.streams[index.known(self.streams)]
        measured = (index.value_type[ids] == NUMBER) | (
            index.value_type[ids] == COUNT
        )  # what else has values has no unit
        factors, offsets = np.where(measured, index.factor[ids], 1.0), np.where(measured, index.offset[ids], 0.0)
        while len(ids):  # a city has some dozens of units, and one pass over a million streams takes milliseconds
            factor, offset = float(factors[0]), float(offsets[0])
            same = (factors == factor) & (offsets == offset)
            yield factor, offset, ids[same]
            ids, factors, offsets = ids[~same], factors[~same], offsets[~same]


@contextmanager
def calculable() -> Iterator[None]:
    """Around a query of the catalogue: PostgreSQL refuses a sum past all bounds, and a NUL in a text; both databases
    refuse SQL that is nested too deeply, and so does the language that this is written in."""
    try:
        yield
    except DataError as error:
        raise InputRefused(f"the query cannot be calculated: {str(error.orig).splitlines()[0]}") from None
    except (RecursionError, OperationalError) as error:
        said = str(error.orig) if isinstance(error, OperationalError) else ""
        if said and not any(word in said for word in _DEEP):
            raise
        raise InputRefused("the query is too complex: nest fewer functions and follow fewer links") from None


def among(ids: NDArray[np.int64]) -> Any:
    """What to put behind IN for these ids, in the lake."""
    if len(ids) == 0:
        return [raw("-1")]  # no id is negative; an empty list would be neither true nor false
    if len(ids) <= FEW:
        return [raw(str(int(one))) for one in ids]
    return select(func.unnest(bindparam(None, ids.tolist(), ARRAY(BigInteger))))


def looked_up(rows: Sequence[Sequence[Any]], lanes: Sequence[str]) -> pa.Table:
    """Rows of the catalogue (an id, and a value for each of the ``lanes``, instants [us since epoch]) for the lake."""
    columns = {"id": pa.array([row[0] for row in rows], pa.int64())}
    for place, lane in enumerate(lanes, 1):
        values = [row[place] for row in rows]
        if lane in ("instant", "end"):
            columns[lane] = pa.array(values, pa.int64()).cast(pa.timestamp("us"))
        elif lane == "bool":
            columns[lane] = pa.array([None if value is None else bool(value) for value in values], pa.bool_())
        else:
            columns[lane] = pa.array(values, _LANES[lane])
    return pa.table(columns)


def lake_text(statement: Select[Any]) -> tuple[str, list[Any]]:
    """DuckDB's text of a statement and its parameters in order."""
    compiled = statement.compile(dialect=_DuckDb(paramstyle="qmark"))
    return str(compiled), [compiled.params[name] for name in compiled.positiontup or ()]


class _DuckDbCompiler(SQLCompiler):
    def visit_try_cast(self, cast: TryCast[Any], **words: Any) -> str:
        return f"TRY_CAST({self.process(cast.clause, **words)} AS {self.process(cast.typeclause, **words)})"


class _DuckDb(DefaultDialect):
    statement_compiler = _DuckDbCompiler
    supports_native_boolean = True
    div_is_floordiv = False


def given(si: float, factor: float, offset: float) -> float:
    """The value as it was given, to the digits that survive the way through SI.

    Beside a large offset those are fewer: 0.1 degC is 273.25 K, and 12 digits of that are 9 decimals.
    """
    if factor == 1 and offset == 0:
        return si
    value = (si - offset) / factor
    scale = max(abs(value), abs(offset / factor), _TINY)
    return round(value, DIGITS - 1 - math.floor(math.log10(scale)))


def _given(si: Sql, factor: float, offset: float) -> Sql:
    """The same in SQL; null for NaN."""
    if factor == 1 and offset == 0:
        return si
    value = (si - _double(offset)) / _double(factor)
    scale = func.greatest(func.abs(value), _double(max(abs(offset / factor), _TINY)))
    return func.round(value, try_cast(DIGITS - 1 - func.floor(func.log10(scale)), Integer), type_=Double)


def _double(number: float) -> Sql:
    return raw(f"CAST({float(number)!r} AS DOUBLE)", Double)  # a bare decimal would be exact and short


def plain(number: Sql) -> Sql:
    """A double as text, a whole one without a point."""
    told: Sql = func.regexp_replace(cast(number, String), r"\.0$", "", type_=String)
    return told


def json_path(keys: Sequence[str]) -> str:
    """Keys of JSON as a path that both DuckDB and SQLite understand; ``[3]`` is a place in an array."""
    return "$" + "".join(key if key[:1] == "[" else f'."{key}"' for key in keys)


def json_value(column: Sql, keys: Sequence[str]) -> Value:
    """What a JSON column of the lake holds behind some keys; each way is null where it holds another kind."""
    path = json_path(keys)
    text: Sql = func.json_extract_string(column, path, type_=String)
    kind: Sql = func.json_type(column, path)
    number: Sql = case((or_(kind == "BIGINT", kind == "UBIGINT", kind == "DOUBLE"), cast(text, Double)))
    words: Sql = case((kind == "VARCHAR", text))
    truth: Sql = case((kind == "BOOLEAN", text == "true"))
    return Value("any", text, ways={"number": number, "string": words, "bool": truth})


_OFFSET = r"T.*([+-]\d\d):?(\d\d)?$"


def utc(text: Sql) -> Sql:
    """The instant of an ISO 8601 text; DuckDB alone would pass over its offset."""
    hours, minutes = (try_cast(func.regexp_extract(text, _OFFSET, group), Integer) for group in (1, 2))
    sign = case((func.regexp_matches(text, r"T.*-\d\d:?(\d\d)?$"), -1), else_=1)
    offset = func.coalesce(hours, 0) * 60 + sign * func.coalesce(minutes, 0)
    local = try_cast(func.regexp_replace(text, r"(T.*)[+-]\d\d:?(\d\d)?$", r"\1"), DateTime)
    return local - func.to_minutes(offset)
