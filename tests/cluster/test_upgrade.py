"""A city in several processes is upgraded: the tables of each process on the node, and what they share once."""

import tarfile
from pathlib import Path

import pytest

from civium.backup.upgrade import upgrade
from civium.city_folder import AlreadyRunning, hold
from civium.engines.catalog import Catalog
from tests.cluster.stand import Postgres
from tests.frozen.test_frozen import FROZEN


def test_every_process_of_a_node_is_brought_up_to_date_and_none_may_run(postgres: Postgres, tmp_path: Path) -> None:
    folder, names = tmp_path / "city", ("door-0", "web-0")
    for name in names:
        place = folder / "processes" / name
        place.mkdir(parents=True)
        with tarfile.open(FROZEN[0]) as packed:
            packed.extract("catalog.db", place)  # the first Pythons 3.11 know no filter
    (tmp_path / "parquet").mkdir()
    lake = f"ducklake+postgresql:{postgres.create('to_upgrade')}?data={tmp_path / 'parquet'}"
    engines = {"log": "nats://civium:secret@127.0.0.1:1", "store": lake, "blobs": "s3://city/blobs"}
    told = "".join(f'{role} = "{url}"\n' for role, url in engines.items())
    (folder / "civium.toml").write_text(f"[engines]\n{told}")

    let_go = hold(folder / "processes" / "web-0")
    with pytest.raises(AlreadyRunning):
        upgrade(folder)
    let_go()
    done = upgrade(folder)
    assert [line.partition(":")[0] for line in done.older] == list(names)
    assert done.copies is not None
    assert {path.parent.name for path in done.copies.rglob("catalog.db")} == set(names)
    for name in names:
        Catalog.open(f"sqlite:///{folder / 'processes' / name / 'catalog.db'}").close()
    assert upgrade(folder).older == []
