"""Several changes that are made together or not at all: the atomicityGroup of a batch, planned as one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from civium.core import InputRefused
from civium.core.observations import CORRECTION
from civium.sources.batch import Batch
from civium.sources.changes import Edits
from civium.sources.sensorthings.amend import update_into
from civium.sources.sensorthings.model import OBSERVATIONS
from civium.sources.sensorthings.plan import Plan
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.remove import delete_with
from civium.sources.sensorthings.write import plan_into

_REFERENCE = re.compile(r"\$([A-Za-z0-9_.~-]+)")


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a group; ``path`` and ``content`` may refer to what earlier steps make by ``$id``."""

    id: str
    method: str  # POST, PATCH, PUT or DELETE
    path: str
    content: Any
    json_patch: bool = False


class StepRefused(InputRefused):
    """A step cannot be done, so none is: ``step`` is its id."""

    def __init__(self, step: str, cause: InputRefused) -> None:
        super().__init__(cause.why, cause.rows, cause.status)
        self.step = step


@dataclass(slots=True)
class Group:
    """What the steps change together; ``made`` says of each what it is about, such as ``Things(1)``.

    An Observation that is new has no id before the log gives it one: for each of ``observations``, ``observed`` is its
    step, or empty where it is nested in another entity. ``within`` names for a PATCH of what an earlier step of the
    group makes that step.
    """

    edits: Edits = field(default_factory=Edits)
    observations: Batch | None = None
    corrections: pa.Table = field(default_factory=CORRECTION.empty_table)
    made: dict[str, str] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    within: dict[str, str] = field(default_factory=dict)


def plan_group(steps: Sequence[Step], made: Mapping[str, str], library: Library, future_s: float) -> Group:
    """Plan all steps; ``made`` is what requests before the group made. Raises ``StepRefused``."""
    plan, group = Plan(library.catalog, library.now, library.sees), Group()
    steps, group.within = _made_at_once(steps)
    touched: set[tuple[str, int]] = set()
    deleted: dict[str, list[dict[str, Any]]] = {}
    with library.opened() as writer:
        for step in steps:
            try:
                known = {**made, **group.made}
                path, content = referred_path(step.path, known), referred(step.content, known)
                if step.method == "POST":
                    _create(plan, path, content, step, group)
                    continue
                if step.method == "DELETE":
                    amendment = delete_with(writer, path, library)
                    entity, identity, corrections = amendment.entity, amendment.id, amendment.corrections
                    for table, rows in amendment.edits.deletes.items():
                        deleted.setdefault(table, []).extend(r for r in rows if r not in deleted.get(table, ()))
                    for table, rows in amendment.edits.updates.items():
                        plan.edits.updates.setdefault(table, []).extend(rows)
                else:
                    entity, row, corrections = update_into(
                        plan,
                        writer,
                        path,
                        content,
                        library,
                        step.method == "PUT",
                        future_s,
                        json_patch=step.json_patch,
                    )
                    identity = row["id"]
                if (entity.name, identity) in touched:
                    raise InputRefused(f"{entity.name} {identity} is changed twice in the group")
                touched.add((entity.name, identity))
                group.corrections = pa.concat_tables([group.corrections, corrections])
                group.made[step.id] = f"{entity.plural}({identity})"
            except InputRefused as error:
                raise StepRefused(step.id, error) from None
        try:
            plan.check_keys()
            for table, rows in deleted.items():
                plan.edits.deletes.setdefault(table, []).extend(rows)
            group.edits, group.observations = plan.edits, plan.batch()
        except InputRefused as error:
            raise blamed(steps, group, error) from None
    return group


def _made_at_once(steps: Sequence[Step]) -> tuple[list[Step], dict[str, str]]:
    """The steps without those that PATCH what another makes, which makes it as they want it; and which they are."""
    left: dict[str, Step] = {}
    within: dict[str, str] = {}
    for step in steps:
        maker = left.get(step.path.removeprefix("$")) if step.path[:1] == "$" else None
        plain = step.method == "PATCH" and isinstance(step.content, dict) and not step.json_patch
        if maker is not None and plain and maker.method == "POST" and isinstance(maker.content, dict):
            left[maker.id] = replace(maker, content={**maker.content, **step.content})
            within[step.id] = maker.id
        else:
            left[step.id] = step
    return list(left.values()), within


def blamed(steps: Sequence[Step], group: Group, error: InputRefused) -> StepRefused:
    """A refusal of what the steps are together, with the step whose Observation it is; else the last one."""
    own = [group.observed[refusal.row] for refusal in error.rows if refusal.row < len(group.observed)]
    return StepRefused(next(filter(None, own), steps[-1].id), error)


def _create(plan: Plan, path: str, content: Any, step: Step, group: Group) -> None:
    before = len(plan.bodies)
    entity, identity = plan_into(plan, path, content)
    if entity.table is OBSERVATIONS:
        group.observed.append(step.id)
        return
    group.observed += [""] * (len(plan.bodies) - before)
    group.made[step.id] = f"{entity.plural}({identity})"


def referred_path(path: str, made: Mapping[str, str]) -> str:
    """A path in which ``$id`` at the beginning is what that request made."""
    match = _REFERENCE.match(path)
    if match is None or (match[1] == "batch" and "batch" not in made):
        return path
    if match[1] not in made:
        raise InputRefused(f"'{path[:40]}' refers to a request that made nothing")
    return made[match[1]] + path[match.end() :]


def referred(content: Any, made: Mapping[str, str]) -> Any:
    """A body in which ``@iot.id`` of the form ``$id`` is the id of what that request made."""
    if isinstance(content, list):
        return [referred(one, made) for one in content]
    if not isinstance(content, dict):
        return content
    found = {name: referred(value, made) for name, value in content.items()}
    name = found.get("@iot.id")
    if isinstance(name, str) and name.startswith("$"):
        if name[1:] not in made:
            raise InputRefused(f"@iot.id '{name[:40]}' refers to a request that made nothing")
        found["@iot.id"] = int(made[name[1:]].rpartition("(")[2][:-1])
    return found
