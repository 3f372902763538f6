"""Backtest: what a practice would have decided on the city's own past, before it is allowed to act.

The practice starts afresh and walks the chosen time tick by tick; each View holds only what lies before its tick.
Nothing is sent and nothing is written. Where the practice decided for real at the same tick, the two are compared.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from civium.client import CityClient
from civium.core import MICROSECONDS, InputRefused, NeedUnmet, Plan
from civium.core.wire import decode_plan
from civium.practices.discovery import load_practices
from civium.turn import decide_on
from civium.twin.views import require_needs


@dataclass(slots=True)
class Backtest:
    """What came of it: counts, the notices that it would have sent, and its estimates against what was measured."""

    ticks: int = 0
    held: int = 0
    decided: int = 0
    commands: int = 0
    estimates: int = 0
    notices: Counter[str] = field(default_factory=Counter)
    agree: int = 0
    compared: int = 0


def backtest(client: CityClient, name: str, start: int, end: int, say: Callable[[float], None]) -> Backtest:
    """Walk ``start < tick <= end`` [us since epoch]; ``say`` hears the share done. Raises InputRefused if unknown."""
    practice = load_practices().found.get(name)
    if practice is None:
        raise InputRefused(f"no practice '{name}' is installed")
    every = int(practice.every * MICROSECONDS)
    ticks = range((start // every + 1) * every, end + 1, every)
    real = {tuple(d["id"].split(".")[-2:]): d for d in client.get("/api/decisions", practice=name, limit=1000)}
    result = Backtest()
    states: dict[str, bytes] = {}
    turns = [(tick, shard) for tick in ticks for shard in practice.parts]
    for number, (tick, shard) in enumerate(turns):
        say(number / len(turns))
        result.ticks += shard == practice.parts[0]
        view = client.past(name, tick, shard)
        if shard != "all" and view.things.num_rows == 0:
            continue
        try:
            require_needs(practice, view)
        except NeedUnmet:
            result.held += 1
            continue
        decided = decide_on(name, view, states.get(shard), b"{}")
        states[shard], plan = decided.state, decode_plan(decided.plan)
        _count(result, plan)
        if (own := real.get((shard, str(tick // MICROSECONDS)))) is not None:
            told = client.get(f"/api/decisions/{own['id']}")["entry"]["plan"]
            result.compared += 1
            result.agree += _wishes(plan) == _wishes(msgspec.convert(told, Plan))
    return result


def _count(result: Backtest, plan: Plan) -> None:
    result.decided += 1
    result.commands += len(plan.commands)
    result.estimates += len(plan.estimates)
    result.notices.update(f"{n.severity}: {n.key}" for n in plan.notices)


def _wishes(plan: Plan) -> dict[int, float | str]:
    return {c.actuator: c.value for c in plan.commands}
