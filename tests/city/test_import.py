"""``civium import`` on a real city: what is in the file is in the history, in SI, once."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

START = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _streams(city: Any) -> None:
    city.client.post(
        "/api/register",
        b'{"key":"m","kind":"mast","where":{"type":"Point","coordinates":[24.9,60.1]},"streams":[{"property":"air_temperature","unit":"degC"},'
        b'{"property":"speed","unit":"km/h"},{"property":"note","type":"text"},{"property":"open","type":"truth"}]}',
    )


def observations(city: Any) -> int:
    return int(city.client.get("/api/status")["observations"])


def latest(city: Any, name: str) -> Any:
    features = city.client.get("/api/latest", kind="mast", property=name)["features"]
    return features[0]["properties"] if features else None


def accepted(city: Any) -> int:
    return int(city.client.get("/api/status")["accepted"])


def test_one_bad_row_refuses_the_file_and_the_good_ones_can_be_kept(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "key,time,value,unit\nm/air_temperature,2026-06-01T00:00:00Z,68,degF\nm/speed,2026-06-01T00:00:00Z,36,\n"
        "m/speed,2026-06-01T00:01:00Z,5,K\nm/nothing,2026-06-01T00:01:00Z,5,\nm/speed,soon,5,\n"
    )
    before = accepted(city)
    for options in (["--dry-run"], []):
        told = city.run("import", str(path), *options)
        assert told.returncode == 1
        assert "line 4: unit 'K' does not fit Datastream 2, which is kept in 'm/s'" in told.stdout
        assert "line 5: no Datastream has the key 'm/nothing'" in told.stdout
        assert "line 6: 'soon' is not an ISO 8601 instant" in told.stdout
        assert "2 rows are good; nothing was stored" in told.stdout
        assert accepted(city) == before
    kept = city.run("import", str(path), "--on-error", "keep")
    assert kept.returncode == 0
    assert "2 rows stored" in kept.stdout
    assert accepted(city) == before + 2


def test_values_are_in_si_and_a_second_run_of_the_same_file_stores_nothing_more(city: Any, tmp_path: Path) -> None:
    count, parts = 200_000, 2
    times = pa.array([START + timedelta(seconds=i) for i in range(count)])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"when": times, "v": pa.array(range(count), pa.float32())}), path)
    # the stream stands in no column: one column a stream
    wide = ("--wide", "--columns", "time=when,key=v")
    told = city.run("import", str(path), *wide)
    assert told.returncode == 1
    assert "no Datastream has the key" in told.stdout
    table = pa.table({"stream": pa.array([1] * count), "time": times, "value": pa.array(range(count), pa.float32())})
    pq.write_table(table, path)
    before = accepted(city)
    first = city.run("import", str(path), "--unit", "K")
    assert f"{count:,} rows stored;" in first.stdout
    assert latest(city, "air_temperature")["value"] == count - 1
    rows = observations(city)
    second = city.run("import", str(path), "--unit", "K")
    assert f"{count:,} rows stored, of them {count:,} by an earlier run" in second.stdout
    latest(city, "air_temperature")  # it waits for what was accepted
    assert observations(city) == rows
    assert accepted(city) == before + parts * count


def test_words_truths_and_wide_tables(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("key,time,text,json\nm/note,2026-06-02T00:00:00Z,dry,\nm/open,2026-06-02T00:00:00Z,,true\n")
    assert city.run("import", str(path)).returncode == 0
    assert latest(city, "open")["value"] == 1.0
    path.write_text("time;m/air_temperature;m/speed\n2026-06-05 03:00;20;36\n2026-06-05 04:00;;72\n")
    told = city.run("import", str(path), "--wide", "--timezone", "Europe/Helsinki")
    assert "3 rows stored" in told.stdout, told
    assert latest(city, "speed")["value"] == pytest.approx(20.0)
    assert latest(city, "air_temperature")["time"] == "2026-06-05T00:00:00+00:00"


def test_a_dry_run_at_the_door_answers_as_the_real_one_would(city: Any) -> None:
    table = pa.table(
        {"stream": [1, 999], "time": pa.array([START] * 2, pa.timestamp("us", "UTC")), "value": [1.0, 2.0]}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    before = accepted(city)
    kept = city.client.http.post("/bulk/observations?dry_run=true&on_error=keep", content=sink.getvalue())
    assert kept.status_code == 200
    assert (kept.json()["good"], kept.json()["stored"], kept.json()["refused_count"]) == (1, 0, 1)
    assert city.client.http.post("/bulk/observations?dry_run=true", content=sink.getvalue()).status_code == 400
    assert accepted(city) == before


@pytest.mark.parametrize("arguments", [["missing.csv"], ["a.csv", "--on-error", "ignore"], ["a.csv", "--epoch", "h"]])
def test_a_mistake_is_one_sentence(city: Any, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.csv").write_text("key,time,value\nm/speed,2026-06-01T00:00:00Z,1\n")
    told = city.run("import", str(tmp_path / arguments[0]), *arguments[1:])
    assert told.returncode == 1
    assert told.stderr.startswith("civium: ")
    assert len(told.stderr.strip().splitlines()) == 1
