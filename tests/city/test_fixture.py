"""The cities that tests run in answer, stop in order, and come back after kill -9."""

from collections.abc import Callable
from typing import Any


def test_a_killed_city_comes_back_and_its_practice_is_installed(new_city: Callable[..., Any]) -> None:
    city = new_city()
    assert "dimmer" in {row["id"] for row in city.client.get("/api/practices")}
    city.client.post("/api/register", b'{"key": "a", "kind": "lamp_post"}')
    city.kill()
    city.start()
    assert city.client.get("/api/status")["things"] == {"lamp_post": 1}
