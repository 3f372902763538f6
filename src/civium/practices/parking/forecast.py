"""How full a car park will be: its weekday-time profile, and how the present departs from it.

For each horizon a ridge regression explains the departure of the truth from the profile by seven terms of the present.
Its normal equations are summed as the truth arrives, one set that all car parks share and one of its own, to which the
shared coefficients are the prior: a new car park begins with what the others know. Standardised errors are counted, so
that the probability is the share of past forecasts that were wrong by so much.
"""

import numpy as np

from civium.practices.parking.memory import (
    DAY_SLOTS,
    HORIZONS,
    RECENT,
    SCORES,
    SLOT,
    WEEK_SLOTS,
    Bools,
    Floats,
    Memory,
)
from civium.practices.parking.params import ParkingParams

LEARNED = 3.0  # sum of weights of past errors from which the shared ones speak
EDGES = np.linspace(-4.0, 4.0, SCORES - 1)  # between the bins of the standardised error
FEWEST = 60.0  # errors counted before their own distribution is trusted
FIRST_ERROR = 0.1  # of a horizon about which nothing is known


def _between(table: Floats, at: float) -> Floats:
    """A cyclic table [car parks, slots] at a time in slots, linearly between; of one unknown the other."""
    low = int(np.floor(at))
    share = at - low
    one: Floats = table[:, low % table.shape[1]].astype(np.float64)
    if share == 0:
        return one
    two: Floats = table[:, (low + 1) % table.shape[1]].astype(np.float64)
    mixed: Floats = one * (1 - share) + two * share
    told: Floats = np.where(np.isnan(one), two, np.where(np.isnan(two), one, mixed))
    return told


def usual(memory: Memory, at: float) -> Floats:
    """Share taken that is usual at a time in slots since the epoch; NaN where nothing is known yet."""
    week, day = _between(memory["week"], at), _between(memory["day"], at)
    return np.where(np.isnan(week), day, week)


def terms(memory: Memory, now: Floats, at: float, ahead: int) -> tuple[Floats, Floats]:
    """The profile at ``at + ahead`` [slots] (``now`` where it is unknown), and the terms that correct it [n, TERMS]."""
    known = usual(memory, at + ahead)
    p: Floats = np.where(np.isnan(known), now, known)
    here = usual(memory, at)
    before, there = _between(memory["recent"], at - 1), usual(memory, at - 1)
    yesterday = _between(memory["recent"], at + ahead - DAY_SLOTS)
    columns = [
        p,
        now - here,
        before - there,
        yesterday - p,
        _between(memory["day"], at + ahead) - p,
        now - p,
        np.full(len(now), 0.3),
    ]
    return p, np.nan_to_num(np.stack(columns, axis=1))


def coefficients(memory: Memory, h: int, params: ParkingParams) -> Floats:
    """Ridge solution of each car park for a horizon, shrunk to the shared one [n, TERMS]."""
    one = np.eye(memory["shared_gram"].shape[-1])
    shared = np.linalg.solve(memory["shared_gram"][h] + params.ridge * one, memory["shared_moment"][h])
    own = memory["moment"][:, h] + params.shrink * shared
    solved = np.linalg.solve(memory["gram"][:, h] + params.shrink * one, own[..., None])[..., 0]
    return solved.astype(np.float64)


def forecasts(memory: Memory, now: Floats, at: float, params: ParkingParams) -> Floats:
    """Share taken at each of ``HORIZONS`` from ``at`` [slots] on, ``now`` being the present share [n, horizons].

    NaN where the present is unknown: the correction would be learned from what is not there.
    """
    told = np.empty((len(now), len(HORIZONS)))
    for h, ahead in enumerate(HORIZONS):
        p, x = terms(memory, now, at, ahead)
        told[:, h] = np.clip(p + (x * coefficients(memory, h, params)).sum(axis=1), 0.0, 1.0)
    told[np.isnan(now)] = np.nan
    return told


def learn(memory: Memory, now: Floats, slot: int, params: ParkingParams) -> None:
    """Take in the share taken ``now`` [n] (NaN = unknown) at the beginning of ``slot``; asked once for each slot."""
    known = np.isfinite(now)
    truth = np.nan_to_num(now)
    past = int(memory["slot"][0])
    missed = slot - past - 1 if past >= 0 else 0
    for gone in range(max(past + 1, slot - RECENT), slot) if missed > 0 else ():
        memory["recent"][:, gone % RECENT] = np.nan
    for h, ahead in enumerate(HORIZONS):
        asked, said = memory[f"asked_{ahead}"], memory[f"said_{ahead}"]
        for gone in range(max(past + 1, slot - ahead), slot) if missed > 0 else ():
            asked[:, gone % ahead], said[:, gone % ahead] = np.nan, np.nan
        x, forecast = asked[:, slot % ahead].astype(np.float64), said[:, slot % ahead].astype(np.float64)
        use = known & np.isfinite(x).all(axis=1)
        _learn_horizon(memory, h, np.where(use[:, None], x, 0.0), truth, use, params)
        _score(memory, h, truth - forecast, use)
    _smooth(memory["week"], slot % WEEK_SLOTS, now, known, params.week)
    _smooth(memory["day"], slot % DAY_SLOTS, now, known, params.day)
    memory["recent"][:, slot % RECENT] = now
    for h, ahead in enumerate(HORIZONS):
        p, x = terms(memory, now, float(slot), ahead)
        forecast = np.clip(p + (x * coefficients(memory, h, params)).sum(axis=1), 0.0, 1.0)
        memory[f"asked_{ahead}"][:, slot % ahead] = np.where(known[:, None], x, np.nan)
        memory[f"said_{ahead}"][:, slot % ahead] = np.where(known, forecast, np.nan)
    memory["slot"][0] = slot


def _learn_horizon(memory: Memory, h: int, x: Floats, truth: Floats, use: Bools, params: ParkingParams) -> None:
    target = np.where(use, truth - x[:, 0], 0.0)  # the first term is the profile itself
    keep = np.where(use, params.memory, 1.0)
    memory["gram"][:, h] = memory["gram"][:, h] * keep[:, None, None] + x[:, :, None] * x[:, None, :]
    memory["moment"][:, h] = memory["moment"][:, h] * keep[:, None] + x * target[:, None]
    if use.any():
        memory["shared_gram"][h] = memory["shared_gram"][h] * params.memory + x.T @ x
        memory["shared_moment"][h] = memory["shared_moment"][h] * params.memory + x.T @ target


def _score(memory: Memory, h: int, error: Floats, use: Bools) -> None:
    """Count the standardised errors, then let the scale learn."""
    use = use & np.isfinite(error)
    scale = memory["error"][:, h].astype(np.float64)
    scored = use & (scale > 0)
    z = error[scored] / scale[scored]
    memory["scores"][h] = memory["scores"][h] * 0.998 + np.bincount(np.searchsorted(EDGES, z), minlength=SCORES)
    size = np.maximum(np.abs(error), 1e-3)
    grown = np.where(np.isnan(scale), size, scale + 0.02 * (size - scale))
    memory["error"][:, h] = np.where(use, grown, scale)


def _smooth(table: Floats, at: int, now: Floats, known: Bools, weight: float) -> None:
    old = table[:, at].astype(np.float64)
    table[:, at] = np.where(known, np.where(np.isnan(old), now, old + weight * (now - old)), old)


def spread(memory: Memory, h: int) -> Floats:
    """Mean absolute error of each car park at a horizon [n]; where unknown the median of the others."""
    scale = memory["error"][:, h].astype(np.float64)
    known = np.isfinite(scale)
    middle = float(np.median(scale[known])) if known.any() else FIRST_ERROR
    return np.where(known, scale, middle)


def below(memory: Memory, h: int, z: Floats) -> Floats:
    """Share of past standardised errors at a horizon that lie under ``z``; of a Laplace law until enough are known."""
    laplace: Floats = np.where(z < 0, 0.5 * np.exp(-np.abs(z)), 1 - 0.5 * np.exp(-np.abs(z)))
    counts = memory["scores"][h]
    total = counts.sum()
    if total < FEWEST:
        return laplace
    reached = np.concatenate([[0.0], np.cumsum(counts)[:-1]]) / total
    inside = np.interp(z, EDGES, reached[1:])
    tail = np.where(
        z < EDGES[0],
        reached[1] * np.exp(np.minimum(z - EDGES[0], 0.0)),
        1 - (1 - reached[-1]) * np.exp(np.minimum(EDGES[-1] - z, 0.0)),
    )
    told: Floats = np.where((z >= EDGES[0]) & (z <= EDGES[-1]), inside, tail)
    return told


def quantile(memory: Memory, h: int, share: float) -> float:
    """The standardised error at a horizon under which a ``share`` of the past ones lies."""
    grid = np.linspace(-8.0, 8.0, 641)
    return float(np.interp(share, below(memory, h, grid), grid))


def slots(instant: int) -> float:
    """An instant [us] in slots since the epoch."""
    return instant / SLOT
