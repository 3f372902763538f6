"""Who comes in: tokens that are told once, scoped, expiring and revocable, and the login of a browser."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.city.conftest import CityProcess, city, new_city

__all__ = ["city", "new_city"]


@pytest.fixture
def ask(city: CityProcess) -> Iterator[Callable[..., httpx.Response]]:
    """``ask("GET", "/api/me", token)``: a request of a client that keeps no cookies."""
    with httpx.Client(base_url=city.url, timeout=60) as http:

        def one(method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
            http.cookies.clear()
            headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
            return http.request(method, path, headers=headers, **more)

        yield one


def make(city: CityProcess, name: str, role: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = city.client.post("/api/tokens", name=name, role=role, **more)
    return made


def test_a_token_is_told_once_and_nothing_but_its_digest_is_kept(city: CityProcess) -> None:
    secret = make(city, "told once", "administrator")["token"]
    assert secret not in str(city.client.get("/api/tokens"))
    with sqlite3.connect(city.folder / "catalog.db") as catalog:
        kept = str(catalog.execute("SELECT * FROM tokens").fetchall())
    assert "told once" in kept
    assert secret not in kept
    files = [path for path in city.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_caller_is_told_who_it_is(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    made = make(city, "pumps", "operator", scopes={"kinds": ["pump"], "practices": ["dimmer"]}, days=2)
    told = ask("GET", "/api/me", made["token"]).json()
    assert (told["name"], told["role"], told["csrf"]) == ("pumps", "operator", "")
    assert told["scopes"] == {"kinds": ["pump"], "practices": ["dimmer"]}
    assert told["expires"] == made["expires"] > made["made"]
    assert ask("GET", "/api/me").json()["role"] == "public"
    assert city.client.get("/api/me")["name"] == "local"


@pytest.mark.parametrize("token", ["civ_nobody", "Bearer", "x" * 4000])
def test_who_shows_a_token_that_is_none_is_refused_even_to_read(ask: Callable[..., httpx.Response], token: str) -> None:
    answer = ask("GET", "/api/status", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert f"{token} " not in answer.text


def test_a_revoked_token_and_what_it_opened_end_at_once(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    made = make(city, "leaver", "operator")
    cookie = ask("POST", "/api/login", json={"token": made["token"]}).cookies["civium_session"]
    seen = {"Cookie": f"civium_session={cookie}"}
    assert ask("GET", "/api/me", headers=seen).json()["name"] == "leaver"
    city.client.delete(f"/api/tokens/{made['id']}")
    assert ask("GET", "/api/me", made["token"]).status_code == 401
    assert ask("GET", "/api/me", headers=seen).json()["role"] == "public"
    assert ask("POST", "/api/login", json={"token": made["token"]}).status_code == 401
    city.client.post("/api/tokens", name="leaver", role="operator")  # the name is free again


def test_a_token_ends_by_itself(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    token = make(city, "short", "operator", days=1e-9)["token"]
    assert ask("GET", "/api/me", token).status_code == 401


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"name": "twice", "role": "operator"}, 409),
        ({"name": "local", "role": "operator"}, 400),
        ({"name": " ", "role": "operator"}, 400),
        ({"name": "a\nb", "role": "operator"}, 400),
        ({"name": "gateway", "role": "device"}, 400),
        ({"name": "nobody", "role": "public"}, 400),
        ({"name": "king", "role": "king"}, 422),
        ({"name": "odd", "role": "device", "scopes": {"kinds": "pump"}}, 400),
        ({"name": "odd", "role": "device", "scopes": {"streams": [1]}}, 400),
        ({"name": "odd", "role": "operator", "days": -1}, 400),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(city: CityProcess, wish: dict[str, Any], status: int) -> None:
    city.client.http.post("/api/tokens", json={"name": "twice", "role": "operator"})
    assert city.client.http.post("/api/tokens", json=wish).status_code == status


def test_tokens_are_for_administrators(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    operator = make(city, "no administrator", "operator")["token"]
    for token, status in (("", 401), (operator, 403)):
        assert ask("GET", "/api/tokens", token).status_code == status
        assert ask("POST", "/api/tokens", token, json={"name": "x", "role": "administrator"}).status_code == status
        assert ask("DELETE", "/api/tokens/1", token).status_code == status


def test_a_browser_needs_its_cookie_and_what_no_other_page_knows(
    city: CityProcess, ask: Callable[..., httpx.Response]
) -> None:
    token = make(city, "desk", "operator")["token"]
    answer = ask("POST", "/api/login", json={"token": token})
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    assert answer.headers["cache-control"] == "no-store"
    cookie, csrf = answer.cookies["civium_session"], answer.json()["csrf"]
    with_cookie = {"Cookie": f"civium_session={cookie}"}
    assert ask("GET", "/api/me", headers=with_cookie).json()["csrf"] == csrf

    def switch(**headers: str) -> int:
        body = {"advise_only": False}
        return ask("POST", "/api/switch", json=body, headers={**with_cookie, **headers}).status_code

    assert switch() == 403
    assert switch(**{"X-Civium-CSRF": "guess"}) == 403
    assert switch(**{"X-Civium-CSRF": csrf}) == 200
    assert switch(**{"X-Civium-CSRF": csrf, "Origin": "http://evil.example"}) == 403
    assert switch(**{"X-Civium-CSRF": csrf, "Origin": city.url}) == 200
    assert ask("POST", "/api/logout", headers={**with_cookie, "X-Civium-CSRF": csrf}).status_code == 200
    assert ask("GET", "/api/me", headers=with_cookie).json()["role"] == "public"
    assert switch(**{"X-Civium-CSRF": csrf}) == 401


def test_who_logs_in_anew_leaves_no_session_behind(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    token = make(city, "logs in again", "operator")["token"]
    first = ask("POST", "/api/login", json={"token": token})
    cookie = {"Cookie": f"civium_session={first.cookies['civium_session']}"}
    csrf = {"X-Civium-CSRF": first.json()["csrf"]}
    again = ask("POST", "/api/login", json={"token": token}, headers={**cookie, **csrf})
    assert again.json()["csrf"] != first.json()["csrf"]
    assert ask("GET", "/api/me", headers=cookie).json()["role"] == "public"
    new = {"Cookie": f"civium_session={again.cookies['civium_session']}"}
    assert ask("GET", "/api/me", headers=new).json()["role"] == "operator"


@pytest.mark.parametrize(
    "foreign", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_elsewhere_changes_nothing_though_this_machine_is_trusted(
    city: CityProcess, ask: Callable[..., httpx.Response], foreign: dict[str, str]
) -> None:
    body = {"name": "planted", "description": ""}
    for path in ("/v1.1/Things", "/v1.1/Observations", "/api/register"):
        assert ask("POST", path, json=body, headers=foreign).status_code == 403
    assert ask("GET", "/v1.1/Things?$filter=name eq 'planted'").json()["value"] == []


def test_who_may_steer_a_practice(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    tokens = {
        "of all": make(city, "of all", "operator"),
        "of it": make(city, "of it", "department", scopes={"practices": ["dimmer"]}),
        "of another": make(city, "of another", "operator", scopes={"practices": ["other"]}),
        "of streams": make(city, "of streams", "department", scopes={"kinds": ["lamp"]}),
        "device": make(city, "a device", "device", scopes={"kinds": ["*"]}),
    }
    wish = {"mandate": "advise", "why": "because"}
    asked = {
        name: ask("POST", "/api/practices/dimmer/mandate", made["token"], json=wish).status_code
        for name, made in tokens.items()
    }
    assert asked == {"of all": 200, "of it": 200, "of another": 403, "of streams": 403, "device": 403}
    assert ask("POST", "/api/practices/dimmer/mandate", json=wish).status_code == 401
    switched = {
        name: ask("POST", "/api/switch", made["token"], json={"advise_only": False}).status_code
        for name, made in tokens.items()
    }
    assert switched == {"of all": 200, "of it": 403, "of another": 403, "of streams": 403, "device": 403}


def test_the_command_line_makes_lists_and_revokes(city: CityProcess, ask: Callable[..., httpx.Response]) -> None:
    made = city.run("token", "new", "gauge 9", "--kind", "gauge", "--days", "30", "--why", "a new gauge")
    assert made.returncode == 0, made.stderr
    told = ask("GET", "/api/me", made.stdout.strip()).json()
    assert (told["name"], told["role"], told["scopes"]) == ("gauge 9", "device", {"kinds": ["gauge"]})
    listed = city.run("token", "list").stdout
    assert "gauge 9" in listed
    assert made.stdout.strip() not in listed
    identity = next(one["id"] for one in city.client.get("/api/tokens") if one["name"] == "gauge 9")
    assert "revoked" in city.run("token", "revoke", str(identity)).stdout
    assert ask("GET", "/api/me", made.stdout.strip()).status_code == 401


def test_a_new_city_tells_its_first_administrators_token_once(
    new_city: Callable[..., CityProcess], tmp_path: Path
) -> None:
    started = new_city()
    said = (started.folder / "said.txt").read_text()
    token = said.partition("told this once: ")[2].split()[0]
    headers = {"Authorization": f"Bearer {token}"}
    told = httpx.get(f"{started.url}/api/me", headers=headers).json()
    assert (told["name"], told["role"]) == ("first administrator", "administrator")
    started.stop()
    started.start()
    assert (started.folder / "said.txt").read_text().count("told this once") == 1
    assert httpx.get(f"{started.url}/api/me", headers=headers).status_code == 200


def test_a_token_is_also_the_password_of_basic_whatever_the_name(city: CityProcess) -> None:
    own = make(city, "basic", "administrator")["token"]
    with httpx.Client(base_url=city.url) as http:
        assert http.get("/api/me", auth=("anyone", own)).json()["role"] == "administrator"
        assert http.get("/api/me", auth=("anyone", own + "x")).status_code == 401
        for given in ("Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic Og=="):
            assert http.get("/api/me", headers={"Authorization": given}).status_code == 401
        http.cookies.clear()
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert http.post("/api/switch", auth=("x", own), headers=elsewhere, json={}).status_code == 403
