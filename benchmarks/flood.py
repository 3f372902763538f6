"""More than the city can take at once: what it holds in memory meanwhile, and that all of it is stored in the end."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx
from registry import Figure, Run, WrongAnswer, benchmark, require
from rows import as_arrow, hours_before_today, posts, readings
from running import Running, running

_SENDERS = 12
_PATIENCE_S = 300.0


@benchmark
def flood(run: Run) -> Iterable[Figure]:
    """Senders push bodies of a million rows at once; one that is told to come back later does so."""
    streams, each = run.size(1_000, 100), run.size(1_000, 300)
    start = hours_before_today(24)
    bodies = [as_arrow(readings(streams, each, start + n * 3_600_000_000, seed=n)) for n in range(_SENDERS)]
    most_mb = max(map(len, bodies)) * 1.2 / 2**20  # so that a few of them reach the bound
    with running(run.folder / "city", "--idle", DOORS_MAX_BODY_MB=str(most_mb)) as city:
        city.register(posts(streams))
        before = city.memory()
        peak = _Peak(city)
        with peak, ThreadPoolExecutor(_SENDERS) as senders:
            refused = sum(senders.map(lambda body: _until_stored(city, body), bodies))
            seen = city.get("/v1.1/Observations", **{"$count": "true", "$top": 1})["@iot.count"]
        require(refused > 0, "no sender was told to come back: this was no flood")
        require(seen == _SENDERS * streams * each, f"{seen} of {_SENDERS * streams * each} readings are stored")
        run.say(f"{_SENDERS} bodies of {len(bodies[0]) / 1e6:.0f} MB; {refused} times 'come back later'")
    yield Figure(f"memory at the peak of a flood of {_SENDERS * streams * each:,} observations", peak.bytes / 1e6, "MB",
                 before / 1e6, "the same process before it")  # fmt: skip


def _until_stored(city: Running, body: bytes) -> int:
    """Send until it is stored; returns how often the city said 503."""
    deadline = time.monotonic() + _PATIENCE_S
    refused = 0
    with httpx.Client(base_url=city.http.base_url, timeout=_PATIENCE_S) as http:
        while time.monotonic() < deadline:
            answer = http.post("/bulk/observations", content=body)
            if answer.status_code == httpx.codes.CREATED:
                return refused
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or "retry-after" not in answer.headers:
                raise WrongAnswer(f"a sender was answered {answer.status_code}: {answer.text[:200]}")
            refused += 1
            time.sleep(float(answer.headers["retry-after"]))
    raise WrongAnswer(f"a sender was told to come back for {_PATIENCE_S:g} s")


class _Peak:
    """The largest resident memory [byte] of a city while this is entered."""

    def __init__(self, city: Running) -> None:
        self.bytes = 0
        self._city = city
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.bytes = max(self.bytes, self._city.memory())

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()
