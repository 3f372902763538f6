"""Rules of reading: what was posted comes back as given; a condition picks what meets it; pages do not overlap."""

import contextlib
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.sources.instants import write_instant
from civium.sources.sensorthings.data_array import decode_data_array

BASE = "http://city/v1.1"


def where(text: str) -> str:
    return "$filter=" + quote(text)


def test_the_root_lists_the_sets_of_both_parts(city: Any) -> None:
    root = city.get("")
    assert len(root["value"]) == 12
    assert {"name": "ObservedProperties", "url": f"{BASE}/ObservedProperties"} in root["value"]
    conformance = root["serverSettings"]["conformance"]
    assert len(set(conformance)) == len(conformance)
    [heard] = [one for one in conformance if one.endswith("receive-updates-via-mqtt/receive-updates")]
    assert root["serverSettings"][heard] == {"endpoints": []}


def test_an_entity_comes_back_as_it_was_given(city: Any) -> None:
    assert city.get("Things(1)") == {
        "@iot.id": 1,
        "@iot.selfLink": f"{BASE}/Things(1)",
        "name": "lamp one",
        "description": "the lamp one",
        "properties": {"kind": "lamp", "key": "lamp/1", "height": 4.5},
        "Datastreams@iot.navigationLink": f"{BASE}/Things(1)/Datastreams",
        "MultiDatastreams@iot.navigationLink": f"{BASE}/Things(1)/MultiDatastreams",
        "Locations@iot.navigationLink": f"{BASE}/Things(1)/Locations",
        "HistoricalLocations@iot.navigationLink": f"{BASE}/Things(1)/HistoricalLocations",
        "TaskingCapabilities@iot.navigationLink": f"{BASE}/Things(1)/TaskingCapabilities",
    }
    datastream = city.get("Datastreams(1)")
    assert datastream["unitOfMeasurement"] == {"name": "degC", "symbol": "degC", "definition": None}
    assert city.get("Locations(1)")["location"] == {"type": "Point", "coordinates": [24.94, 60.17]}
    assert city.get("Sensors(1)")["metadata"] == "http://example.org/probe.pdf"


def test_results_come_back_in_the_unit_and_type_of_their_stream(city: Any) -> None:
    assert city.names("Datastreams(1)/Observations", "result") == [20.0, 20.1, 20.2]
    assert city.names("Datastreams(2)/Observations", "result") == [True, False]
    assert city.names("Datastreams(3)/Observations", "result") == [21.5]
    assert city.names("Datastreams(4)/Observations", "result") == [7]
    assert city.names("Datastreams(5)/Observations", "result") == ["open", "shut"]
    assert city.names("Datastreams(6)/Observations", "result") == [{"speed": 3.5, "lane": "a"}]
    assert city.names("Datastreams(7)/Observations", "result") == [1234.0]
    stored = city.lake.connection.execute("SELECT value FROM lake.observations WHERE stream = 3").fetchone()
    assert stored == (pytest.approx(294.65),)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.decimals(-10_000, 10_000, places=4).map(float))
def test_any_decimal_survives_the_way_through_si(own_city: Any, given: float) -> None:
    city, streams = own_city, (1, 7)
    post = [{"Datastream": {"@iot.id": one}, "components": ["result"], "dataArray": [[given]]} for one in streams]
    ids = city.observe(decode_data_array(msgspec.json.encode(post), city.now))
    for stream, identity in zip(streams, ids, strict=True):
        assert city.get(f"Observations({identity})/result") == {"result": given}
        found = city.get(f"Datastreams({stream})/Observations?{where(f'result eq {given!r} and id eq {identity}')}")
        assert len(found["value"]) == 1


def test_an_observation_tells_its_times(city: Any) -> None:
    observation = city.get("Observations(1)")
    assert observation["phenomenonTime"] == "2026-11-22T10:00:00Z"
    assert observation["resultTime"] == "2026-11-22T10:00:01Z"
    assert observation["Datastream@iot.navigationLink"] == f"{BASE}/Observations(1)/Datastream"
    assert city.get("Observations(1)/Datastream")["name"] == "air one"


def test_extras_of_an_observation_come_back(own_city: Any) -> None:
    feature = {"name": "yard", "description": "y", "encodingType": "application/geo+json",
               "feature": {"type": "Point", "coordinates": [1, 2]}}  # fmt: skip
    body = {
        "result": 1,
        "Datastream": {"@iot.id": 1},
        "phenomenonTime": "2026-01-01T00:00:00Z/2026-01-01T01:00:00.5Z",
        "validTime": "2026-01-01T00:00:00Z/2026-02-01T00:00:00Z",
        "parameters": {"depth": 2},
        "resultQuality": {"mark": "good"},
        "FeatureOfInterest": feature,
    }
    city = own_city
    city.post("Observations", body)
    yard = where("FeatureOfInterest/name eq 'yard'")
    [found] = city.get(f"Observations?{yard}&$expand=FeatureOfInterest")["value"]
    assert {name: found[name] for name in body if name not in ("Datastream", "FeatureOfInterest")} == {
        name: body[name] for name in body if name not in ("Datastream", "FeatureOfInterest")
    }
    assert found["FeatureOfInterest"]["feature"] == feature["feature"]
    assert city.names(f"FeaturesOfInterest({found['FeatureOfInterest']['@iot.id']})/Observations", "result") == [1.0]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Lamps", 404),
        ("Things(99)", 404),
        ("Things(1)/Lamps", 404),
        ("Things(1)/Datastreams(3)", 404),
        ("Things/name", 404),
        ("Things(1)/name/x", 404),
        ("Things('1')", 400),
        ("Things(one)", 400),
        ("Things()", 400),
        ("Things(-1)", 400),
        ("Observations(1)/FeatureOfInterest/Observations(2)/Thing", 404),
        ("Datastreams(1)/Thing(1)", 404),
        ("Things(1)/$ref/name", 404),
        ("Things(" + "9" * 30 + ")", 404),
        ("Things(1)" + "/Datastreams(1)/Thing" * 9, 414),
        ("Things?$select=colour", 400),
        ("Things?$expand=Lamps", 400),
        ("Things?$orderby=Datastreams/name", 501),
        ("Things?$expand=Datastreams($expand=Observations($filter=colour eq 1))", 400),
    ],
)
def test_what_does_not_exist_is_said(city: Any, url: str, status: int) -> None:
    with pytest.raises(InputRefused) as refused:
        city.get(url)
    assert refused.value.status == status


def test_paths_lead_through_links_to_properties(city: Any) -> None:
    assert city.names("Things(1)/Datastreams") == ["air one", "lit one"]
    assert city.get("Things(1)/Datastreams(2)")["name"] == "lit one"
    assert city.get("Datastreams(3)/ObservedProperty")["name"] == "air_temperature"
    assert city.get("Datastreams(1)/ObservedProperty/name") == {"name": "air_temperature"}
    assert city.answer("Datastreams(1)/ObservedProperty/name/$value") == "air_temperature"
    assert city.answer("Observations(1)/result/$value") == "20"
    assert city.answer("Observations(1)/resultQuality") is None
    assert city.get("Things(1)/id") == {"@iot.id": 1}
    assert city.names("Things(1)/Locations") == ["place of lamp one"]
    assert city.names("Locations(2)/Things") == ["lamp two"]
    assert city.names("ObservedProperties(1)/Datastreams") == ["air one", "air two"]
    assert city.names("Things(2)/HistoricalLocations(2)/Locations") == ["place of lamp two"]
    assert city.get("Things/$ref")["value"] == [{"@iot.selfLink": f"{BASE}/Things({i})"} for i in (1, 2, 3)]
    assert city.get("Datastreams(1)/Thing/$ref") == {"@iot.selfLink": f"{BASE}/Things(1)"}


NAMES = {
    "name eq 'gate'": ["gate"],
    "startswith(name,'lamp')": ["lamp one", "lamp two"],
    "endswith(name,'two') or id eq 3": ["lamp two", "gate"],
    "not substringof('lamp',name)": ["gate"],
    "contains(toupper(name),'ONE')": ["lamp one"],
    "length(name) eq 4": ["gate"],
    "indexof(name,'two') eq 5": ["lamp two"],
    "substring(name,5) eq 'one'": ["lamp one"],
    "substring(name,5,1) eq 't'": ["lamp two"],
    "concat(name,description) eq 'gatethe gate'": ["gate"],
    "trim(concat(' ',name)) eq 'gate'": ["gate"],
    "id gt 1 and id le 3": ["lamp two", "gate"],
    "id mod 2 eq 1": ["lamp one", "gate"],
    "id mul 2 sub 1 eq 5 div 1": ["gate"],
    "-id lt -2": ["gate"],
    "properties/height gt 4.5": ["lamp two"],
    "properties/kind eq 'lamp'": ["lamp one", "lamp two"],
    "properties/height eq null": ["gate"],
    "properties/height ne null": ["lamp one", "lamp two"],
    "properties/kind gt 5": [],
    "properties ne null": ["lamp one", "lamp two", "gate"],
    "properties eq null": [],
    "id eq '2'": ["lamp two"],
    "id ne 'x'": ["lamp one", "lamp two", "gate"],
    "Datastreams/id eq '3'": ["lamp two"],
    "totaloffsetminutes(2026-06-26T03:42:02-06:30) eq -390 and id eq 1": ["lamp one"],
    "Datastreams/name eq 'state'": ["gate"],
    "Datastreams/ObservedProperty/name eq 'air_temperature'": ["lamp one", "lamp two"],
    "not (Datastreams/ObservedProperty/name eq 'air_temperature')": ["gate"],
    "Datastreams/unitOfMeasurement/symbol eq 'veh/h'": ["gate"],
    "Datastreams/Sensor/id eq 3": ["lamp two"],
    "geo.distance(Locations/location, geography'POINT (24.94 60.17)') lt 0.001": ["lamp one"],
    "st_within(Locations/location, geography'POLYGON ((24 60, 25 60, 25 61, 24 61, 24 60))')": ["lamp one", "lamp two"],
    "st_within(Locations/location, geography'POLYGON ((24 60, 26 60, 26 62, 24 62, 24 60), "
    "(24.9 60.1, 25 60.1, 25 60.2, 24.9 60.2, 24.9 60.1))')": ["gate"],
    "st_equals(Locations/location, geography'POINT (25.5 61)')": ["gate"],
    "st_disjoint(Locations/location, geography'POLYGON ((24 60, 25 60, 25 61, 24 61, 24 60))')": ["gate"],
    "year(HistoricalLocations/time) eq 2026": ["lamp one", "lamp two", "gate"],
    "HistoricalLocations/time lt now()": [],
    "HistoricalLocations/time gt now() sub duration'PT1S'": ["lamp one", "lamp two", "gate"],
    "true": ["lamp one", "lamp two", "gate"],
    "1 eq 2": [],
}


@pytest.mark.parametrize("text", NAMES)
def test_a_condition_picks_the_things_that_meet_it(city: Any, text: str) -> None:
    assert city.names("Things?" + where(text)) == NAMES[text]


RESULTS = {
    "result gt 20.05 and Datastream/id eq 1": [20.1, 20.2],
    "result eq 21.5": [21.5],
    "result eq 1234": [1234.0],
    "result eq 'open'": ["open"],
    "result eq true": [True],
    "result ne true": [False],
    "result/speed lt 4": [{"speed": 3.5, "lane": "a"}],
    "result/lane eq 'a'": [{"speed": 3.5, "lane": "a"}],
    "startswith(result,'sh')": ["shut"],
    "result add 1 eq 8": [7],
    "phenomenonTime ge 2026-11-22T11:00:00Z and result lt 100 and result gt 10": [20.1, 20.2],
    "phenomenonTime lt 2026-11-22T10:00:00Z": [21.5],
    "during(phenomenonTime,2026-11-22T09:30:00Z/2026-11-22T10:30:00Z)": [20.0],
    "phenomenonTime lt now() sub duration'PT2H30M'": [21.5],
    "hour(phenomenonTime) eq 9": [21.5],
    "date(phenomenonTime) eq 2026-11-22 and time(phenomenonTime) lt 09:30": [21.5],
    "resultTime eq 2026-11-22T10:00:01Z": [20.0],
    "Datastream/Thing/name eq 'lamp two'": [21.5],
    "not (Datastream/Thing/properties/kind eq 'lamp') and Datastream/ObservedProperty/name eq 'state'": [
        "open",
        "shut",
    ],
    "Datastream/name eq 'nobody'": [],
    "FeatureOfInterest/id ne null and result eq 21.5": [21.5],
}


@pytest.mark.parametrize("text", RESULTS)
def test_a_condition_picks_the_observations_that_meet_it(city: Any, text: str) -> None:
    assert city.names("Observations?" + where(text), "result") == RESULTS[text]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour eq 1", "unknown property 'colour' of Thing at position 0"),
        ("name eq 1 or paint(name)", "cannot compare a string with a number, at position 5"),
        ("paint(name) eq 1", "unknown function 'paint' at position 0"),
        ("name", "must be a condition"),
        ("startswith(name)", "takes 2 arguments"),
        ("startswith(name,1)", "takes a string, not a number"),
        ("name lt null", "null"),
        ("Datastreams eq 1", "Datastreams"),
        ("Datastreams/colour eq 1", "'colour' of Datastream"),
        ("Datastreams/Observations/colour gt 1", "'colour' of Observation at position 0"),
        ("Datastreams/Observations gt 1", "is an entity; name a property"),
        ("Lamps/any()", "Thing has no 'Lamps', at position 0"),
        ("st_relate(Locations/location, geography'POINT (1 1)', 'T') ", "not a pattern of nine letters"),
        ("st_within(Locations/location, 'x')", "takes geometry and geometry, not geometry and string"),
        ("st_within(Locations/location, geography'SRID=25832;POINT (1 1)')", "coordinate system"),
        ('st_within(Locations/location, geography\'{"type":"Point"}\')', "not a geometry"),
        ("name add 1 eq 2", "a number is needed"),
        ("now() add now() gt now()", "times take a duration"),
        ("st_within(Locations/location, geography'POLYGON ((1 1, 2 2))')", "closed linestring"),
        ("st_within(Locations/location, geography'CIRCLE')", "Unknown type"),
        ("geo.distance(Locations/location, geography'POINT (1 nan)') lt 1", "not a number"),
        ("description/x eq 1", "unknown property 'description/x'"),
        ("now(1) eq 1", "no arguments"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(city: Any, text: str, why: str) -> None:
    with pytest.raises(InputRefused, match=re.escape(why)) as refused:
        city.get("Things?" + where(text))
    assert refused.value.status == 400


def test_order(city: Any) -> None:
    assert city.names("Things?$orderby=name") == ["gate", "lamp one", "lamp two"]
    assert city.names("Things?$orderby=properties/height desc") == ["lamp two", "lamp one", "gate"]
    assert city.names("Datastreams?$orderby=Thing/name,name desc&$top=3") == ["state", "report", "passed"]
    assert city.names("Observations?$orderby=result desc&$top=2", "result") == [1234.0, 21.5]
    latest = city.names("Datastreams(1)/Observations?$orderby=phenomenonTime desc", "result")
    assert latest == [20.2, 20.1, 20.0]
    assert city.names("Things?$orderby=properties/height") == ["gate", "lamp one", "lamp two"]  # nothing comes first
    words = [{"speed": 3.5, "lane": "a"}, False, True, "open", "shut", 7, 20, 20.1, 20.2, 21.5, 1234]
    assert city.names("Observations?$orderby=result", "result") == words
    assert city.names("Observations?$orderby=result desc", "result") == words[::-1]
    for constant in ("false", "Datastreams/any(d: false)", "name eq 'gate' and false", "null"):
        assert city.names(f"Things?$orderby={constant},name desc") == ["lamp two", "lamp one", "gate"]


@pytest.mark.parametrize("url", ["Things", "Observations", "Datastreams(1)/Observations", "Things(3)/Datastreams"])
@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize("order", ["id", "nothing", "nothing desc"])
def test_pages_follow_one_another_without_gap_or_overlap(city: Any, url: str, top: int, order: str) -> None:
    entity = url.rpartition("/")[2]  # what some of them have not
    order = order.replace(
        "nothing", {"Things": "properties/height", "Observations": "result"}.get(entity, "resultTime")
    )
    whole = city.get(f"{url}?$orderby={order}")["value"]
    link, seen = f"{BASE}/{url}?$top={top}&$orderby={order}&$count=true", []
    while link:
        page = city.get(link.removeprefix(BASE + "/"))
        assert page["@iot.count"] == len(whole)
        assert 1 <= len(page["value"]) <= top
        seen += page["value"]
        link = page.get("@iot.nextLink")
    assert seen == whole


def test_a_page_of_none_tells_the_count(city: Any) -> None:
    assert city.get("Things?$top=0&$count=true") == {"@iot.count": 3, "value": []}


def test_select_gives_only_what_was_asked(city: Any) -> None:
    assert city.get("Things(1)?$select=name") == {"name": "lamp one"}
    assert city.get("Things?$select=id,Locations&$top=1")["value"] == [
        {"@iot.id": 1, "Locations@iot.navigationLink": f"{BASE}/Things(1)/Locations"}
    ]


def test_the_latest_value_of_many_streams_takes_no_query_for_each(city: Any) -> None:
    before = city.lake.queries
    url = "Datastreams?$select=name&$expand=Observations($top=1;$orderby=phenomenonTime desc,id desc;$select=result)"
    found = {row["name"]: [o["result"] for o in row["Observations"]] for row in city.get(url)["value"]}
    assert city.lake.queries <= before + 3  # of the last hour, the last day, and all
    assert found == {
        "air one": [20.2],
        "lit one": [False],
        "air two": [21.5],
        "passed": [7],
        "state": ["shut"],
        "report": [{"speed": 3.5, "lane": "a"}],
        "flow": [1234.0],
    }


def test_an_expand_in_an_expand(city: Any) -> None:
    url = (
        "Things?$expand=Locations($select=name),"
        "Datastreams($expand=ObservedProperty($select=name),Observations($count=true;$top=1);$select=name;$top=1)&$select=id"
    )
    first = city.get(url)["value"][0]
    assert first["Locations"] == [{"name": "place of lamp one"}]
    [datastream] = first["Datastreams"]
    assert datastream["ObservedProperty"] == {"name": "air_temperature"}
    assert datastream["Observations@iot.count"] == 3
    following = datastream["Observations@iot.nextLink"].removeprefix(BASE + "/")
    assert city.names(following, "result") == [20.1]
    assert city.names(first["Datastreams@iot.nextLink"].removeprefix(BASE + "/")) == ["lit one"]


def test_expand_goes_up_as_well(city: Any) -> None:
    [row] = city.get(f"Observations?{where('result eq 21.5')}&$expand=Datastream/Thing/Locations&$select=result")[
        "value"
    ]
    assert row["Datastream"]["Thing"]["Locations"][0]["name"] == "place of lamp two"
    [shared] = city.get("ObservedProperties?$top=1&$expand=Datastreams($expand=Thing($select=name))")["value"]
    assert [d["Thing"]["name"] for d in shared["Datastreams"]] == ["lamp one", "lamp two"]


def test_a_filtered_expand_keeps_what_it_hangs_on(city: Any) -> None:
    rows = city.get(f"Things?$expand=Datastreams({quote('$filter=name eq ' + repr('state'))})")["value"]
    assert [[d["name"] for d in row["Datastreams"]] for row in rows] == [[], [], ["state"]]


FIELDS = [
    *("name", "id", "properties/height", "properties/kind", "Datastreams/name", "Locations/location", "result", "time"),
    *("phenomenonTime", "resultTime", "result/speed", "Datastream/name", "Datastream/id", "resultQuality"),
    *("parameters/x", "unitOfMeasurement/name", "description"),
]
LITERALS = [
    *(
        "1",
        "-2.5",
        "1e18",
        "9223372036854775807",
        "'x'",
        "''",
        "'%'",
        "'\\'",
        "'\U0001f600\x01'",
        "null",
        "true",
        "now()",
    ),
    *("maxdatetime()", "2026-01-01", "10:00", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z/2026-02-01T00:00:00Z"),
    *("duration'PT1H'", "geography'POINT (1 2)'"),
]
CALLS = [
    *(
        "{0} eq {1}",
        "{0} ne {1}",
        "{0} lt {1}",
        "not ({0} eq {1})",
        "-{0} lt {1}",
        "{0} add {1} gt 3",
        "{0} mod {1} eq 0",
    ),
    *("{0} div {1} lt 1", "floor({0} mul {1}) eq 1", "round({0}) eq {1}", "length({0}) gt {1}", "startswith({0},{1})"),
    *("indexof({0},{1}) gt 0", "concat({0},{1}) eq 'a'", "substring({0},{1}) eq 'a'", "year({0}) eq {1}"),
    *("fractionalseconds({0}) eq {1}", "before({0},{1})", "geo.distance({0},{1}) lt 3"),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.sampled_from(["Things", "Datastreams", "Observations", "HistoricalLocations", "Datastreams(1)/Observations"]),
    st.sampled_from(CALLS),
    st.sampled_from(FIELDS + LITERALS),
    st.sampled_from(LITERALS + FIELDS),
    st.sampled_from(["id", *FIELDS]),
)
def test_any_condition_is_answered_or_refused(
    city: Any, path: str, call: str, one: str, other: str, order: str
) -> None:
    """The databases themselves never fail on what the compiler let through."""
    with contextlib.suppress(InputRefused):
        city.get(f"{path}?{where(call.format(one, other))}&$orderby={order}&$count=true")


AGES = st.lists(st.tuples(st.sampled_from([1, 3]), st.integers(-3_000, 30)), max_size=12)  # stream, minutes from now


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(AGES, st.integers(1, 3), st.integers(0, 2))
def test_the_latest_are_the_latest_of_all_history(own_city: Any, ages: Any, top: int, skip: int) -> None:
    city = own_city
    rows = [
        {
            "Datastream": {"@iot.id": stream},
            "components": ["phenomenonTime", "result"],
            "dataArray": [[write_instant(city.now + minutes * 60_000_000), minutes]],
        }
        for stream, minutes in ages
    ]
    city.observe(decode_data_array(msgspec.json.encode(rows), city.now))
    option = "$orderby=phenomenonTime desc,id"
    expanded = city.get(f"Datastreams?$expand=Observations({option};$top={top};$skip={skip})")["value"]
    for row in expanded:
        history = city.lake.query(
            "SELECT id FROM lake.observations WHERE stream = ? ORDER BY time DESC, id", [row["@iot.id"]]
        )["id"].to_pylist()
        assert [one["@iot.id"] for one in row["Observations"]] == history[skip : skip + top]
        assert ("Observations@iot.nextLink" in row) == (len(history) > skip + top)
        page = city.get(f"Datastreams({row['@iot.id']})/Observations?{option}&$top={top}&$skip={skip}")
        assert [one["@iot.id"] for one in page["value"]] == history[skip : skip + top]
