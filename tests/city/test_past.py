"""What tells where it is stands on the map where it is now, and in a past hour where it was then."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from civium.client import CityClient
from civium.core import InputRefused
from tests.city.conftest import CityProcess

HOUR = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=40)
FERRY = {
    "key": "ferry/1", "kind": "ferry", "name": "Suokki", "where": {"type": "Point", "coordinates": [24.90, 60.10]},
    "streams": [
        {"key": "ferry/1/speed", "property": "speed", "unit": "m/s"},
        {"key": "ferry/1/position", "property": "position", "type": "json"},
    ],
}  # fmt: skip


def tell(city: CityProcess, stream: int, second: float, result: Any) -> None:
    time = (HOUR + timedelta(seconds=second)).isoformat()
    said = {"phenomenonTime": time, "result": result}
    assert city.client.http.post(f"/v1.1/Datastreams({stream})/Observations", json=said).status_code == 201


def past(client: CityClient, first: float, last: float, step: float = 60) -> Any:
    span = {"from": (HOUR + timedelta(seconds=first)).isoformat(), "to": (HOUR + timedelta(seconds=last)).isoformat()}
    return client.get("/api/map/past", kind="ferry", property="speed", step=step, **span)


@pytest.fixture(scope="module")
def sea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    """A ferry that told its place three times, once nonsense, and its speed once."""
    city = CityProcess(tmp_path_factory.mktemp("sea") / "city", True, {}).start()
    told = city.client.post("/api/register", content=json.dumps(FERRY).encode())["streams"]
    position = told["ferry/1/position"]
    for second, where in ((100, [24.97, 60.16]), (130, [524.0, 60.15]), (400, [24.98, 60.15])):
        tell(city, position, second, {"type": "Point", "coordinates": where})
    tell(city, told["ferry/1/speed"], 120, 4.5)
    yield city
    city.stop()


def test_a_past_hour_tells_where_it_was_at_each_step(sea: CityProcess) -> None:
    told = past(sea.client, 0, 600)
    assert told["places"]["thing"] == told["thing"]
    lon, lat = ([row[0] for row in told["places"][axis]] for axis in ("lon", "lat"))
    assert lon == [None] * 2 + [24.97] * 5 + [24.98] * 4  # none before it spoke; what is no place on Earth is not one
    assert lat == [None] * 2 + [60.16] * 5 + [60.15] * 4
    assert [row[0] for row in told["values"]] == [None] * 2 + [4.5] * 9


def test_one_that_is_silent_and_has_no_place_of_its_own_is_nowhere_now_and_somewhere_then(sea: CityProcess) -> None:
    line = {**FERRY, "key": "ferry/9", "kind": "barge", "where": None, "streams": FERRY["streams"][1:]}
    line["streams"] = [{**line["streams"][0], "key": "ferry/9/position"}]
    made = sea.client.post("/api/register", content=json.dumps(line).encode())
    tell(sea, made["streams"]["ferry/9/position"], 60, {"type": "Point", "coordinates": [24.9, 60.1]})
    now = sea.client.get("/api/map/places", kind="barge")
    assert (now["lon"], now["lat"], now["moves"]) == ([None], [None], True)
    span = {"from": HOUR.isoformat(), "to": (HOUR + timedelta(minutes=5)).isoformat()}
    then = sea.client.get("/api/map/past", kind="barge", property="position", step=60, **span)
    assert then["thing"] == now["thing"]
    assert [row[0] for row in then["places"]["lon"]] == [None, *[24.9] * 5]


def test_what_was_silent_for_a_quarter_of_an_hour_is_nowhere(sea: CityProcess) -> None:
    told = past(sea.client, 1200, 1500)
    assert [row[0] for row in told["places"]["lon"]] == [24.98] * 2 + [None] * 4


def test_things_that_stay_have_no_places_in_the_past(sea: CityProcess) -> None:
    quay = {"key": "quay", "kind": "quay", "streams": [{"key": "quay/level", "property": "water_level", "unit": "m"}]}
    sea.client.post("/api/register", content=json.dumps(quay).encode())
    span = {"from": HOUR.isoformat(), "to": (HOUR + timedelta(minutes=5)).isoformat()}
    assert sea.client.get("/api/map/past", kind="quay", property="water_level", **span)["places"] is None


def test_where_a_restricted_one_was_is_told_to_those_who_may_know(sea: CityProcess) -> None:
    line = {**FERRY, "key": "ferry/2"}
    line["streams"] = [{**one, "key": one["key"].replace("1", "2")} for one in FERRY["streams"]]
    line["streams"][1]["access"] = "restricted"
    told = sea.client.post("/api/register", content=json.dumps(line).encode())["streams"]
    tell(sea, told["ferry/2/position"], 100, {"type": "Point", "coordinates": [24.99, 60.14]})
    mine = past(sea.client, 0, 600)["places"]
    with httpx.Client(base_url=sea.url, timeout=60) as stranger:
        theirs = past(CityClient(stranger), 0, 600)["places"]
    assert len(mine["thing"]) == 2
    assert any(24.99 in row for row in mine["lon"])
    assert len(theirs["thing"]) == 1
    assert not any(24.99 in row for row in theirs["lon"])


def test_a_short_step_of_many_streams_is_refused_though_it_asks_for_one_moment(sea: CityProcess) -> None:
    lines = [
        json.dumps({"key": f"buoy/{n}", "kind": "buoy", "streams": [{"property": "water_level", "unit": "m"}]})
        for n in range(1500)
    ]
    sea.client.post("/api/register?ids=false", content="\n".join(lines).encode())
    moment = {"kind": "buoy", "property": "water_level", "from": HOUR.isoformat(), "to": HOUR.isoformat()}
    with pytest.raises(InputRefused, match="take a longer step"):
        sea.client.get("/api/map/past", step=1, **moment)
    assert len(sea.client.get("/api/map/past", step=10, **moment)["thing"]) == 1500
