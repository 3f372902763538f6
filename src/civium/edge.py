"""An edge: a server for the devices of a place that keeps what they send until the centre has fetched it."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import nats
from nats.js.errors import APIError

from civium.engines.mailbox import MQTT_STREAM, PRIVATE, ensure_mqtt
from civium.engines.nats_server import Leaf, NatsServer
from civium.engines.passing import ignore
from civium.engines.settings import Settings, SettingsWrong, address, load, mqtt_tls, trusting

_LOOK_S = 10.0
_MANY = 1000  # messages that wait, before it is worth a word


def run_edge(folder: Path, say: Callable[[str], None]) -> None:
    """Run the edge whose ``civium.toml`` is in ``folder``, until SIGTERM or Ctrl-C.

    Raises SettingsWrong when it has no name or no centre, EngineUnsuitable when its server does not start.
    """
    settings = load(folder)
    if not settings.edge.name or not settings.edge.centre:
        raise SettingsWrong(f"{folder / 'civium.toml'} describes no edge: set name and centre under [edge]")
    asyncio.run(_run(settings, folder / "edge", say))


async def _run(settings: Settings, place: Path, say: Callable[[str], None]) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    leaf = Leaf(settings.edge.name, settings.edge.centre)
    await ensure_mqtt(NatsServer(place, PRIVATE, PRIVATE, leaf=Leaf(leaf.name, ())))
    tls = mqtt_tls(settings, place.parent)
    doors = [address(settings.doors.mqtt), address(settings.doors.websocket)]
    server = NatsServer(place, doors[0], doors[1], leaf=leaf, anonymous=trusting(settings), tls=tls)
    await server.start()
    client = await nats.connect(server.url, max_reconnect_attempts=-1, error_cb=ignore)
    say(f"{leaf.name}: devices connect by MQTT to {server.mqtt[0]}:{server.mqtt[1]} (Ctrl-C stops it)")
    told = 0
    try:
        while not over.is_set():
            try:
                waiting = (await client.jetstream().stream_info(MQTT_STREAM)).state.messages
            except (TimeoutError, nats.errors.Error, APIError) as error:
                say(f"{leaf.name}: its server does not answer: {error or type(error).__name__}")
            else:
                if waiting >= max(2 * told, _MANY):
                    say(f"{leaf.name}: {waiting} messages wait for the centre")
                elif told and waiting < _MANY:
                    say(f"{leaf.name}: the centre has caught up")
                told = waiting if waiting >= _MANY else 0
            try:
                await asyncio.wait_for(over.wait(), _LOOK_S)
            except TimeoutError:
                continue
    finally:
        await client.close()
        await server.stop()
