"""Rules of reading time: an instant survives writing and reading; what is ambiguous is refused by row."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import from_datetime
from civium.sources.instants import read_instant, read_instants, read_period, write_instant

AWARE = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 (hypothesis wants bounds without a zone)
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 (hypothesis wants bounds without a zone)
    timezones=st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60)),
)
INSTANT = AWARE.map(from_datetime)


@settings(deadline=None)
@given(st.lists(st.none() | AWARE, max_size=20))
def test_a_column_reads_as_its_single_texts_do(moments: list[datetime | None]) -> None:
    texts = [None if moment is None else moment.isoformat() for moment in moments]
    column = read_instants(texts)
    assert column.bad == {}
    assert not column.interval.any()
    assert column.given.tolist() == [text is not None for text in texts]
    assert column.start.tolist() == [0 if moment is None else from_datetime(moment) for moment in moments]
    assert column.start.tolist() == [0 if text is None else read_instant(text) for text in texts]


@settings(deadline=None)
@given(INSTANT)
def test_an_instant_survives_writing_and_reading(instant: int) -> None:
    assert read_instant(write_instant(instant)) == instant


@settings(deadline=None)
@given(st.lists(st.tuples(INSTANT, st.none() | INSTANT), max_size=20), st.booleans())
def test_intervals_are_read_and_a_reversed_one_is_refused(periods: list[tuple[int, int | None]], odd: bool) -> None:
    texts = [write_instant(a) + ("" if b is None else "/" + write_instant(b)) for a, b in periods]
    if odd:  # one text that only the slow path can read must not change what the others mean
        texts.append("2024-01-01T00:00:00.123456789Z")
        periods = [*periods, (read_instant(texts[-1]), None)]
    column = read_instants(texts)
    for row, (start, end) in enumerate(periods):
        if end is not None and end < start:
            assert "ends before it starts" in column.bad[row]
            continue
        assert row not in column.bad
        assert column.start[row] == start
        assert column.interval[row] == (end is not None)
        assert end is None or column.end[row] == end


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-01-01T00:00:00", "no time zone"),
        ("2024-01-01", "no time zone"),
        ("2024-02-30T00:00:00Z", "not a real instant"),
        ("2024-01-01T25:00:00Z", "not a real instant"),
        ("yesterday", "not an ISO 8601"),
        ("", "not an ISO 8601"),
        ("2024-01-01T00:00:00Z/2023-01-01T00:00:00Z", "ends before"),
        ("2024-01-01T00:00:00Z/", "not an ISO 8601"),
        ("2024-01-01T00:00:00Z/-PT1H", "negative"),
        ("2024-01-01T00:00:00Z/P1Y", "not a duration"),
        ("2024-01-01T00:00:00Z/PT99999999999H", "too long"),
        ("P1D/P1D", "not an ISO 8601"),
        ("2024-01-01T00:00:00Z/P9999999D", "years 1 to 9999"),
        (17, "not an ISO 8601"),
    ],
)
def test_a_bad_text_is_refused_by_its_row(text: object, why: str) -> None:
    column = read_instants(["2024-01-01T00:00:00+02:00", text, None])
    assert list(column.bad) == [1]
    assert why in column.bad[1]
    assert column.start[0] == from_datetime(datetime(2023, 12, 31, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z/PT1H", (0, 3600)),
        ("1970-01-01T00:00:10Z/p1dt0.5s", (10, 86_410.5)),
        ("PT15M/1970-01-01T02:00:00+01:00", (2700, 3600)),
    ],
)
def test_an_end_of_an_interval_may_be_told_by_its_length(text: str, seconds: tuple[float, float]) -> None:
    expected = tuple(int(one * 1_000_000) for one in seconds)
    assert read_period(text) == expected
    column = read_instants(["2024-01-01T00:00:00Z", text])
    assert (column.bad, int(column.start[1]), int(column.end[1])) == ({}, *expected)


def test_more_than_microseconds_are_cut() -> None:
    assert read_period("1970-01-01T00:00:00.0000019Z") == (1, None)
