"""The forecast: what is usual at that time of day, and how much of the present departure will be left.

A ridge regression for each horizon explains the departure by those of the last steps, of the neighbours and of the
whole town. Its normal equations are summed as the truth arrives: one set that all segments share, and one of its own,
to which the shared coefficients are the prior. It works on any series of which the steps are five minutes: speeds, or
logarithms of travel times.
"""

import numpy as np

from civium.practices.congestion.memory import DAY, HORIZONS, SLOTS, STEP, Bools, Floats, Memory
from civium.practices.congestion.params import CongestionParams

RATES = (0.3, 0.08, 0.01)  # of the running means of the departure
EDGES = np.linspace(-4.0, 4.0, 40)
FEWEST = 60.0  # scored errors from which their own distribution is trusted
ENOUGH = 4.0  # readings of a slot, of which a day gives three
SOLVE = 12  # steps from one solution of the coefficients to the next
LONGEST_GAP = 12  # steps, after which the last departures tell nothing


def usual(memory: Memory, step: float) -> Floats:
    """What is usual at a step (counted from the epoch), between the slots linearly; NaN where nothing is known [n]."""
    instant = step * STEP
    weekend = int((instant // DAY + 3) % 7 >= 5)  # the epoch began on a Thursday
    at = instant % DAY / DAY * SLOTS - 0.5
    low = int(np.floor(at))
    share = at - low
    slots, ways = np.array([low % SLOTS, (low + 1) % SLOTS]), np.array([1 - share, share])
    with np.errstate(divide="ignore", invalid="ignore"):
        own = memory["total"][:, weekend, slots] @ ways / (memory["weight"][:, weekend, slots] @ ways)
        any_day = memory["total"][:, :, slots].sum(axis=1) @ ways / (memory["weight"][:, :, slots].sum(axis=1) @ ways)
        whole = memory["total"].sum(axis=(1, 2)) / memory["weight"].sum(axis=(1, 2))
    told: Floats = np.where(np.isfinite(own), own, np.where(np.isfinite(any_day), any_day, whole)).astype(np.float64)
    return told


def known_hour(memory: Memory, step: int) -> Bools:
    """Of which segments enough was seen at this time of day, on at least two days [n]."""
    instant = step * STEP
    weekend, slot = int((instant // DAY + 3) % 7 >= 5), int(instant % DAY * SLOTS // DAY)
    enough: Bools = memory["weight"][:, weekend, slot] >= ENOUGH
    return enough


def terms(memory: Memory, here: Floats, there: Floats, weights: Floats) -> Floats:
    """The terms of a forecast [n, TERMS]; ``here`` and ``there``: what is usual now and then [n].

    ``weights`` [n, n]: how much each segment's neighbours count, rows that sum to 1 (or 0).
    """
    past = np.nan_to_num(memory["past"].astype(np.float64))
    smooth = memory["smooth"].astype(np.float64)
    town = np.array([past[:, 0].mean(), smooth[:, 0].mean()]) if len(past) else np.zeros(2)
    level = np.nan_to_num(there - here)
    columns = [
        past[:, 0], past[:, 1], past[:, 2], smooth[:, 0], smooth[:, 1], smooth[:, 2],
        weights @ past[:, 0], weights @ smooth[:, 0],
        np.full(len(past), town[0]), np.full(len(past), town[1]),
        level, np.full(len(past), 0.3 * np.sqrt(np.mean(past[:, 0] ** 2) + 1e-6) if len(past) else 0.0),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def coefficients(memory: Memory, h: int, params: CongestionParams) -> Floats:
    """Ridge solution of each segment for a horizon, shrunk to the shared one [n, TERMS].

    Both are counted in units of the mean square of each term, so that speeds and logarithms need the same numbers.
    """
    gram = memory["shared_gram"][h]
    size = np.maximum(np.diag(gram) / max(float(memory["rows"][h]), 1.0), 1e-12)
    shared = np.linalg.solve(gram + np.diag(params.ridge * size), memory["shared_moment"][h])
    own = memory["moment"][:, h] + params.shrink * size * shared
    solved = np.linalg.solve(memory["gram"][:, h] + np.diag(params.shrink * size), own[..., None])[..., 0]
    return solved.astype(np.float64)


def forecasts(memory: Memory, step: int, weights: Floats) -> Floats:
    """The series at each of ``HORIZONS`` after ``step``, which was observed last [n, horizons]; NaN where unknown."""
    told = np.empty((len(memory["segment"]), len(HORIZONS)))
    here = usual(memory, step)
    for h, ahead in enumerate(HORIZONS):
        there = usual(memory, step + ahead)
        told[:, h] = there + (terms(memory, here, there, weights) * memory["beta"][:, h]).sum(axis=1)
    told[np.isnan(memory["past"][:, 0])] = np.nan
    return told


def observe(
    memory: Memory, seen: Floats, step: int, weights: Floats, params: CongestionParams, *, learn: bool = True
) -> None:
    """Take in the series at a step [n] (NaN = unknown), in order; steps that were left out are as if unseen.

    Without ``learn`` only the present is kept up to date, and what is usual and the coefficients stay as they are.
    """
    past = int(memory["step"][0])
    gap = step - past - 1 if past >= 0 else 0
    if gap > 0:
        _skip(memory, min(gap, LONGEST_GAP), past)
    known = np.isfinite(seen)
    for h, ahead in enumerate(HORIZONS):
        at = step % ahead
        asked, there = memory[f"asked_{ahead}"][:, at], memory[f"usual_{ahead}"][:, at]
        use = known & np.isfinite(asked).all(axis=1) & np.isfinite(there)
        if learn and use.any():
            _learn(memory, h, asked.astype(np.float64), np.nan_to_num(seen) - there, use, params)
            _score(memory, h, seen - memory[f"said_{ahead}"][:, at], use)
    if learn:
        _remember(memory, seen, known, step)
        if step // SOLVE != past // SOLVE:
            for h in range(len(HORIZONS)):
                memory["beta"][:, h] = coefficients(memory, h, params)
    here = usual(memory, step)
    departure = seen - here
    kept = memory["past"].astype(np.float64)
    now = np.where(known, departure, 0.9 * kept[:, 0])  # a reading that is missing is taken to lie nearer to the usual
    memory["past"] = np.stack([now, kept[:, 0], kept[:, 1]], axis=1).astype(np.float32)
    for k, rate in enumerate(RATES):
        old = memory["smooth"][:, k].astype(np.float64)
        memory["smooth"][:, k] = old + rate * np.where(known, np.nan_to_num(departure) - old, -0.05 * old)
    for h, ahead in enumerate(HORIZONS):
        there = usual(memory, step + ahead)
        x = terms(memory, here, there, weights)
        memory[f"asked_{ahead}"][:, step % ahead] = np.where(known[:, None], x, np.nan)
        memory[f"usual_{ahead}"][:, step % ahead] = there
        if learn:
            memory[f"said_{ahead}"][:, step % ahead] = there + (x * memory["beta"][:, h]).sum(axis=1)
    memory["step"][0] = step


def _skip(memory: Memory, gap: int, past: int) -> None:
    """Steps without any reading: departures fade, and the truth of forecasts for them will not come."""
    memory["past"] = (
        (memory["past"] * 0.9**gap).astype(np.float32) if gap < LONGEST_GAP else np.full_like(memory["past"], np.nan)
    )
    for ahead in HORIZONS:
        for gone in range(past + 1, past + 1 + min(gap, ahead)):
            memory[f"asked_{ahead}"][:, gone % ahead] = np.nan


def _learn(memory: Memory, h: int, x: Floats, target: Floats, use: Bools, params: CongestionParams) -> None:
    x, target = np.where(use[:, None], x, 0.0), np.where(use, target, 0.0)
    keep = np.where(use, params.memory, 1.0)
    memory["gram"][:, h] = memory["gram"][:, h] * keep[:, None, None] + x[:, :, None] * x[:, None, :]
    memory["moment"][:, h] = memory["moment"][:, h] * keep[:, None] + x * target[:, None]
    memory["shared_gram"][h] = memory["shared_gram"][h] * params.memory + x.T @ x
    memory["shared_moment"][h] = memory["shared_moment"][h] * params.memory + x.T @ target
    memory["rows"][h] = memory["rows"][h] * params.memory + use.sum()


def _score(memory: Memory, h: int, error: Floats, use: Bools) -> None:
    use = use & np.isfinite(error)
    scale = memory["error"][:, h].astype(np.float64)
    scored = use & (scale > 0)
    counts = np.bincount(np.searchsorted(EDGES, error[scored] / scale[scored]), minlength=len(EDGES) + 1)
    memory["scores"][h] = memory["scores"][h] * 0.999 + counts
    size = np.maximum(np.abs(error), 1e-4)
    memory["error"][:, h] = np.where(use, np.where(np.isnan(scale), size, scale + 0.01 * (size - scale)), scale)


def _remember(memory: Memory, seen: Floats, known: Bools, step: int) -> None:
    instant = step * STEP
    weekend = int((instant // DAY + 3) % 7 >= 5)
    slot = int(instant % DAY * SLOTS // DAY)
    fade = 0.93  # of what is three readings older in the slot of a day: half of it stays after ten days
    memory["total"][:, weekend, slot] = np.where(
        known,
        memory["total"][:, weekend, slot] * fade ** (1 / 3) + np.nan_to_num(seen),
        memory["total"][:, weekend, slot],
    )
    memory["weight"][:, weekend, slot] = np.where(
        known, memory["weight"][:, weekend, slot] * fade ** (1 / 3) + 1.0, memory["weight"][:, weekend, slot]
    )


def interval(memory: Memory, h: int, share: float) -> Floats:
    """Bounds around a forecast that hold ``share`` of the truth: [n, 2], to be added to it; NaN where unknown."""
    counts = memory["scores"][h]
    scale = memory["error"][:, h].astype(np.float64)
    tail = (1 - share) / 2
    if counts.sum() < FEWEST:  # of a Laplace law, until enough is known
        z = np.array([np.log(2 * tail), -np.log(2 * tail)])
    else:
        reached = np.cumsum(counts)[:-1] / counts.sum()
        z = np.interp([tail, 1 - tail], reached, EDGES)
    bounds: Floats = scale[:, None] * z[None, :]
    return bounds
