"""The bench says what it runs, has figures enough, and what sampling alone would cost."""

from pathlib import Path

import pytest

from civium.bench.score import Settings
from civium.practices.travel_time import bench as module


def test_the_generated_town_gives_figures_enough_and_sampling_alone_errs_less(tmp_path: Path) -> None:
    said: list[str] = []
    scores = list(module.bench(Settings(None, (0,), smoke=True, tell=said.append), lambda _: None))
    by_metric = {score.metric: score for score in scores}
    mape = by_metric["travel time, MAPE"]
    assert {score.scenario for score in scores} == {"generated"}
    assert int(mape.note.partition("device; ")[2].partition(" ")[0]) >= 80
    assert mape.holds
    assert 0 < by_metric["the same, were no device missed and nothing else heard"].ours < mape.ours
    assert said == ["no folder of data was given: only the generated town is run"]


def test_a_folder_of_data_of_another_layout_is_refused(tmp_path: Path) -> None:
    for smoke in (True, False):
        with pytest.raises(ValueError, match="its layout is resco/NAME/NAME"):
            list(module.bench(Settings(tmp_path, (), smoke=smoke), lambda _: None))


def test_a_net_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "n.net.xml").write_text("<net><edge")
    with pytest.raises(ValueError, match=r"n\.net\.xml is no readable XML"):
        list(module.bench(Settings(None, (1,), (tmp_path,)), lambda _: None))
