"""A start without a checkpoint finds in the store what the live arrays would hold."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from civium.core.observations import CORRECTED, STORED, complete, pack
from civium.engines.settings import Settings
from civium.engines.store import Store
from civium.twin import follower as following
from civium.twin.follower import Follower
from civium.twin.live import Live


def rows(shard: int, sequence: int, seed: int) -> pa.Table:
    """Numbers and texts of some streams, with equal instants and nothing in between."""
    chance = np.random.default_rng(seed)
    count = 200
    time = pa.array(chance.integers(0, 40, count)).cast(STORED.field("time").type)
    value = [None if one < 0 else float(one) for one in chance.normal(0, 1, count)]
    text = [f"text {n}" if one is None and n % 2 else None for n, one in enumerate(value)]
    columns = {"stream": chance.integers(1, 30, count), "time": time, "made": time, "value": value}
    table = complete(pa.table({**columns, "text": pa.array(text, pa.string())}))
    ids = [pack(shard, sequence, n) for n in range(count)]
    return table.add_column(0, STORED.field("id"), pa.array(ids, pa.int64())).cast(STORED)


def test_the_latest_of_every_stream_is_found_without_a_checkpoint(tmp_path: Path) -> None:
    store, folded = Store.open(Settings(), tmp_path), Live()
    batches: list[pa.Table] = []
    for shard in range(2):
        store.adopt(shard, "log")
        for sequence in range(1, 4):
            batch = rows(shard, sequence, seed=10 * shard + sequence)
            store.append(shard, batch, sequence - 1, sequence)
            folded.fold(batch)
            batches.append(batch)

    async def start() -> Live:
        log = SimpleNamespace(shards=2, shared=False)
        follower = Follower(log, store, tmp_path)  # type: ignore[arg-type]  # a log of lists
        await follower.start()
        await follower.stop()
        assert (follower.seen.at(0), follower.seen.at(1)) == (3, 3)
        return follower.live

    found = asyncio.run(start())
    size = min(len(found.id), len(folded.id))
    for name in ("id", "time", "value"):
        np.testing.assert_array_equal(getattr(found, name)[:size], getattr(folded, name)[:size])
    everything = pa.concat_tables(batches).sort_by([("time", "ascending"), ("id", "ascending")]).to_pylist()
    latest = {row["stream"]: row["text"] for row in everything}
    assert any(latest.values())
    assert {stream: found.text[stream] for stream, text in latest.items() if text} == {
        stream: text for stream, text in latest.items() if text
    }
    assert found.rows == folded.rows == 1200
    store.close()


def test_many_rows_are_worth_a_checkpoint_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a start after kill -9 would read a minute of a busy city anew before anything is let in."""
    monkeypatch.setattr(following, "_LOOK_S", 0.05)
    monkeypatch.setattr(following, "_MANY_ROWS", 300)
    store = Store.open(Settings(), tmp_path)
    store.adopt(0, "log")

    async def work() -> list[dict[int, int]]:
        follower = Follower(SimpleNamespace(shards=1, shared=False), store, tmp_path)  # type: ignore[arg-type]  # as above
        await follower.start()
        kept = []
        for sequence in range(1, 13):  # of 200 rows: twice the 1,024 streams that there is room for are worth it
            batch = rows(0, sequence, seed=sequence)
            store.append(0, batch, sequence - 1, sequence)
            await follower.take(0, sequence, batch, CORRECTED.empty_table())
            await asyncio.sleep(0.2)
            kept.append(Live.load(tmp_path / "live.npz")[1])
        await follower.stop()
        return kept

    kept = asyncio.run(work())
    assert kept[:10] == [{}] * 10
    assert kept[-1][0] >= 11
