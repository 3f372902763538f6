"""Where the path of a URL leads: to a collection, an entity, a property of one, or the links of either."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from civium.core import InputRefused
from civium.sources.sensorthings.fetch import Source
from civium.sources.sensorthings.model import BY_PLURAL, Entity, Field, Link, target
from civium.sources.sensorthings.moment import Row

_SEGMENT = re.compile(r"(@?[A-Za-z.]+|\$value|\$ref)(?:\((.*)\))?", re.DOTALL)
_KEY = re.compile(r"([^\[\]]+)((?:\[\d{1,9}\])*)")
_DEEP = ("json", "unit", "result", "quality", "geometry", "area", "document", "parts", "tasking", "components")
_MOST_SEGMENTS = 12
_LONGEST_ID = 18  # digits


@dataclass(frozen=True, slots=True)
class Place:
    """A collection (all, or ``behind`` a link of a row), or one ``row``; then a property of it, and what is inside."""

    entity: Entity
    behind: tuple[Link, Row] | None = None
    row: Row | None = None
    field: Field | None = None
    keys: tuple[str | int, ...] = ()
    ending: str = ""  # $value or $ref


def resolve(segments: Sequence[str], source: Source) -> Place:
    """Follow the segments of a path, percent-decoded; raises ``InputRefused`` (400, 404, 414)."""
    if len(segments) > _MOST_SEGMENTS:
        raise InputRefused("the path is too long", status=414)
    place: Place | None = None
    for segment in segments:
        if place is not None and place.ending:
            raise InputRefused(f"'{segment[:60]}' cannot follow {place.ending}", status=404)
        if place is not None and place.field is not None and segment != "$value":
            place = _inside(place, segment)
            continue
        match = _SEGMENT.fullmatch(segment)
        if match is None and place is not None and (cell := _KEY.fullmatch(segment)) and cell[2]:
            place = _step(place, cell[1], None, source)  # result[0]
            place = replace(place, keys=_places(cell[2]))
            continue
        if match is None:
            raise InputRefused(f"'{segment[:60]}' is not part of a path", status=404)
        name, identity = match[1], _identity(match[1], match[2])
        place = (
            _entity(BY_PLURAL.get(name), identity, name, source)
            if place is None
            else _step(place, name, identity, source)
        )
    assert place is not None
    return place


def _identity(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise InputRefused(f"'{text[:40]}' in {name}({text[:40]}) is not an id: ids are whole numbers")
    if len(text.lstrip("0")) > _LONGEST_ID:
        raise InputRefused(f"there is no {name}({text[:40]})", status=404)
    return int(text)


def _entity(entity: Entity | None, identity: int | None, name: str, source: Source) -> Place:
    if entity is None:
        raise InputRefused(f"there are no '{name}'; there are {', '.join(BY_PLURAL)}", status=404)
    if identity is None:
        return Place(entity)
    row = source.one(entity, identity)
    if row is None:
        raise InputRefused(f"there is no {entity.name} {identity}", status=404)
    return Place(entity, row=row)


def _step(place: Place, name: str, identity: int | None, source: Source) -> Place:
    here = place.entity.name if place.row is not None else place.entity.plural
    nowhere = InputRefused(f"'{name}' does not follow {here}", status=404)
    if name == "$value" and place.field is not None and identity is None:
        return replace(place, ending=name)
    if name == "$ref" and place.field is None and identity is None:
        return replace(place, ending=name)
    if place.row is None or place.field is not None:
        raise nowhere
    link = place.entity.link(name)
    if link is None:
        field = place.entity.field(name) or (Field("@iot.id", "id", "id") if name in ("id", "@iot.id") else None)
        if field is None or identity is not None:
            raise nowhere
        return replace(place, field=field)
    there = target(link)
    if link.many and identity is None:
        return Place(there, behind=(link, place.row))
    if not link.many and identity is not None:
        raise nowhere
    wanted = identity if link.many else place.row[link.own]
    if wanted is None or (link.many and not source.holds(link, place.row, wanted)):
        raise InputRefused(f"there is no such {there.name} of this {place.entity.name}", status=404)
    return _entity(there, wanted, there.plural, source)


def _inside(place: Place, segment: str) -> Place:
    """A key of a property that is an object; ``[3]`` behind it is a place in an array."""
    match = _KEY.fullmatch(segment)
    assert place.field is not None
    if match is None or place.field.kind not in _DEEP:
        raise InputRefused(f"'{segment[:60]}' does not follow {place.field.name}", status=404)
    return replace(place, keys=(*place.keys, match[1], *_places(match[2])))


def _places(indices: str) -> tuple[int, ...]:
    """The numbers of ``[1][2]``."""
    return tuple(int(one) for one in re.findall(r"\d+", indices))
