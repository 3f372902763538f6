"""An MQTT broker as a source: what it acknowledged to its devices is stored once, whatever is restarted or killed."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.city.conftest import CityProcess
from tests.city.foreign import Mosquitto, city_with, readings, source
from tests.city.test_letters import letters
from tests.city.test_spine import wait_for

PLANT = """
[sources.plant]
kind = "mqtt"
url = "{url}"
version = "{version}"
topics = ["plant/+/flow", "plant/+/state"]
user = "civium"
password = "env:BROKER_PASSWORD"
time = "payload.at"
create = true
thing = {{ kind = "pump" }}
fields = [{{ stream = "pump/{{topic[1]}}/{{topic[2]}}", value = "payload.value", unit = "l/s" }}]
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path / "broker", user="civium", password="of-the-broker").start()
    yield started
    started.stop()


def values(numbers: range) -> list[str]:
    return [json.dumps({"value": n, "at": f"2026-06-01T12:{n // 60:02d}:{n % 60:02d}Z"}) for n in numbers]


def publish(broker: Mosquitto, bodies: list[str], topic: str = "plant/p1/flow") -> None:
    broker.publish(topic, bodies, username="civium", password="of-the-broker")


def results(city: CityProcess) -> list[float]:
    return [result for _, result in readings(city, "pump/p1/flow")]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_nothing_of_a_broker_is_lost_or_doubled_when_either_is_killed_or_restarted(
    tmp_path: Path, broker: Mosquitto, version: str
) -> None:
    text = PLANT.format(url=broker.url, version=version)
    city = city_with(tmp_path / "city", text, BROKER_PASSWORD="of-the-broker").start()
    try:
        broker.wait_for_subscriber()
        publish(broker, values(range(100)))
        wait_for(lambda: len(results(city)) > 0)
        city.kill()  # in the middle of it, perhaps
        publish(broker, values(range(100, 200)))
        broker.stop()  # it keeps what the city has not acknowledged
        broker.start()
        city.start()
        wait_for(lambda: len(results(city)) >= 200)
        broker.stop()
        wait_for(lambda: "broker" in source(city, "plant")["trouble"])
        assert city.client.http.get("/health").status_code == 200
        broker.start()
        wait_for(lambda: source(city, "plant")["trouble"] == "", 60)
        publish(broker, values(range(200, 250)))
        wait_for(lambda: len(results(city)) >= 250)
        time.sleep(1)
        assert results(city) == [float(n) for n in range(250)]
        assert letters(city) == []
    finally:
        city.stop()


def test_what_cannot_be_read_is_kept_and_the_rest_goes_on(tmp_path: Path, broker: Mosquitto) -> None:
    text = PLANT.format(url=broker.url, version="3.1.1")
    city = city_with(tmp_path / "city", text, BROKER_PASSWORD="of-the-broker").start()
    try:
        broker.wait_for_subscriber()
        publish(broker, ["no json", "[" * 50_000, '{"value": "wet", "at": "2026-06-01T12:00:00Z"}', '{"value": 1}'])
        publish(broker, [b"\xff\xfe"], "plant/p2/flow")  # type: ignore[list-item]  # bytes, as a device may send
        publish(broker, values(range(1)))
        wait_for(lambda: source(city, "plant")["accepted"] == 1)
        wait_for(lambda: len(letters(city)) == 5)
        whys = " ".join(letter["why"] for letter in letters(city))
        assert "no JSON" in whys
        assert "takes numbers" in whys
        assert "no time" in whys
        assert all(letter["topic"].startswith("sources/plant") for letter in letters(city))
    finally:
        city.stop()


def test_a_broker_that_does_not_let_us_in_is_told(tmp_path: Path, broker: Mosquitto) -> None:
    text = PLANT.format(url=broker.url, version="3.1.1")
    city = city_with(tmp_path / "city", text, BROKER_PASSWORD="wrong-password").start()
    try:
        wait_for(lambda: "does not let us in" in source(city, "plant")["trouble"])
        told = json.dumps(city.client.get("/api/status")) + (city.folder / "said.txt").read_text()
        assert "wrong-password" not in told
    finally:
        city.stop()


def test_while_the_log_is_away_nothing_is_acknowledged_and_all_comes_when_it_is_back(
    tmp_path: Path, broker: Mosquitto
) -> None:
    text = PLANT.format(url=broker.url, version="3.1.1")
    city = city_with(tmp_path / "city", text, BROKER_PASSWORD="of-the-broker").start()
    try:
        broker.wait_for_subscriber()
        publish(broker, values(range(1)))
        wait_for(lambda: len(results(city)) == 1)
        server = int((city.folder / "log" / "nats.pid").read_text())
        os.kill(server, signal.SIGSTOP)
        publish(broker, values(range(1, 60)))
        time.sleep(4)
        os.kill(server, signal.SIGCONT)
        wait_for(lambda: len(results(city)) == 60)
        assert results(city) == [float(n) for n in range(60)]
    finally:
        city.stop()
