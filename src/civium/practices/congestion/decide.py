"""The pure decision: the state of each segment, what is sudden, incident or routine, what comes, and ways round."""

import json

import numpy as np

from civium.core import MICROSECONDS, Command, Estimate, NeedUnmet, Notice, Plan, State, View
from civium.core.view import column
from civium.practices.congestion.detour import Detour, detours
from civium.practices.congestion.memory import EMPTY, HORIZONS, STEP, Bools, Floats, Ints, Memory, fresh, recall
from civium.practices.congestion.network import Network, Newest, network_of, seen_of
from civium.practices.congestion.outlook import forecasts, interval, known_hour, observe, usual
from civium.practices.congestion.params import CongestionParams
from civium.practices.congestion.sudden import surprise

FREE, SLOW, JAMMED, STANDING = range(4)
NOTHING, ROUTINE, INCIDENT = range(3)
AHEAD = {"5_min": 0, "15_min": 1, "30_min": 2, "60_min": 3}  # position in HORIZONS
KEYS = {ROUTINE: "jam", INCIDENT: "incident"}
MOST_INCIDENTS = 5  # for which ways round are looked for in one turn
QUARTER = 3  # steps of a quarter of an hour
SURE = 0.9  # share of the truth that the interval shall hold


def start(view: View, params: CongestionParams) -> State:
    """Nothing is known yet."""
    return fresh(network_of(view.things).id)


def decide(view: View, state: State, params: CongestionParams) -> tuple[Plan, State]:
    """One turn for all segments. ``NeedUnmet`` when no segment tells a speed that can be believed."""
    network, now = network_of(view.things), view.now
    memory = recall(state, network.id)
    speed, flow = seen_of(view, network)
    fresh_now = (speed.at > 0) & (now - speed.at <= round(params.stale * MICROSECONDS))
    if not fresh_now.any():
        raise NeedUnmet("speed", "no street segment tells a speed from 0 to 90 m/s; ask who runs the detectors")
    if now // STEP < int(memory["step"][0]):
        memory = _forget_present(memory)  # the clock was set back: what is remembered lies in its future
    value = np.where(fresh_now, speed.value, np.nan)
    free = _free_speed(memory, network, value)
    new = fresh_now & (speed.at > memory["heard"])
    sudden = _sudden(memory, speed, new, free, params)
    _step(memory, network, value, new, now, params)
    around = (now / STEP + shift * QUARTER for shift in (-1, 0, 1))
    level = np.min([usual(memory, step) for step in around], axis=0)  # a jam may come a little sooner or later
    told = _states(value, free, params)
    kinds = _kinds(memory, value, told, sudden, free, level, now, params)
    ways = _ways(network, kinds, value, flow, now, params)
    notices = _notices(memory, network, kinds, told, value, free, ways, now)
    estimates = _estimates(memory, network, value, told, free, now)
    commands = _commands(view, network, ways, now, params)
    memory["heard"] = np.maximum(memory["heard"], speed.at)
    memory["state"] = told.astype(np.int8)
    jams, incidents = (int((memory["told"] == kind).sum()) for kind in (ROUTINE, INCIDENT))
    because = (
        f"{int(fresh_now.sum())} of {len(network.id)} segments heard, {jams} jammed as usual, {incidents} incidents, "
        f"{len(ways)} ways round"
    )
    return Plan(commands, estimates, notices, because), memory


def _forget_present(memory: Memory) -> Memory:
    clean = fresh(memory["segment"])
    kept = ("total", "weight", "gram", "moment", "beta", "error", "top", "drops", "fast")
    shared = ("rows", "shared_gram", "shared_moment", "scores")
    return {**clean, **{name: memory[name] for name in (*kept, *shared)}}


def _free_speed(memory: Memory, network: Network, value: Floats) -> Floats:
    """Free flow of each segment [m/s]: as the facts tell, else the fastest seen, fading by a half in 700 readings."""
    fast = memory["fast"].astype(np.float64)
    fast = np.where(np.isnan(fast), value, np.where(np.isnan(value), fast, np.maximum(value, fast * 0.999)))
    memory["fast"] = fast.astype(np.float32)
    return np.where(np.isnan(network.free), fast, network.free)


def _sudden(memory: Memory, speed: Newest, new: Bools, free: Floats, params: CongestionParams) -> Bools:
    before = np.median(memory["last"].astype(np.float64), axis=1)
    ratio = surprise(memory, speed.value, new)
    with np.errstate(invalid="ignore"):
        deep = before - speed.value >= params.least_drop * free
    rested = speed.at - memory["alarmed"] > round(params.refractory * MICROSECONDS)
    found: Bools = new & (ratio >= params.surprise) & deep & rested
    memory["alarmed"] = np.where(found, speed.at, memory["alarmed"])
    return found


def _step(memory: Memory, network: Network, value: Floats, new: Bools, now: int, params: CongestionParams) -> None:
    """Gather readings; every five minutes their mean is what the forecast observes and learns from."""
    memory["sum"] = memory["sum"] + np.where(new, np.nan_to_num(value), 0.0)
    memory["count"] = (memory["count"] + new).astype(np.int32)
    step = now // STEP
    if step == int(memory["step"][0]):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(memory["count"] > 0, memory["sum"] / memory["count"], np.nan)
    observe(memory, mean, step, network.weights, params)
    memory["sum"], memory["count"] = np.zeros_like(memory["sum"]), np.zeros_like(memory["count"])


def _states(value: Floats, free: Floats, params: CongestionParams) -> Ints:
    """State of each segment; ``EMPTY`` where nothing is known [n]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = value / free
    told = np.where(share < params.stand, STANDING, np.where(share < params.jam, JAMMED, SLOW))
    told = np.where(share >= params.slow, FREE, told)
    return np.where(np.isfinite(share), told, EMPTY).astype(np.int64)


def _kinds(
    memory: Memory,
    value: Floats,
    told: Ints,
    sudden: Bools,
    free: Floats,
    level: Floats,
    now: int,
    params: CongestionParams,
) -> Ints:
    """What each segment has by now: nothing, a routine jam, or an incident [n].

    A jam that is far under what is usual around this hour is an incident; where that is not known yet, one that came at
    one stroke is. It stays one until traffic has flowed for a while. ``level`` is what is usual [m/s].
    """
    before = memory["told"].astype(np.int64)
    jammed = told >= JAMMED
    known = known_hour(memory, now // STEP) & np.isfinite(level)
    last = memory["last"].astype(np.float64)  # the newest reading first
    with np.errstate(invalid="ignore"):
        strange = value < params.unusual * level
        twice = strange & (last[:, 1] < params.unusual * level)  # a single red light is no incident
        lasting = np.median(last, axis=1) < params.jam * free  # nor is it a jam
    incident = jammed & np.where(known, strange & (sudden | twice), sudden)
    kind = np.where(incident, INCIDENT, np.where(jammed & lasting, ROUTINE, NOTHING))
    kind = np.where((before == INCIDENT) & jammed, INCIDENT, kind)
    flows = (told == FREE) | (told == SLOW)
    memory["flowing"] = np.where(flows, np.where(memory["flowing"] > 0, memory["flowing"], now), 0)
    over = flows & (now - memory["flowing"] >= round(params.clear * MICROSECONDS))
    return np.where((before != NOTHING) & (kind == NOTHING) & ~over, before, kind)


def _ways(
    network: Network, kinds: Ints, value: Floats, flow: Newest, now: int, params: CongestionParams
) -> tuple[Detour, ...]:
    recent = (flow.at > 0) & (now - flow.at <= round(params.stale * MICROSECONDS))
    load = np.where(recent, flow.value, np.nan)
    found: list[Detour] = []
    worst = sorted(np.flatnonzero(kinds == INCIDENT).tolist(), key=lambda row: np.nan_to_num(value[row], nan=99.0))
    for row in worst[:MOST_INCIDENTS]:
        found += detours(network, row, value, load, params)
    return tuple(found)


def _notices(
    memory: Memory,
    network: Network,
    kinds: Ints,
    told: Ints,
    value: Floats,
    free: Floats,
    ways: tuple[Detour, ...],
    now: int,
) -> tuple[Notice, ...]:
    before = memory["told"].astype(np.int64)
    notices = []
    for row in np.flatnonzero(kinds != before).tolist():
        name, thing = network.name[row], int(network.id[row])
        if kinds[row] == NOTHING:
            notices.append(Notice("public", "info", "clear", {"name": name}, thing))
            continue
        speed = "?" if np.isnan(value[row]) else round(float(value[row]) * 3.6)
        severity = "warning" if kinds[row] == INCIDENT else "info"
        notices.append(Notice("public", severity, KEYS[int(kinds[row])], {"name": name, "km_h": speed}, thing))
    fresh_ones = {way.incident for way in ways if before[way.incident] != INCIDENT}
    notices += [
        Notice(
            "public",
            "info",
            "detour",
            {
                "name": network.name[way.incident],
                "via": _via(network, way),
                "minutes": round(way.saves / 60),
                "percent": round(100 * way.share),
            },
            int(network.id[way.incident]),
        )
        for way in ways
        if way.incident in fresh_ones
    ]
    memory["since"] = np.where((kinds != NOTHING) & (before == NOTHING), now, memory["since"])
    memory["told"] = kinds.astype(np.int8)
    return tuple(notices)


def _via(network: Network, way: Detour) -> str:
    """The streets of a way, each once, in order."""
    return ", ".join(dict.fromkeys(network.name[row] for row in way.path))


def _commands(
    view: View, network: Network, ways: tuple[Detour, ...], now: int, params: CongestionParams
) -> tuple[Command, ...]:
    """What the drivers' terminals are told: every way that holds now, as JSON."""
    if not ways:
        return ()
    text = json.dumps([told_way(network, way) for way in ways], separators=(",", ":"))
    until = now + round(params.lapse * MICROSECONDS)
    because = f"round {', '.join(sorted({network.name[way.incident] for way in ways}))}"
    return tuple(
        Command(int(actuator), text, until, because=because)
        for actuator in column(view.actuators, "actuator").astype(np.int64)
    )


def told_way(network: Network, way: Detour) -> dict[str, object]:
    """A way as the terminals read it: codes of segments, the share of drivers, seconds saved."""
    return {
        "avoid": network.code[way.incident],
        "after": network.code[way.leave],
        "path": [network.code[row] for row in way.path],
        "rejoin": network.code[way.rejoin],
        "share": round(way.share, 3),
        "saves_s": round(way.saves),
    }


def _estimates(
    memory: Memory, network: Network, value: Floats, told: Ints, free: Floats, now: int
) -> tuple[Estimate, ...]:
    made = [
        Estimate(int(network.id[row]), "congestion_state", now, float(told[row]))
        for row in np.flatnonzero(told != EMPTY).tolist()
    ]
    step = int(memory["step"][0])
    ahead = forecasts(memory, step, network.weights)
    for name, h in AHEAD.items():
        bounds = interval(memory, h, SURE)
        until = (step + HORIZONS[h]) * STEP
        top = np.maximum(free * 1.5, 1.0)
        for row in np.flatnonzero(np.isfinite(ahead[:, h]) & np.isfinite(value)).tolist():
            speed = float(np.clip(ahead[row, h], 0.0, top[row]))
            low, high = (float(np.clip(speed + b, 0.0, top[row])) for b in np.nan_to_num(bounds[row], nan=np.inf))
            sure = bool(np.isfinite(bounds[row]).all())
            made.append(
                Estimate(int(network.id[row]), f"vehicle_speed_in_{name}", now, speed, max(until, now),
                         low if sure else None, high if sure else None)
            )  # fmt: skip
    return tuple(made)
