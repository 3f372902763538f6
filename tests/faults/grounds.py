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
_OWN_CLOCK = Path(__file__).with_name("own_clock")


class CannotRun(Exception):
    """This machine cannot make such a ground: it says what is missing."""


@dataclass
class Ground:
    """A city folder, the environment of its processes, and what a fault needs to know of the disk beneath."""

    city: Path
    environment: dict[str, str] = field(default_factory=dict)
    image: Path | None = None  # of the file system that the city stands on
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
    """An ext4 file system in a file, whose state at one moment can be copied."""
    image = make_image(base / "power.img")
    with _mounted(base / "disk", "-o", "loop", str(image)) as mount:
        yield Ground(mount / "city", mount=mount, image=image)


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


def make_image(path: Path) -> Path:
    """An empty ext4 file system in a sparse file."""
    if shutil.which("mkfs.ext4", path=_path()) is None:
        raise CannotRun("mkfs.ext4 is not installed: apt-get install e2fsprogs")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(_IMAGE_MB * 1024**2)
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


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _path()})


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
