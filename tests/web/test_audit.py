"""Every change says who made it, what was before and what is after; and who comes too often waits."""

from typing import Any

import httpx
import pytest

from civium.web.limits import Buckets, TooMany
from tests.city.conftest import CityProcess, city

__all__ = ["city"]


def bearer(city: CityProcess, name: str, role: str, **more: Any) -> httpx.Client:
    token = city.client.post("/api/tokens", name=name, role=role, **more)["token"]
    return httpx.Client(base_url=city.url, timeout=60, headers={"Authorization": f"Bearer {token}"})


def last(city: CityProcess) -> dict[str, Any]:
    told: dict[str, Any] = city.client.get("/api/audit", limit=1)[0]
    return told


def test_a_change_names_its_maker_and_both_sides_of_it(city: CityProcess) -> None:
    with bearer(city, "the works", "operator") as http:
        made = http.post("/v1.1/Things", json={"name": "old", "description": "d"})
        assert made.status_code == 201
        told = last(city)
        assert (told["who"], told["changes"][0]["what"]) == ("the works", "made")
        thing = told["changes"][0]["key"]
        assert http.patch(f"/v1.1/Things({thing})", json={"name": "new"}).status_code == 200
        told = last(city)
        (row,) = told["changes"]
        assert (row["what"], row["table"], row["key"]) == ("changed", "things", thing)
        assert (row["before"]["name"], row["after"]["name"]) == ("old", "new")
        assert http.delete(f"/v1.1/Things({thing})").status_code == 200
        (row,) = last(city)["changes"]
        assert (row["what"], row["before"]["name"]) == ("removed", "new")
        for mandate in ("approve", "advise"):
            wish = {"mandate": mandate, "why": "to see", "who": "Ada"}
            assert http.post("/api/practices/dimmer/mandate", json=wish).status_code == 200
        told = last(city)
        assert (told["who"], told["why"]) == ("the works for Ada", "to see")
        (row,) = told["changes"]
        assert (row["before"]["mandate"], row["after"]["mandate"]) == ("approve", "advise")
        for above in (1, 2):
            rule = {"severity": "info", "watch": {"property": "air_temperature"}, "when": {"above": above}}
            assert http.post("/api/alarms/rules", json={"id": "hot", "rule": rule, "why": "x"}).status_code == 200
        (row,) = last(city)["changes"]
        assert ['"above":1' in row["before"]["body"], '"above":2' in row["after"]["body"]] == [True, True]


def test_who_corrects_a_reading_stands_on_the_audit_whichever_way_it_goes(city: CityProcess) -> None:
    line = {"key": "g", "kind": "g", "name": "g", "streams": [{"key": "g/p", "property": "p", "unit": "1"}]}
    stream = city.client.post("/api/register", **line)["streams"]["g/p"]
    path = f"/v1.1/Datastreams({stream})/Observations"
    with bearer(city, "the bench", "operator") as http:
        for n in range(4):
            assert http.post(path, json={"result": 41000 + n}).status_code == 201
        first, second, third, fourth = (one["@iot.id"] for one in http.get(f"{path}?$orderby=id").json()["value"])
        feature = {"name": "f", "description": "", "encodingType": "application/geo+json",
                   "feature": {"type": "Point", "coordinates": [1, 1]}}  # fmt: skip
        place = http.post("/v1.1/FeaturesOfInterest", json=feature).json()["@iot.id"]

        def told() -> tuple[str, str]:
            one = last(city)
            return one["who"], one["why"]

        http.patch(f"/v1.1/Observations({first})", json={"result": 42000}).raise_for_status()
        assert told() == ("the bench", f"PATCH of 1 Observations: changed of Datastream {stream}: {first}")
        http.put(f"/v1.1/Observations({second})", json={"result": 42001}).raise_for_status()
        assert told() == ("the bench", f"PUT of 1 Observations: changed of Datastream {stream}: {second}")
        http.delete(f"/v1.1/Observations({second})").raise_for_status()
        assert told() == ("the bench", f"DELETE of 1 Observations: taken away of Datastream {stream}: {second}")
        body = {"FeatureOfInterest": {"@iot.id": place}}
        http.patch(f"/v1.1/Observations({third})", json=body).raise_for_status()
        step = {"id": "1", "atomicityGroup": "g", "method": "DELETE", "url": f"Observations({fourth})"}
        made = http.post("/v1.1/$batch", json={"requests": [step]}).json()["responses"]
        assert made[0]["status"] == 200
        assert told() == ("the bench", f"POST of 1 Observations: taken away of Datastream {stream}: {fourth}")
        http.delete(f"/v1.1/FeaturesOfInterest({place})").raise_for_status()
        whys = [one["why"] for one in city.client.get("/api/audit", limit=4) if one["who"] == "the bench"]
        assert f"DELETE of 1 Observations: taken away of Datastream {stream}: {third}" in whys
        assert http.patch("/v1.1/Observations(1)", json={"result": 1}).status_code == 404
    assert "42000" not in str(city.client.get("/api/audit", limit=20)), "what may be personal is not told there"


def test_the_audit_knows_of_tokens_and_tells_no_digest(city: CityProcess) -> None:
    made = city.client.post("/api/tokens", name="short lived", role="operator", why="a try")
    told = last(city)
    assert (told["who"], told["why"]) == ("local", "a try")
    assert told["changes"][0]["after"]["name"] == "short lived"
    assert "digest" not in str(told)
    city.client.delete(f"/api/tokens/{made['id']}", why="it is over")
    (row,) = last(city)["changes"]
    assert row["before"] == {"revoked": None}
    assert row["after"]["revoked"] > 0
    said = city.run("audit", "--limit", "3").stdout
    assert "it is over" in said
    assert "changed tokens" in said


def test_pages_of_the_audit_follow_one_another(city: CityProcess) -> None:
    for name in ("p1", "p2", "p3"):
        city.client.post("/api/tokens", name=name, role="operator")
    both = city.client.get("/api/audit", limit=2)
    assert [one["sequence"] for one in both] == [both[0]["sequence"], both[0]["sequence"] - 1]
    earlier = city.client.get("/api/audit", limit=2, before=both[1]["sequence"])
    assert earlier[0]["sequence"] == both[1]["sequence"] - 1


def test_a_token_that_comes_too_often_waits_and_nobody_else_does(city: CityProcess) -> None:
    with bearer(city, "eager", "operator", requests_per_s=0.01) as http, bearer(city, "calm", "operator") as other:
        assert http.get("/api/me").status_code == 200
        late = http.get("/api/me")
        assert late.status_code == 429
        assert 1 <= int(late.headers["retry-after"]) <= 100
        observed = http.post("/v1.1/Datastreams(1)/Observations", json={"result": 1})
        assert observed.status_code == 429  # ahead of the framework, too
        assert other.get("/api/me").status_code == 200


def test_a_token_may_be_held_to_short_bodies(city: CityProcess) -> None:
    with bearer(city, "brief", "operator", max_body_mb=0.001) as http:
        assert http.post("/api/register", content=b" " * 2000).status_code == 413
    with bearer(city, "long", "operator") as http:
        assert http.post("/api/register", content=b" " * 2000).status_code != 413


def test_a_bucket_fills_again_and_the_memory_of_callers_is_bounded() -> None:
    now = 0.0
    buckets = Buckets(lambda: now)
    for _ in range(20):
        buckets.take("a", 2.0, "x")
    with pytest.raises(TooMany):
        buckets.take("a", 2.0, "x")
    now = 0.5
    buckets.take("a", 2.0, "x")
    with pytest.raises(TooMany):
        buckets.take("a", 2.0, "x")
    for n in range(20_000):
        buckets.take(f"other {n}", 2.0, "x")
    assert len(buckets._left) == 10_000
