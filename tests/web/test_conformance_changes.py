"""What the standard says of making, changing and taking away, on a running city (OGC 18-088, 10)."""

from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.standard import ANYTHING, CELSIUS, OM, Door, feature, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]

LUMEN = {"name": "Lumen", "symbol": "lm", "definition": "http://example.org/lumen"}
ENTROPY = {"name": "Entropy", "symbol": "S", "definition": "http://example.org/entropy"}


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


@pytest.fixture
def stand(door: Door) -> dict[str, int]:
    """A Thing at a Location, with a Datastream of one Observation: the ids by kind, of what hangs together."""
    it = door.make("Things", thing("stand", Locations=[place()], Datastreams=[stream(unit=CELSIUS)]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    made = door.make(f"Datastreams({mine})/Observations", {"result": 8, "phenomenonTime": "2026-03-01T00:00:00Z"})
    ways = {
        "Location": f"Things({it})/Locations", "HistoricalLocation": f"Things({it})/HistoricalLocations",
        "Sensor": f"Datastreams({mine})/Sensor", "ObservedProperty": f"Datastreams({mine})/ObservedProperty",
        "FeatureOfInterest": f"Observations({made})/FeatureOfInterest",
    }  # fmt: skip
    found = {kind: door.get(way) for kind, way in ways.items()}
    linked = {kind: (one["value"][0] if "value" in one else one)["@iot.id"] for kind, one in found.items()}
    return {"Thing": it, "Datastream": mine, "Observation": made, **linked}


PLURALS = {
    "Thing": "Things", "Location": "Locations", "HistoricalLocation": "HistoricalLocations", "Sensor": "Sensors",
    "Datastream": "Datastreams", "ObservedProperty": "ObservedProperties", "Observation": "Observations",
    "FeatureOfInterest": "FeaturesOfInterest",
}  # fmt: skip


def at(stand: dict[str, int], kind: str) -> str:
    return f"{PLURALS[kind]}({stand[kind]})"


HALF = {name: value for name, value in stream(unit=LUMEN).items() if name not in ("Sensor", "ObservedProperty")}
NO_ENCODING = {name: value for name, value in feature().items() if name != "encodingType"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("Things", thing(Locations=[place()], Datastreams=[{**HALF, "ObservedProperty": observed()}])),
        ("Things", thing(Locations=[{"name": "x"}])),
        ("Things", {"name": "no description"}),
        ("Datastreams", {**HALF, "Thing": "?", "ObservedProperty": observed(), "Observations": [{"result": 10}]}),
        ("Datastreams", {**HALF, "Thing": "?", "Sensor": sensor(), "Observations": [{"result": 10}]}),
        ("Datastreams", {**HALF, "ObservedProperty": observed(), "Sensor": sensor(), "Observations": [{"result": 1}]}),
        ("Observations", {"result": 1, "Datastream": "?"}),
        ("Observations", {"result": 1, "Datastream": "?", "FeatureOfInterest": NO_ENCODING}),
        ("Observations", {"result": 1, "FeatureOfInterest": feature()}),
        ("Observations", {"result": 1}),
        ("Datastreams({stream})/Observations", {"result": 1}),
        ("Datastreams({stream})/Observations", [{"result": 1}, {"result": 2}]),
        ("Things({thing})/Datastreams", stream(Observations=[{"result": 1}])),
    ],
)
def test_what_lacks_something_is_refused_and_nothing_of_it_is_made(door: Door, path: str, body: Any) -> None:
    it = door.make("Things", thing("nowhere"))  # at no Location: of it every Observation must name a feature
    mine = door.make(f"Things({it})/Datastreams", stream())
    known = {"Thing": ref(it), "Datastream": ref(mine)}
    if isinstance(body, dict):
        body = {name: known[name] if value == "?" else value for name, value in body.items()}
    with door.nothing_made(*PLURALS.values()):
        door.send("POST", path.format(stream=mine, thing=it), body, (400, 409))


def test_everything_is_made_by_itself_and_linked_by_reference(door: Door) -> None:
    it = door.make("Things", thing("alone"))
    here = door.make("Locations", place("here", point(-114, 51)))
    links = {"Thing": ref(it), "Sensor": ref(door.make("Sensors", sensor()))}
    links["ObservedProperty"] = ref(door.make("ObservedProperties", observed()))
    mine = door.make("Datastreams", {**HALF, **links})
    of = door.make("FeaturesOfInterest", feature())
    one = door.make("Observations", {"result": 8, "Datastream": ref(mine), "FeatureOfInterest": ref(of)})
    assert door.get(f"Observations({one})/FeatureOfInterest")["@iot.id"] == of
    assert door.get(f"Observations({one})")["resultTime"] is None
    past = {"time": "2015-03-01T00:40:00Z", "Thing": ref(it), "Locations": [ref(here)]}
    door.make("HistoricalLocations", past)
    assert [one["time"] for one in door.values(f"Things({it})/HistoricalLocations")] == ["2015-03-01T00:40:00Z"]


def test_a_feature_is_made_of_the_place_where_the_thing_is(door: Door) -> None:
    here, there = (
        door.make("Locations", place(name, where)) for name, where in (("a", point(1, 2)), ("b", point(3, 4)))
    )
    it, other = (door.make("Things", thing(name)) for name in ("mover", "neighbour"))
    mine, its = (door.make(f"Things({one})/Datastreams", stream()) for one in (it, other))

    def seen(of: int) -> Any:
        made = door.make("Observations", {"result": 100, "Datastream": ref(of)})
        return door.get(f"Observations({made})/FeatureOfInterest")

    door.send("PATCH", f"Things({it})", {"Locations": [ref(here)]})
    first = seen(mine)
    assert first["feature"] == point(1, 2)
    assert seen(mine)["@iot.id"] == first["@iot.id"]
    door.send("PATCH", f"Things({it})", {"Locations": [ref(there)]})
    second = seen(mine)
    assert (second["feature"], second["@iot.id"] != first["@iot.id"]) == (point(3, 4), True)
    door.send("PATCH", f"Things({other})", {"Locations": [ref(here)]})
    assert seen(its)["@iot.id"] == first["@iot.id"]  # of one place, one feature
    door.send("DELETE", f"FeaturesOfInterest({first['@iot.id']})")
    again = seen(its)
    assert (again["feature"], again["@iot.id"] != first["@iot.id"]) == (point(1, 2), True)
    deep = door.make(f"Things({other})/Datastreams", stream(Observations=[{"result": 1}]))
    door.send("DELETE", f"FeaturesOfInterest({again['@iot.id']})")
    assert door.values(f"Datastreams({deep})/Observations") == []
    deep = door.make(f"Things({other})/Datastreams", stream(Observations=[{"result": 1}]))
    assert door.get(f"Datastreams({deep})?$expand=Observations/FeatureOfInterest")["observedArea"] == point(1, 2)


def test_of_several_locations_the_one_on_the_map_is_observed(door: Door) -> None:
    words = {"name": "address", "description": "d", "encodingType": "text/plain", "location": "the quay"}
    it = door.make("Things", thing(Locations=[words, place("quay", point(8, 51)), words], Datastreams=[stream()]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    made = door.make(f"Datastreams({mine})/Observations", {"result": 1})
    assert door.get(f"Observations({made})/FeatureOfInterest")["feature"] == point(8, 51)


def test_what_is_nested_is_made_and_linked(door: Door) -> None:
    deep = stream("light", unit=LUMEN, Observations=[{"phenomenonTime": "2015-03-01T00:10:00Z", "result": 10}])
    it = door.make("Things", thing("office", properties={"floor": 3}, Locations=[place("roof")], Datastreams=[deep]))
    [light] = door.values(f"Things({it})/Datastreams")
    assert (light["name"], light["unitOfMeasurement"], light["observationType"]) == ("light", LUMEN, OM + "Measurement")
    for link, kept in (("Sensor", sensor()), ("ObservedProperty", observed())):
        assert kept.items() <= door.get(f"Datastreams({light['@iot.id']})/{link}").items()
    [seen] = door.values(f"Datastreams({light['@iot.id']})/Observations")
    assert (seen["phenomenonTime"], seen["result"]) == ("2015-03-01T00:10:00Z", 10)
    [roof] = door.values(f"Things({it})/Locations")
    assert place("roof").items() <= roof.items()
    assert len(door.ids(f"Things({it})/HistoricalLocations")) == 1
    whole = {
        "result": 5,
        "FeatureOfInterest": feature("lake"),
        "Datastream": {**stream("new"), "Thing": thing("newer")},
    }
    one = door.make("Observations", whole)
    assert door.get(f"Observations({one})/Datastream/Thing")["name"] == "newer"
    assert door.get(f"Observations({one})/FeatureOfInterest")["name"] == "lake"


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # kind, what a PATCH changes, what a PUT holds
    ("Thing", {"description": "patched"}, thing("put")),
    ("Location", {"location": point(114, -50)}, place("put", point(-114, 50))),
    ("HistoricalLocation", {"time": "2015-07-01T00:00:00Z"}, {"time": "2015-08-01T00:00:00Z"}),
    ("Sensor", {"metadata": "patched"}, sensor("put")),
    ("ObservedProperty", {"description": "patched"}, observed("put")),
    ("FeatureOfInterest", {"feature": point(114, -51)}, feature("put", point(-114, 51))),
    ("Datastream", {"description": "patched"}, {**HALF, "name": "put", "observationType": OM + "Observation"}),
    ("Observation", {"phenomenonTime": "2015-07-01T00:40:00Z"},
     {"result": 99, "phenomenonTime": "2015-08-01T00:40:00Z"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "whole"), CHANGES, ids=[kind for kind, *_ in CHANGES])
def test_a_patch_changes_what_it_says_and_a_put_all(
    door: Door, stand: dict[str, int], kind: str, changes: dict[str, Any], whole: dict[str, Any]
) -> None:
    path = at(stand, kind)
    before = door.get(path)
    door.send("PATCH", path, changes)
    assert door.get(path) == {**before, **changes}
    door.send("PUT", path, whole)
    after = door.get(path)
    assert whole.items() <= after.items()
    assert {name for name in after if "@" in name} == {name for name in before if "@" in name}


def test_results_stay_as_they_were_given_when_their_unit_or_type_becomes_another(
    door: Door, stand: dict[str, int]
) -> None:
    mine, one = at(stand, "Datastream"), at(stand, "Observation")
    assert door.send("PATCH", mine, {"unitOfMeasurement": ENTROPY}).json()["unitOfMeasurement"] == ENTROPY
    assert door.get(one)["result"] == 8
    later = door.make(f"{mine}/Observations", {"result": 9})
    door.send("PUT", mine, {**HALF, "observationType": OM + "Observation", "unitOfMeasurement": ENTROPY})
    assert [door.get(path)["result"] for path in (one, f"Observations({later})")] == [8, 9]
    changed = door.send("PUT", one, {"result": "99", "phenomenonTime": "2015-08-01T00:40:00Z"}).json()
    assert changed["result"] == "99"
    door.send("PATCH", mine, {"observationType": OM + "Measurement"}, 409)  # a text is no measurement
    door.send("PATCH", one, {"result": 99})
    door.send("PATCH", mine, {"observationType": OM + "Measurement", "unitOfMeasurement": CELSIUS})
    latest = door.get(f"{mine}?$expand=Observations($top=1;$orderby=phenomenonTime desc)")
    assert [one["result"] for one in latest["Observations"]] == [9]
    assert door.ids(f"{mine}/Observations?$filter=result eq 99") == [stand["Observation"]]
    assert door.get(f"{mine}/Observations?$count=true")["@iot.count"] == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Thing", {"Locations": [place()]}),
        ("Thing", {"Datastreams": [{"unitOfMeasurement": LUMEN}]}),
        ("Sensor", {"Datastreams": [{"unitOfMeasurement": LUMEN}]}),
        ("ObservedProperty", {"Datastreams": [{"unitOfMeasurement": LUMEN}]}),
        ("Datastream", {"ObservedProperty": observed()}),
        ("Datastream", {"Sensor": sensor()}),
        ("Datastream", {"Thing": thing()}),
        ("Datastream", {"Observations": [{"result": 1}]}),
    ],
)
def test_a_patch_makes_nothing(door: Door, stand: dict[str, int], kind: str, body: dict[str, Any]) -> None:
    with door.nothing_made(*PLURALS.values()):
        door.send("PATCH", at(stand, kind), body, 400)


# What goes with an entity (OGC 18-088, table 25); all else stays.
GOES: dict[str, set[str]] = {
    "Thing": {"Datastream", "HistoricalLocation", "Observation"},
    "Location": {"HistoricalLocation"},
    "HistoricalLocation": set(),
    "Datastream": {"Observation"},
    "Sensor": {"Datastream", "Observation"},
    "ObservedProperty": {"Datastream", "Observation"},
    "FeatureOfInterest": {"Observation"},
    "Observation": set(),
}


@pytest.mark.parametrize("kind", GOES)
def test_with_an_entity_goes_what_cannot_be_without_it(door: Door, stand: dict[str, int], kind: str) -> None:
    door.send("DELETE", at(stand, kind))
    gone = {other for other in stand if door.http.get(f"/v1.1/{at(stand, other)}").status_code == 404}
    assert gone == {kind, *GOES[kind]}
    door.send("DELETE", at(stand, kind), status=404)


def test_a_path_must_be_true_all_along(door: Door, stand: dict[str, int]) -> None:
    other = door.make("Things", thing("other"))
    good = f"{at(stand, 'Thing')}/{at(stand, 'Datastream')}"
    bad = f"Things({other})/{at(stand, 'Datastream')}"
    seen = at(stand, "Observation")
    door.get(f"{good}/Observations")
    door.get(f"{bad}/Observations", 404)
    made = door.make(f"{good}/Observations", {"result": 300})
    assert made in door.ids(f"{at(stand, 'Datastream')}/Observations")
    door.send("POST", f"{bad}/Observations", {"result": 300}, 404)
    for method, body in (("PUT", {"result": 301}), ("PATCH", {"result": 302}), ("DELETE", None)):
        door.send(method, f"{bad}/{seen}", body, 404)
        door.send(method, f"{good}/{seen}", body)
    door.get(seen, 404)
    assert door.make(f"{at(stand, 'Datastream')}/Thing/Datastreams", stream("by way of its thing"))


def test_a_later_place_of_a_thing_is_where_it_is(door: Door) -> None:
    it = door.make("Things", thing("ship"))
    ports = [door.make("Locations", place(f"port {n}", point(8, 50 + n))) for n in range(3)]
    door.send("PATCH", f"Things({it})", {"Locations": [ref(ports[0])]})
    [first] = door.ids(f"Things({it})/HistoricalLocations")
    door.send("PATCH", f"HistoricalLocations({first})", {"time": "2016-01-01T06:00:00Z"})
    for port, hour in ((1, 7), (2, 5)):
        called = {"time": f"2016-01-01T0{hour}:00:00Z", "Thing": ref(it), "Locations": [ref(ports[port])]}
        door.make("HistoricalLocations", called)
        assert door.ids(f"Things({it})/Locations") == [ports[1]]
    assert len(door.ids(f"Things({it})/HistoricalLocations")) == 3


@pytest.mark.parametrize("kind", ["Thing", "Datastream", "Sensor", "ObservedProperty", "Location", "FeatureOfInterest"])
def test_a_json_patch_adds_copies_and_moves(door: Door, stand: dict[str, int], kind: str) -> None:
    path = at(stand, kind)
    headers = {"Content-Type": "application/json-patch+json"}

    def patch(*operations: dict[str, Any]) -> Any:
        answer = door.http.patch(f"/v1.1/{path}", json=operations, headers=headers)
        assert answer.status_code == 200, answer.text
        return door.get(path).get("properties")

    assert patch({"op": "add", "path": "/properties", "value": {"a": 1}}) == {"a": 1}
    copied = {"op": "copy", "from": "/properties/a", "path": "/properties/b"}
    moved = {"op": "move", "from": "/properties/a", "path": "/properties/c"}
    assert patch(copied, moved) == {"b": 1, "c": 1}
    assert patch({"op": "remove", "path": "/properties"}) == {}


@pytest.mark.parametrize("kind", PLURALS)
def test_what_a_get_tells_may_be_sent_back(door: Door, stand: dict[str, int], kind: str) -> None:
    path = at(stand, kind)
    told = door.get(path)
    for method in ("PUT", "PATCH"):
        door.send(method, path, told)
        assert door.get(path) == told
    other = {"@iot.id": told["@iot.id"] + 1, "@iot.selfLink": "http://example.org/elsewhere"}
    door.send("PATCH", path, {**told, **other})
    door.get(path)
    links = {"Datastream": {"Thing": ref(stand["Thing"]), "Sensor": ref(stand["Sensor"]),
                            "ObservedProperty": ref(stand["ObservedProperty"])},
             "HistoricalLocation": {"Thing": ref(stand["Thing"]), "Locations": [ref(stand["Location"])]},
             "Observation": {"Datastream": ref(stand["Datastream"])}}.get(kind, {})  # fmt: skip
    made = door.make(PLURALS[kind], {**told, **links})
    assert made != told["@iot.id"]


def test_an_inline_entity_is_made_whatever_id_it_bears(door: Door, stand: dict[str, int]) -> None:
    body = thing("deep", Locations=[place(**{"@iot.id": 987_654_321})], Datastreams=[{**stream(), "@iot.id": 1}])
    it = door.make("Things", body)
    assert len(door.ids(f"Things({it})/Datastreams")) == len(door.ids(f"Things({it})/Locations")) == 1
    door.send("POST", "Things", thing(Locations=[ref(987_654_321)]), 400)
    door.send("POST", "Things", thing(Datastreams=[ref(stand["Datastream"])]), 400)
    for path, status in ((f"Datastreams({stand['Datastream']})/Observations", 201), ("Observations", 201)):
        door.send("POST", path, {"@iot.id": 1, "result": 1, "Datastream": ref(stand["Datastream"])}, status)


def test_a_set_between_is_posted_to_from_either_end(door: Door, stand: dict[str, int]) -> None:
    where, it = stand["Location"], stand["Thing"]
    for time, more in (("2011-01-01T00:00:00Z", {}), ("2012-01-01T00:00:00Z", {"Locations": [ref(where)]})):
        made = door.make(f"Locations({where})/HistoricalLocations", {"time": time, "Thing": ref(it), **more})
        assert door.ids(f"HistoricalLocations({made})/Locations") == [where]
    deep = door.make(
        "Locations", place("deep", HistoricalLocations=[{"time": "2013-01-01T00:00:00Z", "Thing": ref(it)}])
    )
    assert [one["time"] for one in door.values(f"Locations({deep})/HistoricalLocations")] == ["2013-01-01T00:00:00Z"]
    assert door.ids(f"Things({it})/Locations") == [where]


def test_observations_are_posted_to_what_is_there_and_of_its_kind(door: Door, stand: dict[str, int]) -> None:
    for body in ({"result": 1}, [{"result": 1}, {"result": 2}]):
        for path in (
            "Datastreams(987654321)",
            "MultiDatastreams(987654321)",
            f"MultiDatastreams({stand['Datastream']})",
        ):
            door.send("POST", f"{path}/Observations", body, 404)


def test_observations_are_taken_away_by_a_filter(door: Door) -> None:
    it = door.make("Things", thing(Locations=[place()], Datastreams=[stream("one", ANYTHING), stream("two", ANYTHING)]))
    one, two = sorted(door.ids(f"Things({it})/Datastreams"))
    for mine in (one, two):
        for n in range(6):
            body = {"result": n, "phenomenonTime": f"2026-03-0{n + 1}T00:00:00Z"}
            door.make(f"Datastreams({mine})/Observations", body)
    door.send("DELETE", f"Datastreams({one})/Observations?$filter=phenomenonTime lt 2026-03-03T00:00:00Z")
    door.send("DELETE", f"Observations?$filter=result eq 5 and Datastream/id eq {one}")
    door.send("DELETE", f"Datastreams({one})/Observations?$filter=result eq 'nothing is'")
    assert sorted(o["result"] for o in door.values(f"Datastreams({one})/Observations")) == [2, 3, 4]
    assert door.get(f"Datastreams({one})")["phenomenonTime"] == "2026-03-03T00:00:00Z/2026-03-05T00:00:00Z"
    assert len(door.ids(f"Datastreams({two})/Observations")) == 6
    for wrong in ("Observations?$top=1", "Things?$filter=true", f"Things({it})?$filter=true"):
        door.send("DELETE", wrong, status=400)
    door.send("DELETE", "Observations", status=405)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "Things", thing("twice", Locations=[ref(1), ref(1)])),
        ("POST", "HistoricalLocations", {"time": "2026-01-01T00:00:00Z", "Thing": ref(1), "Locations": [ref(1)] * 2}),
        ("POST", "Locations", place("twice", Things=[ref(1), ref(1)])),
        ("PATCH", "Things(1)", {"Locations": [ref(1), ref(1)]}),
        ("PATCH", "Locations(1)", {"Things": [ref(1), ref(1)]}),
        ("POST", "Things", thing("a", Datastreams=[stream("a", properties={"key": "x"})] * 2)),
        ("POST", "$batch", {"requests": [
            {"id": str(n), "atomicityGroup": "g", "method": "PATCH", "url": f"Things({n})",
             "body": {"properties": {"key": "same"}}} for n in (1, 2)]}),
        ("POST", "$batch", {"requests": [
            {"id": "1", "atomicityGroup": "g", "method": "PATCH", "url": "HistoricalLocations(1)",
             "body": {"Locations": [ref(1), ref(2)]}},
            {"id": "2", "atomicityGroup": "g", "method": "PATCH", "url": "Locations(2)",
             "body": {"HistoricalLocations": [ref(1), ref(2)]}}]}),
    ],
)  # fmt: skip
def test_what_stands_twice_never_stops_the_catalogue(door: Door, method: str, path: str, body: Any) -> None:
    for name in ("one", "two"):  # what the bodies refer to
        door.make("Things", thing(name, Locations=[place(name)]))
    answer = door.http.request(method, f"/v1.1/{path}", json=body)
    assert answer.status_code < 500, answer.text
    door.make("Things", thing("afterwards"))


@pytest.mark.parametrize("order", ["resultTime", "resultTime desc", "result", "result desc", "parameters/n,id desc"])
def test_nothing_sorts_first_and_pages_know_it(door: Door, order: str) -> None:
    it = door.make("Things", thing("sorted", Locations=[place()]))
    mine = door.make(f"Things({it})/Datastreams", stream("any", "urn:of-nobody"))
    results = [3, None, "b", True, "a", None, 1, False]
    for n, result in enumerate(results):
        when = {} if n % 3 else {"resultTime": f"2026-03-0{n + 1}T00:00:00Z"}
        door.make(f"Datastreams({mine})/Observations", {"result": result, "parameters": {"n": n % 2 or None}, **when})
    whole = door.values(f"Datastreams({mine})/Observations?$orderby={order}")
    assert len(whole) == len(results)
    if order.startswith("result "):
        assert [one["result"] for one in whole] == [3, 1, "b", "a", True, False, None, None]
    elif order == "result":
        assert [one["result"] for one in whole] == [None, None, False, True, "a", "b", 1, 3]
    else:
        named = "resultTime" if order.startswith("resultTime") else "parameters"
        empty = [one[named] is None or one[named] == {"n": None} for one in whole]
        assert empty == sorted(empty, reverse="Time desc" not in order)
    page, found = door.get(f"Datastreams({mine})/Observations?$orderby={order}&$top=1"), []
    while True:
        found += page["value"]
        if "@iot.nextLink" not in page:
            break
        page = door.get(page["@iot.nextLink"])
    assert found == whole
