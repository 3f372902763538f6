"""The decision: keep a model of every plant, say what it should give, and name what holds it back."""

from dataclasses import dataclass

import numpy as np

from civium.core import MICROSECONDS, Notice, Params, Plan, State, View
from civium.practices.pv_fleet import day as days
from civium.practices.pv_fleet import faults, neighbours, notices, trend
from civium.practices.pv_fleet.clock import UNKNOWN, clock
from civium.practices.pv_fleet.findings import Case, FleetProfile, active
from civium.practices.pv_fleet.live import estimates, power_of
from civium.practices.pv_fleet.memory import (
    CLIPPING,
    FADE,
    HISTORY,
    IDLE_FADE,
    NEVER,
    RINGS,
    SENSOR,
    SOILING,
    STRING,
    Memory,
    advance,
    fresh,
    recall,
)
from civium.practices.pv_fleet.model import Floats, plane, pvlib
from civium.practices.pv_fleet.readings import DAY, DAY_SLOTS, SLOT, Ints, Plants, plants, take
from civium.practices.pv_fleet.weather import Weather, nearest, places, sky, weather

WINDOW = 36 * 3600.0  # [s] a closed solar day and the time until it is closed
GRACE = 2 * 3600.0  # [s] after solar midnight in which late readings still count
FULL_LESSON = 2.0  # hours of nominal power that make a day's lesson a whole one
SNOW_C, SNOW_SHARE = 3.0, 0.75  # a day no warmer than this that gives less than this share may be one of snow
TELLING = 0.3  # share of the day's energy that good slots must cover
MEMORY_DAYS = 60.0  # how long a lesson about the plane lasts
# Trust in the plane of the facts, counted in slots of full sun: (error of a slot / error of the fact)^2.
PRIOR = np.array([2.0, 2.0, 2.0, 8.0, 800.0])
WEAK_PRIOR = np.array([0.3, 0.3, 0.3, 1.0, 800.0])


@dataclass(frozen=True, slots=True)
class FleetParams(Params):
    """What is worth a notice, and from how many plants on neighbours are compared.

    ``least_loss``: share of a plant's energy, and ``least_hours`` [h] energy a day over nominal power, under which a
    loss is let be; ``peers``: plants of one weather station that it takes before what they have in common is taken out.
    """

    least_loss: float = 0.05
    least_hours: float = 0.1
    peers: int = 6


def start(view: View, params: FleetParams) -> State:
    """An empty memory of the present plants. Needs pvlib, so that a bare install is told at once."""
    pvlib("irradiance")
    return fresh(plants(view).id, np.zeros(0, dtype=np.int64))


def decide(view: View, state: State, params: FleetParams) -> tuple[Plan, State]:
    """Estimates for the last full quarter hour, and notices from the solar days that closed since the last turn.

    A day is read once: two hours after solar midnight, from the window. Turns in between leave the memory alone but
    for the time of the last estimate, so a repeated or overlapping window changes nothing.
    """
    fleet = plants(view)
    slots = int(WINDOW * MICROSECONDS) // SLOT
    begin = view.now // SLOT * SLOT - slots * SLOT
    air = weather(view, begin, slots)
    m = recall(state, fleet.id, air.id)
    _settle(m, fleet)
    said = notices.missing_facts(m, fleet)
    closing = _closing(m, fleet, view.now)
    if len(closing):
        said += _close(view, m, fleet, air, begin, slots, closing, params)
    made = estimates(view, m, fleet, air, begin, slots)
    weak = int((m["since"] != NEVER).any(axis=1).sum())
    because = f"{len(fleet.id)} plants, {weak} under notice, {len(closing)} days closed"
    return Plan(estimates=tuple(made), notices=tuple(said), because=because), m


def _settle(m: Memory, fleet: Plants) -> None:
    """Give plants that have none a nominal power and a plane from their facts."""
    facts = np.where(np.isnan(fleet.peak), fleet.limit, fleet.peak)
    new = np.isnan(m["nominal"]) & (m["weak"] == 0) & np.isfinite(facts)
    m["nominal"][new] = facts[new]
    bare = np.isnan(m["theta"][:, 0]) & np.isfinite(m["nominal"]) & fleet.placed
    m["theta"][bare] = _prior(fleet)[bare]
    rated = np.isfinite(fleet.limit) & np.isfinite(m["nominal"])
    m["limit"][rated] = (fleet.limit / m["nominal"])[rated]


def _prior(fleet: Plants) -> Floats:
    """The planes of the facts [P, 5]; unknown: tilted 25 deg to the equator."""
    south = np.where(np.nan_to_num(fleet.latitude) >= 0, 180.0, 0.0)
    tilt = np.where(np.isnan(fleet.tilt), 25.0, fleet.tilt)
    return plane(tilt, np.where(np.isnan(fleet.azimuth), south, fleet.azimuth), fleet.albedo)


def _closing(m: Memory, fleet: Plants, now: int) -> Ints:
    """Rows of the plants whose last solar day has closed and was not read yet."""
    last = _solar_day(fleet.longitude, now - int(GRACE * MICROSECONDS)) - 1
    return np.flatnonzero(fleet.placed & (last > m["day"]))


def _solar_day(longitude: Floats, instant: int) -> Ints:
    """Day number by local mean solar time."""
    return np.floor_divide(instant + np.nan_to_num(longitude) / 360.0 * DAY, DAY).astype(np.int64)


def _close(
    view: View, m: Memory, fleet: Plants, air: Weather, begin: int, slots: int, rows: Ints, params: FleetParams
) -> list[Notice]:
    """Read the last solar day of ``rows``, learn from it, and look for what began or ended."""
    day = _solar_day(fleet.longitude, view.now - int(GRACE * MICROSECONDS))[rows] - 1
    some = take(fleet, rows)
    first = np.round((day * DAY - some.longitude / 360.0 * DAY - begin) / SLOT).astype(np.int64)
    gap = np.where(m["day"][rows] == NEVER, HISTORY, day - m["day"][rows].astype(np.int64))
    advance(m, RINGS, rows, gap)
    m["day"][rows] = day
    read = power_of(view, m, some, rows, begin, slots)
    inside = (first >= 0) & (first + DAY_SLOTS <= slots)
    rows, some, first = rows[inside], take(some, np.flatnonzero(inside)), first[inside]
    columns = first[:, None] + np.arange(DAY_SLOTS)
    cut = [part[np.flatnonzero(inside)[:, None], columns] for part in (read.value, read.seen, read.bad)]
    _judge_nominal(m, rows, cut[0], cut[1], cut[2])
    usable = np.flatnonzero(np.isfinite(m["nominal"][rows]) & np.isfinite(m["theta"][rows, 0]))
    rows, some, columns, first = rows[usable], take(some, usable), columns[usable], first[usable]
    value, seen, bad = (part[usable] for part in cut)
    if len(rows) == 0:
        return []
    above = places(some.latitude, some.longitude, some.altitude, begin, slots)
    overhead = sky(some, air, above, first, DAY_SLOTS)
    ratio, _, _ = neighbours.ratios(m)
    level, slow = (np.exp(np.nan_to_num(trend.recent(ratio[rows], days_back, 1))) for days_back in (7, 25))
    top = np.where(active(m, CLIPPING)[rows], m["before"][rows, CLIPPING], np.inf)
    today = days.measure(
        value / m["nominal"][rows].astype(np.float64)[:, None],
        overhead,
        m["theta"][rows].astype(np.float64),
        some.gamma,
        m["limit"][rows].astype(np.float64),
        level,
        top,
    )
    _remember(m, rows, today, level, seen, bad)
    _draw_profile(m, rows, today, slow)
    profile = faults.fleet_profile(m, params.peers)
    station = nearest(fleet, air)[:, 0] if len(air.id) else np.zeros(len(fleet.id), dtype=np.int64)
    ratio, due, _ = neighbours.ratios(m)
    shared = neighbours.common(m, ratio, station, params.peers)
    _learn(m, some, rows, today, ratio[rows], shared[rows], due[rows, -1], profile)
    highest = np.sort(np.nan_to_num(np.where(today.good, today.power, 0.0)), axis=1)[:, -3]
    found = clock(m, rows)  # first: it strikes the days that were read with a wrong clock
    ratio, due, got = neighbours.ratios(m)
    shared = neighbours.common(m, ratio, station, params.peers)
    usual = np.nan_to_num(trend.recent(np.where(due > 0, due, np.nan), 7, 1))
    own = ratio - shared
    apart = neighbours.restless(own, params.peers)
    case = Case(m, rows, own[rows], apart, usual[rows], profile, _trust(m, some, rows))
    found += faults.find(case, due[rows], got[rows], highest, params.least_loss, params.least_hours)
    stake = usual * np.nan_to_num(m["nominal"]).astype(np.float64) * 3600.0
    said = [n for one in found for n in notices.found(m, fleet, one, stake, profile)]
    if len(air.id) == 0:
        return said
    lit = places(air.latitude, air.longitude, np.zeros(len(air.id)), begin, slots).cosine > days.LOWEST_SUN
    closed = _solar_day(air.longitude, view.now - int(GRACE * MICROSECONDS)) - 1
    return said + notices.about_stations(
        air, neighbours.stations(m, air, shared, station, closed, lit, params.peers, faults.LEARNING)
    )


def _judge_nominal(m: Memory, rows: Ints, value: Floats, seen: Floats, bad: Floats) -> None:
    """Where no fact gives the size, or most readings contradict it, take it from the output of the first days."""
    top = np.sort(np.nan_to_num(value), axis=1)[:, -4]
    none = np.isnan(m["nominal"][rows])
    small = none & (top > 0)
    m["nominal"][rows[small]] = 1.2 * top[small]
    m["weak"][rows[small]] = 1
    young = m["learned"][rows] < 5
    wrong = ~none & young & (bad.sum(axis=1) > 0.25 * np.maximum(seen.sum(axis=1), 1.0)) & (seen.sum(axis=1) > 8)
    for name, blank in (("nominal", np.nan), ("limit", np.nan), ("theta", np.nan), ("gram", 0), ("moment", 0)):
        m[name][rows[wrong]] = blank
    m["weak"][rows[wrong]] = 1


def _remember(m: Memory, rows: Ints, today: days.Day, level: Floats, seen: Floats, bad: Floats) -> None:
    """Write the day's figures into the last column of the histories."""
    basis, output = days.sums(today)
    due = np.einsum("pk,pk->p", basis, m["theta"][rows].astype(np.float64)) * level
    light = today.sky.sun.cosine > days.LOWEST_SUN
    expected = np.nan_to_num(today.expected) * level[:, None]
    whole = np.where(light, expected, 0.0).sum(axis=1) * days.SLOT_HOURS
    snow = (np.where(light, today.sky.air, -99.0).max(axis=1) < SNOW_C) & (output < SNOW_SHARE * due)
    m["basis"][rows, -1] = basis
    m["output"][rows, -1] = np.where((due > TELLING * whole) & ~snow, output, np.nan)
    m["ceiling"][rows, -1] = today.ceiling
    flat = today.ceiling > 0
    over = np.where(today.power > 0.96 * today.ceiling[:, None], np.clip(expected - today.power, 0.0, None), 0.0)
    m["clipped"][rows] += np.where(flat, 0.2 * (over.sum(axis=1) * days.SLOT_HOURS - m["clipped"][rows]), 0.0)
    asked = light & np.isfinite(today.expected)
    number, total = asked.sum(axis=1), seen.sum(axis=1)
    have = (asked & np.isfinite(today.power)).sum(axis=1)
    m["cover"][rows, -1] = np.where(number > 8, 100 * have // np.maximum(number, 1), 255)
    m["bad"][rows, -1] = np.where(total > 0, np.minimum(100 * bad.sum(axis=1) // np.maximum(total, 1), 100), 255)
    m["stuck"][rows, -1] = np.where(total > 0, today.stuck.sum(axis=1), 255)
    late = days.lags(today)
    for name, minutes in (("lag", late.curve), ("dawn", late.dawn), ("dusk", late.dusk)):
        unit = np.clip(np.round(np.nan_to_num(minutes) / days.LAG_UNIT), -120, 120)
        m[name][rows, -1] = np.where(np.isfinite(minutes), unit, UNKNOWN)


def _draw_profile(m: Memory, rows: Ints, today: days.Day, level: Floats) -> None:
    """Add the day to the profile by half hours; ``level`` is slow, lest a new shade lift the other hours."""
    got, due = days.profile(today, level)
    idle = np.isnan(m["output"][rows, -1].astype(np.float64))[:, None]  # snow, or too little was read
    fade = np.where((due > 0) & ~idle, FADE, IDLE_FADE)  # where the sun no longer reaches is forgotten too
    for name, more in (("got", got), ("due", due), ("times", due > 0)):
        m[name][rows] = m[name][rows].astype(np.float64) * fade + np.where(idle, 0.0, more)


def _learn(
    m: Memory,
    some: Plants,
    rows: Ints,
    today: days.Day,
    ratio: Floats,
    shared: Floats,
    due: Floats,
    common: FleetProfile,
) -> None:
    """Let a day without suspicion improve the plane."""
    taught = m["learned"][rows]
    log = ratio[:, -1] - np.where(taught >= faults.LEARNING, shared[:, -1], 0.0)
    usual = np.nan_to_num(trend.recent(ratio[:, :-1] - shared[:, :-1], 10, 3))
    odd = np.abs(log - np.where(taught < 4, 0.0, usual)) > np.where(taught < 4, 1.2, np.where(taught < 10, 0.3, 0.12))
    suspected = np.zeros(len(rows), dtype=np.bool_)
    for kind in (SOILING, STRING, SENSOR):
        suspected |= active(m, kind)[rows]
    fit = np.isfinite(log) & ~odd & ~suspected
    if not fit.any():
        return
    _, low, _ = faults.shade_profile(m, rows, common)
    keep = np.ones(today.power.shape, dtype=np.bool_)
    keep[:, 16 : 16 + 2 * low.shape[1]] = np.repeat(~(low & (taught >= 5)[:, None]), 2, axis=1)
    scale = np.where(taught >= faults.LEARNING, np.exp(shared[:, -1]), 1.0)
    gram, moment = days.lesson(today, keep, scale)
    keep_share = np.where(fit, 1.0 - 1.0 / MEMORY_DAYS, 1.0)[:, None]
    m["gram"][rows] = m["gram"][rows] * keep_share + np.where(fit[:, None], gram, 0.0)
    m["moment"][rows] = m["moment"][rows] * keep_share + np.where(fit[:, None], moment, 0.0)
    m["learned"][rows] = taught + np.where(fit, np.clip(due / FULL_LESSON, 0.0, 1.0), 0.0)
    weight = _trust(m, some, rows)
    learned = days.solve(m["gram"][rows].astype(np.float64), m["moment"][rows].astype(np.float64), _prior(some), weight)
    m["theta"][rows] = np.where(fit[:, None], learned, m["theta"][rows])


def _trust(m: Memory, some: Plants, rows: Ints) -> Floats:
    """Weight of the facts' plane [P, 5] against lessons."""
    guess = np.isnan(some.tilt) | np.isnan(some.azimuth) | (m["weak"][rows] == 1)
    return np.where(guess[:, None], WEAK_PRIOR, PRIOR)
