"""Clocks that go wrong: the whole day of a plant moves in time, its beginning and its end with it."""

import numpy as np

from civium.practices.pv_fleet import trend
from civium.practices.pv_fleet.day import LAG_UNIT
from civium.practices.pv_fleet.findings import Finding, active, begin, end, known
from civium.practices.pv_fleet.memory import CLOCK, HISTORY, Memory
from civium.practices.pv_fleet.model import Floats
from civium.practices.pv_fleet.readings import Bools, Ints

UNKNOWN = -128
RECENT = 10  # days that may show a new shift; those before them tell the usual lag
LEAST_JUMP = 24.0  # [min] a change of the lag that is called a shift
LEAST_START = 40.0  # [min] the same without days before: a wrong azimuth among the facts moves the curve too
STEADY = 16.0  # [min] within which the last four days must agree
RIGHT = 12.0  # [min] under which a clock is called right
MOVING = 14.0  # [min] from which a shift may be under way


def clock(m: Memory, rows: Ints) -> list[Finding]:
    """Find shifts by the last four days that tell; the shift is taken out of every reading from then on."""
    lag, dawn, dusk = (known(m[name][rows], UNKNOWN) * LAG_UNIT for name in ("lag", "dawn", "dusk"))
    usual = trend.middle(lag[:, :-RECENT], 6)
    new = np.isnan(usual)
    jump, morning, evening = (
        trend.recent(part[:, -RECENT:], 4, 4) - np.where(new, 0.0, trend.middle(part[:, :-RECENT], 6))
        for part in (lag, dawn, dusk)
    )
    half, sign = 0.5 * np.abs(jump), np.sign(jump)
    steady = np.ptp(trend.compact(lag[:, -RECENT:], 4)[0], axis=1) < STEADY
    shifted = (np.abs(jump) > np.where(new, LEAST_START, LEAST_JUMP)) & steady
    shifted &= (morning * sign > half) & (evening * sign > half)
    if not shifted.any():
        return []
    some, delta = rows[shifted], 5.0 * np.round(jump[shifted] / 5.0)
    age = _age(lag[shifted] - np.nan_to_num(usual)[shifted][:, None], delta)
    m["clock"][some] = m["clock"][some].astype(np.float64) + delta * 60.0
    _forget(m, some, age, new[shifted])
    right = np.abs(m["clock"][some]) < RIGHT * 60.0
    m["clock"][some[right]] = 0.0
    back, wrong = right & active(m, CLOCK)[some], ~right
    found = [end(m, CLOCK, some[back])] if back.any() else []
    if wrong.any():
        since = (m["day"][some].astype(np.int64) - age)[wrong]
        none = np.full(int(wrong.sum()), np.nan)
        found.append(begin(m, CLOCK, some[wrong], since, none, none))
    return found


def _age(moved: Floats, delta: Floats) -> Ints:
    """How many columns before the last one the unbroken run of days moved by about ``delta`` [P] begins."""
    stop = np.flip(np.abs(moved - delta[:, None]) >= 0.5 * np.abs(delta[:, None]), axis=1)  # NaN breaks no run
    run = np.where(stop.any(axis=1), stop.argmax(axis=1), moved.shape[1])
    return np.asarray(np.maximum(run - 1, 0), dtype=np.int64)


def _forget(m: Memory, some: Ints, age: Ints, new: Bools) -> None:
    """Days that were read with a wrong clock say nothing; a plant that never had a right one is learned anew."""
    wrong = np.arange(HISTORY)[None, :] >= HISTORY - 1 - age[:, None]
    for name, unknown in (("lag", UNKNOWN), ("dawn", UNKNOWN), ("dusk", UNKNOWN), ("output", np.nan)):
        ring = m[name][some]
        ring[wrong | (new[:, None] & (name == "output"))] = unknown
        m[name][some] = ring
    for name in ("times", "got", "due"):
        m[name][some] = 0.0
    for name in ("gram", "moment", "learned"):
        m[name][some[new]] = 0.0


def moving(m: Memory, rows: Ints) -> Bools:
    """Whether the last curves lie otherwise in time than they used to, with their beginning and end: a clock shift may
    be under way. (A shaded afternoon moves the curve and its end, but not its beginning.)"""
    lag, dawn, dusk = (
        part[:, -5:] - np.nan_to_num(trend.middle(part[:, :-RECENT], 6))[:, None]
        for part in (known(m[name][rows], UNKNOWN) * LAG_UNIT for name in ("lag", "dawn", "dusk"))
    )
    sign, least = np.sign(lag), 0.3 * np.abs(lag)
    off = (np.abs(lag) > MOVING) & (dawn * sign > least) & (dusk * sign > least)
    last = trend.recent(np.where(np.isnan(lag), np.nan, off), 1, 1) > 0.5
    return np.asarray((off.sum(axis=1) >= 2) | last)
