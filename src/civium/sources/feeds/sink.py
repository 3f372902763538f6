"""The way in for sources: the mapping, the one accept path, dead letters for what is refused, and their cursor."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from civium.core import Clock, InputRefused
from civium.engines.catalog import Catalog, CatalogUnavailable
from civium.engines.log import Log, LogUnavailable
from civium.engines.log_letters import written
from civium.engines.passing import PASSING
from civium.sources.changes import Changes
from civium.sources.feeds.mapping import Mapping, NotFound, Told, said_of
from civium.sources.feeds.rows import DOOR, at, find, rows
from civium.sources.feeds.source import Field, Item, SourceSettings
from civium.sources.intake import Intake
from civium.sources.register import Registered, ThingLine, plan

_MOST_ITEMS = 1_000  # that are taken together
_QUICK_ITEMS = 20  # more are mapped beside the loop
_MOST_KEPT = 1024 * 1024  # byte of a dead letter
_MOST_KNOWN = 100_000  # keys of streams that are remembered
_MOST_CREATED = 10_000  # streams that one source registers between two starts of the city
_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_AWAY: tuple[type[Exception], ...] = (LogUnavailable, CatalogUnavailable, *PASSING)

_Result = TypeVar("_Result")
_Reading = tuple[Told, Item, Field]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of items: readings that are new, that were in the log before, and what became dead letters, with
    why."""

    stored: int = 0
    repeated: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    newest: int = 0  # time of the newest reading [us since epoch]

    def __add__(self, other: "Taken") -> "Taken":
        counts = self.stored + other.stored, self.repeated + other.repeated
        return Taken(*counts, self.refused + other.refused, max(self.newest, other.newest))


@dataclass(frozen=True, slots=True)
class WayIn:
    """The parts of a city that a sink needs."""

    log: Log
    catalog: Catalog
    changes: Changes
    intake: Intake
    clock: Clock


class CitySink:
    """The sink of one source."""

    def __init__(self, name: str, login: str, settings: SourceSettings, city: WayIn) -> None:
        self._source, self.name = name, login
        self._settings, self._city = settings, city
        self._mapping = Mapping(name, settings)
        self._known: dict[str, int] = {}
        self._known_at = -1  # position of the catalogue that ``_known`` is of
        self._created = 0
        self.accepted = self.refused = 0
        self.last = 0  # when something was last taken [us since epoch]
        self.waits = ""  # what holds it up at this moment
        self.failure = ""  # why the source is not read at this moment

    def now(self) -> int:
        return self._city.clock.now()

    def well(self) -> None:
        self.failure = ""

    def ill(self, why: str) -> None:
        self.failure = why

    async def put(self, items: Sequence[Item], *, since: int | None = None) -> int:
        newest = 0
        for start in range(0, len(items), _MOST_ITEMS):
            some, key = items[start : start + _MOST_ITEMS], f"source/{self._source}/{secrets.token_hex(8)}"
            taken = await self._until_done(partial(self._take, some, key, since=since))
            newest = max(newest, taken.newest)
        self.well()
        return newest

    async def take(self, items: Sequence[Item], key: str = "", content: bytes = b"") -> Taken:
        """As ``put``, once: raises LogUnavailable when not all was stored. ``key`` is for readings that have none, and
        stands for ``content``."""
        taken = Taken()
        for start in range(0, len(items), _MOST_ITEMS):
            taken += await self._take(items[start : start + _MOST_ITEMS], key and f"{key}/{start}", content)
        return taken

    async def refuse(self, data: bytes, why: str, about: str = "") -> None:
        await self._until_done(partial(self._bury, data, why, about))
        self.well()

    async def cursor(self) -> dict[str, Any]:
        kept = await self._city.log.last_of("MARKS", f"civium.marks.source.{self._source}")
        return dict(msgspec.json.decode(kept.data)) if kept else {}

    async def keep_cursor(self, cursor: Table[str, Any]) -> None:
        data = msgspec.json.encode(dict(cursor))
        await self._until_done(partial(self._city.log.publish, "MARKS", data, subject=f"source.{self._source}"))

    async def _until_done(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do it again until it is done: every step bears a key, so nothing is done twice."""
        wait = _WAIT_S
        while True:
            try:
                result = await work()
                self.waits = ""
                return result
            except _AWAY as error:
                self.waits = str(error) or type(error).__name__
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    async def _take(self, items: Sequence[Item], key: str, content: bytes = b"", since: int | None = None) -> Taken:
        beside = len(items) > _QUICK_ITEMS
        work = partial(self._mapping.readings, items)
        found, empty = await asyncio.to_thread(work) if beside else work()
        if since is not None:
            found = [one for one in found if one[0].time is None or one[0].time >= since]
        known = await self._streams(found)
        refused = [(told, f"no stream has the key '{told.stream}'") for told, _, _ in found if not at(told, known)]
        good = [told for told, _, _ in found if at(told, known)]
        stored, repeated, more = await self._accept(good, known, key, content)
        for told, why in (*refused, *more):
            await self._bury(msgspec.json.encode(told), why, told.about)
        for item, why in empty:
            await self._bury(said_of(item), why)
        self.last = self.now() if items else self.last
        letters = tuple((told.about, why) for told, why in (*refused, *more)) + tuple(("", why) for _, why in empty)
        newest = max((told.time for told, _, _ in found if told.time is not None), default=0)
        return Taken(stored, repeated, letters, newest)

    async def _accept(
        self, good: list[Told], known: Table[str, int], key: str, content: bytes
    ) -> tuple[int, int, list[tuple[Told, str]]]:
        """Store readings; how many are new, how many were there, and which were refused, with why."""
        refused: list[tuple[Told, str]] = []
        while good:
            batch = rows(good, find(good, known), self._city.catalog, self.now())
            try:
                receipt = await self._city.intake.accept(batch, whole=False, key=key, content=content)
            except InputRefused as error:
                if not error.rows:
                    raise
                refused += [(good[refusal.row], refusal.why) for refusal in error.rows]
                bad = {refusal.row for refusal in error.rows}
                good = [told for row, told in enumerate(good) if row not in bad]
            else:
                refused += [(good[refusal.row], refusal.why) for refusal in receipt.refused]
                stored = len(receipt.ids) - receipt.repeated
                self.accepted += stored
                return stored, receipt.repeated, refused
        return 0, 0, refused

    async def _streams(self, found: Sequence[_Reading]) -> Table[str, int]:
        """The streams of keys, those included that ``create`` registers now."""
        catalog = self._city.catalog
        if self._known_at != catalog.applied() or len(self._known) > _MOST_KNOWN:
            self._known, self._known_at = {}, catalog.applied()
        wanted = {told.stream for told, _, _ in found if told.stream} - self._known.keys()
        if wanted:
            self._known |= await asyncio.to_thread(catalog.ids_by_key, "datastreams", sorted(wanted))
        missing = wanted - self._known.keys()
        if missing and self._settings.create:
            await self._create([one for one in found if one[0].stream in missing], missing)
        return self._known

    async def _create(self, found: Sequence[_Reading], missing: set[str]) -> None:
        lines: dict[str, ThingLine] = {}
        for told, item, field in found:
            if told.stream not in missing or self._created + len(lines) >= _MOST_CREATED:
                continue  # what stays without a stream becomes a dead letter
            missing.discard(told.stream)
            try:
                line = self._mapping.line(told, item, field)
            except NotFound:
                continue
            before = lines.get(line.key)
            lines[line.key] = msgspec.structs.replace(before, streams=before.streams + line.streams) if before else line
        for line in lines.values():  # one at a time: what is wrong with one is not the others' matter
            answer = Registered()
            planned = plan([line], answer, self.now(), known_things=True)
            try:
                await self._city.changes.make(planned, who=f"source {self._source}", why="its streams were missing")
            except InputRefused:
                continue
            self._created += len(line.streams)
            self._known |= answer.streams

    async def _bury(self, data: bytes, why: str, about: str = "") -> None:
        topic = f"sources/{self._source}" + (f"/{about}" if about else "")
        letter = written(DOOR, topic, why, data[:_MOST_KEPT], self.now())
        key = blake2b(data + topic.encode(), digest_size=16).hexdigest()
        await self._city.log.publish("DEAD", letter, subject=DOOR, key=f"{DOOR}/{key}")
        self.refused += 1
