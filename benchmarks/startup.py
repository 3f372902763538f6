"""A city that has things registered: from the start of its process to its first decision on the record."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import median
from typing import Any

from registry import Figure, Run, benchmark, require
from rows import as_arrow, hours_before_today, posts, readings
from running import Running, running

_IMPORTS = "import civium.cli, civium.serve; from civium.practices.discovery import load_practices; load_practices()"


@benchmark
def startup(run: Run) -> Iterable[Figure]:
    """Wall time; the city keeps wall time and ticks every second, so half a second is the wait for a tick."""
    streams = run.size(10_000, 200)
    folder = run.folder / "city"
    with running(folder) as city:
        city.register(posts(streams))
        city.post("/bulk/observations", as_arrow(readings(streams, 1, hours_before_today(24), seed=0)))
        _first_decision(city, after=0)
    run.say(f"{streams} streams registered, city stopped")
    times, floors = [], []
    for _ in range(run.size(5, 1)):
        begun_us, begun = time.time_ns() // 1000, time.monotonic()
        with running(folder) as city:
            _first_decision(city, after=begun_us)
            times.append(time.monotonic() - begun)
            seen = city.get("/api/status")
            require(seen["streams"] >= streams, f"{seen['streams']} of {streams} streams are there after the start")
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", _IMPORTS], check=True, env=_with_practices())
        floors.append(time.monotonic() - begun)
        run.say(f"first decision after {times[-1]:.2f} s, imports {floors[-1]:.2f} s")
    yield Figure(f"start-up with {streams:,} streams to the first decision", median(times), "s", median(floors),
                 "interpreter that imports the same code", aim=20.0)  # fmt: skip


def _with_practices() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.path.join(os.path.dirname(__file__), "practices")}


def _first_decision(city: Running, after: int) -> dict[str, Any]:
    """The first decision whose tick is later than ``after`` [us since epoch]."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for decision in city.get("/api/decisions", practice="bench_lamps", limit=1):
            if decision["tick"] > after:
                return dict(decision)
        time.sleep(0.02)
    require(False, "no decision within 60 s")
    raise AssertionError
