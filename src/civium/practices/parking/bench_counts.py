"""Recorded counts: forecasts and probabilities on the weeks that come after, and faults laid over the real series."""

import csv
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from civium.bench.score import Score
from civium.core import NeedUnmet, State, from_datetime
from civium.practices.parking import bench_feed as feed
from civium.practices.parking.decide import AHEAD, decide, start
from civium.practices.parking.faults import KEYS
from civium.practices.parking.memory import DAY_SLOTS, SLOT, WEEK_SLOTS, Floats, Ints
from civium.practices.parking.params import ParkingParams

TRAIN = 0.7  # first part of the record, where no file of its own holds the test
FEWEST_ROWS = 48  # half hours with figures: of less than a day nothing could be learned and tested
MOST_SHARE = 1.2  # of which the middle of a column may be: a few cars stand between the bays, more are no share
WHOLE = 6000  # largest capacity that is looked for in shares
NOT_CAR_PARKS = {"Datetime", "weekday", "time", ""}
SMOKE_DAYS = 30
SOURCE = "weekday-time mean and persistence of the data set's own last week, measured for this project"
PUBLISHED = {"30_min": 0.0265, "1_day": 0.0667}


@dataclass(frozen=True, slots=True)
class Counts:
    """A record: ``share`` taken [slots, car parks] (NaN = none) from slot ``first`` on; tested from row ``test`` on."""

    name: str
    first: int
    share: Floats
    capacity: Floats
    test: int

    @property
    def slots(self) -> Ints:
        """Slot of each row, counted from the epoch."""
        return self.first + np.arange(len(self.share))


def read(folder: Path) -> Counts:
    """The CSV files of a folder (``.csv``, ``.csv.xz``) in order of time; ``ValueError`` says what is wrong."""
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.xz")])
    if not files:
        raise ValueError(f"{folder} holds no CSV file of counts")
    rows: dict[int, dict[str, float]] = {}
    tested: list[int] = []
    for path in files:
        for slot, parks in _lines(path):
            rows.setdefault(slot, {}).update(parks)
            if path.name.startswith("test"):
                tested.append(slot)
    names = sorted(set().union(*(row.keys() for row in rows.values())))
    if not rows or not names:
        raise ValueError(f"{folder.name}: its files hold {len(rows)} half hours of {len(names)} car parks")
    first, last = min(rows), max(rows)
    share = np.full((last - first + 1, len(names)), np.nan)
    for slot, row in rows.items():
        share[slot - first] = [row.get(name, np.nan) for name in names]
    for name, column in zip(names, share.T, strict=True):
        if np.isfinite(column).any() and (half := float(np.nanmedian(column))) > MOST_SHARE:
            raise ValueError(
                f"{folder.name}: column '{name}' holds {half:g} in the middle: write the share that is taken, 0 to 1, "
                "and not vehicles"
            )
    known = sorted(rows)
    test = min(tested) if tested else known[int(len(known) * TRAIN)]
    return Counts(folder.name, first, share, np.array([capacity_of(column) for column in share.T]), test - first)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Slot and shares of each line of a file; ``ValueError`` names the line and column that cannot be read."""
    try:
        with lzma.open(path, "rt") if path.suffix == ".xz" else path.open(encoding="utf-8") as text:
            reader = csv.DictReader(text)
            if "Datetime" not in (reader.fieldnames or ()):
                raise ValueError(f"{path.name} has no column 'Datetime'")
            for line in reader:
                if None in line:
                    raise ValueError(f"{path.name}, line {reader.line_num}: more cells than the header has columns")
                try:
                    when = datetime.fromisoformat(line["Datetime"] or "")
                except ValueError:
                    why = f"'{line['Datetime']}' is no time such as 2016-10-04 08:00:00"
                    raise ValueError(f"{path.name}, line {reader.line_num}, column 'Datetime': {why}") from None
                slot = from_datetime(when.replace(tzinfo=UTC)) // SLOT
                yield slot, {k: _share(v, path, reader.line_num, k) for k, v in line.items() if k not in NOT_CAR_PARKS}
    except (UnicodeDecodeError, lzma.LZMAError, EOFError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def _share(cell: str | None, path: Path, line: int, column: str) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError:
        raise ValueError(f"{path.name}, line {line}, column '{column}': '{cell}' is no number") from None


def capacity_of(share: Floats) -> float:
    """The least number of places of which all shares are whole counts; 1000 where there is none."""
    known = share[np.isfinite(share)]
    for places in range(2, WHOLE):
        counts = known * places
        if (np.abs(counts - np.round(counts)) < 1e-6 * places).all():
            return float(places)
    return 1000.0


@dataclass(frozen=True, slots=True)
class Told:
    """What was said, by horizon: forecast, bounds and probability, by slot it is about [slots, car parks]."""

    value: dict[str, Floats]
    low: dict[str, Floats]
    high: dict[str, Floats]
    free: dict[str, Floats]
    alarms: list[tuple[int, int, str]]  # row, car park, key


def _blank(share: Floats) -> dict[str, Floats]:
    return {name: np.full(share.shape, np.nan) for name in AHEAD}


def replay(counts: Counts, share: Floats, upto: int, params: ParkingParams) -> Told:
    """Let the practice look at every half hour up to row ``upto``; what comes later it has not seen."""
    n = share.shape[1]
    ids = np.arange(1, n + 1)
    rows: list[feed.Row] = [
        (int(i), "car_park", f"car park {i}", None, None, {"code": str(i), "capacity": c})
        for i, c in zip(ids, counts.capacity.tolist(), strict=True)
    ]
    table = feed.things(rows)
    told = Told(_blank(share), _blank(share), _blank(share), _blank(share), [])
    state: State = {}
    for row in range(upto):
        known = np.isfinite(share[row])
        if not np.isfinite(counts.share[row]).any():
            continue
        now = int(counts.slots[row]) * SLOT
        look = feed.view(now, table, feed.frame(ids[known], (share[row] * counts.capacity)[known], now))
        state = state or start(look, params)
        try:
            plan, state = decide(look, state, params)
        except NeedUnmet:
            continue
        told.alarms.extend((row, (n_.about or 0) - 1, n_.key) for n_ in plan.notices if n_.key in KEYS)
        for e in plan.estimates:
            what, _, name = e.property.partition("_in_")
            at, park = row + AHEAD[name] * 1_000_000 // SLOT, e.thing - 1
            if at >= len(share) or name == "15_min":
                continue
            if what == "place_free_probability":
                told.free[name][at, park] = e.value
            else:
                places = counts.capacity[park]
                told.value[name][at, park] = e.value / places
                told.low[name][at, park], told.high[name][at, park] = (
                    (e.lower or 0.0) / places,
                    (e.upper or 0.0) / places,
                )
    return told


def bench(counts: Counts, smoke: bool, seeds: tuple[int, ...], say: Callable[[str], None]) -> Iterator[Score]:
    """Forecast, probability, interval, then faults. ``ValueError`` for a record that is too short."""
    if (known := int(np.isfinite(counts.share).any(axis=1).sum())) < FEWEST_ROWS:
        raise ValueError(f"{counts.name} has figures for {known} half hours: at least {FEWEST_ROWS} are needed")
    params = ParkingParams()
    upto = min(len(counts.share), SMOKE_DAYS * DAY_SLOTS) if smoke else len(counts.share)
    test = min(counts.test, upto * 2 // 3)
    told = replay(counts, counts.share, upto, params)
    say(f"{counts.name}: {counts.share.shape[1]} car parks, tested from row {test} of {upto}")
    yield from _forecasts(counts, told, test, upto, 1.0 if smoke else 0.8)  # a smoke run has learned some days only
    yield from _chances(counts, told, test, upto, params)
    yield from _faults(counts, test, upto, seeds or (0,), params, say)


def _forecasts(counts: Counts, told: Told, test: int, upto: int, share: float) -> Iterator[Score]:
    """``share`` of the baseline's error is the most that is allowed."""
    truth = counts.share[test:upto]
    week = _by_slot(counts, counts.share[:test], WEEK_SLOTS, test, upto)
    persistence = np.full(truth.shape, np.nan)
    persistence[1:] = counts.share[test : upto - 1]
    for name, plain, words in (
        ("30_min", persistence, "persistence"),
        ("60_min", np.vstack([np.full((2, truth.shape[1]), np.nan), counts.share[test : upto - 2]]), "persistence"),
        ("1_day", week, "weekday-time mean of the first part"),
    ):
        ours = told.value[name][test:upto]
        both = np.isfinite(truth) & np.isfinite(plain) & np.isfinite(ours)
        yield Score(
            counts.name,
            f"MAE {name.replace('_', ' ')} ahead",
            "1",
            float(np.abs(ours - truth)[both].mean()),
            float(np.abs(plain - truth)[both].mean()),
            "lower",
            published=PUBLISHED.get(name) if counts.name == "birmingham-parking" else None,
            source=SOURCE,
            floor=share * float(np.abs(plain - truth)[both].mean()),
            note=f"share of capacity; baseline: {words}; {int(both.sum())} forecasts; floor: {1 - share:.0%} better",
        )


def _by_slot(counts: Counts, first: Floats, period: int, test: int, upto: int) -> Floats:
    """Mean of the first part by slot of the week (or day), for each row of the test [rows, car parks]."""
    slot = counts.slots % period
    table = np.full((period, first.shape[1]), np.nan)
    for k in range(period):
        some = first[slot[: len(first)] == k]
        known = np.isfinite(some)
        table[k] = np.where(
            known.any(axis=0), np.where(known, some, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
        )
    return table[slot[test:upto]]


def _chances(counts: Counts, told: Told, test: int, upto: int, params: ParkingParams) -> Iterator[Score]:
    limit = 1 - np.maximum(params.spare, 1 / counts.capacity)
    event = np.where(np.isfinite(counts.share), counts.share <= limit, np.nan)
    climate = _by_slot(counts, event[:test], DAY_SLOTS, test, upto)
    truth = event[test:upto]
    for name in ("30_min", "60_min", "1_day"):
        chance = told.free[name][test:upto]
        both = np.isfinite(truth) & np.isfinite(chance) & np.isfinite(climate)
        p, y, c = chance[both], truth[both], climate[both]
        words = name.replace("_", " ")
        note = f"a place is free in {y.mean():.1%} of {len(y)} cases"
        yield Score(
            counts.name, f"Brier score, free {words} ahead", "1", float(((p - y) ** 2).mean()),
            float(((c - y) ** 2).mean()), "lower", floor=float(((c - y) ** 2).mean()),
            note=f"{note}; baseline: each car park's own frequency at that time of day",
        )  # fmt: skip
        unsure = (p > 0.02) & (p < 0.98)
        yield Score(
            counts.name, f"calibration error {words} ahead", "1", calibration_error(p, y), calibration_error(c, y),
            "lower", floor=0.05,
            note=f"mean of |said - came| over bins of a tenth; where it is unsure (2 to 98 %, {int(unsure.sum())}"
            f" cases) {calibration_error(p[unsure], y[unsure]):.3f}",
        )  # fmt: skip
        inside = (counts.share[test:upto] >= told.low[name][test:upto]) & (
            counts.share[test:upto] <= told.high[name][test:upto]
        )
        covered = float(inside[both].mean())
        yield Score(
            counts.name, f"outside or short of the 90 % interval {words} ahead", "1", abs(covered - 0.9), 0.1, "lower",
            floor=0.05, note=f"{covered:.3f} of the truth lay inside; baseline: an interval that holds always",
        )  # fmt: skip


def calibration_error(p: Floats, y: Floats) -> float:
    """Mean distance of what was said from what came, over ten bins of what was said; NaN without cases."""
    if not len(p):
        return float("nan")
    which = np.clip((p * 10).astype(int), 0, 9)
    count, said, came = (np.bincount(which, w, 10) for w in (None, p, y))
    return float(np.abs(said - came).sum() / count.sum())


FAULTS = ("stuck", "drift", "silent", "impossible")


def _faults(
    counts: Counts, test: int, upto: int, seeds: tuple[int, ...], params: ParkingParams, say: Callable[[str], None]
) -> Iterator[Score]:
    """A third of the car parks gets one fault in the test part; the baseline believes what lies within bounds."""
    found, false, plain, hurt, healthy, late = 0, 0, 0, 0, 0, []
    for seed in seeds:
        random = np.random.default_rng([seed, 7])
        share, faults = with_faults(counts, test, upto, random)
        told = replay(counts, share, upto, params)
        first: dict[tuple[int, str], int] = {}
        for row, park, key in told.alarms:
            if row >= test:
                first.setdefault((park, key), row)
        for park, (kind, begin) in faults.items():
            seen = first.get((park, kind))
            hurt += 1
            found += seen is not None and seen >= begin
            plain += kind in ("silent", "impossible")
            if seen is not None:
                late.append((seen - begin) / DAY_SLOTS)
        sound = [
            park for park in range(share.shape[1]) if park not in faults and not stands(counts.share[test:upto, park])
        ]
        healthy += len(sound)
        false += len({park for park, key in first if park in sound and key})
        say(f"{counts.name} faults, seed {seed}: {found} of {hurt} found")
    yield Score(
        counts.name, "recall of failed sensors", "1", found / max(hurt, 1), plain / max(hurt, 1), "higher", floor=0.6,
        note=f"{found} of {hurt}, median {np.median(late) if late else float('nan'):.2f} days after they began; "
        "baseline: bounds and silence alone",
    )  # fmt: skip
    yield Score(
        counts.name, "healthy car parks with a false alarm", "1", false / max(healthy, 1), 0.0, "lower", floor=0.35,
        note=f"{false} of {healthy} in {(upto - test) / DAY_SLOTS:.0f} days; left out: car parks whose record itself "
        "stands still for three hours; baseline: bounds and silence alone",
    )  # fmt: skip


def stands(share: Floats) -> bool:
    """Whether a record [slots] stands still within its bounds for three hours (seven readings on end)."""
    inside = np.isfinite(share) & (share > 0) & (share < 1)
    same = np.concatenate([[False], inside[1:] & inside[:-1] & (share[1:] == share[:-1])])
    return bool((np.convolve(same, np.ones(6), "valid") == 6).any())


def with_faults(
    counts: Counts, test: int, upto: int, random: np.random.Generator
) -> tuple[Floats, dict[int, tuple[str, int]]]:
    """A copy with faults laid over it, and which car park has what, from which row on."""
    share, n = counts.share.copy(), counts.share.shape[1]
    faults = {}
    for k, park in enumerate(random.permutation(n)[: n // 3].tolist()):
        kind = FAULTS[k % len(FAULTS)]
        inside = [row for row in range(test, test + (upto - test) // 3) if 0.05 < share[row, park] < 0.9]
        if not inside:
            continue
        begin = int(random.choice(inside))
        after = np.arange(begin, upto)
        known = np.isfinite(share[after, park])
        if kind == "stuck":
            share[after, park] = np.where(known, share[begin, park], np.nan)
        elif kind == "drift":  # the way out misses cars: two in a hundred of the capacity a day, since the last reset
            share[after, park] += 0.02 * (after - begin) / DAY_SLOTS
        elif kind == "silent":
            share[after, park] = np.nan
        else:
            share[after, park] = np.where(known, 1.2 + share[after, park], np.nan)
        faults[park] = (kind, begin)
    return share, faults
