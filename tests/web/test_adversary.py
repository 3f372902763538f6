"""An adversary asks on every way for what is not open: by other words, by what is derived, and by what it may write."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiomqtt
import httpx
import pytest

from tests.city.conftest import CityProcess
from tests.city.test_spine import wait_for

SECRET = "sesame"  # in every name that is not open
CALLERS = ("public", "device", "operator")


class House:
    """A city with a clock in which nobody is trusted: open lamps, and one guarded lamp that a practice sees."""

    def __init__(self, city: CityProcess) -> None:
        self.city = city
        self.http = httpx.Client(base_url=city.url, timeout=60)
        guarded = {"key": f"{SECRET}/t", "property": "air_temperature", "unit": "degC", "access": "restricted",
                   "sensor": f"{SECRET} sensor"}  # fmt: skip
        lines = [
            {"key": "lamp", "kind": "street", "name": "lamp", "where": {"type": "Point", "coordinates": [20, 60]},
             "streams": [{"key": "lamp/t", "property": "air_temperature", "unit": "degC"}]},
            {"key": f"{SECRET}/lamp", "kind": "lamp_post", "name": f"{SECRET} lamp",
             "where": {"type": "Point", "coordinates": [21, 61]}, "streams": [guarded],
             "actuators": [{"key": f"{SECRET}/dimmer", "name": f"{SECRET} dimmer", "facts": {"unit": "%"}}]},
        ]  # fmt: skip
        told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
        self.open, self.hidden = told["streams"]["lamp/t"], told["streams"][f"{SECRET}/t"]
        self.thing, self.hidden_thing = told["things"]["lamp"], told["things"][f"{SECRET}/lamp"]
        self.actuator = told["actuators"][f"{SECRET}/dimmer"]
        self.tokens = {"public": ""}
        wishes: dict[str, dict[str, Any]] = {
            "device": {"role": "device", "scopes": {"datastreams": [self.open]}},
            "owner": {"role": "device", "scopes": {"datastreams": [self.hidden]}},
            "operator": {"role": "operator"},
        }
        for name, wish in wishes.items():
            self.tokens[name] = city.client.post("/api/tokens", name=name, **wish)["token"]
        for stream, name in ((self.open, "park"), (self.hidden, SECRET)):
            feature = {"name": f"{name} feature", "description": "", "encodingType": "application/geo+json",
                       "feature": {"type": "Point", "coordinates": [22, 62]}}  # fmt: skip
            self.admin("POST", f"/v1.1/Datastreams({stream})/Observations", {"result": 1, "FeatureOfInterest": feature})
        found = city.client.get("/v1.1/FeaturesOfInterest", **{"$filter": f"name eq '{SECRET} feature'"})
        self.feature = found["value"][0]["@iot.id"]
        self.open_feature = self.id_of("FeaturesOfInterest", "name eq 'park feature'")

    def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        answer = self.city.client.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer

    def ask(self, caller: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        token = self.tokens[caller]
        return self.http.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {}, **more)

    def id_of(self, plural: str, condition: str) -> int:
        found = self.city.client.get(f"/v1.1/{plural}", **{"$filter": condition})["value"]
        return int(found[0]["@iot.id"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    city = CityProcess(tmp_path_factory.mktemp("house") / "city", False, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    yield House(city)
    city.stop()


def heard(house: House, caller: str | None, topics: list[str], act: Callable[[], None], seconds: float = 2.0) -> str:
    """All that a subscriber of some topics hears while something is done."""

    async def listen() -> str:
        told: list[str] = []
        user, password = (None, None) if caller is None else ("x", house.tokens[caller])
        async with aiomqtt.Client(*house.city.mqtt, username=user, password=password, timeout=30) as client:
            for topic in topics:
                for qos in (0, 1):
                    try:
                        await client.subscribe(topic, qos=qos)
                    except aiomqtt.MqttError:
                        continue  # refused, as it may be

            async def gather() -> None:
                async for message in client.messages:
                    payload = message.payload
                    told.append(f"{message.topic} {payload.decode() if isinstance(payload, bytes) else payload}")

            gathering = asyncio.create_task(gather())
            await asyncio.to_thread(act)
            await asyncio.sleep(seconds)
            gathering.cancel()
        return "\n".join(told)

    return asyncio.run(listen())


def published(house: House, caller: str | None, topic: str, body: str, **how: Any) -> None:
    async def publish() -> None:
        user, password = (None, None) if caller is None else ("x", house.tokens[caller])
        async with aiomqtt.Client(*house.city.mqtt, username=user, password=password, timeout=30) as client:
            await client.publish(topic, body, qos=1, **how)

    asyncio.run(publish())


@pytest.mark.parametrize("caller", [None, "device", "operator"])
def test_no_topic_tells_of_what_is_not_open(house: House, caller: str | None) -> None:
    stream = f"v1.1/Datastreams({house.hidden})/Observations"
    published(house, "owner", stream, f'{{"result": 1, "parameters": {{"s": "{SECRET} kept"}}}}', retain=True)

    def act() -> None:
        house.admin("PATCH", f"/v1.1/Things({house.hidden_thing})", {"description": f"{SECRET} {time.time()}"})
        house.admin("PATCH", f"/v1.1/FeaturesOfInterest({house.feature})", {"description": f"{SECRET} {time.time()}"})
        feature = {"name": f"{SECRET} new", "description": "", "encodingType": "application/geo+json",
                   "feature": {"type": "Point", "coordinates": [1, 1]}}  # fmt: skip
        body = {"result": 2, "FeatureOfInterest": feature}
        house.admin("POST", f"/v1.1/Datastreams({house.hidden})/Observations", body)
        published(house, "owner", stream, f'{{"result": 3, "parameters": {{"s": "{SECRET} q"}}}}')
        house.admin("PATCH", f"/v1.1/Things({house.thing})", {"description": f"plain {time.time()}"})
        house.admin("POST", f"/v1.1/Datastreams({house.open})/Observations", {"result": 4})

    topics = ["#", "+/#", "$MQTT/#", "$MQTT/msgs/#", "$SYS/#", "$JS/#", "civium-in/#", "civium-out/#", "v1.1/#",
              "v1.1/Things", "v1.1/FeaturesOfInterest", "v1.1/Observations", "v1.1/+/Observations", stream,
              "v1.1/Locations", "v1.1/Observations?$select=result,parameters", "v1.1/Sensors",
              f"v1.1/Datastreams({house.hidden})", f"v1.1/Datastreams({house.hidden})/phenomenonTime",
              f"v1.1/Things({house.hidden_thing})/name", f"v1.1/Things({house.hidden_thing})/Datastreams"]  # fmt: skip
    told = heard(house, caller, topics, act)
    assert "plain" in told
    assert f"v1.1/Datastreams({house.open})" in told
    assert SECRET not in told
    assert f"Datastreams({house.hidden})" not in told


@pytest.mark.parametrize("caller", [None, "device", "operator"])
def test_nobody_publishes_where_it_may_not_write(house: House, caller: str | None) -> None:
    def count() -> int:
        found = house.city.client.get(f"/v1.1/Datastreams({house.hidden})/Observations", **{"$count": "true"})
        return int(found["@iot.count"])

    before = count()
    one = f'{{"result": 9, "Datastream": {{"@iot.id": {house.hidden}}}}}'
    for topic, body in (
        (f"v1.1/Datastreams({house.hidden})/Observations", '{"result": 9}'),
        ("v1.1/Observations", one),
        (f"v1.1/Datastreams({house.open})/Observations", one),
        (f"v1.1/FeaturesOfInterest({house.open_feature})/Observations", one),
        (f"civium-in/Datastreams({house.hidden})/Observations", '{"result": 9}'),
        (f"civium-out/Datastreams({house.open})/Observations", '{"result": 9}'),
        ("v1.1/Things", '{"name": "planted", "description": ""}'),
    ):
        published(house, caller, topic, body)

    async def will() -> None:
        user, password = (None, None) if caller is None else ("x", house.tokens[caller])
        last = aiomqtt.Will(f"v1.1/Datastreams({house.hidden})/Observations", '{"result": 9}', qos=1)
        client = aiomqtt.Client(*house.city.mqtt, username=user, password=password, will=last, timeout=30)
        try:
            async with client:
                sock = client._client.socket()
                assert sock is not None
                sock.close()  # without a goodbye: the server speaks for it
        except (aiomqtt.MqttError, OSError, ValueError):
            return

    asyncio.run(will())
    time.sleep(1.0)
    assert count() == before
    assert house.city.client.get("/v1.1/Things", **{"$filter": "name eq 'planted'"})["value"] == []


def test_a_reading_makes_no_place_known_that_its_sender_may_not_know(house: House) -> None:
    """Else whoever writes one stream could ask where it was observed, and be told where a guarded one was."""
    bad, good = {"FeatureOfInterest": {"@iot.id": house.feature}}, {"FeatureOfInterest": {"@iot.id": 999_999}}
    array = [{"Datastream": {"@iot.id": house.open}, "components": ["result", "FeatureOfInterest/id"],
              "dataArray": [[5, house.feature]]}]  # fmt: skip
    path = f"/v1.1/Datastreams({house.open})/Observations"
    step = {"id": "1", "atomicityGroup": "g", "method": "POST", "url": f"Datastreams({house.open})/Observations"}
    batch = {"requests": [{**step, "body": {"result": 5, **bad}}]}
    for caller in ("device", "operator"):
        refused = house.ask(caller, path, "POST", json={"result": 5, **bad})
        unknown = house.ask(caller, path, "POST", json={"result": 5, **good})
        assert (refused.status_code, refused.json()) == (unknown.status_code, unknown.json())
        assert refused.status_code == 400
        assert house.ask(caller, path, "POST", json=[{"result": 5, **bad}]).status_code == 400
        assert house.ask(caller, path + "?x=1", "POST", json={"result": 5, **bad}).status_code == 400
        assert house.ask(caller, "/v1.1/CreateObservations", "POST", json=array).status_code == 400
        kept = house.ask(caller, "/v1.1/CreateObservations?on_error=keep", "POST", json=array)
        assert kept.json() in ([], ["error"]) or kept.status_code == 400
        told = house.ask(caller, "/v1.1/$batch", "POST", json=batch).json()["responses"][0]
        assert told["status"] == 400
    published(house, "device", f"v1.1/Datastreams({house.open})/Observations", json.dumps({"result": 5, **bad}))
    wait_for(lambda: "no such FeatureOfInterest" in str(house.city.client.get("/api/dead-letters", limit=1000)), 30)
    seen = house.ask("device", f"/v1.1/Datastreams({house.open})?$select=observedArea").text
    assert "22" in seen or "20" in seen
    assert house.ask("device", f"/v1.1/FeaturesOfInterest({house.feature})").status_code == 404
    mine = {"result": 6, "FeatureOfInterest": {"@iot.id": house.feature}}
    assert house.ask("owner", f"/v1.1/Datastreams({house.hidden})/Observations", "POST", json=mine).status_code == 201


def test_what_is_hidden_is_not_there_to_refer_to(house: House) -> None:
    sensor, place = (house.id_of(plural, f"contains(name, '{SECRET}')") for plural in ("Sensors", "Locations"))
    own = house.id_of("ObservedProperties", "name eq 'air_temperature'")
    stream = {"name": "x", "description": "", "observationType": "x",
              "unitOfMeasurement": {"name": "degC", "symbol": "degC", "definition": ""}}  # fmt: skip

    def tried(identity: int | None) -> dict[str, httpx.Response]:
        def one(known: int) -> dict[str, int]:
            return {"@iot.id": known if identity is None else identity}

        bodies: dict[str, tuple[str, str, Any]] = {
            "sensor": ("POST", "/v1.1/Datastreams", {**stream, "Thing": {"@iot.id": house.thing},
                       "ObservedProperty": {"@iot.id": own}, "Sensor": one(sensor)}),
            "thing": ("POST", "/v1.1/Datastreams", {**stream, "Thing": one(house.hidden_thing),
                      "ObservedProperty": {"@iot.id": own}, "Sensor": {"name": "s", "description": "",
                      "encodingType": "text/plain", "metadata": ""}}),
            "location": ("POST", "/v1.1/Things", {"name": "x", "description": "", "Locations": [one(place)]}),
            "move": ("PATCH", f"/v1.1/Things({house.thing})", {"Locations": [one(place)]}),
            "datastream": ("PATCH", f"/v1.1/Things({house.thing})", {"Datastreams": [one(house.hidden)]}),
            "sensor of": ("PATCH", f"/v1.1/Datastreams({house.open})", {"Sensor": one(sensor)}),
            "behind": ("POST", f"/v1.1/Things({one(house.hidden_thing)['@iot.id']})/Datastreams", stream),
            "task": ("POST", "/v1.1/Tasks", {"TaskingCapability": one(house.actuator),
                     "taskingParameters": {"value": 3}}),
            "capability": ("POST", "/v1.1/TaskingCapabilities", {"name": "x", "description": "",
                           "taskingParameters": {}, "Thing": {"@iot.id": house.thing},
                           "Actuator": one(house.actuator)}),
        }  # fmt: skip
        return {name: house.ask("operator", path, method, json=body) for name, (method, path, body) in bodies.items()}

    hidden, unknown = tried(None), tried(999_999)
    for name, answer in hidden.items():
        assert answer.status_code in (400, 404), (name, answer.text)
        assert re.sub(r"\d+", "N", answer.text) == re.sub(r"\d+", "N", unknown[name].text), name
        assert SECRET not in answer.text


@pytest.mark.parametrize("caller", CALLERS)
def test_what_is_hidden_answers_as_what_is_not_there(house: House, caller: str) -> None:
    paths = [
        ("/v1.1/Things({})", house.hidden_thing), ("/v1.1/Things({})/name", house.hidden_thing),
        ("/v1.1/Things({})/Datastreams/$ref", house.hidden_thing), ("/v1.1/Datastreams({})", house.hidden),
        ("/v1.1/Datastreams({})/Observations?$count=true", house.hidden),
        ("/v1.1/Datastreams({})/observedArea", house.hidden), ("/v1.1/Datastreams({})/Thing", house.hidden),
        ("/v1.1/FeaturesOfInterest({})", house.feature), ("/v1.1/FeaturesOfInterest({})/Observations", house.feature),
        ("/v1.1/Actuators({})", house.actuator), ("/v1.1/TaskingCapabilities({})", house.actuator),
        ("/api/things/{}", house.hidden_thing),
        ("/api/streams/{}/chart?from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z", house.hidden),
        ("/v1.1/Things?$filter=id eq {}&$count=true", house.hidden_thing),
        ("/v1.1/Observations?$filter=Datastream/id eq {}&$count=true", house.hidden),
        ("/v1.1/Things?$filter=Datastreams/any(d:d/id eq {})&$count=true", house.hidden),
        ("/v1.1/Things?$filter=Datastreams/id eq {}&$orderby=Datastreams/name", house.hidden),
        ("/v1.1/FeaturesOfInterest?$filter=Observations/Datastream/id eq {}&$count=true", house.hidden),
    ]  # fmt: skip
    for path, identity in paths:
        answers = [house.ask(caller, path.format(one)) for one in (identity, 999_999)]
        bodies = [re.sub(r"\d+", "N", one.text) for one in answers]
        assert answers[0].status_code == answers[1].status_code, path
        assert bodies[0] == bodies[1], path
    for method, body in (("PATCH", {"description": "x"}), ("PUT", {"name": "x", "description": "x"}), ("DELETE", None)):
        ways = {"Things": house.hidden_thing, "Datastreams": house.hidden}
        ways |= dict.fromkeys(("Actuators", "TaskingCapabilities"), house.actuator)
        for plural, identity in ways.items():
            path = f"/v1.1/{plural}({{}})"
            answers = [house.ask(caller, path.format(one), method, json=body) for one in (identity, 999_999)]
            bodies = [re.sub(r"\d+", "N", one.text) for one in answers]
            assert (answers[0].status_code, bodies[0]) == (answers[1].status_code, bodies[1]), (method, path)


def test_a_key_that_is_taken_changes_nothing_of_what_is_hidden(house: House) -> None:
    for line in (
        {"key": f"{SECRET}/lamp", "kind": "lamp_post", "name": "mine"},
        {"key": f"{SECRET}/lamp", "kind": "lamp_post", "name": "x",
         "streams": [{"key": "peep", "property": "peep", "unit": "1"}]},
        {"key": "lamp", "kind": "street", "name": "lamp",
         "streams": [{"key": f"{SECRET}/t", "property": "air_temperature", "unit": "degC"}]},
    ):  # fmt: skip
        for dry in ("", "?dry_run=true"):
            told = house.ask("operator", f"/api/register{dry}", "POST", content=json.dumps(line))
            assert told.status_code in (400, 403), told.text
            assert f"{SECRET} lamp" not in told.text
    assert house.ask("public", f"/v1.1/Things({house.hidden_thing})").status_code == 404


def test_a_property_of_a_guarded_multidatastream_is_hidden_wherever_it_stands_in_it(house: House) -> None:
    def properties(tag: str) -> list[dict[str, str]]:
        return [{"name": f"{tag} {n}", "definition": f"urn:{tag}:{n}", "description": ""} for n in (1, 2)]

    def body(tag: str, access: str) -> dict[str, Any]:
        unit = {"name": "one", "symbol": "1", "definition": "1"}
        kind = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"
        return {"name": tag, "description": "", "properties": {"access": access}, "unitOfMeasurements": [unit, unit],
                "multiObservationDataTypes": [kind, kind], "ObservedProperties": properties(tag),
                "Thing": {"@iot.id": house.thing}, "Sensor": {"name": f"{tag} sensor", "description": "",
                "encodingType": "text/plain", "metadata": ""}}  # fmt: skip

    for tag, access in (("plain pair", "open"), (f"{SECRET} pair", "restricted")):
        made = house.admin("POST", "/v1.1/MultiDatastreams", body(tag, access)).json()
        house.admin("POST", f"/v1.1/MultiDatastreams({made['@iot.id']})/Observations", {"result": [77, 78]})
    for caller in CALLERS:
        for path in (
            "/v1.1/ObservedProperties",
            "/v1.1/MultiDatastreams?$expand=Observations,ObservedProperties",
            "/v1.1/Sensors?$expand=MultiDatastreams",
            "/v1.1/Observations?$resultFormat=CSV",
            "/v1.1/Observations?$resultFormat=dataArray",
            "/v1.1/Things?$expand=MultiDatastreams",
        ):
            told = house.ask(caller, path)
            assert told.status_code == 200, told.text
            assert SECRET not in told.text, path
        told = house.ask(caller, "/v1.1/ObservedProperties").text
        assert "plain pair 1" in told
        assert "plain pair 2" in told


def test_decisions_of_guarded_streams_tell_no_name_no_reason_and_no_trouble(house: House) -> None:
    client = house.city.client

    def feed() -> Any:
        house.admin("POST", f"/v1.1/Datastreams({house.hidden})/Observations", {"result": -5})
        return [one for one in client.get("/api/decisions") if one["because"]]

    decision = wait_for(feed, 60)[0]["id"]
    client.post("/api/practices/dimmer/parameters", params={"behaviour": "raise"}, why="to see")
    wait_for(lambda: feed() and "as asked" in str(client.get("/api/practices")), 60)
    client.post("/api/practices/dimmer/mandate", mandate="approve", why="to see")
    whole = {
        path: client.http.get(path).text for path in (f"/decisions/{decision}", "/api/incidents", "/api/practices")
    }
    assert SECRET in whole[f"/decisions/{decision}"]
    assert "as asked" in whole["/api/incidents"]
    for caller in CALLERS:
        for path in (
            f"/decisions/{decision}", f"/api/decisions/{decision}", "/api/decisions", "/api/incidents",
            "/api/practices", "/api/practices/dimmer", "/api/desk", "/", "/register", "/register/dimmer",
            "/register/export/rotterdam.json", "/api/notices", "/api/status", "/api/map", "/api/things",
            "/v1.1/Tasks", "/v1.1/Actuators",
        ):  # fmt: skip
            answer = house.ask(caller, path)
            assert answer.status_code in (200, 404), path
            for word in (SECRET, "lamps reported", "as asked", "because warm", "because cold"):
                assert word not in answer.text, (path, word)
        for path in (f"/api/decisions/{decision}/view", f"/api/decisions/{decision}/state",
                     "/api/practices/dimmer/view?tick=1"):  # fmt: skip
            assert house.ask(caller, path).status_code in (401, 403)
        whole_practice = house.ask(caller, "/api/practices/dimmer").json()
        assert all(bool(row["who"]) == (caller == "operator") for row in whole_practice["mandates"])
        needs = whole_practice["needs"]
        assert [(need["streams"], need["heard"], need["newest"]) for need in needs] == [(0, 0, None)]
    assert house.ask("operator", "/api/backtests", "POST", json={"practice": "dimmer", "seconds": 5}).status_code == 403
    made = client.post("/api/backtests", practice="dimmer", seconds=5)
    assert made["id"] not in house.ask("operator", "/api/backtests").text
    assert made["id"] in str(client.get("/api/backtests"))
    client.post("/api/practices/dimmer/parameters", params={}, why="again")


def test_counts_are_of_what_the_caller_may_know(house: House) -> None:
    for caller in CALLERS:
        things = house.ask(caller, "/v1.1/Things?$count=true&$top=0").json()["@iot.count"]
        streams = sum(house.ask(caller, f"/v1.1/{plural}?$count=true&$top=0").json()["@iot.count"]
                      for plural in ("Datastreams", "MultiDatastreams"))  # fmt: skip
        rows = house.ask(caller, "/v1.1/Observations?$count=true&$top=0").json()["@iot.count"]
        desk = house.ask(caller, "/api/desk").json()
        assert (desk["figures"]["things"], desk["figures"]["streams"]) == (things, streams)
        assert desk["figures"]["observations"] == rows
        assert desk["silent"]["never_heard"] <= streams
        status = house.ask(caller, "/api/status").json()
        assert (status["streams"], status["observations"]) == (streams, rows)
    everything = int(house.city.client.get("/api/status")["streams"])
    said = house.ask("operator", "/metrics").text
    told = dict(line.split(" ") for line in said.splitlines() if line.startswith("civium_streams"))
    assert 0 < float(told["civium_streams"]) < everything
    assert [house.ask(caller, "/metrics").status_code for caller in ("public", "device")] == [401, 403]


def test_alarms_of_guarded_streams_are_for_who_may_read_them(house: House) -> None:
    client = house.city.client
    for name, stream in (("plain rule", house.open), (f"{SECRET} rule", house.hidden)):
        rule = {
            "title": name,
            "severity": "info",
            "watch": {"datastream": stream},
            "when": {"above": 50, "unit": "degC"},
        }
        client.post("/api/alarms/rules", id=name.replace(" ", "-"), rule=rule, why="x")

    def two() -> bool:
        for stream in (house.open, house.hidden):
            house.admin("POST", f"/v1.1/Datastreams({stream})/Observations", {"result": 60})
        return len(client.get("/api/alarms")["alarms"]) == 2

    wait_for(two, 60)
    told = house.ask("operator", "/api/alarms").json()
    assert [one["title"] for one in told["alarms"]] == ["plain rule"]
    assert (told["counts"]["open"], told["counts"]["info"]) == (1, 1)
    assert (house.ask("operator", "/api/status").json()["alarms"], client.get("/api/status")["alarms"]) == (1, 2)
    counted = 'civium_alarms{severity="info",state="open"}'
    assert f"{counted} 1.0" in house.ask("operator", "/metrics").text
    assert f"{counted} 2.0" in client.http.get("/metrics").text
    (hidden,) = [one["id"] for one in client.get("/api/alarms")["alarms"] if SECRET in one["title"]]
    for what in ("ack", "shelve", "unshelve", "clear"):
        body = {"why": "x", "until": "2099-01-01T00:00:00Z"}
        answer = house.ask("operator", f"/api/alarms/{hidden}/{what}", "POST", json=body)
        assert answer.status_code == 404, answer.text
    assert house.ask("operator", f"/api/alarms/{hidden}").status_code == 404
    for watch in ({"datastream": house.hidden}, {"property": "air_temperature"}, {"kind": "lamp_post"}):
        rule = {"severity": "info", "watch": watch, "when": {"above": 1}}
        answer = house.ask("operator", "/api/alarms/rules", "POST", json={"id": "peep", "rule": rule, "why": "x"})
        assert answer.status_code in (400, 403), answer.text
    for stream in (house.open, house.hidden):
        house.admin("POST", f"/v1.1/Datastreams({stream})/Observations", {"result": 1})
    wait_for(lambda: not client.get("/api/alarms")["alarms"], 60)
    past = house.ask("operator", "/api/alarms?state=history").json()["alarms"]
    assert [one["title"] for one in past] == ["plain rule"]
    assert {one["title"] for one in client.get("/api/alarms", state="history")["alarms"]} > {"plain rule"}


def test_orders_about_guarded_streams_and_things_are_for_who_may_write_them(house: House) -> None:
    since = "2026-01-01T00:00:00Z"
    wish = {"datastream": house.hidden, "gain": 2, "from": since, "why": "x"}
    refused = house.ask("operator", "/api/calibrations", "POST", json=wish)
    unknown = house.ask("operator", "/api/calibrations", "POST", json={**wish, "datastream": 999_999})
    assert (refused.status_code, unknown.status_code) == (404, 404)
    key = house.city.client.post("/api/calibrations", **wish)["id"]
    assert house.ask("operator", "/api/calibrations").json()["calibrations"] == []
    assert house.ask("operator", f"/api/calibrations/{key}", "DELETE").status_code == 404
    stream = {"stream": f"{SECRET}/t", "from": since}
    assert house.ask("operator", "/api/calibrations", "DELETE", params=stream).status_code == 404
    assert len(house.city.client.get("/api/calibrations")["calibrations"]) == 1
    house.city.client.delete(f"/api/calibrations/{key}")
    upkeep = {"thing": house.hidden_thing, "until": "2099-01-01T00:00:00Z", "why": "x"}
    assert house.ask("operator", "/api/maintenance", "POST", json=upkeep).status_code == 404
    made = house.city.client.post("/api/maintenance", **upkeep)["id"]
    assert house.ask("operator", "/api/maintenance").json()["maintenance"] == []
    ended = house.ask("operator", f"/api/maintenance/{made}/end", "POST", json={"why": "x"})
    none = house.ask("operator", "/api/maintenance/none/end", "POST", json={"why": "x"})
    assert (ended.status_code, ended.text.replace(made, "none")) == (404, none.text)
    assert len(house.city.client.get("/api/maintenance")["maintenance"]) == 1
    house.city.client.post(f"/api/maintenance/{made}/end", why="x")


def test_a_listener_hears_nothing_more_once_its_token_is_revoked(house: House) -> None:
    made = house.city.client.post("/api/tokens", name="listener", role="operator")
    headers = {"Authorization": f"Bearer {made['token']}"}
    with httpx.stream("GET", f"{house.city.url}/api/events", headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        house.city.client.delete(f"/api/tokens/{made['id']}")
        begun = time.monotonic()
        for _ in lines:  # it ends by itself
            pass
    assert time.monotonic() - begun < 10
