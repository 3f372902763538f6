"""Where a city under test stands: a folder, a small disk, an image that can lose power, a disk of the lake's own."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.city.conftest import PRACTICES

_SMALL_MB = 400
_IMAGE_MB = 1500
_BELOW_MB = 2000  # of the file system that holds such an image
_OWN_CLOCK = Path(__file__).with_name("own_clock")


class CannotRun(Exception):
    """This machine cannot make such a ground: it says what is missing."""


@dataclass
class Ground:
    """A city folder, the environment of its processes, and what a fault needs to know of the disk beneath."""

    city: Path
    environment: dict[str, str] = field(default_factory=dict)
    image: Path | None = None  # of the file system that the city stands on
    below: Path | None = None  # where the file system is mounted that holds the image
    aged: bool = False  # the lake has weeks of history that upkeep has not seen to yet
    mount: Path | None = None  # of the file system that can be filled or frozen
    clock: Path | None = None  # the file of ``set_clock``


Make = Callable[[Path], AbstractContextManager[Ground]]


@contextmanager
def plain(base: Path) -> Iterator[Ground]:
    """An ordinary folder."""
    yield Ground(base / "city")


@contextmanager
def small_disk(base: Path) -> Iterator[Ground]:
    """A small tmpfs."""
    with _mounted(base / "disk", "-t", "tmpfs", "-o", f"size={_SMALL_MB}m", "civium-faults") as mount:
        yield Ground(mount / "city", mount=mount)


@contextmanager
def power(base: Path) -> Iterator[Ground]:
    """An ext4 file system in a file whose state at one moment can be copied: the one that holds it can be frozen."""
    outer = make_image(base / "below.img", _BELOW_MB)
    with _mounted(base / "below", "-o", "loop", str(outer)) as below:
        image = make_image(below / "power.img")
        with _mounted(base / "disk", "-o", "loop", str(image)) as mount:
            yield Ground(mount / "city", mount=mount, image=image, below=below)


@contextmanager
def aged(base: Path) -> Iterator[Ground]:
    """A folder whose lake is old, with upkeep that hardly rests and raw rows that have passed their retention."""
    keeping = {"CIVIUM_STORE_MAINTAIN_EVERY_S": "0.5", "CIVIUM_STORE_RETENTION_DAYS": "20"}
    yield Ground(base / "city", keeping, aged=True)


@contextmanager
def lake_apart(base: Path) -> Iterator[Ground]:
    """The lake on a file system of its own, so that it can be blocked while the log goes on."""
    image = make_image(base / "lake.img")
    (base / "city").mkdir(parents=True)
    with _mounted(base / "city" / "lake", "-o", "loop", str(image)) as mount:
        yield Ground(base / "city", mount=mount)


@contextmanager
def own_clock(base: Path) -> Iterator[Ground]:
    """Python processes whose wall clock can be moved apart from the machine's (``set_clock``)."""
    base.mkdir(parents=True, exist_ok=True)
    clock = base / "clock"
    set_clock(clock, 0.0)
    path = os.pathsep.join([str(_OWN_CLOCK), str(PRACTICES), os.environ.get("PYTHONPATH", "")])
    yield Ground(base / "city", {"PYTHONPATH": path, "CIVIUM_FAULTS_CLOCK": str(clock)}, clock=clock)


def set_clock(path: Path, step: float) -> None:
    """Move the clock of the processes that look at ``path`` to ``step`` [s] from the machine's."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(struct.pack("d", step))


def make_image(path: Path, size_mb: int = _IMAGE_MB) -> Path:
    """An empty ext4 file system in a sparse file."""
    if shutil.which("mkfs.ext4", path=_path()) is None:
        raise CannotRun("mkfs.ext4 is not installed: apt-get install e2fsprogs")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_mb * 1024**2)
    _do("mkfs.ext4", "-q", "-F", str(path))
    return path


@contextmanager
def mounted_copy(image: Path, base: Path) -> Iterator[Path]:
    """A copy of an image, mounted."""
    with _mounted(base / "after", "-o", "loop", str(image)) as mount:
        yield mount


@contextmanager
def _mounted(where: Path, *arguments: str) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise CannotRun("file systems are mounted for this fault: run it as root on Linux")
    where.mkdir(parents=True, exist_ok=True)
    try:
        _do("mount", *arguments, str(where))
    except subprocess.CalledProcessError as error:
        raise CannotRun(f"this machine mounts no file system: {error.stderr.decode().strip()}") from None
    try:
        yield where
    finally:
        _do("umount", "--lazy", str(where))


@contextmanager
def frozen(mount: Path) -> Iterator[None]:
    """Nothing is written to a file system meanwhile: whoever tries waits."""
    _do("fsfreeze", "-f", str(mount))
    try:
        yield
    finally:
        _do("fsfreeze", "-u", str(mount))


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _path()})


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
