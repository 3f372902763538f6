"""What a practice derives is as guarded as what it comes of, unless its register says that it tells less."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.city.conftest import PRACTICES, CityProcess
from tests.city.test_spine import wait_for


def lamp(city: CityProcess, key: str, **how: Any) -> int:
    stream = {"key": f"{key}/t", "property": "air_temperature", "unit": "degC", **how}
    line = {"key": key, "kind": "lamp_post", "name": key, "streams": [stream]}
    return int(city.client.post("/api/register", content=json.dumps(line).encode())["streams"][f"{key}/t"])


def feed(city: CityProcess, *streams: int) -> None:
    for stream in streams:
        city.client.http.post(f"/v1.1/Datastreams({stream})/Observations", json={"result": 3}).raise_for_status()


def estimated(city: CityProcess, *streams: int) -> Callable[[], list[tuple[str, bool]]]:
    """How the streams of estimates are guarded, once there are any."""

    def look() -> list[tuple[str, bool]]:
        feed(city, *streams)
        things = city.client.get("/api/things", limit=200)["things"]
        streams_of = [city.client.get(f"/api/things/{one['id']}")["streams"] for one in things]
        told = [one for some in streams_of for one in some if one["property"] == "mean_temperature"]
        return sorted((one["access"], one["personal"]) for one in told)

    return look


def test_estimates_are_guarded_as_their_inputs_are_and_follow_them(new_city: Callable[..., CityProcess]) -> None:
    city = new_city()
    plain = lamp(city, "plain")
    assert wait_for(estimated(city, plain), 60) == [("open", False)]
    guarded = lamp(city, "guarded", access="internal")
    look = estimated(city, plain, guarded)
    wait_for(lambda: look() == [("internal", False)] * 2, 60)
    city.client.http.patch(f"/v1.1/Datastreams({plain})", json={"properties": {"personal": True}}).raise_for_status()
    wait_for(lambda: look() == [("internal", True)] * 2, 60)
    city.client.http.patch(f"/v1.1/Datastreams({plain})", json={"properties": {"personal": False}}).raise_for_status()
    city.stop()
    city.start()
    decided = len(city.client.get("/api/decisions"))
    wait_for(lambda: look() and len(city.client.get("/api/decisions")) > decided + 1, 60)
    assert look() == [("internal", True)] * 2, "nothing is opened by itself"


def test_a_register_may_say_that_estimates_tell_less(new_city: Callable[..., CityProcess], tmp_path: Path) -> None:
    shutil.copytree(PRACTICES, tmp_path / "practices")
    register = tmp_path / "practices" / "dimmer" / "register.toml"
    said = 'estimates_access = "open"\nestimates_personal = false\n'
    register.write_text(said + (register.read_text() if register.exists() else ""))
    path = os.pathsep.join(filter(None, [str(tmp_path / "practices"), os.environ.get("PYTHONPATH", "")]))
    city = new_city(PYTHONPATH=path)
    stream = lamp(city, "home", access="restricted", personal=True)
    assert wait_for(estimated(city, stream), 60) == [("open", False)]
