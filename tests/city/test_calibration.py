"""A calibrated stream reads otherwise everywhere, and its raw readings stay as they came."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.city.conftest import CityProcess
from tests.city.test_spine import feed, register


def test_what_is_calibrated_is_read_otherwise_everywhere(
    new_city: Callable[..., CityProcess],
) -> None:
    city = new_city(idle=True)
    ids = register(city)
    stream = ids["streams"]["lamp/0/air_temperature"]
    feed(city, ids["streams"])
    now = datetime.now(UTC)
    day = (now - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [[(day + timedelta(minutes=15 * n)).isoformat(), 10.0 + n] for n in range(4)]
    body = [{"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"], "dataArray": rows}]
    city.client.post("/v1.1/CreateObservations", content=json.dumps(body).encode())
    since = (day + timedelta(minutes=30)).isoformat()
    given = {"gain": -2, "offset": 5, "from": since}
    city.client.post("/api/calibrations", datastream=stream, why="reference", **given)

    def results(query: str) -> list[float]:
        found: dict[str, Any] = city.client.get(f"/v1.1/Datastreams({stream})/Observations?{query}")
        return [row["result"] for row in found["value"]]

    early = f"phenomenonTime lt {(day + timedelta(days=1)).isoformat().replace('+00:00', 'Z')}"
    assert results(f"$filter={early}&$orderby=phenomenonTime") == [10.0, 11.0, -19.0, -21.0]
    assert results(f"$filter={early} and result lt 0&$orderby=phenomenonTime") == [-19.0, -21.0]
    (newest,) = results("$orderby=phenomenonTime desc&$top=1")
    assert newest == 15.0  # -5 degC, as fed: -2 * -5 + 5
    latest = city.client.get("/api/latest", kind="lamp_post", property="air_temperature")["features"]
    assert [f["properties"]["value"] for f in latest if f["properties"]["name"] == "lamp/0"] == [288.15]
    span = {"from": day.isoformat(), "to": (day + timedelta(hours=1)).isoformat(), "kind": "lamp_post"}
    figures = city.client.get("/api/aggregate", property="air_temperature", by="stream", bucket="1h", **span)
    assert [round(figures[name][0] - 273.15, 6) for name in ("low", "high", "mean")] == [-21.0, 11.0, -4.75]
    series = city.client.get("/api/series", property="air_temperature", raw="true", **span)
    assert [round(value - 273.15, 6) for value in series["value"]] == [10.0, 11.0, 12.0, 13.0]
    (known,) = city.client.get("/api/calibrations")["calibrations"]
    assert (known["gain"], known["offset"], known["why"]) == (-2.0, 5.0, "reference")
    observation = city.client.get(f"/v1.1/Datastreams({stream})/Observations?$filter={early}&$top=1&$orderby=id")
    identity = observation["value"][0]["@iot.id"]
    patched = city.client.http.patch(f"/v1.1/Observations({identity})", json={"parameters": {"checked": True}})
    assert patched.status_code == 200, patched.text
    again = city.client.get("/api/series", property="air_temperature", raw="true", **span)
    assert [round(value - 273.15, 6) for value in again["value"]] == [10.0, 11.0, 12.0, 13.0]  # not calibrated twice
    city.client.http.delete(f"/api/calibrations/{known['id']}").raise_for_status()
    assert results(f"$filter={early}&$orderby=phenomenonTime") == [10.0, 11.0, 12.0, 13.0]
