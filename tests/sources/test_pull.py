"""What is fetched over HTTP: which address is asked, and how far its cursor may reach."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from civium.core import MICROSECONDS, to_datetime
from civium.sources.connectors.json import SOURCE, JsonSettings
from civium.sources.feeds.mapping import Mapping as Fields
from civium.sources.feeds.source import Field, Item, Secret
from tests.city.foreign import Feed

NOW = 1_780_000_000 * MICROSECONDS
DAY_US = 86_400 * MICROSECONDS


class Basket:
    """A sink that keeps what it is given, as the city's does."""

    name = "basket"

    def __init__(self, settings: JsonSettings, cursor: dict[str, Any]) -> None:
        self._fields, self._cursor = Fields("feed", settings), cursor
        self.taken: list[int] = []  # the times of what was put in

    async def put(self, items: Sequence[Item], *, since: int | None = None) -> int:
        found, _ = self._fields.readings(items)
        times = [told.time for told, _, _ in found if told.time is not None]
        self.taken += [time for time in times if since is None or time >= since]
        return max(times, default=0)

    async def refuse(self, data: bytes, why: str, about: str = "") -> None:
        raise AssertionError(why)

    async def cursor(self) -> dict[str, Any]:
        return self._cursor

    async def keep_cursor(self, cursor: Mapping[str, Any]) -> None:
        self._cursor = dict(cursor)

    def now(self) -> int:
        return NOW

    def well(self) -> None:
        """Nothing is wrong."""

    def ill(self, why: str) -> None:
        raise AssertionError(why)


@pytest.fixture
def feed() -> Iterator[Feed]:
    server = Feed()
    yield server
    server.stop()


def fetched(feed: Feed, settings: JsonSettings, cursor: dict[str, Any], times: int = 1) -> Basket:
    """The basket after so many fetches."""
    basket = Basket(settings, cursor)

    async def run() -> None:
        assert SOURCE.run is not None
        task = asyncio.ensure_future(SOURCE.run(settings, basket))
        until, tries = len(feed.answers) + times + 1, 0  # the last of them has been put away when another has begun
        while len(feed.answers) < until and not task.done() and (tries := tries + 1) < 600:
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return basket


def told(*ages_s: float) -> bytes:
    """A document with readings that are so many seconds old."""
    at = [to_datetime(NOW - int(age * MICROSECONDS)).isoformat() for age in ages_s]
    return json.dumps([{"at": one, "value": 1} for one in at]).encode()


def settings(feed: Feed, query: str = "", **more: Any) -> JsonSettings:
    fields = (Field(stream="a/b"),)
    return JsonSettings(kind="json", url=f"{feed.url}{query}", every_s=0.1, time="at", fields=fields, **more)


def test_a_secret_parameter_stands_beside_what_the_address_asks_for(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "a secret")
    feed.body = told(1)
    fetched(feed, settings(feed, "?lat=60.17&since={since}", secret_params={"apikey": Secret("env:KEY")}), {})
    assert feed.paths[0] == "/feed?lat=60.17&since=1970-01-01T00%3A00%3A00Z&apikey=a+secret"


@pytest.mark.parametrize("newest", [NOW + 400 * 365 * DAY_US, 2**62])
def test_a_cursor_of_a_time_to_come_hides_nothing_that_is_new(feed: Feed, newest: int) -> None:
    feed.body = told(6 * 86_400, 3600, 1)
    basket = fetched(feed, settings(feed, "?since={since}"), {"newest": newest, "etag": "another"})
    assert basket.taken == [NOW - 6 * DAY_US, NOW - 3600 * MICROSECONDS, NOW - MICROSECONDS]
    assert feed.paths[0] == f"/feed?since={to_datetime(NOW - 7 * DAY_US).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    assert asyncio.run(basket.cursor())["newest"] <= NOW


def test_one_item_of_a_wrong_year_moves_the_cursor_no_further_than_now(feed: Feed) -> None:
    feed.body = told(3600, -30 * 365 * 86_400)
    basket = fetched(feed, settings(feed), {})
    assert asyncio.run(basket.cursor())["newest"] == NOW
    feed.body = told(1, 8 * 86_400)
    again = fetched(feed, settings(feed), asyncio.run(basket.cursor()))
    assert again.taken == [NOW - MICROSECONDS]  # and what is older than the overlap was taken before


def test_other_settings_are_asked_anew_and_another_address_knows_nothing(feed: Feed) -> None:
    feed.body = told(20 * 86_400, 1)
    first = fetched(feed, settings(feed), {})
    kept = asyncio.run(first.cursor())
    same = fetched(feed, settings(feed), kept)
    assert same.taken == []
    assert set(feed.answers[-2:]) == {304}
    more = fetched(feed, structs.replace(settings(feed), fields=(Field(stream="a/c"),)), kept)
    assert more.taken == [NOW - MICROSECONDS]  # it was read again; what is beyond the overlap was taken before
    other = fetched(feed, settings(feed, "?of=another"), kept)
    assert other.taken == [NOW - 20 * DAY_US, NOW - MICROSECONDS]
