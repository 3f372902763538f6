"""The night shift: an alarm is raised once, told until somebody acts, and ends with its cause."""

import time
from collections.abc import Callable
from typing import Any

from tests.city.conftest import CityProcess
from tests.city.test_spine import feed, register, wait_for

HOT = {
    "title": "too warm",
    "severity": "critical",
    "watch": {"property": "air_temperature", "kind": "lamp_post"},
    "when": {"above": 30, "clear": 25, "unit": "degC"},
}


def put(city: CityProcess, path: str, **body: Any) -> Any:
    return city.client.post(f"/api/{path}", who="Ada", **body)


def alarms(city: CityProcess, state: str = "open") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = city.client.get("/api/alarms", state=state)["alarms"]
    return found


def of(city: CityProcess, identity: int) -> dict[str, Any]:
    found: dict[str, Any] = city.client.get(f"/api/alarms/{identity}")
    return found


def story(city: CityProcess, identity: int) -> list[str]:
    return [event["what"] for event in of(city, identity)["history"]]


def test_an_alarm_is_raised_once_survives_a_kill_and_ends_with_its_cause(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    streams = register(city)["streams"]
    put(city, "alarms/rules", id="hot", rule=HOT, why="summer")
    feed(city, streams, 27)  # 27, 28, 29, 30, 31 degC: the last one is too warm
    (alarm,) = wait_for(lambda: alarms(city), 60)
    assert alarm["group"]["name"] == "lamp/4"
    assert alarm["said"] == "air_temperature: above 303.15 K"
    assert alarm["state"] == "open"
    city.kill()
    city.start()
    feed(city, streams, 27)  # still too warm
    time.sleep(1.5)  # two looks
    (again,) = alarms(city)
    assert again["id"] == alarm["id"]
    assert put(city, f"alarms/{alarm['id']}/ack", why="on my way")["state"] == "acknowledged"
    feed(city, streams, 22.5)  # 26.5 degC: between the two levels
    time.sleep(1.5)
    assert [one["state"] for one in alarms(city)] == ["acknowledged"]
    city.kill()
    city.start()
    assert alarms(city)[0]["acknowledged"]["who"].endswith(" for Ada")
    feed(city, streams, 20)
    wait_for(lambda: not alarms(city), 60)
    (over,) = alarms(city, "history")
    assert over["cleared"]["why"] == "its condition is over"
    assert story(city, alarm["id"]) == ["raised", "acknowledged", "left", "cleared"]
    assert of(city, alarm["id"])["history"][1]["why"] == "on my way"
