"""Dead letters: tried again after a fix they become readings, once; a message that poisons the writer stops nothing."""

import asyncio
import json
import re
import time
from collections.abc import Callable

import nats
import pyarrow as pa
import pytest

from civium.core.observations import complete, encode
from tests.city.conftest import CityProcess
from tests.city.test_mqtt import count, publish
from tests.city.test_spine import register, wait_for

TOPIC = "v1.1/Datastreams({})/Observations"


def letters(city: CityProcess) -> list[dict[str, str]]:
    found: list[dict[str, str]] = city.client.get("/api/dead-letters", limit=1000)
    return found


def log_url(city: CityProcess) -> str:
    """Where the city's own log listens, with its login."""
    told = (city.folder / "log" / "nats.conf").read_text()
    port, password = re.findall(r'listen: "127.0.0.1:(\d+)"', told)[0], re.findall(r'password: "(\w{32})"', told)[0]
    return f"nats://civium:{password}@127.0.0.1:{port}"


def poison(city: CityProcess, bodies: list[bytes]) -> None:
    """Put messages into the log behind every door's back, as a broken release of a door would."""

    async def run() -> None:
        client = await nats.connect(log_url(city))
        for body in bodies:
            await client.jetstream().publish("civium.obs0.0", body)
        await client.close()

    asyncio.run(run())


def test_letters_are_tried_again_after_a_fix_and_become_readings_once(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True)
    first = register(city, 1)["streams"]["lamp/0/air_temperature"]
    unknown = first + 2  # what register makes next
    before = time.time()
    bodies = [json.dumps({"result": i, "idempotencyKey": f"key/{i}"} if i % 2 else {"result": i}) for i in range(6)]
    publish(city, TOPIC.format(unknown), bodies)
    publish(city, TOPIC.format(first), ["{"])
    wait_for(lambda: city.client.get("/api/status")["dead_letters"] == 7)
    told = city.run("letters")
    assert told.returncode == 0
    assert "DEAD/1" in told.stdout

    tried = city.run("letters", "--retry", "--topic", f"({unknown})")
    assert tried.returncode == 1
    assert "0 letters were taken in; 6 stay" in tried.stdout
    register(city, 2)  # the fix: its streams are registered
    assert city.run("letters", "--retry", "--drop").returncode == 1
    tried = city.run("letters", "--retry")
    assert tried.returncode == 1
    assert "6 letters were taken in; 1 stay" in tried.stdout
    assert count(city, unknown) == 6
    (stays,) = letters(city)
    assert stays["body"] == "{"
    reading = city.client.get(f"/v1.1/Datastreams({unknown})/Observations?$orderby=id&$top=1")["value"][0]
    instant = reading["phenomenonTime"]
    assert abs(time.mktime(time.strptime(instant[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - before) < 30

    city.kill()
    city.start()
    tried = city.client.post("/api/dead-letters/retry")
    assert (tried["taken"], tried["stay"]) == (0, 1)
    assert count(city, unknown) == 6
    assert "1 letters were dropped" in city.run("letters", "--drop").stdout
    assert letters(city) == []
    assert "there are none" in city.run("letters").stdout


def test_a_letter_that_became_a_reading_before_a_crash_is_not_sent_again(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True)
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    publish(city, TOPIC.format(9999), ['{"result": 1}'])
    wait_for(lambda: letters(city))
    instant = pa.array([1_700_000_000_000_000]).cast(pa.timestamp("us", tz="UTC"))
    rows = encode(complete(pa.table({"stream": [stream], "time": instant, "made": instant, "value": [1.0]})))

    async def half() -> None:
        """What a retry does first; then comes the crash."""
        client = await nats.connect(log_url(city))
        await client.jetstream().publish("civium.obs0.letter.DEAD.1", rows)
        await client.close()

    asyncio.run(half())
    city.kill()
    city.start()
    assert letters(city) == []
    assert city.client.post("/api/dead-letters/retry")["taken"] == 0
    assert count(city, stream) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_poison_is_kept_and_the_writer_goes_on(new_city: Callable[..., CityProcess], alone: bool) -> None:
    city = new_city(idle=True, CIVIUM_STORE_COMMIT_EVERY_S="0.1" if alone else "5")
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    instant = pa.array([1_700_000_000_000_000]).cast(pa.timestamp("us", tz="UTC"))
    fine = {"stream": [stream], "time": instant, "made": instant, "value": [1.0]}
    far = pa.array([2**62]).cast(pa.timestamp("us", tz="UTC"))
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())  # the lake refuses such text
    bad = [
        b"no Arrow at all",
        encode(complete(pa.table({**fine, "time": far, "made": far}))),
        encode(complete(pa.table({"stream": [stream], "time": instant, "made": instant, "text": broken}))),
        encode(complete(pa.table({**fine, "stream": [0]}))),
    ]
    good = encode(complete(pa.table(fine)))
    poison(city, [good, bad[0], good, bad[1], bad[2], good, bad[3]])
    publish(city, TOPIC.format(stream), ['{"result": 3}'])
    wait_for(lambda: count(city, stream) == 4)
    wait_for(lambda: len(letters(city)) == 4)
    found = letters(city)
    assert {letter["topic"] for letter in found} == {"OBS0/7", "OBS0/5", "OBS0/4", "OBS0/2"}
    assert {letter["door"] for letter in found} == {"writer"}
    assert city.client.get("/api/status")["troubles"] == {}
    city.kill()
    city.start()
    assert count(city, stream) == 4
    assert letters(city) == found
    tried = city.client.post("/api/dead-letters/retry", topic="OBS0/2")
    assert (tried["taken"], tried["stay"]) == (0, 1)
    assert "OBS0/2" in tried["why"][0]
    assert len(letters(city)) == len(found)
    # What was broken was the lake, say: then the letter is taken, and comes back when it was the letter after all.
    assert city.client.post("/api/dead-letters/retry", topic="OBS0/5")["taken"] == 1
    wait_for(lambda: any(letter["topic"] == "OBS0/9" for letter in letters(city)))
    assert count(city, stream) == 4
