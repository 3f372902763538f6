"""What the standard says of making Actuators, TaskingCapabilities and Tasks (OGC 17-079r1), asked of a running city."""

import json
import subprocess
from contextlib import suppress
from typing import Any

import aiomqtt
import anyio
import frost_sta_client as sta
import pytest

from civium.city_folder import token
from tests.city.conftest import CityProcess, city
from tests.city.test_mqtt_topics import PATIENCE_S, listening, mosquitto_pub
from tests.city.test_spine import wait_for
from tests.web.standard import Door, ref, stream, thing

__all__ = ["city"]

LIGHT = {
    "type": "DataRecord",
    "field": [
        {"name": "status", "label": "On/Off", "type": "Category",
         "constraint": {"type": "AllowedTokens", "value": ["on", "off"]}},
        {"name": "brightness", "type": "Quantity", "uom": {"code": "%"}, "optional": True,
         "constraint": {"type": "AllowedValues", "interval": [[0, 100]]}},
    ],
}  # fmt: skip
POSITION = {"type": "DataRecord", "field": [
    {"name": "opening", "type": "Quantity", "uom": {"code": "%"},
     "constraint": {"type": "AllowedValues", "interval": [[0, "INF"]]}}]}  # fmt: skip


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


def actuator(name: str = "bulb", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"a {name}", "encodingType": "text/plain", "metadata": "its sheet", **more}


def capability(name: str = "light", parameters: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"a {name}", "taskingParameters": parameters or LIGHT, **more}


def test_a_capability_is_made_with_its_thing_and_actuator(door: Door) -> None:
    body = capability("lamp 1", properties={"n": 1}, Thing=thing("post"), Actuator=actuator("LED", properties={"w": 9}))
    made = door.make("TaskingCapabilities", body)
    told = door.get(f"TaskingCapabilities({made})?$expand=Thing,Actuator")
    assert (told["name"], told["description"], told["properties"]) == ("lamp 1", "a lamp 1", {"n": 1})
    assert told["taskingParameters"] == LIGHT
    device = told["Actuator"]
    assert (device["name"], device["encodingType"], device["metadata"]) == ("LED", "text/plain", "its sheet")
    assert (device["properties"], told["Thing"]["name"]) == ({"w": 9}, "post")
    for path in (f"Actuators?$filter=name eq 'LED' and id eq {made}", "Actuators?$filter=properties/w eq 9",
                 "TaskingCapabilities?$filter=Actuator/name eq 'LED' and properties/n eq 1"):  # fmt: skip
        assert door.ids(path) == [made]
    assert door.ids("TaskingCapabilities?$filter=name eq 'LED'") == []


def test_an_actuator_alone_waits_for_its_capability(door: Door) -> None:
    it = door.make("Actuators", actuator("valve"))
    assert door.values(f"Actuators({it})/TaskingCapabilities") == []
    door.send("POST", "Tasks", {"TaskingCapability": ref(it), "taskingParameters": {"status": "on"}}, 400)
    of = door.make("Things", thing("pipe"))
    made = door.make("TaskingCapabilities", capability("open", Thing=ref(of), Actuator=ref(it)))
    assert door.ids(f"Actuators({it})/TaskingCapabilities") == [made]
    assert door.ids(f"Things({of})/TaskingCapabilities") == [made]
    twice = door.make("Actuators", actuator("pump"))
    door.make(f"Actuators({twice})/TaskingCapabilities", capability("run", Thing=ref(of)))
    deep = door.make("Actuators", actuator("fan", TaskingCapabilities=[capability("blow", Thing=thing("duct"))]))
    assert door.get(f"Actuators({deep})/TaskingCapabilities")["value"][0]["name"] == "blow"


def test_an_actuator_has_several_capabilities(door: Door) -> None:
    of, other = door.make("Things", thing("hall")), door.make("Things", thing("yard"))
    both = [capability("dim", POSITION, Thing=ref(of)), capability("tint", Thing=ref(of))]
    it = door.make("Actuators", actuator("panel", TaskingCapabilities=both))
    more = door.make("TaskingCapabilities", capability("blink", Thing=ref(other), Actuator=ref(it)))
    last = door.make(f"Actuators({it})/TaskingCapabilities", capability("fade", POSITION, Thing=ref(of)))
    mine = door.ids(f"Actuators({it})/TaskingCapabilities")
    assert len({*mine, it, more, last}) == 4
    assert set(door.ids("Actuators?$filter=name ne 'none'")) & set(mine) == {it}  # the others are no Actuators
    for one in mine:
        assert door.get(f"TaskingCapabilities({one})/Actuator")["@iot.id"] == it
    assert door.ids(f"Things({other})/TaskingCapabilities") == [more]
    assert door.ids("TaskingCapabilities?$filter=Actuator/name eq 'panel' and name eq 'fade'") == [last]
    expanded = door.get(f"Actuators({it})?$expand=TaskingCapabilities($select=name;$orderby=id)")
    assert [one["name"] for one in expanded["TaskingCapabilities"]] == ["dim", "tint", "blink", "fade"]
    # The guard gives each to one at a time, whoever holds the others.
    tasks = [
        door.make(f"TaskingCapabilities({one})/Tasks", {"taskingParameters": {"opening": 1}}) for one in (it, last)
    ]
    assert [door.get(f"Tasks({one})/TaskingCapability")["@iot.id"] for one in tasks] == [it, last]
    assert all(door.get(f"Tasks({one})")["status"] in ("admitted", "sent") for one in tasks)
    door.send("PATCH", f"TaskingCapabilities({more})", {"name": "flash"})
    door.send("GET", f"Actuators({more})", status=404)
    door.send("POST", "TaskingCapabilities", capability("no", Thing=ref(of), Actuator=ref(more)), 400)
    door.send("DELETE", f"TaskingCapabilities({last})")
    door.send("DELETE", f"TaskingCapabilities({it})")
    assert door.get(f"Actuators({it})")["name"] == "panel"
    assert set(door.ids(f"Actuators({it})/TaskingCapabilities")) == set(mine) - {it, last}
    again = door.make("TaskingCapabilities", capability("dim", POSITION, Thing=ref(of), Actuator=ref(it)))
    assert again == it
    door.send("DELETE", f"Actuators({it})")
    for one in mine:
        door.send("GET", f"TaskingCapabilities({one})", status=404)


def test_capabilities_come_with_a_thing(door: Door) -> None:
    it = door.make("Things", thing("sluice", TaskingCapabilities=[capability("lift", Actuator=actuator("winch"))]))
    [made] = door.ids(f"Things({it})/TaskingCapabilities")
    more = door.make(f"Things({it})/TaskingCapabilities", capability("drop", Actuator=actuator("brake")))
    assert door.ids(f"Things({it})/TaskingCapabilities") == [made, more]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("TaskingCapabilities", capability(Actuator=actuator()), "Thing is missing"),
        ("TaskingCapabilities", capability(Thing=thing()), "Actuator is missing"),
        ("TaskingCapabilities", {"name": "x", "description": "x", "Thing": thing(), "Actuator": actuator()},
         "taskingParameters is missing"),
        ("TaskingCapabilities", capability(parameters=[1], Thing=thing(), Actuator=actuator()), "must be an object"),
        ("TaskingCapabilities", capability(parameters={"field": [{"type": "Text"}]}, Thing=thing(),
                                           Actuator=actuator()), "a name of its own"),
        ("TaskingCapabilities", capability(colour=1, Thing=thing(), Actuator=actuator()), "'colour'"),
        ("TaskingCapabilities", capability(Thing=ref(99999), Actuator=actuator()), "no Thing 99999"),
        ("Actuators", {"name": "x", "description": "x", "encodingType": "text/plain"}, "metadata is missing"),
        ("Actuators", actuator(properties=[1]), "properties must be an object"),
        ("Actuators", actuator(TaskingCapabilities=[1]), "must be an object"),
        ("Actuators", [], "must be an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_makes_nothing(door: Door, path: str, body: Any, words: str) -> None:
    with door.nothing_made("Actuators", "TaskingCapabilities", "Things"):
        assert words in door.send("POST", path, body, 400).json()["message"]


def test_both_are_changed_and_taken_away(door: Door) -> None:
    of = door.make("Things", thing("gate"))
    made = door.make("TaskingCapabilities", capability("swing", POSITION, Thing=ref(of), Actuator=actuator("motor")))
    door.send("PATCH", f"TaskingCapabilities({made})", {"name": "turn", "properties": {"n": 2}})
    door.send("PATCH", f"Actuators({made})", {"metadata": {"sheet": 2}, "encodingType": "application/json"})
    told = door.get(f"TaskingCapabilities({made})?$expand=Actuator")
    assert (told["name"], told["properties"], told["taskingParameters"]) == ("turn", {"n": 2}, POSITION)
    assert (told["Actuator"]["name"], told["Actuator"]["metadata"]) == ("motor", {"sheet": 2})
    put = capability("whole", LIGHT)
    door.send("PUT", f"TaskingCapabilities({made})", put)
    told = door.get(f"TaskingCapabilities({made})")
    assert put.items() <= told.items()
    assert told["properties"] == {}
    door.send("PUT", f"Actuators({made})", {"name": "only"}, 400)
    door.send("PATCH", f"TaskingCapabilities({made})", {"Actuator": ref(made)}, 400)
    moved = door.make("Things", thing("other gate"))
    door.send("PATCH", f"TaskingCapabilities({made})", {"Thing": ref(moved)})
    assert door.get(f"TaskingCapabilities({made})/Thing")["@iot.id"] == moved
    door.send("DELETE", f"TaskingCapabilities({made})")
    door.send("GET", f"TaskingCapabilities({made})", status=404)
    assert door.get(f"Actuators({made})")["name"] == "motor"  # it stays (17-079r1, 8.2)
    again = door.make("TaskingCapabilities", capability("again", POSITION, Thing=ref(of), Actuator=ref(made)))
    door.send("DELETE", f"Actuators({made})")
    for path in (f"Actuators({made})", f"TaskingCapabilities({again})"):
        door.send("GET", path, status=404)


def test_both_are_heard_by_mqtt(door: Door, city: CityProcess) -> None:
    of = door.make("Things", thing("bridge"))
    it = door.make("Actuators", actuator("span"))
    closed = door.make("Things", thing("vault"))
    door.make("Datastreams", stream(Thing=ref(closed), properties={"access": "restricted"}))
    topics = ("v1.1/TaskingCapabilities", f"v1.1/Actuators({it})/TaskingCapabilities", f"v1.1/Actuators({it})",
              f"v1.1/Actuators({it})/name", f"v1.1/TaskingCapabilities({it})/taskingParameters")  # fmt: skip
    with listening(city, *topics) as following:
        door.make("TaskingCapabilities", capability("raise", POSITION, Thing=ref(of), Actuator=ref(it)))
        heard = dict(following() for _ in range(3))
        assert [heard[topic]["name"] for topic in topics[:2]] == ["raise", "raise"]
        assert heard[topics[4]]["taskingParameters"] == POSITION
        door.send("PATCH", f"Actuators({it})", {"name": "leaf"})
        heard = dict(following() for _ in range(2))  # of the Actuator alone: its capability is as it was
        assert (heard[topics[2]]["name"], heard[topics[3]]) == ("leaf", {"name": "leaf"})
        door.make("TaskingCapabilities", capability("hidden", POSITION, Thing=ref(closed), Actuator=actuator()))
        door.make(f"Actuators({it})/TaskingCapabilities", capability("lower", POSITION, Thing=ref(of)))
        assert {following()[1]["name"] for _ in range(2)} == {"lower"}  # what is hidden is told to nobody


def test_an_actuator_of_the_register_is_changed_as_well(door: Door, city: CityProcess) -> None:
    line = {"key": "flap", "kind": "flap", "actuators": [{"key": "flap/a", "facts": {"maximum": 5, "max_hold_s": 60}}]}
    it = city.client.post("/api/register", **line)["actuators"]["flap/a"]
    before = door.get(f"TaskingCapabilities({it})")
    assert before["properties"] == {"key": "flap/a", "kind": "flap", "protocol": "mqtt"}
    door.send("PATCH", f"TaskingCapabilities({it})", {"taskingParameters": POSITION})
    assert door.get(f"TaskingCapabilities({it})")["taskingParameters"] == POSITION
    assert door.get(f"Actuators({it})")["metadata"] == {"max_hold_s": 60, "minimum": 0, "unit": "%"}
    door.send("DELETE", f"TaskingCapabilities({it})")
    assert door.get(f"Actuators({it})")["name"] == "flap/a"
    assert city.client.post("/api/register", **line)["actuators"]["flap/a"] == it
    assert door.get(f"TaskingCapabilities({it})/Thing")["name"] == "flap"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "status: it is missing"),
        ({"status": "dim"}, "one of on, off"),
        ({"status": "on", "brightness": 101}, "brightness: it must lie within"),
        ({"status": "on", "brightness": "much"}, "brightness: it must be a number"),
        ({"status": "on", "colour": "red"}, "colour: there is no such parameter"),
        ({"status": "on", "duration": -1}, "duration"),
        ({"status": 7}, "status: it must be a text"),
    ],
)
def test_a_task_says_what_the_parameters_allow(door: Door, parameters: dict[str, Any], words: str) -> None:
    made = door.make("TaskingCapabilities", capability(Thing=thing("mast"), Actuator=actuator()))
    wrong = door.send("POST", f"TaskingCapabilities({made})/Tasks", {"taskingParameters": parameters}, 400)
    assert words in wrong.json()["message"]


def test_a_task_reaches_its_device_by_the_names_that_its_capability_has(door: Door, city: CityProcess) -> None:
    made = door.make("TaskingCapabilities", capability(Thing=thing("mast"), Actuator=actuator()))

    async def device() -> Any:
        async with aiomqtt.Client(*city.mqtt, identifier="mast", timeout=60) as client:
            await client.subscribe(f"v1.1/TaskingCapabilities({made})/Tasks", qos=1)
            asked = {"status": "on", "brightness": 40, "duration": 30, "because": "dusk"}
            task = await anyio.to_thread.run_sync(
                lambda: door.make(f"TaskingCapabilities({made})/Tasks", {"taskingParameters": asked})
            )
            with anyio.fail_after(30):
                message = await anext(client.messages)
            return task, json.loads(bytes(message.payload))  # type: ignore[arg-type]  # what was published are bytes

    task, heard = anyio.run(device)
    assert {"status": "on", "brightness": 40}.items() <= heard["taskingParameters"].items()
    assert json.loads(heard["value"]) == {"status": "on", "brightness": 40}
    wait_for(lambda: door.get(f"Tasks({task})")["status"] == "sent")
    back = {**door.get(f"Tasks({task})"), "taskingParameters": {"status": "off"}, "TaskingCapability": ref(made)}
    ours = ("status", "statusTime", "reason", "history", "properties")
    again = door.make("Tasks", {name: back[name] for name in back if name not in ours})
    assert again != task  # the id that was sent back means nothing
    told = door.get(f"Tasks({task})")["taskingParameters"]
    assert {"status": "on", "brightness": 40, "because": "dusk", "tier": "duty"}.items() <= told.items()
    assert door.ids("Tasks?$filter=taskingParameters/status eq 'on' and taskingParameters/brightness gt 30") == [task]


def test_a_capability_is_found_by_what_may_be_asked(door: Door, city: CityProcess) -> None:
    line = {"key": "fan", "kind": "fan", "actuators": [{"key": "fan/a", "facts": {"maximum": 5}}]}
    ours = city.client.post("/api/register", **line)["actuators"]["fan/a"]
    record = {**LIGHT, "label": "of a siren"}
    theirs = door.make("TaskingCapabilities", capability("siren", record, Thing=thing("s"), Actuator=actuator()))
    some = f"id in ({ours},{theirs}) and "
    assert door.ids(f"TaskingCapabilities?$filter={some}taskingParameters/type eq 'DataRecord'") == [ours, theirs]
    assert door.ids(f"TaskingCapabilities?$filter={some}taskingParameters/label eq 'of a siren'") == [theirs]
    assert door.ids(f"TaskingCapabilities?$filter={some}taskingParameters/field[0]/name eq 'value'") == [ours]
    assert door.ids("Actuators?$filter=TaskingCapabilities/taskingParameters/label eq 'of a siren'") == [theirs]
    assert door.ids(f"TaskingCapabilities?$filter={some}taskingParameters ne null") == [ours, theirs]


def test_one_parameter_is_the_value_within_its_bounds(door: Door) -> None:
    made = door.make("TaskingCapabilities", capability("valve", POSITION, Thing=thing("v"), Actuator=actuator()))
    path = f"TaskingCapabilities({made})/Tasks"
    door.send("POST", path, {"taskingParameters": {"opening": -1}}, 400)
    task = door.make(path, {"taskingParameters": {"opening": 12.5}})
    told = door.get(f"Tasks({task})")
    assert told["taskingParameters"]["opening"] == 12.5
    assert told["status"] in ("admitted", "sent")


def test_frost_client_makes_reads_and_takes_away_all_of_tasking(city: CityProcess) -> None:
    service = sta.SensorThingsService(f"{city.url}/v1.1")
    service.auth_handler = sta.AuthHandler("anyone", token(city.folder))
    device = sta.Actuator(name="horn", description="a horn", encoding_type="text/plain", metadata="none")
    service.create(device)
    it = sta.Thing(name="tower", description="of a siren")
    service.create(it)
    able = sta.TaskingCapability(name="sound", description="makes a sound", tasking_parameters=LIGHT,
                                 thing=sta.Thing(id=it.id), actuator=sta.Actuator(id=device.id))  # fmt: skip
    service.create(able)
    [found] = service.tasking_capabilities().query().filter(f"id eq {able.id}").expand("Actuator,Thing").list().entities
    assert (found.actuator.name, found.thing.name, found.tasking_parameters) == ("horn", "tower", LIGHT)
    deep = sta.TaskingCapability(
        name="flash", description="flashes", tasking_parameters=LIGHT, thing=sta.Thing(id=it.id),
        actuator=sta.Actuator(name="strobe", description="a strobe", encoding_type="text/plain", metadata="none"),
    )  # fmt: skip
    service.create(deep)
    task = sta.Task(tasking_parameters={"status": "on"}, tasking_capability=sta.TaskingCapability(id=able.id))
    service.create(task)
    read = service.tasks().find(task.id)
    assert read.tasking_parameters["status"] == "on"
    assert read.creation_time is not None
    assert [one.id for one in found.get_tasks().query().list().entities] == [task.id]
    service.delete(read)
    assert service.tasks().query().filter(f"id eq {task.id} and status eq 'released'").list().entities
    able = service.tasking_capabilities().find(able.id)
    able.name = "sound twice"
    service.update(able)
    assert service.tasking_capabilities().find(able.id).name == "sound twice"
    horn = service.actuators().find(device.id)
    service.delete(able)
    assert service.actuators().find(horn.id).name == "horn"
    service.delete(horn)
    assert service.actuators().query().filter(f"id eq {horn.id}").list().entities == []


@pytest.mark.parametrize("way", ["Tasks", "TaskingCapabilities({capability})/Tasks"])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_task_is_asked_for_by_mqtt(city: CityProcess, door: Door, way: str, qos: int) -> None:
    made = door.make("TaskingCapabilities", capability(Thing=thing("mast"), Actuator=actuator()))
    asked = {"status": "on", "brightness": 7, "who": "the harbour"}
    body = {"taskingParameters": asked, **({} if "(" in way else {"TaskingCapability": ref(made)})}
    topic = f"v1.1/{way.format(capability=made)}"
    mosquitto_pub(city, topic, body, qos=qos, operator=True)
    [task] = wait_for(lambda: door.values(f"TaskingCapabilities({made})/Tasks"), PATIENCE_S)
    assert {"status": "on", "brightness": 7}.items() <= task["taskingParameters"].items()
    assert task["properties"]["who"] == "operator by MQTT for the harbour"
    letters = door.http.get("/api/status").json()["dead_letters"]
    mosquitto_pub(city, topic, {**body, "taskingParameters": {"status": "dim"}}, qos=qos, operator=True)
    wait_for(lambda: door.http.get("/api/status").json()["dead_letters"] == letters + 1, PATIENCE_S)
    with suppress(subprocess.CalledProcessError):  # who is nobody is let go, or not heard
        mosquitto_pub(city, topic, body, qos=qos)
    mosquitto_pub(city, topic, body, qos=qos, operator=True)
    wait_for(lambda: len(door.values(f"TaskingCapabilities({made})/Tasks")) == 2, PATIENCE_S)
    assert len(door.values(f"TaskingCapabilities({made})/Tasks")) == 2


def test_what_becomes_of_tasks_is_told(city: CityProcess, door: Door) -> None:
    made = door.make("TaskingCapabilities", capability(Thing=thing("mast"), Actuator=actuator()))
    path, asked = f"TaskingCapabilities({made})/Tasks", {"taskingParameters": {"status": "on"}}
    hidden = city.client.post(
        "/api/register", key="vault", kind="vault", name="vault",
        streams=[{"key": "vault/t", "property": "air_temperature", "unit": "degC", "access": "restricted"}],
        actuators=[{"key": "vault/a", "facts": {"minimum": 0, "maximum": 1}}],
    )["actuators"]["vault/a"]  # fmt: skip
    with listening(city, "v1.1/Tasks", "v1.1/Tasks?$select=status") as following:
        door.make(f"TaskingCapabilities({hidden})/Tasks", {"taskingParameters": {"value": 1}})
        task = door.make(path, asked)
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["status"] != "sent":
            topic, told = following()
            if "?" in topic:
                assert told.keys() == {"status"}
            else:
                heard.append(told)
    assert {one["@iot.id"] for one in heard} == {task}
    assert heard[-1] == door.get(f"Tasks({task})")
    with listening(city, f"v1.1/Tasks({task})", f"v1.1/Tasks({task})/status") as following:
        door.send("DELETE", f"Tasks({task})")
        told = dict(following() for _ in range(2))
    assert told[f"v1.1/Tasks({task})/status"] == {"status": "released"}
    assert told[f"v1.1/Tasks({task})"] == door.get(f"Tasks({task})")
