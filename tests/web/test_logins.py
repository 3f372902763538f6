"""A login by MQTT ends when its rights do; and who was not let in stands on the audit, without what it showed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest

from tests.city.conftest import CityProcess
from tests.city.test_spine import wait_for

SOON_S = 5.0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    city = CityProcess(tmp_path_factory.mktemp("logins") / "city", True, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    yield city
    city.stop()


def register(city: CityProcess, key: str, **how: Any) -> int:
    stream = {"key": f"{key}/p", "property": "p", "unit": "1", **how}
    line = {"key": key, "kind": key, "name": key, "streams": [stream]}
    return int(city.client.post("/api/register", **line)["streams"][f"{key}/p"])


@contextmanager
def connected(
    city: CityProcess, password: str | None, user: str = "device"
) -> Iterator[tuple[paho.Client, threading.Event]]:
    """A client that does not come back by itself, and what is set when the server has ended its connection."""
    inside, ended = threading.Event(), threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = lambda _c, _u, _f, code, _p: None if code.is_failure else inside.set()
    client.on_disconnect = lambda *_: ended.set()
    if password is not None:
        client.username_pw_set(user, password)
    client.connect(*city.mqtt)
    client.loop_start()
    try:
        while not inside.wait(0.05):
            assert not ended.is_set(), "it was not let in"
        yield client, ended
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_revoked_token_ends_its_connection_and_no_other(strict: CityProcess) -> None:
    register(strict, "gone")
    made = [strict.client.post("/api/tokens", name=name, role="device", scopes={"kinds": ["gone"]}) for name in "ab"]
    with connected(strict, made[0]["token"]) as (_, ended), connected(strict, made[1]["token"]) as (_, other):
        begun = time.monotonic()
        strict.client.delete(f"/api/tokens/{made[0]['id']}")
        assert ended.wait(SOON_S)
        assert time.monotonic() - begun < SOON_S
        assert not other.wait(1.0)
        with pytest.raises(AssertionError), connected(strict, made[0]["token"]):
            pass


def test_who_may_write_less_than_it_was_told_is_sent_away_and_told_anew(strict: CityProcess) -> None:
    stream = register(strict, "narrow")
    token = strict.client.post("/api/tokens", name="narrow", role="operator")["token"]

    def write(client: paho.Client) -> None:
        client.publish(f"v1.1/Datastreams({stream})/Observations", '{"result": 1}', qos=1).wait_for_publish(10)

    def count() -> int:
        return len(strict.client.get(f"/v1.1/Datastreams({stream})/Observations")["value"])

    with connected(strict, token) as (client, ended):
        write(client)
        assert count() == 1
        register(strict, "another")  # what is open takes nothing from anybody
        assert not ended.wait(1.0)
        strict.client.http.patch(f"/v1.1/Datastreams({stream})", json={"properties": {"access": "restricted"}})
        assert ended.wait(SOON_S)
    with connected(strict, token) as (client, _):
        write(client)
    time.sleep(0.5)
    assert count() == 1


def test_what_is_guarded_from_the_start_is_not_written_by_who_was_inside(strict: CityProcess) -> None:
    token = strict.client.post("/api/tokens", name="all", role="operator")["token"]
    with connected(strict, token) as (_, ended):
        stream = register(strict, "later", access="restricted")
        assert ended.wait(SOON_S)
    with connected(strict, token) as (client, _):
        client.publish(f"v1.1/Datastreams({stream})/Observations", '{"result": 1}', qos=1).wait_for_publish(10)
    time.sleep(0.5)
    assert strict.client.get(f"/v1.1/Datastreams({stream})/Observations")["value"] == []


FEATURE = {"name": "f", "description": "f", "encodingType": "application/geo+json",
           "feature": {"type": "Point", "coordinates": [1, 2]}}  # fmt: skip


def letters(city: CityProcess) -> int:
    return int(city.client.get("/api/status")["dead_letters"])


def test_a_device_brings_features_on_the_topics_of_its_streams_and_nothing_else(strict: CityProcess) -> None:
    mine, other = (register(strict, key, access="restricted") for key in ("brings", "strange"))
    token = strict.client.post("/api/tokens", name="brings", role="device", scopes={"datastreams": [mine]})["token"]
    around = {
        "result": 2,
        "FeatureOfInterest": FEATURE | {"Observations": [{"result": 3, "Datastream": {"@iot.id": other}}]},
    }
    whole = {"name": "d", "description": "d", "observationType": "any", "Thing": {"name": "t", "description": "t"}}
    before = letters(strict)
    with connected(strict, token) as (client, _):
        for body in (around, {"result": 4, "Datastream": whole}, {"result": 1, "FeatureOfInterest": FEATURE}):
            client.publish(f"v1.1/Datastreams({mine})/Observations", json.dumps(body), qos=1).wait_for_publish(10)
        wait_for(lambda: letters(strict) == before + 2)
    [told] = strict.client.get(f"/v1.1/Datastreams({mine})/Observations?$expand=FeatureOfInterest")["value"]
    assert (told["result"], told["FeatureOfInterest"]["name"]) == (1, "f")
    assert strict.client.get(f"/v1.1/Datastreams({other})/Observations")["value"] == []


def test_an_observation_of_any_stream_brings_entities_unless_a_device_may_send_it(strict: CityProcess) -> None:
    guarded = register(strict, "closed", access="restricted")
    secret = {"name": "d", "description": "d", "unitOfMeasurement": {"name": None, "symbol": None, "definition": None},
              "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
              "Sensor": {"name": "s", "description": "s", "encodingType": "text/plain", "metadata": "m"},
              "ObservedProperty": {"name": "o", "description": "o", "definition": "http://example.org"},
              "Thing": {"name": "t", "description": "t"}}  # fmt: skip
    token = strict.client.post("/api/tokens", name="maker", role="administrator")["token"]

    def send(name: str, **more: Any) -> None:
        with connected(strict, token) as (client, _):
            body = {"result": 1, "FeatureOfInterest": FEATURE, "Datastream": {**secret, "name": name}, **more}
            client.publish("v1.1/Observations", json.dumps(body), qos=1).wait_for_publish(10)

    def there(name: str) -> bool:
        return bool(strict.client.get(f"/v1.1/Datastreams?$filter=name eq '{name}'&$expand=Observations")["value"])

    send("made")
    wait_for(lambda: there("made"))
    before = letters(strict)
    send("", Datastream={"@iot.id": guarded})  # the topic says nothing of the stream, so it must be open
    wait_for(lambda: letters(strict) == before + 1)
    strict.client.post("/api/tokens", name="gateway", role="device", scopes={"kinds": ["*"]})
    send("not made")
    wait_for(lambda: letters(strict) == before + 2)
    assert not there("not made")
    assert strict.client.get(f"/v1.1/Datastreams({guarded})/Observations")["value"] == []


def test_on_a_machine_of_ones_own_nobody_without_a_token_writes_what_is_not_open(tmp_path: Path) -> None:
    city = CityProcess(tmp_path / "city", True, {}).start()
    try:
        streams = {access: register(city, access, access=access) for access in ("open", "restricted")}
        with connected(city, None) as (client, _):
            for stream in streams.values():
                for topic, body in (
                    (f"v1.1/Datastreams({stream})/Observations", '{"result": 1}'),
                    ("v1.1/Observations", f'{{"result": 2, "Datastream": {{"@iot.id": {stream}}}}}'),
                ):
                    client.publish(topic, body, qos=1).wait_for_publish(10)
        time.sleep(0.5)
        found = {access: city.client.get(f"/v1.1/Datastreams({one})/Observations") for access, one in streams.items()}
        assert [one["result"] for one in found["open"]["value"]] == [1]  # of another topic nobody can say whose it is
        assert found["restricted"]["value"] == []
    finally:
        city.stop()


def test_who_was_not_let_in_stands_on_the_audit_without_what_it_showed(strict: CityProcess) -> None:
    made = strict.client.post("/api/tokens", name="curious", role="device", scopes={"kinds": ["gone"]})
    with httpx.Client(base_url=strict.url, timeout=60) as http:
        for n in range(3):
            assert http.get("/api/status", headers={"Authorization": f"Bearer civ_sesame{n}"}).status_code == 401
        assert http.post("/api/login", json={"token": "civ_sesame"}).status_code == 401
        assert http.get("/api/tokens", headers={"Authorization": f"Bearer {made['token']}"}).status_code == 403
        assert http.get("/api/tokens").status_code == 401  # shows no token: no attempt
    with pytest.raises(AssertionError), connected(strict, "civ_sesame"):
        pass

    def told() -> str:
        return " ".join(one["why"] for one in strict.client.get("/api/audit", limit=50) if one["who"] == "nobody")

    # The first come at once, what comes after them a minute later.
    said = wait_for(lambda: "from 127.0.0.1" in told() and told(), 70)
    assert "wrong token over" in said
    status = wait_for(lambda: strict.client.get("/api/status")["refusals"], 10)
    assert status["last_hour"] >= 6
    assert "wrong token over http" in status["most"]
    everything = str(strict.client.get("/api/audit", limit=200)) + (strict.folder / "said.txt").read_text()
    assert "sesame" not in everything
    assert made["token"] not in everything
    public = httpx.get(f"{strict.url}/api/status").json()
    assert public["refusals"] is None
    found = strict.run("doctor")
    assert "refused callers" in found.stdout, found.stdout + found.stderr
