"""What it is worth: travel times from what readers hear of 30 % of the vehicles, beside the times of all of them."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from civium.bench.score import Score, Settings
from civium.core.errors import NeedUnmet
from civium.core.view import FRAME, THINGS, View
from civium.practices.travel_time.decide import decide
from civium.practices.travel_time.matching import SECOND
from civium.practices.travel_time.network import Floats, Ints
from civium.practices.travel_time.params import TravelTimeParams
from civium.practices.travel_time.simulated import Drive, Street, drive, listen
from civium.sandbox.bluetooth import Heard
from civium.sandbox.scenario import Scenario, generated, named, recorded

SEEDS = (0, 1, 2)
PENETRATION = 0.3
INTERVAL_S = 900  # of which a figure is the mean
TURN_S = 300
FEWEST_TRUE = 30  # vehicles that an interval of a link must have had for its truth to count
AIM = 0.05
FLOOR = 0.08  # in Bologna; elsewhere the baseline is
# The generated town: half an hour would give a handful of figures, and with all of its demand it jams for good.
GENERATED_S, GENERATED = 5400, (("scale", "0.8"),)
KNOWN = ("bologna-acosta",)
OPTIONS = {"penetration": f"share of the vehicles with a device; default: {PENETRATION:g}"}


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Error of travel times and of flows, and how much is told. ``ValueError`` for an unreadable scenario."""
    seeds = settings.seeds or SEEDS
    seeds = seeds[:1] if settings.smoke else seeds
    try:
        penetration = float(settings.options.get("penetration", PENETRATION))
    except ValueError:
        raise ValueError("penetration is a share, such as 0.3") from None
    if not 0 < penetration <= 1:
        raise ValueError("penetration is a share above 0, 1 at most")
    with tempfile.TemporaryDirectory() as folder:
        for scenario in _scenarios(settings, Path(folder)):
            try:
                results = [_driven(scenario, seed, penetration, say) for seed in seeds]
                yield from _scores(scenario.name, results, penetration)
            except ValueError as error:
                if settings.scenarios:
                    raise
                settings.tell(f"{scenario.name} is left out: {error}")


def _scenarios(settings: Settings, folder: Path) -> Iterator[Scenario]:
    if settings.scenarios:
        yield from named(settings.scenarios)
        return
    found = recorded(settings.data, KNOWN, settings.tell) if settings.data else iter(())
    if settings.data is None or settings.smoke:
        next(found, None)  # a folder of another layout is refused in a smoke run too
        why = "a smoke run" if settings.data else "no folder of data was given"
        settings.tell(f"{why}: only the generated town is run")
        yield replace(generated(folder, GENERATED_S), options=GENERATED)
    else:
        yield from found


def _driven(scenario: Scenario, seed: int, penetration: float, say: Callable[[str], None]) -> "_Result":
    say(f"{scenario.name}, seed {seed}: driving")
    known, streets = drive(scenario, seed)
    if not streets:
        raise ValueError(f"{scenario.name} has no street between two readers that enough vehicles take")
    return _compare(known, streets, listen(known, penetration, seed), penetration)


def _scores(name: str, results: Sequence["_Result"], penetration: float) -> Iterator[Score]:
    ours, naive, truth, counted, count, clean = (np.concatenate([r[i] for r in results]) for i in range(6))
    told = ~np.isnan(ours)
    least = float(np.abs(clean / truth - 1)[told & ~np.isnan(clean)].mean())
    error = np.abs(ours[told] / truth[told] - 1)
    raw = np.abs(naive[told] / truth[told] - 1)
    flow = np.abs(counted[told] / penetration / count[told] - 1)
    note = (
        f"{len(results)} seeds, {100 * penetration:g} % of the vehicles carry a device; {told.sum()} figures of links "
        f"with {FEWEST_TRUE} vehicles or more in a quarter of an hour; baseline: mean of all matched times; aim {AIM:g}"
    )
    floor = FLOOR if name in KNOWN else float(raw.mean())
    yield Score(name, "travel time, MAPE", "1", float(error.mean()), float(raw.mean()), "lower", floor=floor, note=note)
    yield Score(
        name, "the same, were no device missed and nothing else heard", "1", least, float(raw.mean()), "lower",
        note=f"{note}; ours is here the mean of a random {100 * penetration:g} % of the vehicles: what sampling sets",
    )  # fmt: skip
    yield Score(name, "travel time, 95th percentile of the error", "1", *_p95(error, raw), "lower", note=note)
    bias = [abs(float((of[told] / truth[told] - 1).mean())) for of in (ours, naive)]
    yield Score(name, "travel time, bias", "1", bias[0], bias[1], "lower", note=note)
    yield Score(name, "share of the figures told", "1", float(told.mean()), 1.0, "higher", note=note)
    yield Score(
        name, "flow, MAPE", "1", float(flow.mean()), float("nan"), "lower", note=f"{note}; no baseline for flows"
    )


def _p95(error: Floats, raw: Floats) -> tuple[float, float]:
    return float(np.quantile(error, 0.95)), float(np.quantile(raw, 0.95))


# Ours, naive, truth, matched, vehicles, mean of a clean sample; by link and interval.
_Result = tuple[Floats, Floats, Floats, Floats, Floats, Floats]


def _compare(known: Drive, streets: Sequence[Street], told: Heard, penetration: float) -> _Result:
    """Ours and the naive mean beside the truth, for every link and quarter of an hour that is busy enough."""
    size = int(known.reader.max()) + 1
    link = np.full((size, size), -1, dtype=np.int64)
    for n, street in enumerate(streets):
        link[street.start, street.end] = n
    order = np.lexsort((known.passed, known.vehicle))
    vehicle, reader, passed = known.vehicle[order], known.reader[order], known.passed[order]
    joined = vehicle[1:] == vehicle[:-1]
    random = np.random.default_rng(0xC1EA)
    asked = random.random(len(known.halts)) < penetration  # who would be heard if all were heard, and nobody else
    on = np.where(joined, link[reader[:-1], reader[1:]], -1)
    driven = (on >= 0) & ~known.halts[vehicle[1:]]
    true_link, true_end, true_time = on[driven], passed[1:][driven], np.diff(passed)[driven]
    sampled = asked[vehicle[1:]][driven]
    params = TravelTimeParams(penetration=penetration)
    things = _things(size, streets)
    rows = []
    begin = int(np.ceil((passed.min() + INTERVAL_S) / TURN_S)) * TURN_S
    for end in range(begin, int(passed.max()) + 1, TURN_S):
        of = (true_end > end - INTERVAL_S) & (true_end <= end)
        count = np.bincount(true_link[of], minlength=len(streets))
        mean = np.bincount(true_link[of], true_time[of], len(streets)) / np.maximum(count, 1)
        ours, matched = _decided(told, end, things, size, len(streets), params)
        naive = _decided(told, end, things, size, len(streets), _credulous(params))[0]
        some = np.bincount(true_link[of & sampled], minlength=len(streets))
        clean = np.bincount(true_link[of & sampled], true_time[of & sampled], len(streets)) / np.maximum(some, 1)
        busy = count >= FEWEST_TRUE
        clean[some < params.fewest] = np.nan
        rows.append(np.stack([ours, naive, mean, matched, count, clean])[:, busy])
    table = np.concatenate(rows, axis=1)
    return table[0], table[1], table[2], table[3], table[4], table[5]


def _credulous(params: TravelTimeParams) -> TravelTimeParams:
    return TravelTimeParams(penetration=params.penetration, spread=1e9)


def _decided(
    told: Heard, end: int, things: pa.Table, readers: int, links: int, params: TravelTimeParams
) -> tuple[Floats, Floats]:
    """Travel time [s] of each link at ``end`` [s], as the practice's own decision tells it; and vehicles matched."""
    within = (told.time <= end) & (told.time > end - 5400)
    view = _view(told.reader[within], told.time[within], told.address[within], end, things)
    ours, matched = np.full(links, np.nan), np.full(links, np.nan)
    try:
        plan, _ = decide(view, {}, params)
    except NeedUnmet:
        return ours, matched
    for estimate in plan.estimates:
        n = estimate.thing - readers - 1
        if estimate.property == "travel_time":
            ours[n] = estimate.value
        elif estimate.property == "traffic_volume":
            matched[n] = estimate.value * params.penetration * INTERVAL_S
    return ours, matched


def _view(reader: Ints, time: Floats, address: Ints, end: int, things: pa.Table) -> View:
    order = np.lexsort((time, reader))
    n = len(order)
    thing = reader[order] + 1
    instant = np.round(time[order] * SECOND).astype(np.int64)
    frame = pa.table(
        {
            "id": np.arange(n),
            "stream": thing,
            "thing": thing,
            "time": pa.array(instant).cast(FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": address[order].astype(np.float64),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )
    return View(now=end * SECOND, cut={"OBS0": end}, frames={"passage": frame}, things=things)


def _things(readers: int, streets: Sequence[Street]) -> pa.Table:
    """Readers are things 1 .. readers, then the links."""
    facts = [{"reader": str(n)} for n in range(readers)]
    for street in streets:
        ends = {"from": str(street.start), "to": str(street.end)}
        facts.append({**ends, "length_m": street.length, "free_speed_m_s": street.free_speed})  # type: ignore[dict-item]
    total = len(facts)
    return pa.table(
        {
            "thing": range(1, total + 1),
            "kind": ["bluetooth_reader"] * readers + ["road_link"] * len(streets),
            "name": [str(n) for n in range(total)],
            "lon": pa.nulls(total, pa.float64()),
            "lat": pa.nulls(total, pa.float64()),
            "facts": [json.dumps(f) for f in facts],
        },
        schema=THINGS,
    )
