"""What moves is on the map where it says that it is, for those who may know."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.city.conftest import CityProcess
from tests.city.test_spine import wait_for

POINTS: list[Any] = [
    {"type": "Point", "coordinates": [24.941, 60.171]},
    {"type": "Point", "coordinates": [24.95, 60.18]},
]
NOWHERE: list[Any] = [{"type": "Point", "coordinates": [200, 60]}, {"type": "Point"}, {"x": 1}, []]


def test_what_moves_is_where_it_told_last(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    lines = [
        {
            "key": f"bus/{i}", "kind": "bus", "name": f"Bus {i}",
            "streams": [
                {"key": f"bus/{i}/position", "property": "position", "type": "json", "access": access},
                {"key": f"bus/{i}/speed", "property": "speed", "unit": "m/s"},
            ],
        }
        for i, access in enumerate(("open", "internal"))
    ]  # fmt: skip
    streams = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())["streams"]

    def places(who: httpx.Client) -> dict[str, Any]:
        told: dict[str, Any] = who.get("/api/map/places", params={"kind": "bus"}).json()
        return told

    staff = city.client.http
    assert places(staff) == {
        "kind": "bus",
        "thing": [1, 2],
        "lon": [None, None],
        "lat": [None, None],
        "ground": None,
        "name": ["Bus 0", "Bus 1"],
        "moves": True,
    }

    def tell(bus: int, where: Any) -> None:
        path = f"/v1.1/Datastreams({streams[f'bus/{bus}/position']})/Observations"
        staff.post(path, json={"result": where}).raise_for_status()

    for bus in (0, 1):
        for point in POINTS:
            tell(bus, point)
    told = wait_for(lambda: None not in places(staff)["lon"] and places(staff), 30)
    assert (told["lon"], told["lat"], told["name"]) == ([24.95] * 2, [60.18] * 2, ["Bus 0", "Bus 1"])
    with httpx.Client(base_url=city.url) as stranger:
        assert places(stranger)["name"] == ["Bus 0"], "where a bus of the house is no stranger is told"
    for nowhere in NOWHERE:
        tell(0, nowhere)
        assert wait_for(lambda: places(staff)["lon"] == [None, 24.95], 30), nowhere
        tell(0, POINTS[0])
        assert wait_for(lambda: None not in places(staff)["lon"], 30), nowhere
