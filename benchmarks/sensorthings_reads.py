"""SensorThings where peers time out: counts, the latest of very many streams, pages far on, and long answers."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import duckdb
from read_latest_history import fill
from registry import Figure, Run, benchmark, require
from rows import posts
from running import Running, running, told

_HOUR = 3_600_000_000
_STREAMS_EACH = 10
_ASKED = 5  # times that each is asked
_LATEST = "Observations($top=1;$orderby=phenomenonTime desc)"


@benchmark
def sensorthings_reads(run: Run) -> Iterable[Figure]:
    """Each is asked some times after once that nobody counts; the floor is DuckDB on the same Parquet files."""
    streams, hours = run.size(1_000_000, 2_000), run.size(100, 50)
    many, deep, long = run.size(10_000, 1_000), run.size(10_000_000, 50_000), run.size(1_000_000, 50_000)
    start = (int(time.time()) // 3600 - hours + 1) * _HOUR
    folder = run.folder / "city"
    with running(folder, "--idle") as city:
        city.register(posts(streams // _STREAMS_EACH, _STREAMS_EACH))
    files = fill(run, folder, streams, hours, start)
    bare = _Bare(files)
    floor_is = "bare DuckDB on the same Parquet"
    rows = f"of {streams * hours:,} observations of {streams:,} streams"
    with running(folder, "--idle") as city:
        run.say("the city is up")
        took, answer = _timed(lambda n: _get(city, "/v1.1/Observations?$count=true&$top=0"))
        require(answer["@iot.count"] == streams * hours, f"{answer['@iot.count']} are counted")
        yield Figure(f"$count {rows}", took, "ms", bare.timed(lambda n: "SELECT count(*) {}"), floor_is, aim=100.0)

        took, answer = _timed(lambda n: _get(city, f"/v1.1/Things({n + 1})/Datastreams?$expand={_LATEST}"))
        require(len(answer["value"]) == _STREAMS_EACH, "a Thing has not all its Datastreams")
        require(all(len(one["Observations"]) == 1 for one in answer["value"]), "a latest value is missing")
        floor = bare.timed(lambda n: _newest(n * _STREAMS_EACH + 1, (n + 1) * _STREAMS_EACH))
        yield Figure("  latest of all Datastreams of a Thing", took, "ms", floor, floor_is, aim=50.0)

        took, answer = _timed(lambda n: _get(city, f"/v1.1/Datastreams?$top={many}&$expand={_LATEST}"))
        require(
            len({one["Observations"][0]["@iot.id"] for one in answer["value"]}) == many, "latest values are missing"
        )
        floor = bare.timed(lambda n: _newest(1, many))
        yield Figure(f"  latest of {many:,} Datastreams", took, "ms", floor, floor_is, aim=1000.0)

        page = f"/v1.1/Observations?$skip={deep}&$select=@iot.id"
        took, answer = _timed(lambda n: _get(city, page), times=2)
        floor = bare.timed(lambda n: f"SELECT id {{}} ORDER BY id LIMIT 101 OFFSET {deep}", times=2)
        yield Figure(f"  a page behind $skip={deep:,}", took, "ms", floor, floor_is)
        first, _ = _timed(lambda n: _get(city, "/v1.1/Observations?$select=@iot.id"))
        yield Figure(
            "    the first page", first, "ms", bare.timed(lambda n: "SELECT id {} ORDER BY id LIMIT 101"), floor_is
        )
        links = [answer["@iot.nextLink"]]
        for _ in range(_ASKED):
            links.append(_get(city, _path(links[-1]))["@iot.nextLink"])
        took, _ = _timed(lambda n: _get(city, _path(links[n])))
        yield Figure("    by the next link from there", took, "ms", first, "the first page")

        before = city.memory()
        begun = perf_counter()
        lines = _lines(city, f"/v1.1/Observations?$resultFormat=CSV&$select=@iot.id,result&$top={long}")
        took = (perf_counter() - begun) * 1e3
        require(lines == long + 1, f"{lines} lines of CSV")
        csv = run.folder / "bare.csv"
        floor = bare.timed(lambda n: f"COPY (SELECT id, value {{}} ORDER BY id LIMIT {long}) TO '{csv}'", times=1)
        yield Figure(f"  {long:,} observations as CSV", took, "ms", floor, floor_is)
        grown = max(city.memory() - before, 0) / 1e6
        yield Figure("    memory it took", grown, "MB", csv.stat().st_size / 1e6, "the length of the answer")


def _get(city: Running, path: str) -> Any:
    """JSON of a GET whose options stand in the address, as those of a next link do."""
    return told(city.http.get(path)).json()


def _newest(first: int, last: int) -> str:
    latest = "arg_max({'id': id, 'time': time, 'value': value}, (time, id))"
    return f"SELECT stream, {latest} {{}} WHERE stream BETWEEN {first} AND {last} GROUP BY stream"


def _path(link: str) -> str:
    return "/v1.1/" + link.partition("/v1.1/")[2]


def _lines(city: Running, path: str) -> int:
    """How many lines an answer has, of which no more than a piece is in memory."""
    with city.http.stream("GET", path) as answer:
        require(answer.status_code == 200, f"{path} was answered {answer.status_code}")
        return sum(piece.count(b"\n") for piece in answer.iter_bytes())


def _timed(ask: Callable[[int], Any], times: int = _ASKED) -> tuple[float, Any]:
    """Median time [ms] of asking, after once that nobody counts; and the last answer."""
    ask(times)
    taken = []
    for n in range(times):
        begun = perf_counter()
        answer = ask(n)
        taken.append((perf_counter() - begun) * 1e3)
    return median(taken), answer


class _Bare:
    """DuckDB alone, with the store's settings, on the same files."""

    def __init__(self, files: list[Path]) -> None:
        self._duck = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
        self._from = f"FROM read_parquet({[str(file) for file in files]!r}, hive_partitioning = false)"

    def timed(self, sql: Callable[[int], str], times: int = _ASKED) -> float:
        return _timed(lambda n: self._duck.execute(sql(n).replace("{}", self._from)).fetchall(), times)[0]
