"""The bench measures what it says it measures."""

import math
import multiprocessing
import subprocess
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from civium.bench.score import Settings
from civium.bench.trial import Future
from civium.practices.signal_control import bench as module
from civium.practices.signal_control import whatif
from civium.practices.signal_control.episode import read_delays
from civium.practices.signal_control.noise import Noise, NoisyDetectors
from civium.sandbox.detectors import CAMERA, LOOP, Column, Detector
from civium.sandbox.scenario import (
    generated,
    named,
    netgenerate,
    read_scenario,
    recorded,
    seconds,
    unpack,
    without_writers,
)


def test_the_delay_of_a_trip_is_time_lost_on_the_way_and_before_departure(tmp_path: Path) -> None:
    trips = tmp_path / "trips.xml"
    trips.write_text(
        "<tripinfos>"
        '<tripinfo id="a" timeLoss="10.5" departDelay="2.5" arrival="90"/>'
        '<tripinfo id="b" timeLoss="4" departDelay="0" arrival="-1"/>'
        '<tripinfo id="c" timeLoss="-1" departDelay="30" arrival="-1"/>'
        "</tripinfos>"
    )
    assert read_delays(trips) == ([13.0, 4.0, 30.0], 2)


@pytest.mark.parametrize(
    ("text", "expected"), [("57600", 57600), ("3600.50", 3600), ("1:00:05", 3605), ("1:0:0:0", 86400)]
)
def test_times_of_a_configuration(text: str, expected: int) -> None:
    assert seconds(text) == expected


def test_a_configuration_is_read_and_what_is_missing_is_named(tmp_path: Path) -> None:
    config = tmp_path / "town.sumocfg"
    config.write_text(
        '<configuration><input><net-file value="t.net.xml"/><route-files value="a.rou.xml, b.rou.xml"/></input>'
        '<time><begin value="100"/><end value="400"/><step-length value="0.5"/></time>'
        '<processing><time-to-teleport value="300"/><ignore-junction-blocker value="60"/></processing>'
        '<output><summary-output value="s.xml"/></output></configuration>'
    )
    with pytest.raises(ValueError, match=r"t\.net\.xml, a\.rou\.xml, b\.rou\.xml"):
        read_scenario(config)
    for name in ("t.net.xml", "a.rou.xml", "b.rou.xml"):
        (tmp_path / name).write_text("<x/>")
    scenario = read_scenario(config)
    assert (scenario.name, scenario.begin, scenario.end) == ("town", 100, 400)
    assert [r.name for r in scenario.routes] == ["a.rou.xml", "b.rou.xml"]
    assert scenario.options == (("ignore-junction-blocker", "60"), ("step-length", "0.5"))
    assert next(named((tmp_path,))) == scenario


def test_a_folder_with_nothing_to_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.sumocfg"):
        list(named((tmp_path,)))
    with pytest.raises(ValueError, match="neither"):
        list(named((tmp_path / "absent",)))


def test_what_would_write_beside_the_scenario_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    plain, writing = tmp_path / "plain.add.xml", tmp_path / "writing.add.xml"
    plain.write_text('<additional><vType id="bus"/></additional>')
    writing.write_text('<additional><vType id="bus"/><e1Detector id="d" lane="l" pos="1" file="o.xml"/></additional>')
    assert without_writers(plain, folder) == plain
    kept = without_writers(writing, folder)
    assert kept.parent == folder
    assert "bus" in kept.read_text()
    assert "e1Detector" not in kept.read_text()


@pytest.mark.timeout(300)
def test_the_smoke_run_needs_no_data_and_beats_fixed_time() -> None:
    said: list[str] = []
    scores = list(module.bench(Settings(data=None, seeds=(11, 12), smoke=True, tell=said.append), said.append))
    assert {s.scenario for s in scores} == {"generated"}
    assert all(math.isfinite(s.ours) for s in scores)
    held = [s for s in scores if s.floor is not None]
    assert [s.metric for s in held] == ["mean delay", "delay of the worst seed"]
    assert all(s.floor == s.baseline and s.holds for s in held)
    noisy = next(s for s in scores if s.metric == "mean delay, detectors err and 10 % fail")
    assert noisy.ours != held[0].ours
    assert noisy.ours < 1.2 * noisy.baseline
    assert any("only the generated town" in line for line in said)
    assert sum("seed 11" in line for line in said) == 1
    assert not any("seed 12" in line for line in said)


def test_what_sumo_says_of_a_route_that_is_none_is_passed_on(tmp_path: Path) -> None:
    generated(tmp_path)
    (tmp_path / "generated.rou.xml").write_text(
        '<routes><flow id="a" begin="0" end="300" from="nowhere" to="B1C1" period="10"/></routes>'
    )
    with pytest.raises(ValueError, match="edge 'nowhere' within the route for flow 'a' is not known"):
        list(module.bench(Settings(None, (1,), (tmp_path,)), lambda _: None))


def test_a_town_in_which_nobody_departs_is_refused_in_the_bench_and_in_the_what_if(tmp_path: Path) -> None:
    generated(tmp_path)
    (tmp_path / "generated.rou.xml").unlink()
    with pytest.raises(ValueError, match="no vehicle departs"):
        list(module.bench(Settings(None, (1,), (tmp_path,)), lambda _: None))
    future = Future((1.0,), (1,), tmp_path, tmp_path, tmp_path, 8.0, 5)
    (ground,) = whatif.grounds(future, lambda _: None)
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(ValueError, match="no vehicle departs"),
    ):
        pool.submit(whatif.drive, ground, "fixed", {}).result()


def test_a_town_without_lights_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        [netgenerate(), "--grid", "--grid.number", "3", "-o", str(tmp_path / "signs.net.xml")],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no signal to control"):
        list(module.bench(Settings(None, (1,), (tmp_path,), smoke=True), lambda _: None))


def test_a_folder_of_data_is_run_by_its_layout_and_not_by_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its layout is resco/NAME/NAME"):
        list(module.bench(Settings(tmp_path / "absent", ()), lambda _: None))
    folder = tmp_path / "resco" / "foo"
    folder.mkdir(parents=True)
    town = generated(folder)
    (folder / "foo.sumocfg").write_text(
        f'<configuration><input><net-file value="{town.net.name}"/><route-files value="generated.rou.xml"/></input>'
        '<time><begin value="0"/><end value="120"/></time></configuration>'
    )
    packed = tmp_path / "dlr-sumo-scenarios"
    packed.mkdir()
    (packed / "bar.tar.xz").write_bytes(b"no archive")
    said: list[str] = []
    scores = list(module.bench(Settings(tmp_path, (1,), smoke=True, tell=said.append), lambda _: None))
    assert {score.scenario for score in scores} == {"foo"}
    assert said[0] == "ingolstadt1, ingolstadt7, bologna-acosta: not in the data folder, left out"
    assert said[1].startswith("bar is left out: bar.tar.xz cannot be unpacked")
    assert [scenario.name for scenario in recorded(tmp_path, (), said.append)] == ["foo"]


def test_an_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "town.net.xml").write_text("<net/>")
    archive = tmp_path / "town.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(tmp_path / "town.net.xml", "town/town.net.xml")
    folder = unpack(archive)
    assert (folder / "town" / "town.net.xml").read_text() == "<net/>"
    assert unpack(archive) == folder
    archive.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"town\.tar\.xz cannot be unpacked"):
        unpack(archive)


def test_detectors_err_alike_for_the_same_seed_and_some_fail() -> None:
    detectors = [
        Detector(f"d{i}", LOOP if i % 2 else CAMERA, "s", "l", (), (), "e", 0.0, 50.0, 0.0, None, None)
        for i in range(200)
    ]
    columns = {"vehicle_count": Column(np.arange(200), np.full(200, 10.0))}

    def told(seed: int) -> list[Column]:
        spoil = NoisyDetectors(detectors, Noise(), seed, 20)
        return [spoil(columns)["vehicle_count"] for _ in range(20)]

    first, again, other = told(1), told(1), told(2)
    assert all(np.array_equal(a.value, b.value) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].detector, other[0].detector)
    sane = (first[-1].value >= 0) & (first[-1].value < 100)
    assert 5 <= (~sane).sum() <= 14  # a third of the failed ones talk nonsense
    assert 8.0 < first[-1].value[sane].mean() < 10.5
