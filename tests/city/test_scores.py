"""A practice that foretells is held against what was measured then, beside the belief that nothing changes."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.city.conftest import CityProcess

_CONTRACT = """
from civium.core import Estimate, Make, Need, Plan, Practice
from civium.core.view import column

MINUTE = 60_000_000


def decide(view, state, params):
    \"\"\"Half of the way that it really goes: it rises by one a minute.\"\"\"
    frame = view.frames["level"]
    rows = zip(column(frame, "thing").tolist(), column(frame, "value").tolist())
    last = dict(rows)
    told = tuple(Estimate(t, "level_in_2_min", view.now, v + 1.0, view.now + 2 * MINUTE) for t, v in last.items())
    return Plan(estimates=told), state


PRACTICE = Practice(
    id="foreteller", title="Levels to come",
    needs=(Need("level", "level", "gauge", unit="m", window=90.0, stale=90.0),),
    makes=(Make("level_in_2_min", "gauge", "m", "level in two minutes", foretells="level"),),
    decide=decide, every=60.0,
)
"""
BEGIN = datetime.fromisoformat("2026-06-01T06:00:00+00:00")


def test_forecasts_are_held_against_what_came(new_city: Callable[..., CityProcess], tmp_path: Path) -> None:
    folder = tmp_path / "practices"
    (folder / "foreteller").mkdir(parents=True)
    (folder / "foreteller" / "__init__.py").write_text(_CONTRACT)
    (folder / "foreteller" / "register.toml").write_text('[properties]\nlevel_in_2_min = {unit = "m", meaning = "x"}\n')
    info = folder / "foreteller-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreteller\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[civium.practices]\nforeteller = foreteller:PRACTICE\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    city = new_city(PYTHONPATH=path, CIVIUM_CLOCK_SOURCE="door")
    line = {"key": "g", "kind": "gauge", "streams": [{"key": "g/level", "property": "level", "unit": "m"}]}
    stream = city.client.post("/api/register", content=json.dumps(line).encode())["streams"]["g/level"]
    for minute in range(8):
        now = BEGIN + timedelta(minutes=minute)
        city.client.post("/clock", time=now.isoformat())
        reading = {"result": float(minute), "phenomenonTime": now.isoformat()}
        city.client.http.post(f"/v1.1/Datastreams({stream})/Observations", json=reading).raise_for_status()
        city.client.post("/clock", time=(now + timedelta(seconds=5)).isoformat())
    (score,) = city.client.get("/api/practices/foreteller/score")
    assert (score["property"], score["foretells"], score["unit"]) == ("level_in_2_min", "level", "m")
    # Told at 1:00 ... 7:00, seeing the level of the minute before; held against what was measured two minutes later.
    assert score["n"] == 5
    assert score["error"] == pytest.approx(2.0)  # v(t-1) + 1 against v(t+2)
    assert score["unchanged"] == pytest.approx(2.0)  # what stands at t against what stands at t+2
    assert city.client.http.get("/api/practices/nobody/score").status_code == 404
    page = city.client.http.get("/register/foreteller").text
    assert "How well it foretold in the last day" in page
    assert "/register/foreteller" in city.client.http.get("/register").text  # with a register.toml that says no purpose
    assert city.client.get("/api/practices/signal_control/score") == []
