"""The whole API under generated requests of every role: whatever comes, no answer is an error of the server, none takes
long."""

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings

from tests.city.conftest import CityProcess

LONGEST_S = 5.0
EXAMPLES = int(os.environ.get("CIVIUM_FUZZ_EXAMPLES", "5"))  # of each address
ELSEWHERE = {"/clock"}  # the clock of a sandbox, which this city has not
ROLES = ("administrator", "operator", "department", "device", "public")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    """An idle city in which nobody is trusted for being on this machine."""
    strict = {"CIVIUM_RIGHTS_ANONYMOUS": "read"}
    made = CityProcess(tmp_path_factory.mktemp("strict") / "city", True, strict).start()
    yield made
    made.stop()


@pytest.mark.parametrize("role", ROLES)
def test_no_request_is_an_error_of_the_server(city: CityProcess, role: str) -> None:
    schema = schemathesis.openapi.from_url(f"{city.url}/openapi.json", headers={"Host": "127.0.0.1"})
    headers = {}
    if role != "public":
        token = city.client.post("/api/tokens", name=role, role=role, scopes={"kinds": ["*"]})["token"]
        headers = {"Authorization": f"Bearer {token}"}
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ELSEWHERE:
            continue

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @seed(ROLES.index(role))
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            response = case.call(headers=headers, timeout=LONGEST_S)
            assert response.status_code < 500 or response.status_code == 501, (
                f"{response.status_code} {case.as_curl_command()} {response.text[:500]}"
            )

        answered()
    assert asked > 100


def test_the_document_says_what_the_addresses_take(city: CityProcess) -> None:
    paths = city.client.get("/openapi.json")["paths"]
    things = paths["/v1.1/Things"]["get"]
    assert {"$filter", "$expand", "$resultFormat"} <= {parameter["name"] for parameter in things["parameters"]}
    assert paths["/v1.1/Things({id})"]["get"]["parameters"][0]["name"] == "id"
    assert {"200", "400", "404"} <= things["responses"].keys()


def test_a_number_beyond_64_bits_is_refused(city: CityProcess) -> None:
    for path in (f"/api/aggregate?thing=-{2**90}&bucket=1h&by=thing&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&"
                 "property=x&kind=y", f"/v1.1/Tasks({2**90})"):  # fmt: skip
        assert city.client.http.get(path).status_code in (400, 404, 422), path
