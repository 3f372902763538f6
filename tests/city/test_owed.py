"""A turn that an engine kept from being made is made as soon as the engine is well, not a period later."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.city.conftest import CityProcess
from tests.city.test_shards import installed
from tests.city.test_spine import feed, register, wait_for

EVERY_S = 12
PRACTICE = f"""
from civium.core import Need, Practice
from seldom.decide import decide

PRACTICE = Practice(
    id="seldom", title="Looks at lamps now and then",
    needs=(Need("temperature", property="air_temperature", kind="lamp_post", unit="K", window=60, stale=60),),
    decide=decide, every={EVERY_S}.0,
)
"""
DECIDE = """
import numpy as np
from civium.core import Plan

def decide(view, state, params):
    turns = int(state["turns"]) + 1 if "turns" in state else 1
    return Plan(because=f"turn {turns}"), {"turns": np.int64(turns)}
"""


def test_what_a_disk_kept_from_being_decided_is_decided_when_it_is_back(
    new_city: Callable[..., CityProcess], tmp_path: Path
) -> None:
    city = new_city(PYTHONPATH=installed(tmp_path / "practices", "seldom", PRACTICE, DECIDE))
    streams = register(city)["streams"]

    def made() -> list[dict[str, Any]]:
        feed(city, streams)
        found: list[dict[str, Any]] = city.client.get("/api/decisions", practice="seldom")
        return found

    wait_for(made)
    blobs, away = city.folder / "blobs", city.folder / "away"
    blobs.rename(away)
    blobs.write_text("no folder: nothing can be kept here")
    before = made()
    wait_for(lambda: made() and "turn of seldom" in city.client.get("/api/status")["troubles"])
    blobs.unlink()
    away.rename(blobs)
    wait_for(lambda: len(made()) > len(before), EVERY_S / 2)
    wait_for(lambda: "turn of seldom" not in city.client.get("/api/status")["troubles"], 5)
    replay = city.run("replay", "--practice", "seldom")
    assert replay.returncode == 0, replay.stdout + replay.stderr
