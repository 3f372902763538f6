"""What troubles a city, and whom it takes readings from and tells at night, is not for strangers."""

from collections.abc import Iterator

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
