"""What a policy for the signals does to a town in the years to come: the same days, driven under each policy."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from civium.bench.trial import Future, Ground
from civium.core.wire import convert_params
from civium.practices.signal_control.episode import run
from civium.practices.signal_control.params import SignalParams
from civium.sandbox.demand import Trip
from civium.sandbox.scenario import Scenario, named
from civium.sandbox.town import prepare
from civium.sandbox.traffic import DRIVERS

POLICIES = {"fixed": "the signals' own fixed-time programs", "adaptive": "this practice, with parameters if given"}
MEASURES = {"mean delay": "s", "trips that did not end": "1"}
_WEDNESDAY = date(2026, 6, 10)


@dataclass(frozen=True, slots=True)
class _Facts:
    scenario: Scenario
    scale: float


def grounds(future: Future, say: Callable[[str], None]) -> Iterator[Ground]:
    """Every day under every seed. ``ValueError`` for an unreadable scenario, ``InputRefused`` for such a town."""
    if future.scenario is not None:
        for scenario in named((future.scenario,)):
            paths = (scenario.net, *scenario.routes, *scenario.additional)
            packed = {f"{i}-{path.name}": path.read_bytes() for i, path in enumerate(paths)}
            for day, factor in enumerate(future.factors):
                yield from (Ground(day, seed, packed, _Facts(scenario, factor)) for seed in future.seeds)
        return
    begin = round(future.hour * 60)
    for seed in future.seeds:
        town = prepare(future.town, future.work, seed, _WEDNESDAY, say)
        for day, factor in enumerate(future.factors):
            demand = town.demand.at_scale(town.demand.scale * factor)
            trips = [t for minute in range(begin, begin + future.minutes) for t in demand.trips(minute)]
            scenario = Scenario(
                f"{future.town.name.partition('.')[0]} at {future.hour:g} h",
                town.net, (Path("trips.rou.xml"),), (), DRIVERS, begin * 60, (begin + future.minutes) * 60,
            )  # fmt: skip
            files = {f"0-{town.net.name}": town.net.read_bytes(), "1-trips.rou.xml": _routes(trips)}
            yield Ground(day, seed, files, _Facts(scenario, 1.0))


def _routes(trips: list[Trip]) -> bytes:
    lines = [
        f'<trip id={quoteattr(t.id)} depart="{t.depart:.2f}" from={quoteattr(t.start)} to={quoteattr(t.end)} '
        'departLane="best" departSpeed="max"/>'
        for t in trips
    ]
    return "\n".join(["<routes>", *lines, "</routes>"]).encode()


def drive(ground: Ground, policy: str, params: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one day under one policy; a process of its own each, since libsumo keeps one simulation."""
    facts: _Facts = ground.facts
    with tempfile.TemporaryDirectory() as name:
        places = [Path(name, file) for file in ground.files]
        for place, content in zip(places, ground.files.values(), strict=True):
            place.write_bytes(content)
        count = len(facts.scenario.routes)
        scenario = replace(
            facts.scenario, net=places[0], routes=tuple(places[1 : 1 + count]), additional=tuple(places[1 + count :])
        )
        chosen = convert_params(SignalParams, params)
        done = run(scenario, ground.seed, policy == "adaptive", chosen, scale=facts.scale)
    return {"mean delay": done.delay, "trips that did not end": float(done.unfinished)}
