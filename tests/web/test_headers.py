"""What every answer tells a browser, and what a page elsewhere may ask."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from civium.city_folder import ROLES
from civium.web.app import build_app
from tests.city.conftest import CityProcess, city

__all__ = ["city"]


@pytest.mark.parametrize(
    "path", ["/", "/api/status", "/v1.1/Things", "/nothing", "/static/live.js", "/docs", "/v1.1/Things?$filter=x"]
)
def test_every_answer_is_run_and_framed_by_nobody(city: CityProcess, path: str) -> None:
    told = httpx.get(f"{city.url}{path}", timeout=60).headers
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in told["content-security-policy"]
    assert (
        "object-src 'none'" in told["content-security-policy"]
        or "default-src 'none'" in told["content-security-policy"]
    )
    assert "server" not in told
    assert "access-control-allow-origin" not in told


def test_an_error_of_ours_tells_nothing_and_is_framed_by_nobody() -> None:
    app = build_app(nullcontext(), ["testserver"], frozenset(ROLES))  # type: ignore[arg-type] # no city: each request fails

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get("/v1.1/Things", headers={"Authorization": "Bearer x"})

    told = asyncio.run(ask())
    assert (told.status_code, told.json()["code"]) == (500, 500)
    assert "Error" not in told.text  # nothing of what went wrong
    assert told.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in told.headers["content-security-policy"]
    assert told.headers["cache-control"] == "no-store"


def test_what_a_token_is_told_is_kept_nowhere(city: CityProcess) -> None:
    told = city.client.http.get("/v1.1/Things").headers
    assert told["cache-control"] == "no-store"
    assert "authorization" in told["vary"].lower()


def test_trace_is_no_method(city: CityProcess) -> None:
    assert httpx.request("TRACE", f"{city.url}/v1.1/Things", timeout=60).status_code == 405


def test_a_page_elsewhere_may_ask_where_it_is_welcome(tmp_path: Path) -> None:
    welcome = "https://maps.example.org"
    asking = CityProcess(tmp_path / "city", True, {"CIVIUM_RIGHTS_ORIGINS": welcome}).start()
    try:
        for origin, allowed in ((welcome, welcome), ("https://evil.example", None)):
            told = httpx.get(f"{asking.url}/v1.1/Things", headers={"Origin": origin}, timeout=60).headers
            assert told.get("access-control-allow-origin") == allowed
            assert "access-control-allow-credentials" not in told
            thing = {"name": "x", "description": ""}
            done = httpx.post(f"{asking.url}/v1.1/Things", headers={"Origin": origin}, json=thing, timeout=60)
            assert done.status_code == (201 if allowed else 403)
    finally:
        asking.stop()
