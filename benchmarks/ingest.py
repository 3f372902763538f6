"""What both bulk benchmarks share: a body into a door, then a read that must give all of it back."""

from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

import numpy as np
import pyarrow as pa
from registry import Figure, Run, require
from rows import KIND, PROPERTY, bare_insert, hours_before_today, last_values, posts, readings
from running import Running, running

_REPEATS = 5


def until_queryable(
    run: Run, what: str, door: str, encode: Callable[[pa.Table, int], bytes], aim: float
) -> Iterable[Figure]:
    """Time from the first byte of a request to the end of a read that sees all its rows; median of some requests."""
    streams = run.size(1_000, 100)
    each = run.size(1_000, 100)
    count = streams * each
    with running(run.folder / "city", "--idle") as city:
        city.register(posts(streams))
        run.say(f"{streams} streams registered; {count} rows a request")
        times, processor, floors = [], [], []
        for n in range(run.size(_REPEATS, 2)):
            table = readings(streams, each, hours_before_today(24) + n * 3_600_000_000, seed=n)
            body = encode(table, streams)
            cpu, started = city.cpu(), perf_counter()
            city.post(door, body)
            answered = perf_counter() - started
            seen = city.get("/v1.1/Observations", **{"$count": "true", "$top": 1})["@iot.count"]
            times.append(perf_counter() - started)
            processor.append(city.cpu() - cpu)
            require(seen == count * (n + 1), f"{seen} of {count * (n + 1)} observations can be read")
            latest = _latest(city)
            require(len(latest) == streams, f"{len(latest)} of {streams} streams have a latest value")
            expected = last_values(table, streams)
            require(bool(np.allclose(latest, expected)), "a latest value is not what was sent")
            floors.append(bare_insert(table, run.folder / f"bare{n}"))
            run.say(f"{len(body) / 1e6:.0f} MB: answered after {answered:.2f} s, readable after {times[-1]:.2f} s, "
                    f"processor {processor[-1]:.2f} s, bare insert {floors[-1]:.2f} s")  # fmt: skip
    yield Figure(f"{count:,} observations {what} until queryable", median(times), "s", median(floors),
                 "bare DuckLake insert of the same rows", aim)  # fmt: skip
    yield Figure("  processor time of the city for it", median(processor), "s", median(floors), "the same insert")


def _latest(city: Running) -> list[float]:
    """The latest value of every post [K], in the order of the streams."""
    features = city.get("/api/latest", kind=KIND, property=PROPERTY)["features"]
    return [feature["properties"]["value"] for feature in features]
