"""Tasking: a person's wish passes the guard as a practice's does, stands on the record, and its Task tells its fate."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import httpx
import pyarrow as pa
import pytest

from tests.city.conftest import CityProcess
from tests.city.test_spine import feed, register, wait_for

ROOT = "/v1.1"


def ask(city: CityProcess, actuator: int, headers: dict[str, str] | None = None, **wanted: Any) -> httpx.Response:
    return city.client.http.post(
        f"{ROOT}/TaskingCapabilities({actuator})/Tasks", json={"taskingParameters": wanted}, headers=headers
    )


def task(city: CityProcess, identity: int) -> dict[str, Any]:
    found: dict[str, Any] = city.client.get(f"{ROOT}/Tasks({identity})")
    return found


def fates(city: CityProcess, identity: int) -> list[str]:
    return [event["status"] for event in task(city, identity)["history"]]


def test_a_task_reaches_the_device_and_is_done_when_the_device_says_so(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    ids = register(city)
    actuator = ids["actuators"]["lamp/0/dimmer"]

    async def device() -> tuple[dict[str, Any], dict[str, Any]]:
        async with aiomqtt.Client(*city.mqtt, identifier="lamp-0", timeout=60) as client:
            await client.subscribe(f"v1.1/TaskingCapabilities({actuator})/Tasks", qos=1)
            answer = await asyncio.to_thread(
                ask, city, actuator, value=80, duration=20, because="the market", who="Ada"
            )
            assert answer.status_code == 201, answer.text
            async with asyncio.timeout(20):
                async for message in client.messages:
                    return answer.json(), json.loads(bytes(message.payload))  # type: ignore[arg-type]  # what was published are bytes
        raise AssertionError

    made, told = asyncio.run(device())
    assert made["status"] in ("admitted", "sent")
    assert made["taskingParameters"]["value"] == told["value"] == 80
    assert told["taskingParameters"]["value"] == 80
    assert told["@iot.id"] == made["@iot.id"]
    assert datetime.fromisoformat(told["creationTime"]) == datetime.fromisoformat(made["creationTime"])
    assert made["taskingParameters"]["tier"] == "duty"
    assert made["properties"] == {"decision": told["decision"], "practice": "operator", "who": "local for Ada"}
    table = pa.table({
        "stream": [ids["streams"]["lamp/0/level"]], "time": pa.array([datetime.now(UTC)], pa.timestamp("us", tz="UTC")),
        "value": [0.8], "parent": [told["decision"]],
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    city.client.post("/bulk/observations", content=sink.getvalue().to_pybytes())
    identity = made["@iot.id"]
    wait_for(lambda: task(city, identity)["status"] == "confirmed")
    assert fates(city, identity) == ["admitted", "sent", "confirmed"]
    wait_for(lambda: task(city, identity)["status"] == "lapsed", 40)
    times = [event["time"] for event in task(city, identity)["history"]]
    assert times == sorted(times)
    why = city.run("why", told["decision"])
    assert why.returncode == 0
    for words in ("Ada asked for this", "because the market", "the device reported that it obeyed", "its time ended"):
        assert words in why.stdout
    page = city.client.http.get(f"/decisions/{told['decision']}")
    assert page.status_code == 200
    assert "What local for Ada asked for" in page.text
    replay = city.run("replay")
    assert replay.returncode == 0, replay.stdout
    assert "1 explained" in replay.stdout
    assert "Ada asked for it: no code made it" in " ".join(replay.stdout.split())  # lines are wrapped
    state = city.client.http.get(f"/api/decisions/{told['decision']}/state")
    assert state.status_code == 409


def test_who_takes_an_actuator_from_whom(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    ids = register(city)
    actuator = ids["actuators"]["lamp/0/dimmer"]
    city.client.post("/api/practices/dimmer/mandate", mandate="act", why="test")

    def of_practice(status: str) -> list[dict[str, Any]]:
        feed(city, ids["streams"])
        query = f"$filter=properties/practice eq 'dimmer' and status eq '{status}'"
        found: list[dict[str, Any]] = city.client.get(f"{ROOT}/TaskingCapabilities({actuator})/Tasks?{query}")["value"]
        return found

    wait_for(lambda: of_practice("sent"))
    weak = ask(city, actuator, value=1, tier="comfort").json()
    assert weak["status"] == "refused"
    assert weak["reason"] == "dimmer holds it with tier comfort"
    mine = ask(city, actuator, value=2).json()
    assert mine["status"] in ("admitted", "sent")
    assert wait_for(lambda: of_practice("overridden"))[0]["reason"] == "operator has the higher tier duty"
    assert "operator holds it with tier duty" in wait_for(lambda: of_practice("refused"))[0]["reason"]
    later = ask(city, actuator, value=3).json()
    assert later["status"] in ("admitted", "sent")
    assert task(city, mine["@iot.id"])["status"] == "overridden"
    gone = city.client.http.delete(f"{ROOT}/Tasks({later['@iot.id']})")
    assert gone.status_code == 200
    assert fates(city, later["@iot.id"])[-1] == "released"
    again = city.client.http.delete(f"{ROOT}/Tasks({later['@iot.id']})")
    assert again.status_code == 409
    assert "released" in again.json()["message"]
    newest = max(t["@iot.id"] for t in city.client.get(f"{ROOT}/Tasks?$orderby=id desc&$top=1")["value"])

    def taken_up() -> bool:
        return any(t["@iot.id"] > newest for t in of_practice("sent"))

    wait_for(taken_up)  # the practice has it again


def test_who_holds_what_is_known_again_after_kill_9(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    actuator = register(city)["actuators"]["lamp/0/dimmer"]
    held = ask(city, actuator, value=5, tier="life", duration=600).json()["@iot.id"]
    wait_for(lambda: task(city, held)["status"] == "sent")
    city.kill()
    city.start()
    assert task(city, held)["status"] == "sent"
    ask(city, actuator, value=6, duration=600)
    assert task(city, held)["status"] == "overridden"
    city.client.post("/api/switch", advise_only=True, why="test")
    assert city.client.get(f"{ROOT}/Tasks?$filter=status eq 'released'&$count=true")["@iot.count"] == 1
    advised = ask(city, actuator, value=7).json()
    assert advised["status"] == "advised"
    assert advised["reason"] == "the city is switched to advise"
    wait_for(lambda: city.client.get("/api/status")["ticks"] > 2)


@pytest.fixture(scope="module")
def ids(city: CityProcess) -> dict[str, dict[str, int]]:
    lines = [
        {"key": "gate", "kind": "gate", "name": "Gate", "actuators": [
            {"key": "gate/valve", "name": "Valve", "facts": {"minimum": 0, "maximum": 1, "unit": "m3/s",
                                                             "max_hold_s": 60}},
            {"key": "gate/sign", "facts": {"choices": ["open", "shut"]}},
            {"key": "gate/horn", "protocol": "webhook", "address": "http://127.0.0.1:9/secret"},
        ]},
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    found: dict[str, dict[str, int]] = city.client.post("/api/register", content=content)
    return found


def test_what_may_be_asked_is_told(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    thing = ids["things"]["gate"]
    told = city.client.get(f"{ROOT}/Things({thing})/TaskingCapabilities?$expand=Actuator,Thing&$orderby=id")["value"]
    assert [one["properties"]["key"] for one in told] == ["gate/valve", "gate/sign", "gate/horn"]
    fields = [{f["name"]: f for f in one["taskingParameters"]["field"]} for one in told]
    assert told[0]["taskingParameters"]["type"] == "DataRecord"
    assert fields[0]["value"] == {
        "name": "value", "label": "Valve", "type": "Quantity", "uom": {"code": "m3/s"},
        "constraint": {"type": "AllowedValues", "interval": [[0, 1]]},
    }  # fmt: skip
    assert fields[0]["duration"]["constraint"]["interval"] == [[0, 60]]
    assert fields[1]["value"]["constraint"] == {"type": "AllowedTokens", "value": ["open", "shut"]}
    assert told[0]["Actuator"]["metadata"]["maximum"] == 1
    assert told[0]["Thing"]["name"] == "Gate"
    assert "secret" not in json.dumps(told)  # where a webhook goes is nobody's business


def test_a_wrong_parameter_is_named(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    valve, sign = ids["actuators"]["gate/valve"], ids["actuators"]["gate/sign"]
    before = city.client.get(f"{ROOT}/Tasks?$count=true&$top=0")["@iot.count"]
    for actuator, wanted, named in [
        (valve, {}, "value"),
        (valve, {"value": 2}, "value: 2 is outside its limits 0 to 1"),
        (valve, {"value": "x"}, "value"),
        (valve, {"value": True}, "value"),
        (valve, {"value": [1]}, "value"),
        (valve, {"value": 10**400}, "value"),
        (sign, {"value": "ajar"}, "value: ajar is not one of its choices"),
        (valve, {"value": 1, "colour": "red"}, "colour"),
        (valve, {"value": 1, "duration": 61}, "duration"),
        (valve, {"value": 1, "duration": 0}, "duration"),
        (valve, {"value": 1, "duration": "1"}, "duration"),
        (valve, {"value": 1, "until": "soon"}, "until"),
        (valve, {"value": 1, "until": "2001-01-01T00:00:00Z"}, "until"),
        (valve, {"value": 1, "tier": "king"}, "tier"),
        (valve, {"value": 1, "who": 7}, "who"),
    ]:
        answer = city.client.http.post(
            f"{ROOT}/Tasks",
            content=json.dumps({"taskingParameters": wanted, "TaskingCapability": {"@iot.id": actuator}}),
        )
        assert answer.status_code == 400, (wanted, answer.text)
        assert f"taskingParameters/{named}" in answer.json()["message"], (wanted, answer.text)
    for path, body, status in [
        ("Tasks", "no json", 400),
        ("Tasks", "[]", 400),
        ("Tasks", '{"taskingParameters": {"value": 1}}', 400),
        ("Tasks", '{"TaskingCapability": {"@iot.id": 1}}', 400),
        ("Tasks", '{"TaskingCapability": {"@iot.id": 999}, "taskingParameters": {"value": 1}}', 400),
        ("TaskingCapabilities(999)/Tasks", '{"taskingParameters": {"value": 1}}', 404),
        (f"TaskingCapabilities({valve})/Tasks", '{"TaskingCapability": {"@iot.id": 9}}', 400),
        (f"TaskingCapabilities({valve})/Tasks", '{"taskingParameters": {"value": 1}, "name": "x"}', 400),
    ]:
        assert city.client.http.post(f"{ROOT}/{path}", content=body).status_code == status, (path, body)
    assert city.client.get(f"{ROOT}/Tasks?$count=true&$top=0")["@iot.count"] == before


def test_only_the_operator_may_ask_and_let_go(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    valve = ids["actuators"]["gate/valve"]
    for token in ("", "Bearer wrong"):
        headers = {"Authorization": token}
        assert ask(city, valve, headers, value=1).status_code == 401
        assert city.client.http.delete(f"{ROOT}/Tasks(1)", headers=headers).status_code == 401


def test_a_task_that_is_repeated_with_its_key_is_one(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    sign, headers = ids["actuators"]["gate/sign"], {"Idempotency-Key": "evening"}
    first, second = (ask(city, sign, headers, value="open") for _ in range(2))
    assert first.json()["@iot.id"] == second.json()["@iot.id"]
    assert ask(city, sign, headers, value="shut").status_code == 409


def test_tasks_are_read_as_the_others_are(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    valve, horn = ids["actuators"]["gate/valve"], ids["actuators"]["gate/horn"]
    made = [ask(city, valve, value=v, because="flood").json()["@iot.id"] for v in (0.25, 0.5, 0.75)]
    get = city.client.get

    def ids_of(query: str) -> list[int]:
        return [t["@iot.id"] for t in get(f"{ROOT}/{query}")["value"]]

    ours = "taskingParameters/because eq 'flood'"
    assert ids_of(f"Tasks?$filter={ours}&$orderby=id") == made
    assert ids_of(f"Tasks?$filter={ours} and taskingParameters/value gt 0.3&$orderby=creationTime desc,id desc") == [
        made[2], made[1]]  # fmt: skip
    assert ids_of(f"Tasks?$filter={ours} and TaskingCapability/name eq 'Valve'&$top=1&$skip=1&$orderby=id") == [made[1]]
    assert ids_of(f"Tasks?$filter={ours} and TaskingCapability/Thing/name eq 'Gate'&$orderby=id") == made
    assert ids_of(f"Tasks?$filter={ours} and TaskingCapability/id eq {horn}") == []
    by_name = ids_of(f"Tasks?$filter={ours}&$orderby=TaskingCapability/name,id desc")
    assert by_name == made[::-1]
    assert ids_of("TaskingCapabilities?$filter=Tasks/taskingParameters/because eq 'flood'") == [valve]
    assert ids_of("Things?$filter=TaskingCapabilities/Tasks/taskingParameters/because eq 'flood'") == [
        ids["things"]["gate"]]  # fmt: skip
    first = get(f"{ROOT}/Tasks?$filter={ours}&$orderby=id&$top=1&$count=true")
    assert first["@iot.count"] == 3
    assert get(first["@iot.nextLink"].replace(city.url, ""))["value"][0]["@iot.id"] == made[1]
    expanded = get(f"{ROOT}/Actuators({valve})?$expand=TaskingCapabilities($expand=Tasks($top=2;$orderby=id desc))")
    assert [t["@iot.id"] for t in expanded["TaskingCapabilities"][0]["Tasks"]] == [made[2], made[1]]
    assert get(f"{ROOT}/Tasks({made[0]})?$expand=TaskingCapability/Actuator")["TaskingCapability"]["Actuator"]["name"]
    assert get(f"{ROOT}/Tasks({made[0]})/taskingParameters/value") == {"value": 0.25}
    assert city.client.http.get(f"{ROOT}/Tasks({made[0]})/status/$value").text == "overridden"
    assert get(f"{ROOT}/Tasks({made[0]})/TaskingCapability/Thing")["name"] == "Gate"
    selected = get(f"{ROOT}/Tasks?$select=status,taskingParameters/value&$filter=id eq {made[1]}")["value"]
    assert selected == [{"status": selected[0]["status"], "taskingParameters": {"value": 0.5}}]
    assert get(f"{ROOT}/Actuators?$filter=properties/protocol eq 'webhook'")["value"][0]["@iot.id"] == horn
    assert city.client.http.get(f"{ROOT}/Tasks?$resultFormat=CSV&$filter={ours}").text.count("flood") == 3
    for path in ("Tasks(99999)", "TaskingCapabilities(99999)", "Actuators(99999)/TaskingCapabilities"):
        assert city.client.http.get(f"{ROOT}/{path}").status_code == 404
    assert city.client.http.delete(f"{ROOT}/Tasks(99999)").status_code == 404
    nested = f"{ROOT}/TaskingCapabilities({valve})/Tasks({made[0]})"
    assert city.client.http.delete(nested).status_code == 405
    for method in ("PATCH", "PUT"):
        assert city.client.http.request(method, f"{ROOT}/Tasks({made[0]})", json={}).status_code == 405


def test_what_cannot_be_sent_says_why(city: CityProcess, ids: dict[str, dict[str, int]]) -> None:
    made = ask(city, ids["actuators"]["gate/horn"], value=1).json()["@iot.id"]
    deadline = time.monotonic() + 60
    while task(city, made)["status"] != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "did not answer" in task(city, made)["reason"]


def test_the_standard_is_declared(city: CityProcess) -> None:
    root = city.client.get(ROOT)
    assert {"TaskingCapabilities", "Actuators", "Tasks"} <= {one["name"] for one in root["value"]}
    assert "http://www.opengis.net/spec/iot_tasking/1.0/req/create-tasks" in root["serverSettings"]["conformance"]
