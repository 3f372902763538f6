"""A calibration with a past beginning holds for days that are rolled up too; what is stored stays as it came."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.core.view import column
from civium.engines import settings as city_settings
from civium.engines.aggregate import Whole
from civium.engines.calibration import Calibrations
from civium.engines.rollups import DAY, QUARTER_HOUR
from tests.engines.test_rollups import BY_STREAM, HOUR, METERS, Lake, seen, tables

END = np.iinfo(np.int64).max
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink an example takes minutes
STEPS = (QUARTER_HOUR, HOUR, DAY)


def calibrations(*entries: tuple[int, int, float, float]) -> Calibrations:
    """Of stream, since [us since epoch], gain and offset; each holds until the next of its stream."""
    rows = sorted(entries)
    stream, since = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    until = np.full(len(rows), END)
    same = stream[1:] == stream[:-1]
    until[:-1][same] = since[1:][same]
    gain, offset = (np.array([row[n] for row in rows], np.float64) for n in (2, 3))
    return Calibrations(stream, since, until, gain, offset)


def read(lake: Lake, known: Calibrations) -> Lake:
    """The lake calibrated, and its copy of all rows likewise, one value after the other."""
    lake.store.calibrate(known)
    streams, times = (column(lake.rows, name).astype(np.int64) for name in ("stream", "time"))
    values = known.applied(streams, times, column(lake.rows, "value").astype(np.float64))
    place = lake.rows.schema.get_field_index("value")
    lake.rows = lake.rows.set_column(place, "value", pa.array(values))
    return lake


def near(told: list[dict[str, Any]], plain: list[dict[str, Any]]) -> None:
    """Figures of a mapped sum and a sum of mapped values differ in their last digits."""
    assert [(row["group"], row["start"], row["n"]) for row in told] == [
        (row["group"], row["start"], row["n"]) for row in plain
    ]
    for one, other in zip(told, plain, strict=True):
        for name in ("mean", "low", "high", "last"):
            if other[name] is None:
                assert one[name] is None
            else:
                assert one[name] == pytest.approx(other[name], rel=1e-9, abs=1e-9), (name, one, other)


_READING = st.tuples(st.integers(1, 3), st.integers(0, 3 * 96 - 1), st.integers(-40, 40).map(lambda n: n / 4))
_ENTRY = st.tuples(
    st.integers(1, 3),
    st.integers(0, 3 * 96).map(lambda n: n * QUARTER_HOUR),
    st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0]),
    st.sampled_from([0.0, 2.5, -7.0]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=_PHASES)
@given(
    st.lists(_READING, min_size=1, max_size=40),
    st.lists(_ENTRY, min_size=1, max_size=5, unique_by=lambda entry: entry[:2]),
    st.booleans(),
)
def test_figures_of_days_that_are_rolled_up_are_those_of_calibrated_readings(
    readings: list[tuple[int, int, float]], entries: list[tuple[int, int, float, float]], late: bool
) -> None:
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.add(*((stream, n * QUARTER_HOUR + 7, value) for stream, n, value in readings))
        lake.close_days(5 * DAY)
        stored = lake.raw()
        if late:  # a day that knows of a row which its figures do not
            lake.add((1, HOUR, 11.0))
        read(lake, calibrations(*entries))
        for step in STEPS:
            answer = lake.store.aggregate(BY_STREAM, 0, 3 * DAY, step)
            near(seen(answer.rows), lake.plainly(0, 3 * DAY, step))
            city = lake.store.aggregate(METERS, 0, 3 * DAY, step, Whole([10], "meter"))
            near(seen(city.rows), lake.plainly(0, 3 * DAY, step, city=True))
        assert lake.raw() == stored + late
        raw = lake.store.query("SELECT value FROM raw_observations ORDER BY id").column("value").to_pylist()
        assert raw[: len(readings)] == [value for _, _, value in readings]
        lake.keeper.stop()
        lake.store.close()


def test_days_whose_readings_have_gone_are_calibrated_by_what_is_left_of_them() -> None:
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder), city_settings.Store(retention_days=1.0))
        lake.add(*((1, n * QUARTER_HOUR, float(n)) for n in range(2 * 96)))
        lake.close_days(6 * DAY)
        lake.keep(7 * DAY)
        assert lake.raw() == 0
        read(lake, calibrations((1, DAY // 2, -2.0, 5.0), (1, DAY + HOUR, 3.0, 1.0)))
        for step in STEPS:
            answer = lake.store.aggregate(BY_STREAM, 0, 2 * DAY, step)
            assert "observations" not in tables(answer)
            near(seen(answer.rows), lake.plainly(0, 2 * DAY, step))
        read(lake, calibrations())  # withdrawn: as it came
        assert seen(lake.store.aggregate(BY_STREAM, 0, DAY, DAY).rows)[0]["high"] == 95.0
        lake.keeper.stop()
        lake.store.close()


def test_where_only_daily_figures_are_left_of_a_day_in_which_a_calibration_begins_none_is_made_up() -> None:
    with TemporaryDirectory() as folder:
        keeping = city_settings.Store(retention_days=1.0, quarter_hours_days=2.0)
        lake = Lake(Path(folder), keeping)
        lake.add(*((1, n * QUARTER_HOUR, float(n)) for n in range(96)))
        lake.close_days(6 * DAY)
        lake.keep(7 * DAY)
        lake.keep(8 * DAY)  # one step of a day at a time
        lake.store.calibrate(calibrations((1, DAY // 2, 2.0, 0.0)))
        with pytest.raises(InputRefused, match="in which a calibration begins"):
            lake.store.aggregate(BY_STREAM, 0, DAY, DAY)
        lake.store.calibrate(calibrations((1, 0, 2.0, 1.0)))
        (row,) = seen(lake.store.aggregate(BY_STREAM, 0, DAY, DAY).rows)
        assert (row["low"], row["high"], row["last"], row["mean"]) == (1.0, 191.0, 191.0, 96.0)
        lake.keeper.stop()
        lake.store.close()
