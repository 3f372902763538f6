"""Sensors that cannot be believed: silent, impossible, stuck, or a count that drifts away from what stands there."""

from dataclasses import dataclass

import numpy as np

from civium.core import MICROSECONDS
from civium.practices.parking.forecast import usual
from civium.practices.parking.lots import Lots, Newest, young
from civium.practices.parking.memory import DAY_SLOTS, EMPTY, LOWS, SLOT, Bools, Floats, Memory
from civium.practices.parking.params import ParkingParams

RIGHT, SILENT, IMPOSSIBLE, STUCK, DRIFT = range(5)
KEYS = ("", "silent", "impossible", "stuck", "drift")
_RELAX_S = 7200.0  # over which the turnover of bays is smoothed
_LONGEST_TURN_S = 3600.0
WEEK = 7
FEWEST_LOTS = 6  # from which what they do together is known
REPEATS = 4  # readings that must have told the same before a count is called stuck


@dataclass(frozen=True, slots=True)
class Seen:
    """What is believed now: ``share`` taken of each car park (NaN = unknown), the fault of each counter and bay."""

    share: Floats
    fault: np.ndarray[tuple[int], np.dtype[np.int8]]
    bay_fault: np.ndarray[tuple[int], np.dtype[np.int8]]
    bay_taken: Floats  # 1, 0 or NaN


def look(memory: Memory, lots: Lots, count: Newest, bays: Newest, now: int, params: ParkingParams) -> Seen:
    """Judge every sensor and say what is known; ``memory`` learns what it must to judge the next turn."""
    fault = _counters(memory, lots, count, now, params)
    bay_fault, taken = _bays(memory, lots, bays, now, params)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(fault == RIGHT, count.value / lots.capacity, np.nan)
        inside = lots.bay_lot >= 0
        known = inside & np.isfinite(taken)
        size, all_bays, sum_taken = (
            np.bincount(lots.bay_lot[some], weights, len(lots.id)).astype(np.float64)
            for some, weights in ((known, None), (inside, None), (known, taken[known]))
        )
        from_bays = np.where((size > 0) & (2 * size >= all_bays), sum_taken / size, np.nan)
    share = np.where(np.isnan(share), from_bays, share)
    return Seen(np.clip(share, 0.0, 1.0), fault, bay_fault, taken)


def _counters(
    memory: Memory, lots: Lots, count: Newest, now: int, params: ParkingParams
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    heard = count.at > memory["heard"]
    moved = heard & (count.value != memory["last"])
    memory["changed"] = np.where(moved, count.at, memory["changed"])
    memory["same"] = np.where(moved, 0, np.minimum(memory["same"] + heard, 100)).astype(np.int8)
    memory["last"] = np.where(heard, count.value, memory["last"])
    memory["heard"] = np.maximum(memory["heard"], count.at)
    known = memory["heard"] > 0  # a car park without a counter is no fault
    over = (count.value > lots.capacity * (1 + params.over) + 1) | (count.value < -params.over * lots.capacity - 1)
    fault = np.zeros(len(lots.id), dtype=np.int8)
    fault[_drifts(memory, lots, params)] = DRIFT
    fault[_stuck(memory, lots, now, params)] = STUCK
    fault[over & np.isfinite(count.value)] = IMPOSSIBLE
    fault[known & ~young(count.at, now, params.stale)] = SILENT
    return fault


def _stuck(memory: Memory, lots: Lots, now: int, params: ParkingParams) -> Bools:
    """A count that stands still while it usually moves by much; at its bounds it may stand."""
    since = memory["changed"]
    still = (since > 0) & (now - since >= round(params.frozen * MICROSECONDS))
    still &= memory["same"] >= REPEATS
    inside = (memory["last"] > 0) & (memory["last"] < lots.capacity)
    first = np.maximum(since, now - DAY_SLOTS * SLOT)  # of a day of standing still the last one tells enough
    steps = np.stack([usual(memory, float(slot)) for slot in range(now // SLOT - DAY_SLOTS, now // SLOT + 1)], axis=1)
    when = np.arange(now // SLOT - DAY_SLOTS, now // SLOT + 1) * SLOT
    steps = np.where(when[None, :] >= first[:, None], steps, np.nan)
    known = np.isfinite(steps)
    high = np.where(known, steps, -np.inf).max(axis=1)
    low = np.where(known, steps, np.inf).min(axis=1)
    swing = np.where(known.any(axis=1), high - low, 0.0)
    stuck: Bools = still & inside & (swing >= params.frozen_swing)
    return stuck


def _drifts(memory: Memory, lots: Lots, params: ParkingParams) -> Bools:
    """Lows of the day that depart further, day after day, from those a week before: missed cars add up.

    What the car parks do together is the season, not a fault. Once told it lasts until the low comes back.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        lows = memory["lows"].astype(np.float64) / lots.capacity[:, None]
    apart = lows[:, -WEEK:] - lows[:, -2 * WEEK : -WEEK]
    known = np.isfinite(apart)
    if len(lots.id) >= FEWEST_LOTS and known.any():
        common = [float(np.median(apart[known[:, d], d])) if known[:, d].any() else 0.0 for d in range(WEEK)]
        apart = apart - np.array(common)
    last = apart[:, -params.drift_days :]
    step = (last[:, -2:].mean(axis=1) - last[:, :2].mean(axis=1)) / max(params.drift_days - 2, 1)  # [1/day]
    far = (np.abs(last) >= params.drift_apart).all(axis=1) & (np.abs(np.sign(last).sum(axis=1)) == last.shape[1])
    begins = far & (step * np.sign(last[:, -1]) >= params.drift_step)
    lasts: Bools = (memory["told"] == DRIFT) & ~(np.abs(last[:, -1]) < params.drift_apart)
    drifts: Bools = begins | lasts
    return drifts


def keep_lows(memory: Memory, value: Floats, slot: int) -> None:
    """Keep each day's least count [n]; asked once for each slot, before the slot becomes the memory's own."""
    past = int(memory["slot"][0])
    gone = min(slot // DAY_SLOTS - past // DAY_SLOTS, LOWS) if past >= 0 else 0
    if gone > 0:
        lows = np.full_like(memory["lows"], np.nan)
        lows[:, : LOWS - gone] = memory["lows"][:, gone:]
        lows[:, LOWS - gone] = memory["low"]
        memory["lows"] = lows
        memory["low"] = np.full_like(memory["low"], np.nan)
    memory["low"] = np.fmin(memory["low"], value).astype(np.float32)


def _bays(
    memory: Memory, lots: Lots, bays: Newest, now: int, params: ParkingParams
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int8]], Floats]:
    count, n = len(lots.bay), len(lots.id)
    heard = bays.at > memory["bay_heard"]
    possible = (bays.value == 0) | (bays.value == 1)
    value = np.where(heard & possible, np.nan_to_num(bays.value), memory["bay_value"]).astype(np.int8)
    changed = (value != memory["bay_value"]) & (memory["bay_value"] != EMPTY)
    first = (memory["bay_value"] == EMPTY) & (value != EMPTY)
    inside = lots.bay_lot >= 0
    size = np.bincount(lots.bay_lot[inside], minlength=n)
    swaps = np.bincount(lots.bay_lot[inside & changed], minlength=n) / np.maximum(size, 1)
    past = int(memory["turned"][0])
    elapsed = (now - past) / MICROSECONDS if past >= 0 else 0.0
    if 0 < elapsed <= _LONGEST_TURN_S:
        rate, share = swaps / elapsed, 1 - np.exp(-elapsed / _RELAX_S)
        old = memory["turnover"].astype(np.float64)
        memory["turnover"] = np.where(size > 0, np.where(np.isnan(old), rate, old + share * (rate - old)), old).astype(
            np.float32
        )
    others = np.where(inside, swaps[lots.bay_lot] if n else 0.0, 0.0)
    memory["bay_swaps"] = np.where(changed | first, 0.0, memory["bay_swaps"] + others).astype(np.float32)
    memory["bay_changed"] = np.where(changed | first, bays.at, memory["bay_changed"])
    memory["bay_heard"] = np.maximum(memory["bay_heard"], bays.at)
    memory["bay_value"] = value
    fault = np.zeros(count, dtype=np.int8)
    still = now - memory["bay_changed"] >= round(params.bay_frozen * MICROSECONDS)
    fault[(value != EMPTY) & still & (memory["bay_swaps"] >= params.bay_turnover)] = STUCK
    fault[np.isfinite(bays.value) & ~possible] = IMPOSSIBLE
    fault[(memory["bay_heard"] > 0) & ~young(bays.at, now, params.stale)] = SILENT
    taken = np.where((fault == RIGHT) & (value != EMPTY), value.astype(np.float64), np.nan)
    return fault, taken
