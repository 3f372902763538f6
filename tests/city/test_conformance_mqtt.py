"""What the standard says of MQTT, with paho on a running city: how Observations are made, and changes told (14)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.city.conftest import CityProcess, city
from tests.city.test_mqtt_topics import PATIENCE_S, listening
from tests.city.test_spine import wait_for
from tests.web.standard import ANYTHING, Door, feature, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


@contextmanager
def publisher(city: CityProcess) -> Iterator[paho.Client]:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    there = Event()  # before, what is published with QoS 0 is dropped
    client.on_connect = lambda *_: there.set()
    client.connect(*city.mqtt)
    client.loop_start()
    assert there.wait(PATIENCE_S)
    yield client
    client.loop_stop()
    client.disconnect()


@pytest.mark.parametrize(
    "way", ["Observations", "Datastreams({stream})/Observations", "FeaturesOfInterest({feature})/Observations"]
)
@pytest.mark.parametrize("qos", [0, 1])
def test_an_observation_is_made_on_each_of_its_topics(city: CityProcess, door: Door, way: str, qos: int) -> None:
    it = door.make("Things", thing("device", Datastreams=[stream("any", ANYTHING)]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    of = door.make("FeaturesOfInterest", feature())
    number = 2**62 + 3  # more digits than a float has
    body = {
        "phenomenonTime": "2015-03-01T02:40:00+02:00", "result": number, "parameters": {"a": "x", "b": "y"},
        "validTime": "2016-01-01T01:01:01Z/2016-01-01T23:59:59Z", "Datastream": ref(mine), "FeatureOfInterest": ref(of),
    }  # fmt: skip
    topic = f"v1.1/{way.format(stream=mine, feature=of)}"
    with publisher(city) as client:
        client.publish(topic, json.dumps(body), qos=qos).wait_for_publish(PATIENCE_S)
        path = f"Datastreams({mine})/Observations?$expand=FeatureOfInterest($select=id)"
        [made] = wait_for(lambda: door.values(path), PATIENCE_S)
    assert (made["result"], made["parameters"], made["validTime"]) == (number, body["parameters"], body["validTime"])
    assert (made["phenomenonTime"], made["FeatureOfInterest"]) == ("2015-03-01T00:40:00Z", {"@iot.id": of})


def test_an_observation_that_names_another_feature_than_its_topic_is_none(city: CityProcess, door: Door) -> None:
    it = door.make("Things", thing("device", Datastreams=[stream()]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    one, other = (door.make("FeaturesOfInterest", feature()) for _ in range(2))
    letters = door.http.get("/api/status").json()["dead_letters"]
    with publisher(city) as client:
        body = {"result": 1, "Datastream": ref(mine), "FeatureOfInterest": ref(other)}
        client.publish(f"v1.1/FeaturesOfInterest({one})/Observations", json.dumps(body), qos=1)
        wait_for(lambda: door.http.get("/api/status").json()["dead_letters"] == letters + 1, PATIENCE_S)
    assert door.ids(f"Datastreams({mine})/Observations") == []


@pytest.mark.parametrize("way", ["Observations", "Datastreams({stream})/Observations"])
@pytest.mark.parametrize("qos", [0, 1])
def test_an_observation_brings_its_feature(city: CityProcess, door: Door, way: str, qos: int) -> None:
    it = door.make("Things", thing("brings", Datastreams=[stream()]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    body = {"result": 7, "Datastream": ref(mine), "FeatureOfInterest": feature("brought", point(3, 4))}
    with publisher(city) as client:
        for result in (7, 8):
            topic = f"v1.1/{way.format(stream=mine)}"
            client.publish(topic, json.dumps(body | {"result": result}), qos=qos).wait_for_publish(PATIENCE_S)
        path = f"Datastreams({mine})/Observations?$expand=FeatureOfInterest&$orderby=result"
        made = wait_for(lambda: len(told := door.values(path)) == 2 and told, PATIENCE_S)
    assert [one["result"] for one in made] == [7, 8]
    assert {one["FeatureOfInterest"]["name"] for one in made} == {"brought"}
    assert made[0]["FeatureOfInterest"]["feature"] == point(3, 4)


@pytest.mark.parametrize("way", ["Observations", "FeaturesOfInterest({feature})/Observations"])
def test_an_observation_brings_its_datastream_and_all_in_it(city: CityProcess, door: Door, way: str) -> None:
    of = door.make("FeaturesOfInterest", feature())
    name = f"deep of {way}"
    body = {
        "result": 5, "Datastream": stream(name, Thing=thing("deep", Locations=[place()])),
        **({} if "{" in way else {"FeatureOfInterest": feature("deep")}),
    }  # fmt: skip
    with publisher(city) as client:
        client.publish(f"v1.1/{way.format(feature=of)}", json.dumps(body), qos=1).wait_for_publish(PATIENCE_S)
        path = f"Datastreams?$filter=name eq '{name}'&$expand=Observations($expand=FeatureOfInterest),Thing"
        [made] = wait_for(lambda: door.values(path), PATIENCE_S)
    [told] = wait_for(lambda: door.values(path)[0]["Observations"], PATIENCE_S)
    assert (told["result"], made["Thing"]["name"]) == (5, "deep")
    assert ("{" in way) == (told["FeatureOfInterest"]["@iot.id"] == of)


@pytest.fixture(scope="module")
def stand(door: Door) -> dict[str, int]:
    """An entity of each kind, which hang together."""
    it = door.make("Things", thing("stand", Locations=[place()], Datastreams=[stream()]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    made = door.make(f"Datastreams({mine})/Observations", {"result": 1, "phenomenonTime": "2026-01-01T00:00:00Z"})
    return {
        "Things": it, "Datastreams": mine, "Observations": made,
        "Locations": door.ids(f"Things({it})/Locations")[0],
        "HistoricalLocations": door.ids(f"Things({it})/HistoricalLocations")[0],
        "Sensors": door.get(f"Datastreams({mine})/Sensor")["@iot.id"],
        "ObservedProperties": door.get(f"Datastreams({mine})/ObservedProperty")["@iot.id"],
        "FeaturesOfInterest": door.get(f"Observations({made})/FeatureOfInterest")["@iot.id"],
    }  # fmt: skip


def new(plural: str, stand: dict[str, int]) -> dict[str, Any]:
    """A whole new entity, linked to those that are there."""
    own = {
        "Sensor": ref(stand["Sensors"]), "ObservedProperty": ref(stand["ObservedProperties"]),
        "Thing": ref(stand["Things"]),
    }  # fmt: skip
    made: dict[str, dict[str, Any]] = {
        "Things": thing("new", properties={"n": 1}), "Sensors": sensor("new"), "ObservedProperties": observed("new"),
        "Locations": place("new", point(1, 2)), "FeaturesOfInterest": feature("new"),
        "Datastreams": stream("new", properties={"n": 1}, **own),
        "Observations": {"result": 2, "phenomenonTime": "2026-01-02T00:00:00Z",
                         "Datastream": ref(stand["Datastreams"])},
        "HistoricalLocations": {"time": "2015-01-01T00:00:00Z", "Thing": ref(stand["Things"]),
                                "Locations": [ref(stand["Locations"])]},
    }  # fmt: skip
    return made[plural]


CHANGES: dict[str, dict[str, Any]] = {
    "Things": {"name": "changed", "description": "changed", "properties": {"n": 2}},
    "Locations": {"description": "changed", "location": point(3, 4)},
    "HistoricalLocations": {"time": "2016-01-01T00:00:00Z"},
    "Datastreams": {"description": "changed", "properties": {"n": 2}},
    "Sensors": {"description": "changed", "metadata": "changed"},
    "ObservedProperties": {"description": "changed", "definition": "http://example.org/changed"},
    "Observations": {"result": 99, "parameters": {"n": 2}},
    "FeaturesOfInterest": {"description": "changed", "feature": point(5, 6)},
}
# a set behind a link, or one entity, that leads to what is changed
WAYS = {
    "Things": "Datastreams({Datastreams})/Thing", "Locations": "Things({Things})/Locations",
    "HistoricalLocations": "Locations({Locations})/HistoricalLocations", "Datastreams": "Things({Things})/Datastreams",
    "Sensors": "Datastreams({Datastreams})/Sensor", "ObservedProperties": "Datastreams({Datastreams})/ObservedProperty",
    "Observations": "Datastreams({Datastreams})/Observations",
    "FeaturesOfInterest": "Observations({Observations})/FeatureOfInterest",
}  # fmt: skip


@pytest.mark.parametrize("plural", CHANGES)
def test_a_set_tells_what_is_made_whole_and_selected(
    city: CityProcess, door: Door, stand: dict[str, int], plural: str
) -> None:
    names = list(CHANGES[plural])
    whole, selected = f"v1.1/{plural}", f"v1.1/{plural}?$select={','.join(names)}"
    with listening(city, whole, selected) as following:
        made = door.make(plural, new(plural, stand))
        heard = dict(following() for _ in range(2))
    told = door.get(f"{plural}({made})")
    assert heard[whole] == told
    assert heard[selected] == {name: told[name] for name in names if name in told}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("plural", CHANGES)
def test_sets_entities_and_properties_tell_what_is_changed(
    city: CityProcess, door: Door, stand: dict[str, int], plural: str, method: str
) -> None:
    path = f"{plural}({stand[plural]})"
    put = method == "PUT"
    body = {**new(plural, stand), **CHANGES[plural]} if put else CHANGES[plural]
    before = {name: value for name, value in new(plural, stand).items() if name[0].islower()}
    door.send("PATCH", path, before)
    body = {name: value for name, value in body.items() if name[0].islower()}
    names = list(CHANGES[plural])
    topics = {
        "set": f"v1.1/{plural}", "selected": f"v1.1/{plural}?$select={','.join(names)}", "one": f"v1.1/{path}",
        "way": f"v1.1/{WAYS[plural].format(**stand)}", **{name: f"v1.1/{path}/{name}" for name in names},
    }  # fmt: skip
    with listening(city, *topics.values()) as following:
        door.send(method, path, body)
        heard = dict(following() for _ in topics)
    told = door.get(path)
    assert CHANGES[plural].items() <= told.items()
    assert heard[topics["set"]] == heard[topics["one"]] == heard[topics["way"]] == told
    assert heard[topics["selected"]] == CHANGES[plural]
    for name in names:
        assert heard[topics[name]] == {name: told[name]}


def test_all_that_is_made_together_is_told(city: CityProcess, door: Door) -> None:
    kinds = ("Things", "Locations", "HistoricalLocations", "Datastreams", "Sensors", "ObservedProperties",
             "Observations", "FeaturesOfInterest")  # fmt: skip
    with listening(city, *(f"v1.1/{kind}" for kind in kinds)) as following:
        deep = stream("deep", Observations=[{"result": 1}])
        made = door.make("Things", thing("deep", Locations=[place("deep")], Datastreams=[deep]))
        heard: dict[str, Any] = {}
        while len(heard) < len(kinds):
            topic, entity = following()
            heard[topic.removeprefix("v1.1/")] = entity
    assert heard["Things"] == door.get(f"Things({made})")
    for kind, entity in heard.items():
        assert door.get(f"{kind}({entity['@iot.id']})")["@iot.selfLink"] == entity["@iot.selfLink"]


def test_a_feature_that_is_made_for_an_observation_is_told(city: CityProcess, door: Door) -> None:
    it = door.make("Things", thing("marked", Locations=[place("marked")], Datastreams=[stream()]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    first = door.make(f"Datastreams({mine})/Observations", {"result": 1})
    old = door.get(f"Observations({first})/FeatureOfInterest")["@iot.id"]
    door.send("DELETE", f"FeaturesOfInterest({old})")
    with listening(city, "v1.1/Observations", "v1.1/FeaturesOfInterest") as following:
        made = door.make(f"Datastreams({mine})/Observations", {"result": 2})
        heard = dict(following() for _ in range(2))
    assert heard["v1.1/Observations"] == door.get(f"Observations({made})")
    assert heard["v1.1/FeaturesOfInterest"] == door.get(f"Observations({made})/FeatureOfInterest")
