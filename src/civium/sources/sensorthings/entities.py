"""Writes rows as the JSON of SensorThings: fields, links, and what is expanded of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import shapely

from civium.core import InputRefused
from civium.engines.catalog import COMPLEX, COUNT, NUMBER, TRUTH
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.tables import COMPONENTS
from civium.sources.instants import write_instant
from civium.sources.sensorthings import multi
from civium.sources.sensorthings.columns import QUALITY, VALID_TIME
from civium.sources.sensorthings.fetch import Source
from civium.sources.sensorthings.lake import given
from civium.sources.sensorthings.model import BY_NAME, OBSERVATIONS, PARTS, UNIT_COLUMNS, Entity, Field, Link, target
from civium.sources.sensorthings.moment import Row, areas_of
from civium.sources.sensorthings.tasking import tasking_parameters
from civium.sources.sensorthings.tree import Expand, Query, query_parts
from civium.sources.sensorthings.values import AS_JSON

_IDS = {"id", "@iot.id"}
_SELF = "@iot.selfLink"


@dataclass(frozen=True, slots=True)
class Choice:
    """What of an entity is told: ``keys`` are those of a field of which only a part was selected."""

    ids: bool
    self_link: bool
    fields: tuple[Field, ...]
    links: tuple[Link, ...]
    keys: Mapping[str, tuple[tuple[str, ...], ...]]


def choice(entity: Entity, query: Query, *, expanded: bool = False) -> Choice:
    """What a query selects; raises ``InputRefused`` for a name that the entity has not.

    Of an entity to which another was ``expanded`` no links are told that nobody asked for (OGC 18-088, 9.3.2.1).
    """
    fields = [*entity.fields, *entity.derived]
    if not query.select:
        return Choice(True, True, tuple(fields), () if expanded else entity.links, {})
    chosen: set[str] = set()
    keys: dict[str, list[tuple[str, ...]]] = {}
    for text in query.select:
        name, *inside = text.replace("[", "/[").split("/")
        field = entity.field(name)
        if inside and field is not None and field.kind in ("json", "unit", "result", "parts", "tasking", "components"):
            keys.setdefault(name, []).append(tuple(inside))
        elif inside or (field is None and name not in _IDS and name != _SELF and entity.link(name) is None):
            raise InputRefused(f"$select: unknown property '{text[:60]}' of {entity.name}")
        else:
            keys.pop(name, None)
        chosen.add(name)
    whole = {text for text in query.select if "/" not in text}
    return Choice(
        bool(chosen & _IDS),
        _SELF in chosen,
        tuple(field for field in fields if field.name in chosen),
        tuple(link for link in entity.links if link.name in chosen),
        {name: tuple(paths) for name, paths in keys.items() if name not in whole},
    )


def part(value: Any, keys: Sequence[str | int]) -> Any:
    """What is behind some keys of a JSON value; raises ``KeyError`` where there is nothing."""
    for key in keys:
        place = int(key[1:-1]) if isinstance(key, str) and key[:1] == "[" else key
        if isinstance(place, int) and isinstance(value, list) and place < len(value):
            value = value[place]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise KeyError(key)
    return value


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes rows as JSON objects, with what is expanded of them."""

    source: Source
    base_url: str

    def self_link(self, entity: Entity, row: Row) -> str:
        return f"{self.base_url}/{entity.plural}({row['id']})"

    def write(
        self, entity: Entity, rows: Sequence[Row], query: Query, *, expanded: bool = False
    ) -> list[dict[str, Any]]:
        """The JSON of rows; each level of the expand is fetched for all of them at once."""
        told = choice(entity, query, expanded=expanded)
        rows = self.derive(entity, rows, told.fields)
        answers = []
        for row in rows:
            answer: dict[str, Any] = {}
            own = self.self_link(entity, row)
            if told.ids:
                answer["@iot.id"] = row["id"]
            if told.self_link:
                answer[_SELF] = own
            for field in told.fields:
                value = self.value(field, row)
                if field.name in told.keys:
                    value = _parts(value, told.keys[field.name])
                if value is not None or field.mandatory:
                    answer[field.name] = value
            for link in told.links:
                if self.leads(entity, link, row):
                    answer[f"{link.name}@iot.navigationLink"] = f"{own}/{link.name}"
            answers.append(answer)
        for expand in query.expand:
            self._expand(entity, rows, answers, expand)
        return answers

    def leads(self, entity: Entity, link: Link, row: Row) -> bool:
        """Whether a link leads somewhere: that of an Observation, to a Datastream or to a MultiDatastream."""
        if entity.table is not OBSERVATIONS or link.own != "stream":
            return True
        complex_result = self.source.ground.catalog.streams.value_type[row["stream"]] == COMPLEX
        return bool(complex_result) == (link.name == "MultiDatastream")

    def derive(self, entity: Entity, rows: Sequence[Row], fields: Sequence[Field]) -> Sequence[Row]:
        """The rows with what is kept elsewhere, or comes of their Observations, where these fields ask for it."""
        if rows and any(field.kind == "components" for field in fields):
            rows = self._with_components(rows)
        wanted = {field.column for field in fields if field.kind in ("span", "area")}
        if not wanted or not rows:
            return rows
        ground = self.source.ground
        streams = np.array([row["id"] for row in rows], np.int64)
        derived: list[dict[str, Any]] = [{} for _ in rows]
        if wanted & {"phenomenon", "result"}:
            spans = ground.moment.spans(streams)
            pairs = ((spans.first, spans.last), (spans.made_first, spans.made_last))
            phenomenon, result = (zip(*(one.tolist() for one in pair), strict=True) for pair in pairs)
            for row, count, *both in zip(derived, spans.counts.tolist(), phenomenon, result, strict=True):
                if count:
                    row["phenomenon"], row["result"] = both[0], both[1] if both[1][0] <= both[1][1] else None
        if "area" in wanted:
            features = ground.moment.features(streams)
            if any(map(len, features)):
                known = ground.geometries(BY_NAME["FeatureOfInterest"], "feature")
                for row, area in zip(derived, areas_of(features, known), strict=True):
                    row["area"] = area
        none = dict.fromkeys(("area", "phenomenon", "result"))
        return [{**row, **none, **more} for row, more in zip(rows, derived, strict=True)]

    def _with_components(self, rows: Sequence[Row]) -> Sequence[Row]:
        found: dict[int, list[Row]] = {}
        query = COMPONENTS.select().where(among_ids(COMPONENTS.c.datastream, [row["id"] for row in rows]))
        for row in self.source.ground.connection.execute(query.order_by(COMPONENTS.c.position)).mappings():
            found.setdefault(row["datastream"], []).append(dict(row))
        return [{**row, "components": found.get(row["id"], [])} for row in rows]

    def _expand(self, entity: Entity, rows: Sequence[Row], answers: list[dict[str, Any]], expand: Expand) -> None:
        link = entity.link(expand.link)
        if link is None:
            raise InputRefused(f"$expand: {entity.name} has no '{expand.link}', at position {expand.at}")
        there = target(link)
        if not link.many:
            found = self.source.single(link, rows, expand.query)
            all_of_them = list(found.values())
            written = dict(zip(found, self.write(there, all_of_them, expand.query, expanded=True), strict=True))
            for row, answer in zip(rows, answers, strict=True):
                if self.leads(entity, link, row):
                    answer[link.name] = written.get(row[link.own])
            return
        groups = self.source.groups(link, rows, expand.query)
        children = {child["id"]: child for group in groups.values() for child in group.rows}
        all_of_them = list(children.values())
        written = dict(zip(children, self.write(there, all_of_them, expand.query, expanded=True), strict=True))
        parts = query_parts(replace(expand.query, skip=0, skiptoken=""))
        options = "".join(f"${name}={quote(text)}&" for name, text in parts.items())
        for row, answer in zip(rows, answers, strict=True):
            group = groups[row["id"]]
            if group.count is not None:
                answer[f"{link.name}@iot.count"] = group.count
            answer[link.name] = [written[child["id"]] for child in group.rows]
            if group.following:
                following = f"{link.name}?{options}$skiptoken={quote(group.following)}"
                answer[f"{link.name}@iot.nextLink"] = f"{self.self_link(entity, row)}/{following}"

    def value(self, field: Field, row: Row) -> Any:
        """The JSON value of a field."""
        match field.kind:
            case "parts":
                return {name: row[column] for name, column in PARTS[field.column].items()}
            case "components":
                return multi.told(row["components"])[field.name]
            case "tasking":
                told = _decoded(row["parameters"])
                return tasking_parameters(row["name"], _decoded(row["facts"]) or {}) if told is None else told
        stored = row[field.column]
        match field.kind:
            case "string" | "id":
                return stored
            case "json" if "params" in row:
                kept = _decoded(stored) or {}
                return {key: kept[key] for key in kept if key not in (VALID_TIME, QUALITY)} or None
            case "json" | "geometry":
                return _decoded(stored)
            case "document":
                return _document(stored)
            case "unit":
                return {name: row[column] for name, column in UNIT_COLUMNS.items()}
            case "time":
                return write_instant(stored)
            case "instant":
                return None if row["made_here"] else write_instant(stored)
            case "period":
                end = row["until"]
                return write_instant(stored) + ("" if end is None else "/" + write_instant(end))
            case "span":
                return None if stored is None else "/".join(map(write_instant, stored))
            case "area":
                return None if stored is None else msgspec.json.decode(shapely.to_geojson(stored))
            case "quality":
                return stored if stored is not None else (_decoded(row["params"]) or {}).get(QUALITY)
            case "valid":
                return (_decoded(stored) or {}).get(VALID_TIME)
        return self._result(row)

    def _result(self, row: Row) -> Any:
        """A result as it was given: in the unit and type of its stream."""
        streams, stream = self.source.ground.catalog.streams, row["stream"]
        kind = streams.value_type[stream]
        value = row["value"]
        if row["json"] is not None:  # also a whole number of more digits than a float has
            return _decoded(row["json"])
        if kind in (NUMBER, COUNT):
            if value is None or math.isnan(value):
                return None
            value = given(value, float(streams.factor[stream]), float(streams.offset[stream]))
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
        if row["text"] is not None or value is None:
            return row["text"]
        if kind == TRUTH:
            return bool(value)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _parts(value: Any, paths: Sequence[tuple[str, ...]]) -> Any:
    """An object with what some paths lead to, each in its place."""
    out: dict[str, Any] = {}
    for path in paths:
        try:
            found = part(value, path)
        except KeyError:
            continue
        inner = out
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = found
    return out or None


def _document(text: str) -> Any:
    """A text, or JSON; what only begins as JSON is a text of an earlier release."""
    try:
        return _decoded(text) if text[:1] in AS_JSON else text
    except msgspec.DecodeError:
        return text


def _decoded(text: str | None) -> Any:
    return msgspec.json.decode(text) if text else None
