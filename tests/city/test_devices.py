"""Devices with a server of their own, lazily synced: nothing is lost but by a power cut, and nothing comes twice."""

import json
import os
import shutil
import signal
from collections.abc import Callable

from tests.city.conftest import CityProcess
from tests.city.test_mqtt import count, publish
from tests.city.test_spine import register, stored, wait_for

LAZY = {"CIVIUM_DOORS_MQTT_SYNC": "200ms"}


def bodies(first: int, last: int) -> list[str]:
    return [json.dumps({"result": n, "phenomenonTime": "2026-06-01T12:00:00Z"}) for n in range(first, last)]


def test_kill_9_of_their_server_and_of_the_city_loses_nothing(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True, **LAZY)
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    topic = f"v1.1/Datastreams({stream})/Observations"
    publish(city, topic, bodies(0, 100))
    assert count(city, stream) == 100  # what was acknowledged can be read at once
    os.kill(int((city.folder / "log" / "devices" / "nats.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: city.client.get("/api/status")["log"]["restarts"] == 1)
    publish(city, topic, bodies(100, 200))
    city.kill()
    city.start()
    publish(city, topic, bodies(200, 300))
    wait_for(lambda: count(city, stream) >= 300, 40)
    city.stop()
    assert stored(city, "SELECT count(*) FROM lake.observations") == 300
    assert stored(city, "SELECT count(DISTINCT value) FROM lake.observations") == 300


def test_readings_that_come_after_a_power_cut_are_not_taken_for_those_it_took(
    new_city: Callable[..., CityProcess],
) -> None:
    city = new_city(idle=True, **LAZY)
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    topic, devices = f"v1.1/Datastreams({stream})/Observations", city.folder / "log" / "devices"
    publish(city, topic, bodies(0, 50))
    assert count(city, stream) == 50
    city.stop()
    shutil.copytree(devices, devices.with_name("before"))
    city.start()
    publish(city, topic, bodies(50, 150))
    assert count(city, stream) == 150
    city.kill()
    for _ in range(2):  # their disk goes back to what had been synced, twice
        shutil.rmtree(devices)
        shutil.copytree(devices.with_name("before"), devices)
        city.start()
        seen = count(city, stream)
        publish(city, topic, bodies(seen, seen + 30))
        assert count(city, stream) == seen + 30
        city.kill()
    city.start()
    assert count(city, stream) == 210
    city.stop()
    assert stored(city, "SELECT count(DISTINCT value) FROM lake.observations") == 210


def test_what_their_server_still_holds_is_taken_when_it_is_wanted_no_more(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True, **LAZY)
    stream = register(city, 1)["streams"]["lamp/0/air_temperature"]
    topic = f"v1.1/Datastreams({stream})/Observations"
    publish(city, topic, bodies(0, 40))
    city.kill()
    city.environment["CIVIUM_DOORS_MQTT_SYNC"] = "always"
    city.start()
    publish(city, topic, bodies(40, 60))
    assert count(city, stream) == 60
