"""The configuration of a city goes into files and comes back from them; nothing secret is in them."""

import json
from pathlib import Path

import pytest

from civium.city_folder import token
from civium.configuration import differences, export
from civium.core import InputRefused
from tests.city.conftest import CityProcess, city
from tests.city.test_spine import register

__all__ = ["city"]


def test_what_is_exported_is_applied_to_what_it_was_with_a_diff_first(city: CityProcess, tmp_path: Path) -> None:
    (city.folder / "civium.toml").write_text(
        '[sources.stations]\nkind = "json"\ntoken = "env:STATIONS_TOKEN"\n'
        'fields = [{ stream = "a/{b}", value = "c" }]\n'
    )
    register(city)
    hot = {"watch": {"property": "air_temperature"}, "when": {"above": 300.0}}
    steps = [{"who": "Ada", "ways": ["mailto:ada@example.org"]}]
    city.client.post("/api/alarms/on-call", name="night", steps=steps)
    city.client.post("/api/alarms/rules", id="hot", rule={**hot, "on_call": "night"}, why="summer")
    one = {"watch": {"stream": "lamp/0/air_temperature"}, "when": {"above": 310.0}}
    assert city.client.post("/api/alarms/rules", id="one", rule=one)["rule"]["watch"].keys() == {"datastream"}
    with pytest.raises(InputRefused, match="no Datastream has the key 'lamp/none'"):
        city.client.post("/api/alarms/rules", id="none", rule={**one, "watch": {"stream": "lamp/none"}})
    city.client.post("/api/practices/dimmer/mandate", mandate="approve")
    calibration = {"stream": "lamp/0/air_temperature", "gain": 1.1, "offset": 0.5, "from": "2026-06-01T08:00:00Z"}
    city.client.post("/api/calibrations", **calibration)
    folder = tmp_path / "config"
    written = city.run("config", "export", str(folder))
    assert written.returncode == 0, written.stderr
    first = {path.name: path.read_text() for path in sorted(folder.iterdir())}
    assert set(first) == {f"{name}.json" for name in ("alarm_rules", "calibrations", "on_call", "practices", "sources")}
    assert all(token(city.folder) not in text for text in first.values())
    kept = json.loads(first["alarm_rules.json"])["one"]["watch"]
    assert kept == {"stream": "lamp/0/air_temperature"}, "in another city it has another number"
    assert json.loads(first["sources.json"])["stations"]["token"] == "env:STATIONS_TOKEN"
    assert differences(city.client, city.folder, folder) == []

    city.client.post("/api/alarms/rules", id="cold", rule={**hot, "when": {"below": 200.0}})
    city.client.post("/api/alarms/rules", id="hot", rule={**hot, "severity": "critical"})
    city.client.delete("/api/calibrations", stream=calibration["stream"], **{"from": calibration["from"]})
    city.client.post("/api/practices/dimmer/mandate", mandate="act")
    shown = city.run("config", "apply", str(folder))
    assert shown.returncode == 1
    for words in ("alarm_rules cold:", "alarm_rules hot:", "practices dimmer:", "calibrations lamp/0/air_temperature"):
        assert words in shown.stdout
    rules = city.client.get("/api/alarms/rules")["rules"]
    assert [rule["id"] for rule in rules] == ["cold", "hot", "one"]  # nothing was changed yet
    applied = city.run("config", "apply", str(folder), "--yes", "--who", "Ada", "--why", "review")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "alarm_rules cold:" in applied.stdout, "what it does is told"
    assert city.run("config", "apply", str(folder)).returncode == 0, "nothing is left to change"
    assert [one["who"] for one in city.client.get("/api/audit", limit=3)] == ["local for Ada"] * 3
    again = tmp_path / "again"
    export(city.client, city.folder, again)
    assert {path.name: path.read_text() for path in sorted(again.iterdir())} == first
    (folder / "on_call.json").write_text("[]")
    refused = city.run("config", "apply", str(folder), "--yes")
    assert refused.returncode == 1
    assert "on_call.json cannot be read" in refused.stdout + refused.stderr
    with pytest.raises(InputRefused, match=r"on_call\.json cannot be read"):
        differences(city.client, city.folder, folder)
