"""Finds how much of its natural demand a town's streets carry under fixed-time signals, so that traffic flows.

A quarter of an hour of the morning peak is driven at several levels of demand. A level flows when hardly any car is
taken out, few wait to enter, the streets stop filling, and cars are not much slower than in light traffic. The result
is kept in the work folder. Effort is bounded by counted work, not by time, so that every machine finds the same; a
level that costs more than is left of it counts as too high.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

from civium.sandbox.demand import Demand
from civium.sandbox.places import Places
from civium.sandbox.streets import Streets
from civium.sandbox.traffic import Tally, Traffic

SPAN_S = 900
WARM_UP_S = 600
PEAK_S = 8 * 3600
LIGHT_PER_LANE_KM = 5.0  # [veh/h] of traffic that flows in any town, up to the most that one core drives easily
MOST_LIGHT = 2500.0  # [veh/h]
TRIP_S = 400.0  # guess of a trip's duration, to foresee what a trial costs
MOST_WAITING = 200  # to enter the map: a trial that comes to this is over
BUDGET_CAR_SECONDS = 1_200_000.0  # 10 to 20 s of one core, on a net of a thousand edges
COSTLY_EDGES = 1200.0  # so many edges double the cost of a car, which looks for its way through them
CLOSE_ENOUGH = 1.3  # ratio of the lowest level that jams to the highest that flows
MARGIN = 0.85  # of the highest level that flows: other seeds and other hours have their bad moments
_SEED = 20_26  # of the trial runs, so that all seeds of a town share one scale


def calibrate(
    net: Path, streets: Streets, places: Places, work: Path, say: Callable[[str], None] = lambda _: None
) -> float:
    """The share of the natural demand that flows (at most 1), from the cache in ``work`` or by trial runs."""
    day = date(2026, 6, 10)  # a Wednesday
    natural = Demand(streets, places, _SEED, day)
    peak = sum(natural.rates(PEAK_S // 60).values())
    settings = (SPAN_S, WARM_UP_S, LIGHT_PER_LANE_KM, BUDGET_CAR_SECONDS, CLOSE_ENOUGH, MARGIN)
    key = hashlib.sha256(f"{net.name} {peak!r} {settings}".encode()).hexdigest()[:12]
    kept = work / f"demand-{key}.json"
    if kept.is_file():
        return float(json.loads(kept.read_text())["scale"])
    scale = _search(natural, peak, streets, work, say)
    work.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"scale": scale, "natural_veh_per_hour": peak}))
    return scale


def _search(natural: Demand, peak: float, streets: Streets, work: Path, say: Callable[[str], None]) -> float:
    """Halves the span, on a logarithmic scale, between light traffic and the whole of the natural demand."""
    lane_km = sum(edge.length * edge.lanes for edge in streets.edges.values()) / 1000
    least = min(LIGHT_PER_LANE_KM * lane_km, MOST_LIGHT)
    if peak <= least:
        return 1.0
    cost = (WARM_UP_S + SPAN_S) * (1 + len(streets.edges) / COSTLY_EDGES)  # of a car on the way throughout
    low, high, budget = least / peak, 1.0, BUDGET_CAR_SECONDS
    trial, light = low, 0.0
    while high / low > CLOSE_ENOUGH:
        flows = False
        if trial * peak * TRIP_S / 3600 * cost <= budget:
            say(f"calibrating traffic: {trial * peak:.0f} cars an hour")
            tallies = _drive(natural.at_scale(trial), streets.file, work)
            budget -= sum(t.running for t in tallies) / len(tallies) * cost
            light = light or _speed_ratio(tallies)
            flows = len(tallies) > SPAN_S // 60 and _flows(tallies, light)
        if flows or trial == low:
            low = trial
        else:
            high = trial
        trial = (low * high) ** 0.5
    return low * MARGIN


def _drive(demand: Demand, net: Path, work: Path) -> list[Tally]:
    """A tally at the start and after each minute, cut short by a jam."""
    traffic = Traffic(net, demand, PEAK_S, work, warm_up=WARM_UP_S)
    try:
        tallies = [traffic.tally()]
        for _ in range(SPAN_S // 60):
            for _ in range(60):
                traffic.step()
            tallies.append(traffic.tally())
            if tallies[-1].waiting > MOST_WAITING:
                break
    finally:
        traffic.close()
    return tallies


def _speed_ratio(tallies: list[Tally]) -> float:
    """Mean share of free-flow speed: 1 - time lost over time spent, those who wait to enter included."""
    spent = sum(t.running + t.waiting for t in tallies[1:]) * 60.0
    return 1.0 - tallies[-1].delay / spent if spent else 1.0


def _flows(tallies: list[Tally], light: float) -> bool:
    last, third = tallies[-1], len(tallies) // 3
    early = sum(t.running + t.waiting for t in tallies[third : 2 * third]) / third
    late = sum(t.running + t.waiting for t in tallies[2 * third :]) / (len(tallies) - 2 * third)
    return (
        last.teleports <= 0.003 * last.departed
        and last.waiting <= 0.03 * last.departed
        and late <= 1.2 * early + 10
        and _speed_ratio(tallies) >= 0.75 * light
    )
