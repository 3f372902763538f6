"""The embedded log: what devices publish is kept from the first moment on, whatever came in between at the start."""

import asyncio
from pathlib import Path

from civium.engines.log import Log
from civium.engines.mailbox import MQTT_STREAM, PRIVATE
from civium.engines.nats_server import NatsServer
from civium.engines.settings import Doors, Settings


def test_a_first_start_that_was_cut_short_is_made_up_for(tmp_path: Path) -> None:
    async def run() -> int:
        server = NatsServer(tmp_path / "log", PRIVATE, PRIVATE)  # killed before anything was prepared
        await server.start()
        await server.stop()
        assert (tmp_path / "log" / "jetstream").exists()
        log = await Log.open(Settings(doors=Doors(mqtt="127.0.0.1:0")), tmp_path)
        try:
            return (await log.client.jetstream().stream_info(MQTT_STREAM)).state.consumer_count
        finally:
            await log.close()

    assert asyncio.run(run()) >= 1  # the server keeps what a consumer wants
