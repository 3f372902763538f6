"""What the names of a query mean in SQL: fields and links of the catalogue, and of the lake of observations."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    FromClause,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    select,
    true,
)
from sqlalchemy import DateTime as Instant
from sqlalchemy import literal_column as raw

from civium.core import InputRefused
from civium.engines.catalog import dialects
from civium.engines.catalog.dialects import among_ids, json_ways
from civium.sources.sensorthings.columns import QUALITY, VALID_TIME
from civium.sources.sensorthings.functions import Database, Sql, Value
from civium.sources.sensorthings.geometry import present
from civium.sources.sensorthings.ground import Ground
from civium.sources.sensorthings.lake import (
    FEW,
    Units,
    among,
    calculable,
    json_path,
    json_value,
    lake_text,
    looked_up,
    plain,
    utc,
)
from civium.sources.sensorthings.model import (
    OBSERVATIONS,
    PARTS,
    TASKS,
    UNIT_COLUMNS,
    Entity,
    Field,
    Link,
    between,
    target,
)
from civium.sources.sensorthings.scope import Scope
from civium.sources.sensorthings.tasking import tasking_parameters

_LANES: dict[str, Any] = {"number": Double(), "string": String(), "bool": Boolean(), "instant": Instant()}


class CatalogueScope(Scope):
    """Rows of the catalogue."""

    database = Database.CATALOGUE

    def __init__(self, entity: Entity, row: FromClause, ground: Ground) -> None:
        super().__init__(entity, row, ground)
        self._whole = row
        self._calculated: dict[str, Sql] = {}

    @property
    def connection(self) -> Connection:
        """Where the rows are."""
        return self.ground.connection

    @property
    def permitted(self) -> Sql:
        sight = self.ground.sight
        seen = (
            None if sight is None else sight.sees(self.entity.name, self.row, self.ground.moment, self.ground.catalog)
        )
        return true() if seen is None else seen

    @property
    def whole(self) -> FromClause:
        """The rows, beside what was calculated for them."""
        return self._whole

    def calculated(self, name: str, values: Callable[[], dict[int, Any]], kind: Any, by: str = "id") -> Sql:
        """A column whose values, by id or another column, its database cannot calculate; null if there is none."""
        if name not in self._calculated:
            text = cast(literal(msgspec.json.encode({str(k): v for k, v in values().items()}).decode(), Text()), Text)
            if self.connection.dialect.name == "postgresql":
                listed: Any = func.json_each_text(cast(text, JSON)).table_valued("key", "value")
            else:
                listed = func.json_each(text).table_valued("key", "value")
            beside = select(
                cast(listed.c.key, BigInteger).label("id"), cast(listed.c.value, kind).label("v")
            ).subquery()
            self._whole = self._whole.outerjoin(beside, beside.c.id == self.row.c[by])
            self._calculated[name] = beside.c.v
        return self._calculated[name]

    def some(self, link: Link, condition: Callable[[Scope], Sql]) -> Sql:
        there = target(link)
        if there.table is OBSERVATIONS:
            return among_ids(self.row.c.id, self._observed(link, condition))
        if there.table is TASKS:
            tasks = RecordScope(there, TASKS, self.ground)
            statement = (
                select(TASKS.c[link.theirs])
                .distinct()
                .select_from(tasks.whole)
                .where(condition(tasks), tasks.permitted)
            )
            with calculable():
                return among_ids(self.row.c.id, [int(one) for one in tasks.connection.scalars(statement)])
        scope = CatalogueScope(there, there.rows.alias(), self.ground)
        row, met = scope.row, and_(condition(scope), scope.permitted)
        if link.own:
            return self.row.c[link.own].in_(select(row.c.id).select_from(scope.whole).where(met))
        if link.theirs:
            return self.row.c.id.in_(select(row.c[link.theirs]).select_from(scope.whole).where(met))
        name, ours, theirs = link.through
        way = between(name)
        joined = scope.whole.join(way, row.c.id == way.c[theirs])
        return self.row.c.id.in_(select(way.c[ours]).select_from(joined).where(met))

    def _observed(self, link: Link, condition: Callable[[Scope], Sql]) -> list[int]:
        """The ids of our entities with Observations that meet a condition: those are in the other database."""
        scope = ObservationScope(target(link), self.ground)
        column = OBSERVATIONS.c[link.theirs]
        statement = select(column).distinct().where(column.is_not(None), condition(scope), scope.permitted)
        with calculable():
            table = self.ground.observations.query(*lake_text(statement), scope.tables)
        ids: list[int] = sorted(table.column(0).to_pylist())
        return ids

    def behind(self, link: Link, value: Callable[[Scope], Value]) -> Value:
        there = target(link)
        scope = CatalogueScope(there, there.rows.alias(), self.ground)
        inner = value(scope)

        def of(sql: Sql) -> Sql:
            found = select(sql).select_from(scope.whole).where(scope.row.c.id == self.row.c[link.own], scope.permitted)
            return found.correlate(self.row).scalar_subquery()

        end = None if inner.end is None else of(inner.end)
        return Value(inner.kind, of(inner.sql), end, {kind: of(sql) for kind, sql in inner.ways.items()})

    def field(self, field: Field, keys: tuple[str, ...]) -> Value | None:
        match field.kind:
            case "json" if not keys:
                return Value("JSON object", func.nullif(self.row.c[field.column], "{}"))
            case "unit" | "parts" | "tasking" | "components" if not keys:
                return Value("JSON object", self.row.c.id)  # always there
            case "unit":
                column = UNIT_COLUMNS.get(keys[0]) if len(keys) == 1 else None
                return Value("string", self.row.c[column]) if column else None
            case "parts":
                column = PARTS[field.column].get(keys[0]) if len(keys) == 1 else None
                return Value("string", self.row.c[column]) if column else None
            case "area" if keys == ("type",):
                return Value("string", self.calculated("area type", self._area_types, Text()))
            case "json" | "geometry" | "tasking" if keys:
                indexed = any(key[:1] == "[" for key in keys)
                if indexed and self.connection.dialect.name == "postgresql":
                    raise InputRefused("a catalogue in PostgreSQL cannot look into an array: name a key", status=501)
                kept = field.kind != "tasking"
                told = self.row.c[field.column] if kept else self.calculated("tasking", self._tasking, Text())
                value, ways = json_ways(told, keys)
                return Value("any", value, ways=ways)
            case "geometry" | "area" if not keys:
                return Value("geometry", null(), column=field.column)
            case "span" if not keys:
                return self._span(field.column)
            case "string" | "document" if not keys:
                return Value("string", self.row.c[field.column])
            case "time" if not keys:
                return Value("instant", self.row.c[field.column])
        return None

    def holds(self, field: Field, keys: tuple[str, ...], item: str) -> Sql | None:
        return dialects.json_holds(self.row.c[field.column], keys, item) if field.kind == "json" else None

    def _tasking(self) -> dict[int, Any]:
        """The parameters of all TaskingCapabilities as JSON: a client's, or those that the facts allow."""
        c = self.entity.rows.c
        rows = self.connection.execute(select(c.id, c.name, c.facts, c.parameters))
        return {
            identity: parameters or msgspec.json.encode(tasking_parameters(name, msgspec.json.decode(facts))).decode()
            for identity, name, facts, parameters in rows
        }

    def _area_types(self) -> dict[int, Any]:
        """Point or Polygon, for the Datastreams that have an area."""
        shapes = self.ground.geometries(self.entity, "area")
        return {identity: shapes[identity].geom_type for identity in present(shapes)}

    def _span(self, which: str) -> Value:
        """From when to when the Observations of a Datastream are, or were made."""
        streams = np.flatnonzero(self.ground.catalog.streams.exists)
        spans = self.ground.moment.spans(streams)
        ends = (spans.first, spans.last) if which == "phenomenon" else (spans.made_first, spans.made_last)
        some = (spans.counts > 0) & (ends[0] <= ends[1])

        def column(name: str, values: NDArray[np.int64]) -> Sql:
            told = dict(zip(streams[some].tolist(), values[some].tolist(), strict=True))
            return self.calculated(name, lambda: told, BigInteger)

        return Value("instant", column(f"{which} start", ends[0]), end=column(f"{which} end", ends[1]))


class RecordScope(CatalogueScope):
    """Rows of the record, which is a database of its own: what is linked to them is fetched from the catalogue."""

    @property
    def permitted(self) -> Sql:
        sight = self.ground.sight
        if sight is None:
            return true()
        hidden = self.ground.connection.scalars(sight.actuators()).all()
        return not_(among_ids(self.row.c.actuator, [int(one) for one in hidden]))

    @property
    def connection(self) -> Connection:
        if self.ground.record is None:
            raise InputRefused("there is no record here to read Tasks from", status=501)
        return self.ground.record()

    def some(self, link: Link, condition: Callable[[Scope], Sql]) -> Sql:
        scope = CatalogueScope(target(link), target(link).rows.alias(), self.ground)
        met = and_(condition(scope), scope.permitted)
        with calculable():
            found = self.ground.connection.scalars(select(scope.row.c.id).select_from(scope.whole).where(met)).all()
        return among_ids(self.row.c[link.own], [int(one) for one in found])

    def behind(self, link: Link, value: Callable[[Scope], Value]) -> Value:
        scope = CatalogueScope(target(link), target(link).rows.alias(), self.ground)
        inner = value(scope)
        if inner.kind not in ("number", "string", "bool", "instant", "any") or inner.end is not None:
            raise InputRefused(f"a {inner.kind} of {link.name} cannot be calculated with", status=501)
        kinds = {"number": Double, "string": Text, "bool": Boolean, "instant": BigInteger}

        def of(sql: Sql, kind: str) -> Sql:
            def values() -> dict[int, Any]:
                asked = select(scope.row.c.id, sql).select_from(scope.whole).where(scope.permitted)
                rows = self.ground.connection.execute(asked)
                return {row[0]: row[1] for row in rows if row[1] is not None}

            with calculable():
                return self.calculated(f"{link.name} {sql}", values, kinds[kind], link.own)

        if inner.kind == "any":
            ways = {kind: of(sql, kind) for kind, sql in inner.ways.items()}
            return Value("any", func.coalesce(*(cast(way, String) for way in ways.values())), ways=ways)
        return Value(inner.kind, of(inner.sql, inner.kind))


class ObservationScope(Scope):
    """Rows of the lake, of some streams or any; ``tables`` are what a query must be given beside the lake."""

    database = Database.LAKE

    def __init__(self, entity: Entity, ground: Ground, streams: NDArray[np.int64] | None = None) -> None:
        super().__init__(entity, OBSERVATIONS, ground)
        self.streams = streams
        self._units = Units(ground.catalog, streams)
        self.tables: dict[str, pa.Table] = {}

    @property
    def permitted(self) -> Sql:
        """That this process knows the stream too.

        A stream that came while it was reading comes with the next answer.
        """
        there: Sql = self.row.c.stream <= raw(str(self.ground.newest))
        sight = self.ground.sight
        if sight is None or (self.streams is not None and sight.reach.among(self.streams).all()):
            return there
        hidden, seen = sight.hidden(self.ground.catalog), sight.readable
        fewer = hidden if len(hidden) < len(seen) else seen
        if len(fewer) <= FEW:
            ids = among(fewer)
        else:
            self.tables["in_sight"] = pa.table({"stream": fewer})
            ids = select(Table("in_sight", MetaData(), Column("stream", BigInteger)).c.stream)
        within: Sql = self.row.c.stream.in_(ids)
        return and_(there, within if fewer is seen else not_(within))

    def some(self, link: Link, condition: Callable[[Scope], Sql]) -> Sql:
        """Here linked entities are in the other database: their ids are fetched first."""
        scope = CatalogueScope(target(link), target(link).rows.alias(), self.ground)
        met = and_(condition(scope), scope.permitted)
        query = select(scope.row.c.id).select_from(scope.whole).where(met)
        with calculable():
            ids = np.array(self.ground.connection.scalars(query).all(), np.int64)
        return self.row.c[link.own].in_(among(ids))

    def behind(self, link: Link, value: Callable[[Scope], Value]) -> Value:
        """The values are fetched too, and looked up by id."""
        scope = CatalogueScope(target(link), target(link).rows.alias(), self.ground)
        inner = value(scope)
        lanes = dict(inner.ways) if inner.kind == "any" else {inner.kind: inner.sql}
        if inner.kind not in (*_LANES, "any"):
            raise InputRefused(f"a {inner.kind} of {link.name} cannot be calculated with", status=501)
        if inner.end is not None:
            lanes["end"] = inner.end
        columns_of = (sql.label(name) for name, sql in lanes.items())
        statement = select(scope.row.c.id, *columns_of).select_from(scope.whole).where(scope.permitted)
        if link.own == "stream" and self.streams is not None:
            statement = statement.where(among_ids(scope.row.c.id, self.streams.tolist()))
        name = f"linked_{len(self.tables)}"
        with calculable():
            rows = self.ground.connection.execute(statement).all()
        self.tables[name] = looked_up(rows, list(lanes))
        columns: list[Any] = [Column(lane, _LANES["instant" if lane == "end" else lane]) for lane in lanes]
        there = Table(name, MetaData(), Column("id", BigInteger), *columns)

        def of(lane: str) -> Sql:
            return select(there.c[lane]).where(there.c.id == self.row.c[link.own]).scalar_subquery()

        if inner.kind == "any":
            ways = {lane: of(lane) for lane in lanes}
            told = (plain(way) if lane == "number" else cast(way, String) for lane, way in ways.items())
            return Value("any", func.coalesce(*told), ways=ways)
        return Value(inner.kind, of(inner.kind), end=of("end") if "end" in lanes else None)

    def field(self, field: Field, keys: tuple[str, ...]) -> Value | None:
        c = self.row.c
        match field.kind:
            case "period" if not keys:
                return Value("instant", c.time, end=func.coalesce(c.until, c.time))
            case "instant" if not keys:
                return Value("instant", case((not_(func.coalesce(c.made_here, raw("false"))), c.made)))
            case "valid" if not keys:
                return self._valid()
            case "quality":
                kept = json_value(c.params, (QUALITY, *keys))
                if keys:
                    return kept
                judged = func.coalesce(cast(c.quality, Double), kept.ways["number"])
                told = func.coalesce(cast(c.quality, String), kept.sql)
                return Value("any", told, ways={**kept.ways, "number": judged})
            case "json" if keys:
                return json_value(c.params, keys)
            case "json":
                beside = sum(
                    cast(func.json_exists(c.params, json_path((key,))), Integer) for key in (QUALITY, VALID_TIME)
                )
                return Value("JSON object", case((func.len(func.json_keys(c.params)) > beside, c.params)))
            case "result" if keys:
                return json_value(c.json, keys)
            case "result":
                number = self._units.given(c.value, c.stream)
                truth = case((c.json == raw("'true'"), raw("true")), (c.json == raw("'false'"), raw("false")))
                counted = case((truth.is_(None), number))
                ways = {"number": counted, "string": c.text, "bool": truth}
                return Value("any", func.coalesce(c.json, c.text, plain(number)), ways=ways)
        return None

    def holds(self, field: Field, keys: tuple[str, ...], item: str) -> Sql | None:
        column = {"json": self.row.c.params, "result": self.row.c.json}.get(field.kind)
        if column is None:
            return None
        path = json_path(keys)
        array: Sql = func.json_type(column, path) == "ARRAY"
        return and_(array, func.json_contains(func.json_extract(column, path), item))

    def _valid(self) -> Value:
        """The interval is kept as the text that was given, after it was found to be one."""
        text = json_value(self.row.c.params, (VALID_TIME,)).ways["string"]
        start, end = (utc(func.split_part(text, "/", place, type_=String)) for place in (1, 2))
        return Value("instant", start, end=func.coalesce(end, start))
