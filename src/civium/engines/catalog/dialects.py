"""Functions of the catalogue's SQL that SQLite and PostgreSQL spell differently, each with one meaning.

Of JSON kept as text they tell what is inside, null where it is no JSON or of another kind. DuckDB shares a few, and
reads SQLite's.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, String, Text, bindparam, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from civium.core import MICROSECONDS

Sql = ColumnElement[Any]
_FORMATS = {"%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "HH24", "%M": "MI", "%S": "SS"}


class _Spelled(FunctionElement[Any]):
    """A function whose arguments are all that tells one use from another, so that its SQL can be kept."""


# Not a Boolean by type, which in SQLite would be compared with 1, past any index.
class _AmongTexts(_Spelled):
    inherit_cache = True
    name = "among_texts"


class _AmongIds(_Spelled):
    inherit_cache = True
    name = "among_ids"


class _JsonText(_Spelled):
    inherit_cache = True
    name, type = "json_text", Text()


class _JsonWords(_Spelled):
    inherit_cache = True
    name, type = "json_words", Text()


class _JsonNumber(_Spelled):
    inherit_cache = True
    name, type = "json_number", Double()


class _JsonTruth(_Spelled):
    inherit_cache = True
    name, type = "json_truth", Boolean()


class _JsonHolds(_Spelled):
    inherit_cache = True
    name, type = "json_holds", Boolean()


class _JsonObject(_Spelled):
    inherit_cache = True
    name, type = "json_object", Text()


class _Coordinate(_Spelled):
    inherit_cache = True
    name, type = "coordinate", Double()


class _Constant(_Spelled):
    inherit_cache = True
    name, type = "constant", String()


class _Position(_Spelled):
    inherit_cache = True
    name, type = "position", BigInteger()


class _Whole(_Spelled):
    inherit_cache = True
    name, type = "whole", BigInteger()


class _Rounded(_Spelled):
    inherit_cache = True
    name, type = "rounded", Double()


class _Rest(_Spelled):
    inherit_cache = True
    name, type = "rest", Double()


class _Moment(_Spelled):
    inherit_cache = True
    name, type = "moment", String()


def among_texts(column: Sql, parameter: str) -> Sql:
    """That a text column holds one of the texts that a parameter lists, as JSON: any number of them."""
    return _AmongTexts(column, bindparam(parameter, type_=Text()))


def among_ids(column: Sql, ids: Sequence[int]) -> Sql:
    """That a column holds one of these ids, any number of them."""
    return _AmongIds(column, literal(f"[{','.join(map(str, ids))}]", Text()))


def json_ways(column: Sql, keys: Sequence[str]) -> tuple[Sql, dict[str, Sql]]:
    """What JSON holds behind some keys: anything as text, and by its kind (number, string, bool).

    A key ``[3]`` is a place in an array.
    """
    path = _json_path(keys)
    ways: dict[str, Sql] = {
        "number": _JsonNumber(column, path),
        "string": _JsonWords(column, path),
        "bool": _JsonTruth(column, path),
    }
    return _JsonText(column, path), ways


def json_address(key: Sql, kind: Sql, protocol: Sql) -> Sql:
    """A JSON object of the key, the kind and the protocol of something."""
    return _JsonObject(key, kind, protocol)


def json_holds(column: Sql, keys: Sequence[str], item: str) -> Sql:
    """That the array which JSON holds behind some keys has an item: a number, a text or a truth value, as JSON."""
    return _JsonHolds(column, _json_path(keys), literal(item, Text()))


def _json_path(keys: Sequence[str]) -> Sql:
    return literal("$" + "".join(key if key[:1] == "[" else f'."{key}"' for key in keys), Text())


def coordinate(column: Sql, axis: int) -> Sql:
    """Longitude (0) or latitude (1) [degree] of a GeoJSON Point or of a Feature that is one."""
    return _Coordinate(column, literal_column(str(axis)))


def constant(text: str) -> Sql:
    """A text of a query: compared as the texts of the tables are, by its code points."""
    return _Constant(literal(text, String()))


def position(text: Sql, part: Sql) -> Sql:
    """Where a part begins in a text, from 1; 0 where it is not in it."""
    return _Position(text, part)


def whole(number: Sql) -> Sql:
    """A small number without what is behind its point."""
    return _Whole(number)


def rounded(number: Sql) -> Sql:
    """The nearest whole number, a half away from zero."""
    return _Rounded(number)


def rest(one: Sql, other: Sql) -> Sql:
    """What is left of a division of two doubles, with the sign of the first."""
    return _Rest(one, other)


def moment(pattern: str, microseconds: Sql) -> Sql:
    """An instant [us since epoch] in UTC as text: %Y, %m, %d, %H, %M, %S and what stands between."""
    return _Moment(literal(pattern, Text()), literal(_pattern(pattern), Text()), microseconds)


def _pattern(pattern: str) -> str:
    for ours, theirs in _FORMATS.items():
        pattern = pattern.replace(ours, theirs)
    return pattern


Spelling = tuple[str, str]  # SQLite, PostgreSQL; {0} is the first argument
_SQLITE_POINT = (
    "CASE WHEN json_valid({0}) THEN coalesce("
    "CASE WHEN json_extract({0}, '$.type') = 'Point' THEN json_extract({0}, '$.coordinates[{1}]') END, "
    "CASE WHEN json_extract({0}, '$.geometry.type') = 'Point' THEN json_extract({0}, '$.geometry.coordinates[{1}]') END"
    ") END"
)


def _sqlite_json(*kinds: str) -> str:
    inside = f"CASE WHEN json_type({{0}}, {{1}}) IN ({', '.join(map(repr, kinds))}) THEN json_extract({{0}}, {{1}}) END"
    return f"CASE WHEN json_valid({{0}}) THEN {inside} END"


_SQLITE_TEXT = (
    "CASE WHEN json_valid({0}) THEN CASE WHEN json_type({0}, {1}) IN ('true', 'false') THEN json_type({0}, {1})"
    " ELSE CAST(json_extract({0}, {1}) AS TEXT) END END"
)
_SQLITE_HOLDS = (
    "(json_valid({0}) AND json_type({0}, {1}) = 'array' AND EXISTS (SELECT 1 FROM json_each({0}, {1}) AS held"
    " WHERE held.value = json_extract({2}, '$') AND held.type = json_type({2}, '$')))"
)
# Whole seconds, rounded down: SQLite would round 59.9995 s up.
_SECONDS = f"(({{2}}) - (({{2}}) % {MICROSECONDS} + {MICROSECONDS}) % {MICROSECONDS}) / {MICROSECONDS}"
_SPELLINGS: dict[type[_Spelled], Spelling] = {
    # An array, and not a subquery: PostgreSQL looks it up in the index also when it knows nothing yet of the table.
    _AmongTexts: (
        "({0} IN (SELECT value FROM json_each({1})))",
        "({0} = ANY (ARRAY(SELECT json_array_elements_text(CAST({1} AS json)))))",
    ),
    _AmongIds: (
        "({0} IN (SELECT value FROM json_each({1})))",
        "({0} = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST({1} AS json)) AS bigint))))",
    ),
    _JsonText: (_SQLITE_TEXT, "civium_json({0}, {1}, NULL)"),
    _JsonWords: (_sqlite_json("text"), "civium_json({0}, {1}, 'string')"),
    _JsonNumber: (_sqlite_json("integer", "real"), "CAST(civium_json({0}, {1}, 'number') AS double precision)"),
    _JsonTruth: (_sqlite_json("true", "false"), "CAST(civium_json({0}, {1}, 'boolean') AS boolean)"),
    _JsonHolds: (_SQLITE_HOLDS, "(CAST(civium_json({0}, {1}, 'array') AS jsonb) @> CAST({2} AS jsonb))"),
    _JsonObject: (
        "json_object('key', {0}, 'kind', {1}, 'protocol', {2})",
        "CAST(json_build_object('key', {0}, 'kind', {1}, 'protocol', {2}) AS text)",
    ),
    _Coordinate: (_SQLITE_POINT, "civium_point({0}, {1})"),
    _Constant: ("{0}", '({0} COLLATE "C")'),
    _Position: ("instr({0}, {1})", "strpos({0}, {1})"),
    _Whole: ("CAST({0} AS BIGINT)", "CAST(trunc({0}) AS integer)"),
    _Rounded: ("round({0})", "civium_round({0})"),
    _Rest: ("mod({0}, {1})", "civium_mod({0}, {1})"),
    _Moment: (f"strftime({{0}}, {_SECONDS}, 'unixepoch')", "to_char(civium_instant({2}), {1})"),
}


def _spell(template: str) -> Callable[..., str]:
    def write(element: _Spelled, compiler: SQLCompiler, **words: Any) -> str:
        return template.format(*(compiler.process(clause, **words) for clause in element.clauses))

    return write


for _function, (_sqlite, _postgresql) in _SPELLINGS.items():
    compiles(_function)(_spell(_sqlite))
    compiles(_function, "postgresql")(_spell(_postgresql))
