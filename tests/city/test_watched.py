"""A city can be watched: metrics that Prometheus reads, a readiness that means something, logs without secrets."""

import json
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from civium.city_folder import token
from tests.city.conftest import CityProcess
from tests.city.test_spine import decide_some, register, wait_for

_MOST_SERIES = 300
_TELLTALE = ("sesame", "Ada Lovelace", "ada@example.org")


def test_a_city_is_watched_from_door_to_device_and_gives_nothing_away(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(
        CIVIUM_SAYS_LEVEL="info", CIVIUM_SAYS_FORMAT="json", CIVIUM_ALARMS_SMTP="127.0.0.1:1",
        CIVIUM_ALARMS_SMTP_TLS="none", CIVIUM_ALARMS_SMTP_USER="city", CIVIUM_ALARMS_SMTP_PASSWORD="sesame",
    )  # fmt: skip
    ids = register(city, 40)
    thing = ids["things"]["lamp/0"]
    end = "2099-01-01T00:00:00Z"
    city.client.post("/api/maintenance", thing=thing, until=end, who="Ada Lovelace", why="new lamp")
    steps = [{"who": "Ada Lovelace", "ways": ["mailto:ada@example.org"]}]
    city.client.post("/api/alarms/on-call", steps=steps, who="Ada Lovelace")
    rule = {"watch": {"property": "air_temperature"}, "when": {"below": 200}}
    city.client.post("/api/alarms/rules", id="cold", rule=rule, who="Ada Lovelace")
    city.client.post("/api/practices/dimmer/mandate", mandate="act", who="Ada Lovelace", why="test")
    decide_some(city, ids["streams"], 2, 90)

    shut = ids["actuators"]["lamp/0/dimmer"]
    asked = city.client.http.post(
        f"/v1.1/TaskingCapabilities({shut})/Tasks", json={"taskingParameters": {"value": 10, "duration": 5}}
    )
    assert asked.json()["status"] == "refused"
    assert "under maintenance" in asked.json()["reason"]
    assert "new lamp" in asked.json()["reason"]

    answer = city.client.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["civium_streams"].samples[0].value >= 80
    assert sum(s.value for s in families["civium_accepted"].samples if s.name == "civium_accepted_total") > 0
    assert {s.labels["practice"] for s in families["civium_decisions"].samples} >= {"dimmer"}
    assert sum(len(family.samples) for family in families.values()) < _MOST_SERIES  # however many streams there are
    assert "lamp/" not in answer.text

    ready = httpx.get(f"{city.url}/ready")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "checks": {"log": "ok", "way in": "ok", "store": "ok"}}

    said = city.folder / "said.txt"

    def told() -> list[dict[str, object]]:
        return [json.loads(line) for line in said.read_text().splitlines() if line.startswith("{")]

    decided = wait_for(lambda: [line for line in told() if line["what"] == "turn"], 60)[0]
    seen = decided["cut"]
    assert isinstance(seen, dict)
    batches = [str(line["batch"]) for line in told() if line["what"] == "accepted"]
    assert any(int(batch.partition("/")[2]) <= seen["OBS0"] for batch in batches)
    assert any(line["what"] == "stored" for line in told())
    fates = {line["what"] for line in told() if line.get("decision") == decided["decision"]}
    assert "turn" in fates
    assert any(line["what"] == "sent" for line in told())
    text = said.read_text()
    for word in (*_TELLTALE, token(city.folder)):
        assert word not in text, word
