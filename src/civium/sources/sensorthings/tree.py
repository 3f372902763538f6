"""The tree of a SensorThings query, and its text: what the parser makes and the compiler reads."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from civium.core import MICROSECONDS
from civium.sources.instants import write_instant


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; ``kind`` is number, string, bool, null, instant, period, date, clock, duration or geometry.

    Instants are [us since epoch], durations [us], dates and clock times ISO text, geometries well-known text.
    ``offset`` [min] is the zone in which an instant was written, east of UTC.
    """

    kind: str
    value: Any
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Path:
    """A property of the entity, or of one that it is linked to; ``[3]`` among the names is a place in a JSON array."""

    names: tuple[str, ...]
    at: int = field(default=0, compare=False)  # position in the text


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple["Expression", ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negate:
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Logical:
    operator: str  # and, or
    terms: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str  # eq, ne, lt, le, gt, ge
    left: "Expression"
    right: "Expression"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str  # add, sub, mul, div, mod
    left: "Expression"
    right: "Expression"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Some:
    """``links/any(variable: condition)``: whether something behind the links meets it (with no condition, exists)."""

    links: tuple[str, ...]
    variable: str
    condition: "Expression | None"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Among:
    """``item in path``: whether the array of JSON at a path has an item."""

    item: "Expression"
    path: Path
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Known:
    """A value that was compiled already, ``where`` it has its meaning; no query is written with it."""

    value: Any
    where: type
    at: int = 0


Expression = Literal | Path | Call | Negate | Not | Logical | Compare | Arithmetic | Some | Among | Known


@dataclass(frozen=True, slots=True)
class Order:
    by: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """One link to follow, and what to do with what is found there."""

    link: str
    query: "Query"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Query:
    """The options of one collection."""

    filter: Expression | None = None
    orderby: tuple[Order, ...] = ()
    select: tuple[str, ...] = ()  # names joined by "/" where they lead into a property
    expand: tuple[Expand, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    skiptoken: str = ""  # behind which row the page begins
    result_format: str = ""


def path_text(names: Iterable[str]) -> str:
    """A path as it is written."""
    return "/".join(names).replace("/[", "[")


def write_expression(node: Expression) -> str:
    """The text of an expression; parsing it gives the same expression."""
    match node:
        case Literal():
            return _write_literal(node)
        case Path(names):
            return path_text(names)
        case Some(links, variable, condition):
            inside = f"{variable}:{write_expression(condition)}" if condition else ""
            return f"{path_text(links)}/any({inside})"
        case Among(item, path):
            return f"{_inner(item)} in {path_text(path.names)}"
        case Call(name, arguments):
            return f"{name}({','.join(map(write_expression, arguments))})"
        case Negate(operand):
            return f"-{_inner(operand)}"
        case Not(operand):
            return f"not {_inner(operand)}"
        case Logical(operator, terms):
            return f" {operator} ".join(map(_inner, terms))
        case Compare(operator, left, right) | Arithmetic(operator, left, right):
            return f"{_inner(left)} {operator} {_inner(right)}"
    raise TypeError(f"{node} has no text")


def query_parts(query: Query) -> dict[str, str]:
    """The options of a query by their name without ``$``, not percent-encoded; parsing them gives the same query."""
    orders = (write_expression(o.by) + (" desc" if o.descending else "") for o in query.orderby)
    parts = {
        "filter": write_expression(query.filter) if query.filter else "",
        "orderby": ",".join(orders),
        "select": ",".join(query.select),
        "expand": ",".join(map(_write_expand, query.expand)),
        "top": "" if query.top is None else str(query.top),
        "skip": str(query.skip or ""),
        "count": "true" if query.count else "",
        "skiptoken": query.skiptoken,
    }
    return {name: text for name, text in parts.items() if text}


def _write_expand(expand: Expand) -> str:
    inner = ";".join(f"${name}={text}" for name, text in query_parts(expand.query).items())
    return f"{expand.link}({inner})" if inner else expand.link


def _inner(node: Expression) -> str:
    plain = isinstance(node, Path | Call | Some) or (isinstance(node, Literal) and not str(node.value).startswith("-"))
    return write_expression(node) if plain else f"({write_expression(node)})"


def _write_literal(node: Literal) -> str:
    match node.kind:
        case "null":
            return "null"
        case "bool":
            return "true" if node.value else "false"
        case "string":
            return "'" + str(node.value).replace("'", "''") + "'"
        case "instant":
            return _write_local(node.value, node.offset) if node.offset else write_instant(node.value)
        case "period":
            return "/".join(map(write_instant, node.value))
        case "duration":
            return f"duration'{_write_duration(node.value)}'"
        case "geometry":
            return f"geography'{node.value}'"
        case _:
            return str(node.value)


def _write_local(instant: int, offset: int) -> str:
    hours, minutes = divmod(abs(offset), 60)
    local = write_instant(instant + offset * 60 * MICROSECONDS).removesuffix("Z")
    return f"{local}{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def _write_duration(length: int) -> str:
    seconds, rest = divmod(abs(length), MICROSECONDS)
    decimals = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if length < 0 else ''}PT{seconds}{decimals}S"
