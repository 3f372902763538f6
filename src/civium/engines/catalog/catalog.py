"""The catalogue: folds the changes of the log stream CAT into tables, and says what exists as of a cut of that log.

Its database may be this process's own or shared. In a shared one whoever comes first inserts the rows of a message,
for all; each process keeps a position of its own, which says what its arrays and ids know. So the database may be ahead
of a process, never behind it, and a process reads no further than its position.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy import Row as Found
from sqlalchemy.exc import ArgumentError, IntegrityError

from civium.core import EngineUnsuitable
from civium.core.view import ACTUATORS as ACTUATORS_SCHEMA
from civium.core.view import THINGS as THINGS_SCHEMA
from civium.engines.age import DataOlder
from civium.engines.catalog import components, migrations, questions, references, versions
from civium.engines.catalog.change import Change
from civium.engines.catalog.database import CatalogUnavailable, Database
from civium.engines.catalog.dialects import among_ids, among_texts
from civium.engines.catalog.kinds import Kinds
from civium.engines.catalog.places import Places
from civium.engines.catalog.postgresql import PostgreSql
from civium.engines.catalog.questions import STREAMS_OF, Held, Settings
from civium.engines.catalog.sqlite import Sqlite
from civium.engines.catalog.streams import COMPLEX, StreamIndex
from civium.engines.catalog.tables import (
    ACTUATORS,
    APPLIED,
    COMPONENTS,
    DATASTREAMS,
    FEATURES,
    LOCATIONS,
    METADATA,
    OBSERVED_PROPERTIES,
    PAST,
    THING_LOCATIONS,
    THINGS,
)

STREAM = "CAT"
_KEPT_ANSWERS = 64
_ROWS_PER_BLOCK = 20_000
_DATABASES: dict[str, Database] = {"sqlite": Sqlite(), "postgresql": PostgreSql()}


class Catalog:
    """One open catalogue. Any thread may read; ``fold`` takes a lock."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._database = _DATABASES[engine.dialect.name]
        self.streams = StreamIndex()
        self.kinds = Kinds()
        self.places = Places()
        self._writing = threading.Lock()
        past = {table.name for table in PAST.values()}
        self._columns = {
            table.name: versions.defaults(table)
            for table in METADATA.sorted_tables
            if table is not APPLIED and table.name not in past
        }
        self._last_id: dict[str, int] = {}
        self._regrouped: tuple[int, set[int]] = (-1, set())
        self._answers: dict[tuple[Any, ...], pa.Table] = {}
        with engine.connect() as connection:
            for table in METADATA.sorted_tables:
                if "id" in table.c:
                    self._last_id[table.name] = connection.scalar(select(func.max(table.c.id))) or 0
            for name, table in PAST.items():  # an id is never given twice
                if "id" in table.c:
                    last = connection.scalar(select(func.max(table.c.id))) or 0
                    self._last_id[name] = max(self._last_id[name], last)
            self.features_gone = _gone(connection, FEATURES)
            self._applied = {str(stream): int(seq) for stream, seq in connection.execute(select(APPLIED))}
            self.streams.load(connection, self._database)
            self.kinds.load(connection, self._database)
            self.places.load(connection)
            self.components = components.load(connection)
        self._changed = dict.fromkeys(self._columns, self.applied())  # table -> seq of its last change, at most

    @classmethod
    def open(cls, url: str, *, upgrade: bool = False) -> "Catalog":
        """Open the catalogue at ``url``, or make it: ``sqlite:///path/to/file`` or ``postgresql://user@host/database``.

        Raises ``EngineUnsuitable`` for another kind of database or one that does not let us in, DataOlder for one of an
        older release unless ``upgrade`` allows to change it, and DataNewer.
        """
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise EngineUnsuitable(
                "catalog", "its URL cannot be read; write postgresql://user@host:5432/database"
            ) from None
        database = _DATABASES.get(parsed.get_backend_name())
        if database is None:
            known = ", ".join(f"{name}:" for name in _DATABASES)
            raise EngineUnsuitable("catalog", f"'{parsed}' is no database of a catalogue; use one of {known}")
        engine = database.open(parsed)
        try:
            found, known = migrations.versions(engine)
            if found and found != known and not upgrade:
                raise DataOlder("the catalogue", found, known, str(parsed.database))
            if found != known:
                migrations.upgrade(engine, database)
            return cls(engine)
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        self.engine.dispose()

    def save(self, path: Path) -> None:
        """Write the catalogue as it is now to the new SQLite file ``path``, while it is in use.

        Raises EngineUnsuitable for one that is not in SQLite.
        """
        self._database.save(self.engine, path)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction."""
        writing = self.engine.execution_options(**self._database.writing)
        with self._writing, writing.begin() as connection:
            yield connection

    def applied(self, stream: str = STREAM) -> int:
        """The last sequence of a log stream that this process has folded; 0 when none has."""
        return self._applied.get(stream, 0)

    def changed(self, *tables: Table) -> int:
        """The sequence of the last change of some tables, or a later one."""
        return max(self._changed[table.name] for table in tables)

    def streams_at(self) -> int:
        """The sequence of the last change of streams and things that this process has folded, or a later one."""
        at = self._changed
        return min(self._applied.get(STREAM, 0), max(at["datastreams"], at["things"]))

    def defaults(self, table: str) -> Mapping[str, Any]:
        """What the columns of a table hold that a new row leaves out."""
        return self._columns[table]

    def next_id(self, table: str) -> int:
        """The lowest id that no row of a table ever had, as of the last fold."""
        return self._last_id[table] + 1

    def fold(self, seq: int, change: Change) -> bool:
        """Take in what message ``seq`` says, in one transaction; False if this process did so before.

        Another process may have written it. Raises ``ValueError`` for a table or column that does not exist and
        ``IntegrityError`` for a row that breaks a key; nothing of the message is kept then.
        """
        if seq <= self.applied():
            return False
        unknown = (
            change.rows.keys() - self._columns.keys() | (change.updates.keys() | change.deletes.keys()) - PAST.keys()
        )
        if unknown:
            raise ValueError(f"no table {', '.join(sorted(unknown))}")
        given, changed, gone = self._ordered(change)
        with self.transaction() as connection:
            if self._stored(connection) < seq:
                self._write(connection, change, seq)
                connection.execute(update(APPLIED).where(APPLIED.c.stream == STREAM).values(seq=seq))
        for name in (*given, *changed, *gone):
            self._changed[name] = seq
        for name, rows in given.items():
            if name in self._last_id:
                self._last_id[name] = max(self._last_id[name], max(map(itemgetter("id"), rows)))
        self.features_gone |= {row["id"] for row in gone.get(FEATURES.name, ())}
        self.kinds.put(given.get(THINGS.name, []))
        self.kinds.change(changed.get(THINGS.name, []))
        self.streams.extend(given.get(DATASTREAMS.name, []), self._columns[DATASTREAMS.name])
        self.streams.change(changed.get(DATASTREAMS.name, []))
        self.streams.remove([row["id"] for row in gone.get(DATASTREAMS.name, ())])
        self._settle(change)
        self._settle_components(change)
        self._applied[STREAM] = seq
        return True

    def rehearse(self, change: Change) -> None:
        """Raise what ``fold`` would raise if ``change`` were the next message; nothing is kept.

        Where another process is ahead of this one the log will refuse the change, and nothing is said of it here.
        """
        with self.transaction() as connection:
            if self._stored(connection) > self.applied():
                return
            with connection.begin_nested() as rehearsal:
                self._write(connection, change, self.applied() + 1)
                rehearsal.rollback()

    def _ordered(self, change: Change) -> tuple[dict[str, list[dict[str, Any]]], ...]:
        """What a change adds, alters and takes away, by table: parents before children, and the other way round."""
        given = {name: change.rows[name] for name in self._columns if change.rows.get(name)}
        changed = {name: change.updates[name] for name in self._columns if change.updates.get(name)}
        gone = {name: change.deletes[name][::-1] for name in reversed(self._columns) if change.deletes.get(name)}
        return given, changed, gone

    def _write(self, connection: Connection, change: Change, seq: int) -> None:
        given, changed, gone = self._ordered(change)
        for name, rows in given.items():
            constants = {**self._columns[name], "seq": seq}
            versions.add(self._database, connection, METADATA.tables[name], constants, rows)
        for name, rows in changed.items():
            versions.change(connection, METADATA.tables[name], rows, seq)
        for name, rows in gone.items():
            versions.remove(connection, METADATA.tables[name], rows, seq)

    def _settle(self, change: Change) -> None:
        """Know where things are that a change has moved, or whose place it has changed."""
        here, there, things = THING_LOCATIONS.name, LOCATIONS.name, THINGS.name
        moved = [row["thing"] for row in (*change.rows.get(here, ()), *change.deletes.get(here, ()))]
        moved += [row["id"] for row in (*change.rows.get(things, ()), *change.deletes.get(things, ()))]
        altered = [row["id"] for row in change.updates.get(there, ())]
        if moved or altered:
            with self.engine.connect() as connection:
                self.places.load(connection, [*moved, *self.places.concern(connection, altered)])

    def _settle_components(self, change: Change) -> None:
        """Know the components of the MultiDatastreams that a change made or altered."""
        name = COMPONENTS.name
        altered = [row["id"] for row in (*change.updates.get(name, ()), *change.deletes.get(name, ()))]
        streams = {row["datastream"] for row in change.rows.get(name, ())}
        if altered:
            streams |= {row["datastream"] for row in self.last(name, altered).values()}
        if streams:
            with self.engine.connect() as connection:
                self.components = components.reload(connection, self.components, streams)

    def _stored(self, connection: Connection) -> int:
        """The last sequence in the database; it cannot move until the transaction ends."""
        query = select(APPLIED.c.seq).where(APPLIED.c.stream == STREAM).with_for_update()
        stored = connection.scalar(query)
        if stored is None:
            try:
                with connection.begin_nested():
                    connection.execute(insert(APPLIED).values(stream=STREAM, seq=0))
            except IntegrityError:  # another process was first
                pass
            stored = connection.scalar(query) or 0
        if stored < self.applied():
            raise CatalogUnavailable(
                f"the catalogue's database has gone back to message {stored} of the log while this process stands at "
                f"{self.applied()} (was it restored?): restart every process of the city"
            )
        return stored

    def ids_by_key(self, table: str, keys: Sequence[str]) -> dict[str, int]:
        """Ids of rows by their key (observed properties: by name, the first of that name); unknown keys are absent."""
        with self.engine.connect() as connection:
            columns = versions.as_of(connection, METADATA.tables[table], self.applied()).c
            key = columns.key if "key" in columns else columns.name
            query = select(key, func.min(columns.id)).where(among_texts(key, "keys")).group_by(key)
            return {str(key): int(identity) for key, identity in connection.execute(query, {"keys": _listed(keys)})}

    def rows_by_key(self, table: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Whole rows by their key; unknown keys are absent."""
        with self.engine.connect() as connection:
            columns = versions.as_of(connection, METADATA.tables[table], self.applied()).c
            query = select(*columns).where(among_texts(columns.key, "keys"))
            return {row["key"]: dict(row) for row in connection.execute(query, {"keys": _listed(keys)}).mappings()}

    def stays_of(self, things: Sequence[int]) -> list[dict[str, Any]]:
        """Where some things are, as keys of ``thing_locations``."""
        table = THING_LOCATIONS
        query = select(table.c.thing, table.c.time, table.c.location).where(among_ids(table.c.thing, things))
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last(self, table: str, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Rows by their id, those that were taken away as they were last: see ``versions.last``."""
        with self.engine.connect() as connection:
            return versions.last(connection, METADATA.tables[table], ids)

    def streams_of(self, property: str, kind: str, cat_seq: int) -> pa.Table:
        """Streams of a property of things of a kind ("" = any) as of a cut: ``STREAMS_OF``, sorted by stream."""
        tables = (DATASTREAMS, THINGS, OBSERVED_PROPERTIES)
        query = partial(questions.streams_of, property=property, kind=kind)
        return self._answer(("streams", property, kind), tables, cat_seq, query, STREAMS_OF)

    def groups(self) -> pa.Table:
        """Observed property (id) and kind of thing of every stream: ``stream, property, kind``, sorted by stream."""
        index = self.streams
        streams = np.flatnonzero(
            index.exists & (index.value_type != COMPLEX)
        )  # before their things are read, so that all of those are there
        things, properties = index.thing[streams], index.property[streams]
        with self.engine.connect() as connection:
            rows = connection.execute(select(THINGS.c.id, THINGS.c.kind)).all()
        names = sorted({kind for _, kind in rows})
        codes = {kind: code for code, kind in enumerate(names)}
        last = max(max((thing for thing, _ in rows), default=0), int(things.max(initial=0)))
        kinds = np.full(last + 1, -1, np.int32)  # a thing that another process has taken away by now is of no kind
        for thing, kind in rows:
            kinds[thing] = codes[kind]
        codes_of = pa.array(kinds[things], mask=kinds[things] < 0)
        named = pa.DictionaryArray.from_arrays(codes_of, pa.array(names, pa.string())).cast(pa.string())
        return pa.table({"stream": streams, "property": properties, "kind": named})

    def regrouped(self) -> set[int]:
        """Observed properties (ids) whose streams are not those that they always were: see ``references.regrouped``."""
        at = self.changed(DATASTREAMS, THINGS)
        if self._regrouped[0] != at:
            with self.engine.connect() as connection:
                self._regrouped = (at, references.regrouped(connection))
        return self._regrouped[1]

    def things_of(self, kinds: Sequence[str], cat_seq: int) -> pa.Table:
        """Things of some kinds as of a cut, where they were then: ``civium.core.view.THINGS``, sorted by thing."""
        tables = (THINGS, LOCATIONS, THING_LOCATIONS)
        return self._answer(
            ("things", *sorted(kinds)), tables, cat_seq, partial(questions.things_of, kinds=kinds), THINGS_SCHEMA
        )

    def actuators_of(self, kind: str, cat_seq: int) -> pa.Table:
        """Actuators of a kind as of a cut: ``civium.core.view.ACTUATORS``, sorted by actuator."""
        return self._answer(
            ("actuators", kind), (ACTUATORS,), cat_seq, partial(questions.actuators_of, kind=kind), ACTUATORS_SCHEMA
        )

    def settings(self, cat_seq: int) -> Settings:
        """Mandates, parameters and the switch as of a cut."""
        with self.engine.connect() as connection:
            return questions.settings(connection, cat_seq)

    def _answer(
        self,
        name: tuple[str, ...],
        tables: Sequence[Table],
        cat_seq: int,
        query: Callable[[Held], Select[Any]],
        schema: pa.Schema,
    ) -> pa.Table:
        """Run a query under a cut, or give last time's answer if nothing has changed in its tables since."""
        cat_seq = min(cat_seq, self.applied())
        key = (name, min(cat_seq, self.changed(*tables)))
        if key not in self._answers:
            with self.engine.connect() as connection:  # in blocks: a million rows as Python objects take a gigabyte
                statement = query(lambda table: versions.as_of(connection, table, cat_seq))
                found = connection.execute(statement, execution_options={"yield_per": _ROWS_PER_BLOCK})
                blocks = [_block(rows, schema) for rows in found.partitions()]
            table = pa.Table.from_batches(blocks, schema).combine_chunks()
            while len(self._answers) >= _KEPT_ANSWERS:
                self._answers.pop(next(iter(self._answers)), None)
            self._answers[key] = table
        return self._answers[key]


def _block(rows: Sequence[Found[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _listed(keys: Sequence[str]) -> str:
    """Keys as JSON; no catalogue holds one with the character NUL, and PostgreSQL could not even be asked for it."""
    return msgspec.json.encode([key for key in keys if "\0" not in key]).decode()


def _gone(connection: Connection, table: Table) -> frozenset[int]:
    """The ids of rows that were taken away."""
    past = PAST[table.name]
    query = select(past.c.id).distinct().where(past.c.id.not_in(select(table.c.id)))
    return frozenset(int(one) for one in connection.scalars(query))
