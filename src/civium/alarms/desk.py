"""The desk: looks for alarms at each tick of the city clock, and takes down what people do about them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.alarms import on_call
from civium.alarms.alarm import Alarm, Event, pack_streams
from civium.alarms.book import Book
from civium.alarms.conditions import Arrivals, Arrived, Latest, Lookout
from civium.alarms.groups import Groups
from civium.alarms.maintenance import Maintenance
from civium.alarms.naming import Names
from civium.alarms.rules import Rule, read_rule
from civium.core import MICROSECONDS, InputRefused
from civium.engines.catalog import Catalog, Change, orders

Ids = NDArray[np.int64]
Adjust = Callable[[Ids, Ids, NDArray[np.float64]], NDArray[np.float64]]  # raw values, as they are to be read
Stopped = Callable[[], Mapping[str, tuple[str, str]]]  # practice -> held or broken, and why
_MOST_AT_ONCE = 20  # alarms that one rule raises at one look; what is beyond is one alarm
_WHOLE_S = 60.0  # corrections change a latest reading without a new one: everything is looked at so often
_MOST_RULES = 1_000
_LOOKED_AT = ("datastreams", "things", "observed_properties", "orders")


@dataclass
class _Found:
    """What one look found of one rule: streams by group that begin to be an alarm, streams by alarm that cease."""

    begins: dict[str, Ids] = field(default_factory=dict)
    ceases: dict[int, Ids] = field(default_factory=dict)
    practices: dict[str, str] = field(default_factory=dict)  # practices that begin, with why
    calm: set[int] = field(default_factory=set)  # alarms of practices that cease


class Desk:
    """``latest`` gives the latest reading of streams, ``stopped`` the practices that make no turn; ``adjust`` is the
    calibration of streams at times."""

    def __init__(
        self,
        book: Book,
        catalog: Catalog,
        maintenance: Maintenance,
        latest: Callable[[Ids], Latest],
        stopped: Stopped,
        adjust: Adjust = lambda streams, times, values: values,
    ) -> None:
        self.book, self.maintenance = book, maintenance
        self._catalog, self._latest, self._stopped, self._adjust = catalog, latest, stopped, adjust
        self._arrivals, self._groups, self._names = Arrivals(), Groups(catalog), Names(catalog)
        self.rules: dict[str, Rule] = {}
        self.lists: dict[str, on_call.OnCall] = {}
        self._seqs: dict[str, int] = {}  # rule -> the order that it is of
        self._lookouts: dict[str, Lookout] = {}
        self._since: dict[tuple[str, str], int] = {}  # rule and practice -> since when it is stopped
        self.stale = True
        self._listening = False
        self._whole_at = 0

    def anew(self) -> None:
        """Begin from what the book says: another process has looked until now."""
        self._lookouts, self.stale = {}, True

    async def was_changed(self, _: int, change: Change) -> None:
        """The catalogue has changed: look anew at what rules watch."""
        for tables in (change.rows, change.updates, change.deletes):
            if any(tables.get(name) for name in _LOOKED_AT):
                self.stale = True
            if tables.get("things"):
                self._groups.forget()

    async def note(self, rows: pa.Table, _: pa.Table) -> None:
        """Take in the rows of a commit, if any rule watches values."""
        if self._listening:
            await asyncio.to_thread(self._arrivals.add, rows)

    async def look(self, now: int) -> None:
        """Look at everything at ``now`` [us since epoch], and write down what has changed."""
        if self.stale:
            self.stale = False
            await asyncio.to_thread(self._arrange, now)
        found = await asyncio.to_thread(self._find, now)
        await self.book.append(lambda: list(self._events(found, now)), now)
        self._settle(found)

    async def acknowledge(self, identity: int, who: str, why: str, now: int) -> Alarm:
        """Somebody acts: nobody is told any more. Raises InputRefused (404, 409)."""

        def plan() -> list[Event]:
            alarm = self._open(identity)
            if alarm.acknowledged:
                raise InputRefused(f"alarm {identity} was acknowledged by {alarm.acknowledged_by}", status=409)
            return [{"what": "acknowledged", "alarm": identity, "who": who, "why": why}]

        await self.book.append(plan, now)
        return self.book.open[identity]

    async def shelve(self, identity: int, until: int, who: str, why: str, now: int) -> Alarm:
        """Put an alarm, and those of the same rule and group, aside until an end. Raises InputRefused (400, 404)."""
        if not why:
            raise InputRefused("say why it is shelved")
        if not now < until <= now + 366 * 86400 * MICROSECONDS:
            raise InputRefused("`until` lies in the future, a year ahead at most")
        event = {"what": "shelved", "alarm": identity, "until": until, "who": who, "why": why}
        await self.book.append(lambda: [event] if self._open(identity) else [], now)
        return self.book.open[identity]

    async def unshelve(self, identity: int, who: str, why: str, now: int) -> Alarm:
        """Take an alarm from the shelf before its end. Raises InputRefused (404, 409)."""

        def plan() -> list[Event]:
            if not self._open(identity).shelved_until:
                raise InputRefused(f"alarm {identity} is not shelved", status=409)
            return [{"what": "unshelved", "alarm": identity, "who": who, "why": why}]

        await self.book.append(plan, now)
        return self.book.open[identity]

    async def clear(self, identity: int, who: str, why: str, now: int) -> None:
        """End a latched alarm whose condition is over. Raises InputRefused (404, 409)."""

        def plan() -> list[Event]:
            if self._open(identity).holds:
                raise InputRefused(
                    f"the condition of alarm {identity} still holds; shelve it, with a reason and an end", status=409
                )
            return [{"what": "cleared", "alarm": identity, "who": who, "why": why}]

        await self.book.append(plan, now)

    def _open(self, identity: int) -> Alarm:
        if identity in self.book.open:
            return self.book.open[identity]
        if self.book.find(identity):
            raise InputRefused(f"alarm {identity} is over", status=409)
        raise InputRefused(f"there is no alarm {identity}", status=404)

    def _arrange(self, now: int) -> None:
        """Rules, lists and the streams that rules watch, as the catalogue has them now."""
        at = self._catalog.applied()
        found = orders.in_force(self._catalog, orders.RULE, at)
        listed = orders.in_force(self._catalog, orders.ON_CALL, at)
        rules = {key: read_rule(order.body) for key, order in list(found.items())[:_MOST_RULES]}
        seqs = {key: found[key].seq for key in rules}
        lookouts = {}
        for key, rule in rules.items():
            if rule.when.practice is None:
                lookouts[key] = Lookout(rule, self.watched(rule), max(found[key].at, now if self._whole_at == 0 else 0))
                if self._seqs.get(key) == seqs[key] and key in self._lookouts:
                    lookouts[key].take_over(self._lookouts[key])
                for alarm in self.book.open.values():
                    if alarm.rule == key:
                        lookouts[key].belong(alarm.streams, alarm.id)
        self.lists = {key: on_call.read_on_call(order.body) for key, order in listed.items()}
        self.rules, self._seqs, self._lookouts = rules, seqs, lookouts
        self._listening = any(rule.when.above is not None or rule.when.below is not None for rule in rules.values())
        self._whole_at = 0

    def watched(self, rule: Rule) -> Ids:
        """The streams that a rule watches, ascending."""
        watch, index, at = rule.watch, self._catalog.streams, self._catalog.applied()
        if watch.datastream:
            one = np.array([watch.datastream], np.int64)
            return one[index.known(one)]
        if watch.property:
            found = self._catalog.streams_of(watch.property, watch.kind, at).column("stream")
            return np.sort(found.to_numpy().astype(np.int64))
        if not watch.kind:
            return np.flatnonzero(index.exists)
        groups = self._catalog.groups()
        kinds = groups.column("kind").to_numpy(zero_copy_only=False)
        return np.sort(groups.column("stream").to_numpy()[kinds == watch.kind].astype(np.int64))

    def _find(self, now: int) -> dict[str, _Found]:
        whole = now - self._whole_at >= _WHOLE_S * MICROSECONDS
        arrived = self._arrivals.take(lambda streams: self._latest(streams).time)
        times = self._latest(arrived.streams).time
        one, other = (self._adjust(arrived.streams, times, peak) for peak in (arrived.high, arrived.low))
        arrived = Arrived(arrived.streams, np.fmax(one, other), np.fmin(one, other))
        self._whole_at = now if whole else self._whole_at
        index = self._catalog.streams

        def quiet(streams: Ids) -> NDArray[np.bool_]:
            things = np.where(streams < len(index.thing), index.thing[np.minimum(streams, len(index.thing) - 1)], 0)
            return self.maintenance.things(things, now)

        found: dict[str, _Found] = {}
        for key, lookout in self._lookouts.items():
            begins, ceases = lookout.look(self._latest, None if whole else arrived, quiet, now)
            if len(begins) or len(ceases):
                found[key] = self._sorted(lookout, begins, ceases, now)
        for key, rule in self.rules.items():
            if rule.when.practice is not None:
                found[key] = self._stopped_by(key, rule, now)
        return found

    def _sorted(self, lookout: Lookout, begins: Ids, ceases: Ids, now: int) -> _Found:
        """What a look found, by group and by alarm."""
        found = _Found()
        streams = lookout.streams[begins]
        if len(streams):
            labels = np.array(self._groups.of(streams, lookout.rule.together), dtype=object)
            names, place = np.unique(labels.astype(str), return_inverse=True)
            order = np.argsort(place, kind="stable")
            parts = np.split(streams[order], np.searchsorted(place[order], np.arange(1, len(names))))
            found.begins = dict(zip(names.tolist(), parts, strict=True))
            if len(names) > _MOST_AT_ONCE:
                found.begins = {f"many:{now // MICROSECONDS}": streams}
        for alarm in np.unique(lookout.alarm[ceases]).tolist():
            found.ceases[alarm] = lookout.streams[ceases[lookout.alarm[ceases] == alarm]]
        return found

    def _stopped_by(self, key: str, rule: Rule, now: int) -> _Found:
        found, wanted = _Found(), rule.when.practice or ()
        stopped = {
            practice: why
            for practice, (what, why) in self._stopped().items()
            if what in wanted and rule.watch.practice in ("*", practice)
        }
        self._since = {at: since for at, since in self._since.items() if at[0] != key or at[1] in stopped}
        for practice, why in stopped.items():
            since = self._since.setdefault((key, practice), now)
            if now - since >= rule.when.for_s * MICROSECONDS:
                found.practices[practice] = why
        found.calm = {a.id for a in self.book.open.values() if a.rule == key and a.practice not in stopped}
        return found

    def _events(self, found: Mapping[str, _Found], now: int) -> Iterator[Event]:
        """What the book does not say yet."""
        open_alarms = list(self.book.open.values())
        grouped = {(alarm.rule, alarm.group): alarm for alarm in open_alarms}
        last = self.book.last_id
        for alarm in open_alarms:
            yield from self._of_open(alarm, found.get(alarm.rule, _Found()), now)
        for key, some in found.items():
            rule = self.rules[key]
            begins = [(group, streams, "") for group, streams in some.begins.items()]
            begins += [(f"practice:{name}", np.empty(0, np.int64), why) for name, why in some.practices.items()]
            for group, streams, why in begins:
                runs = pack_streams(streams) or [[]]
                known = grouped.get((key, group))
                if known is None:
                    last += 1
                    yield {
                        "what": "raised",
                        "alarm": last,
                        **self._about(key, rule, group, streams, why, now),
                        "streams": runs[0],
                    }
                    runs = runs[1:]
                elif known.practice:
                    continue
                for part in runs:
                    yield {"what": "joined", "alarm": known.id if known else last, "streams": part}

    def _of_open(self, alarm: Alarm, found: _Found, now: int) -> Iterator[Event]:
        """What has become of an open alarm by now."""
        if alarm.rule not in self.rules:
            yield {"what": "cleared", "alarm": alarm.id, "who": "", "why": "its rule was withdrawn"}
            return
        if alarm.shelved_until and alarm.shelved_until <= now:
            yield {"what": "unshelved", "alarm": alarm.id, "who": "", "why": "its time on the shelf is over"}
        lookout = self._lookouts.get(alarm.rule)
        gone = found.ceases.get(alarm.id, np.empty(0, np.int64))
        if lookout is not None:
            gone = np.union1d(gone, np.setdiff1d(alarm.streams, lookout.streams))
        for part in pack_streams(np.intersect1d(gone, alarm.streams)):
            yield {"what": "left", "alarm": alarm.id, "streams": part}
        over = alarm.id in found.calm if alarm.practice else len(np.setdiff1d(alarm.streams, gone)) == 0
        comes = alarm.group in found.begins
        if over and not comes and not alarm.latched:
            yield {"what": "cleared", "alarm": alarm.id, "who": "", "why": "its condition is over"}
            return
        if over and not comes and alarm.holds:
            yield {"what": "returned", "alarm": alarm.id}
        if alarm.state == "open" and (listed := self.lists.get(alarm.on_call)):
            step = on_call.reached(alarm, listed, now)
            if step > max(alarm.step, 0):
                yield {"what": "escalated", "alarm": alarm.id, "step": step, "who": listed.steps[step].who}

    def _about(self, key: str, rule: Rule, group: str, streams: Ids, why: str, now: int) -> Event:
        """What is written down of an alarm when it is raised."""
        shelved = self.book.shelves.get((key, group), 0)
        about: Event = {
            "rule": key,
            "title": rule.title or key,
            "severity": str(rule.severity),
            "group": group,
            "name": self._names.group(group, len(streams)),
            "said": self._names.said(rule, streams, why),
            "on_call": rule.on_call,
            "latched": rule.latched,
        }
        if group.startswith("practice:"):
            about["practice"] = group.partition(":")[2]
        if shelved > now:
            about |= {"shelved_until": shelved, "who": "", "why": "its rule and group are shelved"}
        return about

    def _settle(self, found: Mapping[str, _Found]) -> None:
        """Let the lookouts know which streams belong to which alarm now."""
        grouped = {(alarm.rule, alarm.group): alarm.id for alarm in self.book.open.values()}
        for key, some in found.items():
            lookout = self._lookouts.get(key)
            if lookout is None:
                continue
            for streams in some.ceases.values():
                lookout.belong(streams, 0)
            for group, streams in some.begins.items():
                lookout.belong(streams, grouped.get((key, group), 0))
