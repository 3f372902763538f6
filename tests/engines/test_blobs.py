"""Blobs: what is put again is kept anew."""

import os
from pathlib import Path

from civium.core.clock import MICROSECONDS, FixedClock
from civium.engines.blobs import Blobs
from civium.engines.settings import Settings


def test_a_blob_that_is_put_again_is_not_forgotten_for_its_first_age(tmp_path: Path) -> None:
    clock = FixedClock(int(os.stat(tmp_path).st_mtime) * MICROSECONDS)
    blobs = Blobs.open(Settings(), tmp_path, clock)
    again, once = blobs.put("state", b"again"), blobs.put("state", b"once")
    for name in (again, once):
        os.utime(tmp_path / "blobs" / name, (0, 0))
    assert blobs.put("state", b"again") == again
    assert blobs.forget("state", 3600.0) == 1
    assert blobs.has(again)
    assert not blobs.has(once)
