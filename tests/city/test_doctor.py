"""``civium doctor`` names what is wrong and what to do, with exit code 1 when the city cannot go on so."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest

from civium.doctor import Finding
from civium.doctor.folder import room
from tests.city.test_letters import poison
from tests.city.test_spine import decide_some, register, wait_for


def test_a_healthy_city_is_good_and_its_dead_letters_are_told(new_city: Callable[..., Any]) -> None:
    city = new_city()

    async def publish() -> None:
        async with aiomqtt.Client(*city.mqtt, identifier="broken-device", timeout=60) as device:
            await device.publish("v1.1/Datastreams(7)/Observations", b'{"result": 1}', qos=1)

    asyncio.run(publish())
    wait_for(lambda: city.client.get("/api/status")["dead_letters"])
    told = city.run("doctor")
    assert told.returncode == 0, told
    assert "city: it runs at" in told.stdout
    assert "no Datastream 7 is registered" in told.stdout
    assert "in an unbroken chain" in told.stdout
    assert "Traceback" not in told.stderr


def test_a_taken_port_and_a_wrong_setting_are_told_with_their_cure(tmp_path: Path, city: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        nowhere = type(city)(tmp_path / "none", True, {"CIVIUM_DOORS_MQTT": f"127.0.0.1:{port}"})
        told = nowhere.run("doctor")
    assert told.returncode == 1
    assert f"door mqtt: 127.0.0.1:{port} is taken" in told.stdout
    assert "CIVIUM_DOORS_MQTT" in told.stdout
    nowhere.folder.mkdir()
    (nowhere.folder / "civium.toml").write_text("[store]\nmemory = 1\n")
    told = nowhere.run("doctor")
    assert told.returncode == 1
    assert "memory" in told.stdout


def told(city: Any) -> dict[str, dict[str, str]]:
    """What ``civium doctor --json`` says, by what it looked at."""
    return {finding["what"]: finding for finding in json.loads(city.run("doctor", "--json").stdout)}


def test_what_is_wrong_with_a_city_is_named_with_what_to_do(new_city: Callable[..., Any], tmp_path: Path) -> None:
    city = new_city()
    streams = register(city)["streams"]
    decide_some(city, streams, 2)
    well = told(city)
    bad = {what for what, finding in well.items() if finding["state"] == "bad"}
    assert bad == set(), well
    assert {"disk", "inodes", "packages", "rights of token", "catalogue", "tables of the record", "log OBS0", "store",
            "states", "ledger", "clock", "backup", "leftovers", "practice dimmer"} <= set(well)  # fmt: skip
    assert well["backup"]["said"] == "there was none yet"
    assert all(finding["do"] for finding in well.values() if finding["state"] != "good")

    assert city.run("backup", str(tmp_path / "target")).returncode == 0
    poison(city, [b"no Arrow at all"])
    (city.folder / "token").chmod(0o644)
    for state in (city.folder / "blobs" / "state").rglob("*"):
        if state.is_file():
            state.unlink()
    wait_for(lambda: any(letter["door"] == "writer" for letter in city.client.get("/api/dead-letters")))
    ill = told(city)
    assert ill["backup"]["state"] == "good"
    assert str(tmp_path / "target") in ill["backup"]["said"]
    for what, do in (
        ("poison", "civium letters --retry"), ("rights of token", "chmod 600"), ("states", "cannot be replayed"),
    ):  # fmt: skip
        assert ill[what]["state"] == "bad", ill[what]
        assert do in ill[what]["do"]
    assert city.run("doctor").returncode == 1

    city.stop()
    with (city.folder / "catalog.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    assert told(city)["catalogue"]["state"] == "bad"


def test_growth_is_foretold_from_earlier_examinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(at: float, size: int) -> Finding:
        (tmp_path / "data").write_bytes(b"x" * size)
        monkeypatch.setattr("civium.doctor.folder.time.time", lambda: at)
        return next(room(tmp_path))

    monkeypatch.setattr("civium.doctor.folder.shutil.disk_usage", lambda _: SimpleNamespace(free=50_000_000_000))
    assert "how fast" in said(0.0, 1000).said
    assert "how fast" in said(60.0, 2000).said
    found = said(86400.0, 5_001_000)
    assert "grows by 5.0 MB a day: full in 9,999 days" in found.said or "full in 10,000 days" in found.said, found
    monkeypatch.setattr("civium.doctor.folder.shutil.disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    found = said(2 * 86400.0, 10_001_000)
    assert "full in 10 days" in found.said
    assert found.state == "bad"
