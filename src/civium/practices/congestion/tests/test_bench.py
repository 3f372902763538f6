"""The bench is honest: its scoring is NAB's, its trains never see the test, a smoke run beats the baselines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from civium.bench.score import Settings
from civium.practices.congestion import bench_nab, bench_series
from civium.practices.congestion.bench import bench
from civium.practices.congestion.memory import HORIZONS

Find = Callable[[str], Path]


def test_scores_and_counts_of_nabs_own_detectors_come_out_as_nab_stored_them(shared_data: Find) -> None:
    folder = shared_data("nab-traffic")
    gaussian, nothing = bench_nab.stored(folder, "windowedGaussian"), bench_nab.stored(folder, "null")
    for series in bench_nab.read(folder):
        ours = bench_nab.judge(series, bench_nab.windowed_gaussian(series.value))
        theirs = gaussian[series.name]
        assert ours.score == pytest.approx(theirs.score, abs=1e-9)
        assert (ours.tp, ours.tn, ours.fp, ours.fn) == (theirs.tp, theirs.tn, theirs.fp, theirs.fn)
        silent = np.zeros(len(series.value), dtype=np.bool_)
        assert bench_nab.judge(series, silent) == nothing[series.name]


def test_the_published_score_follows_from_the_stored_ones(shared_data: Find) -> None:
    folder = shared_data("nab-traffic")
    series, best = bench_nab.read(folder), bench_nab.stored(folder, "contextOSE")
    assert bench_nab.normalised([best[s.name].score for s in series], series) == pytest.approx(91.17, abs=0.005)


def test_a_surprise_knows_nothing_of_what_comes_after(shared_data: Find) -> None:
    (series,) = [s for s in bench_nab.read(shared_data("nab-traffic")) if s.name.endswith("speed_7578.csv")]
    whole = bench_nab.detect(series)
    half = bench_nab.Series(series.name, series.value[:500], series.window[:500], series.weight[:500], series.windows)
    assert np.array_equal(bench_nab.detect(half), whole[:500])


def test_forecasts_of_the_test_do_not_depend_on_what_comes_after_them() -> None:
    rng = np.random.default_rng(0)
    value = 15 + rng.normal(0, 1, (400, 4)).cumsum(axis=0) * 0.1
    one = bench_series.Series("made", value, 5_000_000, np.zeros((4, 4)))
    other = value.copy()
    other[360:] = 0.0
    two = bench_series.Series("made", other, 5_000_000, np.zeros((4, 4)))
    a, b = (bench_series.replay(s, lambda _: None)[0] for s in (one, two))
    assert np.array_equal(a[:360], b[:360], equal_nan=True)
    assert np.isfinite(a[one.test : 360]).all()


def test_between_two_horizons_a_forecast_lies_between() -> None:
    told = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert len(HORIZONS) == told.shape[1]
    assert bench_series.between(np.array([0.0]), told, 2)[0] == pytest.approx(1.5)
    assert bench_series.between(np.array([0.0]), told, 9)[0] == pytest.approx(3.5)


@pytest.mark.parametrize("part", ["los-loop", "aarhus"])
def test_a_smoke_run_beats_persistence_an_hour_ahead(shared_data: Find, part: str) -> None:
    found = list(bench(Settings(None, (), (shared_data(part),), smoke=True), lambda _: None))
    (hour,) = [s for s in found if s.metric.endswith("60 min ahead") and s.metric[:4] in ("RMSE", "MAPE")]
    assert hour.ours < 0.95 * hour.baseline


def test_a_folder_of_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of the layouts"):
        list(bench(Settings(None, (), (tmp_path,)), lambda _: None))


WINDOWS, PROFILES = "labels/combined_windows.json", "config/profiles.json"
COSTS = '{"standard": {"CostMatrix": {"tpWeight": 1.0, "fpWeight": 0.11, "fnWeight": 1.0}}}'
STAMPS = [f"2015-09-01 {k // 60:02}:{k % 60:02}:00" for k in range(200)]


def _nab(folder: Path, values: list[str], windows: str, head: str = "timestamp,value") -> Path:
    for part in ("data/realTraffic", "labels", "config"):
        (folder / part).mkdir(parents=True)
    lines = [head, *(f"{stamp},{value}" for stamp, value in zip(STAMPS, values, strict=False))]
    (folder / "data/realTraffic/a.csv").write_text("\n".join(lines) + "\n")
    (folder / WINDOWS).write_text(windows)
    (folder / PROFILES).write_text(COSTS)
    return folder


def _window(begin: str, end: str) -> str:
    return f'{{"realTraffic/a.csv": [["{begin}.000000", "{end}.000000"]]}}'


@pytest.mark.parametrize(
    ("values", "windows", "head", "told"),
    [
        (["1"] * 200, "{}", "timestamp,value", "names no windows .* for realTraffic/a.csv"),
        (["1"] * 200, "{", "timestamp,value", "labels/combined_windows.json cannot be read"),
        (["1"] * 200, '{"realTraffic/a.csv": []}', "timestamp,value", "no window for any of the 1 files"),
        (["1"] * 200, _window(STAMPS[99], "2016-01-01 00:00:00"), "timestamp,value", "does not lie on two readings"),
        (["1"] * 200, _window(STAMPS[99], STAMPS[110]), "time,value", "a.csv has no column 'timestamp'"),
        (["1", ""], _window(STAMPS[0], STAMPS[1]), "timestamp,value", "a.csv, line 3, column 'value': '' is no number"),
    ],
)
def test_series_that_cannot_be_scored_are_refused_with_where_and_why(
    tmp_path: Path, values: list[str], windows: str, head: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        bench_nab.read(_nab(tmp_path, values, windows, head))


def test_a_reading_that_is_missing_does_not_silence_the_baseline_for_good(tmp_path: Path) -> None:
    values = ["nan" if k == 40 else "500" if k == 150 else str(k % 7) for k in range(200)]
    (series,) = bench_nab.read(_nab(tmp_path, values, _window(STAMPS[145], STAMPS[155])))
    raised = np.flatnonzero(bench_nab.windowed_gaussian(series.value)).tolist()
    assert raised == [1, 150]  # NAB's own knows no spread after one reading


def _los(folder: Path, value: np.ndarray[tuple[int, int], np.dtype[np.float64]], adjacency: int) -> Path:
    lines = [",".join("abc"), *(",".join(f"{cell:g}" for cell in line) for line in value)]
    (folder / "los_speed.csv").write_text("\n".join(lines) + "\n")
    (folder / "los_adj.csv").write_text("\n".join([",".join(["1"] * adjacency)] * adjacency) + "\n")
    return folder


def _speeds(steps: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    random = np.random.default_rng(2)
    return np.round(50 + 10 * np.sin(np.arange(steps) / 20)[:, None] + random.normal(0, 1, (steps, 3)), 2)


@pytest.mark.parametrize(
    ("find", "put", "told"),
    [
        ("51.", ",", "los_speed.csv, line .*: 4 cells instead of 3"),
        ("51.", "x", "los_speed.csv, line .*, column .: 'x.*' is no number"),
        ("a,b,c\n", "", ""),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_where_and_why(
    tmp_path: Path, find: str, put: str, told: str
) -> None:
    path = _los(tmp_path, _speeds(300), 3) / "los_speed.csv"
    path.write_text(path.read_text().replace(find, put, 1) if told else "a,b,c\n")
    with pytest.raises(ValueError, match=told or "holds no line of figures"):
        bench_series.read_los(tmp_path)


def test_too_short_a_week_and_a_foreign_adjacency_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="20 steps of five minutes: 288 are needed"):
        bench_series.read_los(_los(tmp_path, _speeds(20), 3))
    with pytest.raises(ValueError, match=r"2 lines of 2 cells, los_speed\.csv 3 detectors"):
        bench_series.read_los(_los(tmp_path, _speeds(300), 2))


def test_readings_that_are_missing_or_zero_are_not_scored_and_the_published_figure_is_not_theirs(
    tmp_path: Path,
) -> None:
    value = _speeds(600)
    value[::17, 0], value[5::19, 1] = np.nan, 0.0
    found = list(bench_series.los(_los(tmp_path, value, 3), False, lambda _: None))
    errors = [s for s in found if s.metric.startswith("RMSE")]
    assert all(np.isfinite([s.ours, s.baseline]).all() and max(s.ours, s.baseline) < 15 for s in errors)
    assert all(s.published is None for s in errors)
    assert "readings missing (zeros are)" in errors[0].note


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"TIMESTAMP": ["2014-08-01T07:50:00"], "158324": [90]}, "0 columns of the type timestamp"),
        ({"158324": [90]}, "0 columns of the type timestamp"),
        ({"TIMESTAMP": pa.array([0], pa.timestamp("us"))}, "0 named by a REPORT_ID"),
        ({"TIMESTAMP": pa.array([0], pa.timestamp("us")), "158324": [90]}, "1 steps of five minutes"),
    ],
)
def test_a_month_of_travel_times_of_another_layout_is_refused(
    tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "avgMeasuredTime.parquet")
    with pytest.raises(ValueError, match=told):
        bench_series.read_aarhus(tmp_path)
