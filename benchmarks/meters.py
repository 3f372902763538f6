"""A million meters on a thousand connections, each with one reading within a minute, looked for one by one."""

from collections.abc import Iterable
from time import perf_counter

from bare_mqtt import bare
from devices import publish
from mqtt_connections import LAZY, wait_for
from registry import Figure, Run, benchmark, require
from rows import posts, stored_values
from running import running

_MINUTE = 60.0


@benchmark
def meters(run: Run) -> Iterable[Figure]:
    """Seconds until the last reading can be read; the same into a bare server is the floor."""
    connections, each = run.size(1_000, 50), run.size(1_000, 40)
    seconds, count = run.size(_MINUTE * 0.95, 2.0), connections * each
    with bare(run.folder / "bare", LAZY) as door:
        floor = publish(run.folder, door, connections, each, seconds=seconds, window=50)
    folder = run.folder / "city"
    with running(folder, "--idle", DOORS_MQTT_SYNC=LAZY) as city:
        city.register(posts(count // 10, 10))
        begun, before = perf_counter(), city.cpu()
        acknowledged = publish(run.folder, city.mqtt, connections, each, seconds=seconds, window=50)
        wait_for(city, count)
        took = perf_counter() - begun
        spent = (city.cpu() - before) / count * 1e6
        run.say(f"{count} acknowledged after {acknowledged:.1f} s; {spent:.0f} us of the city's processor each")
    kept = stored_values(folder)
    require(kept == list(range(1, count + 1)), f"{count} meters sent and {len(kept)} readings are stored")
    what = f"{count:,} meters on {connections:,} connections, until the last reading is queryable"
    yield Figure(what, took, "s", floor, "acknowledged by a bare server", aim=_MINUTE)
