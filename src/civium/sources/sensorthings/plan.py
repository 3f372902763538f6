"""What one request of SensorThings makes and changes, put together as rows for the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import func, select

from civium.core import InputRefused, RowRefusal
from civium.engines.catalog import Catalog
from civium.engines.catalog.streams import COMPLEX_TYPE
from civium.engines.catalog.tables import HISTORICAL_LOCATIONS, THING_LOCATIONS
from civium.sources.batch import Batch
from civium.sources.changes import Edits
from civium.sources.geojson import check_geojson, middle
from civium.sources.instants import read_instant
from civium.sources.sensorthings import capabilities, multi
from civium.sources.sensorthings.body import TOLD
from civium.sources.sensorthings.features import add_features, need_places
from civium.sources.sensorthings.model import (
    BY_NAME,
    CAPABLE,
    OBSERVATIONS,
    Entity,
    Field,
    Link,
    is_one,
    target,
)
from civium.sources.sensorthings.observations import decode_messages
from civium.sources.sensorthings.values import document, json_text, terms, text, unit

_DEEPEST = 8
_KEYED = {"things": "thing", "sensors": "sensor", "datastreams": "datastream", "actuators": "actuator"}
# What GET tells of a Datastream and a client may send back: it is derived from the Observations.
_OF_OBSERVATIONS = {"observedArea", "phenomenonTime", "resultTime"}
_DERIVED = {"Datastream": _OF_OBSERVATIONS, "MultiDatastream": _OF_OBSERVATIONS}
_ID = {"@iot.id", "@iot.selfLink"}

Sees = Callable[[Entity, int], bool]  # whether the caller may know of an entity that is there


def given_by(entity: Entity, link: Link | None, parent: int) -> dict[str, int]:
    """The links of a new entity that the path says."""
    back = next((own for own in entity.links if link and own.own and own.own == link.theirs), None)
    return {back.name: parent} if back else {}


def needed_back(entity: Entity, link: Link) -> Link | None:
    """The way back of a link between, if an entity there cannot be made first and linked then."""
    back = (own for own in entity.links if link.through[0] and own.through[0] == link.through[0] and own.mandatory)
    return next(back, None)


def linked_back(content: Any, back: Link, identity: int) -> Any:
    """What is to be made, with a reference to what it stands behind."""
    told = content.get(back.name) or [] if isinstance(content, dict) else None
    own = {"@iot.id": identity}
    return {**content, back.name: [*told, own]} if isinstance(told, list) and own not in told else content


@dataclass(slots=True)
class Plan:
    """What one request makes and changes, as it is put together; ``now`` [us since epoch]."""

    catalog: Catalog
    now: int
    sees: Sees | None = None
    edits: Edits = field(default_factory=Edits)
    bodies: list[bytes] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    unfeatured: list[tuple[str, int]] = field(default_factory=list)  # Observations: where they stand, of which stream
    marked: set[int] = field(default_factory=set)  # Locations that are to have a feature

    def create(self, entity: Entity, content: Any, given: Mapping[str, int], at: str) -> int:
        """Plan one entity with what is nested in it; ``at`` says where it stands in the body."""
        if not isinstance(content, dict):
            raise InputRefused(f"{at} must be an object")
        if entity.name == "Task":
            raise InputRefused(f"{at}: a Task is asked for by itself, at Tasks or TaskingCapabilities(id)/Tasks")
        if at.count("/") >= _DEEPEST:
            raise InputRefused(f"{at} is nested too deeply")
        if entity.name in CAPABLE:
            return capabilities.create(self, entity, content, given, at)
        self.check_names(entity, content, at)
        row: dict[str, Any] = {}
        for one in entity.fields:
            row.update(self.field(entity, one, content, at))
        for link in entity.links:
            if link.own:
                row[link.own] = self.linked(link, content, given, at)
        parts: list[dict[str, Any]] = []
        if entity.name == "MultiDatastream":
            parts = multi.components(content, self._properties(entity, content, at), at)
            row |= {"observation_type": COMPLEX_TYPE, "property": parts[0]["property"]}
        identity = self._add(entity, row, content, at)
        for part in parts:
            self.rows("components").append({"id": self.next("components"), "datastream": identity, **part})
        for link in entity.links:
            if link.many and link.name in content and not (parts and link.name == multi.PROPERTIES):
                self._nested(entity, identity, link, content[link.name], f"{at}/{link.name}")
        if entity.name == "HistoricalLocation":
            if not content.get("Locations"):
                raise InputRefused(f"{at} needs Locations")
            self._move_to(row["thing"], identity, row["time"])
        return identity

    def _properties(self, entity: Entity, content: Mapping[str, Any], at: str) -> list[int]:
        """The ids of the ObservedProperties of a MultiDatastream, in their order: referred to, or created."""
        link, told, where = entity.link(multi.PROPERTIES), content.get(multi.PROPERTIES), f"{at}/{multi.PROPERTIES}"
        assert link is not None
        if not isinstance(told, list):
            raise InputRefused(f"{where} " + ("is missing" if told is None else "must be a list"))
        return [self._refer_or_create(link, one, {}, f"{where}[{place}]") for place, one in enumerate(told)]

    def observation(self, content: Any, given: Mapping[str, int], at: str) -> None:
        """Plan one Observation, whose Datastream and FeatureOfInterest may be new."""
        if not isinstance(content, dict):
            raise InputRefused(f"{at} must be an object")
        entity = BY_NAME["Observation"]
        links = {link.name: self.linked(link, content, given, at) for link in entity.links}
        streams = [links[name] for name in ("Datastream", "MultiDatastream") if links[name] is not None]
        if len(streams) != 1:
            why = 'is missing; refer to one by {"@iot.id": ...} or describe a new one'
            raise InputRefused(
                f"{at}/Datastream {why if not streams else 'and MultiDatastream: only one of them can be'}"
            )
        plain = {name: value for name, value in content.items() if name not in links}
        if links["FeatureOfInterest"] is not None:
            plain["FeatureOfInterest"] = {"@iot.id": links["FeatureOfInterest"]}
        self.bodies.append(msgspec.json.encode(plain))
        self.streams.append(streams[0] or 0)
        if links["FeatureOfInterest"] is None:
            self.unfeatured.append((at, streams[0] or 0))

    def batch(self) -> Batch | None:
        """The Observations; raises ``InputRefused`` if one of them is wrong."""
        if not self.bodies:
            return None
        batch = decode_messages(self.bodies, self.streams, self.now)
        if batch.refused:
            raise InputRefused("nothing was created", tuple(RowRefusal(r.row, r.why) for r in batch.refused))
        return batch

    def connect(self, link: Link, ours: int, others: list[int], at: str) -> None:
        """Rows between two entities; a thing that gets a new Location also gets a history of it."""
        table, our_column, their_column = link.through
        if table == "components":
            raise InputRefused(f"{at}: a MultiDatastream is made with all its {multi.PROPERTIES}, not added to one")
        if table == "current_locations":
            for thing, places in [(ours, others)] if our_column == "thing" else [(thing, [ours]) for thing in others]:
                time = self.move(thing, places)
                history = self.next("historical_locations")
                self.rows("historical_locations").append({"id": history, "thing": thing, "time": time})
                kept = [{"historical_location": history, "location": place} for place in places]
                self.rows("historical_location_locations").extend(kept)
        else:
            self.rows(table).extend({our_column: ours, their_column: other} for other in others)

    def move(self, thing: int, places: list[int], time: int | None = None) -> int:
        """Let a thing be at some Locations and at no other, since ``time`` or now; returns since when."""
        table = THING_LOCATIONS
        with self.catalog.engine.connect() as connection:
            before = connection.execute(
                select(table.c.thing, table.c.time, table.c.location).where(table.c.thing == thing)
            )
            stays = [dict(row) for row in before.mappings()]
        planned = [row for row in self.rows("thing_locations") if row["thing"] == thing]
        if time is None:  # the latest Locations are the current ones
            time = max(self.now, 1 + max((row["time"] for row in (*stays, *planned)), default=0))
        self.edits.rows["thing_locations"] = [r for r in self.rows("thing_locations") if r["thing"] != thing]
        new = [{"thing": thing, "location": place, "time": time} for place in dict.fromkeys(places)]
        gone = self.edits.deletes.setdefault("thing_locations", [])
        gone += [row for row in stays if row not in new and row not in gone]
        self.rows("thing_locations").extend(row for row in new if row not in stays)
        return time

    def check_keys(self) -> None:
        """Refuse a key that something else has: it is the address by which its owner knows it.

        Refused is also an Observation of no feature and no place.
        """
        need_places(self)
        add_features(self)
        for table in _KEYED:
            keys = [row["key"] for row in self.rows(table)]
            taken = set(self.catalog.ids_by_key(table, keys)) | {key for key in keys if keys.count(key) > 1}
            if taken:
                raise InputRefused(f"the key '{min(taken)}' is taken", status=409)
        self.edits.rows = {table: rows for table, rows in self.edits.rows.items() if rows}
        self.edits.deletes = {table: rows for table, rows in self.edits.deletes.items() if rows}

    def check_names(self, entity: Entity, content: Mapping[str, Any], at: str) -> None:
        known = {one.name for one in entity.fields} | {link.name for link in entity.links}
        known |= _DERIVED.get(entity.name, set())
        for name in content:
            if name not in known and not name.endswith(TOLD):
                raise InputRefused(f"{at} has no property '{name[:60]}'; it may have {', '.join(sorted(known))}")

    def field(self, entity: Entity, one: Field, content: Mapping[str, Any], at: str) -> dict[str, Any]:
        value = content.get(one.name)
        where = f"{at}/{one.name}"
        if one.kind == "components" or (entity.name == "MultiDatastream" and one.name == "observationType"):
            return {}  # of a MultiDatastream, whose lists belong together
        if value is None:
            if one.mandatory and one.kind != "unit":
                raise InputRefused(f"{where} is missing")
            if one.kind == "unit":
                raise InputRefused(f"{where} is missing; for no unit send null in its name, symbol and definition")
            return {one.column: "{}"}
        match one.kind:
            case "string":
                return {one.column: text(value, where)}
            case "json":
                if not isinstance(value, dict):
                    raise InputRefused(f"{where} must be an object")
                return {one.column: json_text(value)}
            case "document":
                return {one.column: document(value)}
            case "time":
                try:
                    return {one.column: read_instant(text(value, where))}
                except ValueError as error:
                    raise InputRefused(f"{where}: {error}") from None
            case "geometry":
                return self._geometry(entity, one, content, where)
        return unit(content, where)

    def _geometry(self, entity: Entity, one: Field, content: Mapping[str, Any], where: str) -> dict[str, Any]:
        value = content[one.name]
        row: dict[str, Any] = {one.column: json_text(value)}
        if "geo+json" in str(content.get("encodingType")):
            try:
                check_geojson(value)
                point = middle(value)
            except ValueError as error:
                raise InputRefused(f"{where}: {error}") from None
            if point and "lon" in entity.table.c:
                row["lon"], row["lat"] = point
        return row

    def linked(self, link: Link, content: Mapping[str, Any], given: Mapping[str, int], at: str) -> int | None:
        """The id behind a link to one: said by the path, referred to, or created."""
        where = f"{at}/{link.name}"
        if link.name in given:
            if link.name in content and content[link.name] != {"@iot.id": given[link.name]}:
                raise InputRefused(f"{where} is said by the path already")
            return given[link.name]
        if content.get(link.name) is None:
            if link.mandatory:
                raise InputRefused(f'{where} is missing; refer to one by {{"@iot.id": ...}} or describe a new one')
            return None
        return self._refer_or_create(link, content[link.name], {}, where)

    def _refer_or_create(self, link: Link, content: Any, given: Mapping[str, int], where: str) -> int:
        there = target(link)
        if not isinstance(content, dict) or "@iot.id" not in content:
            return self.create(there, content, given, where)
        identity = content["@iot.id"]
        if type(identity) is int and self.knows(there, identity):
            return identity
        if not content.keys() <= _ID:
            return self.create(there, content, given, where)
        raise InputRefused(f"{where}: there is no {there.name} {identity!r}")

    def knows(self, entity: Entity, identity: int) -> bool:
        """Whether an entity exists, or is about to."""
        rows = self.edits.rows.get(entity.table.name, ())
        if any(row["id"] == identity and is_one(entity, row) for row in rows):
            return True
        if not 0 < identity < self.catalog.next_id(entity.table.name):
            return False
        row = self.catalog.last(entity.table.name, [identity])[identity]
        return not row["gone"] and is_one(entity, row) and (self.sees is None or self.sees(entity, identity))

    def _nested(self, entity: Entity, identity: int, link: Link, content: Any, where: str) -> None:
        if not isinstance(content, list):
            raise InputRefused(f"{where} must be a list")
        there = target(link)
        places = [f"{where}[{position}]" for position in range(len(content))]
        if link.theirs:
            given = given_by(there, link, identity)
            for one, place in zip(content, places, strict=True):
                if isinstance(one, dict) and "@iot.id" in one and one.keys() <= _ID:
                    raise InputRefused(f"{place}: an existing {there.name} cannot move to a new {entity.name}")
                if there.table is OBSERVATIONS:
                    self.observation(one, given, place)
                else:
                    self.create(there, one, given, place)
            return
        back = needed_back(there, link)
        others: list[int] = []
        for one, place in zip(content, places, strict=True):
            if back and not (isinstance(one, dict) and "@iot.id" in one and one.keys() <= _ID):
                self.create(there, linked_back(one, back, identity), {}, place)
            else:
                others.append(self._refer_or_create(link, one, {}, place))
        if others:
            self.connect(link, identity, list(dict.fromkeys(others)), where)

    def _add(self, entity: Entity, row: dict[str, Any], content: Mapping[str, Any], at: str) -> int:
        table = entity.table.name
        identity = self.next(table)
        properties = content.get("properties") or {}
        if table in _KEYED:
            row["key"] = text(properties.get("key", f"{_KEYED[table]}/{identity}"), f"{at}/properties/key")
        if table == "things":
            row["kind"] = text(properties.get("kind", ""), f"{at}/properties/kind")
        if table == "datastreams":
            row.update(terms(properties, at))
        self.rows(table).append({"id": identity, **row})
        return identity

    def _move_to(self, thing: int, history: int, time: int) -> None:
        """A HistoricalLocation later than all others of its Thing says where the Thing is now (OGC 18-088, 8.2.3)."""
        table = HISTORICAL_LOCATIONS
        with self.catalog.engine.connect() as connection:
            last = connection.scalar(select(func.max(table.c.time)).where(table.c.thing == thing))
        planned = [r["time"] for r in self.rows("historical_locations") if r["thing"] == thing and r["id"] != history]
        if time > max([last or 0, *planned]):
            links = self.rows("historical_location_locations")
            self.move(thing, [row["location"] for row in links if row["historical_location"] == history], time)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows that a table is to get."""
        return self.edits.rows.setdefault(table, [])

    def next(self, table: str) -> int:
        """The lowest id that is free."""
        return self.catalog.next_id(table) + len(self.rows(table))
