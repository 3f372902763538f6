"""The console in a real browser: when the desk is there, what it weighs, and the map with very many live points.

Chromium draws in software, as on a machine without a graphics processor. With one, a frame takes as long as the page's
own thread or that processor needs for it, whichever is longer: of all points, the former is measured here.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from registry import Figure, Run, WrongAnswer, benchmark, require
from rows import KIND, as_arrow, hours_before_today, posts, readings
from running import running

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
_PATIENCE_MS = 120_000
_SIZE = {"width": 1280, "height": 800}
_TURNED_S = 10.0
_DRAWN = 10_000  # points, as many as the console draws in software
# When the desk's figures were first in the page, and what had come by then.
_USEFUL = """() => new Promise(told => {
  const look = () => document.querySelector('.figures dd')
    ? requestAnimationFrame(() => told({
        ms: performance.now(),
        bytes: performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
          .filter(one => !one.name.includes('/api/')).reduce((sum, one) => sum + one.encodedBodySize, 0),
      }))
    : requestAnimationFrame(look);
  look();
})"""
_PAINTED = """() => new Promise(told => {
  const look = () => {
    const [paint] = performance.getEntriesByName('first-contentful-paint');
    if (paint) told(paint.startTime); else setTimeout(look, 10);
  };
  look();
})"""
# Frames that the browser drew while the map was turned without a pause.
_FRAMES = """seconds => new Promise(told => {
  const begun = performance.now();
  let frames = 0;
  const next = () => {
    frames += 1;
    const past = (performance.now() - begun) / 1000;
    if (past < seconds) requestAnimationFrame(next); else told(frames / past);
  };
  requestAnimationFrame(next);
})"""

# Makes the console draw as on a machine with a graphics processor: every point.
_AS_WITH_A_GPU = """for (const kind of [WebGLRenderingContext, WebGL2RenderingContext]) {
  const told = kind.prototype.getParameter;
  kind.prototype.getParameter = function (name) {
    return name === 0x9246 ? 'a graphics processor' : told.call(this, name);
  };
}"""
_OWN_THREAD = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")


@benchmark
def console(run: Run) -> Iterable[Figure]:
    """The desk from a browser that has nothing of it yet; the map with a live value of each of very many things."""
    points = run.size(100_000, 2_000)
    folder = run.folder / "city"
    with running(folder, "--idle") as city, _browser() as browser:
        city.register(posts(points))
        run.say(f"{points:,} things are registered")
        city.post("/bulk/observations", as_arrow(readings(points, 1, hours_before_today(1), seed=0)))
        counted = city.get("/v1.1/Observations", **{"$count": "true", "$top": "0"})["@iot.count"]
        require(counted == points, f"{counted} of {points} readings are there")
        url = str(city.http.base_url)

        told = [_desk(browser, f"{url}/console") for _ in range(run.size(5, 2))][1:]  # once for the city's own caches
        bare = min(_painted(browser, f"{url}/register") for _ in range(2))
        yield Figure("desk: its figures are there after", min(one["ms"] for one in told) / 1000, "s", bare / 1000,
                     "first paint of a public page without script", aim=2.0)  # fmt: skip
        weight = told[0]["bytes"] / 1e6
        yield Figure("  what the browser took for it", weight, "MB", _weight(browser, f"{url}/register"),
                     "the public page", aim=1.5)  # fmt: skip

        ground, _ = _turned(browser, f"{url}/console/map?off={KIND}", 0)
        frames, _ = _turned(browser, f"{url}/console/map", points)
        drawn = "one in ten drawn" if points > _DRAWN else "all drawn"
        yield Figure(f"map: frames a second with {points:,} things, {drawn}, turned", frames, "/s", ground,
                     "the same page without them", aim=30.0, higher=True)  # fmt: skip
        _, bare_ms = _turned(browser, f"{url}/console/map?off={KIND}", 0, every=True)
        _, own_ms = _turned(browser, f"{url}/console/map", points, every=True)
        yield Figure("  of a frame with all drawn, script, style and layout", own_ms, "ms", bare_ms,
                     "the same page without them", aim=1000 / 30)  # fmt: skip


@contextmanager
def _browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        raise WrongAnswer("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS), timeout=_PATIENCE_MS)
        yield started
        started.close()


@contextmanager
def _page(browser: Browser, address: str, script: str = "") -> Iterator[Page]:
    """A page of a browser profile of its own: nothing of the city is in its cache. ``script`` runs before its own."""
    context = browser.new_context(viewport=_SIZE, locale="en-GB")  # type: ignore[arg-type]  # any mapping of both sizes does
    context.set_default_timeout(_PATIENCE_MS)
    context.add_init_script(script)
    page = context.new_page()
    page.goto(address, wait_until="commit")
    yield page
    context.close()


def _desk(browser: Browser, address: str) -> dict[str, Any]:
    with _page(browser, address) as page:
        told: dict[str, Any] = page.evaluate(_USEFUL)
        return told


def _painted(browser: Browser, address: str) -> float:
    """First contentful paint [ms]."""
    with _page(browser, address) as page:
        return float(page.evaluate(_PAINTED))


def _weight(browser: Browser, address: str) -> float:
    """What a page and all that it loads weigh [MB], as it was sent."""
    with _page(browser, address) as page:
        page.wait_for_load_state()
        entries = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        return float(page.evaluate(f"{entries}.reduce((sum, one) => sum + one.encodedBodySize, 0)")) / 1e6


def _turned(browser: Browser, address: str, points: int, *, every: bool = False) -> tuple[float, float]:
    """Frames a second while the map turns, and what the page's own thread does for one [ms]; raises WrongAnswer unless
    all ``points`` have their value on it. ``every``: each is drawn, also in software."""
    with _page(browser, address, _AS_WITH_A_GPU if every else "") as page:
        page.wait_for_selector(".map[data-ready]", state="attached")
        if points:
            row = page.locator(".layer-row", has_text=f"{points:,} / {points:,}")
            row.wait_for()
            thinned = page.get_by_text("is drawn: this machine draws without a graphics processor")
            some = points > _DRAWN and not every
            require(thinned.count() == some, "the panel does not say how many points are drawn")
        page.wait_for_timeout(2000)
        before = page.url
        page.locator(".map canvas").first.focus()
        turning = page.evaluate_handle(
            "() => setInterval(() => document.querySelector('.map canvas').dispatchEvent("
            "new KeyboardEvent('keydown', {keyCode: 39, shiftKey: true, bubbles: true})), 100)"
        )
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")  # it counts from here on
        before_s = _own_thread(session)
        frames = float(page.evaluate(_FRAMES, _TURNED_S))
        own_s = _own_thread(session) - before_s
        page.evaluate("turning => clearInterval(turning)", turning)
        page.wait_for_timeout(2000)
        require(page.url != before, "the map did not turn")
        return frames, own_s / (frames * _TURNED_S) * 1000


def _own_thread(session: CDPSession) -> float:
    """Seconds that the page's own thread has worked for script, style and layout."""
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(sum(told[name] for name in _OWN_THREAD))
