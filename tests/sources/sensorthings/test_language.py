"""Rules of the query language in full: links in both directions and both databases, geometry, times, JSON, order."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from civium.core import InputRefused
from tests.sources.sensorthings.conftest import City, build

SQUARE = "POLYGON ((24 60, 25 60, 25 61, 24 61, 24 60))"
LAKE_SHORE = {"type": "LineString", "coordinates": [[24.0, 60.5], [24.0, 61.5], [25.0, 61.5]]}
PARK = {"type": "Polygon", "coordinates": [[[24.9, 60.1], [24.96, 60.1], [24.96, 60.2], [24.9, 60.2], [24.9, 60.1]]]}


@pytest.fixture(scope="module")
def world(new_catalog: Callable[[], str]) -> Iterator[City]:
    """The two lamps and the gate, a shore, a park, and what was seen at both."""
    city = build(new_catalog())
    for name, where, kind in (("shore", LAKE_SHORE, "geo+json"), ("park", PARK, "geo+json"), ("hall", "B1", "text")):
        content = {"encodingType": f"application/{kind}", "location": where}
        city.post("Locations", {"name": name, "description": name, "properties": {"wings": [1, 2]}, **content})
    feature = {"name": "park", "description": "p", "encodingType": "application/geo+json", "feature": PARK}
    spot = {**feature, "name": "spot", "feature": {"type": "Point", "coordinates": [24.0, 61.0]}}
    for one, time in ((feature, "2026-11-22T06:00:00Z/2026-11-22T07:00:00Z"), (spot, "2026-11-22T05:00:00Z")):
        city.post("Observations", {
            "result": 30, "Datastream": {"@iot.id": 3}, "FeatureOfInterest": one, "phenomenonTime": time,
            "resultTime": "2026-11-22T07:30:00Z", "resultQuality": {"grade": "A"} if one is spot else 7,
            "validTime": "2026-11-22T00:00:00Z/2026-11-23T02:00:00+02:00", "parameters": {"depth": [0.5, 2], "by": "x"},
        })  # fmt: skip
    yield city
    city.catalog.close()


def found(city: City, path: str, text: str, key: str = "name") -> list[Any]:
    return city.names(f"{path}?$filter={quote(text)}", key)


THINGS = {
    # links of any depth, through both databases
    "Datastreams/Observations/result gt 25 and Datastreams/Observations/result lt 100": ["lamp two"],
    "Datastreams/Observations/result eq 'open'": ["gate"],
    "Datastreams/Observations/FeatureOfInterest/name eq 'spot'": ["lamp two"],
    "not (Datastreams/Observations/result gt 15)": [],
    "Datastreams/Observations/resultTime lt 2026-11-22T08:00:00Z": ["lamp two"],
    "Locations/HistoricalLocations/Thing/name eq 'gate'": ["gate"],
    # what stands together is met by one entity
    "Datastreams/name eq 'air one' and Datastreams/ObservedProperty/name eq 'lit'": [],
    "Datastreams/name eq 'lit one' and Datastreams/ObservedProperty/name eq 'lit'": ["lamp one"],
    "Datastreams/any(d: d/name eq 'state' and d/ObservedProperty/name eq 'state')": ["gate"],
    "Datastreams/all(d: startswith(d/name,'air'))": ["lamp two"],
    "Datastreams/any()": ["lamp one", "lamp two", "gate"],
    "Datastreams/Observations/any(o: o/result eq 30)": ["lamp two"],
    # words in any case, and blanks
    "  NAME in  ( 'gate' , 'x' )  OR (id EQ 1)".replace("NAME", "name"): ["lamp one", "gate"],
    "name eq 'it''s'": [],
    "properties/height in (6, 7)": ["lamp two"],
    "properties/height gt id": ["lamp one", "lamp two"],
    "description eq concat('the ', name)": ["lamp one", "lamp two", "gate"],
}
LOCATIONS = {
    f"st_within(location, geography'{SQUARE}')": ["place of lamp one", "place of lamp two", "park"],
    f"st_within(location, geometry'SRID=4326;{SQUARE}')": ["place of lamp one", "place of lamp two", "park"],
    f"not st_within(location, geography'{SQUARE}')": ["place of gate", "shore"],
    f"st_intersects(location, geography'{SQUARE}')": ["place of lamp one", "place of lamp two", "shore", "park"],
    f"geo.intersects(geography'{SQUARE}', location)": ["place of lamp one", "place of lamp two", "shore", "park"],
    f"st_disjoint(location, geography'{SQUARE}')": ["place of gate"],
    f"st_touches(location, geography'{SQUARE}')": ["shore"],
    "st_contains(location, geography'POINT (24.95 60.18)')": ["place of lamp two", "park"],
    'st_equals(location, geography\'{"type":"Point","coordinates":[25.5,61]}\')': ["place of gate"],
    "st_crosses(location, geography'LINESTRING (24.5 61, 24.5 62)')": ["shore"],
    "st_overlaps(location, geography'POLYGON ((24.93 60.1, 25 60.1, 25 60.3, 24.93 60.3, 24.93 60.1))')": ["park"],
    f"st_relate(location, geography'{SQUARE}', 'T*F**F***')": ["place of lamp one", "place of lamp two", "park"],
    "geo.length(location) eq 2": ["shore"],
    "geo.distance(location, geography'POINT (24.0 60.0)') eq 0.5": ["shore"],
    "geo.distance(location, location) eq 0 and name eq 'park'": ["park"],
    "geo.distance(location, geography'POINT (24.94 60.17)') mul 100 lt 1 and id lt 4": ["place of lamp one"],
    "Things/Datastreams/name eq 'flow'": ["place of gate"],
    # as QGIS asks
    "(location/type eq 'Polygon' or location/geometry/type eq 'Polygon')": ["park"],
    "location/type eq 'Point' and geo.intersects(location, geography'POLYGON((25 60, 26 60, 26 62, 25 62, 25 60))')": [
        "place of gate"
    ],
}
OBSERVATIONS = {
    "phenomenonTime eq 2026-11-22T06:00:00Z/2026-11-22T07:00:00Z": [30.0],
    "phenomenonTime eq 2026-11-22T06:00:00Z/PT1H": [30.0],
    "phenomenonTime lt 2026-11-22T05:30:00Z": [30.0],
    "phenomenonTime lt 2026-11-22T06:30:00Z": [30.0],  # the interval ends later
    "phenomenonTime le 2026-11-22T07:00:00Z": [30.0, 30.0],
    "overlaps(phenomenonTime, 2026-11-22T06:30:00Z/2026-11-22T08:00:00Z)": [30.0],
    "during(phenomenonTime, 2026-11-22T04:00:00Z/2026-11-22T08:00:00Z)": [30.0, 30.0],
    "starts(phenomenonTime, 2026-11-22T06:00:00Z/2026-11-22T08:00:00Z)": [30.0],
    "finishes(phenomenonTime, 2026-11-22T05:30:00Z/2026-11-22T07:00:00Z)": [30.0],
    "meets(phenomenonTime, 2026-11-22T07:00:00Z/2026-11-22T08:00:00Z)": [30.0],
    "before(phenomenonTime, 2026-11-22T06:00:00Z)": [30.0],
    "after(phenomenonTime, 2026-11-22T11:30:00Z) and result eq 20.2": [20.2],
    "phenomenonTime add duration'PT1H' eq 2026-11-22T10:00:00Z": [21.5],
    "resultTime sub phenomenonTime gt duration'PT2H' and result lt 40": [30.0],
    "phenomenonTime lt '2026-11-22T05:30:00Z'": [30.0],
    "phenomenonTime gt 2026-11-22 and phenomenonTime lt 2026-11-22T09:30:00+03:00": [30.0],
    "year(resultTime) eq 2026 and minute(resultTime) eq 30": [30.0, 30.0],
    "fractionalseconds(phenomenonTime) eq 0 and resultTime eq null and result eq 21.5": [21.5],
    "totaloffsetminutes(resultTime) eq 0 and result eq 21.5": [21.5],
    "phenomenonTime gt mindatetime() and phenomenonTime lt maxdatetime() and result eq 21.5": [21.5],
    "validTime gt 2026-01-01T00:00:00Z": [30.0, 30.0],
    "validTime eq 2026-11-22T00:00:00Z/2026-11-23T00:00:00Z": [30.0, 30.0],
    "parameters ne null": [30.0, 30.0],
    "parameters eq null and result eq 21.5": [21.5],
    "parameters/depth[1] eq 2 and parameters/by eq 'x'": [30.0, 30.0],
    "resultQuality eq 7": [30.0],
    "resultQuality/grade eq 'A'": [30.0],
    "round(result) eq 22": [21.5],
    "floor(result) eq 21 and ceiling(result) eq 22": [21.5],
    "result mod 7 eq 2 and result div 10 eq 3": [30.0, 30.0],
    "result gt Datastream/Thing/properties/height mul 4 and result lt 100": [20.0, 20.1, 20.2, 30.0, 30.0],
    "result gt 10 and Datastream/name lt Datastream/Thing/name and result lt 100": [20.0, 20.1, 20.2, 21.5, 30.0, 30.0],
    f"st_within(FeatureOfInterest/feature, geography'{SQUARE}') and result gt 25": [30.0],
    "FeatureOfInterest/name eq 'place of lamp two'": [21.5],  # of those that name none
    "Datastream/Thing/Locations/name eq 'place of lamp two'": [21.5, 30.0, 30.0],
    "Datastream/Observations/result eq 21.5": [21.5, 30.0, 30.0],
    "Datastream/phenomenonTime lt 2026-11-22T09:30:00Z": [21.5, 30.0, 30.0],
}  # fmt: skip
STREAMS = {
    "phenomenonTime lt 2026-11-22T09:30:00Z": ["air two"],
    "phenomenonTime gt 2026-11-22T09:30:00Z and phenomenonTime le 2026-11-22T12:00:00Z and id eq 1": ["air one"],
    "resultTime ge 2026-11-22T10:00:01Z and id le 3": ["air one"],
    f"st_intersects(observedArea, geography'{SQUARE}')": ["air one", "lit one", "air two"],
    "observedArea eq null and id lt 4": [],
    "observedArea/type eq 'Polygon'": ["air two"],
    "Observations/result gt 25": ["air two", "flow"],
    "unitOfMeasurement/symbol eq 'veh/h' and unitOfMeasurement/name ne null": ["flow"],
    "Observations/phenomenonTime lt 2026-11-22T05:30:00Z and Observations/result eq 30": ["air two"],
    "Thing/Locations/any(l: geo.distance(l/location, geography'POINT (25.5 61)') lt 0.1) and id lt 6": [
        "passed",
        "state",
    ],
}


@pytest.mark.parametrize("text", THINGS)
def test_things(world: City, text: str) -> None:
    assert found(world, "Things", text) == THINGS[text]


@pytest.mark.parametrize("text", LOCATIONS)
def test_locations(world: City, text: str) -> None:
    assert found(world, "Locations", text) == LOCATIONS[text]


@pytest.mark.parametrize("text", OBSERVATIONS)
def test_observations(world: City, text: str) -> None:
    assert sorted(found(world, "Observations", text, "result")) == OBSERVATIONS[text]


@pytest.mark.parametrize("text", STREAMS)
def test_streams(world: City, text: str) -> None:
    assert found(world, "Datastreams", text) == STREAMS[text]


ORDERS = {
    "Datastreams?$orderby=phenomenonTime&$top=2": ["air two", "air one"],
    "Datastreams?$orderby=phenomenonTime desc,name&$top=1": ["flow"],
    "Datastreams?$orderby=Thing/name desc,Thing/id,name desc&$top=3": ["air two", "lit one", "air one"],
    "Locations?$orderby=geo.distance(location,geography'POINT (25.5 61)')&$top=2": ["hall", "place of gate"],
    "Things?$orderby=length(name) desc,id desc&$top=2": ["lamp two", "lamp one"],
    "Things?$orderby=properties/height add id desc": ["lamp two", "lamp one", "gate"],
}


@pytest.mark.parametrize("url", ORDERS)
def test_order_by_what_is_calculated_or_linked(world: City, url: str) -> None:
    assert world.names(quote(url, safe="?$=&(),/'")) == ORDERS[url]


def test_observations_in_the_order_of_what_they_belong_to(world: City) -> None:
    url = (
        "Observations?$orderby=Datastream/Thing/name desc,Datastream/name,result desc&$top=4&$filter=result%20lt%20100"
    )
    assert world.names(url, "result") == [30.0, 30.0, 21.5, 20.2]


def test_a_datastream_tells_what_its_observations_span(world: City) -> None:
    two = world.get("Datastreams(3)")
    assert two["phenomenonTime"] == "2026-11-22T05:00:00Z/2026-11-22T09:00:00Z"
    assert two["resultTime"].startswith("2026-11-22T07:30:00Z/")
    area = two["observedArea"]["coordinates"][0]
    assert (min(area), max(area)) == ([24.0, 60.1], [24.96, 61.0])
    assert world.get("Datastreams(3)/phenomenonTime") == {"phenomenonTime": two["phenomenonTime"]}
    assert world.get("Datastreams(3)?$select=observedArea") == {"observedArea": two["observedArea"]}
    still = world.get("Things(1)/Locations")["value"][0]["location"]["coordinates"]
    area = world.get("Datastreams(1)")["observedArea"]  # its Observations name no feature: it is the place of the Thing
    assert set(map(tuple, area["coordinates"][0] if area["type"] == "Polygon" else [area["coordinates"]])) == {
        tuple(still)
    }


def test_a_place_in_an_array(world: City) -> None:
    if world.catalog.engine.dialect.name == "sqlite":
        assert found(world, "Locations", "properties/wings[1] eq 2 and encodingType eq 'application/text'") == ["hall"]
    else:
        with pytest.raises(InputRefused, match="array") as refused:
            found(world, "Locations", "properties/wings[1] eq 2")
        assert refused.value.status == 501


def test_paths_lead_into_properties(world: City) -> None:
    assert world.get("Things(1)/properties/height") == {"height": 4.5}
    assert world.answer("Things(1)/properties/height/$value") == "4.5"
    assert world.get("Datastreams(1)/unitOfMeasurement/symbol") == {"symbol": "degC"}
    assert world.answer("Locations(4)/properties/wings[1]/$value") == "2"
    assert world.answer("Datastreams(1)/Thing/Locations(1)/name/$value") == "place of lamp one"
    for wrong in ("Things(1)/properties/colour", "Things(1)/properties/height/x", "Things(1)/name/x"):
        with pytest.raises(InputRefused) as refused:
            world.get(wrong)
        assert refused.value.status == 404


def test_select_of_parts_and_links(world: City) -> None:
    assert world.get("Things(1)?$select=properties/height,properties/kind") == {
        "properties": {"height": 4.5, "kind": "lamp"}
    }
    assert world.get("Datastreams(1)?$select=unitOfMeasurement/symbol") == {"unitOfMeasurement": {"symbol": "degC"}}
    both = world.get("Things(1)?$select=@iot.id,Locations&$expand=Locations($select=name)")
    assert both == {
        "@iot.id": 1,
        "Locations@iot.navigationLink": "http://city/v1.1/Things(1)/Locations",
        "Locations": [{"name": "place of lamp one"}],
    }


def test_expand_of_paths_and_lists(world: City) -> None:
    url = "Things?$expand=Datastreams/ObservedProperty,Locations($select=name;$expand=HistoricalLocations)&$top=1"
    [lamp] = world.get(url)["value"]
    assert lamp["Datastreams"][0]["ObservedProperty"]["name"] == "air_temperature"
    assert lamp["Locations"][0]["HistoricalLocations"][0]["@iot.id"] == 1


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Things(1)?$filter=id%20eq%201", 400),
        ("Things(1)?$orderby=name", 400),
        ("Things(1)/name?$select=id", 400),
        ("Things/$ref?$expand=Locations", 400),
        ("?$top=1", 400),
        ("Things?top=1", 400),
        ("Things?$resultFormat=XML", 400),
        ("Things?$resultFormat=dataArray", 400),
        ("Things(1)/name?$resultFormat=CSV", 400),
        ("Things?$skiptoken=abc", 400),
        ("Things?$skiptoken=WzEsMl0", 400),
        ("Things?$select=name/x", 400),
        ("Things?$expand=Datastreams($skiptoken=abc)", 400),
        ("Things?$filter=Datastreams/Observations/result%20eq%20properties/height", 501),
    ],
)
def test_what_is_wrong_is_refused(world: City, url: str, status: int) -> None:
    with pytest.raises(InputRefused) as refused:
        world.get(url)
    assert refused.value.status == status
