"""What of the alarms, and of what is ordered about streams and things, a caller may know."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from civium.alarms.alarm import Alarm
from civium.alarms.rules import read_rule
from civium.city import City
from civium.core import InputRefused
from civium.core.rights import Caller
from civium.engines.catalog import orders
from civium.engines.catalog.tables import DATASTREAMS
from civium.web.told import Told


class AlarmSight:
    """What one caller sees; ask it in a thread."""

    def __init__(self, city: City, caller: Caller) -> None:
        self._city, self._caller = city, caller
        self._told = Told(city, caller)
        self.reach = self._told.reach

    def of(self, alarm: Alarm) -> Alarm | None:
        """An alarm with those of its streams that may be read; None where it has only others."""
        if alarm.practice:
            return replace(alarm, said=self._told.trouble(alarm.practice, alarm.said))
        mine = self.reach.among(alarm.ever)
        if mine.all():
            return alarm
        if not mine.any():
            return None
        streams = alarm.streams[self.reach.among(alarm.streams)]
        return replace(alarm, streams=streams, size=len(streams), ever=alarm.ever[mine])

    def open(self) -> list[Alarm]:
        """The alarms that are not over, as the caller sees them."""
        return [seen for alarm in list(self._city.watch.book.open.values()) if (seen := self.of(alarm)) is not None]

    def find(self, identity: int) -> Alarm:
        """An alarm, open or of the past; raises InputRefused (404) where there is none for the caller."""
        found = self._city.watch.book.find(identity)
        seen = None if found is None else self.of(found)
        if seen is None:
            raise InputRefused(f"there is no alarm {identity}", status=404)
        return seen

    def story(self, alarm: Alarm) -> list[dict[str, Any]]:
        """What became of an alarm; without how many streams, where some of them are not seen."""
        events = self._city.watch.book.story(alarm.id)
        found = self._city.watch.book.find(alarm.id)
        if found is not None and len(found.ever) == len(alarm.ever):
            return events
        return [{name: word for name, word in event.items() if name != "streams"} for event in events]

    def rule(self, body: Mapping[str, Any]) -> bool:
        """Whether a rule may be known of: it watches something that may be read, or nothing yet."""
        read = self._city.watch.reads(read_rule(body), self.reach)
        return len(read) == 0 or bool(read.any())

    def rules(self, told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Those of some rules that may be known of, with the key of the one stream that they watch, if they do."""
        seen = [one for one in told if self.rule(one["rule"])]
        ids = [int(one["rule"].get("watch", {}).get("datastream", 0)) for one in seen]
        rows = self._city.catalog.last(DATASTREAMS.name, [stream for stream in ids if stream])
        keys = [rows[stream]["key"] if stream in rows else None for stream in ids]
        return [{**one, "stream": key} for one, key in zip(seen, keys, strict=True)]

    def by_number(self, rule: Mapping[str, Any]) -> Mapping[str, Any]:
        """A rule whose watch names a stream by its key, as files of another city do, with the number it has here."""
        watch = rule.get("watch")
        if not isinstance(watch, dict) or not isinstance(watch.get("stream"), str):
            return rule
        key = watch["stream"]
        stream = self._city.catalog.ids_by_key(DATASTREAMS.name, [key]).get(key, 0)
        if not self.reach.holds(stream):
            raise InputRefused(f"no Datastream has the key '{key}'", status=404)
        others = {name: value for name, value in watch.items() if name != "stream"}
        return {**rule, "watch": {**others, "datastream": stream}}

    def thing(self, thing: int | None) -> bool:
        """Whether a thing may be known of."""
        return self._told.actuator(thing)

    def may_end_maintenance(self, key: str) -> None:
        """Refuse (404) to end that of a thing which the caller may not know of."""
        order = orders.in_force(self._city.catalog, orders.MAINTENANCE).get(key)
        if order is not None and not self.thing(order.body.get("thing")):
            raise InputRefused(f"there is no maintenance '{key}'", status=404)

    def may_calibrate(self, stream: int) -> None:
        """Refuse a calibration of a stream that the caller may not write: 404 where it may not know of it, else 403."""
        if not self.reach.holds(stream):
            raise InputRefused(f"there is no Datastream {stream}", status=404)
        if not self._city.rights.writable(self._caller).holds(stream):
            raise InputRefused(f"'{self._caller.name}' may not write Datastream {stream}", status=403)

    def may_withdraw_calibration(self, key: str) -> None:
        """The same of one that is in force."""
        order = orders.in_force(self._city.catalog, orders.CALIBRATION).get(key)
        if order is not None:
            try:
                self.may_calibrate(int(order.body["datastream"]))
            except InputRefused as error:
                if error.status == 404:
                    raise InputRefused(f"there is no calibration '{key}'", status=404) from None
                raise
