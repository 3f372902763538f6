"""One closed solar day of many plants: what it was worth, what shape it had, and what it teaches about the plane."""

from dataclasses import dataclass

import numpy as np

from civium.practices.pv_fleet.memory import HOURS
from civium.practices.pv_fleet.model import TERMS, Floats, Sky, basis, inverter
from civium.practices.pv_fleet.readings import DAY_SLOTS, Bools, runs

LOWEST_SUN = 0.087  # cosine of the zenith: 5 deg above the horizon
PROFILE_SUN = 0.14  # 8 deg: lower, every horizon shades
LEAST_POWER = 0.03  # share of nominal power under which a slot says little
OPEN_LIMIT = 1.3  # times the size of the plane, where no limit is known
LAG_UNIT = 2.0  # [min] of the histories of time shifts
LAG_SLOTS = 13  # how far a day's curve is moved to find its shift: 3 h 15 min
SLOT_MINUTES = 15.0
SLOT_HOURS = 0.25
SLOT_VARIANCE = 0.08  # of a slot's output over nominal, as if slots erred independently (they err by the hour)
_UPPER = np.triu_indices(TERMS)


@dataclass(frozen=True, slots=True)
class Day:
    """Readings and model of one day, [P, 96] slots from solar midnight on; powers per nominal power.

    ``power`` is NaN where nothing believable was read; ``expected`` is what the model gives, NaN without weather;
    ``dc_basis`` [P, 96, 5]; ``efficiency`` of the inverter; ``good`` the slots that measure the plant.
    """

    sky: Sky
    power: Floats
    expected: Floats
    dc: Floats
    dc_basis: Floats
    efficiency: Floats
    stuck: Bools
    good: Bools
    ceiling: Floats  # [P] flat top of this day, 0 = none


def model_power(sky: Sky, theta: Floats, gamma: Floats, limit: Floats) -> tuple[Floats, Floats, Floats]:
    """AC power [P, S], DC power [P, S] and the basis [P, S, 5] of plants ``theta``, all per nominal power."""
    b = basis(sky, theta, gamma)
    dc = np.einsum("psk,pk->ps", b, theta)
    size = np.maximum(np.linalg.norm(theta[:, :3], axis=1), 1.0)  # the nominal power may be a poor guess
    return inverter(dc, np.where(np.isnan(limit), OPEN_LIMIT * size, limit)), dc, b


def measure(
    power: Floats, sky: Sky, theta: Floats, gamma: Floats, limit: Floats, level: Floats, known_top: Floats
) -> Day:
    """Lay a day's output [P, 96] beside the model. ``level`` [P] is the plant's recent ratio to the model,
    ``known_top`` [P] the ceiling it is known to have (inf = none)."""
    expected, dc, b = model_power(sky, theta, gamma, limit)
    day = sky.sun.cosine > LOWEST_SUN
    due = np.where(np.isfinite(expected), expected * level[:, None], 0.0)
    stuck = _stuck(power, due, sky.sun.cosine)
    valid = np.isfinite(power) & np.isfinite(expected) & day & (dc > LEAST_POWER) & ~stuck
    ceiling = _flat_top(power, due, valid)
    top = np.minimum(np.where(ceiling > 0, ceiling, np.inf), known_top)[:, None]
    rating = np.where(np.isnan(limit), np.inf, limit)[:, None]
    good = valid & (power < 0.97 * top) & (due < 0.99 * top) & (expected < 0.97 * rating)
    with np.errstate(divide="ignore", invalid="ignore"):
        efficiency = np.where(dc > 1e-3, expected / dc, 0.0)
    return Day(sky, power, expected, dc, b, efficiency, stuck, good, ceiling)


def _stuck(power: Floats, due: Floats, cosine: Floats) -> Bools:
    """Slots of a run of an hour and more at one value that the sun cannot explain: too much, or at night."""
    same = np.zeros(power.shape, dtype=np.bool_)
    same[:, 1:] = (power[:, 1:] == power[:, :-1]) & (power[:, 1:] > 0.01)
    run = runs(same, 3)
    label = np.cumsum(~same, axis=1) + np.arange(len(power))[:, None] * (DAY_SLOTS + 1)
    odd = run & ((power > 1.25 * due + 0.08) | ((cosine < -0.03) & (power > 0.02)))
    count = np.bincount(label[odd], minlength=int(label.max(initial=0)) + 1)
    return run & (count[label] > 0)


def _flat_top(power: Floats, due: Floats, valid: Bools) -> Floats:
    """The level [P] at which a day's output was cut off although more was due; 0 where it was not.

    Where clearly more than the day's top was due, for an hour or longer in all, nearly all readings must lie at it.
    """
    shown = np.where(valid, power, 0.0)
    top = np.sort(shown, axis=1)[:, -4:].mean(axis=1, keepdims=True)
    should = valid & (due > 1.08 * top)
    at = should & (power > 0.97 * top)
    count = at.sum(axis=1)
    mean = np.where(at, power, 0.0).sum(axis=1) / np.maximum(count, 1)
    spread = np.sqrt(np.where(at, (power - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count, 1))
    asked = np.where(at, due, 0.0).sum(axis=1) / np.maximum(count, 1)
    swing = np.sqrt(np.where(at, (due - asked[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count, 1))
    flat = (count >= 5) & (count >= 0.8 * should.sum(axis=1)) & (spread < 0.012 * mean) & (top[:, 0] > 0.1)
    flat &= spread / np.maximum(mean, 1e-9) < 0.4 * swing / np.maximum(asked, 1e-9)  # else it follows the sun
    return np.where(flat, mean, 0.0)


@dataclass(frozen=True, slots=True)
class Lags:
    """Apparent delay [min] of the day's curve, of its beginning and of its end; NaN where it cannot be told."""

    curve: Floats
    dawn: Floats
    dusk: Floats


def lags(day: Day) -> Lags:
    """How late the output comes against the model: by best correlation, and where it passes 5 % of the day's top."""
    seen = np.isfinite(day.power)
    p = np.where(seen & ~day.stuck, day.power, np.nan)
    e = np.where(np.isfinite(day.expected), np.minimum(day.expected, _top(day)), np.nan)
    sunny = day.sky.sun.cosine > 0
    enough = ((np.isfinite(p) & sunny).sum(axis=1) > 0.85 * sunny.sum(axis=1)) & (np.nansum(e, axis=1) > 4.0)
    p0, e0 = np.nan_to_num(p), np.nan_to_num(e)
    both = []
    for k in range(-LAG_SLOTS, LAG_SLOTS + 1):
        moved = np.roll(e0, k, axis=1)
        both.append(_correlation(p0, moved))
    found = np.stack(both, axis=1)
    best = np.clip(found.argmax(axis=1), 1, 2 * LAG_SLOTS - 1)
    rows = np.arange(len(p))
    left, mid, right = (found[rows, best + k] for k in (-1, 0, 1))
    bend = left - 2 * mid + right
    part = np.where(np.abs(bend) > 1e-12, 0.5 * (left - right) / np.where(bend == 0, 1.0, bend), 0.0)
    ok = enough & (mid > 0.93)
    curve = np.where(ok, (best - LAG_SLOTS + np.clip(part, -0.5, 0.5)) * SLOT_MINUTES, np.nan)
    rise = _crossing(p0) - _crossing(e0)
    fall = -(_crossing(p0[:, ::-1]) - _crossing(e0[:, ::-1]))
    return Lags(curve, np.where(ok, rise, np.nan) * SLOT_MINUTES, np.where(ok, fall, np.nan) * SLOT_MINUTES)


def _top(day: Day) -> Floats:
    return np.where(day.ceiling > 0, day.ceiling, np.inf)[:, None]


def _correlation(a: Floats, b: Floats) -> Floats:
    """Pearson's r of rows [P]; 0 where a row is flat."""
    x, y = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.where(size > 1e-12, (x * y).sum(axis=1) / np.maximum(size, 1e-12), 0.0)


def _crossing(values: Floats) -> Floats:
    """Where each row first passes 5 % of its own top [slots], between two slots by a straight line."""
    level = 0.05 * np.sort(values, axis=1)[:, -4:].mean(axis=1)
    above = values > level[:, None]
    first = above.argmax(axis=1)
    rows = np.arange(len(values))
    low, high = values[rows, np.maximum(first - 1, 0)], values[rows, first]
    part = np.where(high > low, (high - level) / np.where(high > low, high - low, 1.0), 0.0)
    return np.where(above.any(axis=1), first - np.clip(part, 0.0, 1.0), np.nan)


def profile(day: Day, level: Floats) -> tuple[Floats, Floats]:
    """Output and what was due [P, HOURS] in direct sun, by half hours of solar time from 04:00 on."""
    diffuse = np.where(day.sky.ghi > 1.0, day.sky.dhi / np.maximum(day.sky.ghi, 1.0), 1.0)
    due = np.nan_to_num(day.expected) * level[:, None]
    direct = day.good & (diffuse < 0.5) & (day.sky.sun.cosine > PROFILE_SUN) & (due > 0.05)
    first, width = 16, 2  # slots: 04:00, half an hour
    part = slice(first, first + HOURS * width)

    def halves(values: Floats) -> Floats:
        return np.asarray(np.where(direct, values, 0.0)[:, part].reshape(len(values), HOURS, width).sum(axis=2))

    return halves(np.nan_to_num(day.power)), halves(due)


def sums(day: Day) -> tuple[Floats, Floats]:
    """The day's sums over good slots: the AC basis [P, 5] and the output [P], both in hours of nominal power."""
    weight = np.where(day.good, day.efficiency, 0.0)
    total = np.einsum("ps,psk->pk", weight, np.nan_to_num(day.dc_basis)) * SLOT_HOURS
    return total, np.where(day.good, day.power, 0.0).sum(axis=1) * SLOT_HOURS


def lesson(day: Day, keep: Bools, scale: Floats) -> tuple[Floats, Floats]:
    """Normal equations of one day, over the good slots in ``keep`` [P, 96]: sums of basis x basis [P, 15] and of
    basis x DC output [P, 5]; ``scale`` [P] divides the output (what all neighbours have in common that day)."""
    use = day.good & keep & (day.efficiency > 0.5)
    b = np.where(use[..., None], np.nan_to_num(day.dc_basis), 0.0)
    y = np.where(use, day.power / np.where(use, day.efficiency, 1.0), 0.0) / scale[:, None]
    square = np.einsum("psi,psj->pij", b, b)
    return square[:, _UPPER[0], _UPPER[1]], np.einsum("psk,ps->pk", b, y)


def solve(gram: Floats, moment: Floats, prior: Floats, weight: Floats) -> Floats:
    """The plane [P, 5] that explains the lessons, held to ``prior`` [P, 5] by ``weight`` [P, 5] (ridge regression)."""
    right = (moment + weight * prior)[..., None]
    return np.asarray(np.linalg.solve(_full(gram, weight), right)[..., 0], dtype=np.float64)


def doubt(gram: Floats, weight: Floats, contrast: Floats) -> Floats:
    """Standard error [P] of ``contrast . theta`` (contrast [P, 5]) after the lessons: what a plane not yet well known
    may feign. Posterior of the ridge regression with the variance of a slot ``SLOT_VARIANCE``."""
    spread = np.linalg.solve(_full(gram, weight), contrast[..., None])[..., 0]
    return np.asarray(np.sqrt(SLOT_VARIANCE * np.clip((contrast * spread).sum(axis=-1), 0.0, None)))


def _full(gram: Floats, weight: Floats) -> Floats:
    full = np.zeros((len(gram), TERMS, TERMS))
    full[:, _UPPER[0], _UPPER[1]] = gram
    full[:, _UPPER[1], _UPPER[0]] = gram
    full[:, np.arange(TERMS), np.arange(TERMS)] += weight
    return full
