"""Walks the query tree: what it names, and how it reads from behind a link."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from civium.core import InputRefused
from civium.sources.sensorthings.tree import Compare, Expression, Known, Literal, Not, Path, Some, path_text


def paths(node: Expression) -> Iterator[Path]:
    """All that it names."""
    if isinstance(node, Path):
        yield node
        return
    if isinstance(node, Some):
        yield Path(node.links, node.at)
        return
    for child in _children(node):
        yield from paths(child)


def _children(node: Expression) -> Iterator[Expression]:
    for one in fields(node):
        value = getattr(node, one.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Expression):
                yield child


def denies(node: Expression) -> bool:
    """Whether there is a negation in it: of that no entity can be shared with what stands beside it."""
    return isinstance(node, Not) or any(map(denies, _children(node)))


def unquoted(node: Compare) -> Compare:
    """A comparison of an id with a text, as the standard has them in its examples, as one with a number."""

    def side(one: Expression, other: Expression) -> Expression:
        names_id = isinstance(other, Path) and other.names[-1] in ("id", "@iot.id")
        if not (names_id and isinstance(one, Literal) and one.kind == "string"):
            return one
        if re.fullmatch(r"\d{1,18}", one.value, re.ASCII):
            return Literal("number", int(one.value))
        return Literal("number", -1) if node.operator in ("eq", "ne") else one  # no id is that text

    return replace(node, left=side(node.left, node.right), right=side(node.right, node.left))


def without(
    node: Expression, first: str, outside: Callable[[Path], Known], own: frozenset[str] = frozenset()
) -> Expression:
    """The expression as it reads from behind a link or variable; what speaks of something else is known ``outside``.

    ``own`` are the variables of quantifiers within. Raises ``InputRefused`` for a quantifier about something else.
    """
    if isinstance(node, Path):
        if node.names[0] in own:
            return node
        return replace(node, names=node.names[1:]) if node.names[0] == first and node.names[1:] else outside(node)
    if isinstance(node, Literal | Known):
        return node
    changed: dict[str, Any] = {}
    if isinstance(node, Some):
        if node.links[0] == first and len(node.links) > 1:
            changed["links"] = node.links[1:]
        elif node.links[0] not in own:
            why = f"'{path_text(node.links)}' at position {node.at} cannot stand in one condition with {first}/..."
            raise InputRefused(why, status=501)
        own |= {node.variable}
    for one in fields(node):
        value = getattr(node, one.name)
        if isinstance(value, Expression):
            changed[one.name] = without(value, first, outside, own)
        elif isinstance(value, tuple) and one.name != "links":
            changed[one.name] = tuple(without(child, first, outside, own) for child in value)
    return replace(node, **changed)
