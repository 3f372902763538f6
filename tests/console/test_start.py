"""The first-run guide, walked as a newcomer walks it: what it says to run is run, and each step ticks itself off."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

from civium.city_folder import token
from civium.twin.model import locate_example
from tests.city.conftest import CityProcess, new_city
from tests.console.conftest import PATIENCE_MS, Open, barriers

__all__ = ["new_city"]
expect.set_options(timeout=PATIENCE_MS)
COMMANDS = Path(sys.executable).parent


def test_a_newcomer_makes_an_empty_city_a_live_one(look: Open, new_city: Callable[..., CityProcess], axe: str) -> None:
    city = new_city(idle=True)
    page = look("/console", base=city.url)
    page.get_by_role("link", name="Show me the steps").click()
    expect(_next(page)).to_contain_text("Show who you are")
    assert barriers(page, axe) == []

    _next(page).get_by_role("link", name="Go there").click()
    page.get_by_label("Token").fill(token(city.folder))
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_text("(administrator)")).to_be_visible()
    page.go_back()

    expect(_next(page)).to_contain_text("Give it your town")
    words = shlex.split(_next(page).locator("pre").inner_text())
    assert words[0] == "civium"
    chosen = [str(locate_example("helsinki")) if word == "MY-TOWN.osm.pbf" else word for word in words[1:]]
    chosen[chosen.index("--city") + 1] = str(city.folder)  # "city" in the guide
    subprocess.run([COMMANDS / "civium", *chosen], check=True, timeout=300)

    expect(_next(page)).to_contain_text("Register things")
    _next(page).get_by_role("link", name="Go there").click()
    for name, value in {"Key": "lamp/1", "Kind": "lamp_post", "Latitude": "60.17", "Longitude": "24.94"}.items():
        page.get_by_label(name, exact=True).last.fill(value)
    page.get_by_label("Measured property").fill("air_temperature")
    page.get_by_label("Unit", exact=True).fill("degC")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("1 added")).to_be_visible()
    page.goto("/console/start")

    expect(_next(page)).to_contain_text("Let them speak")
    curl = _next(page).locator("pre").inner_text()
    address, body = re.findall(r"'([^']+)'", curl)
    assert address.startswith(city.url)
    assert '"Authorization: Bearer $(cat city/token)"' in curl
    told = httpx.post(address, content=body, headers={"Authorization": f"Bearer {token(city.folder)}"}, timeout=60)
    assert told.status_code == 201
    expect(_next(page)).to_contain_text("Watch a practice decide")
    page.goto("/console/map")
    expect(page.get_by_role("region", name="On the map")).to_contain_text("1 / 1")


def _next(page: Page) -> Locator:
    return page.locator(".journey .next")
