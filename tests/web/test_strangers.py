"""What troubles a city, and whom it takes readings from and tells at night, is not for strangers."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.city.conftest import CityProcess
from tests.city.foreign import city_with
from tests.city.test_spine import register, wait_for

SECRET = "sesame"
SOURCES = f"""
[sources.{SECRET}_posts]
kind = "json"
token = "env:NOT_{SECRET.upper()}"
fields = [{{ stream = "a/b" }}]
[sources.{SECRET}_pulls]
kind = "json"
url = "http://127.0.0.1:9/{SECRET}"
every_s = 1
fields = [{{ stream = "a/b" }}]
"""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    city = city_with(tmp_path_factory.mktemp("troubled") / "city", SOURCES, CIVIUM_RIGHTS_ANONYMOUS="read").start()
    city.client.post("/api/alarms/on-call", steps=[{"who": SECRET, "ways": [f"push:{SECRET}"]}])
    rule = {"watch": {"property": "air_temperature"}, "when": {"silent_s": 1}}
    city.client.post("/api/alarms/rules", id="quiet", rule=rule)
    register(city, 1)
    yield city
    city.stop()


@pytest.mark.parametrize("caller", ["public", "device", "department"])
def test_only_staff_are_told_what_troubles_the_city(troubled: CityProcess, caller: str) -> None:
    def told() -> dict[str, str]:
        found: dict[str, str] = troubled.client.get("/api/status")["troubles"]
        return found

    assert SECRET in wait_for(lambda: told().get("on call"), 60)
    headers = {}
    if caller != "public":
        token = troubled.client.post("/api/tokens", name=caller, role=caller, scopes={"kinds": ["x"]})["token"]
        headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=troubled.url, headers=headers, timeout=60) as http:
        health = http.get("/health")
        assert health.status_code == 503
        assert "on call" in health.json()["troubles"]
        pages = {path: http.get(path).text for path in ("/health", "/api/status", "/api/desk", "/", "/ready")}
    for path, text in pages.items():
        assert (SECRET in text) == (caller == "department" and path not in ("/ready",)), path


def test_a_stranger_hears_that_something_is_wrong_and_of_no_source(troubled: CityProcess) -> None:
    status = httpx.get(f"{troubled.url}/api/status").json()
    assert not {"source", "edge"} & status["work"].keys()
    assert status["sources"] == status["edges"] == {}


ODD: list[tuple[str, dict[str, bytes]]] = [
    ("POST", {"Origin": b"http://["}), ("POST", {"Origin": b"http://\xff\xfe"}), ("POST", {"Origin": b"://"}),
    ("GET", {"Cookie": b"civium_session=\xff"}), ("GET", {"Authorization": b"Basic \xff"}),
    ("POST", {"X-Civium-CSRF": b"\xe9"}), ("GET", {"Authorization": b"Bearer \xff"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "headers"), ODD)
def test_a_header_that_no_browser_sends_is_nobodys_fault(
    troubled: CityProcess, method: str, headers: dict[str, bytes]
) -> None:
    login = httpx.post(f"{troubled.url}/api/login", json={"token": _token(troubled)})
    given = {"Cookie": f"civium_session={login.cookies['civium_session']}".encode(), **headers}
    answer = httpx.request(
        method, f"{troubled.url}/v1.1/Things", headers=given, content=b"{}" if method == "POST" else b""
    )
    assert answer.status_code in (200, 401, 403), answer.text


def _token(city: CityProcess) -> str:
    return str(city.client.http.headers["Authorization"]).removeprefix("Bearer ")


@pytest.mark.parametrize(
    "body", [b'{"token": NaN}', b'{"token": 1e999}', b'{"token": {"\\ud800": "\\ud800"}}', b'{"token": ["sesame"]}']
)
def test_a_body_that_does_not_fit_is_refused_and_not_repeated(troubled: CityProcess, body: bytes) -> None:
    for path in ("/api/login", "/api/tokens", "/api/alarms/rules", "/api/maintenance"):
        answer = troubled.client.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        told = answer.json()
        assert told["message"]
        assert all(one.keys() == {"type", "loc", "msg"} for one in told["detail"])
        assert SECRET not in answer.text


def test_a_rule_over_guarded_streams_is_hidden_and_kept_from_who_may_not_read_them(troubled: CityProcess) -> None:
    streams = [{"key": "vault/t", "property": f"{SECRET}_level", "unit": "m", "access": "restricted"},
               {"key": "vault/u", "property": "humidity", "unit": "%", "access": "restricted"}]  # fmt: skip
    plain = {"key": "park", "kind": "park", "streams": [{"key": "park/u", "property": "humidity", "unit": "%"}]}
    lines = [{"key": "vault", "kind": "vault", "streams": streams}, plain]
    ids = troubled.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())["streams"]
    watches: dict[str, dict[str, Any]] = {
        "hidden": {"property": f"{SECRET}_level"}, "one": {"datastream": ids["vault/t"]},
        "mixed": {"property": "humidity"}, "plain": {"datastream": ids["park/u"]},
    }  # fmt: skip
    for name, watch in watches.items():
        troubled.client.post("/api/alarms/rules", id=name, rule={"watch": watch, "when": {"above": 900}})
    token = troubled.client.post("/api/tokens", name="night shift", role="operator")["token"]
    with httpx.Client(base_url=troubled.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        told = http.get("/api/alarms/rules")
        assert {one["id"] for one in told.json()["rules"]} == {"quiet", "mixed", "plain"}
        assert SECRET not in told.text
        rule = {"watch": watches["plain"], "when": {"above": 901}}
        for name, status in (("hidden", 404), ("one", 404), ("mixed", 403), ("plain", 200)):
            assert http.post("/api/alarms/rules", json={"id": name, "rule": rule}).status_code == status, name
            assert http.delete(f"/api/alarms/rules/{name}").status_code == status, name
    left = {one["id"]: one["rule"]["watch"] for one in troubled.client.get("/api/alarms/rules")["rules"]}
    assert {name: left.get(name) for name in watches} == {**watches, "plain": None}
