"""The bench is honest: its scoring is NAB's, its trains never see the test, a smoke run beats the baselines."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
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
