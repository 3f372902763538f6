"""The city put together: engines, doors, twin, ledger and turns, started and stopped in order.

A city of one process plays every role. Where the log and the store are shared, each role may have any number of
processes on any node, and leases share the work out among them.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa

from civium import listened
from civium.acts.outbox import Outbox
from civium.acts.protocols import senders
from civium.cases import Cases
from civium.city_clock import CityClock
from civium.city_folder import ROLES, catalog_url, settle, token
from civium.core import MICROSECONDS, CiviumError, InputRefused, WallClock, to_datetime
from civium.core.tasks import end, running
from civium.cut import Cuts
from civium.doorkeeper import Doorkeeper
from civium.engines.blobs import Blobs
from civium.engines.calibration import calibrations
from civium.engines.catalog import Catalog, Change, orders
from civium.engines.catalog.tables import DATASTREAMS, ORDERS
from civium.engines.compute import Compute
from civium.engines.computes import open_compute
from civium.engines.devices import Devices
from civium.engines.leases import Leases, during
from civium.engines.log import Log, LogConflict, LogUnavailable
from civium.engines.passing import TROUBLE
from civium.engines.rights import Rights
from civium.engines.settings import ALWAYS, Settings, load, trusting
from civium.engines.store import Store
from civium.engines.upkeep import Keeper
from civium.ledger.record import Ledger
from civium.orders import Orders
from civium.run import Turns
from civium.sources.changes import Changes
from civium.sources.edges import Edge
from civium.sources.feeds.attend import Sources
from civium.sources.feeds.sink import WayIn
from civium.sources.intake import Intake
from civium.sources.letters import Letters
from civium.sources.mqtt_doors import MqttDoors
from civium.sources.sensorthings.create import Creator
from civium.tokens import Tokens
from civium.turn import prepare
from civium.twin.follower import Follower
from civium.twin.progress import Progress
from civium.twin.writer import Writer
from civium.watch import Watch
from civium.wishes import Wishes

_RETRY_S = 0.5
_READ_S = 20.0  # a reader waits for the store: longer than any commit takes
_Result = TypeVar("_Result")


class City:
    """A running city, or one process of it. ``open`` starts it; every part is an attribute."""

    def __init__(self, folder: Path, settings: Settings, roles: frozenset[str]) -> None:
        self.folder, self.settings, self.roles = folder, settings, roles
        self.place = folder  # what this process keeps for itself
        self.url = ""  # where its HTTP door is
        self.wall = WallClock()
        self.started = self.wall.now()
        self.ticks = 0
        self.writers: dict[int, Writer] = {}
        self.troubles: dict[str, str] = {}
        self.clock: CityClock
        self.log: Log
        self.store: Store
        self.keeper: Keeper
        self.catalog: Catalog
        self.blobs: Blobs
        self.compute: Compute
        self.leases: Leases
        self.changes: Changes
        self.rights: Rights
        self.tokens: Tokens
        self.stored: Progress
        self.follower: Follower
        self.intake: Intake
        self.creator: Creator
        self.devices: Devices | None
        self.mqtt: MqttDoors
        self.edges: dict[str, Edge]
        self.ledger: Ledger
        self.outbox: Outbox
        self.turns: Turns
        self.orders: Orders
        self.cases: Cases
        self.wishes: Wishes
        self.watch: Watch
        self.cuts: Cuts
        self.letters: Letters
        self.sources: Sources
        self.announcer: listened.Announcers
        self._ticking = asyncio.Lock()
        self.creating = asyncio.Lock()  # held by who makes an entity under an idempotency key
        self.created: dict[str, tuple[tuple[str, bytes], str]] = {}  # key -> what was sent, and what it made
        self.amending = asyncio.Lock()  # held by who corrects what it has read

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, *, turning: bool = True, roles: frozenset[str] = frozenset(ROLES), url: str = ""
    ) -> AsyncIterator["City"]:
        """Start the city in ``folder``, or the process of it that plays some ``roles``; ``url`` is where it answers.

        Without ``turning`` no clock ticks (for imports and replays). Raises EngineUnsuitable when the city is to run in
        several processes on engines that only one can use.
        """
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        city = cls(folder, load(folder, several=roles != frozenset(ROLES)), roles)
        city.url = url or f"http://{city.settings.doors.http}"
        async with AsyncExitStack() as stack:
            city.place, let_go = settle(folder, city.settings, roles)
            stack.callback(let_go)
            await city._start(stack, turning)
            yield city

    async def _start(self, stack: AsyncExitStack, turning: bool) -> None:
        settings, folder, place = self.settings, self.folder, self.place
        # Last started is first stopped: work is laid down before the engines close.
        log = asyncio.create_task(Log.open(settings, folder, token(folder)))  # its server starts while files are read
        stack.push_async_callback(_close, log)
        self.store = await asyncio.to_thread(Store.open, settings, place)
        stack.callback(self.store.close)
        self.keeper = Keeper(self.store, settings.store)
        self.catalog = await asyncio.to_thread(Catalog.open, catalog_url(settings, place))
        stack.callback(self.catalog.close)
        self.blobs = Blobs.open(settings, folder, self.wall)
        self.compute = await asyncio.to_thread(open_compute, settings, prepare)
        stack.push_async_callback(asyncio.to_thread, self.compute.close)
        self.log = await log
        self.devices = await Devices.beside(self.log, settings, folder, token(folder))
        if self.devices is not None:
            stack.push_async_callback(self.devices.close)
        me = f"{socket.gethostname()}-{place.name}-{secrets.token_hex(3)}".replace(".", "_")
        self.leases = await self.log.leases(me, settings.log.replicas, self.troubles)
        self.clock = CityClock(settings.clock.source, await self._last_tick())
        self.changes = Changes(self.log, self.catalog, self.clock)
        await self.changes.start()
        self.rights = Rights(self.catalog, self.wall, token(folder), trusting=trusting(settings))
        self.changes.watch(self.rights.take)
        self.tokens = Tokens(self)
        self.doorkeeper = Doorkeeper(self)
        await self.doorkeeper.start()
        stack.push_async_callback(self.doorkeeper.stop)
        self.store.hide(self.catalog.streams.gone())
        self.store.calibrate(await asyncio.to_thread(calibrations, self.catalog))
        self.changes.watch(self._was_changed)
        stack.push_async_callback(self.changes.stop)
        self.stored = Progress(self._nudge if self.log.shared else None)
        self.follower = Follower(self.log, self.store, place)
        doors = settings.doors
        self.intake = Intake(self.log, self.catalog, self.clock, doors.future_s, doors.recent_keys)
        self.intake.start()
        stack.push_async_callback(self.intake.stop)
        self.creator = Creator(self.changes, self.intake, self.clock, doors.future_s)
        self.letters = Letters(self.log, self.catalog, self.clock, doors.future_s, self.intake)
        self.ledger = await Ledger.open(self.log, place)
        stack.push_async_callback(self.ledger.close)
        self.turns = Turns(self)
        self.orders = Orders(self)
        self.cases = Cases(self)
        self.wishes = Wishes(self)
        self.watch = Watch(self)
        await self.watch.start()
        stack.push_async_callback(self.watch.stop)
        await self.turns.resume()
        stack.push_async_callback(self.turns.stop)
        spoken = senders(self.public.mqtt, self.clock)
        self.outbox = Outbox(self.log, self.ledger, self.catalog, self.clock, spoken, self.turns.estimates.write)
        self.mqtt = listened.mqtt_doors(self)
        self.edges = {name: Edge(listened.mqtt_door(self, name, self.log.edge(name))) for name in settings.log.edges}
        way = WayIn(self.log, self.catalog, self.changes, self.intake, self.clock)
        self.sources = await Sources.open(settings.sources, way)
        self.cuts = Cuts(self)
        self.announcer = listened.Announcers(self)
        if self.log.shared:
            await self._join(stack)
        await self._work(stack, turning)

    async def _work(self, stack: AsyncExitStack, turning: bool) -> None:
        """Take up the work of our roles; in a city of one process all of it is done before this returns."""
        stack.push_async_callback(self.leases.close)
        if self.roles & {"turn", "web"}:
            stack.push_async_callback(self.follower.stop)
            await self.follower.start()
        if "writer" in self.roles:
            await self.leases.keep("writer", [str(shard) for shard in range(self.log.shards)], self._write)
        if "turn" in self.roles:
            await self.leases.keep("turn", self.turns.works(), self.turns.make_turns_of)
            await self.leases.keep("outbox", ["all"], lambda _: during(self.outbox.start, self.outbox.stop))
            await self.leases.keep("alarms", ["all"], self.watch.at_work)
            await self.leases.keep("announcer", ["all"], lambda _: during(self.announcer.start, self.announcer.stop))
        if "door" in self.roles:
            await self.letters.settle()
            await self.leases.keep("mqtt", ["all"], lambda _: during(self.mqtt.start, self.mqtt.stop))
            await self.leases.keep("edge", list(self.edges), lambda name: self.edges[name].attended())
        if turning and "door" in self.roles:  # a city that runs for one command does not connect elsewhere
            await self.leases.keep("source", self.sources.fetched, self.sources.attended)
        if turning and "turn" in self.roles:
            await self.leases.keep("clock", ["all"], lambda _: running(self._tick_by_the_wall()))
        if turning and "writer" in self.roles:
            await self.leases.keep("upkeep", ["all"], lambda _: running(self._upkeep()))

    async def _join(self, stack: AsyncExitStack) -> None:
        """Hear what the other processes of the city do."""
        self.changes.follow()
        self.ledger.follow()
        self.watch.book.follow()

        async def applied(shard: str, data: bytes) -> None:
            await self.stored.move(int(shard), int(data))

        async def wanted(shard: str, data: bytes) -> None:
            self.stored.want(int(shard), int(data))
            if (writer := self.writers.get(int(shard))) and writer.applied >= int(data):
                await self.log.tell(f"applied.{shard}", str(writer.applied).encode())

        async def held(_: str, data: bytes) -> None:
            self.cuts.hear(data.decode())

        await self.log.listen("backup", held)
        await self.log.listen("applied", applied)
        await self.log.listen("wanted", wanted)
        stack.push_async_callback(end, asyncio.create_task(self._follow_ticks()))

    async def _nudge(self, shard: int, sequence: int) -> None:
        await self.log.tell(f"wanted.{shard}", str(sequence).encode())

    @asynccontextmanager
    async def _write(self, name: str) -> AsyncIterator[None]:
        shard = int(name)
        every = self.settings.store.commit_every_s
        writer = Writer(self.log, self.store, self.clock, shard, every, self.stored, self._was_stored)
        await writer.start()
        self.writers[shard] = writer
        try:
            yield
        finally:
            del self.writers[shard]
            await writer.stop()

    async def _was_stored(self, shard: int, until: int, rows: pa.Table, corrected: pa.Table) -> None:
        if self.log.shared:
            await self.log.tell(f"applied.{shard}", str(until).encode())
        else:
            await self.follower.take(shard, until, rows, corrected)

    async def _was_changed(self, _: int, change: Change) -> None:
        """What was taken away from the catalogue is no longer to be read; what is calibrated is read otherwise."""
        if any(row["kind"] == orders.CALIBRATION for row in change.rows.get(ORDERS.name, ())):
            known = await asyncio.to_thread(calibrations, self.catalog)
            await asyncio.to_thread(self.store.calibrate, known)
            self.follower.live.calibrated = known
        if change.deletes.get(DATASTREAMS.name):
            self.store.hide(self.catalog.streams.gone())
            if self.roles & {"turn", "web"}:
                await self.follower.count()

    @property
    def public(self) -> Log:
        """The log whose server devices connect to."""
        return self.devices if self.devices is not None and self.settings.doors.mqtt_sync != ALWAYS else self.log

    async def tick(self, instant: int) -> None:
        """Move the city clock to ``instant`` [us since epoch], for the turns that are due then.

        When a sandbox tells the time to a city of one process, it waits for them: returns when they are done and acted
        on. Raises InputRefused when the clock would go backwards.
        """
        async with self._ticking:
            before = self.clock.last
            if instant <= before:
                raise InputRefused(
                    f"the city clock stands at {to_datetime(before).isoformat()}; it cannot go back", status=409
                )
            cut = {**await self.log.cut(), "CAT": self.catalog.applied()}
            tick = msgspec.json.encode({"time": instant, "cut": cut})
            try:
                await self.log.publish("TICK", tick, expect_last=self.log.last("TICK"))
            except LogConflict:  # another process ticked, or an earlier tick was stored although its answer was lost
                await self.log.refresh("TICK")
                raise LogUnavailable("another tick came in between; tell the time again") from None
            if not self.log.shared:
                await self._ticked(instant, cut)

    async def _ticked(self, now: int, cut: dict[str, int]) -> None:
        before, self.clock.last = self.clock.last, now
        self.ticks += 1
        await self.cuts.expire()
        if self.leases.held("clock") or self.clock.source == "door":
            await self.turns.settle(now)
        wait = self.clock.source == "door" and not self.log.shared
        await self.turns.take(before, now, cut, wait=wait)
        if self.leases.held("alarms"):
            await self.watch.tick(now, cut, wait=wait)

    async def _follow_ticks(self) -> None:
        while True:
            tail = self.log.tail("TICK", await self._guarded("clock", self.log.refresh("TICK")) or 0)
            try:
                while True:
                    for message in await tail.fetch(100, 5.0):
                        tick = msgspec.json.decode(message.data)
                        if tick["time"] > self.clock.last:
                            await self._ticked(tick["time"], tick["cut"])
            except TROUBLE as error:
                self.troubles["clock"] = str(error)
                await asyncio.sleep(_RETRY_S)
            finally:
                await tail.close()

    async def reach(self, cut: Mapping[str, int]) -> None:
        """Wait until what a cut shows can be read: in the store and in the catalogue."""
        await self.stored.reach(cut)
        if self.log.shared:
            await asyncio.to_thread(self.store.look)
        if cut.get("CAT", 0) > self.catalog.applied():
            await self.changes.catch_up()

    async def read_barrier(self) -> None:
        """Wait until every accepted write can be read, those that came by MQTT and to other processes included.

        Raises TimeoutError when that takes longer than any commit: the store or the log is in trouble.
        """
        try:
            async with asyncio.timeout(_READ_S):
                await self._read_barrier()
        except TimeoutError:
            raise TimeoutError(f"what was accepted cannot be read within {_READ_S:g} s") from None

    async def _read_barrier(self) -> None:
        await self.mqtt.reach()
        cut = await self.log.cut()
        if self.log.shared:
            await self.changes.catch_up()
        await self.stored.reach(cut)
        if self.log.shared:
            await asyncio.to_thread(self.store.look)
        if self.roles & {"turn", "web"}:
            await self.follower.seen.reach(cut)

    async def _last_tick(self) -> int:
        last = self.log.last("TICK")
        return int(msgspec.json.decode((await self.log.get("TICK", last)).data)["time"]) if last else 0

    async def _tick_by_the_wall(self) -> None:
        while self.clock.source == "wall":
            await asyncio.sleep((MICROSECONDS - self.clock.now() % MICROSECONDS) / MICROSECONDS)
            second = self.clock.now() // MICROSECONDS * MICROSECONDS
            if second > self.clock.last:
                await self._guarded("clock", self.tick(second))
            if trouble := self.clock.trouble():
                self.troubles["time"] = trouble
            else:
                self.troubles.pop("time", None)

    async def _upkeep(self) -> None:
        try:
            while True:
                await asyncio.sleep(self.settings.store.maintain_every_s)
                await self._guarded("store upkeep", self._maintain())
        finally:
            await asyncio.to_thread(self.keeper.stop)

    async def _maintain(self) -> None:
        await self.letters.settle()
        await asyncio.to_thread(self.keeper.work, self.clock.now(), self.catalog.groups)
        state_s = self.settings.store.state_days * 86400
        await asyncio.to_thread(self.blobs.forget, "state", state_s, self.turns.current_states())

    async def _guarded(self, name: str, work: Awaitable[_Result]) -> _Result | None:
        """Run background work; its trouble is shown in the status and does not stop the city."""
        try:
            result = await work
            self.troubles.pop(name, None)
            return result
        except CiviumError as error:
            self.troubles[name] = str(error)
        except Exception as error:
            self.troubles[name] = f"{type(error).__name__}: {error}"
        return None


async def _close(opening: asyncio.Task[Log]) -> None:
    """Close the log, if it was opened."""
    with suppress(Exception):  # whoever waited for it was told
        log = await opening
        await log.close()
