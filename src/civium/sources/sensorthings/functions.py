"""The functions of the query language, as data: what they take, what they give, and how SQL says it.

The databases agree on most functions. Where DuckDB (lake) differs, ``Database`` tells it apart; where those of the
catalogue differ from one another, ``civium.engines.catalog.dialects`` has one word for both. The functions of geometry
are in ``geometry``: neither database knows any.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Double, Integer, String, and_, case, cast, extract, func, literal, or_

from civium.core import MICROSECONDS
from civium.engines.catalog import dialects

Sql = ColumnElement[Any]


class Database(Enum):
    """Where an expression will run."""

    CATALOGUE = "catalogue"
    LAKE = "lake"


@dataclass(frozen=True, slots=True)
class Value:
    """A compiled expression.

    ``kind`` is string, number, bool, instant, date, clock, duration, null, geometry, any, or JSON object (that is there
    or not). ``sql`` is the value (of an instant its start, with ``end`` where it is an interval). What is ``any`` holds
    values of several kinds in ``ways``, each null where the value is of another kind. A geometry is the text of a
    literal, or the name of the field that holds it, in ``constant`` or ``column``. ``constant`` is the value of a
    literal. ``size`` is of how many parts its SQL is, about.
    """

    kind: str
    sql: Sql
    end: Sql | None = None
    ways: Mapping[str, Sql] = field(default_factory=dict)
    constant: Any = None
    column: str = ""
    size: int = 1

    @property
    def ends(self) -> Sql:
        return self.sql if self.end is None else self.end


def as_kind(value: Value, kind: str) -> Sql | None:
    """The SQL of a value seen as a kind, or None if it cannot be that."""
    if value.kind == kind:
        return value.sql
    return value.ways.get(kind) if value.kind == "any" else None


Builder = Callable[..., Sql]


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` the kinds of its arguments ("?" before one that may be left out; an interval is an instant with an
    end), ``gives`` a kind, and says each argument ``times`` at most in its SQL."""

    takes: tuple[str, ...]
    gives: str
    build: Builder  # (database, *arguments as SQL, or as Value where the kind is instant or interval)
    times: int = 1


_MOST_LETTERS = 1_000_000


def _whole(number: Sql) -> Sql:
    bounded: Sql = case((number < 0, 0), (number > _MOST_LETTERS, _MOST_LETTERS), else_=dialects.whole(number))
    return bounded


def _substring(_: Database, text: Sql, start: Sql, length: Sql | None = None) -> Sql:
    counts = [_whole(start) + 1] if length is None else [_whole(start) + 1, _whole(length)]
    return func.substr(text, *counts, type_=String)


def _startswith(_: Database, text: Sql, start: Sql) -> Sql:
    return func.substr(text, 1, func.length(start)) == start


def _endswith(_: Database, text: Sql, end: Sql) -> Sql:
    at = func.length(text) - func.length(end) + 1
    return and_(at >= 1, func.substr(text, at) == end)


def _part(name: str, pattern: str) -> Builder:
    """A part of an instant in UTC."""

    def build(database: Database, instant: Value) -> Sql:
        if database is Database.LAKE:
            return extract(name, instant.sql)
        return cast(dialects.moment(pattern, instant.sql), Integer)

    return build


def _format(pattern: str) -> Builder:
    def build(database: Database, instant: Value) -> Sql:
        if database is Database.LAKE:
            return func.strftime(instant.sql, pattern, type_=String)
        return dialects.moment(pattern, instant.sql)

    return build


def _fraction(database: Database, instant: Value) -> Sql:
    if database is Database.LAKE:
        return (func.epoch_us(instant.sql) % MICROSECONDS) / cast(MICROSECONDS, Double)
    return (instant.sql % MICROSECONDS) / cast(MICROSECONDS, Double)


def before(a: Value, b: Value) -> Sql:
    """That a span of time is over when another begins; an instant is not before itself."""
    return and_(a.sql < b.sql, a.ends <= b.sql)


COMPARISONS: dict[str, Callable[[Any, Any], Sql]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
# Of spans of time, which do not hold their end: one is before another if it ends when that starts, or earlier.
SPANS: dict[str, Callable[[Value, Value], Sql]] = {
    "eq": lambda a, b: and_(a.sql == b.sql, a.ends == b.ends),
    "ne": lambda a, b: or_(a.sql != b.sql, a.ends != b.ends),
    "lt": before,
    "le": lambda a, b: and_(a.sql <= b.sql, a.ends <= b.ends),
    "gt": lambda a, b: before(b, a),
    "ge": lambda a, b: and_(a.sql >= b.sql, a.ends >= b.ends),
}


def _temporal(test: Callable[[Value, Value], Sql], other: str = "instant") -> Function:
    return Function(("instant", other), "bool", lambda _, one, other: test(one, other), times=4)


FUNCTIONS: dict[str, Function] = {
    "substringof": Function(("string", "string"), "bool", lambda _, part, text: dialects.position(text, part) > 0),
    "contains": Function(("string", "string"), "bool", lambda _, text, part: dialects.position(text, part) > 0),
    "startswith": Function(("string", "string"), "bool", _startswith, times=2),
    "endswith": Function(("string", "string"), "bool", _endswith, times=3),
    "length": Function(("string",), "number", lambda _, text: func.length(text)),
    "indexof": Function(("string", "string"), "number", lambda _, text, part: dialects.position(text, part) - 1),
    "substring": Function(("string", "number", "?number"), "string", _substring, times=3),
    "tolower": Function(("string",), "string", lambda _, text: func.lower(text)),
    "toupper": Function(("string",), "string", lambda _, text: func.upper(text)),
    "trim": Function(("string",), "string", lambda _, text: func.trim(text)),
    "concat": Function(("string", "string"), "string", lambda _, one, other: cast(one, String) + cast(other, String)),
    "round": Function(("number",), "number", lambda _, number: dialects.rounded(number)),
    # SQLAlchemy gives SQLite a floor of its own, which fails on null.
    "floor": Function(("number",), "number", lambda _, number: -func.ceil(-number)),
    "ceiling": Function(("number",), "number", lambda _, number: func.ceil(number)),
    "year": Function(("instant",), "number", _part("year", "%Y")),
    "month": Function(("instant",), "number", _part("month", "%m")),
    "day": Function(("instant",), "number", _part("day", "%d")),
    "hour": Function(("instant",), "number", _part("hour", "%H")),
    "minute": Function(("instant",), "number", _part("minute", "%M")),
    "second": Function(("instant",), "number", _part("second", "%S")),
    "fractionalseconds": Function(("instant",), "number", _fraction),
    "date": Function(("instant",), "date", _format("%Y-%m-%d")),
    "time": Function(("instant",), "clock", _format("%H:%M:%S")),
    # All is kept in UTC; of an instant in the query the compiler tells the zone.
    "totaloffsetminutes": Function(("instant",), "number", lambda _, __: literal(0)),
    "before": _temporal(before),
    "after": _temporal(lambda a, b: before(b, a)),
    "meets": _temporal(lambda a, b: or_(a.ends == b.sql, b.ends == a.sql)),
    "during": _temporal(lambda a, b: and_(a.sql >= b.sql, a.ends <= b.ends, a.sql < b.ends), "interval"),
    "overlaps": _temporal(lambda a, b: or_(a.sql == b.sql, and_(a.sql < b.ends, b.sql < a.ends))),
    "starts": _temporal(lambda a, b: a.sql == b.sql),
    "finishes": _temporal(lambda a, b: a.ends == b.ends),
}
# now(), mindatetime() and maxdatetime() are constants of a request: the compiler folds them.
CONSTANTS = ("now", "mindatetime", "maxdatetime")
