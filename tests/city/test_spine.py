"""One city, end to end: a reading becomes a decision, a command, a fact; a crash and a fresh process change nothing."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import duckdb
import pytest

from civium.engines.lakes import extension
from tests.city.conftest import CityProcess

LAMPS = 5


def register(city: CityProcess, lamps: int = LAMPS) -> dict[str, dict[str, int]]:
    """Lamp posts with a thermometer, a reported level and a dimmer."""
    lines = [
        {
            "key": f"lamp/{i}",
            "kind": "lamp_post",
            "where": {"type": "Point", "coordinates": [24.94, 60.17]},
            "streams": [{"property": "air_temperature", "unit": "degC"}, {"property": "level", "unit": "%"}],
            "actuators": [{"key": f"lamp/{i}/dimmer", "facts": {"minimum": 0, "maximum": 100}}],
        }
        for i in range(lamps)
    ]
    answer: dict[str, dict[str, int]] = city.client.post(
        "/api/register", content="\n".join(map(json.dumps, lines)).encode()
    )
    return answer


def feed(city: CityProcess, streams: dict[str, int], warmth: float = -5.0) -> None:
    """One temperature a lamp, now."""
    now = datetime.now(UTC).isoformat()
    body = [
        {"Datastream": {"@iot.id": streams[f"lamp/{i}/air_temperature"]}, "components": ["phenomenonTime", "result"],
         "dataArray": [[now, warmth + i]]}
        for i in range(LAMPS)
    ]  # fmt: skip
    city.client.post("/v1.1/CreateObservations", content=json.dumps(body).encode())


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer within a time."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


def decisions(city: CityProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = city.client.get("/api/decisions", practice="dimmer", limit=1000)
    return found


def incidents(city: CityProcess) -> list[dict[str, Any]]:
    return [i for i in city.client.get("/api/incidents") if i["practice"] == "dimmer"]


def decide_some(city: CityProcess, streams: dict[str, int], count: int, seconds: float = 120.0) -> None:
    """Feed readings until ``count`` more decisions are on the record."""
    wanted = len(decisions(city)) + count

    def enough() -> bool:
        feed(city, streams)
        time.sleep(0.4)
        return len(decisions(city)) >= wanted

    wait_for(enough, seconds)


def test_a_wish_reaches_the_device_and_the_fact_comes_back(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    ids = register(city)
    city.client.post("/api/practices/dimmer/mandate", mandate="act", why="test")

    async def device() -> dict[str, Any]:
        """Lamp 0: takes one task, answers with its level as an observation whose parent is the decision."""
        import pyarrow as pa

        async with aiomqtt.Client(*city.mqtt, identifier="lamp-0", timeout=60) as client:
            await client.subscribe(f"v1.1/TaskingCapabilities({ids['actuators']['lamp/0/dimmer']})/Tasks", qos=1)
            feeding = asyncio.create_task(keep_feeding())
            async with asyncio.timeout(120):
                async for message in client.messages:
                    task: dict[str, Any] = json.loads(bytes(message.payload))  # type: ignore[arg-type]  # what was published are bytes
                    break
            now = datetime.now(UTC)
            table = pa.table({
                "stream": [ids["streams"]["lamp/0/level"]], "time": pa.array([now], pa.timestamp("us", tz="UTC")),
                "value": [task["value"] / 100], "parent": [task["decision"]],
            })  # fmt: skip
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            await asyncio.to_thread(city.client.post, "/bulk/observations", sink.getvalue().to_pybytes())
            feeding.cancel()
            return task

    async def keep_feeding() -> None:
        while True:
            await asyncio.to_thread(feed, city, ids["streams"])
            await asyncio.sleep(0.5)

    task = asyncio.run(device())
    assert task["value"] == 100.0  # it is cold
    assert task["id"].startswith(task["decision"])
    told = wait_for(
        lambda: (
            (s := city.client.get(f"/api/decisions/{task['decision']}"))
            and any(e["what"] == "confirmed" and e["command"] == 0 for e in s["events"])
            and s
        )
    )
    life = [e["what"] for e in told["events"] if e["command"] == 0]
    assert life[:3] == ["admitted", "sent", "confirmed"]
    assert any("the device reported that it obeyed" in words for words in told["words"])
    why = city.run("why", task["decision"])
    assert why.returncode == 0
    assert "because cold" in why.stdout


def test_estimates_come_back_as_observations_of_the_decision(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    decide_some(city, register(city)["streams"], 2)
    found = wait_for(lambda: city.client.get("/api/latest", kind="lamp_post", property="mean_temperature")["features"])
    assert [f["properties"]["value"] for f in found] == pytest.approx([273.15 - 3.0] * LAMPS)


def test_a_decision_needs_fresh_readings(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    register(city)
    held = wait_for(lambda: [i for i in incidents(city) if "none of 5 streams" in i["why"]])
    assert held[0]["what"] == "held"
    assert decisions(city) == []


@pytest.mark.parametrize(
    ("behaviour", "named"), [("raise", "as asked"), ("hang", "no answer within"), ("eat", "memory")]
)
def test_a_practice_that_breaks_is_reported_and_does_not_stop_the_city(
    new_city: Callable[..., CityProcess], behaviour: str, named: str
) -> None:
    city = new_city()
    streams = register(city)["streams"]
    decide_some(city, streams, 1)
    city.client.post("/api/practices/dimmer/parameters", params={"behaviour": behaviour})

    def broken() -> list[dict[str, Any]]:
        feed(city, streams)
        time.sleep(0.3)
        return [i for i in incidents(city) if i["what"] == "broken"]

    assert named in wait_for(broken, 120)[0]["why"]
    ticks = city.client.get("/api/status")["ticks"]
    wait_for(lambda: city.client.get("/api/status")["ticks"] > ticks)
    city.client.post("/api/practices/dimmer/parameters", params={})
    decide_some(city, streams, 1)
    assert incidents(city)[0]["what"] == "resumed"


def test_kill_9_loses_nothing_doubles_nothing_and_replay_is_identical(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    streams = register(city)["streams"]
    decide_some(city, streams, 3)
    accepted = city.client.get("/api/status")["accepted"]
    before = len(decisions(city))
    city.kill()
    city.start()
    wait_for(lambda: city.client.get("/api/status")["observations"] >= accepted)
    decide_some(city, streams, 2)
    replay = city.run("replay")
    assert replay.returncode == 0, replay.stdout + replay.stderr
    told = re.search(r"(\d+) decisions: (\d+) identical\n", replay.stdout)
    assert told is not None, replay.stdout
    assert int(told[1]) == int(told[2]) >= before + 2
    city.stop()
    assert stored(city, "SELECT count(*) - count(DISTINCT id) FROM lake.observations") == 0
    estimates = "SELECT count(*) - count(DISTINCT (parent, stream)) FROM lake.observations WHERE parent IS NOT NULL"
    assert stored(city, estimates) == 0


def test_replay_fails_when_a_stored_row_is_altered(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    decide_some(city, register(city)["streams"], 2)
    city.stop()
    assert city.run("replay").returncode == 0
    assert (
        stored(
            city,
            "UPDATE lake.observations SET value = value + 0.001 WHERE id = (SELECT min(id) FROM lake.observations)",
        )
        == 1
    )
    replay = city.run("replay")
    assert replay.returncode == 1
    assert "view" in replay.stdout


def test_the_switch_puts_the_whole_city_back_to_advise(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    streams = register(city)["streams"]
    city.client.post("/api/practices/dimmer/mandate", mandate="act")
    decide_some(city, streams, 2)
    city.client.post("/api/switch", advise_only=True, why="test")
    decide_some(city, streams, 2)
    events = city.client.get(f"/api/decisions/{decisions(city)[0]['id']}")["events"]
    assert {e["what"] for e in events} == {"advised"}
    assert city.client.get("/api/status")["advise_only"] is True


def test_a_person_approves_a_pending_command_in_time(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    streams = register(city)["streams"]
    city.client.post("/api/practices/dimmer/mandate", mandate="approve")
    decide_some(city, streams, 2)
    decision = decisions(city)[0]["id"]
    city.client.post(f"/api/decisions/{decision}/commands/1/approve", who="Ada", why="test")
    life = wait_for(
        lambda: (
            (e := [e["what"] for e in city.client.get(f"/api/decisions/{decision}")["events"] if e["command"] == 1])[3:]
            and e
        )
    )
    assert life[:4] == ["pending", "approved", "admitted", "sent"]


def stored(city: CityProcess, sql: str) -> int:
    """Run SQL on the lake of a stopped city."""
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension()}'")
        connection.execute(f"ATTACH 'ducklake:{city.folder / 'lake' / 'lake.duckdb'}' AS lake")
        row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0
