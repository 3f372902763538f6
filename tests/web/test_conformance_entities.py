"""What the standard says of entities and their addresses, on a running city (OGC 18-088, 8.2, 9.1, 9.2)."""

from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.standard import CELSIUS, OM, Door, feature, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]

MULTI = {
    "name": "wind", "description": "wind", "unitOfMeasurements": [{"name": "m/s", "symbol": "m/s", "definition": "x"},
    {"name": "degree", "symbol": "deg", "definition": "x"}], "multiObservationDataTypes": [OM + "Measurement"] * 2,
    "observationType": OM + "ComplexObservation", "Sensor": sensor("vane"),
    "ObservedProperties": [observed("speed"), observed("direction")],
}  # fmt: skip

# of each set: what must be told, what may be left out, to one, to many
MODEL: dict[str, tuple[str, str, str, str]] = {
    "Things": ("name description", "properties", "", "Locations HistoricalLocations Datastreams MultiDatastreams"),
    "Locations": ("name description encodingType location", "properties", "", "Things HistoricalLocations"),
    "HistoricalLocations": ("time", "", "Thing", "Locations"),
    "Datastreams": ("name description observationType unitOfMeasurement",
                    "properties observedArea phenomenonTime resultTime", "Thing Sensor ObservedProperty",
                    "Observations"),
    "MultiDatastreams": ("name description observationType unitOfMeasurements multiObservationDataTypes",
                         "properties observedArea phenomenonTime resultTime", "Thing Sensor",
                         "ObservedProperties Observations"),
    "Sensors": ("name description encodingType metadata", "properties", "", "Datastreams MultiDatastreams"),
    "ObservedProperties": ("name description definition", "properties", "", "Datastreams MultiDatastreams"),
    "Observations": ("phenomenonTime resultTime result", "resultQuality validTime parameters",
                     "FeatureOfInterest Datastream", ""),
    "FeaturesOfInterest": ("name description encodingType feature", "properties", "", "Observations"),
}  # fmt: skip
SINGULAR = {"Thing": "Things", "Sensor": "Sensors", "ObservedProperty": "ObservedProperties",
            "Datastream": "Datastreams", "FeatureOfInterest": "FeaturesOfInterest"}  # fmt: skip


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    """A city with one entity of each kind at least, all linked."""
    made = Door(city)
    it = made.make("Things", thing(Locations=[place()], Datastreams=[stream(unit=CELSIUS)], properties={"a": {"b": 1}}))
    [one] = made.ids(f"Things({it})/Datastreams")
    full = {"result": 1, "resultQuality": "good", "validTime": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z",
            "parameters": {"p": 1}, "resultTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    made.make(f"Datastreams({one})/Observations", full)
    other = made.make(f"Things({it})/MultiDatastreams", MULTI)
    made.make(f"MultiDatastreams({other})/Observations", {"result": [1.5, 90]})
    return made


def test_the_root_tells_every_set_by_its_address(door: Door) -> None:
    told = {one["name"]: one["url"] for one in door.get("")["value"]}
    assert MODEL.keys() <= told.keys()
    assert told == {name: f"{door.root}/{name}" for name in told}
    assert {"TaskingCapabilities", "Actuators", "Tasks"} <= told.keys()
    settings = door.get("")["serverSettings"]
    names = [
        "datamodel/historical-location/properties", "datamodel/feature-of-interest/relations",
        "multi-datastream/constraints", "datamodel/observed-property", "request-data/status-code",
        "create-update-delete/update-entity-jsonpatch",
        "resource-path/resource-path-to-entities", "batch-request/batch-request", "data-array/data-array",
    ]  # fmt: skip
    sensing, tasking = (f"http://www.opengis.net/spec/iot_{part}/req/" for part in ("sensing/1.1", "tasking/1.0"))
    by_mqtt = [f"{sensing}receive-updates-via-mqtt/receive-updates", f"{tasking}create-tasks-via-mqtt"]
    listed = [*(sensing + name for name in names), f"{tasking}tasking-capability/properties", *by_mqtt]
    assert set(listed) <= set(settings["conformance"])
    assert len(set(settings["conformance"])) == len(settings["conformance"])
    for one in by_mqtt:
        assert settings[one]["endpoints"][0].startswith("mqtt://")


@pytest.mark.parametrize("plural", MODEL)
def test_an_entity_tells_itself_its_properties_and_its_links(door: Door, plural: str) -> None:
    must, may, one, many = (words.split() for words in MODEL[plural])
    for told in (door.values(plural)[0], door.get(f"{plural}({door.ids(plural)[0]})")):
        own = f"{door.root}/{plural}({told['@iot.id']})"
        assert told["@iot.selfLink"] == own
        assert set(must) <= told.keys()
        for link in (*one, *many):
            assert told[f"{link}@iot.navigationLink"] == f"{own}/{link}"
        plain = {name for name in told if "@" not in name}
        assert plain <= {*must, *may}


@pytest.mark.parametrize("plural", [*MODEL, "Tasks", "Actuators", "TaskingCapabilities"])
def test_what_is_not_there_is_not_found(door: Door, plural: str) -> None:
    for identity in (2**63 - 1, 987_654_321):
        door.get(f"{plural}({identity})", 404)
    door.get(f"{plural}(null)", 400)
    door.get(f"{plural}({door.ids('Things')[0]})/Nothings", 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "Things({})", 405), ("POST", "Things({})/name", 405), ("POST", "Things({})/Nothings", 404),
        ("POST", "Nothings", 404), ("POST", "Datastreams({stream})/Thing", 405), ("POST", "Things/$ref", 405),
        ("PATCH", "Things", 405), ("PUT", "Things({})/name", 405), ("PATCH", "Things(987654321)", 404),
        ("PUT", "Things(987654321)", 404), ("DELETE", "Things", 405), ("DELETE", "Things(987654321)", 404),
        ("DELETE", "Things({})/Nothings(1)", 404), ("POST", "Things(987654321)/Datastreams", 404),
        ("POST", "", 405), ("GET", "Things({})/Nothings", 404), ("GET", "Things({})/name/x", 404),
        ("GET", "Things({})/properties/nothing", 404), ("GET", "Things(x)", 400), ("GET", "things", 404),
        ("DELETE", "CreateObservations", 405), ("DELETE", "$batch", 405),
    ],
)  # fmt: skip
def test_a_method_that_an_address_does_not_take_is_said(door: Door, method: str, path: str, status: int) -> None:
    path = path.format(door.ids("Things")[0], stream=door.ids("Datastreams")[0])
    body = thing("whole") if method in ("POST", "PUT", "PATCH") else None
    answer = door.send(method, path, body, status)
    assert answer.json()["code"] == status
    if status == 405:
        assert method not in answer.headers["allow"].split(", ")


@pytest.mark.parametrize("plural", MODEL)
def test_every_property_has_an_address_and_a_bare_value(door: Door, plural: str) -> None:
    must, may, _, _ = (words.split() for words in MODEL[plural])
    identity = door.ids(plural)[-1] if plural != "Observations" else door.ids("Observations?$filter=result eq 1")[0]
    whole = door.get(f"{plural}({identity})")
    for name in (*must, *may):
        answer = door.send("GET", f"{plural}({identity})/{name}", status=(200, 204))
        bare = door.send("GET", f"{plural}({identity})/{name}/$value", status=(200, 204))
        if whole.get(name) in (None, {}):
            assert (answer.status_code, bare.status_code) == (204, 204)
            continue
        assert answer.json() == {name: whole[name]}
        assert bare.headers["content-type"].startswith("text/plain")
        assert bare.text.startswith("{") == isinstance(whole[name], dict)


def test_a_property_that_was_not_given_is_empty(door: Door) -> None:
    bare = door.make("Things", thing("bare"))
    assert not door.get(f"Things({bare})")["properties"]
    for ending in ("", "/$value"):
        assert door.send("GET", f"Things({bare})/properties{ending}", status=204).content == b""


def paths(plural: str, depth: int) -> list[list[str]]:
    """Ways of links from a set, each of so many steps at most."""
    _, _, one, many = (words.split() for words in MODEL[plural])
    out = []
    for link in (*one, *many):
        out.append([link])
        if depth > 1:
            there = SINGULAR.get(link, link)
            out += [[link, *rest] for rest in paths(there, depth - 1)]
    return out


@pytest.mark.parametrize("plural", [name for name in MODEL if name not in ("MultiDatastreams",)])
def test_links_are_followed_to_any_depth_and_by_reference(door: Door, plural: str) -> None:
    start = door.ids(f"{plural}?$filter=result eq 1" if plural == "Observations" else plural)[0]
    for way in paths(plural, 2):
        path = f"{plural}({start})"
        for at, link in enumerate(way):
            path = f"{path}/{link}"
            found = door.get(path)
            refs = door.get(f"{path}/$ref")
            if link in SINGULAR:
                assert refs == {"@iot.selfLink": found["@iot.selfLink"]}
                continue
            assert refs["value"] == [{"@iot.selfLink": one["@iot.selfLink"]} for one in found["value"]]
            if not found["value"]:
                break
            if at < len(way) - 1:
                path = f"{path}({found['value'][0]['@iot.id']})"
                assert door.get(path)["@iot.id"] == found["value"][0]["@iot.id"]


def test_a_result_of_several_values_is_reached_by_its_place(door: Door) -> None:
    [one] = [o for o in door.values("Observations") if o["result"] == [1.5, 90]]
    path = f"Observations({one['@iot.id']})"
    assert door.get(f"{path}/result%5B0%5D") == {"result[0]": 1.5}
    assert door.get(f"{path}/result[1]") == {"result[1]": 90}
    assert "Datastream@iot.navigationLink" not in one
    assert door.get(f"{path}/MultiDatastream")["name"] == "wind"


ANY: list[Any] = [
    True,
    False,
    "forty two",
    1,
    1.25,
    -3,
    2**62 + 1,
    {"n": 1.5, "s": "x", "b": True},
    [1.5, "x", True],
    None,
]


@pytest.mark.parametrize("result", ANY, ids=str)
def test_a_result_comes_back_as_it_was_given(door: Door, result: Any) -> None:
    [it] = [door.ids("Things")[0]]
    mine = door.make(f"Things({it})/Datastreams", stream("any", "urn:of-nobody"))
    made = door.make(f"Datastreams({mine})/Observations", {"result": result})
    told = door.get(f"Observations({made})")
    assert told["result"] == result
    assert type(told["result"]) is type(result)
    changed = door.send("PATCH", f"Observations({made})", {"result": None}).json()
    assert changed["result"] is None
    assert door.send("PATCH", f"Observations({made})", {"result": result}).json()["result"] == result


@pytest.mark.parametrize("number", [8, 8.5, -0.1, 0, 2**62 + 1, 1e20], ids=str)
def test_a_measured_number_comes_back_as_it_was_given(door: Door, number: float) -> None:
    mine = door.make(f"Things({door.ids('Things')[0]})/Datastreams", stream("measured"))
    made = door.make(f"Datastreams({mine})/Observations", {"result": number})
    assert door.get(f"Observations({made})/result") == {"result": number}
    if abs(number) < 2**53:
        assert door.ids(f"Datastreams({mine})/Observations?$filter=result eq {number!r}") == [made]


@pytest.mark.parametrize("quality", ["good", 3, {"status": {"code": "x"}}, [{"name": "a"}, {"name": "b"}]], ids=str)
def test_the_quality_of_a_result_may_be_any_json(door: Door, quality: Any) -> None:
    mine = door.ids("Datastreams")[0]
    made = door.make(f"Datastreams({mine})/Observations", {"result": 1, "resultQuality": quality})
    assert door.get(f"Observations({made})")["resultQuality"] == quality
    if not isinstance(quality, dict | list):
        told = f"'{quality}'" if isinstance(quality, str) else quality
        assert made in door.ids(f"Observations?$filter=resultQuality eq {told}")


LINE = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
AREA = {
    "type": "Polygon",
    "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]], [[1, 1], [1.5, 1], [1, 1.5], [1, 1]]],
}
WHERE: list[Any] = [
    point(1, 2), {"type": "Point", "coordinates": [1, 2, 30]}, LINE, AREA,
    {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
    {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
    {"type": "MultiPolygon", "coordinates": [AREA["coordinates"]]},
    {"type": "GeometryCollection", "geometries": [point(1, 2), LINE]},
    {"type": "Feature", "geometry": AREA, "properties": {"a": 1}},
    {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": None, "geometry": point(1, 2)}]},
]  # fmt: skip


@pytest.mark.parametrize("where", WHERE, ids=lambda where: where["type"])
@pytest.mark.parametrize(("plural", "field"), [("Locations", "location"), ("FeaturesOfInterest", "feature")])
def test_a_place_may_be_any_geojson(door: Door, plural: str, field: str, where: Any) -> None:
    body = {"name": "x", "description": "x", "encodingType": "application/geo+json", field: where}
    made = door.make(plural, body)
    assert door.get(f"{plural}({made})/{field}") == {field: where}
    box = "geography'POLYGON((0.5 0.5, 5 0.5, 5 5, 0.5 5, 0.5 0.5))'"
    assert door.ids(f"{plural}?$filter=id eq {made} and st_intersects({field}, {box})") == [made]
    for wrong in ({**where, "type": "Blob"}, {"type": where["type"]}, "nowhere", 1, None):
        door.send("POST", plural, {**body, field: wrong}, 400)
        door.send("PATCH", f"{plural}({made})", {field: wrong}, 400)
    text = {**body, "encodingType": "text/plain", field: "behind the shed"}
    assert door.get(f"{plural}({door.make(plural, text)})")[field] == "behind the shed"


METADATA: list[Any] = [
    "http://example.org/x.pdf", "", " 3", "3", "true", "[", '"x"', 3, 1.5, True, False, {"a": [1]}, [1, "x"]
]  # fmt: skip


@pytest.mark.parametrize("metadata", METADATA, ids=repr)
def test_what_is_told_of_a_sensor_may_be_any_json(door: Door, metadata: Any) -> None:
    made = door.make("Sensors", {**sensor(), "metadata": metadata})
    told = door.get(f"Sensors({made})")["metadata"]
    assert told == metadata
    assert type(told) is type(metadata)
    assert door.send("PATCH", f"Sensors({made})", {"name": "other"}).json()["metadata"] == metadata


def test_times_that_were_not_given(door: Door) -> None:
    it = door.make("Things", thing("silent", Locations=[place()], Datastreams=[stream("silent")]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    for name in ("phenomenonTime", "resultTime", "observedArea"):
        assert name not in door.get(f"Datastreams({mine})")
    made = door.make(f"Datastreams({mine})/Observations", {"result": 1})
    told = door.get(f"Observations({made})")
    assert told["phenomenonTime"]
    assert told["resultTime"] is None
    whole = door.get(f"Datastreams({mine})")
    assert "resultTime" not in whole
    assert whole["phenomenonTime"].split("/")[0] == told["phenomenonTime"]
    latest = door.get(f"Datastreams({mine})?$expand=Observations($top=1;$orderby=phenomenonTime desc)")
    assert latest["Observations"] == [{k: v for k, v in told.items() if not k.endswith("navigationLink")}]
    assert door.ids(f"Datastreams({mine})/Observations?$filter=resultTime eq null") == [made]
    known = {"result": 2, "resultTime": "2026-01-01T00:00:00Z"}
    later = door.make(f"Datastreams({mine})/Observations", known)
    assert door.get(f"Datastreams({mine})")["resultTime"] == "2026-01-01T00:00:00Z/2026-01-01T00:00:00Z"
    assert door.ids(f"Datastreams({mine})/Observations?$orderby=resultTime") == [made, later]  # nothing comes first
    assert door.send("PATCH", f"Observations({made})", {"result": 3}).json()["resultTime"] is None
    for one in (made, later):
        door.send("DELETE", f"Observations({one})")
    assert not {"phenomenonTime", "resultTime", "observedArea"} & door.get(f"Datastreams({mine})").keys()


def test_features_may_be_posted_to_by_navigation(door: Door) -> None:
    mine = door.ids("Datastreams")[0]
    of = door.make("FeaturesOfInterest", feature("alone"))
    made = door.make(f"FeaturesOfInterest({of})/Observations", {"result": 1, "Datastream": ref(mine)})
    assert door.get(f"Observations({made})/FeatureOfInterest")["@iot.id"] == of
