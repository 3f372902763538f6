"""Medians, steps and slopes in gappy histories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from civium.practices.pv_fleet import trend
from civium.practices.pv_fleet.readings import runs
from civium.practices.pv_fleet.weather import bridge

GAPPY = arrays(float, (3, 12), elements=st.floats(-5, 5) | st.just(np.nan))


@given(GAPPY)
def test_the_middle_is_the_median_of_what_is_known(values: np.ndarray) -> None:
    for row, found in zip(values, trend.middle(values), strict=True):
        known = row[np.isfinite(row)]
        assert (np.isnan(found) and len(known) == 0) or found == pytest.approx(np.median(known))


@given(GAPPY, st.integers(1, 12))
def test_recent_looks_at_the_last_known_entries_only(values: np.ndarray, count: int) -> None:
    for row, found in zip(values, trend.recent(values, count, 1), strict=True):
        known = row[np.isfinite(row)][-count:]
        assert (np.isnan(found) and len(known) == 0) or found == pytest.approx(np.median(known))


@given(at=st.integers(8, 24), drop=st.floats(0.05, 0.6), holes=st.sets(st.integers(0, 29), max_size=5))
def test_a_step_is_found_where_it_is(at: int, drop: float, holes: set[int]) -> None:
    values = np.where(np.arange(30) < at, 0.0, -drop)[None, :].copy()
    values[0, list(holes)] = np.nan
    packed, columns = trend.compact(values, 30)
    change = trend.step(packed, 3, 2)
    assert change.drop[0] == pytest.approx(drop)
    assert change.error[0] == pytest.approx(0.0, abs=1e-12)
    first_after = min(k for k in range(at, 30) if k not in holes)
    assert columns[0, change.at[0]] == first_after


@given(at=st.integers(5, 15), rate=st.floats(0.002, 0.02))
def test_a_slow_fall_is_measured_to_its_end_and_beats_a_step(at: int, rate: float) -> None:
    days = np.arange(30.0)[None, :]
    values = -rate * np.clip(days - at, 0, None)
    fall, jump = trend.decline(values, days, 3, 7.0), trend.step(values, 3, 2)
    assert fall.drop[0] == pytest.approx(rate * (29 - at), rel=0.02)
    assert fall.error[0] < 0.2 * jump.error[0]


@given(arrays(bool, (2, 20)), st.integers(1, 6))
def test_a_run_counts_with_the_entry_before_it(flags: np.ndarray, least: int) -> None:
    found = runs(flags, least)
    for row, marked in zip(flags, found, strict=True):
        text = "".join("x" if f else "." for f in row)
        for k in range(20):
            begin = len(text[: k + 1].rstrip("x"))
            length = len(text[begin:]) - len(text[begin:].lstrip("x"))
            inside = row[k] and length >= least
            follows = k < 19 and not row[k] and len(text[k + 1 :]) - len(text[k + 1 :].lstrip("x")) >= least
            assert marked[k] == (inside or follows)


def test_weather_is_bridged_over_an_hour_and_no_further() -> None:
    values = np.array([[0.0, np.nan, np.nan, np.nan, 4.0, np.nan, np.nan, np.nan, np.nan, np.nan, 10.0]])
    assert bridge(values)[0, :5].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert np.isnan(bridge(values)[0, 5:10]).all()
