"""The MQTT door: what it acknowledged is stored once, whatever is killed; what is wrong is kept with the reason."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable

import aiomqtt

from tests.city.conftest import CityProcess
from tests.city.test_spine import register, stored, wait_for


def publish(city: CityProcess, topic: str, bodies: list[str]) -> int:
    """Publish with QoS 1, one after the other; how many were acknowledged."""

    async def run() -> int:
        done = 0
        async with aiomqtt.Client(*city.mqtt, identifier="meter", timeout=60) as client:
            client.pending_calls_threshold = len(bodies) + 1
            for body in bodies:
                await client.publish(topic, body, qos=1)
                done += 1
        return done

    return asyncio.run(run())


def meter(city: CityProcess, key: str) -> dict[str, int]:
    """A thing of the test's own, since tests share a city: the ids of its thermometer and of its dimmer."""
    line = {
        "key": key, "kind": "lamp_post", "streams": [{"property": "air_temperature", "unit": "degC"}],
        "actuators": [{"key": f"{key}/dimmer", "facts": {"minimum": 0, "maximum": 100}}],
    }  # fmt: skip
    told = city.client.post("/api/register", content=json.dumps(line).encode())
    return {"stream": told["streams"][f"{key}/air_temperature"], "actuator": told["actuators"][f"{key}/dimmer"]}


def dead_letters(city: CityProcess) -> int:
    return int(city.client.get("/api/status")["dead_letters"])


def count(city: CityProcess, stream: int) -> int:
    return int(city.client.get(f"/v1.1/Datastreams({stream})/Observations?$count=true&$top=1")["@iot.count"])


def test_readings_come_in_by_mqtt_in_the_unit_of_their_owner(city: CityProcess) -> None:
    stream = meter(city, "unit")["stream"]
    body = json.dumps({"result": 21.5, "phenomenonTime": "2026-06-01T12:00:00Z"})
    assert publish(city, f"v1.1/Datastreams({stream})/Observations", [body]) == 1
    assert count(city, stream) == 1  # what was acknowledged can be read at once
    (found,) = city.client.get(f"/v1.1/Datastreams({stream})/Observations")["value"]
    assert (found["result"], found["phenomenonTime"]) == (21.5, "2026-06-01T12:00:00Z")


def test_a_reading_that_a_device_repeats_with_its_key_is_one_reading(city: CityProcess) -> None:
    stream = meter(city, "repeats")["stream"]
    body = json.dumps({"result": 21.5, "idempotencyKey": "meter-7/42"})
    publish(city, f"v1.1/Datastreams({stream})/Observations", [body, body, '{"result": 1}', body])
    wait_for(lambda: city.client.get(f"/v1.1/Datastreams({stream})/Observations?$filter=result eq 1")["value"])
    time.sleep(1)
    assert count(city, stream) == 2


def test_what_is_wrong_becomes_a_dead_letter_and_the_rest_goes_on(city: CityProcess) -> None:
    stream = meter(city, "wrong")["stream"]
    topic = f"v1.1/Datastreams({stream})/Observations"
    inline = '{"result": 1, "FeatureOfInterest": {"name": "new"}}'
    before = dead_letters(city)
    deep = '{"result": ' + "[" * 5_000 + "]" * 5_000 + "}"
    publish(city, topic, ["no json", '{"result": "hot"}', inline, deep, '{"result": 1}'])
    publish(city, "v1.1/Datastreams(999)/Observations", ['{"result": 1}'])
    wait_for(lambda: dead_letters(city) == before + 5)
    assert count(city, stream) == 1


def test_another_reading_under_a_used_key_becomes_a_dead_letter(city: CityProcess) -> None:
    stream = meter(city, "used")["stream"]
    path, before = f"v1.1/Datastreams({stream})/Observations", dead_letters(city)
    assert city.client.http.post(f"/{path}", json={"result": 1}, headers={"Idempotency-Key": "a"}).status_code == 201
    publish(city, path, ['{"result": 1, "idempotencyKey": "a"}', '{"result": 2, "idempotencyKey": "a"}'])
    wait_for(lambda: dead_letters(city) == before + 1)
    assert count(city, stream) == 1
    city.kill()
    city.start()
    publish(city, path, ['{"result": 1, "idempotencyKey": "a"}', '{"result": 3, "idempotencyKey": "b"}'])
    assert count(city, stream) == 2


def test_a_device_cannot_speak_for_the_city(city: CityProcess) -> None:
    actuator = meter(city, "liar")["actuator"]

    async def run() -> bool:
        heard = asyncio.Event()
        topic = f"v1.1/TaskingCapabilities({actuator})/Tasks"
        async with (
            aiomqtt.Client(*city.mqtt, identifier="lamp", timeout=60) as lamp,
            aiomqtt.Client(*city.mqtt, identifier="liar", timeout=60) as liar,
        ):
            await lamp.subscribe(topic, qos=1)

            async def listen() -> None:
                async for _ in lamp.messages:
                    heard.set()

            listening = asyncio.create_task(listen())
            # The last is where the server itself keeps what it is to deliver.
            for way in (topic, f"$MQTT/msgs/{topic}"):
                for qos in (0, 1):
                    await liar.publish(way, b"{}", qos=qos)
            await asyncio.sleep(1)
            listening.cancel()
        return heard.is_set()

    assert asyncio.run(run()) is False


def test_acknowledged_readings_survive_kill_9_of_the_city_and_of_its_log_once_each(
    new_city: Callable[..., CityProcess],
) -> None:
    city = new_city(idle=True)
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    topic = f"v1.1/Datastreams({stream})/Observations"
    bodies = [json.dumps({"result": i, "phenomenonTime": "2026-06-01T12:00:00Z"}) for i in range(300)]
    publish(city, topic, bodies[:100])
    city.kill()
    city.start()
    publish(city, topic, bodies[100:200])
    os.kill(int((city.folder / "log" / "nats.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: city.client.get("/api/status")["log"]["restarts"] == 1)
    publish(city, topic, bodies[200:])
    wait_for(lambda: count(city, stream) >= 300)
    city.stop()
    assert stored(city, "SELECT count(*) FROM lake.observations") == 300
    assert stored(city, "SELECT count(DISTINCT value) FROM lake.observations") == 300
