"""What was corrected, changed or taken away stays so after kill -9, and earlier decisions replay as they were made."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.city.conftest import CityProcess
from tests.city.test_spine import LAMPS, decide_some, decisions, register


def test_earlier_decisions_replay_identical_after_patch_delete_and_kill_9(
    new_city: Callable[..., CityProcess],
) -> None:
    city = new_city()
    ids = register(city, LAMPS + 1)
    streams = ids["streams"]
    taken, gone = ids["things"][f"lamp/{LAMPS}"], streams[f"lamp/{LAMPS}/air_temperature"]
    posted = city.client.http.post(f"/v1.1/Datastreams({gone})/Observations", json={"result": -7})
    assert posted.status_code == 201
    decide_some(city, streams, 3)
    before = {one["id"] for one in decisions(city)}
    http = city.client.http

    def ask(method: str, path: str, body: object = None) -> None:
        done = http.request(method, f"/v1.1/{path}", json=body)
        assert done.status_code == 200, done.text

    lamp = ids["things"]["lamp/0"]
    air = streams["lamp/0/air_temperature"]
    seen = http.get(f"/v1.1/Datastreams({air})/Observations?$orderby=phenomenonTime desc&$top=2").json()["value"]
    ask("PATCH", f"Observations({seen[0]['@iot.id']})", {"result": -60})
    ask("DELETE", f"Observations({seen[1]['@iot.id']})")
    ask("PATCH", f"Things({lamp})", {"name": "renamed", "properties": {"colour": "red"}})
    ask("DELETE", f"Things({taken})")
    city.kill()
    city.start()
    http = city.client.http
    assert http.get(f"/v1.1/Things({lamp})").json()["name"] == "renamed"
    assert http.get(f"/v1.1/Things({taken})").status_code == 404
    assert http.get(f"/v1.1/Observations({seen[0]['@iot.id']})").json()["result"] == -60
    assert http.get(f"/v1.1/Observations({seen[1]['@iot.id']})").status_code == 404
    assert http.get(f"/v1.1/Datastreams({gone})/Observations").status_code == 404
    decide_some(city, streams, 2)
    assert {one["id"] for one in decisions(city)} > before
    replayed = city.run("replay")
    assert replayed.returncode == 0, replayed
    told = re.search(r"(\d+) decisions: (\d+) identical\n", replayed.stdout)
    assert told is not None, replayed.stdout
    assert int(told[1]) == int(told[2]) >= len(before) + 2


def test_a_backup_brings_corrections_and_what_was_taken_away_along(
    new_city: Callable[..., CityProcess], tmp_path: Path
) -> None:
    city = new_city(idle=True)
    ids = register(city, 2)
    http = city.client.http
    kept, gone = (ids["streams"][f"lamp/{i}/air_temperature"] for i in (0, 1))
    posts = [http.post(f"/v1.1/Datastreams({one})/Observations", json={"result": 5}) for one in (kept, kept, gone)]
    seen = [post.headers["location"].partition("/v1.1/")[2] for post in posts]
    assert http.patch(f"/v1.1/{seen[0]}", json={"result": 6}).status_code == 200
    assert http.delete(f"/v1.1/{seen[1]}").status_code == 200
    assert http.delete(f"/v1.1/Datastreams({gone})").status_code == 200
    copied = city.run("backup", str(tmp_path / "copy"))
    assert copied.returncode == 0, copied
    restored = CityProcess(tmp_path / "restored", True, {})
    back = restored.run("restore", str(tmp_path / "copy"))
    assert back.returncode == 0, back
    restored.start()
    try:
        http = restored.client.http
        assert [http.get(f"/v1.1/{one}").status_code for one in seen] == [200, 404, 404]
        assert http.get(f"/v1.1/{seen[0]}").json()["result"] == 6
        assert http.get(f"/v1.1/Datastreams({gone})").status_code == 404
        again = http.post(f"/v1.1/Datastreams({gone})/Observations", json={"result": 1})
        assert again.status_code == 404
    finally:
        restored.stop()
