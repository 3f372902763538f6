"""Two practices want the same signals: the higher tier wins, the lower one comes back, and all is on the record."""

import json
from collections.abc import Callable
from typing import Any

from civium.core import to_datetime
from civium.core.clock import MICROSECONDS
from civium.ledger.replay import check_chain
from civium.practices.emergency_corridor.tests import views
from tests.city.conftest import CityProcess

SECONDS = 50
LAST_SEEN = 24  # then the call is closed, a second after the first signal


def lines() -> list[dict[str, Any]]:
    """The street of the practice's own examples as Things."""
    found: list[dict[str, Any]] = []
    for k in views.SIGNALS:
        actuator = {"key": f"s{k}", "facts": {"choices": [0, 1]}}
        streams = [{"key": f"s{k}/phase", "property": "signal_phase", "unit": "1"}]
        found.append({"key": f"s{k}", "kind": "signal", "facts": views.signal_facts(k), "streams": streams,
                      "actuators": [actuator]})  # fmt: skip
    for k, lane in views.CAMERA:
        key = f"camera/{k}/{lane}"
        streams = [{"key": f"{key}/{p}", "property": p, "unit": "1"} for p in ("vehicle_count", "queue_length")]
        found.append({"key": key, "kind": "detector", "facts": views.detector_facts(k, lane), "streams": streams})
    found += [{"key": f"street/{s['street']}", "kind": "street", "facts": s} for s in views.street_facts()]
    told = [{"key": "a/mission", "property": "mission", "type": "json", "access": "restricted"},
            {"key": "a/position", "property": "position", "type": "json", "access": "restricted"},
            {"key": "a/speed", "property": "speed", "unit": "m/s", "access": "restricted"}]  # fmt: skip
    return [*found, {"key": "a", "kind": "emergency_vehicle", "streams": told}]


def feed(city: CityProcess, streams: dict[str, int], second: int) -> None:
    """What the devices say at a second: queues in the side streets, a vehicle on its way to the first signal."""
    results: dict[str, Any] = {f"s{k}/phase": 1.0 for k in views.SIGNALS}
    for k, lane in views.CAMERA:
        standing = 6.0 + second % 2 if lane == "side" else 0.0
        results |= {f"camera/{k}/{lane}/vehicle_count": standing, f"camera/{k}/{lane}/queue_length": standing}
    results["a/mission"] = json.loads(views.mission(active=second <= LAST_SEEN))
    if second <= LAST_SEEN:
        results |= {"a/position": json.loads(views.point(13.0 * second)), "a/speed": 13.0}
    time = to_datetime(views.NOON + second * MICROSECONDS).isoformat()
    components = ["phenomenonTime", "resultTime", "result"]
    city.client.post(
        "/v1.1/CreateObservations",
        content=json.dumps(
            [
                {"Datastream": {"@iot.id": streams[k]}, "components": components, "dataArray": [[time, time, v]]}
                for k, v in results.items()
            ]
        ).encode(),
    )
    city.client.post("/clock", time=time)


def test_life_displaces_comfort_comfort_comes_back_and_all_of_it_replays(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(CIVIUM_CLOCK_SOURCE="door")
    city.client.post("/clock", time=to_datetime(views.NOON - MICROSECONDS).isoformat())
    told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines())).encode())
    for practice in ("signal_control", "emergency_corridor"):
        city.client.post(f"/api/practices/{practice}/mandate", mandate="act", why="test")
    for second in range(SECONDS):
        feed(city, told["streams"], second)

    actuator = told["actuators"]["s1"]
    plans: dict[str, Any] = {}
    fates: list[tuple[int, str, str, str]] = []  # second, practice, what, why: of commands for the first signal
    for _, entry in check_chain(city.client.ledger()):
        if entry["type"] == "turn":
            plans[entry["id"]] = entry["plan"]["commands"]
        for event in entry.get("events", ()):
            command = plans.get(event["decision"], {})
            if command and command[event["command"]]["actuator"] == actuator:
                second = (event["at"] - views.NOON) // MICROSECONDS
                fates.append((second, event["decision"].partition(".")[0], event["what"], event.get("why", "")))

    def seconds(practice: str, what: str) -> list[int]:
        return [second for second, who, fate, _ in fates if (who, fate) == (practice, what)]

    held = seconds("emergency_corridor", "admitted")
    comfort = seconds("signal_control", "admitted")
    refused = [f for f in fates if f[1:3] == ("signal_control", "refused")]
    assert held, city.client.get("/api/practices")
    assert min(comfort) < min(held)  # signal control was at it first,
    assert seconds("signal_control", "overridden")  # had to go,
    assert any("emergency_corridor holds it with tier life" in why for *_, why in refused)  # was refused meanwhile,
    assert max(comfort) > max(held)  # and came back
    assert not [s for s in comfort if min(held) < s <= LAST_SEEN]

    replayed = city.run("replay")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert "not replayable" not in replayed.stdout
    assert "differs" not in replayed.stdout
