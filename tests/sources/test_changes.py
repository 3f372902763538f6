"""Rules of changing the catalogue: in the log first, once, with dense ids, also when several processes share it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from civium.core import EngineUnsuitable, InputRefused, WallClock
from civium.engines.catalog import Catalog
from civium.engines.log import LogConflict, Message
from civium.sources.changes import Changes, Rows


class MemoryLog:
    """The stream CAT as ``Changes`` sees it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def publish(self, stream: str, data: bytes, *, key: str, expect_last: int) -> tuple[int, bool]:
        await asyncio.sleep(0)
        if expect_last != len(self.messages):
            raise LogConflict("another was first")
        self.messages.append(data)
        return len(self.messages), False

    async def refresh(self, stream: str) -> int:
        return len(self.messages)

    async def read(self, stream: str, *, after: int) -> AsyncIterator[Message]:
        for sequence, data in enumerate(self.messages[after:], start=after + 1):
            yield Message(sequence, "", data, {})


def add_thing(key: str) -> Callable[[Catalog], Rows]:
    def build(catalog: Catalog) -> Rows:
        if catalog.ids_by_key("things", [key]):
            return {}
        return {"things": [{"id": catalog.next_id("things"), "key": key}]}

    return build


def changes(log: Any, url: str) -> Changes:
    return Changes(log, Catalog.open(url), WallClock())


def test_processes_that_share_a_catalogue_change_it_one_after_the_other(new_catalog: Callable[[], str]) -> None:
    log, url = MemoryLog(), new_catalog()
    processes = [changes(log, url) for _ in range(3)]

    async def register(process: Changes, number: int) -> None:
        await process.start()
        for i in range(10):  # half of them are of one process alone, the others of all
            key = f"{number}/{i}" if i % 2 else f"all/{i}"
            await process.make(add_thing(key), who="test", why="a test")
            assert process.catalog.ids_by_key("things", [key])

    async def run() -> None:
        await asyncio.gather(*(register(process, number) for number, process in enumerate(processes)))
        for process in processes:
            await process.catch_up()

    asyncio.run(run())
    expected = {f"{number}/{i}" for number in range(3) for i in range(1, 10, 2)} | {f"all/{i}" for i in range(0, 10, 2)}
    assert len(log.messages) == len(expected)
    for process in processes:
        known = process.catalog.ids_by_key("things", sorted(expected))
        assert set(known) == expected
        assert sorted(known.values()) == list(range(1, len(expected) + 1))
        assert process.catalog.applied() == len(expected)
        process.catalog.close()


def test_a_text_that_no_database_keeps_never_reaches_the_log(new_catalog: Callable[[], str]) -> None:
    log = MemoryLog()
    mine = changes(log, new_catalog())
    with pytest.raises(InputRefused, match="key of one of the things holds the character NUL"):
        asyncio.run(mine.make(add_thing("a\0b"), who="test", why="a test"))
    assert log.messages == []
    mine.catalog.close()


def test_a_catalogue_of_another_log_is_refused(new_catalog: Callable[[], str]) -> None:
    url = new_catalog()
    mine = changes(MemoryLog(), url)
    asyncio.run(mine.make(add_thing("a"), who="test", why="a test"))
    asyncio.run(mine.start())
    with pytest.raises(EngineUnsuitable, match="another city"):
        asyncio.run(changes(MemoryLog(), url).start())
    mine.catalog.close()
