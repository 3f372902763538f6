"""Compiles the query tree to SQL within a scope; every constant becomes a bound parameter.

A condition that follows a link holds if some linked entity meets it.
"""

from dataclasses import replace
from typing import Any

import msgspec
from shapely.errors import ShapelyError
from sqlalchemy import BigInteger, Double, and_, case, cast, func, literal, not_, null, or_, true

from civium.core import InputRefused, to_datetime
from civium.engines.catalog import dialects
from civium.engines.catalog.dialects import among_ids
from civium.sources.instants import read_period
from civium.sources.sensorthings import geometry
from civium.sources.sensorthings.functions import (
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    SPANS,
    Database,
    Sql,
    Value,
    as_kind,
)
from civium.sources.sensorthings.model import OBSERVATIONS, Link
from civium.sources.sensorthings.paging import Key
from civium.sources.sensorthings.scope import Scope
from civium.sources.sensorthings.sql import CatalogueScope
from civium.sources.sensorthings.tree import (
    Among,
    Arithmetic,
    Call,
    Compare,
    Expression,
    Known,
    Literal,
    Logical,
    Negate,
    Not,
    Order,
    Path,
    Some,
    path_text,
)
from civium.sources.sensorthings.walk import denies, paths, unquoted, without

_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 and 9999
_LARGEST = 200  # parts of the SQL of a value
_MOST_LINKS = 6  # that a condition follows one behind the other; what SQL nests deeper, SQLite does not read
_COMPARABLE = ("number", "string", "bool", "date", "clock", "duration")


class Compiler:
    """Turns expressions into SQL within a scope."""

    def __init__(self, scope: Scope, links: int = 0) -> None:
        self.scope, self.now, self._links = scope, scope.ground.now, links

    def condition(self, node: Expression) -> Sql:
        """An expression that must be true or false."""
        match node:
            case Logical("and", terms):
                return self._all(terms)
            case Logical(_, terms):
                return or_(*(self.condition(term) for term in terms))
            case Not(operand):
                return not_(self.condition(operand))
            case Some(links, variable, condition, at):
                return self._some(links, variable, condition, at)
        link = self._behind(node) or self._among_others(node)
        if link is not None:
            return self._inside(link, node)
        if isinstance(node, Among):
            return self._among(node)
        if isinstance(node, Compare):
            return self._compare(node)
        value = self.value(node)
        truth = as_kind(value, "bool")
        if truth is None:
            raise InputRefused(f"$filter must be a condition, but this is a {_kind(value)}{_place(node)}")
        return truth if value.kind != "bool" or value.constant is None else (true() if value.constant else ~true())

    def order(self, order: Order) -> list[Key]:
        """The columns to sort by."""
        value = self.value(order.by)
        if value.kind in ("geometry", "JSON object"):
            raise InputRefused(f"$orderby cannot sort by a {value.kind}{_place(order.by)}")
        if value.kind == "null" or value.constant is not None:
            return []  # a constant sorts nothing, and PostgreSQL takes one for a mistake
        if value.kind == "bool":  # which may turn out to be a constant, that a database takes for a column's number
            return [Key(case((value.sql, 1), (not_(value.sql), 0)), order.descending, "number")]
        if value.kind == "any":
            kinds = [kind for kind in ("number", "string", "bool") if kind in value.ways]  # null, truth, text, number
            return [Key(value.ways[kind], order.descending, kind) for kind in kinds]
        own = value.sql is self.scope.row.c.id or value.sql is OBSERVATIONS.c.time
        return [Key(value.sql, order.descending, value.kind, always=own)]

    def _beyond(self, scope: Scope) -> "Compiler":
        """What compiles behind one more link."""
        if self._links == _MOST_LINKS:
            raise InputRefused(f"a condition or an order follows more than {_MOST_LINKS} links: ask in fewer steps")
        return Compiler(scope, self._links + 1)

    def _all(self, terms: tuple[Expression, ...]) -> Sql:
        """All of them; those that speak of the same link to many must be met by one and the same entity there."""
        met: list[Sql] = []
        together: dict[str, list[Expression]] = {}
        for term in terms:
            link = None if denies(term) else self._behind(term)
            if link is not None and link.many:
                together.setdefault(link.name, []).append(term)
            else:
                met.append(self.condition(term))
        for name, some in together.items():
            link = self.scope.entity.link(name)
            assert link is not None
            met.append(self._inside(link, Logical("and", tuple(some)) if len(some) > 1 else some[0]))
        return and_(*met)

    def _behind(self, node: Expression) -> Link | None:
        """The link that all names of an expression follow first, if it is one."""
        links = [self.scope.linked(path.names) for path in paths(node)]
        same = bool(links) and all(link is not None and link == links[0] for link in links)
        plain = not any(len(path.names) == 1 for path in paths(node))
        return links[0] if same and plain else None

    def _among_others(self, node: Expression) -> Link | None:
        """The one link to many that some names of a comparison follow, while others stay here."""
        links = [self.scope.linked(path.names) for path in paths(node) if len(path.names) > 1]
        many = {link.name: link for link in links if link is not None and link.many}
        return next(iter(many.values())) if isinstance(node, Compare | Call) and len(many) == 1 else None

    def _inside(self, link: Link, node: Expression) -> Sql:
        inside = without(node, link.name, self._known)
        met = self.scope.some(link, lambda scope: self._beyond(scope).condition(inside))
        if link.many and isinstance(node, Compare) and node.operator == "eq" and _is_null(node):
            return or_(met, not_(self.scope.some(link, lambda _: true())))  # nothing there has no value either
        return met

    def _known(self, path: Path) -> Known:
        """What a path means here, for a condition on what is behind a link."""
        return Known(self.value(path), type(self.scope), path.at)

    def _among(self, node: Among) -> Sql:
        if not isinstance(node.item, Literal) or node.item.kind not in ("number", "string", "bool"):
            raise InputRefused(f"'in' takes a number, a text or a truth value before a path, at position {node.at}")
        return self.scope.among(node.path, msgspec.json.encode(node.item.value).decode())

    def _some(self, links: tuple[str, ...], variable: str, condition: Expression | None, at: int) -> Sql:
        link = self.scope.entity.link(links[0])
        if link is None:
            raise InputRefused(f"{self.scope.entity.name} has no '{links[0]}', at position {at}")
        inside = condition
        if condition is not None and len(links) == 1:
            inside = without(condition, variable, self._known)

        def met(scope: Scope) -> Sql:
            if len(links) > 1:
                return self._beyond(scope)._some(links[1:], variable, inside, at)
            return true() if inside is None else self._beyond(scope).condition(inside)

        return self.scope.some(link, met)

    def _follow(self, path: Path, link: Link) -> Value:
        """The value behind links that each lead to one entity."""
        if len(path.names) == 1:
            raise InputRefused(f"'{link.name}' at position {path.at} is an entity; name a property of it")
        if link.many:
            why = f"'{path_text(path.names)}' at position {path.at} has many values, and cannot be sorted by, or "
            raise InputRefused(why + f"stand in one comparison with what is not {link.name}/...", status=501)
        rest = replace(path, names=path.names[1:])
        found = self.scope.behind(link, lambda scope: self._beyond(scope).value(rest))
        if found.kind == "geometry":
            raise InputRefused(f"'{path_text(path.names)}' at position {path.at} is a geometry", status=501)
        return found

    def value(self, node: Expression) -> Value:
        """An expression that gives a value."""
        match node:
            case Literal():
                return self._literal(node)
            case Path():
                link = self.scope.linked(node.names)
                return self.scope.value(node) if link is None else self._follow(node, link)
            case Call():
                return self._call(node)
            case Known(value, where, at):
                if where is not type(self.scope):
                    raise InputRefused(f"what stands at position {at} is in another database", status=501)
                return value  # type: ignore[no-any-return]  # the tree knows nothing of SQL
            case Negate(operand):
                value = self.value(operand)
                return Value("number", -self._number(operand, value), size=1 + value.size)
            case Arithmetic():
                return self._arithmetic(node)
        return Value("bool", self.condition(node))

    def _instant(self, instant: int) -> Sql:
        if self.scope.database is Database.CATALOGUE:
            return literal(instant, BigInteger)
        return literal(to_datetime(instant).replace(tzinfo=None))

    def _literal(self, node: Literal) -> Value:
        match node.kind:
            case "null":
                return Value("null", null())
            case "instant":
                if not _EARLIEST <= node.value <= _LATEST:
                    raise InputRefused("an instant lies outside the years 1 to 9999")
                return Value("instant", self._instant(node.value), constant=node.value)
            case "period":
                start, end = node.value
                end = start if end is None else end
                return Value("instant", self._instant(start), end=self._instant(end))
            case "number":
                return Value("number", literal(node.value), constant=node.value)
            case "bool":
                return Value("bool", true() if node.value else ~true(), constant=node.value)
            case "geometry":
                return Value("geometry", null(), constant=node.value)
            case "clock":
                full = node.value if node.value.count(":") == 2 else node.value + ":00"
                return Value("clock", literal(full.partition(".")[0]), constant=full)
            case "string":
                lake = self.scope.database is Database.LAKE
                return Value(
                    "string", literal(node.value) if lake else dialects.constant(node.value), constant=node.value
                )
            case kind:
                return Value(kind, literal(node.value), constant=node.value)

    def _number(self, node: Expression, value: Value) -> Sql:
        """The number that an expression with this value is."""
        number = as_kind(value, "number")
        if number is None:
            raise InputRefused(f"a number is needed, not a {_kind(value)}{_place(node)}")
        return number

    def _arithmetic(self, node: Arithmetic) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if {"instant", "date", "duration"} & {left.kind, right.kind}:
            return self._of_times(node, left, right)
        a = cast(self._number(node.left, left), Double)  # whole numbers could overflow
        b = cast(self._number(node.right, right), Double)
        match node.operator:
            case "add":
                found = a + b
            case "sub":
                found = a - b
            case "mul":
                found = a * b
            case "div":
                found = a / func.nullif(b, 0)
            case _:
                other = func.nullif(b, 0)
                found = a.op("%")(other) if self.scope.database is Database.LAKE else dialects.rest(a, other)
        # DuckDB makes a CASE of a nullif, and writes its operand twice.
        times = 2 if self.scope.database is Database.LAKE and node.operator in ("div", "mod") else 1
        return Value("number", found, size=_bounded(1 + left.size + times * right.size, node))

    def _of_times(self, node: Arithmetic, left: Value, right: Value) -> Value:
        """Times move by durations, and the span between two is one."""
        lake, sign = self.scope.database is Database.LAKE, 1 if node.operator == "add" else -1
        left = self._as_instant(left)
        match (left.kind, node.operator, right.kind):
            case ("instant", "add" | "sub", "duration") if right.constant is not None:
                shift = sign * right.constant
                if left.constant is not None and left.end is None:
                    return self._literal(Literal("instant", left.constant + shift))
                moved: Any = func.to_microseconds(literal(shift, BigInteger)) if lake else literal(shift, BigInteger)
                return Value("instant", left.sql + moved, end=None if left.end is None else left.end + moved)
            case ("instant", "sub", "instant"):
                ends = (left.sql, right.sql)
                a, b = (func.epoch_us(end, type_=BigInteger) for end in ends) if lake else ends
                return Value("duration", a - b)
            case ("duration", "add" | "sub", "duration"):
                return Value("duration", left.sql + right.sql if sign > 0 else left.sql - right.sql)
        raise InputRefused(
            f"'{node.operator}' cannot take {_kind(left)} and {_kind(right)}: times take a duration, such as "
            f"now() sub duration'PT1H', at position {node.at}"
        )

    def _as_instant(self, value: Value) -> Value:
        """A constant that stands beside a time: a date means its midnight (UTC), and a text may be an instant."""
        if value.kind not in ("date", "string") or not isinstance(value.constant, str):
            return value
        text = value.constant + "T00:00:00Z" if value.kind == "date" else value.constant
        try:
            start, end = read_period(text)
        except ValueError:
            return value
        return self._literal(Literal("instant", start) if end is None else Literal("period", (start, end)))

    def _call(self, node: Call) -> Value:
        if node.name in CONSTANTS:
            if node.arguments:
                raise InputRefused(f"{node.name} takes no arguments, at position {node.at}")
            instant = {"now": self.now, "mindatetime": _EARLIEST, "maxdatetime": _LATEST}[node.name]
            return self._literal(Literal("instant", instant))
        if node.name in geometry.FUNCTIONS:
            return self._geometry(node, geometry.FUNCTIONS[node.name])
        match node:
            case Call("totaloffsetminutes", (Literal("instant", _, offset),)):
                return self._literal(Literal("number", offset))
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise InputRefused(f"unknown function '{node.name}' at position {node.at}")
        least = sum(not kind.startswith("?") for kind in function.takes)
        if not least <= len(node.arguments) <= len(function.takes):
            raise InputRefused(f"{node.name} takes {least} arguments, at position {node.at}")
        arguments: list[Any] = []
        size = 1
        for kind, argument in zip(function.takes, node.arguments, strict=False):
            value, wanted = self.value(argument), kind.removeprefix("?")
            size = _bounded(size + function.times * value.size, node)
            value = self._as_instant(value) if wanted in ("instant", "interval") else value
            seen = value.end if wanted == "interval" and value.kind == "instant" else as_kind(value, wanted)
            if seen is None:
                raise InputRefused(f"{node.name} takes a {wanted}, not a {_kind(value)}, at position {node.at}")
            arguments.append(value if kind in ("instant", "interval") else seen)
        return Value(function.gives, function.build(self.scope.database, *arguments), size=size)

    def _geometry(self, node: Call, function: geometry.GeometryFunction) -> Value:
        """Calculated for all rows of the entity at once, before the query."""
        values = [self.value(argument) for argument in node.arguments]
        taken: list[Any] = []
        for value in values:
            if value.column:
                taken.append(self.scope.ground.geometries(self.scope.entity, value.column))
            else:
                taken.append(value.constant if value.kind in ("geometry", "string") else None)
        try:
            found, known = geometry.calculate(function, taken, [value.kind for value in values])
        except (ValueError, ShapelyError) as error:
            raise InputRefused(f"{node.name}: {error}, at position {node.at}") from None
        if not any(value.column for value in values):
            return self._literal(Literal(function.gives, found.item()))
        assert isinstance(self.scope, CatalogueScope)  # no Observation has a geometry of its own
        told = dict(zip(known.tolist(), found[known].tolist(), strict=True))
        if function.gives == "number":
            return Value("number", self.scope.calculated(f"{node.at} {node.name}", lambda: told, Double))
        row = self.scope.row.c.id
        met = [identity for identity, truth in told.items() if truth]
        # What has no geometry fits neither the condition nor its contrary.
        return Value("bool", case((among_ids(row, met), true()), (among_ids(row, list(told)), ~true())))

    def _compare(self, node: Compare) -> Sql:
        node = unquoted(node)
        left, right = self.value(node.left), self.value(node.right)
        if "null" in (left.kind, right.kind):
            if node.operator not in ("eq", "ne"):
                raise InputRefused(f"null can only be compared with eq and ne, at position {node.at}")
            other = right if left.kind == "null" else left
            if other.column and isinstance(self.scope, CatalogueScope):
                shapes = self.scope.ground.geometries(self.scope.entity, other.column)
                there = among_ids(self.scope.row.c.id, geometry.present(shapes))
                return not_(there) if node.operator == "eq" else there
            return other.sql.is_(None) if node.operator == "eq" else other.sql.is_not(None)
        if "instant" in (left.kind, right.kind):
            left, right = self._as_instant(left), self._as_instant(right)
        if left.kind == right.kind == "instant":
            return SPANS[node.operator](left, right)
        test = COMPARISONS[node.operator]
        kinds = _COMPARABLE if node.operator in ("eq", "ne") else [kind for kind in _COMPARABLE if kind != "bool"]
        pairs = [(as_kind(left, kind), as_kind(right, kind)) for kind in kinds]
        if sorted((left.kind, right.kind)) == ["any", "string"]:  # whatever it is, as text
            pairs = [(left.sql, right.sql)]
        elif left.kind == right.kind == "any" and node.operator in ("eq", "ne"):
            pairs.append((left.sql, right.sql))
        found = [test(a, b) for a, b in pairs if a is not None and b is not None]
        if found:  # two values of JSON may be of any kind, of which one at most is not null in both
            return found[0] if len(found) == 1 else func.coalesce(*found)
        raise InputRefused(f"cannot compare a {_kind(left)} with a {_kind(right)}, at position {node.at}")


def _bounded(size: int, node: Call | Arithmetic) -> int:
    """The size of a value's SQL; refused where it is past what a database reads in no time."""
    if size > _LARGEST:
        name = node.name if isinstance(node, Call) else node.operator
        raise InputRefused(f"what '{name}' at position {node.at} is made of is too large: say it in fewer steps")
    return size


def _is_null(node: Compare) -> bool:
    return any(isinstance(side, Literal) and side.kind == "null" for side in (node.left, node.right))


def _kind(value: Value) -> str:
    return "value" if value.kind == "any" else value.kind


def _place(node: Expression) -> str:
    at = getattr(node, "at", None)
    return "" if at is None else f", at position {at}"
