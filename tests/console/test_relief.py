"""The relief of a town that has a terrain is drawn under its streets."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.city.conftest import CityProcess, new_city
from tests.console.conftest import Open
from tests.web.test_relief import WEST, sloping_town

__all__ = ["new_city"]


def test_a_town_on_a_slope_shows_its_relief(look: Open, new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True)
    sloping_town(city.folder / "twin")
    lamp = {"key": "lamp/1", "kind": "lamp_post", "where": {"type": "Point", "coordinates": [24.94, 60.17]}}
    lamp["streams"] = [{"key": "lamp/1/t", "property": "air_temperature", "unit": "degC"}]
    city.client.post("/api/register", content=json.dumps(lamp).encode())
    (ground,) = city.client.get("/api/map/places", kind="lamp_post")["ground"]
    assert ground == pytest.approx(1000 * (24.94 - WEST), abs=0.2)  # so high is it drawn
    page = look("/console", base=city.url)
    with page.expect_response(re.compile(r"/tiles/terrain/.*\.png")) as told:
        page.goto("/console/map")
    assert told.value.ok
    assert told.value.headers["content-type"] == "image/png"
    expect(page.locator(".map[data-ready]")).to_be_attached()
    page.wait_for_timeout(3000)  # what the map complains of while it draws fails the test
