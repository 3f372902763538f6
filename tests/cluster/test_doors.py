"""Two doors on a real cluster: neither a key that comes to both nor mail that both think is theirs counts twice."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import aiomqtt
import numpy as np
from numpy.typing import NDArray

from civium.core import Clock
from civium.core.observations import decode
from civium.engines.catalog import Catalog
from civium.engines.log import Log
from civium.engines.mailbox import MQTT_IN, MQTT_STREAM
from civium.engines.settings import Doors, Engines, LogStreams, Settings
from civium.sources.intake import Intake
from civium.sources.mqtt import MqttDoor
from civium.sources.sensorthings.create import Creator
from tests.cluster.stand import DEVICE, NatsCluster
from tests.sources.test_lane import desk, reading
from tests.sources.test_two_doors import persistently

_PATIENCE_S = 240.0


@asynccontextmanager
async def two_doors(nats: NatsCluster) -> AsyncIterator[list[tuple[Log, Intake]]]:
    """Two connections to the log of one shard, each with a way in of its own."""
    settings = Settings(
        engines=Engines(log=nats.url),
        doors=Doors(mqtt=f"127.0.0.1:{nats.mqtt[0]}"),
        log=LogStreams(shards=1, replicas=3),
    )
    logs = [await Log.open(settings, nats.folder) for _ in range(2)]
    doors = [(log, desk(log)) for log in logs]  # type: ignore[arg-type]  # it takes whatever is a log
    for _, intake in doors:
        intake.start()
        await intake.remembers()
    try:
        yield doors
    finally:
        for log, intake in doors:
            await intake.stop()
            await log.close()


async def values(log: Log, after: int) -> Counter[float]:
    """How often each value is in the log behind a sequence."""
    found: Counter[float] = Counter()
    async for message in log.read("OBS0", after):
        found.update(decode(message.data).column("value").to_pylist())
    return found


def test_a_key_that_comes_to_both_doors_at_once_is_stored_once(nats: NatsCluster) -> None:
    async def work() -> None:
        async with two_doors(nats) as doors:
            before = await doors[0][0].refresh("OBS0")
            for n in range(30):
                ids = await asyncio.gather(
                    *(
                        persistently(lambda door=door, n=n, key=key: door.post(reading(n, f"race {key}")))
                        for key in (2 * n, 2 * n + 1)
                        for _, door in doors
                    )
                )
                assert ids[0] == ids[1]
                assert ids[2] == ids[3]
            assert await values(doors[0][0], before) == Counter({float(n): 2 for n in range(30)})

    asyncio.run(asyncio.wait_for(work(), _PATIENCE_S))


def test_mail_that_two_doors_believe_to_be_theirs_is_taken_once(nats: NatsCluster) -> None:
    async def work() -> None:
        async with two_doors(nats) as doors:
            before = await doors[0][0].refresh("OBS0")
            clock = cast(Clock, doors[0][1]._clock)
            catalog = cast(Catalog, doors[0][1]._catalog)
            nobody = cast(Creator, None)  # no entity is made here

            def none_foreign(streams: NDArray[np.int64], features: NDArray[np.int64]) -> NDArray[np.bool_]:
                return np.zeros(len(streams), np.bool_)

            mail = [
                MqttDoor("mqtt", log, log, intake, catalog, clock, 60.0, nobody, none_foreign, by_arrival=False)
                for log, intake in doors
            ]
            for door in mail:
                await door.start()
            async with aiomqtt.Client("127.0.0.1", nats.mqtt[0], timeout=60) as stranger:  # acknowledged and dropped
                await stranger.publish("v1.1/Datastreams(1)/Observations", json.dumps({"result": -1}), 1, timeout=30)
            async with aiomqtt.Client("127.0.0.1", nats.mqtt[0], timeout=60, **DEVICE) as device:
                for n in range(0, 300, 10):
                    bodies = [json.dumps({"result": value}) for value in range(n, n + 10)]
                    topic = "v1.1/Datastreams(1)/Observations"
                    await asyncio.gather(*(device.publish(topic, body, 1, timeout=30) for body in bodies))
            while await doors[0][0].last_of(MQTT_STREAM, MQTT_IN) is not None:  # what is taken is let go
                await asyncio.sleep(0.1)
            assert await values(doors[0][0], before) == Counter(map(float, range(300)))
            for door in mail:
                await door.stop()

    asyncio.run(asyncio.wait_for(work(), _PATIENCE_S))
