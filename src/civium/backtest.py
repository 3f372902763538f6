"""Backtest: what a practice would have decided on the city's own past, before it is allowed to act.

The practice starts afresh and walks the chosen time tick by tick; each View holds only what lies before its tick.
Nothing is sent and nothing is written. Where the practice decided for real at the same tick, the two are compared.
Several variants of its parameters walk side by side, over the same Views.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from civium.client import CityClient
from civium.core import MICROSECONDS, InputRefused, NeedUnmet, Plan, View
from civium.core.wire import convert_params, decode_plan
from civium.practices.discovery import load_practices
from civium.turn import decide_on
from civium.twin.views import require_needs

_Spot = tuple[int, str, float | None, float | None]  # a thing, its name, longitude and latitude [deg]


@dataclass(slots=True)
class Backtest:
    """What came of one variant: its parameters that are not the defaults, counts, the notices that it would have sent.

    ``changes`` is how often its wish for an actuator changed, ``differ`` how many wishes the first variant had not.
    ``things`` tells both for each thing that it would act on: columns ``thing, name, lon, lat, changes, differ``.
    """

    params: dict[str, Any] = field(default_factory=dict)
    ticks: int = 0
    held: int = 0
    decided: int = 0
    commands: int = 0
    estimates: int = 0
    notices: dict[str, int] = field(default_factory=dict)
    agree: int = 0
    compared: int = 0
    changes: int = 0
    differ: int = 0
    things: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class _Walker:
    """One variant on its way: its states, and what it wished last of each actuator."""

    result: Backtest
    params: bytes
    states: dict[str, bytes] = field(default_factory=dict)
    last: dict[int, float | str] = field(default_factory=dict)
    changes: Counter[int] = field(default_factory=Counter)  # of each actuator
    differ: Counter[int] = field(default_factory=Counter)


def backtest(
    client: CityClient,
    name: str,
    start: int,
    end: int,
    say: Callable[[float], None],
    variants: Sequence[Mapping[str, Any]] = (),
) -> list[Backtest]:
    """Walk ``start < tick <= end`` [us since epoch]; ``say`` hears the share done.

    The first result is that of the parameters that are in force, then one for each of the ``variants``: parameters that
    take the place of those in force. Raises InputRefused for an unknown practice or parameter.
    """
    practice = load_practices().found.get(name)
    if practice is None:
        raise InputRefused(f"no practice '{name}' is installed")
    now = {p["name"]: p["value"] for p in client.get(f"/api/practices/{name}")["params"] if p["value"] != p["default"]}
    walkers = []
    for params in (now, *({**now, **variant} for variant in variants)):
        try:
            convert_params(practice.params, params)
        except msgspec.ValidationError as error:
            raise InputRefused(f"parameters of {name}: {error}") from None
        walkers.append(_Walker(Backtest(params), msgspec.json.encode(params)))
    every = int(practice.every * MICROSECONDS)
    ticks = range((start // every + 1) * every, end + 1, every)
    real = {tuple(d["id"].split(".")[-2:]): d for d in client.get("/api/decisions", practice=name, limit=1000)}
    spots: dict[int, _Spot] = {}
    turns = [(tick, shard) for tick in ticks for shard in practice.parts]
    for number, (tick, shard) in enumerate(turns):
        say(number / len(turns))
        for walker in walkers:
            walker.result.ticks += shard == practice.parts[0]
        view = client.past(name, tick, shard)
        if shard != "all" and view.things.num_rows == 0:
            continue
        try:
            require_needs(practice, view)
        except NeedUnmet:
            for walker in walkers:
                walker.result.held += 1
            continue
        plans = [_step(walker, name, view, shard) for walker in walkers]
        first = _wishes(plans[0])
        told = None
        if (own := real.get((shard, str(tick // MICROSECONDS)))) is not None:
            told = _wishes(msgspec.convert(client.get(f"/api/decisions/{own['id']}")["entry"]["plan"], Plan))
        for walker, plan in zip(walkers, plans, strict=True):
            wishes = _wishes(plan)
            walker.differ.update(one for one in wishes.keys() | first.keys() if wishes.get(one) != first.get(one))
            walker.result.compared += told is not None
            walker.result.agree += wishes == told
        spots.update(_spots(view))
    for walker in walkers:
        walker.result.changes, walker.result.differ = walker.changes.total(), walker.differ.total()
        walker.result.things = _by_thing(walker, spots)
    return [walker.result for walker in walkers]


def _spots(view: View) -> dict[int, _Spot]:
    """Where the thing of each actuator stands."""
    rows = zip(*(view.things.column(name).to_pylist() for name in ("thing", "name", "lon", "lat")), strict=True)
    places: dict[int, _Spot] = {row[0]: row for row in rows}
    pairs = zip(*(view.actuators.column(name).to_pylist() for name in ("actuator", "thing")), strict=True)
    return {actuator: places.get(thing, (thing, "", None, None)) for actuator, thing in pairs}


def _by_thing(walker: _Walker, spots: Mapping[int, _Spot]) -> dict[str, list[Any]]:
    told: dict[int, list[Any]] = {}
    for actuator in (walker.last.keys() | walker.differ.keys()) & spots.keys():
        row = told.setdefault(spots[actuator][0], [*spots[actuator], 0, 0])
        row[-2] += walker.changes[actuator]
        row[-1] += walker.differ[actuator]
    columns = zip(*(told[thing] for thing in sorted(told)), strict=True)
    return (
        dict(zip(("thing", "name", "lon", "lat", "changes", "differ"), map(list, columns), strict=True)) if told else {}
    )


def _step(walker: _Walker, name: str, view: View, shard: str) -> Plan:
    """Let one variant decide on a View, and count what it wishes."""
    decided = decide_on(name, view, walker.states.get(shard), walker.params)
    walker.states[shard], plan = decided.state, decode_plan(decided.plan)
    result = walker.result
    result.decided += 1
    result.commands += len(plan.commands)
    result.estimates += len(plan.estimates)
    for notice in plan.notices:
        key = f"{notice.severity}: {notice.key}"
        result.notices[key] = result.notices.get(key, 0) + 1
    for actuator, value in _wishes(plan).items():
        walker.changes[actuator] += walker.last.get(actuator, value) != value
        walker.last[actuator] = value
    return plan


def _wishes(plan: Plan) -> dict[int, float | str]:
    return {c.actuator: c.value for c in plan.commands}
