"""The pure decision: what is taken now and soon, whether a place will be free, where signs point, what is broken."""

import numpy as np

from civium.core import MICROSECONDS, Command, Estimate, NeedUnmet, Notice, Plan, State, View
from civium.practices.parking.faults import KEYS, RIGHT, Seen, keep_lows, look
from civium.practices.parking.forecast import forecasts, learn, quantile, slots, spread
from civium.practices.parking.guide import SOON, free_probability, point
from civium.practices.parking.lots import Lots, lots_of, newest
from civium.practices.parking.memory import EMPTY, HORIZONS, SLOT, Floats, Memory, fresh, recall
from civium.practices.parking.params import ParkingParams

AHEAD = {"15_min": 900, "30_min": 1800, "60_min": 3600, "1_day": 86_400}  # [s]
_SLOT_OF = {"30_min": 0, "60_min": 1, "1_day": 3}  # position in HORIZONS
NEAR_FULL, FREE_AGAIN = 0.2, 0.5  # probability of a free place at which a car park is told to be full, and free again


def start(view: View, params: ParkingParams) -> State:
    """Nothing is known yet."""
    lots = lots_of(view)
    return fresh(lots.id, lots.bay, lots.guide)


def decide(view: View, state: State, params: ParkingParams) -> tuple[Plan, State]:
    """One turn for all car parks, bays and guides. ``NeedUnmet`` when no sensor speaks that can be believed."""
    lots, now = lots_of(view), view.now
    memory = recall(state, lots.id, lots.bay, lots.guide)
    count = newest(view.frames.get("count"), lots.id, now)
    seen = look(memory, lots, count, newest(view.frames.get("bay"), lots.bay, now), now, params)
    known = np.isfinite(seen.share)
    if not known.any() and not np.isfinite(seen.bay_taken).any() and not _told_something(memory, seen):
        raise NeedUnmet("count", "no car park and no bay sends a count that can be believed; ask who runs the sensors")
    slot, past = now // SLOT, int(memory["slot"][0])
    if slot < past:
        _forget_recent(memory)  # the clock was set back: what is remembered lies in its future
    if slot != past:
        keep_lows(memory, count.value, slot)
        learn(memory, seen.share, slot, params)
    elapsed = (now - int(memory["turned"][0])) / MICROSECONDS if memory["turned"][0] >= 0 else 0.0
    told = ahead(memory, seen.share, now, params)
    pointed = point(memory, lots, told["15_min"], elapsed, params)
    memory["turned"][0] = now
    estimates = _estimates(memory, lots, seen, told, now, params)
    notices = _notices(memory, lots, seen, told["15_min"], params)
    commands = tuple(
        Command(int(actuator), lots.code[row], now + round(params.lapse * MICROSECONDS), because=f"to {lots.name[row]}")
        for actuator, row in zip(lots.guide, pointed, strict=True)
        if row != EMPTY
    )
    faulty = int((seen.fault != RIGHT).sum() + (seen.bay_fault != RIGHT).sum())
    because = f"{int(known.sum())} of {len(lots.id)} car parks known, {faulty} sensors at fault, {len(commands)} signs"
    return Plan(commands, estimates, notices, because), memory


def ahead(memory: Memory, share: Floats, now: int, params: ParkingParams) -> dict[str, Floats]:
    """Share taken after each of ``AHEAD`` [n]; a quarter of an hour lies between now and half an hour."""
    told = forecasts(memory, share, slots(now), params)
    by = {name: told[:, h] for name, h in _SLOT_OF.items()}
    return {"15_min": (share + by["30_min"]) / 2, **by}


def _forget_recent(memory: Memory) -> None:
    memory["slot"][0] = EMPTY
    memory["recent"][:] = np.nan
    memory["heard"][:], memory["changed"][:] = 0, 0
    memory["bay_heard"][:], memory["bay_changed"][:] = 0, 0
    for h in HORIZONS:
        memory[f"asked_{h}"][:], memory[f"said_{h}"][:] = np.nan, np.nan


def _told_something(memory: Memory, seen: Seen) -> bool:
    """Whether a fault is new, so that the desk hears of it before the practice holds."""
    return bool((seen.fault != memory["told"]).any() or (seen.bay_fault != memory["bay_told"]).any())


def _estimates(
    memory: Memory, lots: Lots, seen: Seen, told: dict[str, Floats], now: int, params: ParkingParams
) -> tuple[Estimate, ...]:
    made: list[Estimate] = []
    for name, seconds in AHEAD.items():
        h, factor = (_SLOT_OF[name], 1.0) if name in _SLOT_OF else (0, SOON)
        share, until = told[name], now + seconds * MICROSECONDS
        free = free_probability(memory, share, h, params, lots, factor)
        scale = spread(memory, h) * factor
        low, high = (np.clip(share + scale * quantile(memory, h, q), 0.0, 1.0) for q in (0.05, 0.95))
        for k in np.flatnonzero(np.isfinite(share)):
            thing, places = int(lots.id[k]), lots.capacity[k]
            bounds = (float(low[k] * places), float(high[k] * places))
            made += [
                Estimate(thing, f"parked_vehicles_in_{name}", now, float(share[k] * places), until, *bounds),
                Estimate(thing, f"place_free_probability_in_{name}", now, float(free[k]), until),
            ]
    bays = np.flatnonzero(np.isfinite(seen.bay_taken))
    row = lots.bay_lot[bays]
    usual = np.where(row >= 0, told["15_min"][row] if len(lots.id) else np.nan, np.nan)
    rate = memory["turnover"][row] if len(lots.id) else np.full(len(bays), np.nan)
    chance = bay_free(1 - seen.bay_taken[bays], usual, rate, AHEAD["15_min"])
    until = now + AHEAD["15_min"] * MICROSECONDS
    made += [
        Estimate(int(lots.bay[k]), "place_free_probability_in_15_min", now, float(p), until)
        for k, p in zip(bays, chance, strict=True)
        if np.isfinite(p)
    ]
    return tuple(made)


def bay_free(free: Floats, share: Floats, turnover: Floats, seconds: float) -> Floats:
    """Probability that a bay is free after ``seconds``, of a chain with two states.

    ``free`` is 1 or 0 now; ``share`` taken of its car park then; ``turnover`` [1/s] how often a bay changes. In balance
    a bay changes 2 q (1 - q) (a + b) times a second, where a + b is the rate at which it forgets its state.
    """
    q = np.clip(share, 0.01, 0.99)
    forgets = turnover / (2 * q * (1 - q))
    chance: Floats = (1 - q) + (free - (1 - q)) * np.exp(-forgets * seconds)
    return chance


def _notices(memory: Memory, lots: Lots, seen: Seen, soon: Floats, params: ParkingParams) -> tuple[Notice, ...]:
    notices = []
    for fault, before, things, names, kind in (
        (seen.fault, memory["told"], lots.id, lots.name, "car park"),
        (seen.bay_fault, memory["bay_told"], lots.bay, lots.bay_name, "bay"),
    ):
        for k in np.flatnonzero(fault != before):
            key, severity = (KEYS[fault[k]], "warning") if fault[k] else ("right_again", "info")
            notices.append(Notice("desk", severity, key, {"kind": kind, "name": names[k]}, int(things[k])))
    bare = np.isnan(lots.capacity)
    notices += [
        Notice("desk", "warning", "facts_missing", {"name": lots.name[k]}, int(lots.id[k]))
        for k in np.flatnonzero(bare & (memory["bare"] == 0))
    ]
    free = free_probability(memory, soon, 0, params, lots, SOON)
    full = np.where(free < NEAR_FULL, 1, np.where(free > FREE_AGAIN, 0, memory["full"]))
    for k in np.flatnonzero(full != memory["full"]):
        key = "full" if full[k] else "free_again"
        notices.append(Notice("public", "info", key, {"name": lots.name[k]}, int(lots.id[k])))
    memory["told"], memory["bay_told"] = seen.fault, seen.bay_fault
    memory["bare"], memory["full"] = bare.astype(np.int8), full.astype(np.int8)
    return tuple(notices)
