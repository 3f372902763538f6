"""The floor of posts: the same server and the same log without a city: ``bare_posts.py FOLDER`` prints its port.

Bodies are put into the log as they are, those that come while the last message is being stored together.
"""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from civium.engines.log import Log
from civium.engines.settings import load

_FREE = {"CIVIUM_DOORS_MQTT": "127.0.0.1:0", "CIVIUM_DOORS_WEBSOCKET": "127.0.0.1:0"}


class Bare:
    """An ASGI application that stores bodies and reads none."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self.storing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting.append((body, stored))
        if self.storing is None or self.storing.done():
            self.storing = asyncio.create_task(self._store())
        location = b"http://127.0.0.1/%d" % await stored
        fields = [(b"content-length", b"0"), (b"location", location)]
        await send({"type": "http.response.start", "status": 201, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    async def _store(self) -> None:
        while self.waiting:
            group, self.waiting = self.waiting, []
            sequence, _ = await self.log.publish("OBS0", b"\n".join(body for body, _ in group))
            for _, stored in group:
                stored.set_result(sequence)


async def _serve(folder: Path) -> None:
    folder.mkdir(parents=True)
    log = await Log.open(load(folder, _FREE), folder)
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(Bare(log), log_level="warning", access_log=False, lifespan="off", loop="none")
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await log.close()


if __name__ == "__main__":
    uvicorn_loop = uvicorn.Config(lambda: None).get_loop_factory()  # the loop that a city runs on
    with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
        runner.run(_serve(Path(sys.argv[1])))
