"""The devices' way to the platform over MQTT: lamp posts publish with QoS 1, signal heads receive their tasks."""

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import aiomqtt
import msgspec

from civium.core import from_datetime, to_datetime

MOST_BUFFERED = 20_000  # messages
AT_ONCE = 10
RECONNECT_S = 1.0
_TASKS = "v1.1/+/Tasks"
_ACTUATOR = re.compile(r"v1\.1/TaskingCapabilities\((\d+)\)/Tasks")


@dataclass(frozen=True, slots=True)
class Task:
    """A wish as it arrived: for an actuator, valid until an instant [us]."""

    actuator: int
    id: str
    value: float | str
    until: int
    decision: str


class _Payload(msgspec.Struct):
    id: str
    value: float | str
    until: datetime
    decision: str = ""


class MqttGateway:
    """One connection for all devices of the town; connects again by itself, keeps its session meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._outgoing: deque[tuple[str, bytes]] = deque(maxlen=MOST_BUFFERED)
        self._incoming: deque[Task] = deque(maxlen=MOST_BUFFERED)
        self._some = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.connected = False
        self.sent = 0
        self.unreadable = 0

    @property
    def buffered(self) -> int:
        """Messages that wait."""
        return len(self._outgoing)

    def put(self, stream: int, value: float, instant: int) -> None:
        """A reading of a stream at an instant [us], in the unit that the stream registered."""
        time = to_datetime(instant).isoformat()
        payload = {"phenomenonTime": time, "result": value, "resultTime": time, "idempotencyKey": str(uuid4())}
        self._outgoing.append((f"v1.1/Datastreams({stream})/Observations", msgspec.json.encode(payload)))
        self._some.set()

    def take(self) -> list[Task]:
        """The tasks that have arrived since."""
        tasks = list(self._incoming)
        self._incoming.clear()
        return tasks

    def start(self) -> None:
        """Connects in the background."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Disconnects; what still waits is given a moment to leave."""
        if self._running is None:
            return
        for _ in range(20):
            if not self._outgoing or not self.connected:
                break
            await asyncio.sleep(0.05)
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    async def _run(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    self._host, self._port, identifier="civium-sandbox", clean_session=False, timeout=5,
                    max_inflight_messages=AT_ONCE,
                ) as client:  # fmt: skip
                    await client.subscribe(_TASKS, qos=1)
                    self.connected = True
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._publish(client))
                        group.create_task(self._receive(client))
            except* aiomqtt.MqttError:
                self.connected = False
            await asyncio.sleep(RECONNECT_S)

    async def _publish(self, client: aiomqtt.Client) -> None:
        while True:
            await self._some.wait()
            batch = [self._outgoing.popleft() for _ in range(min(AT_ONCE, len(self._outgoing)))]
            if not batch:
                self._some.clear()
                continue
            try:
                await asyncio.gather(*(client.publish(topic, payload, qos=1) for topic, payload in batch))
            except BaseException:
                self._outgoing.extendleft(reversed(batch))  # those that had arrived are known by their keys
                raise
            self.sent += len(batch)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            match = _ACTUATOR.fullmatch(str(message.topic))
            try:
                if match is None or not isinstance(message.payload, bytes):
                    raise ValueError(f"no task for an actuator: {message.topic}")
                read = msgspec.json.decode(message.payload, type=_Payload)
                task = Task(int(match[1]), read.id, read.value, from_datetime(read.until), read.decision)
            except (msgspec.DecodeError, ValueError):
                self.unreadable += 1
            else:
                self._incoming.append(task)
