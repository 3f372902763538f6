"""The MQTT actuator: SensorThings Tasking over MQTT. A device subscribes to ``v1.1/TaskingCapabilities(id)/Tasks``."""

import asyncio
import contextlib

import aiomqtt

from civium.acts.task import Task
from civium.engines.mailbox import Listener

# The server tells it on ``v1.1/TaskingCapabilities(id)/Tasks``, where only the city can be heard.
_TOPIC = "civium-out/TaskingCapabilities({})/Tasks"
_MOST_IN_FLIGHT = 10_000  # publishes of one turn go out together; the library warns from 10 on


class MqttSender:
    """Publishes tasks with QoS 1 under one persistent client; connects again by itself."""

    def __init__(self, mqtt: Listener) -> None:
        self._mqtt = mqtt
        self._client: aiomqtt.Client | None = None
        self._open = contextlib.AsyncExitStack()

    async def send(self, tasks: list[Task]) -> list[str | None]:
        """Hand tasks to the server; for each None, or why it could not be handed over."""
        try:
            if self._client is None:
                client = aiomqtt.Client(
                    self._mqtt.host,
                    self._mqtt.port,
                    identifier="civium-outbox",
                    username=self._mqtt.user,
                    password=self._mqtt.password,
                    tls_context=self._mqtt.context(),
                    timeout=5,
                )
                client.pending_calls_threshold = _MOST_IN_FLIGHT
                self._client = await self._open.enter_async_context(client)
            publish = self._client.publish
            await asyncio.gather(*(publish(_TOPIC.format(t.actuator), t.encode(), qos=1) for t in tasks))
        except aiomqtt.MqttError as error:
            await self.close()
            return [f"the MQTT server did not take it: {error}"] * len(tasks)
        return [None] * len(tasks)

    async def close(self) -> None:
        self._client = None
        with contextlib.suppress(aiomqtt.MqttError):
            await self._open.aclose()
        self._open = contextlib.AsyncExitStack()
