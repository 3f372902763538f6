"""The faults: each breaks one thing in a running city, holds it broken for a while, and mends it."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import psutil

from civium.core import CiviumError
from tests.city.conftest import CityProcess
from tests.faults import grounds
from tests.faults.grounds import Ground, Make

_COPY = "cut.img"


@dataclass(frozen=True, slots=True)
class Struck:
    """What a fault left behind: is the city down, and the image of a power cut with its moment."""

    down: bool = False
    cut: Path | None = None
    at: float = 0.0  # [s, CLOCK_MONOTONIC]


Strike = Callable[[CityProcess, Ground, Random, float], Struck]


@dataclass(frozen=True, slots=True)
class Fault:
    """``strike(city, ground, chance, seconds)``: ``seconds`` is how long what is blocked stays so.

    ``decides_after``: whether practices go on afterwards.
    """

    strike: Strike
    ground: Make = grounds.plain
    decides_after: bool = True


def everything_killed(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """kill -9 of the city, its log and its workers at once."""
    for process in _family(city):
        process.send_signal(signal.SIGKILL)
    city.kill()
    return Struck(down=True)


def city_killed(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """kill -9 of the city's own process: doors, writer and turns; its log learns it from the kernel."""
    city.kill()
    return Struck(down=True)


def log_killed(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """kill -9 of nats-server, one to three times."""
    for _ in range(chance.randint(1, 3)):
        _log_server(city).send_signal(signal.SIGKILL)
        time.sleep(chance.uniform(0.2, 3.0))
    return Struck()


def worker_killed(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """kill -9 of the workers that decide."""
    log = _log_server(city).pid
    for process in _family(city)[1:]:
        if process.pid != log:
            process.send_signal(signal.SIGKILL)
    return Struck()


def log_away(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """The log does not answer: its server is stopped, with all connections open."""
    log = _log_server(city)
    log.suspend()
    try:
        time.sleep(seconds)
    finally:
        log.resume()
    return Struck()


def killed_while_the_log_is_away(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """The log hangs, and then the city is killed and started again beside the log that still hangs."""
    log = _log_server(city)
    log.suspend()
    time.sleep(chance.uniform(0.1, min(seconds, 3.0)))
    city.kill()
    return Struck(down=True)


def disk_full(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """Not a byte is left on the disk; then there is room again."""
    assert ground.mount is not None
    ballast = ground.mount / "ballast"
    until = time.monotonic() + seconds
    try:
        with ballast.open("wb", buffering=0) as file:
            while time.monotonic() < until:
                try:
                    file.write(bytes(1 << 20 if shutil.disk_usage(ground.mount).free > 1 << 20 else 4096))
                except OSError:
                    time.sleep(0.01)
    finally:
        ballast.unlink()
    return Struck()


def things_locked(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """Another program holds SQLite's lock of the catalogue."""
    with _locked(city.folder / "catalog.db"):
        time.sleep(seconds)
    return Struck()


def record_locked(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """Another program holds SQLite's lock of the record's tables."""
    with _locked(city.folder / "ledger.db"):
        time.sleep(seconds)
    return Struck()


def lake_blocked(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """The lake's disk hangs: whoever writes or syncs there waits. (DuckDB lets no second program take its lock.)"""
    assert ground.mount is not None
    with grounds.frozen(ground.mount):
        time.sleep(seconds)
    return Struck()


def clock_stepped(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """The wall clock jumps back and forward, by seconds and by hours."""
    assert ground.clock is not None
    back, ahead = chance.uniform(1000, 5000), chance.uniform(1000, 5000)
    # Ahead last: a city whose clock was ahead is slow until the wall has caught up, and tells so.
    steps = (-chance.uniform(1.5, 3.0), 0.0, -back, 0.0, chance.uniform(2.0, 4.0), 0.0, ahead)
    for step in steps:
        grounds.set_clock(ground.clock, step)
        time.sleep(seconds / len(steps))
    return Struck()


def power_cut(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """The disk as it is at one moment: what was not synced is not on it.

    A power cut is one moment and a copy takes many, so the file system that holds the image is frozen for it: nothing
    reaches the city's disk meanwhile, not even what its kernel writes late. Nothing of the city is synced by that.
    """
    assert ground.image is not None
    assert ground.below is not None
    at, copy = time.monotonic(), ground.below.with_name(_COPY)
    with grounds.frozen(ground.below):
        subprocess.run(["cp", "--sparse=always", str(ground.image), str(copy)], check=True)
    return Struck(cut=copy, at=at)


def upkeep_killed(city: CityProcess, ground: Ground, chance: Random, seconds: float) -> Struck:
    """kill -9 of everything while upkeep merges, rolls up or removes rows; one to three times in a row."""
    for left in reversed(range(chance.randint(1, 3))):
        _wait_for_upkeep(city)
        time.sleep(chance.uniform(0.0, 1.0))
        everything_killed(city, ground, chance, seconds)
        if left:
            city.start()
    return Struck(down=True)


FAULTS: dict[str, Fault] = {
    # A clock that is left an hour ahead makes all readings stale: practices are held, as they should be.
    strike.__name__: Fault(strike, ground, decides_after=strike is not clock_stepped)
    for strike, ground in (
        (everything_killed, grounds.plain),
        (city_killed, grounds.plain),
        (log_killed, grounds.plain),
        (worker_killed, grounds.plain),
        (log_away, grounds.plain),
        (killed_while_the_log_is_away, grounds.plain),
        (things_locked, grounds.plain),
        (record_locked, grounds.plain),
        (disk_full, grounds.small_disk),
        (lake_blocked, grounds.lake_apart),
        (clock_stepped, grounds.own_clock),
        (power_cut, grounds.power),
        (upkeep_killed, grounds.aged),
    )
}


def _family(city: CityProcess) -> list[psutil.Process]:
    """The city's process, then all that it started."""
    parent = psutil.Process(city.pid)
    return [parent, *parent.children(recursive=True)]


def _log_server(city: CityProcess) -> psutil.Process:
    """The nats-server that runs now; waits for one that is being started again."""
    deadline = time.monotonic() + 30
    while True:
        for process in _family(city)[1:]:
            if process.name() == "nats-server":
                return process
        assert time.monotonic() < deadline, "the log's server was not started again"
        time.sleep(0.1)


def _wait_for_upkeep(city: CityProcess) -> None:
    """Until upkeep does something, or long enough for it to have done everything."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(CiviumError, httpx.HTTPError):
            if city.client.get("/api/status")["store"]["upkeep"]["doing"]:
                return
        time.sleep(0.01)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with sqlite3.connect(path, timeout=20, isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
