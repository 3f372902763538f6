"""Readings wait while the platform is away, arrive once under one key, and tasks reach the devices."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiomqtt
import numpy as np
import pyarrow as pa
import pytest

from civium.core import InputRefused, to_datetime
from civium.engines.nats_server import NatsServer
from civium.sandbox import gateway
from civium.sandbox.gateway import HttpGateway
from civium.sandbox.mqtt import MqttGateway, Task

from .conftest import Platform, hours

NOW = hours(8)
SECOND = 1_000_000
IDS, VALUES = np.array([3, 4]), np.array([1.5, 2.5])


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def with_platform(scene: Callable[[Platform, HttpGateway], Awaitable[None]]) -> None:
    async def run() -> None:
        platform = Platform()
        http = HttpGateway(await platform.start())
        try:
            await scene(platform, http)
        finally:
            await http.close()
            await platform.stop()

    asyncio.run(run())


def test_a_data_array_says_stream_time_and_value() -> None:
    async def scene(platform: Platform, http: HttpGateway) -> None:
        assert await http.tick(NOW)
        http.put_array(IDS, VALUES, NOW)
        await http.flush()
        path, key, body = platform.requests[0]
        assert path.startswith("/v1.1/CreateObservations")
        assert key
        groups = json.loads(body)
        assert [g["Datastream"]["@iot.id"] for g in groups] == [3, 4]
        assert [dict(zip(g["components"], g["dataArray"][0], strict=True))["result"] for g in groups] == [1.5, 2.5]
        assert groups[0]["dataArray"][0][0] == "2026-06-10T08:00:00Z"
        assert http.sent == 2

    with_platform(scene)


def test_arrow_carries_the_decision_that_caused_a_reading() -> None:
    async def scene(platform: Platform, http: HttpGateway) -> None:
        await http.tick(NOW)
        http.put_arrow(IDS, VALUES, NOW, ["signal_control..1", None])
        await http.flush()
        table = pa.ipc.open_stream(platform.requests[0][2]).read_all()
        assert table.column("parent").to_pylist() == ["signal_control..1", None]
        assert table.column("time").to_pylist() == [to_datetime(NOW)] * 2
        assert table.column("stream").to_pylist() == [3, 4]

    with_platform(scene)


@pytest.mark.parametrize("trouble", ["down", "busy"])
def test_what_was_read_while_the_platform_is_away_arrives_later_once_and_in_order(trouble: str) -> None:
    async def scene(platform: Platform, http: HttpGateway) -> None:
        assert await http.tick(NOW)
        setattr(platform, trouble, True)
        for k in range(1, 21):
            http.put_array(IDS, VALUES + k, NOW + k * SECOND)
            await http.flush()
            assert not await http.tick(NOW + k * SECOND)
        assert platform.requests == []
        assert http.buffered == 20
        setattr(platform, trouble, False)
        assert await http.tick(NOW + 21 * SECOND)
        await http.flush()
        keys = [key for _, key, _ in platform.requests]
        results = sorted(json.loads(body)[0]["dataArray"][0][2] for _, _, body in platform.requests)
        assert len(set(keys)) == len(keys) == 20
        assert results == [1.5 + k for k in range(1, 21)]
        assert http.buffered == 0
        assert http.sent == 40

    with_platform(scene)


def test_a_request_whose_answer_is_lost_is_sent_again_under_the_same_key() -> None:
    async def scene(platform: Platform, http: HttpGateway) -> None:
        await http.tick(NOW)
        answer = platform._answer

        def deaf(path: str, key: str, body: bytes) -> tuple[int, object]:
            answer(path, key, body)
            return 503, {}

        platform._answer = deaf
        http.put_array(IDS, VALUES, NOW)
        await http.flush()
        platform._answer = answer
        await http.flush()
        assert len(platform.requests) == 2
        assert platform.requests[0] == platform.requests[1]

    with_platform(scene)


def test_the_buffer_is_bounded_and_loses_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MOST_BUFFERED", 5)

    async def scene(platform: Platform, http: HttpGateway) -> None:
        for k in range(8):
            http.put_array(IDS, VALUES + k, NOW + k * SECOND)
        assert http.buffered == 5
        assert http.lost == 6
        await http.tick(NOW + 9 * SECOND)
        await http.flush()
        assert min(json.loads(body)[0]["dataArray"][0][2] for _, _, body in platform.requests) == 4.5

    with_platform(scene)


def test_a_platform_whose_clock_is_ahead_refuses_the_sandbox_in_words() -> None:
    async def scene(platform: Platform, http: HttpGateway) -> None:
        platform.times.append(to_datetime(NOW + 60 * SECOND))
        with pytest.raises(InputRefused, match="the clock stands at"):
            await http.tick(NOW)

    with_platform(scene)


def with_broker(folder: Path, scene: Callable[[NatsServer, MqttGateway], Awaitable[None]]) -> None:
    async def run() -> None:
        broker = NatsServer(folder, ("127.0.0.1", 0), ("127.0.0.1", 0))
        await broker.start()
        mqtt = MqttGateway(*broker.mqtt)
        mqtt.start()
        try:
            await until(lambda: mqtt.connected)
            await scene(broker, mqtt)
        finally:
            await mqtt.stop()
            await broker.stop()

    asyncio.run(run())


async def send_task(broker: NatsServer, payload: bytes, topic: str = "TaskingCapabilities(7)/Tasks") -> None:
    """As a city does: what it says on ``civium-out`` is heard on ``v1.1``."""
    user, password = broker.login
    async with aiomqtt.Client(*broker.mqtt, username=user, password=password) as city:
        await city.publish(f"civium-out/{topic}", payload, qos=1)


def test_a_task_reaches_the_devices_and_nonsense_does_not(tmp_path: Path) -> None:
    task = {"id": "d/0", "value": 2, "until": "2026-06-10T08:00:15+00:00", "decision": "d"}

    async def scene(broker: NatsServer, mqtt: MqttGateway) -> None:
        await send_task(broker, b"green please")
        await send_task(broker, json.dumps(task | {"until": "soon"}).encode())
        await send_task(broker, json.dumps(task).encode(), "Something/Tasks")
        await send_task(broker, json.dumps(task).encode())
        await until(lambda: mqtt.unreadable == 3 and mqtt._incoming)
        assert mqtt.take() == [Task(7, "d/0", 2, NOW + 15 * SECOND, "d")]
        assert mqtt.take() == []

    with_broker(tmp_path, scene)


def test_readings_of_lamps_survive_a_broker_that_dies(tmp_path: Path) -> None:
    received: list[dict[str, object]] = []

    async def listen(broker: NatsServer) -> None:
        user, password = broker.login
        while True:
            try:
                async with aiomqtt.Client(
                    *broker.mqtt, username=user, password=password, identifier="listener", clean_session=False
                ) as city:
                    await city.subscribe("civium-in/+/Observations", qos=1)
                    async for message in city.messages:
                        reading = json.loads(bytes(message.payload))
                        received.append(reading | {"topic": str(message.topic)})
            except aiomqtt.MqttError:
                await asyncio.sleep(0.2)

    async def scene(broker: NatsServer, mqtt: MqttGateway) -> None:
        listener = asyncio.create_task(listen(broker))
        await asyncio.sleep(0.5)
        mqtt.put(5, 0.0, NOW)
        await until(lambda: received)
        for k in range(1, 300):
            mqtt.put(5, float(k), NOW + k * SECOND)
            if k == 100 and broker._process:
                broker._process.kill()
                await asyncio.sleep(0.3)
        await until(lambda: len({m["idempotencyKey"] for m in received}) == 300, 30)
        listener.cancel()
        assert {m["result"] for m in received} == {float(k) for k in range(300)}
        assert received[0]["topic"] == "civium-in/Datastreams(5)/Observations"  # where only the city hears it
        assert received[0]["phenomenonTime"] == "2026-06-10T08:00:00+00:00"

    with_broker(tmp_path, scene)
