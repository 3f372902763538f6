"""One turn of a practice that looks at ten thousand streams, from the tick to the record and the outbox."""

import json
from collections.abc import Iterable
from statistics import median
from time import perf_counter
from typing import Any

import pyarrow as pa
from bench_lamps import PRACTICE
from registry import Figure, Run, benchmark, require
from rows import as_arrow, hours_before_today, lamps, posts, readings
from running import Running, running

from civium.client import CityClient
from civium.core import Params, to_datetime
from civium.core.wire import decode_state, encode_plan
from civium.turn import decide_on

_LAMPS = 100  # actuators among the posts
_WARM = 12  # turns until the window is full


@benchmark
def turn_10k(run: Run) -> Iterable[Figure]:
    """Each tick brings one reading a stream; the window holds ten of each. The practice may act."""
    streams = run.size(10_000, 200)
    start = hours_before_today(24)
    with running(run.folder / "city", CLOCK_SOURCE="door") as city:
        _tick(city, start)
        city.register(lamps(posts(streams), min(_LAMPS, streams)))
        wish = {"mandate": "act", "who": "benchmark", "why": "to measure a whole turn"}
        CityClient(city.http).post(f"/api/practices/{PRACTICE.id}/mandate", **wish)
        run.say(f"{streams} posts with a stream each; {min(_LAMPS, streams)} lamps")
        whole = []
        for n in range(1, _WARM + run.size(20, 3)):
            city.post("/bulk/observations", as_arrow(readings(streams, 1, start + n * 1_000_000, seed=n)))
            begun = perf_counter()
            _tick(city, start + n * 1_000_000)
            whole.append((perf_counter() - begun) * 1e3)
        turns = [entry for entry in _ledger(city) if entry["type"] == "turn" and entry["practice"] == PRACTICE.id]
        require(len(turns) == len(whole), f"{len(turns)} turns are on the record, not {len(whole)}")
        last = turns[-1]
        lamps_sent = [event for event in last["events"] if event["what"] == "admitted"]
        require(len(lamps_sent) == min(_LAMPS, streams), f"{len(lamps_sent)} commands were admitted")
        floor = _bare(city, last, streams)
        run.say(f"{len(turns)} turns")
    kept = turns[_WARM - 1 :]
    timing = {name: median(turn["timing"][name] for turn in kept) for name in ("view_ms", "decide_ms", "delay_ms")}
    floor_is = "decide alone, in-process, same view"
    yield Figure(f"one turn with {streams:,} streams: the view", timing["view_ms"], "ms", floor, floor_is)
    yield Figure("  decide, there and back through a worker", timing["decide_ms"], "ms", floor, floor_is)
    yield Figure("  the turn up to its entry on the ledger", timing["delay_ms"], "ms", floor, floor_is)
    yield Figure("  from the tick to the last command sent", median(whole[_WARM - 1 :]), "ms", floor, floor_is)


def _tick(city: Running, instant: int) -> None:
    city.post("/clock", json.dumps({"time": to_datetime(instant).isoformat()}))


def _ledger(city: Running) -> list[dict[str, Any]]:
    return [json.loads(raw) for _, raw in CityClient(city.http).ledger()]


def _bare(city: Running, turn: dict[str, Any], streams: int) -> float:
    """Median time [ms] of the bare decide on the view of a turn; the plan must be the recorded one."""
    client = CityClient(city.http)
    view, state = client.view(turn["id"]), client.state(turn["id"])
    frame: pa.Table = view.frames["temperature"]
    require(frame.num_rows == 10 * streams, f"the window holds {frame.num_rows} readings, not {10 * streams}")
    again = decide_on(PRACTICE.id, view, state, b"{}")
    others = [name for name, value in turn["digests"].items() if again.digests[name] != value]
    require(not others, f"the decision computed again has another {', '.join(others)} than the recorded one")
    before = decode_state(state) if state is not None else {}
    times = []
    for _ in range(7):
        begun = perf_counter()
        plan, _after = PRACTICE.decide(view, before, Params())
        times.append((perf_counter() - begun) * 1e3)
    require(encode_plan(plan) == again.plan, "decide gave another plan")
    return median(times)
