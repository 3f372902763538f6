"""Clients that post single Observations, one at a time on a connection each: ``posters.py PLAN.json SEEN.json``.

A process of its own, so that the clients are not what is measured; what they saw goes to the second file.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
import uvloop

_CREATED = b"HTTP/1.1 201"


class _Client(asyncio.Protocol):
    """Sends the next request when the last is answered, until the time is up."""

    def __init__(self, number: int, plan: dict[str, float], host: str) -> None:
        self.number, self.host = number, host
        self.streams, self.until = int(plan["streams"]), plan["until"]
        self.first = (int(plan["first"]) + number) * 1_000_000
        self.sent = self.refused = 0
        self.accepted: list[int] = []
        self.latencies: list[float] = []
        self.begun = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        assert self.transport is not None
        self.sent += 1
        # each reading has a value of its own: which client, and its how manieth
        body = b'{"result": %d, "phenomenonTime": "2026-06-01T12:00:00.000Z"}' % (self.first + self.sent)
        stream = (self.number * 7919 + self.sent * 104_729) % self.streams + 1
        self.transport.write(
            b"POST /v1.1/Datastreams(%d)/Observations HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (stream, self.host.encode(), len(body), body)
        )
        self.begun = perf_counter()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self.latencies.append(now - self.begun)
        if data.startswith(_CREATED) and data.endswith(b"\r\n\r\n"):
            self.accepted.append(self.first + self.sent)
        else:
            self.refused += 1
        if now < self.until:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the city closed the connection"))


async def _post(plan: dict[str, float], host: str, port: int) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    begun = perf_counter()
    plan = {**plan, "until": begun + plan["seconds"]}
    made = [
        loop.create_connection(partial(_Client, n, plan, f"{host}:{port}"), host, port)
        for n in range(int(plan["connections"]))
    ]
    clients = [client for _, client in await asyncio.gather(*made)]
    await asyncio.gather(*(client.done for client in clients))
    took = perf_counter() - begun
    latencies = np.concatenate([client.latencies for client in clients]) * 1000
    return {
        "took": took,
        "refused": sum(client.refused for client in clients),
        "accepted": [value for client in clients for value in client.accepted],
        "p50_ms": float(np.percentile(latencies, 50)),
        "p99_ms": float(np.percentile(latencies, 99)),
    }


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    seen = uvloop.run(_post(given["plan"], given["host"], given["port"]))
    Path(sys.argv[2]).write_text(json.dumps(seen))
