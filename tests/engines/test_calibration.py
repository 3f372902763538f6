"""Calibrations in arrays: each value by the one that held at its time, and nothing else changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from civium.engines.calibration import NONE, Calibrations

END = np.iinfo(np.int64).max
KNOWN = Calibrations(
    np.array([3, 3, 7]),
    np.array([10, 20, 0]),
    np.array([20, END, END]),
    np.array([2.0, -1.0, 1.0]),
    np.array([1.0, 0, 5]),
)


def one(stream: int, time: int, value: float) -> float:
    """The same, one reading after the other."""
    entries = zip(KNOWN.stream, KNOWN.since, KNOWN.until, KNOWN.gain, KNOWN.offset, strict=True)
    for known, since, until, gain, offset in entries:
        if known == stream and since <= time < until:
            return float(value * gain + offset)
    return value


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-5, 30), st.floats(-1e6, 1e6)), max_size=30))
def test_each_value_is_read_by_the_calibration_of_its_time(rows: list[tuple[int, int, float]]) -> None:
    streams, times = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    values = np.array([row[2] for row in rows], np.float64)
    assert KNOWN.applied(streams, times, values).tolist() == [one(*row) for row in rows]
    assert NONE.applied(streams, times, values) is values
    assert values.tolist() == [row[2] for row in rows]
