"""Tells the subscribers of MQTT topics what was made and changed: exactly what was accepted, in its order, once.

It is told with QoS 0: who is away hears nothing of it afterwards.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import nats.errors
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import select

from civium.core import InputRefused
from civium.core.observations import STORED
from civium.core.tasks import end
from civium.core.view import column
from civium.engines.catalog import Change
from civium.engines.catalog.dialects import among_ids
from civium.engines.listeners import Public, topics
from civium.engines.passing import TROUBLE
from civium.sources.sensorthings import capabilities
from civium.sources.sensorthings.entities import Writer, choice, part
from civium.sources.sensorthings.model import (
    BY_NAME,
    CAPABLE,
    ENTITIES,
    OBSERVATIONS,
    TASKS,
    UNIT_COLUMNS,
    Entity,
    Field,
    Link,
    between,
)
from civium.sources.sensorthings.moment import Row, rows_of
from civium.sources.sensorthings.place import resolve
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.topics import Topic, Wanted, fitting, wanted
from civium.sources.sensorthings.tree import Query

_OUT = "civium-out."
_MOST_WAITING = 200_000  # rows; more is not told
_SOON_S, _SOON_SEVERAL_S = 0.1, 0.5  # while somebody listens, what is accepted is folded that often
_DERIVED = {"phenomenon", "result", "area"}
_JUDGED = {"status", "status_at", "why", "history"}
_OBSERVATION, _TASK = BY_NAME["Observation"], BY_NAME["Task"]
_STREAMS = (BY_NAME["Datastream"], BY_NAME["MultiDatastream"])
_KEPT = {"current_locations": "thing_locations"}  # where the rows are of what is a view between two entities

Ids = NDArray[np.int64]
Message = tuple[str, bytes]
_Seen = tuple[pa.Table, pa.Table]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is new on the record: the decision whose Tasks are made, and the Tasks (by decision and number) of which it
    says more."""

    made: str
    judged: frozenset[tuple[str, int]]


def _leading_to(entity: Entity) -> list[tuple[Entity, Link]]:
    # Where Tasks are told behind their capability is the device's.
    ways = [(owner, link) for owner in ENTITIES for link in owner.links if link.many and link.target != _TASK.name]
    return [(owner, link) for owner, link in ways if link.target == entity.name]


_WAYS = {entity.name: _leading_to(entity) for entity in ENTITIES}


class Announcer:
    """Republishes to the subscribers at ``public``. ``library`` opens what there is; ``open_to_all`` says of which
    streams all of them may know; ``fold`` sees to it that what was accepted by now is folded; ``anybody`` whether there
    may be a subscriber at all."""

    def __init__(
        self,
        public: Public,
        library: Callable[[], Library],
        open_to_all: Callable[[Ids], NDArray[np.bool_]],
        fold: Callable[[], Awaitable[None]],
        anybody: Callable[[], bool] = lambda: True,
    ) -> None:
        self._public, self._library, self._open_to_all, self._fold = public, library, open_to_all, fold
        self._anybody = anybody
        self.trouble = ""
        self.dropped = 0  # rows that came faster than they could be told
        self._listening = False
        self._waiting: deque[Change | _Seen | _Recorded] = deque()
        self._rows_waiting = 0
        self._some = asyncio.Event()
        self._told: dict[str, bytes] = {}  # what was told last on the topics of derived properties
        self._refused: set[str] = set()  # topics on which it was told that they cannot be met
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Tell what comes from now on."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keep_folding())]

    async def stop(self) -> None:
        await end(*self._tasks)
        self._tasks = []
        self._waiting.clear()
        self._rows_waiting = 0

    @property
    def _works(self) -> bool:
        return bool(self._tasks) and self._anybody()

    async def observed(self, rows: pa.Table, corrected: pa.Table) -> None:
        """Rows (schema ``STORED``) and corrections (``CORRECTED``) were folded."""
        count = rows.num_rows + corrected.num_rows
        if not self._works or not count:
            return
        if self._rows_waiting + count > max(_MOST_WAITING, count):
            self.dropped += count
            return
        self._rows_waiting += count
        self._waiting.append((rows, corrected))
        self._some.set()

    async def changed(self, _: int, change: Change) -> None:
        """The catalogue has changed."""
        if self._works:
            self._waiting.append(change)
            self._some.set()

    def recorded(self, _: int, entry: Mapping[str, Any]) -> None:
        """An entry of the ledger came on the record."""
        made = entry["id"] if entry.get("plan", {}).get("commands") else ""
        judged = frozenset((one["decision"], one["command"]) for one in entry.get("events", ()))
        if self._works and (made or judged):
            self._waiting.append(_Recorded(made, judged))
            self._some.set()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            seen = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                await self._tell(seen)
                self.trouble = ""
            except TROUBLE as error:
                self.trouble = f"subscribers were not told: {error}"
            except Exception as error:  # nothing may end this task
                self.trouble = f"subscribers were not told: {type(error).__name__}: {error}"
            self._rows_waiting = sum(len(one[0]) + len(one[1]) for one in self._waiting if isinstance(one, tuple))

    async def _tell(self, seen: Sequence[Change | _Seen | _Recorded]) -> None:
        """Who listens is asked after the fact: who subscribed before something was accepted hears it."""
        client = self._public.client
        subjects = await topics(client, several=self._public.shared)
        self._listening = bool(subjects)
        if not subjects:
            self._told.clear()
            self._refused.clear()
            return
        for one in seen:
            for subject, data in await asyncio.to_thread(self._messages, one, subjects):
                await client.publish(_OUT + subject, data)

    async def _keep_folding(self) -> None:
        while True:
            await asyncio.sleep(_SOON_SEVERAL_S if self._public.shared else _SOON_S)
            if self._listening:
                with suppress(nats.errors.Error, *TROUBLE):
                    await self._fold()

    def _messages(self, one: Change | _Seen | _Recorded, subjects: Set[str]) -> list[Message]:
        with self._library().opened() as writer:
            asked = wanted(subjects, lambda path: resolve(path.split("/"), writer.source))
            told = self._refusals(asked)
            if not asked:
                return told
            if isinstance(one, Change):
                return told + self._of_change(one, asked, writer)
            if isinstance(one, _Recorded):
                return told + (_of_record(one, asked, writer) if asked.of(_TASK) else [])
            return told + self._of_rows(*one, asked, writer)

    def _refusals(self, asked: Wanted) -> list[Message]:
        """What is wrong with topics, once for each: MQTT 3.1.1 has no other answer for who subscribed to them."""
        new = asked.refused.keys() - self._refused
        self._refused = set(asked.refused)
        told = {subject: {"code": 400, "type": "error", "message": asked.refused[subject]} for subject in sorted(new)}
        return [(subject, msgspec.json.encode(error)) for subject, error in told.items()]

    def _of_rows(self, rows: pa.Table, corrected: pa.Table, asked: Wanted, writer: Writer) -> list[Message]:
        rows = self._heard(rows, asked)
        stays = self._heard(corrected.filter(pc.invert(corrected.column("gone"))), asked, "corrects")
        told = _Telling(writer, asked, _OBSERVATION)
        for row in rows_of(rows):
            told.add(row)
        for row in rows_of(stays):
            told.add(row, set(STORED.names))
        streams = {int(one) for table in (rows, stays) for one in np.unique(column(table, "stream"))}
        messages = told.messages()
        for entity in _STREAMS:
            derived = _Telling(writer, asked, entity, self._told)
            known = [one for one in sorted(streams) if (entity.name, one) in asked.ones]
            for row in writer.source.several(entity, known) if known else ():
                derived.add_derived(row)
            messages += derived.messages()
        return messages

    def _heard(self, table: pa.Table, asked: Wanted, identity: str = "id") -> pa.Table:
        """The rows that somebody listens to and may hear, with the id of what they are of."""
        ids, table = table.column(identity), table.select(STORED.names)
        table = table.set_column(0, STORED.field("id"), ids)
        streams = column(table, "stream").astype(np.int64)
        heard = self._open_to_all(streams)
        if not asked.patterns and (_OBSERVATION.name, None, 0) not in asked.sets:
            of_all = [(link, parent) for name, link, parent in asked.sets if name == _OBSERVATION.name and link]
            some = np.isin(ids.to_numpy(), [one for name, one in asked.ones if name == _OBSERVATION.name])
            for way in ("stream", "feature"):
                parents = [parent for link, parent in of_all if link.theirs == way]
                if parents:
                    some |= np.isin(pc.fill_null(table.column(way), 0).to_numpy(), parents)
            some |= np.isin(streams, [one for name, one in asked.ones if BY_NAME[name] in _STREAMS])
            heard = heard & some
        return table.filter(pa.array(heard))

    def _of_change(self, change: Change, asked: Wanted, writer: Writer) -> list[Message]:
        told: list[Message] = []
        for entity in ENTITIES:
            if entity.table is OBSERVATIONS or entity is _TASK or not asked.of(entity):
                continue
            new = [row["id"] for row in change.rows.get(entity.table.name, ())]
            altered: dict[int, set[str]] = {}
            for update in change.updates.get(entity.table.name, ()):
                altered.setdefault(update["id"], set()).update(update.keys() - {"id"})
            if entity.name in CAPABLE:
                now = self._library().catalog.last(entity.table.name, sorted(altered))
                some = {one: capabilities.touched(entity, columns, now[one]) for one, columns in altered.items()}
                altered = {one: columns for one, columns in some.items() if columns}
            joined = _joined(entity, change)
            rows = writer.source.several(entity, sorted({*new, *altered, *joined}))
            if entity in _STREAMS and rows:
                public = self._open_to_all(np.array([row["id"] for row in rows], np.int64))
                rows = [row for row, may in zip(rows, public.tolist(), strict=True) if may]
            telling = _Telling(writer, asked, entity)
            held = _held(entity, sorted(altered), writer)
            for row in rows:
                identity = row["id"]
                for link, owner, parent in dict.fromkeys([*joined.get(identity, ()), *held.get(identity, ())]):
                    telling.add_to(row, link, f"{owner.plural}({parent}).{link.name}", parent)
                if identity in altered or identity in new:
                    telling.add(row, None if identity in new else altered[identity])
            told += telling.messages()
        return told


def _of_record(one: _Recorded, asked: Wanted, writer: Writer) -> list[Message]:
    record = writer.source.ground.record
    assert record is not None
    decisions = {one.made, *(decision for decision, _ in one.judged)}
    query = select(TASKS.c.id, TASKS.c.decision, TASKS.c.number).where(TASKS.c.decision.in_(decisions))
    tasks = record().execute(query).all()
    new = {task for task, decision, _ in tasks if decision == one.made}
    some = [task for task, *key in tasks if task in new or tuple(key) in one.judged]
    telling = _Telling(writer, asked, _TASK)
    for row in writer.source.several(_TASK, some):
        telling.add(row, None if row["id"] in new else _JUDGED)
    return telling.messages()


def _joined(entity: Entity, change: Change) -> dict[int, list[tuple[Link, Entity, int]]]:
    """The entities that a change put behind links of others, by a row between them."""
    found: dict[int, list[tuple[Link, Entity, int]]] = {}
    for owner, link in _WAYS[entity.name]:
        name, ours, theirs = link.through
        for row in change.rows.get(_KEPT.get(name, name), ()) if name else ():
            found.setdefault(row[theirs], []).append((link, owner, row[ours]))
    return found


def _held(entity: Entity, ids: list[int], writer: Writer) -> dict[int, list[tuple[Link, Entity, int]]]:
    """Behind which links of others some entities are, by a row between them."""
    found: dict[int, list[tuple[Link, Entity, int]]] = {}
    for owner, link in _WAYS[entity.name] if ids else ():
        name, ours, theirs = link.through
        if name:
            way = between(name)
            query = select(way.c[theirs], way.c[ours]).where(among_ids(way.c[theirs], ids))
            for identity, parent in writer.source.ground.connection.execute(query):
                found.setdefault(identity, []).append((link, owner, parent))
    return found


@dataclass(slots=True)
class _Telling:
    """What is to be told of entities of one kind, and where."""

    writer: Writer
    asked: Wanted
    entity: Entity
    last: dict[str, bytes] | None = None
    _sends: list[tuple[str, Query, int] | Message] = field(default_factory=list)
    _rows: dict[Query, dict[int, Row]] = field(default_factory=dict)
    _fits: dict[Query, bool] = field(default_factory=dict)

    def add(self, row: Row, altered: Set[str] | None = None) -> None:
        """An entity was made, or some of its columns were ``altered``."""
        self.add_to(row, None, self.entity.plural, 0)
        for owner, link in _WAYS[self.entity.name]:
            parent = row[link.theirs] if link.theirs else None
            if parent is not None and self._belongs(owner, row):
                self.add_to(row, link, f"{owner.plural}({parent}).{link.name}", parent)
        if altered is not None:
            self._add_one(row, altered)

    def _belongs(self, owner: Entity, row: Row) -> bool:
        """Whether an Observation is of such a stream: a Datastream or a MultiDatastream."""
        back = self.entity.link(owner.name) if self.entity is _OBSERVATION else None
        return back is None or self.writer.leads(self.entity, back, row)

    def add_to(self, row: Row, link: Link | None, subject: str, parent: int) -> None:
        """An entity of a set."""
        for topic in self.asked.sets.get((self.entity.name, link, parent), ()):
            self._wish(topic.subject, topic.query, row)
        self._fit(subject, row)

    def add_derived(self, row: Row) -> None:
        """A Datastream has new Observations."""
        self._add_one(row, _DERIVED)

    def messages(self) -> list[Message]:
        """Subjects and what is told there, in order."""
        told: dict[Query, dict[int, bytes]] = {}
        for query, rows in self._rows.items():
            written = self.writer.write(self.entity, list(rows.values()), query)
            told[query] = {identity: msgspec.json.encode(one) for identity, one in zip(rows, written, strict=True)}
        return [one if len(one) == 2 else (one[0], told[one[1]][one[2]]) for one in self._sends]

    def _add_one(self, row: Row, altered: Set[str]) -> None:
        subject = f"{self.entity.plural}({row['id']})"
        for topic in self.asked.ones.get((self.entity.name, row["id"]), ()):
            if topic.field is None:
                self._wish(topic.subject, topic.query, row)
            elif _touched(topic.field, altered):
                self._part(topic, row)
        if self.asked.patterns:
            self._fit(subject, row)
            for one in (*self.entity.fields, *self.entity.derived):
                if _touched(one, altered):
                    for full, query in fitting(self.asked.patterns, f"{subject}.{one.name}"):
                        self._part(Topic(full, query, one), row)

    def _part(self, topic: Topic, row: Row) -> None:
        assert topic.field is not None
        [row] = self.writer.derive(self.entity, [row], [topic.field])
        value, name = self.writer.value(topic.field, row), topic.field.name
        if topic.keys:
            try:
                value, name = part(value, topic.keys), str(topic.keys[-1])
            except KeyError:
                value, name = None, str(topic.keys[-1])
        told: Any = value if topic.bare else {name: value}
        data = told.encode() if isinstance(told, str) else msgspec.json.encode(told)
        if self.last is not None:
            if self.last.get(topic.subject) == data:
                return
            self.last[topic.subject] = data
        self._sends.append((topic.subject, data))

    def _fit(self, subject: str, row: Row) -> None:
        if self.asked.patterns:
            for full, query in fitting(self.asked.patterns, subject):
                if self._is_met(query):
                    self._wish(full, query, row)

    def _is_met(self, query: Query) -> bool:
        """Whether entities of the kind have what a topic with wildcards selects."""
        if query not in self._fits:
            try:
                choice(self.entity, query)
                self._fits[query] = True
            except InputRefused:
                self._fits[query] = False
        return self._fits[query]

    def _wish(self, subject: str, query: Query, row: Row) -> None:
        self._rows.setdefault(query, {})[row["id"]] = row
        self._sends.append((subject, query, row["id"]))


def _touched(one: Field, altered: Set[str]) -> bool:
    return bool(altered & set(UNIT_COLUMNS.values())) if one.kind == "unit" else one.column in altered
