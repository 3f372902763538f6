"""SensorThings over MQTT with Mosquitto's clients and paho: entities are made on topics, and heard on them."""

import json
import os
import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest

from civium.city_folder import token
from tests.city.conftest import CityProcess
from tests.city.test_spine import wait_for

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto_sub") is None and not os.environ.get("CI"),  # under CI it fails instead
    reason="needs mosquitto-clients",
)
PATIENCE_S = 40.0
PLACE = {"name": "p", "description": "p", "encodingType": "application/geo+json",
         "location": {"type": "Point", "coordinates": [24.9, 60.2]}}  # fmt: skip
OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"


@contextmanager
def listening(
    city: CityProcess, *topics: str, qos: int = 0, login: tuple[str, str] | None = None
) -> Iterator[Callable[[], tuple[str, Any]]]:
    """Hear topics as an anonymous subscriber, or with a login; calling what is given waits for the next message."""
    heard: queue.Queue[tuple[str, Any]] = queue.Queue()
    ready: queue.Queue[Any] = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, m: heard.put((m.topic, m.payload))
    client.on_subscribe = lambda _c, _u, _m, codes, _p: ready.put(codes)
    client.on_connect = lambda c, *_: c.subscribe([(topic, qos) for topic in topics])
    if login is not None:
        client.username_pw_set(*login)
    client.connect(*city.mqtt)
    client.loop_start()
    try:
        assert not any(code.is_failure for code in ready.get(timeout=PATIENCE_S))

        def following() -> tuple[str, Any]:
            topic, payload = heard.get(timeout=PATIENCE_S)
            try:
                return topic, json.loads(payload)
            except ValueError:
                return topic, payload.decode()

        yield following
    finally:
        client.loop_stop()
        client.disconnect()


def mosquitto_pub(city: CityProcess, topic: str, body: Any, *, qos: int = 1, operator: bool = False) -> None:
    host, port = city.mqtt
    login = ["-u", "operator", "-P", token(city.folder)] if operator else []
    text = body if isinstance(body, str) else json.dumps(body)
    command = ["mosquitto_pub", "-h", host, "-p", str(port), "-q", str(qos), "-t", topic, "-m", text, *login]
    subprocess.run(command, check=True, timeout=60)


def datastream(name: str = "warmth", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "description": "of the air", "observationType": OM + "Measurement",
        "unitOfMeasurement": {"name": "degree Celsius", "symbol": "degC", "definition": "ucum:Cel"},
        "Sensor": {"name": "s", "description": "s", "encodingType": "text/plain", "metadata": "none"},
        "ObservedProperty": {"name": "air_temperature", "definition": "urn:t", "description": "t"}, **more,
    }  # fmt: skip


def make(city: CityProcess, path: str, body: Any) -> int:
    done = city.client.http.post(f"/v1.1/{path}", json=body)
    assert done.status_code == 201, done.text
    return int(done.headers["location"].rpartition("(")[2][:-1])


def thing(name: str) -> dict[str, Any]:
    return {"name": name, "description": "a post", "properties": {"height": 3}, "Locations": [PLACE]}


def stream(city: CityProcess, name: str, **properties: Any) -> int:
    of = make(city, "Things", thing(name))
    return make(city, f"Things({of})/Datastreams", datastream(name, properties=properties))


def found(city: CityProcess, query: str) -> Any:
    return city.client.get(f"/v1.1/{query}")["value"]


def test_an_operator_makes_every_entity_on_its_topic(city: CityProcess) -> None:
    deep = {**thing("by mqtt"), "Datastreams": [datastream(Observations=[{"result": 21.5}])]}
    mosquitto_pub(city, "v1.1/Things", deep, operator=True)
    query = "Things?$filter=name eq 'by mqtt'&$expand=Locations,Datastreams($expand=Observations)"
    [made] = wait_for(lambda: found(city, query), PATIENCE_S)
    assert made["Datastreams"][0]["Observations"][0]["result"] == 21.5
    assert made["Locations"][0]["name"] == "p"
    of = made["@iot.id"]
    mosquitto_pub(city, f"v1.1/Things({of})/Datastreams", datastream("second"), operator=True)
    mosquitto_pub(city, "v1.1/Sensors", datastream()["Sensor"] | {"name": "alone"}, operator=True, qos=0)
    wait_for(lambda: found(city, f"Things({of})/Datastreams?$filter=name eq 'second'"), PATIENCE_S)
    wait_for(lambda: found(city, "Sensors?$filter=name eq 'alone'"), PATIENCE_S)
    letters = city.client.get("/api/status")["dead_letters"]
    mosquitto_pub(city, "v1.1/Things", {"name": 1}, operator=True)
    wait_for(lambda: city.client.get("/api/status")["dead_letters"] == letters + 1, PATIENCE_S)


def test_the_landing_page_says_where_to_subscribe(city: CityProcess) -> None:
    settings = city.client.get("/v1.1")["serverSettings"]
    [name] = [one for one in settings["conformance"] if one.endswith("receive-updates")]
    assert f"mqtt://{city.mqtt[0]}:{city.mqtt[1]}" in settings[name]["endpoints"]


def test_who_has_no_login_makes_no_entity(city: CityProcess) -> None:
    mosquitto_pub(city, "v1.1/Things", thing("nobody's"), qos=0)
    at = stream(city, "after nobody")
    mosquitto_pub(city, f"v1.1/Datastreams({at})/Observations", {"result": 1})
    wait_for(lambda: found(city, f"Datastreams({at})/Observations"), PATIENCE_S)
    assert not found(city, "Things?$filter=name eq 'nobody''s'")


def test_readings_come_in_with_any_quality_of_service_and_name_their_stream(city: CityProcess) -> None:
    at = stream(city, "any qos")
    mosquitto_pub(city, f"v1.1/Datastreams({at})/Observations", {"result": 0}, qos=0)
    mosquitto_pub(city, "v1.1/Observations", {"result": 1, "Datastream": {"@iot.id": at}}, qos=1)
    mosquitto_pub(city, f"v1.1/Datastreams({at})/Observations", {"result": 2}, qos=2)

    def results() -> bool:
        told = found(city, f"Datastreams({at})/Observations?$select=result&$orderby=result")
        return [one["result"] for one in told] == [0, 1, 2]

    wait_for(results, PATIENCE_S)


def test_a_subscriber_hears_what_was_accepted_once_and_in_order(city: CityProcess) -> None:
    at = stream(city, "heard")
    topic = f"v1.1/Datastreams({at})/Observations"
    some = topic + "?$select=result,phenomenonTime"
    with listening(city, topic, qos=1) as next_of, listening(city, some) as next_selected:
        mosquitto_pub(city, topic, "no json")
        for result in range(3):
            mosquitto_pub(city, topic, {"result": result, "phenomenonTime": "2026-06-01T12:00:00Z"})
        city.client.http.post(f"/v1.1/Datastreams({at})/Observations", json={"result": 3}).raise_for_status()
        heard = [one for _, one in (next_of() for _ in range(4))]
        assert sorted(one["result"] for one in heard) == [0, 1, 2, 3]
        stored = found(city, f"Datastreams({at})/Observations?$orderby=id")
        assert heard == stored  # the whole entities, as a GET tells them, in the order of the log
        assert next_selected() == (some, {"phenomenonTime": "2026-06-01T12:00:00Z", "result": 0})


def test_every_topic_of_an_entity_tells_its_changes(city: CityProcess) -> None:
    at = stream(city, "changing")
    of = city.client.get(f"/v1.1/Datastreams({at})/Thing?$select=id")["@iot.id"]
    one, name, deep = f"v1.1/Things({of})", f"v1.1/Things({of})/name", f"v1.1/Datastreams({at})/Thing/name"
    inside, bare = f"v1.1/Things({of})/properties/height", f"v1.1/Things({of})/name/$value"
    with listening(city, one, name, deep, inside, bare) as following:
        done = city.client.http.patch(f"/v1.1/Things({of})", json={"name": "x", "properties": {"height": 4}})
        heard = dict(following() for _ in range(5))
        assert heard == {one: done.json(), name: {"name": "x"}, deep: {"name": "x"}, inside: {"height": 4}, bare: "x"}
    with listening(city, "v1.1/Datastreams", f"v1.1/Things({of})/Datastreams", "v1.1/Locations") as following:
        made = make(city, f"Things({of})/Datastreams", datastream("new"))
        heard = dict(following() for _ in range(2))
        assert set(heard) == {"v1.1/Datastreams", f"v1.1/Things({of})/Datastreams"}
        assert {entity["@iot.id"] for entity in heard.values()} == {made}
    reach = f"v1.1/Datastreams({at})/phenomenonTime"
    with listening(city, reach, "v1.1/Observations") as following:
        make(city, f"Datastreams({at})/Observations", {"result": 1, "phenomenonTime": "2026-06-01T12:00:00Z"})
        heard = dict(following() for _ in range(2))
        assert heard[reach] == {"phenomenonTime": "2026-06-01T12:00:00Z/2026-06-01T12:00:00Z"}
        assert heard["v1.1/Observations"]["result"] == 1
    with listening(city, "v1.1/+/Observations") as following:
        again = make(city, f"Datastreams({at})/Observations", {"result": 2})
        topic, entity = following()
        assert (topic, entity["@iot.id"]) == (f"v1.1/Datastreams({at})/Observations", again)


def test_nobody_hears_what_is_not_open_to_all(city: CityProcess) -> None:
    hidden, known = stream(city, "hidden", access="restricted"), stream(city, "known")
    with listening(city, "v1.1/#") as following:
        for at in (hidden, known):
            mosquitto_pub(city, f"v1.1/Datastreams({at})/Observations", {"result": at})
        city.client.http.patch(f"/v1.1/Datastreams({hidden})", json={"name": "hidden still"}).raise_for_status()
        city.client.http.patch(f"/v1.1/Datastreams({known})", json={"name": "told"}).raise_for_status()
        told = []
        while not (told and told[-1][0] == f"v1.1/Datastreams({known})/name"):
            told.append(following())
        assert any(one.get("result") == known for _, one in told)
        assert not any(one.get("result") == hidden or one.get("name") == "hidden still" for _, one in told)


def test_mosquittos_subscriber_hears_a_reading(city: CityProcess) -> None:
    at = stream(city, "mosquitto")
    topic, (host, port) = f"v1.1/Datastreams({at})/Observations", city.mqtt
    command = ["stdbuf", "-oL", "mosquitto_sub", "-h", host, "-p", str(port), "-t", topic, "-C", "1", "-W", "60", "-d"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout is not None
        lines = iter(subscriber.stdout.readline, "")
        assert any("SUBACK" in line for line in lines)
        mosquitto_pub(city, topic, {"result": 7.5})
        assert any(line.startswith("{") and json.loads(line)["result"] == 7.5 for line in lines)
        subscriber.wait(60)


def test_a_topic_whose_options_cannot_be_met_says_so_once_and_harms_nobody(city: CityProcess) -> None:
    wrong = ("v1.1/Things?$select=colour", "v1.1/Things?$filter=id%20gt%201", "v1.1/Things?$expand=Datastreams")
    with listening(city, "v1.1/+/Datastreams?$select=result", "v1.1/Things?$select=name", *wrong) as following:
        for name in ("first", "second"):
            make(city, "Things", thing(name) | {"Datastreams": [datastream()]})
        heard = [following() for _ in range(len(wrong) + 2)]
    told = {topic: body["message"] for topic, body in heard if "message" in body}
    assert told.keys() == set(wrong)
    assert "colour" in told[wrong[0]]
    assert all("only $select" in told[one] for one in wrong[1:])
    assert [body["name"] for _, body in heard if "name" in body] == ["first", "second"]


def test_a_topic_without_the_version_is_none_and_the_subscriber_is_told(city: CityProcess) -> None:
    codes: queue.Queue[Any] = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda _c, _u, _m, told, _p: codes.put(told)
    client.on_connect = lambda c, *_: c.subscribe("Things")
    client.connect(*city.mqtt)
    client.loop_start()
    try:
        assert all(code.is_failure for code in codes.get(timeout=PATIENCE_S))
    finally:
        client.loop_stop()
        client.disconnect()
