"""A file that is made once is whole, whoever comes together."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from civium.core.once import made_once


def test_all_who_come_together_read_the_same(tmp_path: Path) -> None:
    together = Barrier(8)

    def one(number: int) -> str:
        def make() -> str:
            together.wait(10)  # none of them has put its own there
            return f"key {number}"

        return made_once(tmp_path / "run" / "key", make)

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(one, range(8)))
    assert told == {(tmp_path / "run" / "key").read_text()}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["key"]
    assert (tmp_path / "run" / "key").stat().st_mode & 0o777 == 0o600


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> str:
        raise RuntimeError("no entropy")

    with pytest.raises(RuntimeError):
        made_once(tmp_path / "key", broken)
    assert list(tmp_path.iterdir()) == []
    assert made_once(tmp_path / "key", lambda: "second") == "second"
