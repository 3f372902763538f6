"""Steps, slopes and medians in short, gappy histories of many plants at once."""

from dataclasses import dataclass

import numpy as np

from civium.practices.pv_fleet.model import Floats
from civium.practices.pv_fleet.readings import Ints

LEAST_NOISE = 0.008  # log ratio: no plant is steadier than this from day to day


def compact(values: Floats, keep: int) -> tuple[Floats, Ints]:
    """The last ``keep`` finite entries of each row, in order, right-aligned: values [P, keep] (NaN-padded) and their
    columns."""
    order = np.argsort(np.isfinite(values), axis=1, kind="stable")[:, -keep:]
    return np.take_along_axis(values, order, axis=1), order


def recent(values: Floats, count: int, least: int) -> Floats:
    """Median of the last ``count`` finite entries of each row; NaN with fewer than ``least``."""
    last, _ = compact(values, count)
    return middle(last, least)


def middle(values: Floats, least: int = 1) -> Floats:
    """Median of the finite entries of each row; NaN with fewer than ``least``."""
    ordered = np.sort(values, axis=-1)  # NaN goes last
    count = np.isfinite(values).sum(axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, values.shape[-1] - 1)
    both = np.take_along_axis(ordered, np.stack([low, high], axis=-1), axis=-1)
    return np.where(count >= max(least, 1), both.mean(axis=-1), np.nan)


def upper(values: Floats, part: float, least: int) -> Floats:
    """The finite entry of each row below which the share ``part`` of them lies; NaN with fewer than ``least``."""
    ordered, count = np.sort(values, axis=1), np.isfinite(values).sum(axis=1)
    at = np.clip((part * (count - 1)).astype(np.int64), 0, values.shape[1] - 1)
    return np.where(count >= max(least, 1), ordered[np.arange(len(values)), at], np.nan)


def noise(values: Floats) -> Floats:
    """Day-to-day noise of each row of ``compact`` values: 1.4826 MAD of differences over sqrt 2."""
    step = np.abs(np.diff(values, axis=1))
    spread = 1.4826 * middle(step, 3) / np.sqrt(2.0)
    return np.asarray(np.maximum(np.nan_to_num(spread, nan=1.0), LEAST_NOISE))


def smooth(values: Floats) -> Floats:
    """Running median of three along rows, which leaves a step where it is; ends as they are."""
    out = values.copy()
    if values.shape[1] >= 3:
        three = np.stack([values[:, :-2], values[:, 1:-1], values[:, 2:]], axis=-1)
        out[:, 1:-1] = np.where(np.isfinite(three).all(axis=-1), np.median(three, axis=-1), values[:, 1:-1])
    return out


@dataclass(frozen=True, slots=True)
class Change:
    """The best single change in each row: ``at`` the entry that it begins with, ``drop`` how far it has fallen by the
    end (negative = risen), ``error`` the residual sum of squares, ``after`` how many entries since."""

    at: Ints
    drop: Floats
    error: Floats
    after: Ints


def step(values: Floats, before: int, after: int) -> Change:
    """Two means: the split with the least squared error, at least ``before`` and ``after`` entries on its sides."""
    x, known = np.nan_to_num(values), np.isfinite(values)
    n, s = np.cumsum(known, axis=1), np.cumsum(x, axis=1)
    count, total, square = n[:, -1:], s[:, -1:], (x * x).sum(axis=1, keepdims=True)
    left, sum_left = n[:, :-1], s[:, :-1]
    right, sum_right = count - left, total - sum_left
    mean_left, mean_right = sum_left / np.maximum(left, 1), sum_right / np.maximum(right, 1)
    error = square - mean_left * sum_left - mean_right * sum_right
    error = np.where((left >= before) & (right >= after), error, np.inf)
    return _best(error, mean_left - mean_right, right)


def decline(values: Floats, days: Floats, before: int, least_days: float) -> Change:
    """Level, then a straight fall to the end: the beginning with the least squared error, at least ``before`` entries
    and ``least_days`` on its sides. ``days`` [P, M] is when each entry was."""
    x, known = np.nan_to_num(values), np.isfinite(values)
    t = np.where(known, days, 0.0)
    last = np.where(known, days, days[:, :1]).max(axis=1)
    count = known.sum(axis=1)
    errors, drops, rights = [], [], []
    for j in range(values.shape[1] - 1):
        start = days[:, j]
        h = np.where(known, np.clip(t - start[:, None], 0.0, None), 0.0)
        n = np.maximum(count, 1)
        hm, xm = h.sum(axis=1) / n, x.sum(axis=1) / n
        shh = (h * h).sum(axis=1) - n * hm * hm
        shx = (h * x).sum(axis=1) - n * hm * xm
        slope = np.where(shh > 1e-9, shx / np.maximum(shh, 1e-9), 0.0)
        left = known[:, : j + 1].sum(axis=1)
        ok = known[:, j] & (left >= before) & (last - start >= least_days)
        errors.append(np.where(ok, (x * x).sum(axis=1) - n * xm * xm - slope * shx, np.inf))
        drops.append(-slope * (last - start))
        rights.append(count - left)
    return _best(np.stack(errors, axis=1), np.stack(drops, axis=1), np.stack(rights, axis=1))


def _best(error: Floats, drop: Floats, right: Ints) -> Change:
    at = error.argmin(axis=1)
    rows = np.arange(len(error))
    return Change(at + 1, drop[rows, at], error[rows, at], right[rows, at])
