"""The bench is honest: capacities are read off shares, probabilities are scored as they should, a smoke run holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from civium.bench.score import Settings
from civium.practices.parking.bench import bench
from civium.practices.parking.bench_counts import calibration_error, capacity_of, read, stands

Find = Callable[[str], Path]


def test_the_capacity_is_the_least_number_of_places_that_fits() -> None:
    assert capacity_of(np.array([3, 17, 220, np.nan]) / 317) == 317
    assert capacity_of(np.array([0.1234567, np.sqrt(0.5)])) == 1000


def test_calibration_is_perfect_only_where_what_was_said_came() -> None:
    said = np.array([0.75] * 4 + [0.25] * 4)
    assert calibration_error(said, np.array([1, 1, 1, 0, 1, 0, 0, 0.0])) == pytest.approx(0.0)
    assert calibration_error(said, np.array([0, 0, 0, 1, 0, 1, 1, 1.0])) == pytest.approx(0.5)


def test_a_record_stands_still_only_within_its_bounds() -> None:
    assert stands(np.full(7, 0.4))
    assert not stands(np.full(6, 0.4))
    assert not stands(np.ones(30))


def test_a_file_named_test_is_the_test(tmp_path: Path) -> None:
    head = "Datetime,A,B,weekday,time\n"
    (tmp_path / "training.csv").write_text(head + "2016-10-04 08:00:00,0.5,,1,8.0\n2016-10-04 09:00:00,0.25,1,1,9.0\n")
    (tmp_path / "testing.csv").write_text(head + "2016-10-05 08:00:00,0.75,0.5,2,8.0\n")
    counts = read(tmp_path)
    assert counts.share.shape == (49, 2)
    assert counts.test == 48
    assert np.isnan(counts.share[0, 1])
    assert counts.capacity.tolist() == [4, 2]
    with pytest.raises(ValueError, match="no CSV"):
        read(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("when,A\n2016-10-04 08:00:00,0.5\n", "a.csv has no column 'Datetime'"),
        ("Datetime,A\n", "hold 0 half hours"),
        ("Datetime,A\nhello,0.5\n", "a.csv, line 2, column 'Datetime': 'hello' is no time"),
        ("Datetime,A\n2016-10-04 08:00:00,n/a\n", "a.csv, line 2, column 'A': 'n/a' is no number"),
        ("Datetime,A\n2016-10-04 08:00:00,0.5,7\n", "a.csv, line 2: more cells than the header has columns"),
        ("Datetime,A\n2016-10-04 08:00:00,135\n", "column 'A' holds 135 in the middle: write the share"),
        ("Datetime,A\n2016-10-04 08:00:00,0.5\n", "figures for 1 half hours"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_with_where_and_why(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        list(bench(Settings(None, (), (tmp_path,), smoke=True), lambda _: None))


def test_a_packed_record_that_is_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.xz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"a\.csv\.xz cannot be read"):
        read(tmp_path)


def test_a_smoke_run_on_the_record_beats_its_baselines(shared_data: Find) -> None:
    found = list(bench(Settings(None, (), (shared_data("birmingham-parking"),), smoke=True), lambda _: None))
    mae = {s.metric: s for s in found if s.metric.startswith("MAE")}
    assert set(mae) == {"MAE 30 min ahead", "MAE 60 min ahead", "MAE 1 day ahead"}
    assert all(s.ours < s.baseline for s in mae.values())
    assert all(s.ours < s.baseline for s in found if s.metric.startswith("Brier"))


def test_signs_save_driving_in_the_simulated_town(shared_data: Find) -> None:
    path = shared_data("dlr-sumo-scenarios/BadHersfeld.tar.xz")
    found = list(bench(Settings(None, (3,), (path,), smoke=True), lambda _: None))
    (beyond,) = [s for s in found if s.metric == "driven beyond the way to the goal, a car"]
    assert 0 < beyond.ours < beyond.baseline
