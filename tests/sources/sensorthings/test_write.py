"""Rules of creating: all or nothing, what is missing or wrong is named by its place, what was made can be read."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.engines.catalog.streams import COMPLEX_TYPE
from civium.sources.sensorthings.write import plan_create

O_AND_M = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"
PLACE = {
    "name": "yard",
    "description": "behind the house",
    "encodingType": "application/geo+json",
    "location": {"type": "Point", "coordinates": [25.0, 60.0]},
}
SENSOR = {"name": "probe", "description": "a probe", "encodingType": "application/pdf", "metadata": "x.pdf"}
PROPERTY = {"name": "humidity", "definition": "http://example.org/humidity", "description": "of the air"}
STREAM = {
    "name": "humid",
    "description": "humidity in the yard",
    "observationType": O_AND_M + "Measurement",
    "unitOfMeasurement": {"name": "percent", "symbol": "%", "definition": "http://example.org/percent"},
    "Thing": {"@iot.id": 1},
    "Sensor": SENSOR,
    "ObservedProperty": PROPERTY,
}
FEATURE = {key.replace("location", "feature"): value for key, value in PLACE.items()}
EXAMPLES = {
    "Things": {"name": "mast", "description": "a mast"},
    "Locations": PLACE,
    "HistoricalLocations": {"time": "2026-01-01T00:00:00Z", "Thing": {"@iot.id": 1}, "Locations": [{"@iot.id": 1}]},
    "Datastreams": STREAM,
    "Sensors": SENSOR,
    "ObservedProperties": PROPERTY,
    "FeaturesOfInterest": FEATURE,
}


@pytest.mark.parametrize("plural", EXAMPLES)
def test_what_was_posted_can_be_read(own_city: Any, plural: str) -> None:
    creation = own_city.post(plural, EXAMPLES[plural])
    found = own_city.get(f"{plural}({creation.id})")
    sent = EXAMPLES[plural]
    assert {name: found[name] for name in sent if name in found} == {
        name: value for name, value in sent.items() if name in found
    }
    assert found["@iot.id"] == creation.id


@pytest.mark.parametrize(
    ("plural", "field"),
    [(plural, field) for plural, body in EXAMPLES.items() for field in body]
    + [("Observations", "result"), ("Observations", "Datastream")],
)
def test_what_is_missing_is_named_and_nothing_is_made(city: Any, plural: str, field: str) -> None:
    body = dict(EXAMPLES.get(plural, {"result": 1, "Datastream": {"@iot.id": 1}}))
    del body[field]
    with pytest.raises(InputRefused, match=field) as refused:
        city.post(plural, body)
    assert refused.value.status == 400


def test_one_post_makes_a_whole_tree(own_city: Any) -> None:
    stream = {key: value for key, value in STREAM.items() if key != "Thing"}
    stream["Observations"] = [{"result": 40, "FeatureOfInterest": FEATURE}, {"result": 41.5}]
    mast = {"name": "mast", "description": "m", "Locations": [PLACE, {"@iot.id": 1}], "Datastreams": [stream, stream]}
    creation = own_city.post("Things", mast)
    assert {table: len(rows) for table, rows in creation.rows.items()} == {
        "things": 1, "locations": 1, "thing_locations": 2, "historical_locations": 1,
        "historical_location_locations": 2, "datastreams": 2, "sensors": 2, "observed_properties": 2,
        "features": 3,  # two that are named, and one for the new place
    }  # fmt: skip
    tree = own_city.get(
        f"Things({creation.id})?$expand=Locations,HistoricalLocations/Locations,Datastreams($expand=Observations,Sensor)"
    )
    assert sorted(place["name"] for place in tree["Locations"]) == ["place of lamp one", "yard"]
    assert len(tree["HistoricalLocations"][0]["Locations"]) == 2
    assert [[o["result"] for o in d["Observations"]] for d in tree["Datastreams"]] == [[40, 41.5], [40, 41.5]]
    stored = own_city.lake.query("SELECT value, feature FROM lake.observations WHERE stream > 7")
    assert stored["value"].to_pylist() == pytest.approx([0.4, 0.415, 0.4, 0.415])
    named_1, here, named_2, here_too = stored["feature"].to_pylist()
    assert here == here_too
    assert len({named_1, here, named_2}) == 3
    [of_place] = own_city.get(f"FeaturesOfInterest?$filter=id eq {here}")["value"]
    assert of_place["name"] in ("place of lamp one", "yard")


def test_a_post_below_an_entity_belongs_to_it(own_city: Any) -> None:
    below = {key: value for key, value in STREAM.items() if key != "Thing"}
    made = own_city.post("Things(2)/Datastreams", below)
    assert own_city.get(f"Datastreams({made.id})/Thing")["name"] == "lamp two"
    own_city.post(f"Datastreams({made.id})/Observations", {"result": 55})
    assert own_city.names(f"Datastreams({made.id})/Observations", "result") == [55.0]
    own_city.post("Locations(1)/Things", EXAMPLES["Things"])
    assert own_city.names("Locations(1)/Things") == ["lamp one", "mast"]


def test_a_moved_thing_has_one_place_and_a_history(own_city: Any) -> None:
    own_city.post("Things(1)/Locations", PLACE)  # at the same instant as the first: the clock of a sandbox may stand
    own_city.post("Locations", {**PLACE, "name": "field", "Things": [{"@iot.id": 1}]})
    assert own_city.names("Things(1)/Locations") == ["field"]
    assert own_city.names("Locations(1)/Things") == []
    history = own_city.get("Things(1)/HistoricalLocations?$expand=Locations&$orderby=time")["value"]
    assert [row["Locations"][0]["name"] for row in history] == ["place of lamp one", "yard", "field"]
    [row] = own_city.catalog.things_of(["lamp"], own_city.catalog.applied()).slice(0, 1).to_pylist()
    assert (row["lon"], row["lat"]) == (25.0, 60.0)


def test_kind_key_access_come_of_the_properties(own_city: Any) -> None:
    terms = {"access": "restricted", "personal": True, "nan_allowed": True, "key": "meter/7"}
    own_city.post("Datastreams", {**STREAM, "properties": terms})
    identity = own_city.catalog.ids_by_key("datastreams", ["meter/7"])["meter/7"]
    assert own_city.catalog.streams.nan_allowed[identity]
    assert own_city.catalog.streams.access[identity] == 2
    assert own_city.catalog.ids_by_key("things", ["lamp/1"]) == {"lamp/1": 1}
    with pytest.raises(InputRefused, match="'lamp/1' is taken") as refused:
        own_city.post("Things", {**EXAMPLES["Things"], "properties": {"key": "lamp/1"}})
    assert refused.value.status == 409


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**body, **changes}


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("Things", [], "Thing must be an object"),
        ("Things", {"name": 1, "description": ""}, "Thing/name must be a text"),
        ("Things", changed(EXAMPLES["Things"], colour="red"), "no property 'colour'"),
        ("Things", changed(EXAMPLES["Things"], properties=[]), "properties must be an object"),
        ("Things", changed(EXAMPLES["Things"], Locations={}), "Locations must be a list"),
        (
            "Things",
            changed(EXAMPLES["Things"], Locations=[{"@iot.id": 99}]),
            r"Locations\[0\]: there is no Location 99",
        ),
        ("Things", changed(EXAMPLES["Things"], Datastreams=[{"@iot.id": 1}]), "cannot move"),
        ("Datastreams", changed(STREAM, observationType=COMPLEX_TYPE), "of that type are MultiDatastreams"),
        ("Datastreams", changed(STREAM, unitOfMeasurement={"symbol": "smoots" * 11}), "unknown unit 'smoots"),
        ("Datastreams", changed(STREAM, unitOfMeasurement="%"), "unitOfMeasurement must be an object"),
        ("Datastreams", changed(STREAM, Sensor={"name": "x"}), "Datastream/Sensor/description is missing"),
        ("Datastreams", changed(STREAM, properties={"access": "secret"}), "access must be one of"),
        ("Things(1)/Datastreams", STREAM | {"Thing": {"@iot.id": 2}}, "said by the path"),
        ("Locations", changed(PLACE, location={"type": "Point", "coordinates": [200, 1]}), "WGS 84"),
        ("Locations", changed(PLACE, location={"type": "Blob"}), "not a GeoJSON type"),
        ("Locations", changed(PLACE, location={"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), "needs 4"),
        ("HistoricalLocations", changed(EXAMPLES["HistoricalLocations"], time="2026-01-01T00:00:00"), "no time zone"),
        ("Observations", {"result": 1, "Datastream": {"@iot.id": 99}}, "no Datastream 99"),
        ("Observations", {"result": 1, "Datastream": {"@iot.id": 1}, "phenomenonTime": "now"}, "phenomenonTime"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(city: Any, path: str, body: Any, why: str) -> None:
    with pytest.raises(InputRefused, match=why) as refused:
        city.post(path, body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "path", ["Lamps", "Things(1)", "Things(99)/Datastreams", "Datastreams(1)/Thing", "Things/x/y", ""]
)
def test_a_path_that_leads_nowhere_is_not_found(city: Any, path: str) -> None:
    with pytest.raises(InputRefused) as refused:
        city.post(path, {})
    assert refused.value.status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"name": NaN}'])
def test_what_is_no_json_is_refused(city: Any, body: bytes) -> None:
    with pytest.raises(InputRefused):
        plan_create("Things", body, city.catalog, city.now)


def test_nesting_is_bounded(city: Any) -> None:
    body: dict[str, Any] = dict(PLACE)
    for _ in range(30):
        body = {**PLACE, "Things": [{**EXAMPLES["Things"], "Locations": [body]}]}
    with pytest.raises(InputRefused, match="nested too deeply"):
        city.post("Locations", body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*STREAM, "@iot.id"]), inner, max_size=5)
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from([*EXAMPLES, "Observations", "Things(1)/Locations"]), st.dictionaries(st.sampled_from(
    ["result", "time", "location", "feature", "encodingType", "properties", "Locations", "Things", "Datastreams",
     "Observations", "phenomenonTime", *STREAM]), JSON, max_size=6))  # fmt: skip
def test_any_body_is_planned_or_refused(city: Any, path: str, changes: dict[str, Any]) -> None:
    body = {**EXAMPLES.get(path, {"result": 1, "Datastream": {"@iot.id": 1}}), **changes}
    try:
        creation = plan_create(path, json.dumps(body).encode(), city.catalog, city.now)
    except InputRefused:
        return
    msgspec.msgpack.encode(creation.rows)
