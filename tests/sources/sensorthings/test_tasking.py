"""Tasks are on the record and their capabilities in the catalogue: a query crosses from one database to the other."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from civium.engines.catalog import Change
from civium.ledger.projection import COMMANDS, Projection
from civium.sources.sensorthings.model import TASKS
from civium.sources.sensorthings.read import read

SECOND = 1_000_000


def wish(number: int, actuator: int, value: float | str, what: str, now: int) -> dict[str, Any]:
    decision = f"operator.{number}"
    command = {"actuator": actuator, "value": value, "until": now + SECOND, "tier": 1, "because": ""}
    event = {
        "decision": decision,
        "command": 0,
        "what": what,
        "at": now,
        "who": "guard",
        "why": "",
        "observation": None,
    }
    return {
        "type": "wish", "id": decision, "practice": "operator", "who": "Ada", "tick": now, "mandate": "act",
        "plan": {"commands": [command], "estimates": [], "notices": [], "because": ""}, "events": [event],
    }  # fmt: skip


@pytest.fixture
def asked(own_city: Any, tmp_path: Path) -> Any:
    """``asked("Tasks?$filter=...")``: what a GET tells of three wishes, for a lamp's dimmer and for a gate."""
    city = own_city
    actuator = {"kind": "", "protocol": "mqtt", "address": "", "description": ""}
    rows = [
        {"id": 1, "key": "dimmer", "thing": 1, "name": "dimmer", "facts": '{"maximum":9}', **actuator},
        {"id": 2, "key": "gate", "thing": 3, "name": "gate", "facts": '{"choices":["open"]}', **actuator},
    ]
    change = Change(city.now, "test", "", {"actuators": rows})
    city.catalog.fold(city.catalog.applied() + 1, Change.decode(change.encode()))
    record = Projection(tmp_path / "ledger.db")
    record.fold(1, wish(1, 1, 4.0, "admitted", city.now))
    record.fold(2, wish(2, 2, "open", "refused", city.now + SECOND))
    record.fold(3, wish(3, 1, 5.5, "admitted", city.now + 2 * SECOND))
    record.fold(4, {"type": "events", "events": [wish(1, 1, 0, "lapsed", city.now + 3 * SECOND)["events"][0]]})

    late = wish(1, 1, 0, "sent", city.now + 4 * SECOND)["events"][0]  # told after it had lapsed
    record.fold(5, {"type": "events", "events": [late]})

    def get(url: str) -> Any:
        path, _, query = url.partition("?")
        base = "http://city/v1.1"
        return read(path, query, city.catalog, city.lake, base, city.now, record=record.engine)

    yield get
    record.close()


def test_the_record_has_what_the_model_asks_of_it() -> None:
    assert set(TASKS.c.keys()) <= set(COMMANDS.c.keys())
    assert TASKS.name == COMMANDS.name


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Tasks", [1, 2, 3]),
        ("Tasks?$filter=status eq 'lapsed'", [1]),
        ("Tasks?$filter=taskingParameters/value gt 4.5", [3]),
        ("Tasks?$filter=taskingParameters/value eq 'open'", [2]),
        ("Tasks?$filter=TaskingCapability/name eq 'dimmer'", [1, 3]),
        ("Tasks?$filter=TaskingCapability/Thing/name eq 'gate'", [2]),
        ("Tasks?$filter=TaskingCapability/id eq 2 or status eq 'lapsed'", [1, 2]),
        ("Tasks?$orderby=TaskingCapability/name desc,id desc", [2, 3, 1]),
        ("Tasks?$orderby=TaskingCapability/Thing/properties/height,id", [2, 1, 3]),
        ("Tasks?$filter=length(TaskingCapability/name) eq 4", [2]),
        ("Tasks?$filter=creationTime gt 2026-11-22T12:00:00Z and creationTime lt 2026-11-22T12:00:02Z", [2]),
        ("TaskingCapabilities(1)/Tasks?$filter=not status eq 'lapsed'", [3]),
        ("TaskingCapabilities?$filter=Tasks/status eq 'refused'", [2]),
        ("TaskingCapabilities?$filter=Tasks/any(t: t/taskingParameters/value gt 5)", [1]),
        ("Things?$filter=TaskingCapabilities/Tasks/status eq 'refused'", [3]),
        ("Actuators?$filter=TaskingCapabilities/Thing/name eq 'gate'", [2]),
        ("Actuators?$filter=encodingType eq 'application/json' and properties/key eq 'gate'", [2]),
    ],
)
def test_a_query_crosses_from_the_record_to_the_catalogue_and_back(asked: Any, query: str, ids: list[int]) -> None:
    assert [one["@iot.id"] for one in asked(query)["value"]] == ids


def test_what_became_of_a_task_is_told_in_order(asked: Any) -> None:
    task = asked("Tasks(1)")
    assert (task["status"], task["statusTime"]) == ("lapsed", "2026-11-22T12:00:03Z")
    assert [(e["status"], e["time"]) for e in task["history"]] == [
        ("admitted", "2026-11-22T12:00:00Z"), ("lapsed", "2026-11-22T12:00:03Z"),
        ("sent", "2026-11-22T12:00:04Z"),
    ]  # fmt: skip
    assert task["creationTime"] == "2026-11-22T12:00:00Z"
    assert "reason" not in task


def test_things_are_expanded_to_their_tasks(asked: Any) -> None:
    query = "Things(1)?$expand=TaskingCapabilities($expand=Actuator,Tasks($orderby=id desc;$top=1;$count=true))"
    (capability,) = asked(query)["TaskingCapabilities"]
    assert capability["Actuator"]["name"] == "dimmer"
    assert capability["Tasks@iot.count"] == 2
    assert [task["@iot.id"] for task in capability["Tasks"]] == [3]
    assert "Tasks@iot.nextLink" in capability


def test_tasks_are_not_made_by_deep_insert(own_city: Any) -> None:
    actuator = {"name": "a", "description": "b", "encodingType": "text/plain", "metadata": ""}
    capability = {"name": "a", "description": "b", "taskingParameters": {}, "Actuator": actuator, "Tasks": [{}]}
    body = {"name": "x", "description": "y", "TaskingCapabilities": [capability]}
    with pytest.raises(Exception, match="a Task is asked for by itself"):
        own_city.post("Things", msgspec.json.decode(msgspec.json.encode(body)))
