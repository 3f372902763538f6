"""One running city for all tests of the console, looked at in a real Chromium."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from civium.city_folder import token
from civium.twin.model import build_twin, locate_example
from civium.web.console import BUILT
from tests.city.conftest import CityProcess

PATIENCE_MS = 60_000
BEGIN = "2026-06-01T06:00:00Z"
_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
Open = Callable[..., Page]
VIEWS = (
    "",
    "/practices",
    "/practices/dimmer",
    "/things",
    "/things/1",
    "/decisions",
    "/cases",
    "/settings",
    "/start",
    "/map",
)


def _missing(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def tell(town: CityProcess, values: tuple[float, float] = (-5.0, 5.0)) -> None:
    """Let both lamps speak, and the clock go on by a second."""
    now = datetime.fromisoformat(town.client.get("/api/status")["now"])
    time = now.isoformat()
    body = [
        {"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"], "dataArray": [[time, value]]}
        for stream, value in zip((1, 2), values, strict=True)
    ]
    town.client.post("/v1.1/CreateObservations", content=json.dumps(body).encode())
    town.client.post("/clock", time=(now + timedelta(seconds=1)).isoformat())


def tell_until_asked(town: CityProcess) -> None:
    """Go on until commands wait for a person: on a machine that does much else a turn may be given up."""
    deadline = monotonic() + 3 * PATIENCE_MS / 1000
    tell(town)
    while town.client.get("/api/desk")["waiting"]["count"] < 2:
        assert monotonic() < deadline, town.client.get("/api/incidents")
        tell(town)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    """Two lamps and the practice ``dimmer``, which has to ask before it acts; the tests tell the time."""
    if not (BUILT / "index.html").is_file():
        _missing("the console is not built: make setup, with npm's registry within reach")
    folder = tmp_path_factory.mktemp("console") / "city"
    build_twin(locate_example("helsinki"), folder / "twin")
    city = CityProcess(folder, False, {"CIVIUM_CLOCK_SOURCE": "door", "CIVIUM_NAME": "Testville"}).start()
    lines = [
        {
            "key": f"lamp/{i}", "kind": "lamp_post", "name": name,
            "where": {"type": "Point", "coordinates": [24.94 + i / 1000, 60.17]},
            "streams": [{"key": f"lamp/{i}/t", "property": "air_temperature", "unit": "degC"}],
            "actuators": [{"key": f"lamp/{i}/dimmer", "name": "dimmer", "facts": {"minimum": 0, "maximum": 100}}],
        }
        for i, name in enumerate(("Lamp of the square", "Lamp of the <b>park</b>"))
    ]  # fmt: skip
    city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
    city.client.post("/clock", time=BEGIN)
    city.client.post("/api/practices/dimmer/mandate", mandate="approve", who="a test", why="to be asked")
    tell_until_asked(city)
    yield city
    city.stop()


@pytest.fixture(scope="module")  # while it runs no other loop can: tests of other files use asyncio.run
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        _missing("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS), timeout=120_000)
        yield started
        started.close()


@pytest.fixture
def look(browser: Browser, town: CityProcess) -> Iterator[Open]:
    """``look("/console", dark=True)``: a page of its own in a fresh browser profile; what it complains of fails."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(
        path: str,
        *,
        wide: int = 1280,
        dark: bool = False,
        language: str = "en-GB",
        script: bool = True,
        staff: bool = False,
        base: str = "",
    ) -> Page:
        own = base or town.url
        context = browser.new_context(
            viewport={"width": wide, "height": 844}, color_scheme="dark" if dark else "light", locale=language,
            java_script_enabled=script, reduced_motion="reduce", base_url=own,
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if staff:
            answer = context.request.post("/api/login", data={"token": token(town.folder)})
            assert answer.ok
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda told: complaints.append(told.text) if _broken(told) else None)
        page.on("request", lambda asked: complaints.append(asked.url) if _foreign(asked.url, own) else None)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def _broken(told: ConsoleMessage) -> bool:
    """Whether the console complained; that a request was refused the page tells by itself."""
    return told.type == "error" and not told.text.startswith("Failed to load resource")


def _foreign(address: str, own: str) -> bool:
    return not address.startswith((own, "data:", "blob:"))


@pytest.fixture(scope="session")
def axe(repository: Path) -> str:
    """The script of axe-core, which looks for what a person with a screen reader or weak eyes would stumble over."""
    path = repository / "console" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        _missing("axe-core is not installed: npm install in console/")
    return path.read_text(encoding="utf-8")


def barriers(page: Page, axe: str) -> list[str]:
    """What axe-core finds serious or critical: rule and element."""
    page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags)
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
