"""The bench measures what it says it measures."""

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from civium.bench.score import Settings
from civium.practices.emergency_corridor import bench as module
from civium.practices.emergency_corridor.bench_trips import Trip, trips
from civium.practices.emergency_corridor.episode import Run, read_trips
from civium.sandbox.junction import read_junctions
from civium.sandbox.scenario import generated, netgenerate
from civium.sandbox.street_facts import street_things


def test_times_count_from_the_call_and_who_has_not_arrived_counts_to_the_end(tmp_path: Path) -> None:
    out = tmp_path / "trips.xml"
    out.write_text(
        "<tripinfos>"
        '<tripinfo id="civium-call-0" arrival="190" timeLoss="50" departDelay="9"/>'
        '<tripinfo id="civium-call-1" arrival="-1" timeLoss="80" departDelay="0"/>'
        '<tripinfo id="a" arrival="90" timeLoss="10.5" departDelay="2.5"/>'
        '<tripinfo id="b" arrival="-1" timeLoss="4" departDelay="-1"/>'
        "</tripinfos>"
    )
    calls = [Trip(depart, ("x", "y"), (0.0, 0.0), 1, 5.0) for depart in (100, 150, 200)]
    assert read_trips(out, calls, 1000) == ({0: 90.0, 1: 850.0, 2: 800.0}, 17.0, 2, 1)


def test_the_share_removed_is_of_the_delay_above_the_free_drive() -> None:
    def run(*times: float, others: float = 10.0) -> Run:
        return Run(dict(enumerate(times)), others, 5, 0, 3, 0.0, 0.0)

    found = module._compared([[run(100, 100), run(200, 300), run(130, 130, others=12.0)]])
    assert found.removed == pytest.approx(1 - 60 / 300)
    assert (found.others_guided, found.others_without) == (12.0, 10.0)
    assert found.cars == 5


def test_calls_are_the_same_for_a_seed_and_lead_over_a_signal(tmp_path: Path) -> None:
    town = generated(tmp_path)
    streets, junctions = street_things(town.net), read_junctions(town.net)
    made = trips(streets, junctions, 3, 0, 3600)
    assert made == trips(streets, junctions, 3, 0, 3600)
    assert made != trips(streets, junctions, 4, 0, 3600)
    assert all(trip.signals >= 1 for trip in made)
    length = {s.facts["street"]: s.facts["length_m"] for s in streets}
    assert min(sum(length[key] for key in trip.streets) for trip in made) >= 500
    assert np.diff([trip.depart for trip in made]).min() >= 150


@pytest.mark.parametrize("told", [{"rows": "plain,red"}, {"calls": "many"}, {"calls": "0"}])
def test_an_option_that_is_none_is_refused(told: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(told))):
        list(module.bench(Settings(data=None, seeds=(), options=told, smoke=True), lambda _: None))


def test_what_sumo_says_of_a_route_that_is_none_is_passed_on(tmp_path: Path) -> None:
    generated(tmp_path)
    (tmp_path / "generated.rou.xml").write_text(
        '<routes><flow id="a" begin="0" end="300" from="nowhere" to="B1C1" period="10"/></routes>'
    )
    with pytest.raises(ValueError, match="edge 'nowhere' within the route for flow 'a' is not known"):
        list(module.bench(Settings(None, (1,), (tmp_path,), smoke=True), lambda _: None))


def test_a_folder_of_data_of_another_layout_is_refused(tmp_path: Path) -> None:
    for smoke in (True, False):
        with pytest.raises(ValueError, match="its layout is resco/NAME/NAME"):
            list(module.bench(Settings(tmp_path, (), smoke=smoke), lambda _: None))


def test_a_town_without_lights_is_refused_also_for_seeds_that_are_named(tmp_path: Path) -> None:
    subprocess.run(
        [netgenerate(), "--grid", "--grid.number", "3", "-o", str(tmp_path / "signs.net.xml")],
        check=True, capture_output=True,
    )  # fmt: skip
    for seeds in ((1,), ()):
        with pytest.raises(ValueError, match="no traffic light"):
            list(module.bench(Settings(None, seeds, (tmp_path,), smoke=True), lambda _: None))


@pytest.mark.timeout(600)
def test_the_smoke_run_needs_no_data_and_brings_vehicles_there_sooner() -> None:
    said: list[str] = []
    scores = list(module.bench(Settings(data=None, seeds=(11,), smoke=True, tell=said.append), said.append))
    by_metric = {score.metric: score for score in scores}
    assert {score.scenario for score in scores} == {"generated, plain"}
    assert all(math.isfinite(score.ours) and score.holds for score in scores)
    assert by_metric["mean arrival"].ours < by_metric["mean arrival"].baseline
    assert by_metric["share of the delay removed"].ours > 0
    assert any("only the generated town" in line for line in said)
