"""Junctions read from nets of every kind."""

import json
import subprocess
from pathlib import Path

import pytest

from civium.core.extras import require
from civium.sandbox.detectors import CAMERA, EXIT, LOOP, write_detectors
from civium.sandbox.junction import Junction, read_junctions
from civium.sandbox.signal_plan import GREEN

sumo = require("sumo", "mobility")

WALKERS = ["--sidewalks.guess", "--crossings.guess", "--turn-lanes", "1"]
KINDS = {
    "walkers": ["--grid", "--grid.number", "3", "-L", "2", *WALKERS],
    "one node": ["--spider", "--spider.arm-number", "5", "--spider.circle-number", "1"],
    "actuated": ["--grid", "--grid.number", "2", "--tls.default-type", "actuated", "--grid.attach-length", "80"],
    "without inner lanes": ["--grid", "--grid.number", "2", "--no-internal-links", "--grid.attach-length", "80"],
    "left-hand": ["--grid", "--grid.number", "2", "--lefthand", "--grid.attach-length", "80"],
    "guessed at random": ["--rand", "--rand.iterations", "40", "--seed", "3"],
}


def generate(folder: Path, options: list[str]) -> Path:
    net = folder / "made.net.xml"
    program = Path(sumo.SUMO_HOME, "bin", "netgenerate")
    base = [str(program), *options, "--default-junction-type", "traffic_light", "-o", str(net)]
    subprocess.run(base, check=True, capture_output=True, env={"SUMO_HOME": sumo.SUMO_HOME})
    return net


@pytest.fixture(scope="module", params=sorted(KINDS))
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("net"), KINDS[request.param])


@pytest.fixture(scope="module")
def junctions(net: Path) -> list[Junction]:
    return read_junctions(net)


def test_every_net_yields_controllable_junctions(junctions: list[Junction]) -> None:
    assert junctions
    assert any(j.controllable for j in junctions)


def test_no_stage_and_no_step_of_the_plan_protects_two_that_conflict(junctions: list[Junction]) -> None:
    for j in junctions:
        assert (j.conflicts == j.conflicts.T).all()
        for state in (*j.stages, *(s for s, _ in j.program)):
            protected = [i for i, c in enumerate(state) if c == "G"]
            assert not j.conflicts[protected][:, protected].any()


def test_stages_are_steps_of_the_plan_that_change_nothing(junctions: list[Junction]) -> None:
    for j in junctions:
        steps = {s for s, _ in j.program}
        assert set(j.stages) <= steps
        assert all("y" not in s and set(s) & GREEN for s in j.stages)
        assert all(j.stage_of(stage) == i for i, stage in enumerate(j.stages))


def test_facts_are_json_and_name_what_a_controller_needs(junctions: list[Junction]) -> None:
    for j in junctions:
        facts = json.loads(json.dumps(j.facts()))
        lanes = {lane["lane"] for lane in facts["incoming"]}
        assert len(facts["phases"]) == len(j.stages)
        assert facts["max_red_s"] >= 120
        assert all(p["min_green_s"] > 0 for p in facts["phases"])
        assert {m["from"] for m in facts["movements"] if not m["pedestrian"]} == lanes
        assert all(set(p["lanes"]) <= lanes for p in facts["phases"])


def test_detectors_lie_on_their_lanes_and_sumo_loads_them(net: Path, junctions: list[Junction], tmp_path: Path) -> None:
    extra = tmp_path / "detectors.add.xml"
    detectors = write_detectors(net, junctions, extra)
    keys = [d.key for d in detectors]
    assert len(set(keys)) == len(keys)
    for d in detectors:
        length = next((j.lanes[d.lane].length for j in junctions if d.lane in j.lanes), None)
        assert d.role in (LOOP, CAMERA, EXIT)
        assert d.position >= 0
        if length is not None and d.role != EXIT:
            assert d.position + d.range_m <= length + 1e-6
    for j in junctions:
        served = {lane for d in detectors if d.role == CAMERA and d.signal == j.id for lane in d.serves}
        assert served == {lane for lane in j.incoming() if j.lanes[lane].length >= 2}
    program = Path(sumo.SUMO_HOME, "bin", "sumo")
    command = [str(program), "-n", str(net), "-a", str(extra), "--end", "5", "--no-step-log"]
    run = subprocess.run(command, capture_output=True, text=True, env={"SUMO_HOME": sumo.SUMO_HOME}, check=False)
    assert run.returncode == 0, run.stderr


def test_a_later_program_replaces_an_earlier_one(tmp_path: Path) -> None:
    net = generate(tmp_path, KINDS["without inner lanes"])
    first = read_junctions(net)[0]
    other = tmp_path / "other.add.xml"
    state = "G" * first.links
    other.write_text(
        f'<additional><tlLogic id="{first.id}" type="static" programID="night" offset="7">'
        f'<phase duration="9" state="{state}"/></tlLogic></additional>'
    )
    replaced = next(j for j in read_junctions(net, [other]) if j.id == first.id)
    assert replaced.offset == 7
    assert replaced.cycle == 9
    assert not replaced.controllable


def test_what_is_no_net_is_refused_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.net.xml"
    wrong.write_text("<net>")
    with pytest.raises(ValueError, match=r"wrong\.net\.xml"):
        read_junctions(wrong)
    wrong.write_text("<routes/>")
    with pytest.raises(ValueError, match="no lanes"):
        read_junctions(wrong)
