"""Single readings over MQTT, QoS 1, from many connections, synced and lazily synced, until a read gives them back."""

import time
from collections.abc import Iterable
from time import perf_counter

from bare_mqtt import bare
from devices import publish
from registry import Figure, Run, benchmark, require
from rows import posts, stored_values
from running import Running, running, told

LAZY = "200ms"
_AIMS = {"always": 3_000.0, LAZY: 15_000.0}
_PATIENCE_S = 300.0


@benchmark
def mqtt_connections(run: Run) -> Iterable[Figure]:
    """Publishes a second until queryable; every acknowledged reading is looked for. The floor is a bare server."""
    connections = run.size(1_000, 50)
    for sync, aim in _AIMS.items():
        each = run.size(20 if sync == "always" else 100, 10)
        count = connections * each
        folder = run.folder / sync
        with bare(run.folder / f"bare-{sync}", sync) as door:
            floor = count / publish(run.folder, door, connections, each)
        with running(folder, "--idle", DOORS_MQTT_SYNC=sync) as city:
            city.register(posts(count // 10, 10))
            begun = perf_counter()
            acknowledged = publish(run.folder, city.mqtt, connections, each)
            wait_for(city, count)
            took = perf_counter() - begun
            run.say(f"mqtt_sync {sync}: {count} acknowledged after {acknowledged:.2f} s, readable after {took:.2f} s")
        kept = stored_values(folder)
        require(kept == list(range(1, count + 1)), f"{count} were acknowledged and {len(kept)} are stored")
        what = f"MQTT QoS 1 from {connections:,} connections until queryable, {words(sync)}"
        yield Figure(what, count / took, "/s", floor, "a bare server that nobody reads", aim=aim, higher=True)


def words(sync: str) -> str:
    """A setting of ``doors.mqtt_sync`` in words."""
    return "synced" if sync == "always" else f"synced every {sync}"


def wait_for(city: Running, count: int) -> None:
    """Wait until a read sees so many observations."""
    deadline = time.monotonic() + _PATIENCE_S
    while (seen := _seen(city)) < count:
        require(time.monotonic() < deadline, f"{seen} of {count} acknowledged observations are there")
        time.sleep(0.01)


def _seen(city: Running) -> int:
    """How many a read tells; none while it is answered that all that was accepted cannot be read yet (503)."""
    answer = city.http.get("/v1.1/Observations", params={"$count": "true", "$top": 1})
    return 0 if answer.status_code == 503 else int(told(answer).json()["@iot.count"])
