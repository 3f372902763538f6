"""What guarded streams and readings leave behind when they are deleted tells nobody more than they did."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.city.conftest import CityProcess, new_city

__all__ = ["new_city"]

SECRET = "sesame"  # in every name that is guarded
CALLERS = ("public", "device", "operator")
HIDDEN = ("Things", "Sensors", "ObservedProperties", "Locations", "FeaturesOfInterest")
READS = (
    "/v1.1/Things?$expand=Locations,HistoricalLocations&$count=true", "/v1.1/Sensors", "/v1.1/ObservedProperties",
    "/v1.1/Locations", "/v1.1/FeaturesOfInterest", "/v1.1/Actuators", "/v1.1/TaskingCapabilities",
    "/v1.1/HistoricalLocations?$expand=Locations", "/api/things", "/api/map", "/api/desk", "/",
)  # fmt: skip


class Yard:
    """A city in which nobody is trusted, with an open gate."""

    def __init__(self, city: CityProcess) -> None:
        self.city, self.http = city, httpx.Client(base_url=city.url, timeout=60)
        self.gate = self.register("gate", {})
        wishes: dict[str, dict[str, Any]] = {
            "device": {"role": "device", "scopes": {"datastreams": [self.gate["stream"]]}},
            "operator": {"role": "operator"},
        }
        made = {name: city.client.post("/api/tokens", name=name, **wish)["token"] for name, wish in wishes.items()}
        self.tokens = {"public": "", **made}

    def register(self, name: str, how: dict[str, Any]) -> dict[str, int]:
        stream = {"key": f"{name}/s", "property": f"{name} property", "unit": "1", "sensor": f"{name} sensor", **how}
        lock = {"key": f"{name}/a", "name": f"{name} lock", "facts": {}}
        where = {"type": "Point", "coordinates": [20, 60]}
        line = {"key": name, "kind": "gate", "name": name, "where": where, "streams": [stream], "actuators": [lock]}
        told = self.city.client.post("/api/register", content=json.dumps(line).encode())
        found = {"thing": told["things"][name], "stream": told["streams"][f"{name}/s"]}
        return {**found, "actuator": told["actuators"][f"{name}/a"]}

    def observe(self, name: str, stream: int) -> int:
        feature = {"name": f"{name} feature", "description": "", "encodingType": "application/geo+json",
                   "feature": {"type": "Point", "coordinates": [21, 61]}}  # fmt: skip
        made = self.admin(
            f"/v1.1/Datastreams({stream})/Observations", "POST", {"result": 1, "FeatureOfInterest": feature}
        )
        return int(made.headers["Location"].rpartition("(")[2].rstrip(")"))

    def admin(self, path: str, method: str = "GET", body: Any = None) -> httpx.Response:
        answer = self.city.client.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer

    def ask(self, caller: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        token = self.tokens[caller]
        return self.http.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {}, **more)

    def ids(self) -> dict[str, list[int]]:
        """What there is whose name is a secret."""
        condition = f"contains(name, '{SECRET}')"
        found = {
            plural: self.city.client.get(f"/v1.1/{plural}", **{"$filter": condition})["value"] for plural in HIDDEN
        }
        return {plural: [one["@iot.id"] for one in some] for plural, some in found.items()}

    def check(self) -> None:
        """Nothing secret is told, on any way: it is answered as what is not there."""
        there = self.ids()
        for caller in CALLERS:
            for path in READS:
                answer = self.ask(caller, path)
                assert answer.status_code == 200, (path, answer.text)
                assert SECRET not in answer.text, (caller, path)
            for plural, some in there.items():
                for one in some:
                    told, unknown = (self.ask(caller, f"/v1.1/{plural}({n})") for n in (one, 999_999))
                    assert (told.status_code, unknown.status_code) == (404, 404), (caller, plural)
                    assert re.sub(r" \d+\b", " N", told.text) == re.sub(r" \d+\b", " N", unknown.text)
                counted = self.ask(caller, f"/v1.1/{plural}?$count=true&$top=0").json()["@iot.count"]
                assert counted == len(self.ask(caller, f"/v1.1/{plural}").json()["value"])
            assert len(self.ask(caller, "/v1.1/Things?$filter=name eq 'gate'").json()["value"]) == 1


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    city = CityProcess(tmp_path_factory.mktemp("yard") / "city", True, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    yield Yard(city)
    city.stop()


def delete_stream(yard: Yard, made: dict[str, int]) -> None:
    yard.admin(f"/v1.1/Datastreams({made['stream']})", "DELETE")


def delete_thing(yard: Yard, made: dict[str, int]) -> None:
    yard.admin(f"/v1.1/Things({made['thing']})", "DELETE")


def delete_capability(yard: Yard, made: dict[str, int]) -> None:
    yard.admin(f"/v1.1/TaskingCapabilities({made['actuator']})", "DELETE")


def close_then_delete_stream(yard: Yard, made: dict[str, int]) -> None:
    """An open stream that went before makes nothing known either."""
    extra = {"name": "plain", "description": "", "observationType": "x", "Thing": {"@iot.id": made["thing"]},
             "unitOfMeasurement": {"name": "1", "symbol": "1", "definition": "1"},
             "Sensor": {"name": "s", "description": "", "encodingType": "text/plain", "metadata": ""},
             "ObservedProperty": {"name": "p", "definition": "urn:p", "description": ""}}  # fmt: skip
    other = int(yard.admin("/v1.1/Datastreams", "POST", extra).json()["@iot.id"])
    yard.admin(f"/v1.1/Datastreams({other})", "DELETE")
    delete_stream(yard, made)


@pytest.mark.parametrize("how", [{"personal": True}, {"access": "restricted"}], ids=["personal", "restricted"])
@pytest.mark.parametrize(
    "act", [delete_stream, delete_thing, delete_capability, close_then_delete_stream], ids=lambda act: act.__name__
)
def test_what_is_deleted_leaves_nothing_to_be_seen(
    yard: Yard, how: dict[str, Any], act: Callable[[Yard, dict[str, int]], None]
) -> None:
    made = yard.register(f"{SECRET} {act.__name__} {next(iter(how))}", how)
    yard.observe(f"{SECRET} {act.__name__}", made["stream"])
    yard.check()
    act(yard, made)
    yard.check()
    if act is delete_stream:
        unmade = json.dumps(
            {"key": f"{SECRET} {act.__name__} {next(iter(how))}", "kind": "gate", "name": "x", "streams": []}
        )
        told = yard.ask("operator", "/api/register", "POST", content=unmade)
        assert (told.status_code, f"{SECRET} lock" in told.text) == (403, False)


def test_the_feature_of_a_guarded_observation_is_hidden_when_that_is_deleted(yard: Yard) -> None:
    made = yard.register(f"{SECRET} observed", {"personal": True})
    observation = yard.observe(f"{SECRET} observed", made["stream"])
    yard.admin(f"/v1.1/Observations({observation})", "DELETE")
    time.sleep(0.5)
    yard.check()
    feature = yard.ids()["FeaturesOfInterest"][-1]
    body = {"result": 1, "FeatureOfInterest": {"@iot.id": feature}}
    for caller in ("device", "operator"):  # nor can it be made known by an open reading
        told = yard.ask(caller, f"/v1.1/Datastreams({yard.gate['stream']})/Observations", "POST", json=body)
        assert told.status_code == 400, told.text
    yard.check()


def test_what_never_was_guarded_is_seen_without_its_streams(yard: Yard) -> None:
    made = yard.register("hut", {})
    yard.admin(f"/v1.1/Datastreams({made['stream']})", "DELETE")
    bare = yard.admin("/v1.1/Things", "POST", {"name": "bare", "description": "", "Locations": [{
        "name": "bare place", "description": "", "encodingType": "application/geo+json",
        "location": {"type": "Point", "coordinates": [1, 1]}}]}).json()["@iot.id"]  # fmt: skip
    for caller in CALLERS:
        told = [yard.ask(caller, f"/v1.1/Things({one})/Locations").json()["value"] for one in (made["thing"], bare)]
        assert [len(some) for some in told] == [1, 1]
        assert "hut sensor" in yard.ask(caller, "/v1.1/Sensors").text
        assert "hut property" in yard.ask(caller, "/v1.1/ObservedProperties").text


def test_it_stays_hidden_when_the_city_is_started_again(yard: Yard) -> None:
    made = yard.register(f"{SECRET} again", {"access": "restricted"})
    yard.admin(f"/v1.1/Datastreams({made['stream']})", "DELETE")
    yard.city.stop()
    yard.city.start()
    yard.http = httpx.Client(base_url=yard.city.url, timeout=60)
    yard.check()


def test_who_needs_no_token_may_post_a_feature_first_and_observe_it_then(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    lines = [{"key": name, "kind": "gate", "streams": [{"key": f"{name}/s", "property": "p", "unit": "1", **how}]}
             for name, how in (("open", {}), ("closed", {"access": "restricted"}))]  # fmt: skip
    told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())["streams"]
    feature = {"name": "f", "description": "", "encodingType": "application/geo+json",
               "feature": {"type": "Point", "coordinates": [21, 61]}}  # fmt: skip
    with httpx.Client(base_url=city.url, timeout=60) as anyone:
        made = anyone.post("/v1.1/FeaturesOfInterest", json=feature).headers["Location"]
        assert anyone.get(made).status_code == 200
        reading = {"result": 1, "FeatureOfInterest": {"@iot.id": int(made.rpartition("(")[2].rstrip(")"))}}
        path = f"/v1.1/Datastreams({told['open/s']})/Observations"
        assert anyone.post(path, json=reading).status_code == 201


def test_what_is_guarded_is_opened_by_administrators_alone(yard: Yard) -> None:
    stream = yard.register("shed", {"access": "internal"})["stream"]
    token = yard.city.client.post("/api/tokens", name="keeper", role="operator", scopes={"kinds": ["gate"]})["token"]
    with httpx.Client(base_url=yard.city.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as keeper:

        def patch(who: httpx.Client, **more: Any) -> int:
            return who.patch(f"/v1.1/Datastreams({stream})", json={"properties": more}).status_code

        assert patch(keeper, access="restricted", personal=True) == 200
        assert [patch(keeper, **less) for less in ({"access": "open"}, {"access": "internal"})] == [403, 403]
        assert patch(keeper, access="restricted", personal=False) == 403
        assert patch(yard.city.client.http, access="open", personal=False) == 200
