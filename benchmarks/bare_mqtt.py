"""The floor of what comes by MQTT: a nats-server as the city's, with the same syncing, that nobody reads."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from civium.engines.mailbox import prepare_mqtt
from civium.engines.nats_server import NatsServer

_PRIVATE = ("127.0.0.1", 0)


@contextmanager
def bare(folder: Path, sync: str) -> Iterator[tuple[str, int]]:
    """Such a server in a process of its own; host and port of its MQTT door."""
    command = [sys.executable, str(Path(__file__)), str(folder), sync]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield "127.0.0.1", int(process.stdout.readline())
        finally:
            process.stdin.close()


async def _serve(folder: Path, sync: str) -> None:
    await prepare_mqtt(NatsServer(folder, _PRIVATE, _PRIVATE, sync))
    server = NatsServer(folder, _PRIVATE, _PRIVATE, sync)
    await server.start()
    sys.stdout.write(f"{server.mqtt[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
