"""Which car park each sign points to: the nearest one that will have a place on arrival, cars under way counted.

A car park costs its distance, plus a search with the probability that it will be full; every car that a sign sends
there fills it, for this sign and the others, until the sensors see that car. So demand spreads before it piles up.
"""

import numpy as np

from civium.practices.parking.forecast import below, spread
from civium.practices.parking.lots import Lots
from civium.practices.parking.memory import EMPTY, Floats, Ints, Memory
from civium.practices.parking.params import ParkingParams

SOON = 2**-0.5  # spread of a forecast for half a slot, of that for a whole one (errors add up as in a random walk)


def free_probability(
    memory: Memory, share: Floats, h: int, params: ParkingParams, lots: Lots, factor: float = 1.0
) -> Floats:
    """Probability that a place is free where ``share`` is forecast at horizon ``h``; NaN without capacity [n]."""
    scale = np.maximum(spread(memory, h) * factor, 1e-3)
    told = below(memory, h, (full_at(lots, params) - share) / scale)
    return np.where(np.isfinite(share), told, np.nan)


def full_at(lots: Lots, params: ParkingParams) -> Floats:
    """Share taken above which no place is found without a search: but one place, or the spare ones, are taken [n]."""
    least = np.maximum(params.spare, 1.0 / lots.capacity)
    return np.where(lots.capacity <= 1.0, 0.5, 1.0 - least)  # a single place is free or it is not


def point(memory: Memory, lots: Lots, soon: Floats, elapsed: float, params: ParkingParams) -> Ints:
    """Row of the car park that each guide points to, ``EMPTY`` where none is known [g].

    ``soon`` is the share taken in a quarter of an hour [n]; ``elapsed`` [s] since the last turn.
    """
    sent = memory["sent"].astype(np.float64) * np.exp(-max(elapsed, 0.0) / params.approach)
    cars = np.where(np.isnan(lots.guide_cars), params.per_sign, lots.guide_cars)
    chosen = np.full(len(lots.guide), EMPTY, dtype=np.int64)
    row = {int(thing): k for k, thing in enumerate(lots.id)}
    for g in np.argsort(-cars, kind="stable"):
        usable = lots.guide_serves[g] & np.isfinite(soon) & np.isfinite(lots.guide_metres[g])
        if not usable.any():
            continue
        free = free_probability(memory, soon + sent / lots.capacity, 0, params, lots, SOON)
        cost = np.where(usable, lots.guide_metres[g] + params.search_m * (1.0 - np.nan_to_num(free)), np.inf)
        best = int(np.argmin(cost))
        kept = row.get(int(memory["shown"][g]), EMPTY)
        if kept != EMPTY and cost[kept] <= cost[best] + params.keep_m:
            best = kept
        chosen[g] = best
        sent[best] += cars[g] * min(max(elapsed, 0.0), params.approach) / 3600.0
    memory["sent"] = sent.astype(np.float32)
    memory["shown"] = np.where(chosen == EMPTY, EMPTY, lots.id[np.maximum(chosen, 0)] if len(lots.id) else EMPTY)
    return chosen
