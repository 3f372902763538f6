"""What the standard says of MultiDatastreams, dataArray and batches, on a running city (OGC 18-088, 11 to 13)."""

from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.standard import ANYTHING, OM, Door, feature, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]

UNITS = {"speed": {"name": "metre per second", "symbol": "m/s", "definition": "m/s"},
         "direction": {"name": "degree", "symbol": "deg", "definition": "deg"}}  # fmt: skip


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


class Winds:
    """Two Things, two Sensors, two ObservedProperties, and four MultiDatastreams of them in different orders."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.things = [door.make("Things", thing(f"mast {n}", Locations=[place()])) for n in range(2)]
        self.sensors = [door.make("Sensors", sensor(f"vane {n}")) for n in range(2)]
        self.seen = [door.make("ObservedProperties", observed(name)) for name in UNITS]
        self.single = door.make(f"Things({self.things[0]})/Datastreams", stream("single", ANYTHING))
        ways = (([0], 0), ([0, 1], 0), ([1, 0], 0), ([0, 0], 1))
        self.multi = [self._make(f"multi {n}", way, by) for n, (way, by) in enumerate(ways)]

    def _make(self, name: str, way: list[int], by: int) -> int:
        units = list(UNITS.values())
        return self.door.make("MultiDatastreams", {
            "name": name, "description": name, "observationType": OM + "ComplexObservation",
            "multiObservationDataTypes": [OM + "Measurement"] * len(way), "unitOfMeasurements": [units[n] for n in way],
            "Thing": ref(self.things[0]), "Sensor": ref(self.sensors[by]),
            "ObservedProperties": [ref(self.seen[n]) for n in way],
        })  # fmt: skip


@pytest.fixture
def winds(door: Door) -> Winds:
    return Winds(door)


def test_a_multidatastream_has_its_properties_in_order_and_results_of_as_many_values(door: Door, winds: Winds) -> None:
    for mine, way in zip(winds.multi, ([0], [0, 1], [1, 0], [0]), strict=True):
        assert door.ids(f"MultiDatastreams({mine})/ObservedProperties") == [winds.seen[n] for n in way]
    made = [
        door.make("Observations", {"result": result, "MultiDatastream": ref(winds.multi[at])})
        for at, result in ((0, [1]), (1, [4, 1]), (2, [7.5, 4]), (3, [10, 7]))
    ]
    for mine, one in zip(winds.multi, made, strict=True):
        assert door.ids(f"MultiDatastreams({mine})/Observations") == [one]
        assert door.get(f"Observations({one})/MultiDatastream")["@iot.id"] == mine
        door.get(f"Observations({one})/Datastream", 404)
    for at, wrong in ((1, 1), (0, [1, 2]), (1, [1]), (1, ["x", 1])):
        door.send("POST", "Observations", {"result": wrong, "MultiDatastream": ref(winds.multi[at])}, 400)
    assert door.get(f"Observations({made[1]})/result%5B0%5D") == {"result[0]": 4}
    assert door.ids(f"Observations?$filter=result[1] eq 4 and MultiDatastream/id eq {winds.multi[2]}") == [made[2]]


def test_a_multidatastream_is_found_from_all_that_it_is_linked_to(door: Door, winds: Winds) -> None:
    assert door.ids(f"Things({winds.things[0]})/MultiDatastreams") == winds.multi
    assert door.ids(f"Things({winds.things[0]})/Datastreams") == [winds.single]
    assert door.ids(f"Sensors({winds.sensors[0]})/MultiDatastreams") == winds.multi[:3]
    assert door.ids(f"ObservedProperties({winds.seen[0]})/MultiDatastreams") == winds.multi
    assert door.ids(f"ObservedProperties({winds.seen[1]})/MultiDatastreams") == winds.multi[1:3]
    assert not set(winds.multi) & set(door.ids("Datastreams"))


def test_an_observation_is_of_one_of_both_kinds(door: Door, winds: Winds) -> None:
    one = door.make(f"Datastreams({winds.single})/Observations", {"result": 1})
    door.send("PATCH", f"Observations({one})", {"MultiDatastream": ref(winds.multi[0])}, 400)
    both = {"result": [1], "Datastream": ref(winds.single), "MultiDatastream": ref(winds.multi[0])}
    door.send("POST", "Observations", both, 400)
    door.send("PATCH", f"ObservedProperties({winds.seen[1]})", {"MultiDatastreams": [ref(winds.multi[0])]}, 400)


def test_a_multidatastream_goes_with_any_of_what_it_hangs_on(door: Door, winds: Winds) -> None:
    made = [door.make(f"MultiDatastreams({winds.multi[at]})/Observations", {"result": [1] * size})
            for at, size in enumerate((1, 2, 2, 2))]  # fmt: skip
    door.send("DELETE", f"ObservedProperties({winds.seen[1]})")
    assert door.ids(f"Things({winds.things[0]})/MultiDatastreams") == [winds.multi[0], winds.multi[3]]
    door.get(f"Observations({made[1]})", 404)
    door.send("DELETE", f"Sensors({winds.sensors[1]})")
    assert door.ids(f"Things({winds.things[0]})/MultiDatastreams") == [winds.multi[0]]
    door.send("DELETE", f"Things({winds.things[0]})")
    door.get(f"MultiDatastreams({winds.multi[0]})", 404)
    door.get(f"Observations({made[0]})", 404)


@pytest.mark.parametrize(
    ("options", "components"),
    [
        ("$count=true&$top=3", {"id", "phenomenonTime", "resultTime", "result"}),
        ("$count=true&$top=4&$select=result,phenomenonTime&$orderby=phenomenonTime desc", {"result", "phenomenonTime"}),
    ],
)
def test_observations_are_read_as_data_arrays(door: Door, winds: Winds, options: str, components: set[str]) -> None:
    for n in range(3):
        when = f"2026-01-0{n + 1}T00:00:00Z"
        door.make(f"Datastreams({winds.single})/Observations", {"result": n, "phenomenonTime": when})
        door.make(f"MultiDatastreams({winds.multi[1]})/Observations", {"result": [n, n], "phenomenonTime": when})
    page = door.get(f"Observations?{options}&$resultFormat=dataArray")
    assert page["@iot.count"] >= 6
    assert page["@iot.nextLink"]
    for group in page["value"]:
        [link] = [name for name in group if name.endswith("atastream@iot.navigationLink")]
        assert door.get(group[link])["@iot.selfLink"] == group[link]
        assert set(group["components"]) == components
        assert len(group["dataArray"]) == group["dataArray@iot.count"]
        assert all(len(row) == len(components) for row in group["dataArray"])


def test_data_arrays_are_stored_row_by_row(door: Door, winds: Winds) -> None:
    of = door.make("FeaturesOfInterest", feature("named", point(1, 1)))
    nowhere = door.make(f"Things({door.make('Things', thing('nowhere'))})/Datastreams", stream("nowhere"))
    at = [f"2010-12-23T10:2{n}:00-07:00" for n in range(2)]
    named = ["phenomenonTime", "result", "FeatureOfInterest/id"]
    groups: list[dict[str, Any]] = [
        {"Datastream": ref(winds.single), "components": named, "dataArray@iot.count": 2,
         "dataArray": [[at[0], 20, of], [at[1], 30, "no id"]]},
        {"Datastream": ref(winds.single), "components": named[:2], "dataArray": [[at[0], 65], [at[1], 60]]},
        {"MultiDatastream": ref(winds.multi[1]), "components": named[:2], "dataArray": [[at[0], [5, 20]], [at[1], 30]]},
        {"Datastream": ref(nowhere), "components": named[:2], "dataArray": [[at[0], 1]]},
    ]  # fmt: skip
    told = door.send("POST", "CreateObservations", groups, 201).json()
    assert [one == "error" for one in told] == [False, True, False, False, False, True, True]
    made = [door.get(one) for one in told if one != "error"]
    assert [one["result"] for one in made] == [20, 65, 60, [5, 20]]
    assert {one["phenomenonTime"] for one in made} == {"2010-12-23T17:20:00Z", "2010-12-23T17:21:00Z"}
    features = [door.get(f"Observations({one['@iot.id']})/FeatureOfInterest")["@iot.id"] for one in made]
    assert features[0] == of
    assert features[1] == features[2] == features[3] != of
    before = door.get("Observations?$count=true&$top=0")["@iot.count"]
    door.send("POST", "CreateObservations?on_error=refuse", groups, 400)
    door.send("POST", "CreateObservations", groups[3:], 400)  # where nothing is made, nothing was created
    assert door.get("Observations?$count=true&$top=0")["@iot.count"] == before


def test_a_batch_makes_all_of_a_change_set_and_refers_to_what_is_new(door: Door) -> None:
    it = door.make("Things", thing("batched"))
    seen = door.make("ObservedProperties", observed())
    made = stream("new", OM.replace("OGC-OM", "OGCOM") + "Measurement", ObservedProperty=ref(seen))
    made["Sensor"] = {"@iot.id": "$sensor1"}
    requests = [
        {"id": "0", "method": "get", "url": f"Things({it})?$select=name"},
        {"id": "sensor1", "atomicityGroup": "g", "method": "post", "url": "Sensors", "body": sensor("new")},
        {"id": "any", "atomicityGroup": "g", "method": "post", "url": f"Things({it})/Datastreams", "body": made},
        {"id": "2", "atomicityGroup": "g", "method": "patch", "url": f"Things({it})", "body": {"name": "patched"}},
        {"id": "3", "method": "get", "url": f"{door.root}/Things?$filter=name%20eq%20'patched'&$select=name"},
        {"id": "4", "method": "get", "url": "Things(987654321)"},
    ]
    told = door.send("POST", "$batch", {"requests": requests}).json()["responses"]
    assert [one["id"] for one in told] == [one["id"] for one in requests]
    assert [one["status"] for one in told] == [200, 201, 201, 200, 200, 404]
    assert told[0]["body"] == {"name": "batched"}
    assert told[4]["body"]["value"] == [{"name": "patched"}]
    [mine] = door.values(f"Things({it})/Datastreams?$expand=Sensor")
    assert told[2]["headers"]["location"] == mine["@iot.selfLink"]
    assert told[1]["headers"]["location"] == mine["Sensor"]["@iot.selfLink"]
