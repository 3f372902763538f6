"""Numenta's anomaly benchmark, its road-traffic part: its own scoring, thresholds chosen leave-one-file-out.

Scoring as in NAB 1.1, ``nab/sweeper.py`` and ``nab/scorer.py`` (Lavin and Ahmad 2015, arXiv:1510.03336): a detection in
a window counts by how early it is, the best of a window only; one outside costs by how far it is behind the last
window; a window without one costs ``fnWeight``; the first 15 % of a series are probation.
"""

import csv
import json
import math
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from civium.bench.score import Score
from civium.practices.congestion.memory import Bools, Floats, Ints, fresh
from civium.practices.congestion.sudden import surprise

FAR = 3.0  # windows behind the last one, from where a detection costs in full
PROBATION, LONGEST_PROBATION = 0.15, 750
PROBATION_POINT, OUTSIDE = -2, -1
THRESHOLDS = tuple(np.round(np.arange(0.6, 2.6, 0.1), 1).tolist())
REFRACTORY = (0, 15, 40, 80, 150)  # readings
PUBLISHED = "contextOSE (CAD OSE), standard profile, from NAB's results over the same files"


@dataclass(frozen=True, slots=True)
class Series:
    """One file: its values, and for each reading the window that it lies in and the weight of a detection there."""

    name: str
    value: Floats
    window: Ints  # number of the window, ``OUTSIDE`` or ``PROBATION_POINT``
    weight: Floats
    windows: int


def sigmoid(x: float) -> float:
    """NAB's scaled sigmoid: 0.987 at the left edge of a window (-1), 0 at its right edge, -1 far behind it."""
    return -1.0 if x > FAR else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def read(folder: Path, part: str = "realTraffic") -> list[Series]:
    """The series of a part with their windows (``labels/combined_windows.json``, ``config/profiles.json``).

    ``ValueError`` says what is wrong.
    """
    windows = _json(folder / "labels" / "combined_windows.json")
    try:
        costs = _json(folder / "config" / "profiles.json")["standard"]["CostMatrix"]
        hit, false = float(costs["tpWeight"]), float(costs["fpWeight"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"profiles.json tells no standard CostMatrix with tpWeight and fpWeight: {error}") from None
    found = []
    for path in sorted((folder / "data" / part).glob("*.csv")):
        name = f"{part}/{path.name}"
        if name not in windows:
            raise ValueError(f"combined_windows.json names no windows (an empty list is fine) for {name}")
        times, values = _readings(path)
        edges = [[stamp.partition(".")[0] for stamp in window] for window in windows[name]]
        for edge in edges:
            if len(edge) != 2 or not set(edge) <= set(times):
                raise ValueError(f"combined_windows.json: the window {edge} does not lie on two readings of {name}")
        found.append(weigh(name, times, values, edges, hit, false))
    if not found:
        raise ValueError(f"{folder.name}/data/{part} holds no CSV file")
    if not any(one.windows for one in found):
        raise ValueError(f"combined_windows.json names no window for any of the {len(found)} files: nothing to find")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} cannot be read: {error}") from error


def _readings(path: Path) -> tuple[list[str], Floats]:
    """Times and values (NaN: none) of a file."""
    times, values = [], []
    with path.open(encoding="utf-8") as text:
        reader = csv.DictReader(text)
        if missing := {"timestamp", "value"} - set(reader.fieldnames or ()):
            raise ValueError(f"{path.name} has no column '{sorted(missing)[0]}'")
        for row in reader:
            try:
                values.append(float(row["value"]))
            except (TypeError, ValueError):
                why = f"'{row['value']}' is no number; write nan for a reading that is missing"
                raise ValueError(f"{path.name}, line {reader.line_num}, column 'value': {why}") from None
            times.append(row["timestamp"])
    return times, np.array(values)


def weigh(name: str, times: list[str], value: Floats, edges: list[list[str]], hit: float, false: float) -> Series:
    """What a detection at each reading is worth."""
    n = len(times)
    window, weight = np.full(n, OUTSIDE, dtype=np.int64), np.full(n, -false)
    begins = [times.index(a) for a, _ in edges]
    ends = [times.index(b) for _, b in edges]
    for k, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        width = end - begin + 1
        for i in range(begin, end + 1):
            window[i], weight[i] = k, hit * sigmoid(-(end - i + 1) / width) / sigmoid(-1.0)
        for i in range(end + 1, begins[k + 1] if k + 1 < len(begins) else n):
            weight[i] = false * sigmoid((i - end) / (width - 1))
    window[: min(math.floor(PROBATION * n), LONGEST_PROBATION)] = PROBATION_POINT
    return Series(name, value, window, weight, len(edges))


@dataclass(frozen=True, slots=True)
class Marks:
    """The score of one series, and NAB's counts of readings."""

    score: float
    tp: int
    tn: int
    fp: int
    fn: int


def judge(series: Series, alarm: Bools, missed: float = 1.0) -> Marks:
    """The score of the readings at which an alarm was raised."""
    inside, outside = series.window >= 0, series.window == OUTSIDE
    score = float(series.weight[alarm & outside].sum())
    for k in range(series.windows):
        hits = alarm & (series.window == k)
        score += float(series.weight[hits].max()) if hits.any() else -missed
    counts = (alarm & inside, ~alarm & outside, alarm & outside, ~alarm & inside)
    return Marks(score, *(int(some.sum()) for some in counts))


def normalised(scores: list[float], series: list[Series]) -> float:
    """NAB's 0 to 100: 0 for no detection at all, 100 for each window found at once and nothing else."""
    windows = sum(one.windows for one in series)
    return 100.0 * (sum(scores) + windows) / (2.0 * windows)


def detect(series: Series) -> Floats:
    """The practice's surprise at each reading, in order, as it would have come; bad is down for speeds, else up."""
    sign = 1.0 if "speed" in series.name else -1.0
    memory = fresh(np.array([1]))
    new = np.array([True])
    return np.array([surprise(memory, np.array([sign * v]), new)[0] for v in series.value])


def alarms(surprises: Floats, threshold: float, refractory: int) -> Bools:
    """Where the threshold is reached, and was not within the last ``refractory`` readings."""
    raised = np.zeros(len(surprises), dtype=np.bool_)
    last = -refractory - 1
    for i in np.flatnonzero(surprises >= threshold).tolist():
        if i - last > refractory:
            raised[i], last = True, i
    return raised


def windowed_gaussian(value: Floats) -> Bools:
    """NAB's own simplest detector (``windowedGaussian``) at its stored threshold: proof that the scoring is NAB's."""
    raised = np.zeros(len(value), dtype=np.bool_)
    known = np.flatnonzero(np.isfinite(value))  # a reading that is missing is not judged, and not remembered
    for n, i in enumerate(known.tolist()):
        if n == 0:
            continue
        seen = value[known[:n]]
        z = abs(value[i] - seen.mean()) / (seen.std() or 1e-6)
        raised[i] = round(1.0 - 0.5 * math.erfc(z / math.sqrt(2.0)), 12) >= 1.0  # results keep twelve digits
    return raised


def stored(folder: Path, detector: str) -> dict[str, Marks]:
    """NAB's stored scores of a detector, by file, from ``results.tar.xz``."""
    with tarfile.open(folder / "results.tar.xz") as packed:
        name = next(n for n in packed.getnames() if n.endswith(f"/{detector}_standard_scores.csv"))
        member = packed.extractfile(name)
        assert member is not None
        rows = csv.DictReader(member.read().decode("utf-8").splitlines())
        return {
            row["File"]: Marks(float(row["Score"]), *(int(row[k]) for k in ("TP", "TN", "FP", "FN"))) for row in rows
        }


def bench(folder: Path, say: Callable[[str], None]) -> Iterator[Score]:
    """The score over all files, each with the threshold and the refractory time that are best on the others."""
    series = read(folder)
    surprises = [detect(one) for one in series]
    pairs = [(t, r) for t in THRESHOLDS for r in REFRACTORY]
    table = np.array(
        [[judge(s, alarms(z, *pair)).score for s, z in zip(series, surprises, strict=True)] for pair in pairs]
    )
    scores, chosen = [], []
    for k, one in enumerate(series):
        others = table.sum(axis=1) - table[:, k]
        best = min(np.flatnonzero(others >= others.max() - 1e-9).tolist(), key=lambda i: pairs[i][::-1])
        scores.append(float(table[best, k]))
        chosen.append(pairs[best])
        say(f"{one.name}: threshold {pairs[best][0]}, refractory {pairs[best][1]} readings: {scores[-1]:.3f}")
    plain = [judge(s, windowed_gaussian(s.value)).score for s in series]
    published = float("nan")
    if (folder / "results.tar.xz").exists():
        best_known = stored(folder, "contextOSE")
        if all(s.name in best_known for s in series):
            published = normalised([best_known[s.name].score for s in series], series)
    yield Score(
        folder.name, "NAB standard score, leave one file out", "1", normalised(scores, series),
        normalised(plain, series), "higher", published=None if math.isnan(published) else published, source=PUBLISHED,
        floor=normalised(plain, series),
        note=f"{len(series)} files; chosen: {sorted(set(chosen))}; on all files at once at best "
        f"{normalised(table[int(table.sum(axis=1).argmax())].tolist(), series):.1f}; baseline: NAB's windowed Gaussian"
        + ("" if math.isnan(published) else "; the form of the surprise was picked on all files: see the page"),
    )  # fmt: skip
