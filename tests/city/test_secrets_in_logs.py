"""Nothing that a city says at its most talkative, and no file of its logs, holds a secret or what a person measures."""

import json
from pathlib import Path

import httpx
import paho.mqtt.client as paho
import pytest

from civium.city_folder import token
from tests.city.conftest import CityProcess
from tests.city.test_spine import wait_for

SECRETS = {
    "CIVIUM_ALARMS_SMTP_PASSWORD": "mail-sesame-1", "CIVIUM_ALARMS_WEBHOOK_TOKEN": "hook-sesame-2",
    "STATIONS_TOKEN": "source-sesame-3", "OPENID_SECRET": "openid-sesame-4", "FEED_KEY": "feed-sesame-5",
}  # fmt: skip
SETTINGS = """
[alarms]
smtp = "127.0.0.1:9"
smtp_user = "city"
smtp_tls = "none"
[openid]
issuer = "http://127.0.0.1:9/none"
client_id = "civium"
client_secret = "env:OPENID_SECRET"
[sources.stations]
kind = "json"
token = "env:STATIONS_TOKEN"
create = true
fields = [{ stream = "station/{id}/v", value = "v" }]
[sources.feed]
kind = "json"
url = "http://127.0.0.1:9/feed"
secret_params = { key = "env:FEED_KEY" }
every_s = 0.2
fields = [{ stream = "station/{id}/v", value = "v" }]
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_and_no_reading_of_a_person_stands_in_what_is_said(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "city"
    folder.mkdir()
    (folder / "civium.toml").write_text(SETTINGS)
    city = CityProcess(folder, False, {**SECRETS, "CIVIUM_SAYS_LEVEL": "debug", "CIVIUM_SAYS_FORMAT": form}).start()
    hidden = [*SECRETS.values(), token(folder)]
    try:
        made = city.client.post("/api/tokens", name="gateway", role="device", scopes={"kinds": ["home"]})["token"]
        hidden.append(made)
        stream = {"key": "home/1/power", "property": "power", "unit": "W", "access": "restricted", "personal": True}
        line = {"key": "home/1", "kind": "home", "name": "Mrs Korhonen", "streams": [stream]}
        mine = city.client.post("/api/register", **line)["streams"]["home/1/power"]
        with httpx.Client(base_url=city.url, timeout=60) as http:
            for secret, status in ((made, 201), ("civ_wrong-sesame-6", 401), ("civ_wrong-sesame-6", 401)):
                answer = http.post(
                    f"/v1.1/Datastreams({mine})/Observations", json={"result": 98765.4321},
                    headers={"Authorization": f"Bearer {secret}"},
                )  # fmt: skip
                assert answer.status_code == status, answer.text
            http.get("/api/me", auth=("anyone", made))
            session = http.post("/api/login", json={"token": token(folder)})
            hidden += [session.json()["csrf"], *http.cookies.values()]
            http.get("/api/login/openid")
            for secret in ("source-sesame-3", "wrong-sesame-7"):
                http.post(
                    "/sources/stations", json=[{"id": "a", "v": 98765.4321}, {"id": "b", "v": "98765.4321 W"}],
                    headers={"Authorization": f"Bearer {secret}"},
                )  # fmt: skip
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.username_pw_set("gateway", made)
        client.connect(*city.mqtt)
        client.loop_start()
        topic = f"v1.1/Datastreams({mine})/Observations"
        for body in ({"result": 98765.4321}, {"result": "98765.4321 W"}):
            sent = client.publish(topic, json.dumps(body), qos=1)
            sent.wait_for_publish(60)
            assert sent.is_published(), body
        client.loop_stop()
        client.disconnect()
        wait_for(lambda: len(city.client.get(f"/v1.1/Datastreams({mine})/Observations")["value"]) == 2)
    finally:
        city.stop()
    said = {path: path.read_text(errors="replace") for path in [folder / "said.txt", *folder.rglob("*.log")]}
    assert "accepted" in said[folder / "said.txt"]
    hidden += ["wrong-sesame-6", "wrong-sesame-7", "98765.4321", "Korhonen"]
    found = [(str(path), word) for path, text in said.items() for word in hidden if word in text]
    assert found == []
