"""An Observation that names no FeatureOfInterest has that of the place where its Thing is."""

from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.test_amending import ELSEWHERE, POINT, Door, place, thing

__all__ = ["city"]


@pytest.fixture
def door(city: CityProcess) -> Door:
    return Door(city)


def observe(door: Door, stream: str, result: float) -> dict[str, Any]:
    """The FeatureOfInterest of a new Observation."""
    made = door.post(f"{stream}/Observations", {"result": result})
    feature: dict[str, Any] = door.get(f"{made}/FeatureOfInterest")
    return feature


def test_all_observations_at_a_place_share_its_feature_and_keep_it_when_the_thing_moves(door: Door) -> None:
    mast = door.post("Things", thing())
    stream = f"Datastreams({door.get(f'{mast}/Datastreams')['value'][0]['@iot.id']})"
    first = observe(door, stream, 1)
    assert (first["name"], first["feature"], first["encodingType"]) == ("here", POINT, "application/geo+json")
    assert observe(door, stream, 2)["@iot.id"] == first["@iot.id"]
    assert door.get(f"{stream}/observedArea")["observedArea"]["type"] in ("Point", "Polygon")

    door.post(f"{mast}/Locations", place("there", ELSEWHERE))
    moved = observe(door, stream, 3)
    assert (moved["name"], moved["feature"]) == ("there", ELSEWHERE)
    results = door.get(f"FeaturesOfInterest({first['@iot.id']})/Observations?$orderby=result")["value"]
    assert [one["result"] for one in results] == [1, 2]


def test_a_place_that_was_wrong_is_right_for_what_comes(door: Door) -> None:
    mast = door.post("Things", thing())
    stream = f"Datastreams({door.get(f'{mast}/Datastreams')['value'][0]['@iot.id']})"
    before = observe(door, stream, 1)
    [here] = door.get(f"{mast}/Locations")["value"]
    assert door.http.patch(f"/v1.1/Locations({here['@iot.id']})", json={"location": ELSEWHERE}).status_code == 200
    after = observe(door, stream, 2)
    assert after["feature"] == ELSEWHERE
    assert door.get(f"FeaturesOfInterest({before['@iot.id']})")["feature"] == POINT


def test_without_a_place_an_observation_names_its_feature(door: Door) -> None:
    nowhere = door.post("Things", thing(Locations=[]))
    stream = f"Datastreams({door.get(f'{nowhere}/Datastreams')['value'][0]['@iot.id']})"
    refused = door.http.post(f"/v1.1/{stream}/Observations", json={"result": 1})
    assert refused.status_code == 400
    assert "has no Location, so it must name a FeatureOfInterest" in refused.json()["message"]
    assert door.get(f"{stream}/Observations")["value"] == []


def test_where_the_feature_of_a_place_was_taken_away_there_is_another(door: Door) -> None:
    mast = door.post("Things", thing())
    stream = f"Datastreams({door.get(f'{mast}/Datastreams')['value'][0]['@iot.id']})"
    feature = observe(door, stream, 1)
    assert door.http.delete(f"/v1.1/FeaturesOfInterest({feature['@iot.id']})").status_code == 200
    other = observe(door, stream, 2)
    assert other["@iot.id"] != feature["@iot.id"]
    assert other["feature"] == POINT
    assert [one["result"] for one in door.get(f"{stream}/Observations")["value"]] == [2]


def test_a_feature_that_is_named_counts(door: Door) -> None:
    mast = door.post("Things", thing())
    stream = f"Datastreams({door.get(f'{mast}/Datastreams')['value'][0]['@iot.id']})"
    sky = {"name": "sky", "description": "s", "encodingType": "application/geo+json", "feature": ELSEWHERE}
    made = door.post("Observations", {"result": 1, "Datastream": {"@iot.id": int(stream[12:-1])},
                                      "FeatureOfInterest": sky})  # fmt: skip
    assert door.get(f"{made}/FeatureOfInterest")["name"] == "sky"
