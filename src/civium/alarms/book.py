"""The book of alarms: every alarm and what became of it, on the log stream ALARM; its tables are folded from there.

An entry holds events of one instant: ``raised``, ``joined`` and ``left`` (streams), ``acknowledged``, ``shelved``,
``unshelved``, ``escalated``, ``notified``, ``returned`` (the condition of a latched alarm is over) and ``cleared``. An
alarm is raised once for a rule and a group, however often its condition is found.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, create_engine, select
from sqlalchemy import event as events_of
from sqlalchemy.dialects.sqlite import insert

from civium.alarms.alarm import CHANGES, RAISED, Alarm, Event, pack_streams, unpack_streams
from civium.core.logs import note, said_by
from civium.core.tasks import end
from civium.engines.log import Log, LogConflict, LogUnavailable
from civium.engines.passing import TROUBLE

STREAM = "ALARM"
_LOG = said_by("alarms")
VERSION = 2  # of the tables; a file of another version is made anew from the log
_MOST_CONFLICTS = 50
_RETRY_S = 0.5
_MOST_EVENTS, _MOST_RUNS = 500, 20_000  # of one log message
METADATA = MetaData()
ALARMS = Table(
    "alarms",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("open", Integer, nullable=False),
    Column("raised", BigInteger, nullable=False),
    Column("rule", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("state", String, nullable=False),  # JSON of an Alarm, without its streams
    Column("streams", LargeBinary, nullable=False),  # those of now, and all that there ever were
    Index("alarms_open", "open", "id"),
)
HISTORY = Table(
    "history",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("alarm", Integer, nullable=False, index=True),
    Column("event", String, nullable=False),  # JSON
)
SHELVES = Table(
    "shelves",
    METADATA,
    Column("rule", String, primary_key=True),
    Column("grouped", String, primary_key=True),
    Column("until", BigInteger, nullable=False),
)
POSITION = Table("position", METADATA, Column("one", Integer, primary_key=True), Column("seq", BigInteger))


class Book:
    """Appends events one entry after the other, against other processes too, and knows every open alarm."""

    def __init__(self, log: Log, path: Path) -> None:
        self._log, self._path = log, path
        self.open: dict[int, Alarm] = {}
        self.shelves: dict[tuple[str, str], int] = {}  # rule and group -> until when
        self.applied = self.last_id = 0
        self._order = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the tables, and fold what the log has since."""
        await asyncio.to_thread(self._load)
        if self.applied > await self._log.refresh(STREAM):  # the folder's tables are of another log
            await asyncio.to_thread(self._path.unlink)
            await asyncio.to_thread(self._load)
        await self.catch_up()

    def _load(self) -> None:
        self.engine = create_engine(
            f"sqlite:///{self._path}", connect_args={"check_same_thread": False}, hide_parameters=True
        )
        events_of.listen(self.engine, "connect", _prepare)
        with self.engine.begin() as connection:
            if connection.exec_driver_sql("PRAGMA user_version").scalar() != VERSION:
                METADATA.drop_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            METADATA.create_all(connection)
            self.applied = connection.scalar(select(POSITION.c.seq)) or 0
            self.last_id = connection.scalar(select(ALARMS.c.id).order_by(ALARMS.c.id.desc()).limit(1)) or 0
            rows = connection.execute(select(ALARMS).where(ALARMS.c.open == 1)).all()
            self.open = {row.id: _alarm(row) for row in rows}
            shelves = connection.execute(select(SHELVES)).all()
            self.shelves = {(row.rule, row.grouped): row.until for row in shelves}

    def follow(self) -> None:
        """Take in what other processes write, as it comes."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        await end(self._task)
        await asyncio.to_thread(self.engine.dispose)

    async def append(self, plan: Callable[[], Sequence[Event]], at: int) -> list[Event]:
        """Store the events that ``plan`` makes of the book as it is, synced; returns them.

        It is asked again whenever something else was stored first. What it raises passes through.
        """
        async with self._order:
            for _ in range(_MOST_CONFLICTS):
                planned = list(plan())
                if not planned:
                    return []
                try:
                    for events in _messages(planned):
                        entry = {"at": at, "events": events}
                        data = msgspec.json.encode(entry)
                        sequence, _ = await self._log.publish(STREAM, data, expect_last=self.applied)
                        await asyncio.to_thread(self._fold, sequence, entry)
                        for event in events:
                            note(_LOG, event["what"], alarm=event["alarm"], entry=f"{STREAM}/{sequence}")
                    return planned
                except LogConflict:
                    await self._log.refresh(STREAM)
                    await self._catch_up()
            raise LogUnavailable("the book of alarms is busy: every try to write was overtaken; try again")

    async def catch_up(self) -> None:
        """Take in what the log holds by now."""
        async with self._order:
            await self._catch_up()

    async def _catch_up(self) -> None:
        async for message in self._log.read(STREAM, after=self.applied):
            await asyncio.to_thread(self._fold, message.sequence, msgspec.json.decode(message.data))

    async def _follow(self) -> None:
        while True:
            tail = self._log.tail(STREAM, self.applied)
            try:
                while True:
                    for message in await tail.fetch(100, 5.0):
                        async with self._order:
                            entry = msgspec.json.decode(message.data)
                            await asyncio.to_thread(self._fold, message.sequence, entry)
            except TROUBLE:
                await asyncio.sleep(_RETRY_S)
            finally:
                await tail.close()

    def _fold(self, sequence: int, entry: dict[str, Any]) -> None:
        if sequence <= self.applied:
            return
        touched: dict[int, Alarm] = {}
        for event in entry["events"]:
            self._take(event, entry["at"], touched)
        with self.engine.begin() as connection:
            for alarm in touched.values():
                row = _row(alarm)
                connection.execute(insert(ALARMS).values(row).on_conflict_do_update(index_elements=["id"], set_=row))
            told = [
                {"alarm": event["alarm"], "event": msgspec.json.encode(_brief(event, entry["at"])).decode()}
                for event in entry["events"]
            ]
            connection.execute(insert(HISTORY), told)
            if any(event["what"] in ("shelved", "unshelved") for event in entry["events"]):
                self.shelves = {key: until for key, until in self.shelves.items() if until > entry["at"]}
                connection.execute(SHELVES.delete())
                rows = [{"rule": r, "grouped": g, "until": until} for (r, g), until in self.shelves.items()]
                if rows:
                    connection.execute(insert(SHELVES), rows)
            place = {"one": 1, "seq": sequence}
            connection.execute(insert(POSITION).values(place).on_conflict_do_update(index_elements=["one"], set_=place))
        self.applied = sequence

    def _take(self, event: Event, at: int, touched: dict[int, Alarm]) -> None:
        what, identity = event["what"], event["alarm"]
        if what == "raised":
            facts = {name: event[name] for name in RAISED}
            alarm = self.open[identity] = Alarm(id=identity, raised=at, armed=at, **facts)
            alarm.practice = event.get("practice", "")
            self.last_id = max(self.last_id, identity)
        elif identity in self.open:
            alarm = self.open[identity]
        else:
            return
        touched[identity] = alarm
        CHANGES[what](alarm, event, at)
        if "streams" in event:
            alarm.size = len(alarm.streams)
        if what == "shelved":
            self.shelves[(alarm.rule, alarm.group)] = event["until"]
        elif what == "unshelved":
            self.shelves.pop((alarm.rule, alarm.group), None)
        elif what == "cleared":
            del self.open[identity]

    def rows(self, query: Any) -> list[Any]:
        """The rows of a select."""
        with self.engine.connect() as connection:
            return list(connection.execute(query).all())

    def find(self, identity: int) -> Alarm | None:
        """An alarm, open or of the past."""
        if identity in self.open:
            return self.open[identity]
        rows = self.rows(select(ALARMS).where(ALARMS.c.id == identity))
        return _alarm(rows[0]) if rows else None

    def history(self, *, limit: int, before: int = 0, cleared: bool = True) -> list[Alarm]:
        """The last alarms, newest first: those that are over, or all; below the id ``before``."""
        query = select(ALARMS).order_by(ALARMS.c.id.desc()).limit(limit)
        query = query.where(ALARMS.c.open == 0) if cleared else query
        query = query.where(ALARMS.c.id < before) if before else query
        return [_alarm(row) for row in self.rows(query)]

    def story(self, identity: int, limit: int = 200) -> list[Event]:
        """What became of an alarm, oldest first; of a long story its end."""
        query = select(HISTORY.c.event).where(HISTORY.c.alarm == identity).order_by(HISTORY.c.id.desc()).limit(limit)
        return [msgspec.json.decode(row[0]) for row in reversed(self.rows(query))]


def _messages(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events in parts that a log message can hold."""
    part: list[Event] = []
    runs = 0
    for event in events:
        more = len(event.get("streams", ()))
        if part and (len(part) >= _MOST_EVENTS or runs + more > _MOST_RUNS):
            yield part
            part, runs = [], 0
        part.append(event)
        runs += more
    yield part


def _brief(event: Event, at: int) -> Event:
    """An event for people: how many streams, not which."""
    told = {name: word for name, word in event.items() if name not in ("alarm", "streams", *RAISED)}
    if "streams" in event:
        told["streams"] = sum(count for _, count in event["streams"])
    return {"at": at, **told}


def _row(alarm: Alarm) -> dict[str, Any]:
    facts = {name: value for name, value in vars(alarm).items() if name not in ("streams", "ever")}
    return {
        "id": alarm.id,
        "open": int(not alarm.cleared),
        "raised": alarm.raised,
        "rule": alarm.rule,
        "severity": alarm.severity,
        "state": msgspec.json.encode(facts).decode(),
        "streams": msgspec.msgpack.encode([pack_streams(alarm.streams), pack_streams(alarm.ever)]),
    }


def _alarm(row: Any) -> Alarm:
    facts = msgspec.json.decode(row.state)
    facts["told"] = {step: (at, ok) for step, (at, ok) in facts["told"].items()}
    streams, ever = (
        np.concatenate([np.empty(0, np.int64), *(unpack_streams(runs) for runs in parts)])
        for parts in msgspec.msgpack.decode(row.streams)
    )
    return Alarm(**facts, streams=streams, ever=ever)


def _prepare(connection: Any, _record: object) -> None:
    with closing(connection.cursor()) as cursor:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
