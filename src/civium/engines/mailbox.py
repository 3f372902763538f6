"""The devices' mail: the stream in which nats-server itself keeps what devices publish with QoS 1.

The server makes it when the first MQTT client comes, and keeps a message only while a consumer wants it. So the first
client must be ours, before any device can connect.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiomqtt
import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from civium.core import EngineUnsuitable
from civium.engines.nats_server import NatsServer

MQTT_STREAM = "$MQTT_msgs"  # where nats-server itself keeps what devices publish with QoS 1
MQTT_IN = "$MQTT.msgs.civium-in.>"
MQTT_EARLIER = "$MQTT.msgs.v1//1.*.Observations"  # where it kept them up to release 0.1
PRIVATE = ("127.0.0.1", 0)  # a listener on a port that nobody knows
_KEEPER = "civium_keeper"  # a durable consumer that is never read: the server keeps what it would be owed
_PREPARED = "mqtt.prepared.2"  # a file in the server's folder
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Where devices and the city's own MQTT client connect, and the city's login there."""

    host: str
    port: int
    user: str
    password: str
    tls: Path | None = None  # the certificate that vouches for it, whatever name it bears

    def context(self) -> ssl.SSLContext | None:
        """How to speak to it; None: without TLS."""
        if self.tls is None:
            return None
        context = ssl.create_default_context(cafile=str(self.tls))
        context.check_hostname = False  # it is our own server, by whatever name
        return context

    @classmethod
    def of(cls, server: NatsServer) -> "Listener":
        """That of a server of our own."""
        return cls(*server.mqtt, *server.login, server.tls[0] if server.tls else None)


async def ensure_mqtt(private: NatsServer) -> None:
    """``prepare_mqtt`` once in the life of the server's folder.

    That the folder is there says nothing: whoever made it may have been killed before the stream was prepared, and the
    server would acknowledge what it does not keep.
    """
    prepared = private.folder / _PREPARED
    if not prepared.exists() or not (private.folder / "jetstream").exists():
        await prepare_mqtt(private)
        prepared.touch()


async def prepare_mqtt(private: NatsServer) -> int:
    """Make the devices' stream before any device can connect, on ports that nobody knows; returns its last sequence."""
    await private.start()
    client = await nats.connect(private.url)
    await keep_mqtt(client, Listener.of(private), 1)
    last = (await client.jetstream(timeout=_PATIENCE_S).stream_info(MQTT_STREAM)).state.last_seq
    await client.close()
    await private.stop()
    return last


async def keep_mqtt(client: Client, mqtt: Listener, replicas: int) -> None:
    """See to it that the devices' stream keeps observations; raises EngineUnsuitable when we are not let in."""
    js = client.jetstream(timeout=_PATIENCE_S)
    durable = ConsumerConfig(
        durable_name=_KEEPER,
        ack_policy=AckPolicy.ALL,
        max_ack_pending=-1,
        num_replicas=replicas,
        filter_subject=MQTT_IN,
    )
    try:
        await js.consumer_info(MQTT_STREAM, _KEEPER)
    except NotFoundError:
        try:
            async with aiomqtt.Client(
                mqtt.host,
                mqtt.port,
                identifier=f"civium-{uuid4().hex[:8]}",
                username=mqtt.user,
                password=mqtt.password,
                tls_context=mqtt.context(),
            ):
                await js.add_consumer(MQTT_STREAM, durable)
        except aiomqtt.MqttError as error:
            raise EngineUnsuitable("log", f"MQTT at {mqtt.host}:{mqtt.port} does not let us in: {error}") from None
