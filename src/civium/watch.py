"""The watch of a city: alarms with whatever they need of its other rooms, and what people order about them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from civium.alarms.book import Book
from civium.alarms.conditions import Latest
from civium.alarms.delivery import Delivery, Sender
from civium.alarms.desk import Desk
from civium.alarms.hook import HookSender
from civium.alarms.mail import MailSender
from civium.alarms.maintenance import Maintenance, read_upkeep
from civium.alarms.on_call import check_ways, read_on_call
from civium.alarms.push import Key, PushSender, Subscription, read_subscription
from civium.alarms.rules import CONDITIONS, Rule, read_rule
from civium.core import InputRefused
from civium.core.tasks import end
from civium.engines.calibration import QUARTER_HOUR_US
from civium.engines.catalog import COUNT, NUMBER, Catalog, orders
from civium.engines.catalog.tables import ACTUATORS, ORDERS
from civium.engines.rights import Reach
from civium.ledger.projection import INCIDENTS
from civium.sources.changes import Rows
from civium.sources.units import to_si

if TYPE_CHECKING:
    from civium.city import City

_MOST_SUBSCRIPTIONS = 1_000
_LONGEST_KEY = 100
_RATES = ("rate_above", "rate_below")


class Watch:
    """Looks for alarms at each tick where this process holds that work; anywhere it takes orders about them."""

    def __init__(self, city: "City") -> None:
        self._city = city
        self.book = Book(city.log, city.place / "alarms.db")
        self.maintenance = Maintenance(city.catalog)
        found = (self._latest, self._stopped_now, self._adjust)
        self.desk = Desk(self.book, city.catalog, self.maintenance, *found)
        settings = city.settings.alarms
        self.key = Key.of(city.folder / "push.key", settings.push_key)
        hook = HookSender(settings)
        push = PushSender(self.key, settings.push_contact, self._subscriptions, self._unsubscribed)
        senders: dict[str, Sender] = {"mailto": MailSender(settings), "https": hook, "http": hook, "push": push}
        self.delivery = Delivery(self.desk, senders, city.settings.name, settings.url)
        self._stopped: dict[tuple[str, str], tuple[str, str]] = {}  # practice and shard -> held or broken, and why
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the book of alarms, and which practices make no turn."""
        await self.book.start()
        newest = select(func.max(INCIDENTS.c.seq)).group_by(INCIDENTS.c.practice, INCIDENTS.c.shard)
        query = select(INCIDENTS).where(INCIDENTS.c.seq.in_(newest))
        for row in await asyncio.to_thread(self._city.ledger.projection.rows, query):
            self._learn(0, {**row, "type": row["what"]})
        self._city.ledger.watch(self._learn)
        self._city.changes.watch(self.desk.was_changed)
        self._city.follower.watch(self.desk.note)

    async def stop(self) -> None:
        await end(self._looking)
        await self.delivery.close()
        await self.book.close()

    @asynccontextmanager
    async def at_work(self, _: str) -> AsyncIterator[None]:
        """Look for alarms between entry and exit, from what the book says by now."""
        await self.book.catch_up()
        self.desk.anew()
        try:
            yield
        finally:
            await end(self._looking)

    async def tick(self, now: int, cut: Mapping[str, int], *, wait: bool) -> None:
        """Look at ``now`` [us since epoch], unless the look before is still under way.

        With ``wait``, at all that the ``cut`` holds; returns when it is done, and whoever is on call was told.
        """
        if not (self.desk.rules or self.book.open or self.desk.stale):
            return
        if self._looking is not None and not self._looking.done():
            if not wait:
                return
            await asyncio.wait([self._looking])
        self._looking = asyncio.create_task(self._look(now, cut if wait else None))
        if wait:
            await asyncio.wait([self._looking])
            await self.delivery.done()

    async def _look(self, now: int, cut: Mapping[str, int] | None) -> None:
        try:
            if cut is not None and self.desk.rules:
                await self._city.follower.seen.reach(cut)
            await self.desk.look(now)
            self.delivery.call(now)
            self._city.troubles.pop("alarms", None)
        except Exception as error:  # the next tick looks again
            self._city.troubles["alarms"] = f"{type(error).__name__}: {error}"
        if self.delivery.trouble:
            self._city.troubles["on call"] = self.delivery.trouble
        else:
            self._city.troubles.pop("on call", None)

    def closed(self, actuators: Sequence[int], now: int) -> dict[int, str]:
        """Of actuators those that take no command at ``now`` [us since epoch], and why."""
        if not actuators or not self.maintenance.in_force(now):
            return {}
        known = self._city.catalog.last(ACTUATORS.name, actuators)
        return self.maintenance.closed({key: int(row["thing"]) for key, row in known.items()}, now)

    async def set_rule(self, key: str, body: Mapping[str, Any], who: str, why: str, reach: Reach) -> Rule:
        """Give a rule, or change it; levels in ``unit`` become SI. ``reach``: what its maker may read. Raises
        InputRefused."""
        rule = read_rule(_in_si(body))
        self._check_streams(rule, reach)
        self.may_change_rule(key, reach)
        if (
            rule.on_call
            and rule.on_call != "default"
            and rule.on_call not in orders.in_force(self._city.catalog, orders.ON_CALL)
        ):
            raise InputRefused(f"there is no on-call list '{rule.on_call}'; make it first")
        await self._order(orders.RULE, key, msgspec.to_builtins(rule), who, why)
        return rule

    def reads(self, rule: Rule, reach: Reach) -> NDArray[np.bool_]:
        """Which of the streams that a rule watches may be read; empty for one of practices."""
        if rule.when.practice is not None:
            return np.zeros(0, np.bool_)
        return reach.among(self.desk.watched(rule))

    def may_change_rule(self, key: str, reach: Reach) -> None:
        """Refuse (404, 403) to change or withdraw a rule of whose streams some may not be read: it keeps watch for who
        may."""
        order = orders.in_force(self._city.catalog, orders.RULE).get(key)
        read = np.ones(0, np.bool_) if order is None else self.reads(read_rule(order.body), reach)
        if not read.all():
            if not read.any():
                raise InputRefused(f"there is no alarm rule '{key}' that you may change", status=404)
            raise InputRefused(f"the alarm rule '{key}' watches streams that you may not read", status=403)

    def _check_streams(self, rule: Rule, reach: Reach) -> None:
        watch = rule.watch
        if watch.datastream and not reach.holds(watch.datastream):
            raise InputRefused(f"there is no Datastream {watch.datastream}")
        if not self.reads(rule, reach).all():
            why = "it would watch streams that you may not read: name a kind or a property, or ask an administrator"
            raise InputRefused(why, status=403)
        if watch.practice not in ("", "*", *self._city.turns.practices.found):
            raise InputRefused(f"no practice '{watch.practice}' is installed")

    async def set_on_call(self, key: str, body: Mapping[str, Any], who: str, why: str) -> None:
        """Say who is on call. Raises InputRefused."""
        check_ways(read_on_call(body))
        await self._order(orders.ON_CALL, key, dict(body), who, why)

    async def begin_upkeep(self, body: Mapping[str, Any], who: str, why: str) -> str:
        """Put a thing or an area under maintenance; returns its key. Raises InputRefused."""
        upkeep = read_upkeep(body)
        if not why:
            raise InputRefused("say why it is under maintenance")
        if upkeep.until <= self._city.clock.now():
            raise InputRefused("`until` lies in the past")
        if upkeep.thing and not await asyncio.to_thread(self._city.catalog.last, "things", [upkeep.thing]):
            raise InputRefused(f"there is no Thing {upkeep.thing}", status=404)
        key = uuid4().hex[:12]
        await self._order(orders.MAINTENANCE, key, dict(body), who, why)
        return key

    async def calibrate(self, stream: int, since: int, gain: float, offset: float, who: str, why: str) -> str:
        """What a stream reads from ``since`` [us since epoch] on is raw * gain + offset, in its own unit; returns the
        key of the order. Raises InputRefused.
        """
        index = self._city.catalog.streams
        if not index.known(np.array([stream]))[0]:
            raise InputRefused(f"there is no Datastream {stream}", status=404)
        if index.value_type[stream] not in (NUMBER, COUNT):
            raise InputRefused(f"Datastream {stream} holds no numbers")
        if since % QUARTER_HOUR_US:
            raise InputRefused("a calibration begins at a whole quarter of an hour (UTC)")
        if not (isfinite(gain) and isfinite(offset)) or gain == 0:
            raise InputRefused("gain and offset are finite numbers, and the gain is not 0")
        factor, shift = float(index.factor[stream]), float(index.offset[stream])
        si_offset = factor * offset + shift - gain * shift  # the line is given in the stream's unit, and kept in SI
        body = {"datastream": stream, "since": since, "gain": gain, "offset": offset}
        key = f"{stream}@{since}"
        await self._order(orders.CALIBRATION, key, {**body, "si_gain": gain, "si_offset": si_offset}, who, why)
        return key

    async def subscribe(self, body: Mapping[str, Any], who: str) -> str:
        """Take in the subscription of a person's browser; returns its key. Raises InputRefused."""
        given = read_subscription(body)
        if len(self._subscriptions()) >= _MOST_SUBSCRIPTIONS:
            raise InputRefused(f"{_MOST_SUBSCRIPTIONS:,} browsers are subscribed; withdraw some", status=409)
        key = uuid4().hex[:12]
        await self._order(orders.PUSH, key, msgspec.to_builtins(given), who, "a browser was subscribed")
        return key

    async def withdraw(self, kind: str, key: str, who: str, why: str) -> None:
        """Withdraw an order. Raises InputRefused (404) where none is in force."""
        if key not in orders.in_force(self._city.catalog, kind):
            raise InputRefused(f"there is no {kind.replace('_', ' ')} '{key}'", status=404)
        await self._order(kind, key, None, who, why)

    async def _order(self, kind: str, key: str, body: object | None, who: str, why: str) -> None:
        if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable() or "/" in key:
            raise InputRefused(f"a key has 1 to {_LONGEST_KEY} characters, none of them /")

        try:
            row = orders.row(kind, key, body, who, why, self._city.clock.now())
        except ValueError as error:  # half of a surrogate pair
            raise InputRefused(f"this cannot be written down: {error}") from None

        def build(_: Catalog) -> Rows:
            return {ORDERS.name: [row]}

        await self._city.changes.make(build, who=who, why=why)

    def _subscriptions(self) -> dict[str, Subscription]:
        found = orders.in_force(self._city.catalog, orders.PUSH)
        return {key: read_subscription(order.body) for key, order in found.items()}

    async def _unsubscribed(self, key: str) -> None:
        await self.withdraw(orders.PUSH, key, "push service", "the browser is subscribed no more")

    def _latest(self, streams: NDArray[np.int64]) -> Latest:
        identity, made, time, value = self._city.follower.live.latest_made(streams)
        return Latest(np.where(identity > 0, made, 0), time, value)

    def _adjust(
        self, streams: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return self._city.follower.live.calibrated.applied(streams, times, values)

    def _learn(self, _: int, entry: Mapping[str, Any]) -> None:
        if entry["type"] not in ("held", "broken", "resumed"):
            return
        work = (entry["practice"], entry.get("shard", "all"))
        others = {other: told for other, told in self._stopped.items() if other != work}
        stopped = {} if entry["type"] == "resumed" else {work: (entry["type"], entry["why"])}
        self._stopped = {**others, **stopped}

    def _stopped_now(self) -> dict[str, tuple[str, str]]:
        """The practices that are held or broken, in any of their shards."""
        return {practice: told for (practice, _), told in self._stopped.items()}


def _in_si(body: Mapping[str, Any]) -> dict[str, Any]:
    """A rule whose levels were given in ``when.unit``, in SI."""
    when = body.get("when")
    if not isinstance(when, dict) or "unit" not in when:
        return dict(body)
    unit = to_si(str(when["unit"]), "")
    told = {name: value for name, value in when.items() if name != "unit"}
    rate = any(name in told for name in _RATES)
    for name in (*CONDITIONS[:4], "clear"):
        if isinstance(told.get(name), int | float):
            told[name] = told[name] * unit.factor + (0.0 if rate else unit.offset)
    return {**body, "when": told}
