"""Walks the query tree: what it names, and how it reads from behind a link."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from civium.core import InputRefused
from civium.sources.sensorthings.tree import Expression, Known, Literal, Not, Path, Some, path_text


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
