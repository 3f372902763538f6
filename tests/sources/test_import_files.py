"""Observations from files: how times and numbers are read, and that no row is guessed or lost in silence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import InputRefused, from_datetime
from civium.sources import import_files
from civium.sources.import_cells import TimeReading, read_numbers, read_times
from civium.sources.import_files import Reading, read_columns, read_parts

NOW = from_datetime(datetime(2026, 6, 1, 12, tzinfo=UTC))
FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1960, 2100))
EIGHT = datetime(2026, 6, 1, 8, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str | bytes, name: str = "a.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def read(path: Path, reading: Reading | None = None) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The rows with their line, and the refused lines."""
    rows: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    for part in read_parts(path, reading or Reading(), NOW):
        assert len(part.lines) == part.table.num_rows
        rows += [{"line": n, **row} for n, row in zip(part.lines.tolist(), part.table.to_pylist(), strict=True)]
        refused |= {refusal.line: refusal.why for refusal in part.refused}
    return rows, refused


def test_rows_keep_their_line_and_bad_ones_are_named(file: Any) -> None:
    rows, refused = read(
        file(
            "key,time,value,quality\na,2026-06-01T08:00:00Z,1.5,\n\nb,2026-06-01T10:00:00+02:00, 2 ,7\n"
            "c,2026-06-01T08\nd,yesterday,3,\ne,2026-06-01T08:00Z,\"1,5\",\nf,2026-06-01 08:00:00.25Z,nan,8.5\n"
            ",2026-06-01T08:00Z,1,1\n"
            "g,,1,1\n,,,\nh,2026-06-01T08:00Z,,70000\ni,2026-06-01T08:00Z,,3\n"
        )
    )  # fmt: skip
    assert [(row["line"], row["key"], row["time"], row["value"], row["quality"]) for row in rows] == [
        (2, "a", EIGHT, 1.5, None),
        (4, "b", EIGHT, 2.0, 7),
        (13, "i", EIGHT, None, 3),
    ]
    assert refused == {
        5: "it has 2 columns, not 4",
        6: "'yesterday' is not an ISO 8601 instant, or use --epoch",
        7: "'1,5' in column 'value' is no number",
        8: "'8.5' in column 'quality' is no whole number of 16 bits",
        9: "it has no key",
        10: "it has no time",
        12: "'70000' in column 'quality' is no whole number of 16 bits",
    }


def test_lines_are_right_in_every_block_of_a_large_file(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "_BLOCK", 4096)
    monkeypatch.setattr(import_files, "_MOST_ROWS", 37)
    lines = [f"k,2026-06-01T08:00:00Z,{n}" for n in range(2, 3000)]
    for n in range(2, 3000, 61):
        lines[n - 2] = "broken"
    for n in range(4, 3000, 61):
        lines[n - 2] = ""
    rows, refused = read(file("key,time,value\n" + "\n".join(lines) + "\nbroken,2\n"))
    assert list(refused) == [*range(2, 3000, 61), 3000]
    assert {row["line"] for row in rows} | set(refused) | set(range(4, 3000, 61)) == set(range(2, 3001))
    assert all(row["value"] == row["line"] for row in rows)


def test_a_row_was_made_when_its_time_ended_but_not_later_than_now(file: Any) -> None:
    rows, _ = read(
        file(
            "stream,time,until,made,text\n7,2026-06-01T08:00Z,2026-06-01T09:00Z,,x\n7,2026-06-01T08:00Z,,,x\n"
            "7,2026-06-02T08:00Z,,,x\n7,2026-06-01T08:00Z/2026-06-01T10:00Z,,,x\n7,2026-06-01T08:00Z,,2026-06-01T08:30Z,x\n"
        )
    )
    hours = [(row["made"] - EIGHT) / timedelta(hours=1) for row in rows]
    assert hours == [1, 0, 4, 2, 0.5]
    assert rows[0]["stream"] == 7


def test_a_time_zone_is_said_or_the_row_is_refused(file: Any) -> None:
    times = ("2026-06-01 11:00:00", "2026-06-01T08:00Z", "2026-10-25T03:30:00", "2026-03-29T03:30")
    text = "key,time,value\n" + "".join(f"a,{time},1\n" for time in times)
    rows, refused = read(file(text))
    assert [row["line"] for row in rows] == [3]
    assert refused[2].endswith("names no time zone; add Z or an offset such as +02:00, or use --timezone")
    rows, refused = read(file(text), Reading(TimeReading("Europe/Helsinki")))
    assert [row["time"] for row in rows] == [EIGHT, EIGHT]
    assert list(refused) == [4, 5]
    assert "is skipped or repeated by the clock change" in refused[4]


@settings(max_examples=100, deadline=None)
@given(st.datetimes(FIRST, LAST), st.integers(-840, 840), st.sampled_from(["T", " "]))
def test_an_instant_is_the_same_however_it_is_written(naive: datetime, minutes: int, between: str) -> None:
    when = naive.replace(tzinfo=UTC)
    us = from_datetime(when)
    local = (when + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat(between)
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    ways = [
        (pa.array([local + zone]), TimeReading()),
        (pa.array([naive.isoformat(between)]), TimeReading("UTC")),
        (pa.array([local + zone]), TimeReading("Asia/Tokyo")),
        (pa.array([str(us)]), TimeReading(epoch="us")),
        (pa.array([us * 1000]), TimeReading(epoch="ns")),
        (pa.array([naive], pa.timestamp("us")), TimeReading("UTC")),
        (pa.array([naive], pa.timestamp("us", "America/Lima")), TimeReading()),
    ]
    for array, how in ways[:-1]:
        bad: dict[int, str] = {}
        assert read_times("time", array, how, bad)[0].cast(pa.int64()).to_pylist() == [us], (array, how, bad)
    assert read_times("time", *ways[-1], {})[0].cast(pa.int64()).to_pylist() == ways[-1][0].cast(pa.int64()).to_pylist()


def test_counts_since_1970_need_their_unit_and_a_wrong_one_is_noticed() -> None:
    with pytest.raises(InputRefused, match="--epoch"):
        read_times("time", pa.array([1]), TimeReading(), {})
    bad: dict[int, str] = {}
    seconds = NOW // 1_000_000
    texts = pa.array([str(seconds), f"{seconds}.5", f"{seconds}000000000", "x", None])
    read, _ = read_times("time", texts, TimeReading(epoch="s"), bad)
    assert read.cast(pa.int64()).to_pylist() == [NOW, NOW + 500_000, None, None, None]
    assert "is --epoch s right?" in bad[2]
    assert "is no number" in bad[3]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-9, 9), st.text(max_size=4)), min_size=1, max_size=6))
def test_a_number_is_read_as_python_reads_it_or_refused(cells: list[Any]) -> None:
    texts = [None if cell is None else str(cell).strip() for cell in cells]
    bad: dict[int, str] = {}
    numbers = read_numbers("value", pa.array(texts, pa.string()), pa.float64(), bad).to_pylist()
    for row, (text, number) in enumerate(zip(texts, numbers, strict=True)):
        assert (number is None) == (text is None or row in bad)
        if number is not None:
            assert str(number) == str(float(text))


def test_wide_is_a_column_a_stream_and_empty_cells_are_no_reading(file: Any) -> None:
    rows, refused = read(
        file("time,a/t,b/t\n2026-06-01T08:00Z,1,\n2026-06-01T08:00Z,x,4\nlater,5,6\n\n2026-06-01T08:00Z,,\n"),
        Reading(wide=True, unit="degC"),
    )
    assert [(row["line"], row["key"], row["value"]) for row in rows] == [(2, "a/t", 1.0), (3, "b/t", 4.0)]
    assert list(refused) == [4, 3]
    assert refused[3] == "'x' in column 'a/t' is no number"


def test_parquet_says_the_same_and_names_rows(tmp_path: Path) -> None:
    times = pa.array([EIGHT.replace(tzinfo=None)] * 3, pa.timestamp("ns"))
    table = pa.table(
        {"Sensor": ["a", None, "b"], "Zeit": times, "Wert": pa.array([1, 2, 3], pa.int32()), "x": [1, 2, 3]}
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    columns = read_columns("key=Sensor, time=Zeit,value=Wert")
    rows, refused = read(path, Reading(TimeReading("Europe/Helsinki"), columns))
    assert [(row["line"], row["key"], row["time"].hour, row["value"]) for row in rows] == [
        (1, "a", 5, 1.0),
        (3, "b", 5, 3.0),
    ]
    assert refused == {2: "it has no key"}
    with pytest.raises(InputRefused, match="'time' has no time zone"):
        read(path, Reading(columns=columns))
    with pytest.raises(InputRefused, match="unknown column 'Sensor', 'Zeit'"):
        read(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"key,time,value\n", "no row"),
        (b"key,value\na,1\n", "needs the columns time"),
        (b"key,stream,time,value\n", "needs the columns"),
        (b"key,time,value,colour\na,1,1,red\n", "unknown column 'colour'"),
        (b"key,time,value\n\xff,2026-06-01T08:00Z,1\n", "is not UTF-8"),
        (b"PAR1 and no more", "is no Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_sentence(file: Any, content: bytes, why: str) -> None:
    with pytest.raises(InputRefused, match=why) as told:
        read(file(content))
    assert "a.csv" in str(told.value)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: TimeReading("Mars/Olympus"), "no time zone 'Mars/Olympus'"),
        (lambda: TimeReading(epoch="h"), "--epoch is 'h'"),
        (lambda: read_columns("time"), "write time=Zeit"),
        (lambda: read_columns("colour=red"), "write time=Zeit"),
    ],
)
def test_options_that_cannot_be_understood_are_refused(make: Any, why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        make()
