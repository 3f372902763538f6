"""Plans what a POST of SensorThings creates: entities with all that is nested in them, as rows for the catalogue.

Planning changes nothing: the rows become one catalogue change, the Observations one batch after it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from civium.core import InputRefused
from civium.engines.catalog import Catalog
from civium.sources.batch import Batch
from civium.sources.changes import Edits, Rows
from civium.sources.sensorthings.body import decode_body
from civium.sources.sensorthings.features import mark
from civium.sources.sensorthings.model import (
    BY_PLURAL,
    OBSERVATIONS,
    Entity,
    Link,
    target,
)
from civium.sources.sensorthings.plan import Plan, Sees, given_by, linked_back, needed_back

_PATH = re.compile(r"(?:([A-Za-z]+)\((\d{1,18})\)/)?([A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class Creation:
    """What a POST makes: ``edits`` of the catalogue, then ``observations`` (None if there are none).

    ``entity`` and ``id`` are what was posted; the log gives an Observation its id, so that ``id`` is None.
    """

    entity: Entity
    id: int | None
    edits: Edits
    observations: Batch | None

    @property
    def rows(self) -> Rows:
        """The new rows of the catalogue."""
        return self.edits.rows


def plan_create(path: str, body: bytes, catalog: Catalog, now: int, sees: Sees | None = None) -> Creation:
    """Plan the creation of ``body`` (JSON) at ``path``, such as ``Things(1)/Datastreams``; ``now`` [us since epoch].

    ``sees`` says which entities the caller may refer to; what it may not know of is not there.

    Raises ``InputRefused``: 400 with the place in the body and why, 404 for a path that leads nowhere, 409 for a key
    that is taken.
    """
    plan = Plan(catalog, now, sees)
    entity, identity = plan_into(plan, path, decode_body(body))
    plan.check_keys()
    return Creation(entity, identity, plan.edits, plan.batch())


def plan_marks(things: Iterable[int], catalog: Catalog, now: int) -> Edits:
    """Plan a feature for the places where things are, whose feature was taken away."""
    plan = Plan(catalog, now)
    mark(plan, things)
    plan.check_keys()
    return plan.edits


def plan_into(plan: Plan, path: str, content: Any) -> tuple[Entity, int | None]:
    """Put the creation of ``content`` at ``path`` into a plan; the entity, and its id unless it is an Observation."""
    entity, link, parent = _place(path, plan)
    if entity.table is OBSERVATIONS:
        plan.observation(content, given_by(entity, link, parent), entity.name)
        return entity, None
    back = link and needed_back(entity, link)
    content = linked_back(content, back, parent) if back else content
    identity = plan.create(entity, content, given_by(entity, link, parent), entity.name)
    if link is not None and link.through[0] and not back:
        plan.connect(link, parent, [identity], entity.name)
    return entity, identity


def _place(path: str, plan: Plan) -> tuple[Entity, Link | None, int]:
    match = _PATH.fullmatch(path.strip("/"))
    if match is None:
        raise InputRefused(f"nothing can be created at '{path[:60]}'", status=404)
    plural, identity, name = match[1], int(match[2] or 0), match[3]
    if plural is None:
        if name not in BY_PLURAL:
            raise InputRefused(f"there are no '{name}'; there are {', '.join(BY_PLURAL)}", status=404)
        return BY_PLURAL[name], None, 0
    parent = BY_PLURAL.get(plural)
    link = parent.link(name) if parent else None
    if parent is None or link is None or not link.many or parent.table is OBSERVATIONS:
        raise InputRefused(f"nothing can be created at '{path[:60]}'", status=404)
    if not plan.knows(parent, identity):
        raise InputRefused(f"there is no {parent.name} {identity}", status=404)
    return target(link), link, identity
