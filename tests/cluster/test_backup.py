"""A city on shared engines is backed up while it runs, and restored as a city of one process."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from civium.backup.target import Target
from tests.city.conftest import CityProcess
from tests.cluster.conftest import SpreadCity
from tests.cluster.stand import ObjectStore, wait_for
from tests.cluster.test_spread_city import Load, register, stored

ALONE = {  # as docs/cluster.md says
    "CIVIUM_ENGINES_LOG": "embedded:log",
    "CIVIUM_ENGINES_STORE": "ducklake:lake",
    "CIVIUM_ENGINES_BLOBS": "file:blobs",
    "CIVIUM_LOG_REPLICAS": "1",
}


@pytest.mark.timeout(900)
def test_a_backup_of_a_spread_city_becomes_a_city_of_one_process(
    new_spread_city: Callable[[], SpreadCity], objects: ObjectStore, tmp_path: Path
) -> None:
    city = new_spread_city()
    worker, web = city.start("door", "writer", "turn"), city.start("web")
    city.settled(worker, web)
    client = city.client(web)
    streams = register(city.client(worker))
    load = Load(worker, streams, itertools.count(1))
    load.start()

    def decided() -> int:
        return len(client.get("/api/decisions", practice="dimmer", limit=1000))

    wait_for(lambda: decided() >= 2 and len(load.accepted) >= 50, 240, "nothing is decided")
    before, record = dict(load.accepted), list(client.ledger())
    told = city.run("backup", str(tmp_path / "target"))  # under load
    assert told.returncode == 0, told.stdout + told.stderr
    target = Target.open(str(tmp_path / "target"))
    files = [part.name for part in target.read(target.backups()[-1]).parts]
    assert [name for name in files if name.startswith("store/") and name.endswith(".parquet")]
    load.over.set()
    load.join(60)
    for process in (web, worker):
        process.end()

    alone = CityProcess(tmp_path / "alone", True, {**objects.environment, **ALONE})
    told = alone.run("restore", str(tmp_path / "target"))
    assert told.returncode == 0, told.stdout + told.stderr
    alone.start()
    try:
        found = stored(alone.client, streams)
        assert {n: ids for n, ids in found.items() if len(ids) != 1} == {}
        assert {n: found.get(n) for n, identity in before.items() if found.get(n) != [identity]} == {}
        assert list(alone.client.ledger())[: len(record)] == record
        replay = alone.run("replay")
        assert replay.returncode == 0, replay.stdout + replay.stderr
        assert " 0 identical" not in replay.stdout
    finally:
        alone.stop()
