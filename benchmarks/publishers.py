"""Devices on many MQTT connections, QoS 1, in a process of their own: ``publishers.py PLAN.json``; says what they saw.

Connection ``c`` of ``n`` publishes for the streams ``c + 1, c + 1 + n, ...``, ``each`` of them a reading, at most
``window`` unacknowledged; with ``seconds`` they are spread evenly over that time. A reading's value is its stream's id
plus ``first``.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import uvloop
from devices import ACKNOWLEDGED, connect, publication

_LATE_S = 120.0


class _Connection(asyncio.Protocol):
    def __init__(self, number: int, plan: dict[str, Any]) -> None:
        self.number, self.plan, self.each = number, plan, int(plan["each"])
        self.sent = self.acknowledged = 0
        self.left = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(connect(f"device-{self.number}"))

    def publish(self, due: int) -> None:
        """Publish what is due and the window allows."""
        packets = []
        until = min(due, self.each, self.acknowledged + int(self.plan["window"]))
        while self.sent < until:
            stream = self.number + 1 + self.sent * int(self.plan["connections"])
            body = b'{"result": %d, "phenomenonTime": "2026-06-01T12:00:00Z"}' % (self.plan["first"] + stream)
            packets.append(publication(f"v1.1/Datastreams({stream})/Observations", self.sent % 65_535 + 1, body))
            self.sent += 1
        if packets and self.transport is not None:
            self.transport.write(b"".join(packets))

    def data_received(self, data: bytes) -> None:
        data = self.left + data
        if not self.ready.done():
            if data[3]:
                self.ready.set_exception(ConnectionError(f"refused with code {data[3]}"))
                return
            self.ready.set_result(None)
            data = data[4:]
        whole = len(data) // 4 * 4
        self.left = data[whole:]
        self.acknowledged += data[:whole:4].count(ACKNOWLEDGED)
        if self.acknowledged >= self.each and not self.done.done():
            self.done.set_result(None)
        elif not self.plan["seconds"]:
            self.publish(self.each)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.ready, self.done):
            if not future.done():
                future.set_exception(error or ConnectionError("the MQTT door closed the connection"))


async def _run(plan: dict[str, Any]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    connections = []
    for first in range(0, int(plan["connections"]), 50):  # a server takes so many at a time
        made = [
            loop.create_connection(partial(_Connection, n, plan), plan["host"], plan["port"])
            for n in range(first, min(first + 50, int(plan["connections"])))
        ]
        some = [connection for _, connection in await asyncio.gather(*made)]
        await asyncio.wait_for(asyncio.gather(*(one.ready for one in some)), 30)
        connections += some
    begun = perf_counter()
    seconds, each = float(plan["seconds"]), int(plan["each"])
    while seconds and (share := (perf_counter() - begun) / seconds) < 1.0:
        for connection in connections:  # not all at the same instant: as meters are not
            connection.publish(int(each * share + connection.number / len(connections)))
        await asyncio.sleep(0.02)
    for connection in connections:
        connection.publish(each)
    while seconds and any(one.sent < each for one in connections):  # the window was full
        await asyncio.sleep(0.02)
        for connection in connections:
            connection.publish(each)
    await asyncio.wait_for(asyncio.gather(*(one.done for one in connections)), seconds + _LATE_S)
    return {"took": perf_counter() - begun, "acknowledged": sum(one.acknowledged for one in connections)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_run(json.loads(Path(sys.argv[1]).read_text())))))
