"""Single Observations over HTTP from many connections at once, each answered when it is on disk."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry import Figure, Run, benchmark, require
from rows import posts as things
from rows import stored_values
from running import running

_STREAMS_EACH = 10
_CONNECTIONS = (64, 256)


@benchmark
def posts(run: Run) -> Iterable[Figure]:
    """Answered POSTs a second on a catalogue of a million streams; every accepted reading is looked for afterwards."""
    streams, seconds = run.size(1_000_000, 2_000), run.size(10.0, 1.5)
    with bare(run.folder / "bare") as port:
        floors = {count: post(run.folder, port, streams, count, seconds) for count in _CONNECTIONS}
    folder = run.folder / "city"
    seen: dict[int, dict[str, Any]] = {}
    with running(folder, "--idle") as city:
        city.register(things(streams // _STREAMS_EACH, _STREAMS_EACH))
        port = int(city.http.base_url.port or 0)
        for count in _CONNECTIONS:
            before = city.cpu()
            seen[count] = post(run.folder, port, streams, count, seconds, first=10 * count)
            done = len(seen[count]["accepted"])
            run.say(
                f"{count} connections: {done} stored, {(city.cpu() - before) / done * 1e6:.0f} us of processor each"
            )
    accepted = sorted(value for told in seen.values() for value in told["accepted"])
    kept = stored_values(folder)
    require(kept == accepted, f"{len(accepted)} readings were accepted and {len(kept)} others or as many are stored")
    for count in _CONNECTIONS:
        told, floor = seen[count], floors[count]
        what, floor_is = f"single POSTs from {count} connections, answered synced", "bodies into the bare log, unread"
        yield Figure(what, rate(told), "/s", rate(floor), floor_is, aim=15_000, higher=True)
        yield Figure("  half are answered within", told["p50_ms"], "ms", floor["p50_ms"], floor_is)
        yield Figure("  all but one in a hundred within", told["p99_ms"], "ms", floor["p99_ms"], floor_is)


def rate(told: dict[str, Any]) -> float:
    """Accepted readings a second."""
    return len(told["accepted"]) / float(told["took"])


def post(folder: Path, port: int, streams: int, connections: int, seconds: float, first: int = 0) -> dict[str, Any]:
    """What clients in a process of their own saw."""
    plan = {"streams": streams, "connections": connections, "seconds": seconds, "first": first}
    path, seen = folder / "plan.json", folder / "seen.json"
    path.write_text(json.dumps({"plan": plan, "host": "127.0.0.1", "port": port}))
    command = [sys.executable, str(Path(__file__).with_name("posters.py")), str(path), str(seen)]
    subprocess.run(command, check=True, timeout=seconds + 60)
    told: dict[str, Any] = json.loads(seen.read_bytes())  # a pipe was seen to lose what was beyond its 64 KiB
    require(told["refused"] == 0, f"{told['refused']} of the POSTs were refused")
    return told


@contextmanager
def bare(folder: Path) -> Iterator[int]:
    """The floor, running: its port."""
    command = [sys.executable, str(Path(__file__).with_name("bare_posts.py")), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
