"""Every route of the application has a rule of who may come, and holds it against every wrong role."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import aiomqtt
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from civium.city_folder import ROLES
from civium.core.rights import Caller, Role, Scope
from civium.web.app import build_app
from civium.web.rules import RULES, Need, meets
from tests.city.conftest import CityProcess

CALLERS = {
    "public": Caller("public", Role.PUBLIC),
    "device": Caller("device", Role.DEVICE, Scope(kinds=frozenset({"none"}))),
    "department": Caller("department", Role.DEPARTMENT, Scope(kinds=frozenset({"none"}))),
    "narrow": Caller("narrow", Role.OPERATOR, Scope(practices=frozenset({"none"}))),
    "operator": Caller("operator", Role.OPERATOR),
}


def routes() -> list[str]:
    """Method and path of every route."""
    app: FastAPI = build_app(nullcontext(), [], frozenset(ROLES))  # type: ignore[arg-type] # no city: routes are only listed
    every = [
        one
        for route in app.routes
        for one in (route.original_router.routes if hasattr(route, "original_router") else [route])
    ]
    found = [route for route in every if isinstance(route, APIRoute)]
    return sorted(f"{method} {route.path}" for route in found for method in route.methods)


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    assert set(routes()) - set(RULES) == set(), "say in civium.web.rules who may come"
    assert set(RULES) - set(routes()) == set(), "these routes are no more"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CityProcess, dict[str, str]]]:
    """A city in which nobody is trusted for being on this machine, and a token of each wrong kind."""
    city = CityProcess(tmp_path_factory.mktemp("strict") / "city", True, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    tokens = {"public": ""}
    for name, caller in CALLERS.items():
        if caller.role is not Role.PUBLIC:
            wish = {"name": name, "role": caller.role, "scopes": caller.scope.told()}
            tokens[name] = city.client.post("/api/tokens", **wish)["token"]
    yield city, tokens
    city.stop()


def asked(city: CityProcess, rule: str, token: str) -> int:
    """The status of the answer, whose end is not waited for: events have none."""
    method, _, path = rule.partition(" ")
    path = path.replace("{path:path}", "Things").replace("{verdict}", "approve")
    path = re.sub(r"\{[^}]*\}", "1", path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body: Any = None if method in ("GET", "HEAD", "OPTIONS") else {}
    with httpx.stream(method, f"{city.url}{path}", headers=headers, json=body, timeout=60) as answer:
        return answer.status_code


@pytest.mark.parametrize("name", CALLERS)
def test_no_route_lets_a_wrong_role_in(strict: tuple[CityProcess, dict[str, str]], name: str) -> None:
    city, tokens = strict
    refused = 401 if name == "public" else 403
    wrong = [rule for rule, need in RULES.items() if not meets(CALLERS[name], need)]
    assert len(wrong) > 10
    answers = {rule: asked(city, rule, tokens[name]) for rule in wrong}
    assert answers == dict.fromkeys(wrong, refused)


@pytest.mark.parametrize("token", ["civ_none", "revoked"])
def test_no_route_lets_a_token_in_that_is_none(strict: tuple[CityProcess, dict[str, str]], token: str) -> None:
    city, _ = strict
    if token == "revoked":
        made = city.client.post("/api/tokens", name="revoked", role="administrator")
        city.client.delete(f"/api/tokens/{made['id']}")
        token = made["token"]
    rules = [rule for rule in RULES if "/sources/" not in rule]
    answers = {rule: asked(city, rule, token) for rule in rules}
    assert set(answers.values()) <= {401, 429}, answers


def test_what_anyone_may_come_to_changes_nothing(strict: tuple[CityProcess, dict[str, str]]) -> None:
    city, tokens = strict
    before = city.client.get("/api/audit")
    for rule, need in RULES.items():
        if need is Need.NOTHING:
            assert asked(city, rule, tokens["public"]) < 500 or rule.endswith("/health"), rule
    assert city.client.get("/api/audit") == before


def test_mqtt_takes_what_a_token_may_publish_and_nothing_from_who_has_none(
    strict: tuple[CityProcess, dict[str, str]],
) -> None:
    city, _ = strict
    line = '{"key": "%s", "kind": "%s", "name": "x", "streams": [{"key": "%s/p", "property": "p", "unit": "1"}]}'
    lines = "\n".join(line % (kind, kind, kind) for kind in ("mine", "other"))
    streams = city.client.post("/api/register", content=lines.encode())["streams"]
    token = city.client.post("/api/tokens", name="gauge", role="device", scopes={"kinds": ["mine"]})["token"]
    everything = city.client.post("/api/tokens", name="gateway", role="device", scopes={"kinds": ["*"]})["token"]

    async def publish(value: int, password: str | None) -> None:
        user = None if password is None else "device 1"
        async with aiomqtt.Client(
            *city.mqtt, username=user, password=password, identifier=f"d{value}", timeout=60
        ) as client:
            for stream in streams.values():
                body = f'{{"result": {value}}}'
                await client.publish(f"v1.1/Datastreams({stream})/Observations", body, qos=1)

    def taken(kind: str) -> set[float]:
        path = f"/v1.1/Datastreams({streams[f'{kind}/p']})/Observations"
        return {one["result"] for one in city.client.get(path)["value"]}

    asyncio.run(publish(1, None))
    asyncio.run(publish(2, token))
    asyncio.run(publish(3, everything))
    assert (taken("mine"), taken("other")) == ({2, 3}, {3})
    for wrong in ("civ_none", "", city.client.get("/api/tokens")[0]["name"]):
        with pytest.raises(aiomqtt.MqttError):
            asyncio.run(publish(4, wrong))
    assert (taken("mine"), taken("other")) == ({2, 3}, {3})


def test_a_number_that_is_too_large_is_nobodys_fault(strict: tuple[CityProcess, dict[str, str]]) -> None:
    city, _ = strict
    wrong = {}
    for rule in sorted(RULES):
        method, _, path = rule.partition(" ")
        if "{" not in path or "{path:path}" in path:
            continue
        for number in (str(2**63), str(10**40), "0", "-1"):
            address = re.sub(r"\{[^}]*\}", number, path.replace("{verdict}", "approve"))
            body: Any = None if method in ("GET", "HEAD", "OPTIONS") else {"result": 1, "why": "x"}
            headers = {"Authorization": city.client.http.headers["Authorization"]}
            with httpx.stream(method, f"{city.url}{address}", headers=headers, json=body, timeout=60) as answer:
                if answer.status_code >= 500:
                    wrong[f"{method} {address}"] = answer.status_code
    assert wrong == {}
