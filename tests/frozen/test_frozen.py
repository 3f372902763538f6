"""What earlier releases left is read, proved and gone on with by this one; see make.py for how a release is frozen."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import civium
from tests.city.conftest import CityProcess
from tests.city.test_spine import decide_some
from tests.frozen.make import expected

HERE = Path(__file__).parent
FROZEN = sorted(HERE.glob("*.tar.xz"))


def test_the_release_before_this_one_is_frozen() -> None:
    assert HERE / "0.1.0.tar.xz" in FROZEN
    assert all(path.stat().st_size < 200_000 for path in FROZEN)


def _still(now: Any, then: Any) -> bool:
    """Whether everything that was told then is told now; a later release may tell more of a thing."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and _still(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(_still, now, then))
    return bool(now == then)


@pytest.mark.parametrize("archive", FROZEN, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_frozen_city_is_upgraded_read_replayed_and_goes_on(archive: Path, tmp_path: Path) -> None:
    city = CityProcess(tmp_path / "city", True, {})
    with tarfile.open(archive) as packed:
        packed.extractall(city.folder)  # ours; the first Pythons 3.11 know no filter
    told = json.loads((city.folder / "expected.json").read_text())
    ids = told.pop("ids")
    refused = city.run("status")
    assert refused.returncode == 1
    assert "was left by an older release" in refused.stderr
    assert "civium upgrade" in refused.stderr
    assert "Traceback" not in refused.stderr

    done = city.run("upgrade")
    assert done.returncode == 0, done
    (copies,) = (city.folder / "before-upgrade").iterdir()
    assert {path.name for path in copies.iterdir()} >= {"catalog.db", "lake.duckdb", "ledger.db"}
    again = city.run("upgrade")
    assert again.returncode == 0
    assert "of this release already" in again.stdout

    city.start()
    try:
        found = expected(city)
        for name in told:
            assert _still(found[name], told[name]), name
        replayed = city.run("replay")
        assert replayed.returncode in (0, 2), replayed  # identical, or explained; never different
        assert "different" not in replayed.stdout
    finally:
        city.stop()
    goes_on = CityProcess(city.folder, False, {}).start()
    try:
        decide_some(goes_on, ids, 2)
        assert [raw.decode() for _, raw in goes_on.client.ledger()][: len(told["ledger"])] == told["ledger"]
    finally:
        goes_on.stop()


def test_a_city_of_this_release_needs_no_upgrade_and_one_that_runs_is_left_alone(tmp_path: Path) -> None:
    assert civium.__version__
    city = CityProcess(tmp_path / "city", True, {}).start()
    try:
        told = city.run("upgrade")
        assert told.returncode == 1
        assert "is running already" in told.stderr
    finally:
        city.stop()
    assert "of this release already" in city.run("upgrade").stdout
    assert not (city.folder / "before-upgrade").exists()
    nowhere = CityProcess(tmp_path / "none", True, {}).run("upgrade")
    assert nowhere.returncode == 1
    assert "there is no city" in nowhere.stderr
