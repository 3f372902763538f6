"""A stream in a unit of somebody's own is kept as it came, and no practice takes it for the unit that it needs."""

from collections.abc import Callable

from tests.city.conftest import CityProcess
from tests.city.test_spine import decisions, incidents, register, wait_for
from tests.web.standard import Door


def test_a_stream_in_another_unit_is_kept_and_no_practice_sees_it(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    told = register(city)["streams"]
    door = Door(city)
    for stream in [
        one for one in told.values() if door.get(f"Datastreams({one})")["unitOfMeasurement"]["symbol"] == "degC"
    ]:
        door.send("PATCH", f"Datastreams({stream})", {"unitOfMeasurement": {"symbol": "smoots", "name": "Smoot"}})
        door.send("POST", f"Datastreams({stream})/Observations", {"result": 5}, 201)
        assert door.values(f"Datastreams({stream})/Observations")[0]["result"] == 5
        assert door.get(f"Datastreams({stream})")["unitOfMeasurement"]["symbol"] == "smoots"
    held = wait_for(lambda: [one for one in incidents(city) if "in K is registered" in one["why"]])
    assert held[0]["what"] == "held"
    assert decisions(city) == []
