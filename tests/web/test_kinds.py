"""A kind opens what scopes name by it: who may not write all of a Thing gives it no other."""

import json
from typing import Any

import httpx
import pytest

from tests.city.conftest import CityProcess, city

__all__ = ["city"]


@pytest.fixture(scope="module")
def things(city: CityProcess) -> dict[str, int]:
    lines = [
        {"key": "lamp", "kind": "lamp_post", "name": "lamp", "where": {"type": "Point", "coordinates": [25, 60]},
         "streams": [{"key": "lamp/lit", "property": "lit", "unit": "1"},
                     {"key": "lamp/seen", "property": "seen", "unit": "1", "access": "restricted"}]},
        {"key": "pump", "kind": "pump", "name": "pump",
         "streams": [{"key": "pump/flow", "property": "flow", "unit": "1"}]},
        {"key": "bench", "kind": "bench", "name": "bench", "streams": []},
    ]  # fmt: skip
    told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
    ids: dict[str, int] = told["things"]
    return ids


def caller(city: CityProcess, name: str, role: str, scopes: dict[str, Any]) -> httpx.Client:
    token = city.client.post("/api/tokens", name=name, role=role, scopes=scopes)["token"]
    return httpx.Client(base_url=city.url, timeout=60, headers={"Authorization": f"Bearer {token}"})


def kind(thing: int, value: str, http: httpx.Client) -> httpx.Response:
    return http.patch(f"/v1.1/Things({thing})", json={"properties": {"kind": value}})


def test_nobody_widens_rights_by_giving_a_thing_another_kind(city: CityProcess, things: dict[str, int]) -> None:
    with caller(city, "op", "operator", {}) as op, caller(city, "dep", "department", {"kinds": ["pump"]}) as dep:
        refused = kind(things["lamp"], "pump", op)
        assert refused.status_code == 403, refused.text
        assert refused.json()["message"] == f"'op' (operator) may not change the kind of Thing {things['lamp']}"
        line = {"key": "lamp", "kind": "pump", "name": "lamp", "streams": []}
        assert op.post("/api/register", content=json.dumps(line)).status_code == 403
        assert op.post("/api/register?dry_run=true", content=json.dumps(line)).status_code == 403
        assert dep.get("/api/latest?kind=pump&property=seen").json()["features"] == []
        assert kind(things["pump"], "lamp_post", dep).status_code == 403
        assert kind(things["pump"], "pump", dep).status_code == 200  # it is one
        assert kind(things["bench"], "seat", op).status_code == 200
        assert op.patch(f"/v1.1/Things({things['lamp']})", json={"description": "x"}).status_code == 200
    assert kind(things["lamp"], "pump", city.client.http).status_code == 200


def test_the_latest_of_no_kind_is_an_answer(city: CityProcess, things: dict[str, int]) -> None:
    assert httpx.get(f"{city.url}/api/latest?kind=&property=lit", timeout=60).status_code == 200
