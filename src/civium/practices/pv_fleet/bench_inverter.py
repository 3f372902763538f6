"""The bench on recorded inverters: known faults laid over a real series, and a recorded clock shift.

The recordings hold power only, neither place nor weather. Place: fitted to the hours in which the series begins and
ends its days. Weather for the faulted copies: a virtual pyranometer made from the untouched series (its output over
its own clear-day envelope, times a clear sky), with 12 % noise by the quarter hour, 4 % by the day and half an hour of
drift in the passing of clouds; so what is measured is whether faults are found and named in a real inverter's curve
under real clouds, not how well the sun is known. For the clock shift the weather is a bare clear sky.
"""

import csv
import io
import json
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.bench.score import Score, Settings
from civium.core import MICROSECONDS, State, View
from civium.core.view import STREAMS, THINGS
from civium.practices.pv_fleet.bench_feed import LOOK_AT, WINDOW, frame
from civium.practices.pv_fleet.bench_sky import clear_sky
from civium.practices.pv_fleet.bench_weather import HOUR, YEAR_START, Floats, sun_vector
from civium.practices.pv_fleet.decide import FleetParams, decide, start

SLOT = 900 * MICROSECONDS
DAY = 24 * HOUR
SLOTS = 96
ALONE = 1_000_000  # neighbours needed: copies of one plant must not vouch for each other
KINDS = ("soiling", "shading", "string_fault", "clipping", "sensor_fault", "clock_shift")
SOURCE = "slacgismo/solar-data-tools, recorded series"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series of days [D, 96] in kW, NaN = unknown; its days begin at ``midnight`` (solar, in slots of its own
    clock); place in degrees, the longitude by its own clock."""

    power: Floats
    first: int  # [us] beginning of the first row
    latitude: float
    longitude: float


def _place(power: Floats, first: int) -> tuple[float, float]:
    """Latitude and longitude at which the sun stands equally high whenever a clear day's output begins and ends."""
    top = np.nanmax(power, axis=1)
    energy: Floats = np.nansum(power, axis=1)
    days = np.flatnonzero((np.isfinite(power).sum(axis=1) > 30) & (energy > 0.6 * energy.max()))
    lit = np.nan_to_num(power[days]) > 0.04 * top[days, None]
    begin, end = lit.argmax(axis=1), SLOTS - 1 - lit[:, ::-1].argmax(axis=1)
    at = [first + days * DAY + edge * SLOT + SLOT // 2 for edge in (begin, end)]
    best = (np.inf, 0.0, 0.0)
    noon = float(np.median(begin + end) / 2 + 0.5) / 4 + first % DAY / HOUR
    for latitude in np.arange(20.0, 60.0, 1.0):
        for longitude in (12.0 - noon) * 15 + np.arange(-5.0, 5.1, 0.5):
            height = np.concatenate([sun_vector(t, latitude, longitude)[2] for t in at])
            spread = float(np.subtract(*np.percentile(height, [75, 25])))
            best = min(best, (spread, float(latitude), float(longitude)))
    return best[1], best[2]


def _matrix(text: bytes) -> Floats:
    """The two-year files: 96 rows of the day, a column a day."""
    return np.loadtxt(io.BytesIO(text), delimiter=",").T


def _series(text: bytes) -> tuple[Floats, int]:
    """The inverter's file (UTC, every 5 min): means of quarter hours [days, 96] with the day turned so that it begins
    in the night, and the first instant [us]."""
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    when = np.array([int(datetime.fromisoformat(r["ts"] + "+00:00").timestamp()) for r in rows], dtype=np.int64)
    value = np.array([float(r["meas_val_f"]) for r in rows])
    value[(value < 0) | (value > 100)] = np.nan
    begin = when.min() // 86400 * 86400 + 8 * 3600
    slot = (when - begin) // 900
    known = np.isfinite(value) & (slot >= 0) & (slot < 230 * SLOTS)
    count = np.bincount(slot[known], minlength=230 * SLOTS)
    total = np.bincount(slot[known], weights=value[known], minlength=230 * SLOTS)
    power = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(230, SLOTS)
    dark = np.zeros(power.shape, dtype=np.bool_)
    dark[:, :16], dark[:, 76:] = True, True  # the recorder sleeps at night: nought, not unknown
    measured = np.isfinite(power).sum(axis=1) > 0
    power = np.where(np.isnan(power) & dark & measured[:, None], 0.0, power)
    return power[: int(np.flatnonzero(measured).max()) + 1], int(begin) * MICROSECONDS


def _instants(one: Recording) -> NDArray[np.int64]:
    """Middle of every slot [us] [D, 96]."""
    return one.first + np.arange(one.power.size, dtype=np.int64).reshape(one.power.shape) * SLOT + SLOT // 2


def _clear(one: Recording) -> Floats:
    return clear_sky(np.clip(sun_vector(_instants(one).reshape(-1), one.latitude, one.longitude)[2], 0, None)).reshape(
        one.power.shape
    )


def _pyranometer(one: Recording, rng: np.random.Generator) -> Floats:
    """GHI [W/m^2] of a virtual station some kilometres away, from the series' own clearness."""
    days = len(one.power)
    envelope = np.full(one.power.shape, np.nan)
    for k in range(days):
        near = one.power[max(0, k - 12) : k + 13]
        envelope[k] = np.percentile(np.where(np.isfinite(near), near, 0.0), 88, axis=0)
    soft = (np.roll(envelope, 1, 1) + envelope + np.roll(envelope, -1, 1)) / 3
    clearness = np.clip(np.where(soft > 0.02 * np.nanmax(soft), one.power / np.maximum(soft, 1e-6), 1.0), 0.0, 1.25)
    clearness = np.where(np.isfinite(clearness), clearness, 1.0)
    drift = rng.integers(-2, 3, days)
    clearness = np.stack([np.roll(row, k) for row, k in zip(clearness, drift, strict=True)])
    rough = np.abs(clearness - 1.0) > 0.1
    noise = 1 + rng.normal(0, 0.12, clearness.shape) * rough + rng.normal(0, 0.04, (days, 1))
    return _clear(one) * np.clip(clearness * noise, 0.02, 1.3)


def _inject(one: Recording, kind: str, begin: int, rng: np.random.Generator) -> tuple[Floats, int]:
    """A copy of the series [kW] with a fault from day ``begin`` on, and the shift of its clock [us]."""
    power = one.power.copy()
    late = power[begin:]
    age = np.arange(len(late))[:, None]
    if kind == "string_fault":
        late *= 1 - float(rng.choice([1 / 6, 1 / 4, 1 / 3]))
    elif kind == "soiling":
        late *= 1 - np.minimum(age * float(rng.uniform(0.003, 0.005)), 0.3)
    elif kind == "shading":
        noon = _noon(one)
        from_slot = noon + int(rng.choice([-16, 8]))
        late[:, from_slot : from_slot + 9] *= 0.35
    elif kind == "clipping":
        power[begin:] = np.minimum(late, float(rng.uniform(0.55, 0.7)) * np.nanpercentile(power, 99.5))
    elif kind == "sensor_fault":
        for row in late:
            hold = int(rng.integers(_noon(one) - 8, _noon(one) + 8))
            row[hold : hold + int(rng.integers(16, 40))] = row[hold]
    return power, int(rng.choice([-60, 60])) * 60 * MICROSECONDS if kind == "clock_shift" else 0


def _noon(one: Recording) -> int:
    """Slot of a usual day's middle of output."""
    mean = np.nan_to_num(one.power).mean(axis=0)
    return round(float((mean * np.arange(SLOTS)).sum() / mean.sum()))


def _follow(
    one: Recording, copies: list[tuple[Floats, int, int]], ghi: Floats, say: Callable[[str], None], name: str
) -> list[tuple[int, int, str]]:
    """Let the practice follow copies of a recording (power [kW], clock shift [us] from a day on): (day, copy, key)."""
    facts = json.dumps({"latitude": one.latitude, "longitude": one.longitude})
    register: list[dict[str, object]] = [
        {"thing": k + 1, "kind": "pv_plant", "name": f"copy {k + 1}", "lon": None, "lat": None, "facts": facts}
        for k in range(len(copies))
    ]
    station = {"thing": 1000, "kind": "weather_station", "name": "virtual station", "facts": "{}"}
    register.append(station | {"lon": one.longitude, "lat": one.latitude})
    things = pa.Table.from_pylist(register, schema=THINGS)
    when = _instants(one)
    params = FleetParams(peers=ALONE)
    state: State = {}
    heard = []
    midnight = (_noon(one) + SLOTS // 2) % SLOTS
    for day in range(1, len(one.power)):
        now = one.first + day * DAY + midnight * SLOT + LOOK_AT
        rows = slice(max(0, day - 2), day + 2)
        time, thing, value = [], [], []
        for k, (power, shift, begin) in enumerate(copies):
            moved = when[rows] + shift * (np.arange(len(one.power))[rows, None] >= begin)
            use = np.isfinite(power[rows]) & (moved > now - WINDOW) & (moved <= now)
            time.append(moved[use])
            value.append(1000.0 * power[rows][use])
            thing.append(np.full(int(use.sum()), k + 1))
        inside = (when[rows] > now - WINDOW) & (when[rows] <= now)
        frames = {
            "power": frame(np.concatenate(thing), np.concatenate(time), np.concatenate(value)),
            "ghi": frame(np.full(int(inside.sum()), 1000), when[rows][inside], ghi[rows][inside]),
        }
        view = View(now, {}, frames, things, STREAMS.empty_table())
        if not state:
            state = start(view, params)
        plan, state = decide(view, state, params)
        heard += [(day, n.about - 1, n.key) for n in plan.notices if n.about is not None and n.about < 1000]
        if day % 120 == 119:
            say(f"{name}: day {day + 1} of {len(one.power)}")
    return heard


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Scores on the recordings under ``settings.data``; a line that says so where they are absent."""
    folder = (settings.data or Path()) / "pv-systems"
    if settings.data is None or not folder.is_dir():
        settings.tell("no recorded inverters: CIVIUM_BENCH_DATA names no folder with pv-systems")
        return
    yield from _faults(folder, settings, say)
    yield from _shift(folder, settings, say)


def _faults(folder: Path, settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    rng = np.random.default_rng([settings.seeds[0] if settings.seeds else 0, 3])
    power, first = _series(lzma.decompress((folder / "TAEFC1044741.csv.xz").read_bytes()))
    one = Recording(power, first, *_place(power, first))
    say(f"inverter TAEFC1044741: {len(power)} days, place fitted: {one.latitude:.0f} deg N, {one.longitude:.1f} deg E")
    begins = (90,) if settings.smoke else (70, 90, 110, 130)
    cases = [(kind, begin) for kind in KINDS for begin in begins]
    copies = [(one.power, 0, 0)]
    for kind, begin in cases:
        changed, shift = _inject(one, kind, begin, rng)
        copies.append((changed, shift, begin))
    heard = _follow(one, copies, _pyranometer(one, rng), say, "inverter with injected faults")
    itself = [(day, key) for day, copy, key in heard if copy == 0 and key in KINDS]
    named, wrong = 0, 0
    for k, (kind, begin) in enumerate(cases):
        after = [(day, key) for day, copy, key in heard if copy == k + 1 and day >= begin and key in KINDS]
        # what the untouched series is told as well, at about that time, neither helps nor harms
        own = [key for day, key in after if not any(key == k0 and abs(day - d0) <= 10 for d0, k0 in itself)]
        named += kind in own
        wrong += len([key for key in own if key != kind])
    note = f"{len(cases)} faults laid over one real series; {named} named right, {wrong} notices of another kind"
    yield Score(
        "inverter TAEFC1044741",
        "injected faults named right",
        "1",
        named / len(cases),
        0.0,
        "higher",
        floor=0.5,
        source=SOURCE,
        note=note + "; baseline: a ratio names no reason",
    )
    yield Score(
        "inverter TAEFC1044741",
        "notices on the untouched series",
        "1",
        float(len(itself)),
        float("nan"),
        "lower",
        source=SOURCE,
        note=", ".join(f"{key} on day {day}" for day, key in itself) or "none",
    )


def _shift(folder: Path, settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    fixed, moved = (
        _matrix(lzma.decompress((folder / f"two_year_signal_{name}.csv.xz").read_bytes()))
        for name in ("fixed", "with_shift")
    )
    changed = np.flatnonzero(np.abs(fixed - moved).sum(axis=1) > 1.0)
    begin = int(changed[0])
    days = min(len(fixed), begin + 60) if settings.smoke else len(fixed)
    one = Recording(fixed[:days], YEAR_START, *_place(fixed, YEAR_START))
    say(f"two-year signal: place fitted: {one.latitude:.0f} deg N; its clock is wrong from day {begin} on")
    copies = [(fixed[:days], 0, 0), (moved[:days], 0, 0)]
    heard = [h for h in _follow(one, copies, _clear(one), say, "two-year signal") if h[2] == "clock_shift"]
    found = [day for day, copy, _ in heard if copy == 1 and day >= begin]
    false = [day for day, copy, _ in heard if copy == 0 or day < begin]
    delay = float(found[0] - begin) if found else float("nan")
    yield Score(
        "two-year signal",
        "clock shift found",
        "1",
        float(bool(found)),
        0.0,
        "higher",
        floor=1.0,
        source=SOURCE,
        note=f"after {delay:.0f} days; weather: a clear sky only; baseline: a ratio cannot see it",
    )
    yield Score(
        "two-year signal",
        "clock shifts claimed falsely",
        "1",
        float(len(false)),
        0.0,
        "lower",
        floor=0.0,
        source=SOURCE,
        note="in the corrected series, and before the shift",
    )
