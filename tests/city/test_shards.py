"""A practice that is decided in shards: each has its own things, state and turns, and the record proves all of them."""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from civium.ledger.replay import check_chain
from tests.city.conftest import PRACTICES, CityProcess
from tests.city.test_spine import LAMPS, feed, wait_for

SHARDS = 3
PRACTICE = f"""
from civium.core import Need, Practice
from districts.decide import decide

PRACTICE = Practice(
    id="districts", title="Dims the lamps of each district",
    needs=(Need("temperature", property="air_temperature", kind="lamp_post", unit="K", window=60, stale=60),),
    decide=decide, every=1.0, acts_on="lamp_post", shard_by="district", shards={SHARDS},
)
"""
DECIDE = """
import numpy as np
from civium.core import Command, Plan

def decide(view, state, params):
    turns = int(state["turns"]) + 1 if "turns" in state else 1
    actuators = view.actuators.column("actuator").to_pylist()
    commands = tuple(Command(one, 50.0, view.now + 10_000_000) for one in actuators)
    return Plan(commands, because=",".join(view.things.column("name").to_pylist())), {"turns": np.int64(turns)}
"""


def installed(folder: Path, name: str, practice: str, decide: str) -> str:
    """A practice as a package; the PYTHONPATH with which a city finds it."""
    package, about = folder / name, folder / f"{name}-1.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text(practice)
    (package / "decide.py").write_text(decide)
    (package / "register.toml").write_text(f'id = "{name}"\ntitle = "Dims"\npurpose = "A practice for tests."\n')
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[civium.practices]\n{name} = {name}:PRACTICE\n")
    return os.pathsep.join([str(folder), str(PRACTICES)])


def turns(city: CityProcess) -> dict[str, list[dict[str, Any]]]:
    """The turns on the record, by shard, in order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, entry in check_chain(city.client.ledger()):
        if entry["type"] == "turn" and entry["practice"] == "districts":
            found[entry["shard"]].append(entry)
    return found


def test_each_shard_decides_for_its_own_things_from_its_own_state_also_after_a_crash(
    new_city: Callable[..., CityProcess], tmp_path: Path
) -> None:
    city = new_city(PYTHONPATH=installed(tmp_path / "practices", "districts", PRACTICE, DECIDE))
    lines = [
        {
            "key": f"lamp/{i}", "name": f"lamp {i}", "kind": "lamp_post", "facts": {"district": f"north {i // 2}"},
            "streams": [{"property": "air_temperature", "unit": "degC"}],
            "actuators": [{"key": f"lamp/{i}/dimmer", "facts": {"minimum": 0, "maximum": 100}}],
        }
        for i in range(LAMPS)
    ]  # fmt: skip
    told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
    city.client.post("/api/practices/districts/mandate", mandate="act", why="test")
    before: dict[str, int] = {}

    def decided() -> bool:
        """Every shard that has things has decided twice more."""
        feed(city, told["streams"])
        found = turns(city)
        things = {name for entries in found.values() for name in entries[-1]["plan"]["because"].split(",")}
        return len(things) == LAMPS and all(len(found[s]) >= before.get(s, 0) + 2 for s in found)

    wait_for(decided, 120)
    before = {shard: len(entries) for shard, entries in turns(city).items()}
    city.kill()
    city.start()
    wait_for(decided, 120)
    found = turns(city)
    assert 1 < len(found) <= SHARDS
    acted_on = [c["actuator"] for entries in found.values() for c in entries[0]["plan"]["commands"]]
    assert sorted(acted_on) == sorted(told["actuators"].values())
    together = {e["plan"]["because"] for entries in found.values() for e in entries}
    for first, second in (("lamp 0", "lamp 1"), ("lamp 2", "lamp 3")):  # of one district
        assert all((first in names) == (second in names) for names in together)
    for shard, entries in found.items():
        assert [e["state_in"] for e in entries] == [None, *(e["state_out"] for e in entries[:-1])]
        assert all(e["id"].startswith(f"districts.{shard}.") for e in entries)
        assert {v["what"] for e in entries for v in e["events"]} == {"admitted"}
    replay = city.run("replay", "--practice", "districts")
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert " 0 identical" not in replay.stdout
