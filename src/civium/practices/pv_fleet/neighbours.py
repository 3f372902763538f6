"""What plants under one weather station have in common: taken out of each, and pinned on the station if it lasts."""

from dataclasses import dataclass

import numpy as np

from civium.practices.pv_fleet import trend
from civium.practices.pv_fleet.memory import HISTORY, NEVER, Memory, advance
from civium.practices.pv_fleet.model import Floats, normal
from civium.practices.pv_fleet.readings import Bools, Ints
from civium.practices.pv_fleet.weather import Weather


def ratios(m: Memory) -> tuple[Floats, Floats, Floats]:
    """Histories [P, HISTORY]: log of output over model (NaN on days too dark or too dim to tell), model and output [h].

    The model is the present plane over the stored daily basis: a better plane corrects the past as well.
    """
    output = m["output"].astype(np.float64)
    due = np.einsum("phk,pk->ph", m["basis"].astype(np.float64), m["theta"].astype(np.float64))
    most = np.nan_to_num(np.sort(np.nan_to_num(due), axis=1)[:, -8])
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(output / due)
    telling = (due > np.maximum(0.3, 0.2 * most)[:, None]) & (output > 0.1 * due)
    return np.where(telling, log, np.nan), due, output


def common(m: Memory, log: Floats, station: Ints, peers: int) -> Floats:
    """The common log ratio of each plant's neighbourhood and day [P, HISTORY], aligned with ``log``.

    Per station the median over its plants (of the fleet where fewer than ``peers`` have a say, 0 where there are fewer
    in the fleet too), and on top of it what the fleet shows of the direction that plants face: light that the stations
    split wrongly into beam and diffuse moves all plants that face east one way and all that face west the other.
    """
    day = m["day"].astype(np.int64)
    behind = np.where(day == NEVER, HISTORY, day.max(initial=NEVER) - day)
    aligned = np.full(log.shape, np.nan)
    for k in np.unique(behind[behind < HISTORY]):
        some = behind == k
        aligned[some, : HISTORY - k] = log[some, k:]
    shared = _by_station(aligned, station, peers)
    lean = normal(m["theta"].astype(np.float64))[:, :2]
    for _ in range(2):
        shared += _by_direction(aligned - shared, np.nan_to_num(lean), DIRECTIONS * peers)
        shared += _by_station(aligned - shared, station, peers)
    out = np.zeros(log.shape)
    for k in np.unique(behind[behind < HISTORY]):
        some = behind == k
        out[some, k:] = shared[some, : HISTORY - k]
    return out


def _by_station(values: Floats, station: Ints, peers: int) -> Floats:
    fleet = np.nan_to_num(_median(values, peers))
    shared = np.zeros(values.shape)
    for one in np.unique(station):
        some = station == one
        own = _median(values[some], peers)
        shared[some] = np.where(np.isfinite(own), own, fleet)
    return shared


def _by_direction(values: Floats, lean: Floats, least: int) -> Floats:
    """The part of ``values`` [P, HISTORY] that is linear in the east and north lean of the planes [P, 2], by least
    squares in which what lies far out counts little; 0 on days with fewer than ``least`` plants."""
    known = np.isfinite(values)
    x = np.concatenate([np.ones((len(lean), 1)), lean], axis=1)
    rest = np.nan_to_num(values)
    fit = np.zeros((values.shape[1], 3))
    for _ in range(3):
        off = np.where(known, np.abs(rest - x @ fit.T), np.nan)
        bound = 2.0 * np.nan_to_num(_median(off, 1)) + 1e-3
        weight = np.where(known, 1.0 / np.maximum(1.0, np.nan_to_num(off) / bound) ** 2, 0.0)
        square = np.einsum("ph,pi,pj->hij", weight, x, x) + 1e-3 * np.eye(3)
        fit = np.linalg.solve(square, np.einsum("ph,pi,ph->hi", weight, x, rest)[..., None])[..., 0]
    fit[known.sum(axis=0) < least] = 0.0
    return np.asarray(lean @ fit[:, 1:].T)


def restless(own: Floats, peers: int) -> float:
    """How far the plants' log ratios [P, HISTORY] moved apart from the last weeks to the last days: what weather and an
    imperfect model do to all of them, and no single plant may be blamed for. 0 with fewer than ``peers`` plants."""
    moved = trend.recent(own[:, -8:], 5, 3) - trend.middle(own[:, -30:-8], 6)
    spread = np.abs(moved - trend.middle(moved[None, :])[0])
    return float(1.4826 * np.nan_to_num(trend.middle(spread[None, :], peers)[0]))


def _median(values: Floats, least: int) -> Floats:
    return trend.middle(np.ascontiguousarray(values.T), least)


DIRECTIONS = 3  # times the plants that a median takes, before the directions they face are told apart
LOOK_BACK = 35  # days of which the earlier four weeks are a station's usual state
RIGHT = 0.045  # log ratio to which a station must come back
CLOSURE = 0.08  # log ratio by which GHI may depart from DNI and DHI before a station is doubted


@dataclass(frozen=True, slots=True)
class StationFinding:
    """Something about station ``row``: a notice key, and how much it shows of the true irradiance [%]."""

    row: int
    key: str
    percent: int


def stations(
    m: Memory, air: Weather, shared: Floats, station: Ints, day: Ints, lit: Bools, peers: int, known: float
) -> list[StationFinding]:
    """Stations that are silent by day, whose plants all deviate together, or whose parts contradict each other.

    ``day`` [stations] is the solar day that closed, ``lit`` [stations, slots] when the sun was up; ``known`` how many
    days a station's plants must have been learned.
    """
    rows = np.flatnonzero(day > m["sky_day"])
    gone = np.where(m["sky_day"] == NEVER, HISTORY, day - m["sky_day"].astype(np.int64))
    advance(m, ("sky_cover", "sky_closure"), rows, gone[rows])
    m["sky_day"][rows] = day[rows]
    light = lit.sum(axis=1)
    seen = (lit & np.isfinite(air.ghi)).sum(axis=1)
    m["sky_cover"][rows, -1] = np.where(light > 8, 100 * seen // np.maximum(light, 1), 255)[rows]
    m["sky_closure"][rows, -1] = trend.middle(air.closure, 6)[rows]
    off, right, moved = _off(m, shared, station, len(air.id), peers, known)
    parts = np.log(m["sky_closure"].astype(np.float64))
    apart = trend.middle(parts[:, -5:], 4) - trend.middle(parts[:, -LOOK_BACK:-8], 8)
    torn = np.abs(np.nan_to_num(apart)) > CLOSURE
    cover = m["sky_cover"]
    silent = ((cover[:, -5:] < 50).sum(axis=1) >= 3) & ((cover[:, :-5] >= 50) & (cover[:, :-5] <= 100)).any(axis=1)
    running = m["sky_since"] != NEVER
    found = []
    # the weeks before tell the usual state only once the fault has left them
    settled = (m["sky_right"] == NEVER) | (m["sky_day"].astype(np.int64) - m["sky_right"] > LOOK_BACK)
    for i in np.flatnonzero((((off | torn) & settled) | silent) & ~running):
        m["sky_since"][i] = m["sky_day"][i] - 4
        m["sky_before"][i] = m["sky_before"][i] if off[i] else np.nan
        shown = -moved[i] if off[i] else apart[i]
        key = "station_silent" if silent[i] else "station_off"
        found.append(StationFinding(int(i), key, round(100.0 * float(np.exp(np.nan_to_num(shown))))))
    well = (cover[:, -5:] >= 50).all(axis=1)
    for i in np.flatnonzero(running & well & (right | np.isnan(m["sky_before"])) & ~torn):
        m["sky_since"][i], m["sky_before"][i], m["sky_right"][i] = NEVER, np.nan, m["sky_day"][i]
        found.append(StationFinding(int(i), "station_right", 100))
    return found


def _off(
    m: Memory, shared: Floats, station: Ints, number: int, peers: int, known: float
) -> tuple[Bools, Bools, Floats]:
    """Which stations read wrongly by what their plants say: (off, right again, log ratio that plants show) [stations].

    Off: the common ratio of its plants in the last five days departs by 8 % from the three weeks before, and by as
    much from that of the other stations' plants; where there is one station only, by 15 %; in either case by three
    times its usual scatter. ``known`` is how many days its plants must have been learned.
    """
    now, past, rough = np.full((3, number), np.nan)
    for one in range(number):
        some = station == one
        if some.sum() < peers or np.median(m["learned"][some]) < known:
            continue
        latest = some & (m["day"] == m["day"][some].max())
        series = trend.middle(np.ascontiguousarray(shared[latest].T))[None, :]
        now[one] = trend.middle(series[:, -5:], 4)[0]
        past[one] = trend.middle(series[:, -LOOK_BACK:-8], 8)[0]
        rough[one] = 1.4826 * trend.middle(np.abs(series[:, -LOOK_BACK:-8] - past[one]), 8)[0]
    running = m["sky_since"] != NEVER
    moved = now - np.where(running, m["sky_before"], past)
    others = np.array([_others(np.where(running, np.nan, moved), k) for k in range(number)])
    alone = np.isnan(others)
    bound = np.maximum(np.where(alone, 0.15, 0.08), 3.0 * np.nan_to_num(rough))
    with np.errstate(invalid="ignore"):
        apart = np.abs(moved - np.where(alone, 0.0, others))
        off = ~running & (apart > bound) & (np.abs(moved) > bound)
        right = running & (apart < RIGHT)
    m["sky_before"][off] = past[off]
    return off, right, moved


def _others(values: Floats, but: int) -> float:
    return float(trend.middle(np.delete(values, but)[None, :])[0]) if len(values) > 1 else np.nan
