"""Names what is wrong with a plant, from its histories: the rules, one function per fault."""

import numpy as np

from civium.practices.pv_fleet import trend
from civium.practices.pv_fleet.clock import moving
from civium.practices.pv_fleet.day import doubt
from civium.practices.pv_fleet.findings import Case, Finding, FleetProfile, active, begin, column_days, end, known
from civium.practices.pv_fleet.memory import (
    CLIPPING,
    FADE,
    HISTORY,
    HOURS,
    OUTAGE,
    SENSOR,
    SHADING,
    SOILING,
    STRING,
    Memory,
)
from civium.practices.pv_fleet.model import Floats
from civium.practices.pv_fleet.readings import Bools, Ints

LEARNING = 16  # days learned before losses are judged
RESTLESS = 3.5  # times the spread of all plants' changes that a change must be
LOOK = 36  # measured days that a change is looked for in


def find(case: Case, due: Floats, got: Floats, highest: Floats, least_loss: float, least_hours: float) -> list[Finding]:
    """All that began or ended, clocks apart. ``due``, ``got`` [P, HISTORY] and ``highest`` [P] in nominal power;
    ``least_loss`` [1] and ``least_hours`` [h] say what is worth a notice."""
    m, rows = case.m, case.rows
    found = recoveries(case)  # first: what returns to its old level has not risen above its best
    found += sensor(case) + outage(m, rows, due, got) + above_ceiling(m, rows, highest) + clipping(m, rows)
    found += shading(case, least_hours)
    return found + losses(case, np.maximum(least_loss, least_hours / np.maximum(case.usual, 0.05)))


def sensor(case: Case) -> list[Finding]:
    """A meter that stands still, writes nonsense, drops out, or shows more than a plant can give."""
    m, rows = case.m, case.rows
    stuck, bad, cover = (known(m[name][rows], 255) for name in ("stuck", "bad", "cover"))
    day, found = m["day"][rows].astype(np.int64), []
    running = active(m, SENSOR)[rows]
    usual = trend.middle(cover[:, :-7], 10)
    short = cover < 0.6 * usual[:, None]
    signs = {"stuck": stuck >= 6, "noise": bad >= 6, "dropout": short}
    quiet = np.ones(len(rows), dtype=np.bool_)
    for detail, sign in signs.items():
        often = sign[:, -7:].sum(axis=1) >= 4
        quiet &= sign[:, -7:].sum(axis=1) == 0
        new = often & ~running
        first = day - 6 + sign[:, -7:].argmax(axis=1)
        share = np.where(detail == "dropout", 1 - cover[:, -7:].mean(axis=1) / 100, stuck[:, -7:].mean(axis=1) / 96)
        if new.any():
            found.append(begin(m, SENSOR, rows[new], first[new], np.full(new.sum(), np.nan), share[new], detail))
            running = running | new
    ratio = np.where(column_days(m["day"][rows]) >= m["cut"][rows][:, None], case.ratio, np.nan)
    last, columns = trend.compact(ratio, HISTORY - 10)
    now, past = trend.recent(ratio, 4, 4), trend.upper(trend.smooth(last)[:, :-5], 0.85, 10)
    least = last[:, -4:].min(axis=1)
    feigned = _feigned(m, rows, columns, np.full(len(rows), columns.shape[1] - 5), case.weight)
    shaded = active(m, SHADING)[rows] | (shade_profile(m, rows, case.common)[2] > 0.02)
    up = (
        (now - past > 3.0 * feigned)
        & (now - past > np.maximum(0.13, RESTLESS * case.restless))
        & (least - past > 0.09)
        & ~running
        & ~shaded
        & (m["learned"][rows] >= LEARNING)
    )
    if up.any():
        found.append(begin(m, SENSOR, rows[up], day[up] - 4, past[up], np.expm1(now - past)[up], "gain"))
    before = m["before"][rows, SENSOR]
    gain = np.isfinite(before)
    over = active(m, SENSOR)[rows] & np.where(gain, np.abs(now - before) < 0.06, quiet) & ~up
    if over.any():
        back = rows[over & gain]
        m["cut"][back] = m["day"][back] - 3
        found.append(end(m, SENSOR, rows[over]))
    return found


def outage(m: Memory, rows: Ints, due: Floats, got: Floats) -> list[Finding]:
    """Two days in a row with sun and no output. ``due`` and ``got`` [P, HISTORY] in hours of nominal power."""
    dead = (due > 0.5) & (got < 0.03 * due)
    found, running = [], active(m, OUTAGE)[rows]
    new = dead[:, -1] & dead[:, -2] & ~running
    if new.any():
        some = rows[new]
        found.append(
            begin(m, OUTAGE, some, m["day"][some].astype(np.int64) - 1, np.full(len(some), np.nan), np.ones(len(some)))
        )
    over = running & (due[:, -1] > 0.5) & (got[:, -1] > 0.1 * due[:, -1])
    if over.any():
        m["cut"][rows[over]] = m["day"][rows[over]]
        found.append(end(m, OUTAGE, rows[over]))
    return found


def clipping(m: Memory, rows: Ints) -> list[Finding]:
    """The same flat top on three of twelve days, below what the inverter is rated for."""
    top = np.where(m["ceiling"][rows] > 0, m["ceiling"][rows].astype(np.float64), np.nan)
    now = trend.middle(top[:, -12:], 3)
    alike = (np.abs(top[:, -12:] - now[:, None]) < 0.04 * now[:, None]).sum(axis=1)
    limit = m["limit"][rows]
    running = active(m, CLIPPING)[rows]
    found: list[Finding] = []
    ready = m["learned"][rows] >= LEARNING
    seen = (alike >= 3) & ready & ~running
    design = seen & np.isnan(limit) & (m["learned"][rows] < 2 * LEARNING)
    m["limit"][rows[design]] = now[design]  # no rating among the facts: what it did from the start is its rating
    new = seen & ~design & ~(now > 0.96 * limit)
    if new.any():
        some = rows[new]
        since = column_days(m["day"][some])[:, -12:][
            np.arange(len(some)), np.isfinite(top[new][:, -12:]).argmax(axis=1)
        ]
        found.append(begin(m, CLIPPING, some, since, now[new], m["clipped"][some]))
    return found


def above_ceiling(m: Memory, rows: Ints, highest: Floats) -> list[Finding]:
    """A plant under notice for clipping that gave clearly more than its ceiling is free again."""
    over = active(m, CLIPPING)[rows] & (highest > 1.06 * m["before"][rows, CLIPPING])
    return [end(m, CLIPPING, rows[over])] if over.any() else []


def _hours(m: Memory, rows: Ints) -> tuple[Bools, Floats, Floats]:
    """Which half hours are known [P, HOURS], their ratio of output to model (NaN = unknown), and that of the plant's
    better hours [P] (the 70th percentile)."""
    weight = m["due"][rows].astype(np.float64)
    known = (m["times"][rows] >= 2.5) & (weight > np.maximum(0.08 * weight.max(axis=1, initial=0.0), 1e-3)[:, None])
    part = np.where(known, m["got"][rows].astype(np.float64) / np.maximum(weight, 1e-3), np.nan)
    at = np.clip((0.7 * (known.sum(axis=1) - 1)).astype(np.int64), 0, part.shape[1] - 1)
    best = np.sort(part, axis=1)[np.arange(len(part)), at]
    return known, part, np.where(best > 0.05, best, np.nan)


def fleet_profile(m: Memory, peers: int) -> FleetProfile:
    """The half hours of all plants together; nothing in common and no spread where fewer than ``peers`` know them."""
    _, part, best = _hours(m, np.arange(len(m["plant"])))
    columns = np.ascontiguousarray((part / best[:, None]).T)
    shared = trend.middle(columns, peers)
    shared = np.where(np.isfinite(shared), np.clip(shared, 0.3, 2.0), 1.0)
    rough = 1.4826 * trend.middle(np.abs(columns - shared[:, None]), peers)
    return FleetProfile(shared, np.nan_to_num(rough))


def shade_profile(m: Memory, rows: Ints, fleet: FleetProfile) -> tuple[Floats, Bools, Floats]:
    """By half hour of solar time [P, HOURS]: how far output falls below the plant's own better hours, which of these
    are its one dip (the costliest run of low half hours), and the share of energy that the dip costs [P]."""
    known, part, best = _hours(m, rows)
    weight = m["due"][rows].astype(np.float64)
    dip = np.where(known & (known.sum(axis=1) >= 6)[:, None], 1.0 - part / (best[:, None] * fleet.shared), 0.0)
    low = dip > np.maximum(0.13, 4.0 * fleet.rough)
    side = np.zeros_like(low)
    side[:, 1:] |= low[:, :-1]
    side[:, :-1] |= low[:, 1:]
    low &= side | (dip > 0.3)
    begins = low.copy()
    begins[:, 1:] &= ~low[:, :-1]
    run = np.where(low, np.cumsum(begins, axis=1), 0)
    costs = np.zeros((len(low), HOURS // 2 + 1))
    np.add.at(costs, (np.arange(len(low))[:, None], run), np.where(low, dip * weight, 0.0))
    low &= run == costs.argmax(axis=1)[:, None]
    return dip, low, costs.max(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)


def shading(case: Case, least_hours: float) -> list[Finding]:
    """Direct sun is lost at the same half hours day after day while the other hours are as they should be."""
    m, rows = case.m, case.rows
    dip, low, cost = shade_profile(m, rows, case.common)
    rest = ~low & _hours(m, rows)[0]
    others = np.where(rest, dip, np.nan)
    scatter = trend.middle(np.abs(others - trend.middle(others)[:, None]), 4)
    top = np.where(rest, -dip, 0.0).max(axis=1)
    depth = np.where(low, dip, 0.0).sum(axis=1) / np.maximum(low.sum(axis=1), 1)
    ready = (m["learned"][rows] >= 1.5 * LEARNING) & ~active(m, SENSOR)[rows] & ~moving(m, rows)
    ready &= ~active(m, CLIPPING)[rows] & ((m["ceiling"][rows, -12:] > 0).sum(axis=1) < 2)
    ready &= cost * case.usual > least_hours
    ready &= np.where(low, m["times"][rows], np.inf).min(axis=1) >= 3.5
    shaded = (cost > 0.025) & (np.where(low, dip, 0).max(axis=1) > 0.22) & (scatter < 0.05) & (top < 0.15) & ready
    shaded &= depth > 5.0 * scatter
    running = active(m, SHADING)[rows]
    found, new = [], shaded & ~running
    m["share"][rows[running], SHADING] = cost[running]
    if new.any():
        some = rows[new]
        found.append(begin(m, SHADING, some, m["day"][some].astype(np.int64), np.full(len(some), np.nan), cost[new]))
    over = running & (cost < 0.008)
    if over.any():
        found.append(end(m, SHADING, rows[over]))
    return found


def losses(case: Case, least: Floats) -> list[Finding]:
    """A step down that stays (string fault) or a slow fall (soiling) by more than ``least`` [P]."""
    m, rows = case.m, case.rows
    days = column_days(m["day"][rows])
    usable = np.where(days >= m["cut"][rows][:, None], case.ratio, np.nan)
    raw, columns = trend.compact(usable, LOOK)
    x = trend.smooth(raw)
    when = np.take_along_axis(days, columns, axis=1).astype(np.float64)
    sigma = trend.noise(raw)
    found = []
    known = np.isfinite(x).sum(axis=1)
    flat = np.nansum((x - np.nan_to_num(trend.middle(x))[:, None]) ** 2, axis=1)
    jump, fall = trend.step(x, 6, 4), trend.decline(x, when, 4, 9.0)
    sudden = trend.step(x, 6, 1)
    free = (m["learned"][rows] >= LEARNING) & (known >= 12) & ~active(m, SENSOR)[rows] & ~active(m, OUTAGE)[rows]
    free &= ~active(m, STRING)[rows] & ~active(m, SOILING)[rows] & ~moving(m, rows)
    sure = np.maximum(np.maximum(least, 3.0 * sigma), RESTLESS * case.restless)
    error = sigma * np.sqrt(1.0 / np.maximum(jump.after, 1) + 1.0 / np.maximum(known - jump.after, 1))
    index = np.arange(len(rows))
    began = np.clip(jump.at, 0, x.shape[1] - 1)
    after = np.where(np.arange(x.shape[1])[None, :] >= began[:, None], x, np.nan)
    slide = np.abs(_slope(after, when)) * np.nan_to_num(when[:, -1] - when[index, began])
    stays = slide < 0.45 * jump.drop
    dirty = free & (fall.drop > sure) & (fall.error < 0.75 * sudden.error) & (fall.error < 0.35 * flat)
    dirty &= (fall.after >= 6) & (fall.drop > 2.5 * _feigned(m, rows, columns, fall.at, case.weight))
    dirty &= _shade_cost(m, rows, case.common, fall.after) < 0.35 * fall.drop
    broken = (
        free
        & (jump.drop > sure)
        & (jump.drop > 5.0 * error)
        & (jump.drop > 2.5 * _feigned(m, rows, columns, jump.at, case.weight))
        & (jump.error < 0.6 * fall.error)
        & stays
    )
    broken &= (jump.error < 0.4 * flat) & ~dirty & (_shade_cost(m, rows, case.common, jump.after) < 0.35 * jump.drop)
    for kind, which, change in ((SOILING, dirty, fall), (STRING, broken, jump)):
        if not which.any():
            continue
        at = np.clip(change.at[which], 0, x.shape[1] - 1)
        since = when[which][np.arange(which.sum()), at].astype(np.int64)
        end = trend.recent(raw, 4, 1)[which]
        found.append(begin(m, kind, rows[which], since, end + change.drop[which], -np.expm1(-change.drop[which])))
    return found


def _slope(values: Floats, days: Floats) -> Floats:
    """Least-squares slope of each row [1/day]."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(axis=1), 1)
    t, x = np.where(known, days, 0.0), np.nan_to_num(values)
    tm, xm = t.sum(axis=1) / n, x.sum(axis=1) / n
    dt = np.where(known, t - tm[:, None], 0.0)
    return np.asarray((dt * (x - xm[:, None])).sum(axis=1) / np.maximum((dt * dt).sum(axis=1), 1e-9))


def _shade_cost(m: Memory, rows: Ints, common: FleetProfile, after: Ints) -> Floats:
    """Share of the energy [P] that dips of the day's profile explain, if they are ``after`` [P] days old: what they
    explain is no string and no dirt."""
    dip, _, cost = shade_profile(m, rows, common)
    due = m["due"][rows].astype(np.float64)
    rough = (due * np.clip(dip - 0.03, 0.0, None)).sum(axis=1) / np.maximum(due.sum(axis=1), 1e-3)
    seen = 1.0 - FADE ** np.maximum(after, 1)  # how much of a new dip the fading profile shows by now
    return np.where(active(m, SHADING)[rows], np.maximum(cost, 0.02), np.maximum(rough, cost)) / seen


def _feigned(m: Memory, rows: Ints, columns: Ints, at: Ints, weight: Floats) -> Floats:
    """How far a plane that is not well known may move the log ratio between the days before entry ``at`` [P] of
    ``columns`` [P, M] and those since (one standard error)."""
    basis = m["basis"][rows[:, None], columns].astype(np.float64)
    theta = m["theta"][rows].astype(np.float64)
    known = np.isfinite(basis[..., 0]) & np.isfinite(m["output"][rows[:, None], columns])
    since = np.arange(columns.shape[1])[None, :] >= at[:, None]
    sides = []
    for side in (known & ~since, known & since):
        total = np.where(side[..., None], np.nan_to_num(basis), 0.0).sum(axis=1)
        due = np.einsum("pk,pk->p", total, theta)
        sides.append(total / np.where(due > 1e-6, due, 1.0)[:, None])
    return doubt(m["gram"][rows].astype(np.float64), weight, sides[1] - sides[0])


def recoveries(case: Case) -> list[Finding]:
    """Losses that are over: three measured days back at the level before, to within a third of the loss."""
    m, rows, found = case.m, case.rows, []
    now = trend.recent(np.where(column_days(m["day"][rows]) >= m["cut"][rows][:, None], case.ratio, np.nan), 3, 3)
    for kind in (SOILING, STRING):
        running = active(m, kind)[rows]
        before, share = m["before"][rows, kind], m["share"][rows, kind]
        back = running & (now > before - 0.35 * share)
        if back.any():
            some = rows[back]
            m["cut"][some] = m["day"][some] - 2
            found.append(end(m, kind, some))
        low = running & ~back & np.isfinite(now)
        m["share"][rows[low], kind] = np.maximum(-np.expm1(now - before)[low], 0.0)
    return found
