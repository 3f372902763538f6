"""Plans what PATCH, PUT and DELETE of SensorThings change: edits of the catalogue, or corrections of Observations.

Planning changes nothing. An entity may be addressed by its id or by navigation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import select

from civium.core import InputRefused
from civium.core.observations import CORRECTION
from civium.engines.catalog import COMPLEX, COUNT, JSON, NUMBER
from civium.engines.catalog.streams import VALUE_TYPES
from civium.engines.catalog.tables import COMPONENTS, HISTORICAL_LOCATION_LOCATIONS, THING_LOCATIONS
from civium.sources.batch import NOTHING_STORED
from civium.sources.examine import examine
from civium.sources.sensorthings import capabilities, multi
from civium.sources.sensorthings.amendment import Amendment, found, stored
from civium.sources.sensorthings.body import decode_body
from civium.sources.sensorthings.entities import Writer
from civium.sources.sensorthings.json_patch import patched
from civium.sources.sensorthings.model import BY_NAME, CAPABLE, OBSERVATIONS, Entity, Link, target
from civium.sources.sensorthings.moment import Row
from civium.sources.sensorthings.observations import decode_messages
from civium.sources.sensorthings.plan import Plan
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.restate import MOST_RESTATED, restate
from civium.sources.sensorthings.values import terms

_OBSERVATION = BY_NAME["Observation"]
# Fields that are read together: a change of one is a change of the other.
_COUPLED = {
    "encodingType": ("location", "feature"),
    "location": ("encodingType",),
    "feature": ("encodingType",),
    "observationType": ("unitOfMeasurement",),
    "unitOfMeasurement": ("observationType",),
}


def plan_update(
    path: str, body: bytes, library: Library, replace: bool, future_s: float, *, json_patch: bool = False
) -> Amendment:
    """Plan a PATCH, or with ``replace`` a PUT, of the entity at ``path`` with ``body``: JSON, or a JSON Patch.

    ``future_s`` [s] is how far a resultTime may lie ahead. Raises ``InputRefused``: 400 with the place in the body and
    why, 404 for a path that leads to no entity, 409 for what existing Observations do not allow.
    """
    content = decode_body(body)
    with library.opened() as writer:
        plan = Plan(library.catalog, library.now, library.sees)
        entity, row, amended = update_into(
            plan, writer, path, content, library, replace, future_s, json_patch=json_patch
        )
        plan.check_keys()
        return Amendment(entity, row["id"], plan.edits, amended)


def update_into(
    plan: Plan,
    writer: Writer,
    path: str,
    content: Any,
    library: Library,
    replace: bool,
    future_s: float,
    *,
    json_patch: bool = False,
) -> tuple[Entity, Row, pa.Table]:
    """Put an update into a plan, as ``plan_update`` does; the entity, its row, and corrections of it."""
    entity, row = found(path, writer)
    if json_patch:
        content = patched(writer, entity, row, content)
    if not isinstance(content, dict):
        raise InputRefused(f"{entity.name} must be an object")
    plan.check_names(entity, content, entity.name)
    if entity.table is OBSERVATIONS:
        return entity, row, _observation(row, content, replace, writer, library, plan, future_s)
    update = _Update(plan, writer, entity, row, content, replace)
    if entity.name in CAPABLE:
        update.capability()
    else:
        update.go()
    return entity, row, update.corrections


def shortest(path: str, library: Library) -> str:
    """The address at which the same is created by two steps at most; raises ``InputRefused`` (404) for one that leads
    nowhere."""
    with library.opened() as writer:
        above, _, last = path.rpartition("/")
        entity, row = found(above, writer)
        return f"{entity.plural}({row['id']})/{last}"


@dataclass(slots=True)
class _Update:
    """The update of one entity of the catalogue."""

    plan: Plan
    writer: Writer
    entity: Entity
    row: Row
    content: dict[str, Any]
    replace: bool
    corrections: pa.Table = field(default_factory=CORRECTION.empty_table)

    def go(self) -> None:
        """Put what changes into the plan."""
        entity, content, at = self.entity, self.content, self.entity.name
        [self.row] = self.writer.derive(entity, [self.row], entity.fields)
        new: dict[str, Any] = {}
        wanted = {one.name for one in entity.fields} if self.replace else self._with_coupled()
        told = {one.name: self.writer.value(one, self.row) for one in entity.fields if one.name in wanted}
        merged = content if self.replace else {**told, **content}
        for one in entity.fields:
            if one.name in wanted:
                new |= self.plan.field(entity, one, merged, at)
        if "location" in new and "lon" not in new:
            new |= {"lon": None, "lat": None}
        if content.get("properties") is not None:
            new |= self._said(content["properties"])
        if entity.name == "MultiDatastream" and (self.replace or content.keys() & {*multi.LISTS, "observationType"}):
            new |= self._components()
        for link in entity.links:
            if link.name not in content:
                continue
            if link.through[0] != "components":
                self._link(link, content[link.name], new)
            elif entity.name != "MultiDatastream":
                raise InputRefused(f"{at}/{link.name} cannot be changed here; PATCH the {link.name}")
        changed = {column: value for column, value in new.items() if self.row[column] != value}
        if entity.name == "Datastream" and changed.keys() & {"observation_type", "si_unit", "factor", "offset"}:
            self._keep_results({**self.row, **new})
        if changed:
            self.plan.edits.updates.setdefault(entity.table.name, []).append({"id": self.row["id"], **changed})
        if "key" in changed and self.plan.catalog.ids_by_key(entity.table.name, [changed["key"]]):
            raise InputRefused(f"the key '{changed['key']}' is taken", status=409)

    def capability(self) -> None:
        """Put into the plan what changes of an Actuator, or of what may be asked of it."""
        told = {} if self.replace else {one.name: self.writer.value(one, self.row) for one in self.entity.fields}
        thing, own = self.content.get("Thing"), self.entity.link("Thing")
        moved = None if thing is None or own is None else self.reference(own, thing, f"{self.entity.name}/Thing")
        capabilities.update(self.plan, self.entity, self.row, self.content, {**told, **self.content}, moved)

    def _components(self) -> dict[str, Any]:
        """The values of the results of a MultiDatastream as they are to be; no others once there are results."""
        before, at = self.row["components"], self.entity.name
        link = self.entity.link(multi.PROPERTIES)
        assert link is not None
        told = self.content if self.replace else {**multi.told(before), **self.content}
        properties = [one["property"] for one in before]
        if multi.PROPERTIES in self.content:
            listed = self.content[multi.PROPERTIES]
            if not isinstance(listed, list):
                raise InputRefused(f"{at}/{multi.PROPERTIES} must be a list")
            where = f"{at}/{multi.PROPERTIES}"
            properties = [self.reference(link, one, f"{where}[{place}]") for place, one in enumerate(listed)]
        after = multi.components(told, properties, at)
        if [{name: one[name] for name in after[0]} for one in before] == after:
            return {}
        self._check_unobserved("in other values")
        edits, table = self.plan.edits, COMPONENTS.name
        changed = [{"id": one["id"], **new} for one, new in zip(before, after, strict=False)]
        edits.updates.setdefault(table, []).extend(changed)
        edits.deletes.setdefault(table, []).extend({"id": one["id"]} for one in before[len(after) :])
        rows = edits.rows.setdefault(table, [])
        for new in after[len(before) :]:
            identity = self.plan.catalog.next_id(table) + len(rows)
            rows.append({"id": identity, "datastream": self.row["id"], **new})
        return {"property": after[0]["property"]}

    def _with_coupled(self) -> set[str]:
        mine = {one.name for one in self.entity.fields}
        given = self.content.keys() & mine
        return given | {other for name in given for other in _COUPLED.get(name, ()) if other in mine}

    def _said(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """What properties say of the city's own terms; what they do not mention stays as it is."""
        new: dict[str, Any] = {}
        columns = {"things": ("key", "kind"), "sensors": ("key",), "datastreams": ("key",)}
        for name in columns.get(self.entity.table.name, ()):
            if name in properties:
                if not isinstance(properties[name], str):
                    raise InputRefused(f"{self.entity.name}/properties/{name} must be a text")
                new[name] = properties[name]
        if self.entity.name == "Datastream":
            own = terms(properties, self.entity.name)
            new |= {name: value for name, value in own.items() if name in properties}
        return new

    def _link(self, link: Link, content: Any, new: dict[str, Any]) -> None:
        where = f"{self.entity.name}/{link.name}"
        if link.own:
            new[link.own] = self.reference(link, content, where)
            return
        if not isinstance(content, list):
            raise InputRefused(f"{where} must be a list")
        others = [self.reference(link, one, f"{where}[{place}]") for place, one in enumerate(content)]
        there, mine = target(link), int(self.row["id"])
        if there.table is OBSERVATIONS:
            raise InputRefused(f"{where} cannot be changed here; PATCH the Observations")
        if link.theirs:
            moved = [{"id": other, link.theirs: mine} for other in dict.fromkeys(others)]
            self.plan.edits.updates.setdefault(there.table.name, []).extend(moved)
        elif link.through[0] == "current_locations":
            self._move(link, mine, list(dict.fromkeys(others)))
        else:
            self._rename_places(link, mine, set(others), where)

    def reference(self, link: Link, content: Any, where: str) -> int:
        """The id of an entity that exists."""
        there = target(link)
        if not isinstance(content, dict) or not content.keys() <= {"@iot.id", "@iot.selfLink"}:
            raise InputRefused(f'{where}: refer to a {there.name} that exists by {{"@iot.id": ...}}; none is made here')
        identity = content.get("@iot.id")
        if type(identity) is not int or not self.plan.knows(there, identity):
            raise InputRefused(f"{where}: there is no {there.name} {identity!r}")
        return identity

    def _move(self, link: Link, mine: int, others: list[int]) -> None:
        """Things stay where they are if they are there already; a move is a HistoricalLocation."""
        for thing, places in [(mine, others)] if link.through[1] == "thing" else [(one, [mine]) for one in others]:
            table = THING_LOCATIONS
            query = select(table.c.location, table.c.time).where(table.c.thing == thing)
            stays = self.writer.source.ground.connection.execute(query).all()
            latest = max((time for _, time in stays), default=0)
            if {place for place, time in stays if time == latest} == set(places):
                continue
            if places:
                self.plan.connect(Link("Locations", "Location", True, through=_HERE), thing, places, "Locations")
            else:
                self.plan.move(thing, [])

    def _rename_places(self, link: Link, mine: int, others: set[int], where: str) -> None:
        """Other Locations of a HistoricalLocation; or more HistoricalLocations of a Location."""
        name, ours, theirs = link.through
        table = HISTORICAL_LOCATION_LOCATIONS
        connection = self.writer.source.ground.connection
        before = set(connection.scalars(select(table.c[theirs]).where(table.c[ours] == mine)))
        if ours == "historical_location":
            if not others:
                raise InputRefused(f"{where} must not be empty")
            gone = [{ours: mine, theirs: one} for one in sorted(before - others)]
            self.plan.edits.deletes.setdefault(name, []).extend(gone)
        new = [{ours: mine, theirs: one} for one in sorted(others - before)]
        self.plan.edits.rows.setdefault(name, []).extend(new)

    def _keep_results(self, new: Row) -> None:
        """Results are kept in SI: those that are there must be told as they were given, now in another quantity."""
        kinds = [VALUE_TYPES.get(row["observation_type"]) in (NUMBER, COUNT) for row in (self.row, new)]
        plain = [(row["factor"], row["offset"]) == (1, 0) for row in (self.row, new)]
        any_json = VALUE_TYPES.get(new["observation_type"], JSON) == JSON
        alike = self.row["si_unit"] == new["si_unit"] if all(kinds) else all(plain) and any_json
        if alike or not any(kinds):
            return
        rows = stored("stream", self.row["id"], self.writer.source.ground.observations, MOST_RESTATED + 1)
        restated = restate(rows, self.row, new) if rows.num_rows <= MOST_RESTATED else None
        if restated is None:
            self._check_unobserved("in another quantity")
        else:
            self.corrections = restated

    def _check_unobserved(self, otherwise: str) -> None:
        seen = self.writer.source.ground.observations.query(
            "SELECT 1 FROM observations WHERE stream = ? LIMIT 1", [self.row["id"]]
        )
        if seen.num_rows:
            why = f"it has Observations {otherwise}; make a new {self.entity.name} for the new ones"
            raise InputRefused(f"{self.entity.name} {self.row['id']}: {why}", status=409)


_HERE = ("current_locations", "thing", "location")


def _observation(
    row: Row,
    content: dict[str, Any],
    replace: bool,
    writer: Writer,
    library: Library,
    plan: Plan,
    future_s: float,
) -> pa.Table:
    """A new version of an Observation, examined as a new one would be."""
    multiple = library.catalog.streams.value_type[row["stream"]] == COMPLEX
    links = {"MultiDatastream" if multiple else "Datastream": "stream", "FeatureOfInterest": "feature"}
    new: dict[str, int | None] = {}
    for name, column in links.items():
        link = _OBSERVATION.link(name)
        assert link is not None
        given = content.pop(name, None) if name in content else {"@iot.id": row[column]}
        if name == "FeatureOfInterest" and (given in (None, {"@iot.id": None})):
            new[column] = None
        else:
            update = _Update(plan, writer, _OBSERVATION, row, {}, replace)
            new[column] = update.reference(link, given, f"Observation/{name}")
    kept = {"phenomenonTime", "resultTime"} if replace else {one.name for one in _OBSERVATION.fields}
    told = {one.name: writer.value(one, row) for one in _OBSERVATION.fields if one.name in kept}
    said = {name: value for name, value in {**told, **content}.items() if value is not None or name == "result"}
    if "result" not in said:
        raise InputRefused("Observation/result is missing")
    same = "result" not in content
    stream = int(row["stream"] if same else new["stream"] or 0)
    batch = decode_messages([msgspec.json.encode(said)], [stream], library.now)
    if not batch.refused:
        batch = examine(batch, library.catalog, library.now, future_s)
    if batch.refused:
        raise InputRefused(NOTHING_STORED, batch.refused)
    [amended] = batch.table.to_pylist()
    if amended["made_here"] and row["made_here"]:
        amended["made"] = row["made"]  # it came when it came
    if same:  # bit for bit as it was, in SI
        amended |= {name: row[name] for name in ("value", "text", "json")}
        _check_fits(row["stream"], new["stream"] or 0, library)
    [before] = stored("id", row["id"], library.observations, 1).to_pylist()
    was = {"corrects": row["id"], "gone": False, **{name: before[name] for name in ("was_stream", "was_time")}}
    return pa.Table.from_pylist([{**amended, **new, "parent": row["parent"], **was}], schema=CORRECTION)


def _check_fits(before: int, after: int, library: Library) -> None:
    """A result goes along to another Datastream only where it means the same there."""
    index = library.catalog.streams
    if any(array[before] != array[after] for array in (index.value_type, index.si_unit)):
        raise InputRefused(f"Datastream {after} has another type or unit than {before}: send the result too")
