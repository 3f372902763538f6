"""The writer goes on after trouble, however long the store stays in it."""

import asyncio
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from civium.core import WallClock
from civium.core.observations import OBSERVATION, complete, encode
from civium.engines.log import Log
from civium.engines.settings import Doors, Settings
from civium.engines.store import Store
from civium.engines.tail import Message, Tail
from civium.twin.progress import Progress
from civium.twin.writer import Writer


async def open_log(folder: Path) -> Log:
    return await Log.open(Settings(doors=Doors(mqtt="127.0.0.1:0", websocket="127.0.0.1:0")), folder)


def one_reading() -> bytes:
    """A message of the log with one row."""
    now = pa.array([WallClock().now()], pa.timestamp("us", "UTC"))
    return encode(complete(pa.table({"stream": [1], "time": now, "made": now, "value": [1.0]})).cast(OBSERVATION))


async def _stored_after_trouble(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> int:
    log = await open_log(folder)
    progress = Progress()

    async def stored(shard: int, until: int, rows: pa.Table, corrected: pa.Table) -> None:
        assert rows.num_rows == 1

    writer = Writer(log, store, WallClock(), 0, 0.0, progress, stored)
    await writer.start()
    known, left = store.applied, [duckdb.IOException("no space left on device")] * 2

    def applied(shard: int) -> tuple[int, str]:
        if left:
            raise left.pop()
        return known(shard)

    def full(*_: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(store, "applied", applied)
        raise duckdb.IOException("no space left on device")

    monkeypatch.setattr(store, "append", full)
    try:
        await log.publish("OBS0", one_reading())
        async with asyncio.timeout(30):
            while progress.at(0) < 1:
                await asyncio.sleep(0.05)
        assert not left
        return progress.at(0)
    finally:
        await writer.stop()
        await log.close()


def test_the_writer_goes_on_when_the_store_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(Settings(), tmp_path)
    assert asyncio.run(_stored_after_trouble(tmp_path, store, monkeypatch)) == 1
    store.close()


async def _stored_after_a_gap(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> int:
    log = await open_log(folder)
    progress, tails = Progress(), []

    async def stored(shard: int, until: int, rows: pa.Table, corrected: pa.Table) -> None:
        return

    known = log.tail

    def tail(stream: str, after: int) -> Tail:
        """The first of them loses what a node was about to deliver."""
        made = known(stream, after)
        fetch = made.fetch

        async def losing(*how: Any) -> list[Message]:
            return (await fetch(*how))[1:]

        if not tails:
            monkeypatch.setattr(made, "fetch", losing)
        tails.append(made)
        return made

    writer = Writer(log, store, WallClock(), 0, 0.0, progress, stored)
    try:
        for _ in range(3):
            await log.publish("OBS0", one_reading())
        monkeypatch.setattr(log, "tail", tail)
        await writer.start()
        async with asyncio.timeout(30):
            while progress.at(0) < 3:
                await asyncio.sleep(0.05)
        assert len(tails) > 1
        return progress.at(0)
    finally:
        await writer.stop()
        await log.close()


def test_what_was_not_delivered_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(Settings(), tmp_path)
    assert asyncio.run(_stored_after_a_gap(tmp_path, store, monkeypatch)) == 3
    assert store.query("SELECT count(*) AS n FROM lake.observations").to_pylist() == [{"n": 3}]
    store.close()
