"""What the topics of MQTT ask for: a set of entities, one entity, or a property of one (OGC 18-088, 14.2)."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from civium.core import InputRefused
from civium.sources.sensorthings.entities import choice
from civium.sources.sensorthings.model import BY_PLURAL, Entity, Field, Link, target
from civium.sources.sensorthings.place import Place
from civium.sources.sensorthings.query import parse_query
from civium.sources.sensorthings.tree import Query, query_parts

_ONE = re.compile(r"([A-Za-z]+)\((\d{1,18})\)")
_WILD = ("*", ">")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic that is listened to: its ``subject`` behind ``v1//1.``, and what of an entity is to be told there."""

    subject: str
    query: Query
    field: Field | None = None
    keys: tuple[str | int, ...] = ()
    bare: bool = False  # the text of a $value


@dataclass(frozen=True, slots=True)
class Pattern:
    """A topic with wildcards; ``suffix`` is its query, which stands behind each topic that it fits."""

    fits: re.Pattern[str]
    suffix: str
    query: Query


# A set of entities: all of a kind (None, 0), or those behind a link of the entity with an id.
Set = tuple[str, Link | None, int]
Resolve = Callable[[str], Place]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listened to: sets, single entities, and properties of single entities, by what they are of."""

    sets: dict[Set, list[Topic]] = field(default_factory=dict)
    ones: dict[tuple[str, int], list[Topic]] = field(default_factory=dict)
    patterns: list[Pattern] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # subjects whose options cannot be met, and why

    def __bool__(self) -> bool:
        return bool(self.sets or self.ones or self.patterns)

    def of(self, entity: Entity) -> bool:
        """Whether anything is asked of a kind of entity."""
        kinds = {name for name, _, _ in self.sets} | {name for name, _ in self.ones}
        return entity.name in kinds or bool(self.patterns)


def wanted(subjects: Iterable[str], resolve: Resolve) -> Wanted:
    """What some subjects ask for; ``resolve`` says where a path of several steps leads.

    What is no topic is passed over. Of options only ``$select`` means something here (OGC 18-088, 14.2).
    """
    found = Wanted()
    for subject in sorted(subjects):
        try:
            _add(found, subject, resolve)
        except InputRefused as error:
            if "?" in subject and not any(token in _WILD for token in re.split(r"[.?]", subject)):
                found.refused[subject] = error.why
    return found


def fitting(patterns: Iterable[Pattern], subject: str) -> list[tuple[str, Query]]:
    """The subjects on which something that belongs on ``subject`` is told because of patterns."""
    return [(subject + one.suffix, one.query) for one in patterns if one.fits.fullmatch(subject)]


def _add(found: Wanted, subject: str, resolve: Resolve) -> None:
    path, mark, options = subject.partition("?")
    query = _query(options)
    if any(token in _WILD for token in path.split(".")):
        found.patterns.append(Pattern(_pattern(path), mark + options, query))
        return
    place = _plain(path) or _resolved(resolve(path.replace(".", "/")))
    if place is None:
        return
    entity, link, identity, rest = place
    choice(entity, query)  # raises InputRefused for what it has not
    if rest is None:
        found.sets.setdefault((entity.name, link, identity), []).append(Topic(subject, query))
        return
    part, keys, bare = rest
    found.ones.setdefault((entity.name, identity), []).append(Topic(subject, query, part, keys, bare))


@lru_cache(maxsize=10_000)
def _query(options: str) -> Query:
    query = parse_query(options)
    if set(query_parts(query)) - {"select"} or query.result_format:
        raise InputRefused("only $select works on a topic")
    return query


def _pattern(path: str) -> re.Pattern[str]:
    tokens = [r"[^.]+" if one == "*" else r".+" if one == ">" else re.escape(one) for one in path.split(".")]
    return re.compile(r"\.".join(tokens))


_Rest = tuple[Field | None, tuple[str | int, ...], bool]


@lru_cache(maxsize=10_000)
def _plain(path: str) -> tuple[Entity, Link | None, int, _Rest | None] | None:
    """What a path of one entity at most means; None for one that must be followed."""
    first, *rest = path.split(".")
    if not rest and first in BY_PLURAL:
        return BY_PLURAL[first], None, 0, None
    match = _ONE.fullmatch(first)
    entity = BY_PLURAL.get(match[1]) if match else None
    if match is None or entity is None:
        return None
    identity = int(match[2])
    if not rest:
        return entity, None, identity, (None, (), False)
    link = entity.link(rest[0])
    if link is not None and link.many and len(rest) == 1:
        return target(link), link, identity, None
    part = entity.field(rest[0])
    if part is not None and (len(rest) == 1 or rest[1:] == ["$value"]):
        return entity, None, identity, (part, (), len(rest) == 2)
    return None


def _resolved(place: Place) -> tuple[Entity, Link | None, int, _Rest | None]:
    if place.ending == "$ref":
        raise InputRefused("$ref is no topic")
    if place.row is not None:
        return place.entity, None, int(place.row["id"]), (place.field, place.keys, bool(place.ending))
    if place.behind is None:
        return place.entity, None, 0, None
    link, row = place.behind
    return place.entity, link, int(row["id"]), None
