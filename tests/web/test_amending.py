"""Rules of PATCH, PUT and DELETE over HTTP, on a real city."""

from typing import Any

import httpx
import pytest

from tests.city.conftest import CityProcess, city

__all__ = ["city"]

WORDS = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_CategoryObservation"
POINT = {"type": "Point", "coordinates": [24.9, 60.1]}
ELSEWHERE = {"type": "Point", "coordinates": [25.0, 60.2]}


def place(name: str, where: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": name, "encodingType": "application/geo+json", "location": where}


def stream(name: str = "air", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "of the air",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "unitOfMeasurement": {"name": "degC", "symbol": "degC", "definition": None},
        "ObservedProperty": {"name": "air_temperature", "definition": "urn:x", "description": "how warm it is"},
        "Sensor": {"name": "probe", "description": "a probe", "encodingType": "text/plain", "metadata": "none"},
        **more,
    }


def thing(**more: Any) -> dict[str, Any]:
    locations = [place("here", POINT)]
    return {"name": "lamp", "description": "a lamp", "Locations": locations, "Datastreams": [stream()], **more}


class Door:
    """The door as a client sees it."""

    def __init__(self, city: CityProcess) -> None:
        self.http: httpx.Client = city.client.http

    def post(self, path: str, body: Any) -> str:
        made = self.http.post(f"/v1.1/{path}", json=body)
        assert made.status_code == 201, made.text
        return made.headers["location"].partition("/v1.1/")[2]

    def get(self, path: str, status: int = 200) -> Any:
        found = self.http.get(f"/v1.1/{path}")
        assert found.status_code == status, found.text
        return found.json()

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        done = self.http.request(method, f"/v1.1/{path}", json=body)
        assert done.status_code == status, done.text
        return done.json() if done.content else None

    def ids(self, path: str) -> list[int]:
        return [one["@iot.id"] for one in self.get(path)["value"]]


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


def test_a_patch_changes_what_it_names_and_a_put_resets_the_rest(door: Door) -> None:
    it = door.post("Things", thing(properties={"colour": "red"}))
    assert door.send("PATCH", it, {"name": "renamed"})["name"] == "renamed"
    assert door.get(it)["properties"] == {"colour": "red"}
    door.send("PUT", it, {"name": "new", "description": "whole"})
    found = door.get(it)
    assert (found["name"], found["description"], found.get("properties", {})) == ("new", "whole", {})
    assert len(door.ids(f"{it}/Datastreams")) == 1
    assert "description is missing" in door.send("PUT", it, {"name": "half"}, 400)["message"]


def test_a_thing_moves_by_a_patch_of_its_locations_and_keeps_its_history(door: Door) -> None:
    it = door.post("Things", thing())
    there = door.post("Locations", place("there", ELSEWHERE))
    number = int(there.partition("(")[2][:-1])
    door.send("PATCH", it, {"Locations": [{"@iot.id": number}]})
    assert door.ids(f"{it}/Locations") == [number]
    assert len(door.ids(f"{it}/HistoricalLocations")) == 2
    door.send("PATCH", it, {"Locations": [{"@iot.id": number}]})
    assert len(door.ids(f"{it}/HistoricalLocations")) == 2  # it did not move
    door.send("DELETE", there)
    assert door.ids(f"{it}/Locations") == []
    assert len(door.ids(f"{it}/HistoricalLocations")) == 1
    door.get(there, 404)


def test_a_history_later_than_all_others_says_where_the_thing_is(door: Door) -> None:
    it = door.post("Things", thing())
    number = int(it.partition("(")[2][:-1])
    old, new = (door.post("Locations", place(name, ELSEWHERE)) for name in ("old", "new"))
    ids = [int(one.partition("(")[2][:-1]) for one in (old, new)]
    told = {"Thing": {"@iot.id": number}, "Locations": [{"@iot.id": ids[0]}]}
    door.post("HistoricalLocations", {"time": "2001-01-01T00:00:00Z", **told})
    assert ids[0] not in door.ids(f"{it}/Locations")
    told["Locations"] = [{"@iot.id": ids[1]}]
    door.post("HistoricalLocations", {"time": "2031-01-01T00:00:00Z", **told})
    assert door.ids(f"{it}/Locations") == [ids[1]]


def test_a_datastream_goes_to_another_thing_and_by_navigation_to_its_own(door: Door) -> None:
    one, other = door.post("Things", thing()), door.post("Things", thing())
    [mine] = door.ids(f"{one}/Datastreams")
    number = int(other.partition("(")[2][:-1])
    door.send("PATCH", f"Datastreams({mine})", {"Thing": {"@iot.id": number}})
    assert door.ids(f"{one}/Datastreams") == []
    assert mine in door.ids(f"{other}/Datastreams")
    door.send("PATCH", f"Datastreams({mine})/Thing", {"name": "by way of the stream"})
    assert door.get(other)["name"] == "by way of the stream"


def test_an_observation_is_corrected_moved_and_taken_away(door: Door) -> None:
    it = door.post("Things", thing(Datastreams=[stream("one"), stream("two")]))
    one, two = sorted(door.ids(f"{it}/Datastreams"))
    times = [f"2026-11-22T1{hour}:00:00Z" for hour in range(3)]
    made = [
        door.post(
            f"Datastreams({one})/Observations", {"result": 20 + at, "phenomenonTime": time, "parameters": {"a": 1}}
        )
        for at, time in enumerate(times)
    ]
    latest = f"Datastreams({one})/Observations?$orderby=phenomenonTime desc&$top=1"
    corrected = door.send("PATCH", made[2], {"result": 30.5})
    assert (corrected["result"], corrected["phenomenonTime"][:13], corrected["parameters"]) == (
        30.5,
        times[2][:13],
        {"a": 1},
    )
    assert door.get(latest)["value"][0]["result"] == 30.5
    again = door.send("PUT", made[2], {"result": 31})
    assert (again["result"], again["phenomenonTime"][:13], again.get("parameters")) == (31, times[2][:13], None)
    door.send("DELETE", made[2])
    door.get(made[2], 404)
    door.send("DELETE", made[2], None, 404)
    assert door.get(latest)["value"][0]["result"] == 21
    door.send("PATCH", made[1], {"Datastream": {"@iot.id": two}})
    assert door.get(latest)["value"][0]["result"] == 20
    assert door.get(f"Datastreams({two})/Observations")["value"][0]["result"] == 21
    assert [door.get(f"Datastreams({s})/Observations?$count=true&$top=0")["@iot.count"] for s in (one, two)] == [1, 1]
    door.send("PATCH", made[0], {"phenomenonTime": "2026-11-20T00:00:00Z"})
    span = door.get(f"Datastreams({one})")["phenomenonTime"]
    assert span.startswith("2026-11-20T00:00:00")


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("Things({thing})", {"nmae": "x"}, 400, "no property 'nmae'"),
        ("Things({thing})", {"name": None}, 400, "name is missing"),
        ("Things({thing})", {"name": 5}, 400, "must be a text"),
        ("Things({thing})", {"Datastreams": [{"name": "new"}]}, 400, "none is made here"),
        ("Things({thing})", {"Locations": [{"@iot.id": 9999}]}, 400, "there is no Location 9999"),
        ("Things({thing})", {"Locations": {}}, 400, "must be a list"),
        ("Things({thing})", [], 400, "must be an object"),
        ("Datastreams({stream})", {"Thing": None}, 400, "refer to a Thing"),
        ("Datastreams({stream})", {"observationType": WORDS}, 409, "Observations in another quantity"),
        ("Observations({observation})", {"result": "warm"}, 400, "takes numbers"),
        ("Observations({observation})", {"Datastream": {"@iot.id": 9999}}, 400, "there is no Datastream 9999"),
        ("Observations({observation})", {"resultTime": "2099-01-01T00:00:00Z"}, 400, "in the future"),
        ("Things(9999)", {"name": "x"}, 404, "there is no Thing 9999"),
        ("Nothings(1)", {"name": "x"}, 404, "there are no 'Nothings'"),
        ("Things", {"name": "x"}, 405, "does not work here"),
        ("Things({thing})/name", {"name": "x"}, 405, "does not work here"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name_and_nothing_changes(
    door: Door, path: str, body: Any, status: int, why: str
) -> None:
    it = door.post("Things", thing())
    [mine] = door.ids(f"{it}/Datastreams")
    seen = door.post(f"Datastreams({mine})/Observations", {"result": 20})
    names = {"thing": it, "observation": seen}
    numbers = {name: at.partition("(")[2][:-1] for name, at in names.items()}
    before = [door.get(at) for at in (it, f"Datastreams({mine})", seen)]
    told = door.send("PATCH", path.format(stream=mine, **numbers), body, status)
    assert why in (told["message"] + str(told.get("rows")))
    assert [door.get(at) for at in (it, f"Datastreams({mine})", seen)] == before


def test_a_unit_of_the_same_quantity_may_change_and_the_results_are_told_in_it(door: Door) -> None:
    it = door.post("Things", thing())
    [mine] = door.ids(f"{it}/Datastreams")
    door.post(f"Datastreams({mine})/Observations", {"result": 20})
    door.send("PATCH", f"Datastreams({mine})", {"unitOfMeasurement": {"name": "K", "symbol": "K", "definition": None}})
    door.post(f"Datastreams({mine})/Observations", {"result": 300})
    assert [one["result"] for one in door.get(f"Datastreams({mine})/Observations?$orderby=id")["value"]] == [
        293.15,
        300,
    ]


@pytest.mark.parametrize("way", ["Things", "Sensors", "ObservedProperties", "Datastreams"])
def test_with_what_it_hangs_on_goes_a_datastream_with_its_observations(door: Door, way: str) -> None:
    it = door.post("Things", thing())
    [mine] = door.ids(f"{it}/Datastreams")
    seen = door.post(f"Datastreams({mine})/Observations", {"result": 20})
    links = {"Things": "Thing", "Sensors": "Sensor", "ObservedProperties": "ObservedProperty", "Datastreams": ""}
    at = f"Datastreams({mine})/{links[way]}".rstrip("/")
    places = door.ids(f"{it}/Locations")
    door.send("DELETE", at)
    door.get(f"Datastreams({mine})", 404)
    door.get(seen, 404)
    assert mine not in [one["@iot.id"] for one in door.get("Datastreams?$top=1000")["value"]]
    assert f"Observations({seen})" not in str(door.get("Observations?$top=1000"))
    refused = door.http.post(f"/v1.1/Datastreams({mine})/Observations", json={"result": 1})
    assert refused.status_code == 404
    assert door.http.get(f"/v1.1/{it}").status_code == (404 if way == "Things" else 200)
    for place_ in places:
        door.get(f"Locations({place_})")  # Locations stay


def test_with_a_feature_go_its_observations(door: Door) -> None:
    it = door.post("Things", thing())
    [mine] = door.ids(f"{it}/Datastreams")
    feature = {"name": "lake", "description": "a lake", "encodingType": "application/geo+json", "feature": POINT}
    number = int(door.post("FeaturesOfInterest", feature).partition("(")[2][:-1])
    of = {"FeatureOfInterest": {"@iot.id": number}}
    path = f"Datastreams({mine})/Observations"
    gone, stays = (door.post(path, {"result": at, **more}) for at, more in enumerate((of, {})))
    door.send("DELETE", f"FeaturesOfInterest({number})")
    door.get(gone, 404)
    door.get(stays)
    door.get(f"FeaturesOfInterest({number})", 404)
    assert door.http.post(f"/v1.1/{path}", json={"result": 1, **of}).status_code == 400


def test_an_entity_that_is_posted_again_under_its_key_is_one_entity(door: Door) -> None:
    def post(body: Any) -> httpx.Response:
        return door.http.post("/v1.1/Things", json=body, headers={"Idempotency-Key": "once"})

    before = door.get("Things?$count=true&$top=0")["@iot.count"]
    first, again = post(thing(name="once")), post(thing(name="once"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.headers["location"] == again.headers["location"]
    assert first.json() == again.json()
    other = post(thing(name="other"))
    assert other.status_code == 409
    assert "Idempotency-Key" in other.text
    assert door.get("Things?$count=true&$top=0")["@iot.count"] == before + 1


def test_of_a_tree_with_a_wrong_observation_nothing_is_created(door: Door) -> None:
    before = door.get("Things?$count=true&$top=0")["@iot.count"]
    wrong = thing(name="never", Datastreams=[stream(Observations=[{"result": 1}, {"result": "warm"}])])
    refused = door.http.post("/v1.1/Things", json=wrong)
    assert refused.status_code == 400
    assert "takes numbers" in refused.text
    assert door.get("Things?$count=true&$top=0")["@iot.count"] == before


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "test", "path": "/name", "value": "another"}], 409),
        ([{"op": "remove", "path": "/name"}], 400),
        ([{"op": "replace", "path": "/colour/red", "value": 1}], 400),
        ([{"op": "add", "path": "/colour", "value": 1}], 400),
        ([{"op": "paint", "path": "/name"}], 400),
        ([{"op": "replace", "path": "", "value": []}], 400),
        ([{"path": 7}, 3], 400),
        ([{"op": "copy", "from": "/properties", "path": "/properties/again"}] * 1_000, 400),
        ({"op": "remove", "path": "/name"}, 400),
    ],
)
def test_a_json_patch_that_cannot_be_done_changes_nothing(door: Door, operations: Any, status: int) -> None:
    path = door.post("Things", thing(properties={"a": 1}))
    before = door.get(path)
    headers = {"Content-Type": "application/json-patch+json"}
    done = door.http.patch(f"/v1.1/{path}", json=operations, headers=headers)
    assert done.status_code == status, done.text
    assert door.get(path) == before


def test_an_observation_is_corrected_by_a_json_patch(door: Door) -> None:
    made = door.post("Datastreams", stream(Thing=thing(Datastreams=[])))
    one = door.post(f"{made}/Observations", {"result": 1.5, "resultQuality": 3})
    operations = [
        {"op": "replace", "path": "/result", "value": 2.5},
        {"op": "remove", "path": "/resultQuality"},
        {"op": "add", "path": "/parameters/depth", "value": 4},
    ]
    headers = {"Content-Type": "application/json-patch+json"}
    assert door.http.patch(f"/v1.1/{one}", json=operations, headers=headers).status_code == 200
    told = door.get(one)
    assert (told["result"], told["parameters"], "resultQuality" in told) == (2.5, {"depth": 4}, False)
