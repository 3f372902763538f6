"""Fetches rows of entities from the catalogue and the lake: one query for a page, one for each level of an expand."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Select, false, func, select

from civium.core import MICROSECONDS, InputRefused, to_datetime
from civium.core.view import column
from civium.engines.catalog.dialects import among_ids
from civium.engines.deadline import QueryTooLong
from civium.sources.sensorthings.compiler import Compiler
from civium.sources.sensorthings.functions import Sql
from civium.sources.sensorthings.ground import Ground
from civium.sources.sensorthings.lake import among, calculable, lake_text
from civium.sources.sensorthings.model import BY_NAME, OBSERVATIONS, TASKS, Entity, Link, between, target
from civium.sources.sensorthings.moment import Row, rows_of
from civium.sources.sensorthings.paging import KEYS, Key, behind, constant, read_token, token
from civium.sources.sensorthings.query import MAX_TOP
from civium.sources.sensorthings.scope import Scope
from civium.sources.sensorthings.sql import CatalogueScope, ObservationScope, RecordScope
from civium.sources.sensorthings.tree import Order, Path, Query

DEFAULT_TOP = 100
MOST_ROWS = 100_000  # of one level of one answer
_HOUR = 3_600 * MICROSECONDS
_SPANS = (_HOUR, 24 * _HOUR)  # tried one after the other, before all of history
_ID_SPANS = (1 << 26, 1 << 34)  # of ids: a thousand and some hundred thousand log messages
_ID_BITS = (32, 16)  # of an id, which is left of them: some ten thousand messages, one message
_DEEP = 100_000  # rows: so many are not sorted only to be skipped
_BY_TIME = Path(("phenomenonTime",))
_LATEST_FIRST = Order(_BY_TIME, descending=True)
_BY_ID = (Path(("id",)), Path(("@iot.id",)))


@dataclass(frozen=True, slots=True)
class Group:
    """What was found behind a link of one entity: rows, the token of the next page if there is one, and how many there
    are if that was asked."""

    rows: Sequence[Row]
    following: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from."""

    ground: Ground

    def one(self, entity: Entity, identity: int) -> Row | None:
        """The entity with an id."""
        rows = self._run(self._scope(entity, None), _columns(entity).where(entity.rows.c.id == identity))
        return rows[0] if rows else None

    def several(self, entity: Entity, ids: Sequence[int]) -> Sequence[Row]:
        """The entities with some ids, those that exist."""
        return self._run(self._scope(entity, None), _columns(entity).where(_in(entity, entity.rows.c.id, ids)))

    def holds(self, link: Link, parent: Row, identity: int) -> bool:
        """Whether a link of a row leads to the entity with an id."""
        there = target(link)
        query = _columns(there).where(there.rows.c.id == identity, _behind(link, parent))
        return bool(self._run(self._scope(there, None), query))

    def page(self, entity: Entity, query: Query, parent: tuple[Link, Row] | None = None, most: int = MAX_TOP) -> Group:
        """One page of all entities of a kind, or of those behind a link of a row: ``most`` at most."""
        top = min(DEFAULT_TOP if query.top is None else query.top, most)
        streams = _streams(parent)
        if streams is not None and _wants_latest(query, top):
            return self._latest(streams, query)[int(streams[0])]
        scope = self._scope(entity, streams)
        compiler = Compiler(scope)
        conditions = [_behind(*parent)] if parent else []
        if query.filter is not None:
            conditions.append(compiler.condition(query.filter))
        keys = [*_in_place(scope, query, parent), *_keys(compiler, query)]
        values = read_token(query, keys) if query.skiptoken else None
        statement = _columns(entity).add_columns(*_key_columns(keys)).order_by(*(key.sorting for key in keys))
        narrow = parent is not None or query.filter is not None
        skip, windows = query.skip, self._windows(scope, query, keys, values, narrow=narrow)
        far = scope if isinstance(scope, ObservationScope) and _by_id(keys) and (values or skip >= _DEEP) else None
        if far and values is None:
            skip, windows = self._passed_over(far, conditions, skip)
        rows: Sequence[Row] = []
        for window in windows if top else ():
            begin = skip
            if far and not narrow:
                begin, window = 0, self._ids(far, window, skip, top + 1)
            rows = self._run(scope, statement.where(*conditions, *window).limit(top + 1).offset(begin))
            if len(rows) > top:
                break
        try:
            count = self._count(scope, query, conditions, streams) if query.count else None
        except QueryTooLong as error:
            why = f"$count: so many cannot be counted one by one in the time of an answer ({error})"
            raise InputRefused(f"{why}; narrow $filter, or leave out $count or $filter", status=413) from None
        following = token(query, keys, rows[top - 1]) if len(rows) > top else ""
        return Group(rows[:top], following, count)

    def single(self, link: Link, parents: Iterable[Row], query: Query) -> dict[int, Row]:
        """What a link to one leads to, by its id."""
        there = target(link)
        ids = {row[link.own] for row in parents if row[link.own] is not None}
        scope = self._scope(there, None)
        statement = _columns(there).where(_in(there, there.rows.c.id, ids))
        if query.filter is not None:
            statement = statement.where(Compiler(scope).condition(query.filter))
        return {row["id"]: row for row in self._run(scope, statement)}

    def groups(self, link: Link, parents: Sequence[Row], query: Query) -> dict[int, Group]:
        """What a link to many leads to, for all parents in one query, by the parent's id."""
        there = target(link)
        ids = [row["id"] for row in parents]
        top = min(DEFAULT_TOP if query.top is None else query.top, MAX_TOP)
        streams = np.array(ids, np.int64) if there.table is OBSERVATIONS and link.theirs == "stream" else None
        if streams is not None and len(ids) and _wants_latest(query, top):
            return self._latest(streams, query)
        scope = self._scope(there, streams)
        compiler = Compiler(scope)
        keys = _keys(compiler, query)
        # What is calculated for the filter and the order is joined to the rows before they are ranked.
        conditions = [] if query.filter is None else [compiler.condition(query.filter)]
        parent: Any
        whole: Any = scope.whole if isinstance(scope, CatalogueScope) else there.rows
        if link.theirs:
            parent = there.rows.c[link.theirs]
        else:
            name, ours, theirs = link.through
            way = between(name)
            parent = way.c[ours]
            if link.order and not query.orderby:
                keys = [Key(way.c[link.order], False, "number", always=True), *keys]
            whole = whole.join(way, way.c[theirs] == there.rows.c.id)
        base = select(*there.rows.c, parent.label("_parent"), *_key_columns(keys)).select_from(whole).where(*conditions)
        base = base.where(scope.permitted)
        if query.skiptoken:
            raise InputRefused("$skiptoken cannot stand within $expand")
        rank = func.row_number().over(partition_by=parent, order_by=[key.sorting for key in keys]).label("_rank")
        found: dict[int, list[Row]] = {identity: [] for identity in ids}
        pending = ids
        for window in self._windows(scope, query, keys, None, narrow=True) if top else ():
            ranked = base.add_columns(rank).where(_in(there, parent, pending), *window).subquery()
            page = ranked.c["_rank"].between(query.skip + 1, query.skip + top + 1)
            statement = select(ranked).where(page).order_by(ranked.c["_parent"], ranked.c["_rank"])
            rows = self._run(scope, statement.limit(MOST_ROWS + 1), ready=True)
            if len(rows) > MOST_ROWS:
                raise InputRefused(f"{link.name} would expand to more than {MOST_ROWS} entities: use $top", status=413)
            found.update((identity, []) for identity in pending)
            for row in rows:
                found[row["_parent"]].append(row)
            pending = [identity for identity in pending if len(found[identity]) <= top]
            if not pending:
                break
        counts: dict[int, int] = {}
        if query.count and streams is not None and query.filter is None:
            counts = dict(zip(ids, self.ground.moment.spans(streams).counts.tolist(), strict=True))
        elif query.count:
            counted = base.where(_in(there, parent, ids)).subquery()
            tally = select(counted.c["_parent"], func.count().label("n")).group_by(counted.c["_parent"])
            counts = {row["_parent"]: row["n"] for row in self._run(scope, tally, ready=True)}
        return {
            identity: Group(
                rows[:top],
                token(query, keys, rows[top - 1]) if len(rows) > top else "",
                counts.get(identity, 0) if query.count else None,
            )
            for identity, rows in found.items()
        }

    def _latest(self, streams: NDArray[np.int64], query: Query) -> dict[int, Group]:
        """The latest Observation of each stream, without looking into the lake."""
        moment = self.ground.moment
        latest = {row["stream"]: row for row in moment.newest(streams)}
        counts = moment.spans(streams).counts.tolist()
        keys = _keys(Compiler(self._scope(BY_NAME["Observation"], streams)), query)
        groups = {}
        for stream, count in zip(streams.tolist(), counts, strict=True):
            row = latest.get(stream)
            following = ""
            if row is not None and count > 1:
                told = {KEYS.format(0): row["time"], KEYS.format(1): row["id"]}
                following = token(query, keys, told)
            groups[stream] = Group([row] if row else [], following, count if query.count else None)
        return groups

    def _count(self, scope: Scope, query: Query, conditions: Sequence[Sql], streams: NDArray[np.int64] | None) -> int:
        """How many there are on all pages."""
        if isinstance(scope, ObservationScope) and query.filter is None:
            if streams is not None:
                return int(self.ground.moment.spans(streams).counts[0])
            if not conditions:
                sight = self.ground.sight
                some = np.flatnonzero(self.ground.catalog.streams.exists) if sight is None else sight.readable
                return self.ground.moment.total(some)
        counted = select(func.count().label("n")).where(*conditions)
        return int(self._run(scope, counted)[0]["n"])

    def _windows(
        self, scope: Scope, query: Query, keys: Sequence[Key], values: Sequence[Any] | None, *, narrow: bool
    ) -> Iterator[list[Sql]]:
        """Conditions to try one after the other until a page is full; the last one leaves nothing out but what comes
        before the page.

        What is asked for mostly lies near where the page begins: the last hour or day, the next thousand messages. So
        not all of history need be read.
        """
        after = [] if values is None else [behind(keys, values, scope.database)]
        if isinstance(scope, ObservationScope) and not query.skip:
            first = keys[0]
            by_time = query.orderby[:1] in ((_LATEST_FIRST,), (Order(_BY_TIME),))
            if by_time and (first.descending or values is not None):
                anchor = self.ground.now if values is None else values[0]
                for span in _SPANS:
                    yield [*after, *_between(first, anchor, span, upper=values is not None)]
            elif first.always and first.sql is OBSERVATIONS.c.id and (values is not None or not narrow):
                anchor = 0 if values is None else values[0]
                if not first.descending:
                    for span in _ID_SPANS:
                        yield [*after, first.sql > anchor, first.sql <= anchor + span]
            if values is not None and first.always:
                # said once more in the plainest way, so that files are passed over by it
                bound = constant(first, values[0], scope.database)
                after.append(first.sql <= bound if first.descending else first.sql >= bound)
        yield after

    def _passed_over(
        self, scope: ObservationScope, conditions: Sequence[Sql], skip: int
    ) -> tuple[int, Iterator[list[Sql]]]:
        """How many rows are left to skip, and the conditions to try, which leave out most of the first ``skip`` by id.

        They are counted by the upper bits of their ids, message by message: that is one pass over a column, where the
        lake would sort all of them.
        """
        identity, within, first = OBSERVATIONS.c.id, list[Sql](), 0
        for bits in _ID_BITS:
            bucket = identity.bitwise_rshift(bits).label("bucket")
            counted = select(bucket, func.count().label("n")).select_from(OBSERVATIONS)
            counted = counted.where(scope.permitted, *conditions, *within).group_by("bucket").order_by("bucket")
            table = self.query(counted, scope)
            ends = np.cumsum(column(table, "n"))
            at = int(np.searchsorted(ends, skip, side="right"))
            if at == len(ends):
                return 0, iter(())
            skip -= int(ends[at - 1]) if at else 0
            first = int(column(table, "bucket")[at]) << bits
            within = [identity >= first, identity < first + (1 << bits)]
        near = [identity >= first, identity < first + _ID_SPANS[0]]
        return skip, iter((near, [identity >= first]))

    def _ids(self, scope: ObservationScope, window: Sequence[Sql], skip: int, most: int) -> list[Sql]:
        """The condition that rows are of a page, by their ids: one column is read for it where all would be sorted."""
        identity = OBSERVATIONS.c.id
        page = select(identity).select_from(OBSERVATIONS).where(scope.permitted, *window)
        ids = column(self.query(page.order_by(identity).limit(most).offset(skip), scope), "id")
        return [identity.between(int(ids[0]), int(ids[-1]))] if len(ids) else [false()]

    def _scope(self, entity: Entity, streams: NDArray[np.int64] | None) -> Scope:
        if entity.table is OBSERVATIONS:
            return ObservationScope(entity, self.ground, streams)
        if entity.table is TASKS:
            return RecordScope(entity, entity.table, self.ground)
        return CatalogueScope(entity, entity.rows, self.ground)

    def _run(self, scope: Scope, statement: Select[Any], *, ready: bool = False) -> Sequence[Row]:
        """The rows of a statement about the entity of a scope; one that is not ``ready`` gets its tables here."""
        if isinstance(scope, CatalogueScope):
            statement = statement if ready else statement.select_from(scope.whole).where(scope.permitted)
            with calculable():
                return [dict(row) for row in scope.connection.execute(statement).mappings()]
        assert isinstance(scope, ObservationScope)
        statement = statement if ready else statement.select_from(OBSERVATIONS).where(scope.permitted)
        return rows_of(self.query(statement, scope))

    def query(self, statement: Select[Any], scope: ObservationScope) -> pa.Table:
        """The answer of the lake."""
        with calculable():
            return self.ground.observations.query(*lake_text(statement), scope.tables)


def _columns(entity: Entity) -> Select[Any]:
    return select(*entity.rows.c)


def _by_id(keys: Sequence[Key]) -> bool:
    return keys[0].sql is OBSERVATIONS.c.id and not keys[0].descending


def _key_columns(keys: Sequence[Key]) -> list[Any]:
    return [key.sql.label(KEYS.format(place)) for place, key in enumerate(keys)]


def _streams(behind: tuple[Link, Row] | None) -> NDArray[np.int64] | None:
    """The one stream whose observations are asked for, if it is one."""
    if behind is None or behind[0].theirs != "stream":
        return None
    return np.array([behind[1]["id"]], np.int64)


def _wants_latest(query: Query, top: int) -> bool:
    by = query.orderby
    by_id = len(by) == 1 or (len(by) == 2 and by[1].descending and by[1].by in _BY_ID)
    plain = query.filter is None and not query.skip and not query.skiptoken
    return top == 1 and plain and by[:1] == (_LATEST_FIRST,) and by_id


def _keys(compiler: Compiler, query: Query) -> list[Key]:
    """As asked, and by id among equals, so that pages do not overlap: the last of equals is the last that came."""
    keys = [key for order in query.orderby for key in compiler.order(order)]
    identity = compiler.scope.row.c.id
    for place, key in enumerate(keys):
        if key.sql is identity:
            return keys[: place + 1]
    return [*keys, Key(identity, bool(keys) and keys[-1].descending, "number", always=True)]


def _in_place(scope: Scope, query: Query, parent: tuple[Link, Row] | None) -> list[Key]:
    """By their place behind the link of a row, where the link has an order and the query none."""
    if parent is None or not parent[0].order or query.orderby:
        return []
    link, row = parent
    name, ours, theirs = link.through
    way = between(name)
    place = select(func.min(way.c[link.order])).where(way.c[ours] == row["id"], way.c[theirs] == scope.row.c.id)
    return [Key(place.correlate(scope.row).scalar_subquery(), False, "number", always=True)]


def _between(key: Key, anchor: int, span: int, *, upper: bool) -> list[Sql]:
    """That a time lies within a span before (descending) or behind an instant."""

    def at(instant: int) -> Any:
        try:
            return to_datetime(instant).replace(tzinfo=None)
        except (OverflowError, ValueError):
            raise InputRefused("$skiptoken is not one that a next link gave") from None

    if key.descending:
        return [key.sql > at(anchor - span), *([key.sql <= at(anchor)] if upper else [])]
    return [key.sql >= at(anchor), key.sql < at(anchor + span)]


def _behind(link: Link, parent: Row) -> Sql:
    """That an entity is behind a link of a row."""
    there = target(link).rows
    condition: Sql
    if link.own:
        condition = there.c.id == parent[link.own]
    elif link.theirs:
        condition = there.c[link.theirs] == parent["id"]
    else:
        name, ours, theirs = link.through
        way = between(name)
        condition = there.c.id.in_(select(way.c[theirs]).where(way.c[ours] == parent["id"]))
    return condition


def _in(entity: Entity, column: Any, ids: Iterable[int]) -> Sql:
    """That a column holds one of these ids."""
    condition: Sql
    if entity.table is OBSERVATIONS:
        condition = column.in_(among(np.array(sorted(ids), np.int64)))
    else:
        condition = among_ids(column, sorted(ids))
    return condition
