"""The store: a batch and its position are one transaction, a second writer is refused, merges change nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from civium.core import EngineUnsuitable
from civium.core.observations import STORED, complete, pack
from civium.engines import store_copies
from civium.engines.age import DataNewer, DataOlder
from civium.engines.rollups import GROUPS, TABLES
from civium.engines.settings import Settings
from civium.engines.store import Store, StoreConflict
from civium.engines.upkeep import Keeper

DAY = 86_400_000_000


def rows(sequence: int, count: int, start: int = 0) -> pa.Table:
    """Rows of one log message, one second apart from ``start`` [us since epoch]."""
    instant = STORED.field("time").type
    time = pa.array(start + np.arange(count) * 1_000_000).cast(instant)
    table = complete(
        pa.table({"stream": np.arange(count) % 7, "time": time, "made": time, "value": np.arange(count) * 0.5})
    )
    return table.add_column(0, "id", pa.array([pack(0, sequence, i) for i in range(count)], pa.int64())).cast(STORED)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(Settings(), tmp_path)
    opened.adopt(0, "log")
    return opened


def everything(store: Store) -> list[dict[str, object]]:
    found: list[dict[str, object]] = store.query("FROM lake.observations ORDER BY id").to_pylist()
    return found


def test_what_is_appended_is_read_and_survives_reopening(store: Store, tmp_path: Path) -> None:
    store.append(0, rows(1, 100), 0, 1)
    before = everything(store)
    assert len(before) == 100
    store.close()
    again = Store.open(Settings(), tmp_path)
    assert again.applied(0) == (1, "log")
    assert everything(again) == before
    again.close()


def test_a_second_writer_is_stopped_and_leaves_nothing(store: Store) -> None:
    store.append(0, rows(1, 10), 0, 1)
    with pytest.raises(StoreConflict, match="another writer"):
        store.append(0, rows(1, 10), 0, 1)
    assert len(everything(store)) == 10
    store.append(0, rows(2, 10), 1, 2)
    assert store.applied(0)[0] == 2


def test_a_second_process_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from civium.engines.settings import Settings;"
        "from civium.engines.store import Store; Store.open(Settings(), Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert EngineUnsuitable.__name__ in done.stderr
    assert "cannot open the lake" in done.stderr


def test_merging_many_small_files_changes_no_row(store: Store) -> None:
    for n in range(12):
        store.append(0, rows(n + 1, 50, start=(n % 2) * DAY + n * 1_000_000), n, n + 1)
    before, files = everything(store), store.files()
    done = Keeper(store, Settings().store).work(2 * DAY, GROUPS.empty_table)
    assert done.merged_files == 12
    assert store.files() == 2 < files
    assert everything(store) == before


def test_upkeep_ends_beside_a_writer_that_never_rests(store: Store) -> None:
    store.append(0, rows(1, 50), 0, 1)
    store.append(0, rows(2, 50), 1, 2)
    written = 2
    syncing = store.sync

    def sync() -> None:
        """More comes while upkeep is at it: each of its transactions is synced."""
        nonlocal written
        assert written < 40, "upkeep goes on for as long as something comes"
        syncing()
        store.append(0, rows(written + 1, 50), written, written + 1)
        written += 1

    keeper = Keeper(store, Settings().store)
    keeper._sync = sync
    assert keeper.work(0, GROUPS.empty_table).rounds == 1
    assert store.files() < written
    assert store.query("SELECT count(*) AS n FROM lake.observations").to_pylist() == [{"n": 50 * written}]


def test_a_lake_of_an_older_release_is_upgraded_only_when_that_is_asked_for(tmp_path: Path) -> None:
    store = Store.open(Settings(), tmp_path)
    store.adopt(0, "log")
    store.append(0, rows(1, 10), 0, 1)
    before = everything(store)
    for name in (*TABLES, "calendar", "rolled", "corrections"):
        store._connection.execute(f"DROP TABLE lake.{name}")
    for change in ("DROP TABLE lake.version", "DROP TABLE lake.applied_0",
                   "CREATE TABLE lake.applied (shard INTEGER, seq BIGINT, log VARCHAR)",
                   "INSERT INTO lake.applied VALUES (0, 1, 'log')",
                   "ALTER TABLE lake.observations DROP COLUMN made_here"):  # fmt: skip
        store._connection.execute(change)  # as release 0.1.0 left it
    store.close()
    with pytest.raises(DataOlder, match="civium upgrade"):
        Store.open(Settings(), tmp_path)
    upgraded = Store.open(Settings(), tmp_path, upgrade=True)
    assert everything(upgraded) == before
    assert upgraded.applied(0) == (1, "log")
    upgraded.close()
    Store.open(Settings(), tmp_path).close()


def test_a_lake_of_a_newer_release_is_refused(store: Store, tmp_path: Path) -> None:
    store._connection.execute("UPDATE lake.version SET steps = 99")
    store.close()
    for upgrade in (False, True):
        with pytest.raises(DataNewer, match="version 99"):
            Store.open(Settings(), tmp_path, upgrade=upgrade)


def test_a_lake_that_was_moved_is_read_and_written_where_it_is(store: Store, tmp_path: Path) -> None:
    store.append(0, rows(1, 10), 0, 1)
    before = everything(store)
    store.close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lake").rename(tmp_path / "elsewhere" / "lake")
    moved = Store.open(Settings(), tmp_path / "elsewhere")
    assert everything(moved) == before
    moved.append(0, rows(2, 10), 1, 2)
    assert len(everything(moved)) == 20
    assert not (tmp_path / "lake").exists()
    moved.close()


def test_a_copy_of_the_lake_is_whole_whatever_upkeep_does_meanwhile(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civium.engines.upkeep._KEPT_SNAPSHOTS", "0 seconds")
    monkeypatch.setattr("civium.engines.upkeep._KEPT_FILES", "0 seconds")
    for sequence in range(1, 6):
        store.append(0, rows(sequence, 10, sequence * DAY // 100), sequence - 1, sequence)
    before = everything(store)
    (tmp_path / "copy" / "lake").mkdir(parents=True)
    keeper = Keeper(store, Settings().store)
    store.hold(True)
    files = store_copies.save(store, tmp_path / "copy" / "lake" / "lake.duckdb")
    store.append(0, rows(6, 10), 5, 6)
    keeper.work(0, GROUPS.empty_table)
    for file in files:
        to = tmp_path / "copy" / "lake" / "data" / file.name
        to.parent.mkdir(parents=True, exist_ok=True)
        assert to.write_bytes(Path(file.url).read_bytes()) == file.size
    store.hold(False)
    keeper.work(0, GROUPS.empty_table)
    assert not all(Path(file.url).exists() for file in files)  # nobody needs what was merged any more
    assert len(everything(store)) == 60
    store.close()
    copy = Store.open(Settings(), tmp_path / "copy")
    assert everything(copy) == before
    assert copy.applied(0) == (5, "log")
    store_copies.rebind(copy, 0, "restored")
    copy.append(0, rows(6, 10), 5, 6)
    assert copy.applied(0) == (6, "restored")
    assert Keeper(copy, Settings().store).work(0, GROUPS.empty_table).deleted_rows == 0
    assert len(everything(copy)) == 60
    copy.close()
