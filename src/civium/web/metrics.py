"""``/metrics`` for Prometheus and ``/ready`` for whoever sends traffic here. Labels are few: none names a stream."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

from fastapi import Request
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.responses import Response

from civium.city import City
from civium.core import MICROSECONDS
from civium.core.observations import log_stream
from civium.core.rights import Caller
from civium.ledger.projection import COMMANDS, DECISIONS
from civium.web.alarm_sight import AlarmSight
from civium.web.doors import answer, caller_of, city_of
from civium.web.rules import watches
from civium.web.state import NOT_TOLD, counts_of, sources_of, troubles_of

_PATIENCE_S = 5.0  # until what was accepted is in the store, and until the log answers
_STATES = ("open", "acknowledged", "shelved")
_SEVERITIES = ("critical", "warning", "info")


async def metrics(request: Request) -> Response:
    """What this process has done and how it is, in the text form of Prometheus."""
    city = city_of(request)
    letters = sum((await city.letters.counts()).values())
    registry = CollectorRegistry()
    registry.register(_City(city, caller_of(request), letters))
    ProcessCollector(registry=registry)
    return Response(await asyncio.to_thread(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)


async def ready(request: Request) -> Response:
    """Whether this process can do its work: the log answers, the way in is open, the store keeps up; 503 if not."""
    city, caller = city_of(request), caller_of(request)
    checks = {"log": await _asked(_log(city))}
    if "door" in city.roles:
        checks["way in"] = city.mqtt.trouble
    if city.roles & {"web", "writer"} and not checks["log"]:
        checks["store"] = await _asked(_store(city))
    well = not any(checks.values())
    told = {name: (why if watches(caller) else NOT_TOLD) if why else "ok" for name, why in checks.items()}
    return answer({"ready": well, "checks": told}, 200 if well else 503)


async def _asked(work: Awaitable[Any]) -> str:
    """Why something does not go; empty when it does."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await work
    except TimeoutError:
        return f"no answer within {_PATIENCE_S:g} s"
    except Exception as error:  # whatever it is, nothing must be sent here
        return str(error) or type(error).__name__
    return ""


async def _log(city: City) -> None:
    await city.log.refresh("TICK")


async def _store(city: City) -> None:
    await city.stored.reach(await city.log.cut())


class _City(Collector):
    """The numbers of a city at one moment."""

    def __init__(self, city: City, caller: Caller, letters: int) -> None:
        self._city, self._letters = city, letters
        self._reach, self._sight = city.rights.readable(caller), AlarmSight(city, caller)

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from self._clock()
        yield from self._doors()
        yield from self._history()
        yield from self._practices()
        yield from self._watch()

    def _clock(self) -> Iterator[Metric]:
        city = self._city
        yield _gauge("up_seconds", "since this process started", (city.wall.now() - city.started) / MICROSECONDS)
        yield _gauge("last_tick_seconds", "last tick of the city clock, since 1970", city.clock.last / MICROSECONDS)
        yield _counter("ticks", "ticks that this process has seen", city.ticks)
        yield _gauge("troubles", "what does not go well in this process", len(troubles_of(city)))

    def _doors(self) -> Iterator[Metric]:
        city = self._city
        edges = [edge.door for edge in city.edges.values()]
        accepted = {"http": city.intake.accepted, "mqtt": city.mqtt.accepted, "edge": sum(e.accepted for e in edges)}
        refused = {"http": city.intake.refused, "mqtt": city.mqtt.refused, "edge": sum(e.refused for e in edges)}
        yield _counter("accepted", "readings that were accepted", accepted, "door")
        yield _counter("refused", "readings that were refused", refused | {"source": city.sources.refused}, "door")
        yield _gauge("dead_letters", "messages that could not be taken in", self._letters)
        sources = sources_of(city)
        taken = {name: one.sink.accepted for name, one in sources.items()}
        yield _counter("source_accepted", "readings of a source", taken, "source")
        left = {name: one.sink.refused for name, one in sources.items()}
        yield _counter("source_refused", "dead letters of a source", left, "source")
        ill = {name: int(bool(one.trouble)) for name, one in sources.items()}
        yield _gauge("source_trouble", "1: nothing is taken from a source at this moment", ill, "source")

    def _history(self) -> Iterator[Metric]:
        city, shards = self._city, range(self._city.log.shards)
        last = {str(shard): city.log.last(log_stream(shard)) for shard in shards}
        applied = {str(shard): city.stored.at(shard) for shard in shards}
        behind = {shard: max(last[shard] - applied[shard], 0) for shard in last}
        yield _gauge("log_last", "last message of the log", last, "shard")
        yield _gauge("store_applied", "last message that is in the store", applied, "shard")
        yield _gauge("store_behind", "messages that are not in the store yet", behind, "shard")
        yield _counter("commits", "commits of the store", sum(writer.commits for writer in city.writers.values()))
        yield _gauge("store_files", "files of the observations", city.store.files())
        streams, heard, rows = counts_of(city, self._reach)
        yield _gauge("streams", "streams that the caller may read", streams)
        yield _gauge("streams_heard", "those that have a reading", heard)
        yield _gauge("observations", "their observations in the history", rows)

    def _practices(self) -> Iterator[Metric]:
        city, found = self._city, sorted(self._city.turns.practices.found)
        decided = select(DECISIONS.c.practice, func.count().label("n")).group_by(DECISIONS.c.practice)
        counts = {row["practice"]: row["n"] for row in city.ledger.projection.rows(decided)}
        yield _counter(
            "decisions", "decisions on the record", {name: counts.get(name, 0) for name in found}, "practice"
        )
        stopped = {name: int(bool(city.turns.trouble_of(name))) for name in found}
        yield _gauge("practice_stopped", "1: a practice is held or broken", stopped, "practice")
        stands = CounterMetricFamily(
            "civium_commands", "commands by what the record says last of them", labels=("practice", "status")
        )
        group = (COMMANDS.c.practice, COMMANDS.c.status)
        for row in city.ledger.projection.rows(select(*group, func.count().label("n")).group_by(*group)):
            stands.add_metric((row["practice"], row["status"]), row["n"])
        yield stands
        timing = GaugeMetricFamily("civium_turn_seconds", "of the last turn", labels=("practice", "part"))
        for name in found:
            for part, spent in city.turns.last_turn.get(name, {}).items():
                timing.add_metric((name, part.removesuffix("_ms")), spent / 1e3)
        yield timing

    def _watch(self) -> Iterator[Metric]:
        some = self._sight.open()
        alarms = GaugeMetricFamily("civium_alarms", "alarms that are not over", labels=("severity", "state"))
        for severity in _SEVERITIES:
            for state in _STATES:
                count = sum(alarm.severity == severity and alarm.state == state for alarm in some)
                alarms.add_metric((severity, state), count)
        yield alarms


def _gauge(name: str, about: str, value: float | dict[str, int], label: str = "") -> Metric:
    return _filled(GaugeMetricFamily(f"civium_{name}", about, labels=(label,) if label else ()), value)


def _counter(name: str, about: str, value: float | dict[str, int], label: str = "") -> Metric:
    return _filled(CounterMetricFamily(f"civium_{name}", about, labels=(label,) if label else ()), value)


def _filled(metric: Any, value: float | dict[str, int]) -> Metric:
    values = value if isinstance(value, dict) else {None: value}
    for name, number in values.items():
        metric.add_metric(() if name is None else (name,), number)
    found: Metric = metric
    return found
