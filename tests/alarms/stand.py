"""A desk without a city: a log in memory, a real catalogue, live values that a test writes down."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from civium.alarms.book import Book
from civium.alarms.conditions import Ids, Latest
from civium.alarms.desk import Desk
from civium.alarms.maintenance import Maintenance
from civium.core import MICROSECONDS
from civium.engines.catalog import Catalog, Change, orders
from civium.engines.log import LogConflict
from civium.engines.tail import Message

START = 1_700_000_000 * MICROSECONDS


class MemoryLog:
    """One stream of messages."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def refresh(self, _: str) -> int:
        return len(self.messages)

    async def publish(self, _: str, data: bytes, *, expect_last: int) -> tuple[int, bool]:
        if expect_last != len(self.messages):
            raise LogConflict("moved on")
        self.messages.append(data)
        return len(self.messages), False

    async def read(self, _: str, after: int = 0) -> AsyncIterator[Message]:
        for number, data in enumerate(self.messages[after:], after + 1):
            yield Message(number, "", data, {})


class Stand:
    """Gateways ``g0``, ``g1`` ... with some thermometers each, and two of no gateway."""

    def __init__(self, folder: Path, gateways: int = 2, each: int = 3) -> None:
        self.folder, self.log = folder, MemoryLog()
        self.catalog = Catalog.open(f"sqlite:///{folder / 'catalog.db'}")
        things = [
            {"id": g * each + n + 1, "key": f"t{g}/{n}", "name": f"t{g}/{n}", "kind": "sensor",
             "properties": f'{{"gateway":"g{g}"}}', "lon": 24.9 + g / 10, "lat": 60.1}
            for g in range(gateways) for n in range(each)
        ]  # fmt: skip
        last = len(things)
        things += [{"id": last + n, "key": f"alone/{n}", "name": f"alone/{n}", "kind": "sensor"} for n in (1, 2)]
        self.count = len(things)
        streams = [
            {"id": t["id"], "key": t["key"], "thing": t["id"], "sensor": 1, "property": 1, "name": t["key"],
             "observation_type": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"}
            for t in things
        ]  # fmt: skip
        self.change({
            "things": things, "sensors": [{"id": 1, "key": "s"}], "datastreams": streams,
            "observed_properties": [{"id": 1, "name": "air_temperature"}],
        })  # fmt: skip
        self.made = np.zeros(self.count + 1, np.int64)
        self.value = np.full(self.count + 1, np.nan)
        self.stopped: dict[str, tuple[str, str]] = {}
        self.start()

    def start(self) -> None:
        """The desk as it is after a crash: of all that it knew only the log is left."""
        self.book = Book(self.log, self.folder / "alarms.db")  # type: ignore[arg-type]  # what it uses of a log
        self.maintenance = Maintenance(self.catalog)
        self.desk = Desk(self.book, self.catalog, self.maintenance, self.latest, lambda: self.stopped)
        asyncio.run(self.book.start())

    def change(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.catalog.fold(self.catalog.applied() + 1, Change(START, "Ada", "test", rows))

    def order(self, kind: str, key: str, body: object | None, why: str = "") -> None:
        self.change({"orders": [orders.row(kind, key, body, "Ada", why, START)]})
        self.desk.stale = True

    def rule(self, key: str = "rule", **rule: Any) -> None:
        self.order(orders.RULE, key, {"watch": {"property": "air_temperature"}, **rule})

    def latest(self, streams: Ids) -> Latest:
        return Latest(self.made[streams], self.made[streams], self.value[streams])

    def read(self, second: float, value: float, *streams: int) -> None:
        """Streams (default: all) read something at a second."""
        at = list(streams) or slice(1, None)
        self.made[at], self.value[at] = START + int(second * MICROSECONDS), value

    def look(self, second: float) -> None:
        self.desk._whole_at = 0  # the live values of this stand tell nobody that they have changed
        asyncio.run(self.desk.look(START + int(second * MICROSECONDS)))

    def open(self) -> dict[str, tuple[str, int]]:
        """State and number of streams of what is open, by group."""
        return {alarm.group: (alarm.state, alarm.size) for alarm in self.book.open.values()}

    def told(self) -> list[str]:
        """All that was ever written down, in order."""
        events = [event for message in self.log.messages for event in _events(message)]
        return [f"{event['what']} {event['alarm']}" for event in events]

    def only(self) -> int:
        (identity,) = self.book.open
        return identity


def _events(message: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(message)["events"]
    return found
