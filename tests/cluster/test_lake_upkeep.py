"""Upkeep of a lake that several processes share: its catalogue in PostgreSQL, its Parquet on S3, a writer a shard."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from civium.core.observations import STORED, complete, pack
from civium.engines.rollups import DAY, GROUPS, QUARTER_HOUR
from civium.engines.settings import Engines, Settings
from civium.engines.settings import Store as Keeping
from civium.engines.store import Store
from civium.engines.upkeep import Keeper
from tests.cluster.stand import ObjectStore, Postgres

HOUR = 4 * QUARTER_HOUR
WANTED = pa.table({"stream": np.arange(4), "group": np.arange(4)})


def batch(shard: int, sequence: int, start: int) -> pa.Table:
    """40 readings of two streams of a shard, five minutes apart."""
    place = np.arange(40)
    time = pa.array(start + place * 300_000_000).cast(STORED.field("time").type)
    columns = {"stream": 2 * shard + place % 2, "time": time, "made": time, "value": place * 0.25}
    ids = pa.array([pack(shard, sequence, n) for n in place.tolist()], pa.int64())
    return complete(pa.table(columns)).add_column(0, STORED.field("id"), ids).cast(STORED)


def test_two_writers_and_upkeep_share_a_lake_and_every_row_counts_once(
    postgres: Postgres, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in objects.environment.items():
        monkeypatch.setenv(name, value)
    url = f"ducklake+postgresql:{postgres.create('upkeep')}?data=s3://city/upkeep"
    keeping = Keeping(retention_days=1)
    settings = Settings(engines=Engines(store=url), store=keeping)
    stores = [Store.open(settings, tmp_path / str(n)) for n in range(3)]
    wrong: list[BaseException] = []
    ended = threading.Event()

    def tried(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(shard: int) -> None:
        stores[shard].adopt(shard, "log")
        for n in range(12):
            stores[shard].append(shard, batch(shard, n + 1, n * 5 * HOUR), n, n + 1)

    def keep() -> None:
        now = 0
        while not ended.is_set():
            keeper.work(now, GROUPS.empty_table)
            now += 3 * HOUR

    keeper = Keeper(stores[2], keeping)
    writers = [tried(lambda shard=shard: write(shard)) for shard in range(2)]
    keeping_on = tried(keep)
    for writer in writers:
        writer.join()
    ended.set()
    keeping_on.join()
    assert wrong == []
    keeper.work(4 * DAY, GROUPS.empty_table)  # the last rows are seen
    keeper.work(4 * DAY + 2 * HOUR, GROUPS.empty_table)
    keeper.work(6 * DAY, GROUPS.empty_table)
    assert keeper.done.retired_days > 0
    for store in stores:
        figures = store.aggregate(WANTED, 0, 3 * DAY, HOUR)
        assert {source.table for source in figures.sources} == {"quarter_hours"}
        assert sum(figures.rows.column("n").to_pylist()) == 2 * 12 * 40
        assert store.query("SELECT count(*) AS n FROM lake.observations").column("n")[0].as_py() == 0
        store.close()
