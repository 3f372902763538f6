"""Reads the query part of a SensorThings URL into a typed tree.

Text, nesting and size are bounded before anything recursive sees them, so that no query can exhaust the server.
"""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from civium.core import InputRefused
from civium.sources.instants import read_duration, read_instant, read_period
from civium.sources.sensorthings.tree import (
    Among,
    Arithmetic,
    Call,
    Compare,
    Expand,
    Expression,
    Literal,
    Logical,
    Negate,
    Not,
    Order,
    Path,
    Query,
    Some,
    path_text,
)

MOST_CHARACTERS = 8_192
MOST_NODES = 600
DEEPEST = 40
DEEPEST_EXPAND = 6
MAX_TOP = 10_000  # entities of a page of JSON; formats without pages are streamed
_FORMATS = {"dataarray": "dataArray", "geojson": "GeoJSON", "csv": "CSV"}


def parse_query(text: str) -> Query:
    """Parse the part of a URL behind its ``?``, percent-encoded as it came.

    Raises ``InputRefused`` that names the option, the token and its position in the option's (decoded) value.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputRefused(f"the query is longer than {MOST_CHARACTERS} characters", status=414)
    options: dict[str, Any] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value).strip()
        key = _NAMES.get(name.lower(), "")
        if not key:
            why = f"unknown query option '{name[:40]}'; known are {', '.join('$' + k for k in _READERS)}"
            raise InputRefused(why, status=501 if name[:1] == "$" else 400)  # OGC 18-088, 9.3
        own = _FIELDS.get(key, key)
        if own in options:
            raise InputRefused(f"query option '{name}' is given twice")
        options[own] = _READERS[key](f"${key}", value)
    query = Query(**options)
    _bound(query)
    return query


def parse_filter(text: str) -> Expression:
    """Parse one ``$filter`` expression; raises ``InputRefused``."""
    return parse_query_parts(filter=text).filter  # type: ignore[return-value]  # one was given


def parse_query_parts(**texts: str) -> Query:
    """Parse options that are already decoded, by their name without ``$``; raises ``InputRefused``."""
    query = Query(**{_FIELDS.get(name, name): _READERS[name]("$" + name, text) for name, text in texts.items()})
    _bound(query)
    return query


def _read_period(text: str) -> tuple[int, int | None]:
    """An interval, either of whose ends may be told by its length."""
    return read_period(_zone(text))


def _zone(text: str) -> str:
    return text.replace(" ", "+")


def _offset(text: str) -> int:
    """The zone [min] of an instant that can be read."""
    match = re.search(r"([+\- ])(\d\d):?(\d\d)$", text)
    minutes = int(match[2]) * 60 + int(match[3]) if match else 0
    return -minutes if match and match[1] == "-" else minutes


@v_args(inline=True)
class _Tree(Transformer[Token, Any]):
    """Builds the tree while the parser reduces, from the leaves up: no recursion over what was sent."""

    def literal(self, token: Token) -> Literal:
        text = str(token)
        match token.type:
            case "NUMBER":
                number = float(text) if re.search(r"[.eE]", text) else int(text)
                if abs(number) >= 1e300:
                    raise ValueError(f"the number {text[:20]} is out of range")
                return Literal("number", number if abs(number) < 2**63 else float(number))
            case "STRING":
                return Literal("string", text[1:-1].replace("''", "'"))
            case "TRUE" | "FALSE":
                return Literal("bool", text.lower() == "true")
            case "NULL":
                return Literal("null", None)
            case "INSTANT":
                return Literal("instant", read_instant(_zone(text)), _offset(text))
            case "PERIOD":
                return Literal("period", _read_period(text))
            case "DURATION":
                return Literal("duration", read_duration(text[9:-1]))
            case "GEOMETRY":
                return Literal("geometry", text[text.index("'") + 1 : -1])
            case _:
                return Literal({"DATE": "date", "TIME": "clock"}[token.type], text)

    def path(self, *names: Token) -> Path:
        return Path(tuple(map(str, names)), _position(names[0]))

    def some(self, first: Token, *rest: Any) -> Expression:
        place = next(i for i, one in enumerate(rest) if isinstance(one, Token) and one.type == "QUANTIFIER")
        quantifier = rest[place]
        variable, condition = rest[place + 1 :] if len(rest) == place + 3 else (None, None)
        links = tuple(map(str, (first, *rest[:place])))
        whole = str(quantifier).lower() == "all"
        if whole and condition is None:
            raise ValueError("all() needs a condition, such as all(d: d/name eq 'x')")
        inside = Not(condition) if whole else condition
        found = Some(links, "" if variable is None else str(variable), inside, _position(first))
        return Not(found) if whole else found

    def one_of_list(self, operand: Expression, word: Token, *choices: Expression) -> Expression:
        equal = tuple(Compare("eq", operand, choice, _position(word)) for choice in choices)
        return Logical("or", equal) if len(equal) > 1 else equal[0]

    def among(self, item: Expression, word: Token, path: Path) -> Among:
        return Among(item, path, _position(word))

    def call(self, name: Token, *arguments: Expression | None) -> Call:
        return Call(str(name).lower(), tuple(a for a in arguments if a is not None), _position(name))

    def negate(self, operand: Expression) -> Expression:
        if isinstance(operand, Literal) and operand.kind == "number":
            return Literal("number", -operand.value)
        return Negate(operand)

    def inversion(self, operand: Expression) -> Not:
        return Not(operand)

    def conjunction(self, *terms: Expression) -> Logical:
        return Logical("and", terms)

    def disjunction(self, *terms: Expression) -> Logical:
        return Logical("or", terms)

    def arithmetic(self, left: Expression, operator: Token, right: Expression) -> Arithmetic:
        return Arithmetic(str(operator).lower(), left, right, _position(operator))

    def compare(self, left: Expression, operator: Token, right: Expression) -> Compare:
        return Compare(str(operator).lower(), left, right, _position(operator))

    def filter(self, expression: Expression) -> Expression:
        return expression

    def order(self, by: Expression, direction: Token | None) -> Order:
        return Order(by, direction is not None and direction.lower() == "desc")

    def orderby(self, *orders: Order) -> tuple[Order, ...]:
        return orders

    def select(self, *paths: Path) -> tuple[str, ...]:
        return tuple(path_text(path.names) for path in paths)

    def expand(self, *items: Expand) -> tuple[Expand, ...]:
        return _merged(items)

    def item(self, path: Path, *options: tuple[str, Any] | None) -> Expand:
        given = [option for option in options if option is not None]
        names = [name for name, _ in given]
        if len(set(names)) != len(names):
            raise ValueError(f"an option of {path.names[-1]} is given twice")
        expand = Expand(path.names[-1], Query(**dict(given)), path.at)
        for name in reversed(path.names[:-1]):
            expand = Expand(name, Query(expand=(expand,)), path.at)
        return expand

    def number_option(self, name: Token, number: Token) -> tuple[str, int]:
        return name[1:].lower(), _whole(str(name), str(number))

    def count_option(self, value: Token) -> tuple[str, bool]:
        return "count", value.lower() == "true"

    def filter_option(self, expression: Expression) -> tuple[str, Expression]:
        return "filter", expression

    def orderby_option(self, orders: tuple[Order, ...]) -> tuple[str, tuple[Order, ...]]:
        return "orderby", orders

    def select_option(self, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        return "select", names

    def expand_option(self, items: tuple[Expand, ...]) -> tuple[str, tuple[Expand, ...]]:
        return "expand", items


@cache
def _parser() -> Lark:
    # LALR(1) with the tree built during the parse: linear in the text, and no recursion.
    starts = ["filter", "orderby", "select", "expand"]
    return Lark.open_from_package(
        "civium.sources.sensorthings",
        "grammar.lark",
        parser="lalr",
        start=starts,
        transformer=_Tree(),
        maybe_placeholders=True,
    )


_OPTION = re.compile(r"\$[A-Za-z]+\s*=")  # within an $expand


def _parse(option: str, text: str) -> Any:
    if text.count("(") > 2 * MOST_NODES:
        raise InputRefused(f"{option} is too large")
    try:
        return _parser().parse(text, start=option[1:])
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        if error.pos_in_stream is None or (token is not None and token.type == "$END"):
            raise InputRefused(f"{option}: it ends too early, at position {len(text)}") from None
        found = str(token) if token else text[error.pos_in_stream :]
        why = f"{option}: unexpected '{found[:40]}' at position {error.pos_in_stream}"
        raise InputRefused(why, status=501 if _OPTION.match(text, error.pos_in_stream) else 400) from None
    except VisitError as error:
        raise InputRefused(f"{option}: {error.orig_exc}") from None
    except ValueError as error:
        raise InputRefused(f"{option}: {error}") from None


def _whole(option: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,15}", text):
        raise InputRefused(f"{option} must be a whole number from 0, not '{text[:20]}'")
    return int(text)


def _truth(option: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InputRefused(f"{option} must be true or false, not '{text[:20]}'")
    return text.lower() == "true"


def _word(option: str, text: str) -> str:
    if not re.fullmatch(r"[\w\-=]{1,4000}", text):
        raise InputRefused(f"{option} is not one that a next link gave")
    return text


def _format(option: str, text: str) -> str:
    found = _FORMATS.get(text.lower())
    if found is None:
        raise InputRefused(f"{option} is '{text[:20]}'; it can be {', '.join(_FORMATS.values())}")
    return found


_READERS: dict[str, Any] = {
    "filter": _parse,
    "orderby": _parse,
    "select": _parse,
    "expand": _parse,
    "top": _whole,
    "skip": _whole,
    "count": _truth,
    "skiptoken": _word,
    "resultFormat": _format,
}
_FIELDS = {"resultFormat": "result_format"}  # of Query, where it is not the option's name
_NAMES = {f"${key.lower()}": key for key in _READERS}  # in capitals or not, as OData takes them


def _position(token: Token) -> int:
    return token.start_pos or 0


def _merged(items: Iterable[Expand]) -> tuple[Expand, ...]:
    """One Expand for each link: ``Datastreams/Sensor,Datastreams/Observations`` follow the same Datastreams."""
    found: dict[str, Expand] = {}
    for item in items:
        before = found.get(item.link)
        if before is None:
            found[item.link] = item
            continue
        plain = [one.query for one in (before, item) if replace(one.query, expand=()) == Query()]
        if not plain:
            raise ValueError(f"{item.link} is expanded twice with different options")
        richer = item.query if plain[0] is before.query else before.query
        both = _merged((*before.query.expand, *item.query.expand))
        found[item.link] = replace(before, query=replace(richer, expand=both))
    return tuple(found.values())


def _bound(query: Query) -> None:
    """Refuse a tree that is too deep or too large for what walks it recursively later."""
    stack: list[tuple[Any, int, int]] = [(query, 0, 0)]
    count = 0
    while stack:
        node, depth, expands = stack.pop()
        count += 1
        if count > MOST_NODES:
            raise InputRefused(f"the query has more than {MOST_NODES} parts")
        if depth > DEEPEST or expands > DEEPEST_EXPAND:
            raise InputRefused("the query is nested too deeply")
        for one in fields(node):
            value = getattr(node, one.name)
            for child in value if isinstance(value, tuple) else (value,):
                if isinstance(child, Query):
                    stack.append((child, 0, expands + 1))
                elif isinstance(child, Expression | Order | Expand):
                    stack.append((child, depth + 1, expands))
