"""`civium bench` tells a user's mistake in one sentence, and what it leaves out for good."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from civium.cli import app
from civium.sandbox.sumo_net import open_xml


def _bench(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["bench", *arguments], env={"CIVIUM_BENCH_DATA": None, "COLUMNS": "300"})
    assert told.exception is None or isinstance(told.exception, SystemExit)
    return told.exit_code, told.output


def test_an_input_that_a_bench_cannot_use_is_one_sentence_and_exit_code_two(tmp_path: Path) -> None:
    assert _bench("parking", "--scenario", str(tmp_path)) == (2, f"civium: {tmp_path} holds no CSV file of counts\n")


def test_what_was_scored_before_an_input_that_cannot_be_used_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from civium.bench.score import Score
    from civium.practices.parking import bench_counts

    monkeypatch.setattr(bench_counts, "bench", lambda *_: iter([Score("first", "MAE", "1", 0.5, 1.0, "lower")]))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "a.csv").write_text("Datetime,A\n2016-10-04 08:00:00,0.5\n")
    code, told = _bench("parking", "--scenario", str(tmp_path / "a"), "--scenario", str(tmp_path / "b"))
    assert code == 2
    assert "first" in told
    assert "holds no CSV file" in told


def test_what_is_left_out_stays_on_the_screen(tmp_path: Path) -> None:
    code, told = _bench("parking", "--data", str(tmp_path))
    assert code == 2
    assert "birmingham-parking is not in the data folder: left out" in told


def test_a_file_that_is_no_xml_is_named(tmp_path: Path) -> None:
    from xml.etree import ElementTree as ET

    (tmp_path / "n.net.xml").write_text("<net><edge")
    with pytest.raises(ValueError, match=r"n\.net\.xml is no readable XML"), open_xml(tmp_path / "n.net.xml") as stream:
        list(ET.iterparse(stream))
