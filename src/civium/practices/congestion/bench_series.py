"""Forecasts on recorded series: a week of loop detectors (Los-loop) and a month of Bluetooth travel times (Aarhus).

The first 80 % are replayed step by step, each truth shown when it comes: once to know what is usual, once more for the
coefficients. Over the last 20 % nothing more is learned, as the published figure was made; only the present goes on.
"""

import csv
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from civium.bench.score import Score
from civium.core import from_datetime
from civium.practices.congestion.memory import HORIZONS, STEP, Floats, Memory, fresh
from civium.practices.congestion.network import follows, neighbours
from civium.practices.congestion.outlook import forecasts, interval, observe
from civium.practices.congestion.params import CongestionParams

TRAIN = 0.8
WINDOW = 12  # steps that the published models are given: the first forecast of the test follows so many
SMOKE_SERIES, SMOKE_STEPS = 30, 2016
LOS_BEGIN = datetime(2012, 3, 1, tzinfo=UTC)
LOS_PUBLISHED = {3: 5.1264}
LOS_SHAPE = (2016, 207)  # steps and detectors of the week that the published figure belongs to
FEWEST_STEPS = 288  # a day
LOS_SOURCE = "T-GCN, the repository's own log for 15 min (best test RMSE)"
NEAR_DEGREES = 3e-4  # ends of links that are nearer than about 30 m are one place


@dataclass(frozen=True, slots=True)
class Series:
    """``value`` [steps, n] (NaN = none) from ``first`` (steps since the epoch) on, and how neighbours count [n, n]."""

    name: str
    value: Floats
    first: int
    weights: Floats

    @property
    def test(self) -> int:
        """First row of the test part."""
        return int(len(self.value) * TRAIN)


def read_los(folder: Path) -> Series:
    """Los-loop: ``los_speed.csv(.xz)`` with a header, every five minutes; ``los_adj.csv(.xz)`` n by n. A speed of zero
    is none, as METR-LA writes it. ``ValueError`` says what is wrong."""
    speed = _table(folder, "los_speed", header=True)
    adjacency = _table(folder, "los_adj", header=False)
    if adjacency.shape != (speed.shape[1],) * 2:
        told = f"{adjacency.shape[0]} lines of {adjacency.shape[1]} cells"
        raise ValueError(f"{folder.name}: los_adj.csv has {told}, los_speed.csv {speed.shape[1]} detectors")
    speed[speed == 0] = np.nan
    np.fill_diagonal(adjacency, 0.0)
    weights = adjacency / np.maximum(adjacency.sum(axis=1, keepdims=True), 1e-9)
    return _long_enough(Series(folder.name, speed, from_datetime(LOS_BEGIN) // STEP, weights))


def _table(folder: Path, name: str, *, header: bool) -> Floats:
    path = next((p for p in (folder / f"{name}.csv.xz", folder / f"{name}.csv") if p.exists()), None)
    if path is None:
        raise ValueError(f"{folder} holds no {name}.csv or {name}.csv.xz")
    table: list[list[float]] = []
    try:
        with lzma.open(path, "rt") if path.suffix == ".xz" else path.open(encoding="utf-8") as text:
            reader = csv.reader(text)
            width = len(next(reader, [])) if header else 0
            for line in filter(None, reader):
                width = width or len(line)
                if len(line) != width:
                    raise ValueError(f"{path.name}, line {reader.line_num}: {len(line)} cells instead of {width}")
                table.append([_number(cell, path, reader.line_num, k) for k, cell in enumerate(line, 1)])
    except (UnicodeDecodeError, lzma.LZMAError, EOFError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if not table:
        raise ValueError(f"{path.name} holds no line of figures")
    return np.array(table)


def _number(cell: str, path: Path, line: int, column: int) -> float:
    try:
        return float(cell)
    except ValueError:
        why = f"'{cell}' is no number; write nan for a reading that is missing"
        raise ValueError(f"{path.name}, line {line}, column {column}: {why}") from None


def _long_enough(series: Series) -> Series:
    if len(series.value) < FEWEST_STEPS:
        raise ValueError(f"{series.name} holds {len(series.value)} steps of five minutes: {FEWEST_STEPS} are needed")
    return series


def read_aarhus(folder: Path) -> Series:
    """Aarhus: ``avgMeasuredTime.parquet`` [s] by REPORT_ID on a column TIMESTAMP, ends in ``trafficMetaData.csv``.
    ``ValueError`` says what is wrong."""
    path = folder / "avgMeasuredTime.parquet"
    try:
        table = pq.read_table(path)
        stamps = [f.name for f in table.schema if pa.types.is_timestamp(f.type) and not table[f.name].null_count]
        names = [name for name in table.column_names if name.isdigit()]
        if len(stamps) != 1 or not names:
            told = f"{len(stamps)} columns of the type timestamp without gaps, and {len(names)} named by a REPORT_ID"
            raise ValueError(f"it has {told}: one and at least one are needed")
        instant = table[stamps[0]].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() // STEP
        column = [table[name].cast(pa.float64()).to_numpy() for name in names]
    except (ValueError, pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} cannot be used: {error}") from error
    first = int(instant.min()) if len(instant) else 0
    seconds = np.full((int(instant.max()) - first + 1 if len(instant) else 0, len(names)), np.nan)
    seconds[instant - first] = np.column_stack(column)
    seconds[~(seconds > 0)] = np.nan
    return _long_enough(Series(folder.name, seconds, first, _joined(folder / "trafficMetaData.csv", names)))


def _joined(path: Path, names: list[str]) -> Floats:
    """Which links end where others begin."""
    if not path.exists():
        return np.zeros((len(names), len(names)))
    nodes: dict[tuple[int, int], int] = {}
    ends = np.full((2, len(names)), -1, dtype=np.int64)
    try:
        with path.open(encoding="utf-8") as text:
            rows = {row["REPORT_ID"]: row for row in csv.DictReader(text)}
        for k, name in enumerate(names):
            row = rows.get(name)
            for side, point in enumerate(("POINT_1", "POINT_2")) if row else ():
                assert row is not None
                key = tuple(round(float(row[f"{point}_{axis}"]) / NEAR_DEGREES) for axis in ("LAT", "LNG"))
                ends[side, k] = nodes.setdefault((key[0], key[1]), len(nodes))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{path.name}: no REPORT_ID, POINT_1_LAT ... POINT_2_LNG can be read: {error}") from error
    return neighbours(follows(ends[0], ends[1]))


def part(series: Series, count: int) -> Series:
    """The first so many of the series, a week of them."""
    value = series.value[:SMOKE_STEPS, :count]
    return Series(series.name, value, series.first, series.weights[:count, :count])


def replay(series: Series, say: Callable[[str], None]) -> tuple[Floats, Memory]:
    """Forecasts made at each row of the test part and the twelve before [steps, n, horizons], and the memory then."""
    params = CongestionParams()
    count = series.value.shape[1]
    first = fresh(np.arange(count))
    for row in range(series.test):
        observe(first, series.value[row], series.first + row, series.weights, params)
    memory = fresh(np.arange(count))
    memory["total"], memory["weight"] = first["total"], first["weight"]
    told = np.full((*series.value.shape, len(HORIZONS)), np.nan)
    for row in range(len(series.value)):
        learn = row < series.test
        observe(memory, series.value[row], series.first + row, series.weights, params, learn=learn)
        if row >= series.test - max(HORIZONS):
            told[row] = forecasts(memory, series.first + row, series.weights)
        if row % 1000 == 0:
            say(f"{series.name}: step {row} of {len(series.value)}")
    return told, memory


def los(folder: Path, smoke: bool, say: Callable[[str], None]) -> Iterator[Score]:
    """RMSE over all steps up to 15, 30 and 60 min ahead, as T-GCN counts it [the unit of the file]."""
    series = read_los(folder)
    series = part(series, SMOKE_SERIES) if smoke else series
    told, memory = replay(series, say)
    at = np.arange(series.test + WINDOW - 1, len(series.value) - max(HORIZONS))
    lacking = float(np.isnan(series.value).mean())
    missing = f", {lacking:.1%} of the readings missing (zeros are)" if lacking else ""
    ours: list[Floats] = []
    plain: list[Floats] = []
    for steps in range(1, max(HORIZONS) + 1):
        truth = series.value[at + steps]
        error = between(series.value[at], told[at], steps) - truth, series.value[at] - truth
        both = np.isfinite(error[0]) & np.isfinite(error[1])
        ours.append(error[0][both])
        plain.append(error[1][both])
        if steps in (3, 6, 12):
            mine, theirs = np.concatenate(ours), np.concatenate(plain)
            if not len(mine):
                raise ValueError(f"{series.name}: none of its last fifth is known, so nothing can be scored")
            rmse, base = (float(np.sqrt(np.mean(np.square(e)))) for e in (mine, theirs))
            published = LOS_PUBLISHED.get(steps) if series.value.shape == LOS_SHAPE else None
            yield Score(
                series.name, f"RMSE to {5 * steps} min ahead", "1", rmse, base, "lower", published=published,
                source=LOS_SOURCE if published else "", floor=base,
                note=f"miles an hour, {series.value.shape[1]} detectors, {len(at)} instants{missing}; baseline: "
                f"persistence; MAE {np.mean(np.abs(mine)):.3f} and {np.mean(np.abs(theirs)):.3f}",
            )  # fmt: skip
    yield from _covered(series, told, memory)


def between(now: Floats, told: Floats, steps: int) -> Floats:
    """The forecast so many steps ahead, between the horizons (and now) linearly."""
    known = np.array([0, *HORIZONS])
    k = int(np.searchsorted(known, steps))
    share = (steps - known[k - 1]) / (known[k] - known[k - 1])
    low = now if k == 1 else told[..., k - 2]
    mixed: Floats = low * (1 - share) + told[..., k - 1] * share
    return mixed


def _covered(series: Series, told: Floats, memory: Memory) -> Iterator[Score]:
    for h, steps in enumerate(HORIZONS):
        if steps not in (3, 12):
            continue
        at = np.arange(series.test, len(series.value) - steps)
        error = series.value[at + steps] - told[at][..., h]
        bounds = interval(memory, h, 0.9)
        inside = ((error >= bounds[:, 0]) & (error <= bounds[:, 1]))[np.isfinite(error)]
        yield Score(
            series.name, f"outside or short of the 90 % interval {5 * steps} min ahead", "1",
            abs(float(inside.mean()) - 0.9), 0.1, "lower", floor=0.1,
            note=f"{inside.mean():.3f} of the truth lay inside; baseline: an interval that holds always",
        )  # fmt: skip


def aarhus(folder: Path, smoke: bool, say: Callable[[str], None]) -> Iterator[Score]:
    """MAPE of travel times 15, 30 and 60 min ahead. The series are logarithms; of a lognormal law with mean mu and
    deviation sigma the forecast with the least relative error is exp(mu - sigma^2)."""
    seconds = read_aarhus(folder)
    seconds = part(seconds, SMOKE_SERIES) if smoke else seconds
    series = Series(seconds.name, np.log(seconds.value), seconds.first, seconds.weights)
    told, memory = replay(series, say)
    for h, steps in enumerate(HORIZONS):
        if steps == 1:
            continue
        at = np.arange(series.test - steps, len(series.value) - steps)
        truth = seconds.value[at + steps]
        deviation = memory["error"][:, h] * np.sqrt(np.pi / 2)  # of a normal law, from the mean absolute error
        ours = np.abs(np.exp(told[at][..., h] - deviation**2) - truth) / truth
        plain = np.abs(seconds.value[at] - truth) / truth
        both = np.isfinite(ours) & np.isfinite(plain)
        yield Score(
            series.name, f"MAPE {5 * steps} min ahead", "1", float(ours[both].mean()), float(plain[both].mean()),
            "lower", floor=float(plain[both].mean()) * (0.85 if steps > 3 and not smoke else 1.0),
            note=f"{series.value.shape[1]} links, {int(both.sum())} forecasts; baseline: persistence",
        )  # fmt: skip
    yield from _covered(series, told, memory)
