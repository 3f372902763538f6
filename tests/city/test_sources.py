"""Sources: what foreign systems post or offer becomes readings, once; what does not fit is kept with the reason."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.city.conftest import CityProcess
from tests.city.foreign import Feed, Silent, city_with, readings, source
from tests.city.test_letters import letters
from tests.city.test_spine import wait_for

TOKEN = "the-token-of-the-stations"
STATIONS = """
[sources.stations]
kind = "json"
token = "env:STATIONS_TOKEN"
max_body_mb = 0.1
items = "measurements"
time = "at"
identity = "join('/', [station, to_string(seq)])"
create = true
thing = { kind = "weather_station", name = "Station {station}", lon = "position[0]", lat = "position[1]" }
[[sources.stations.fields]]
stream = "station/{station}/air_temperature"
value = "temperature"
unit = "degC"
[[sources.stations.fields]]
stream = "station/{station}/rain"
value = "rain"
unit = "mm"

[sources.strict]
kind = "json"
token = "env:STATIONS_TOKEN"
[[sources.strict.fields]]
stream = "tank/{tank}/level"
value = "level"

[sources.tokenless]
kind = "json"
token = "env:NOT_SET"
fields = [{ stream = "a/b" }]
"""


def measured(seq: int, temperature: object, station: str = "k1", **more: object) -> dict[str, object]:
    return {
        "station": station, "seq": seq, "at": f"2026-06-01T12:00:{seq % 60:02d}Z", "temperature": temperature,
        "position": [24.94, 60.17], **more,
    }  # fmt: skip


def post(city: CityProcess, name: str, body: object, token: str = TOKEN, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return city.client.http.post(
        f"/sources/{name}", content=content, headers={"Authorization": f"Bearer {token}", **headers}
    )


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    folder = tmp_path_factory.mktemp("sources") / "city"
    shared = city_with(folder, STATIONS, idle=True, STATIONS_TOKEN=TOKEN).start()
    yield shared
    shared.stop()


def test_what_a_system_posts_is_stored_in_the_unit_of_its_fields_and_missing_streams_are_made(
    city: CityProcess,
) -> None:
    answer = post(city, "stations", {"measurements": [measured(1, 21.5, "new", rain=0.2), measured(2, 22, "new")]})
    assert (answer.status_code, answer.json()["stored"]) == (201, 3)
    assert readings(city, "station/new/air_temperature") == [
        ("2026-06-01T12:00:01Z", 21.5), ("2026-06-01T12:00:02Z", 22.0)
    ]  # fmt: skip
    (thing,) = city.client.get("/v1.1/Things?$filter=name eq 'Station new'&$expand=Locations")["value"]
    assert thing["Locations"][0]["location"]["coordinates"] == [24.94, 60.17]


def test_a_number_with_its_unit_behind_it_is_read_in_that_unit_and_no_other_than_was_declared(
    city: CityProcess,
) -> None:
    deep = {"key": "t9", "kind": "tank", "streams": [{"key": "tank/t9/level", "property": "level", "unit": "m",
                                                      "name": "tank/t9/level"}]}  # fmt: skip
    city.client.http.post("/api/register", content=json.dumps(deep)).raise_for_status()
    answer = post(
        city, "strict", [{"tank": "t9", "level": f" {said}"} for said in ("30.5 cm", "1 bar", "2 m3", "3 of 4")]
    )
    assert (answer.json()["stored"], len(answer.json()["refused"])) == (1, 3)
    assert [value for _, value in readings(city, "tank/t9/level")] == [0.305]
    declared = {"measurements": [measured(1, "21.5 °C", "worded"), measured(2, "70 °F", "worded")]}
    answer = post(city, "stations", declared)
    assert (answer.status_code, answer.json()["stored"], len(answer.json()["refused"])) == (202, 1, 1)
    assert [value for _, value in readings(city, "station/worded/air_temperature")] == [21.5]


def test_what_is_posted_again_is_known_and_another_reading_under_its_identity_is_kept_apart(city: CityProcess) -> None:
    once = {"measurements": [measured(n, n, "twice") for n in range(5)]}
    assert post(city, "stations", once).json()["stored"] == 5
    again = post(city, "stations", once)
    assert (again.status_code, again.json()["stored"], again.json()["repeated"]) == (201, 0, 5)
    other = post(city, "stations", {"measurements": [measured(3, 99, "twice")]})
    assert other.status_code == 202
    assert "another reading" in other.json()["refused"][0]["why"]
    assert len(readings(city, "station/twice/air_temperature")) == 5


def test_an_unknown_stream_becomes_a_dead_letter_that_is_taken_once_the_stream_is_there(city: CityProcess) -> None:
    answer = post(city, "strict", [{"tank": "t1", "level": 4.5}, {"tank": "t1", "level": "4.75"}])
    assert answer.status_code == 202
    assert answer.json()["refused"][0] == {"stream": "tank/t1/level", "why": "no stream has the key 'tank/t1/level'"}
    mine = [letter for letter in letters(city) if letter["topic"] == "sources/strict/tank/t1/level"]
    assert len(mine) == 2
    assert "t1" in city.run("letters", "--topic", "sources/strict").stdout
    line = {"key": "t1", "kind": "tank", "streams": [{"key": "tank/t1/level", "property": "level", "unit": "m",
                                                      "name": "tank/t1/level"}]}  # fmt: skip
    city.client.http.post("/api/register", content=json.dumps(line)).raise_for_status()
    assert city.run("letters", "--retry", "--topic", "sources/strict/tank/t1").returncode == 0
    assert sorted(result for _, result in readings(city, "tank/t1/level")) == [4.5, 4.75]
    assert not [letter for letter in letters(city) if letter["topic"].startswith("sources/strict/tank/t1")]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"tank": "t", "depth": 1}, "none of the declared fields"),
        ({"level": 1}, "cannot be filled"),
        ({"tank": "t" * 300, "level": 1}, "longer than 200"),
        ({"tank": "t\0", "level": 1}, "no stream has the key"),
        (7, "none of the declared fields"),
        ({"tank": {"x": 1}, "level": 1}, "cannot be filled"),
    ],
)
def test_what_no_field_fits_is_a_dead_letter_with_the_reason(city: CityProcess, said: object, why: str) -> None:
    answer = post(city, "strict", [said])
    assert answer.status_code == 202
    assert why in answer.json()["refused"][0]["why"]


@pytest.mark.parametrize(
    ("measurement", "why"),
    [
        (measured(1, 1, "bad", at="2026-06-01T12:00:00"), "no time zone"),
        (measured(1, 1, "bad", at="yesterday"), "no instant"),
        (measured(1, 1, "bad", at=None), "it has no time"),
        (measured(1, "warm", "bad"), "takes numbers"),
        ({**measured(1, 1, "bad"), "seq": None, "station": None}, "to tell it from others"),
    ],
)
def test_a_bad_measurement_does_not_hold_up_the_good_ones(
    city: CityProcess, measurement: dict[str, object], why: str
) -> None:
    good = measured(9, 20.0, "good")
    answer = post(city, "stations", {"measurements": [measurement, good]})
    assert answer.status_code == 202
    assert why in answer.json()["refused"][0]["why"]
    assert ("2026-06-01T12:00:09Z", 20.0) in readings(city, "station/good/air_temperature")


def test_the_door_opens_to_the_token_of_that_source_alone(city: CityProcess) -> None:
    for name in ("stations", "nobody"):  # a stranger does not learn which of them there is
        assert post(city, name, [], token="another").status_code == 401
        bare = city.client.http.post(f"/sources/{name}", content=b"[]", headers={"Authorization": ""})
        assert bare.status_code == 401
        assert f"no source '{name}' takes" in bare.text
    unset = post(city, "tokenless", [], token="any")
    assert (unset.status_code, unset.headers["Retry-After"]) == (503, "1")
    assert "NOT_SET" in source(city, "tokenless")["trouble"]
    said = (city.folder / "said.txt").read_text() + json.dumps(city.client.get("/api/status"))
    assert TOKEN not in said


def test_who_tries_tokens_of_a_source_is_counted_and_has_to_wait_and_its_own_sender_has_not(city: CityProcess) -> None:
    before = city.client.get("/api/status")["refusals"]["last_hour"]
    answers = [post(city, "stations", [], token=f"guess {n}").status_code for n in range(200)]
    assert set(answers) == {401, 429}
    assert post(city, "stations", {"measurements": [measured(50, 1, "own")]}).status_code == 201
    assert city.client.get("/api/status")["refusals"]["last_hour"] >= before + answers.count(401)


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b'{"other": 1}', 400, "it has no 'measurements'"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'{"measurements": ["' + b"x" * 200_000 + b'"]}', 413, "larger than 0.1"),
    ],
)
def test_a_body_that_is_none_is_refused_with_the_reason(city: CityProcess, body: bytes, status: int, why: str) -> None:
    answer = post(city, "stations", body)
    assert answer.status_code == status
    assert why in answer.json()["message"]


def test_wrong_settings_stop_the_start_and_name_the_source(tmp_path: Path) -> None:
    for number, (text, why) in enumerate(
        [
            ('[sources.x]\nkind = "jsn"', "'jsn' is not one of"),
            ('[sources.x]\nkind = "json"', "token is missing"),
            ('[sources.x]\nkind = "json"\ntoken = "plain"', "env:NAME"),
            ('[sources.x]\nkind = "json"\nurl = "http://a:b@c/"', "take the login out"),
            ('[sources.x]\nkind = "json"\nurl = "http://token@c/"', "take the login out"),
            ('[sources.x]\nkind = "json"\nurl = "http://c/"\nevery_s = 0', "every_s is 0"),
            ('[sources.x]\nkind = "json"\nurl = "http://c/"\noverlap_s = nan', "overlap_s is nan"),
            ('[sources.x]\nkind = "json"\nurl = "http://c/"\nheaders = { Cookie = "s" }', "secret_headers"),
            ('[sources.x]\nkind = "json"\nurl = "http://c/"\nfields = [{ stream = "{a" , value = "]" }]', "JMESPath"),
            ('[sources.x]\nkind = "json"\nurl = "http://c/"\nevery = 3', "every"),
            ('[sources."X y"]\nkind = "json"', "lower-case"),
            ('[sources.x]\nkind = "mqtt"\nurl = "http://c"', "mqtt://host"),
        ]
    ):
        folder = tmp_path / str(number)
        refused = city_with(folder, text).run("up", "--idle")
        assert refused.returncode == 1
        assert "[sources." in refused.stderr
        assert why in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.fixture
def feed() -> Iterator[Feed]:
    server = Feed()
    yield server
    server.stop()


def test_a_fetched_source_is_stored_once_whatever_is_killed_and_the_others_go_on_beside_a_broken_one(
    tmp_path: Path, feed: Feed
) -> None:
    silent = Silent()
    text = f"""
    [sources.feed]
    kind = "json"
    url = "{feed.url}?since={{since}}"
    every_s = 0.3
    time = "at"
    create = true
    secret_headers = {{ X-Api-Key = "env:FEED_KEY" }}
    fields = [{{ stream = "gauge/{{gauge}}/level", unit = "cm" }}]
    [sources.hanging]
    kind = "json"
    url = "http://127.0.0.1:{silent.port}/"
    timeout_s = 1
    fields = [{{ stream = "a/b" }}]
    [sources.nowhere]
    kind = "mqtt"
    url = "mqtt://127.0.0.1:{silent.port}"
    topics = ["#"]
    fields = [{{ stream = "a/b" }}]
    """
    rows = [{"gauge": "g", "at": f"2026-06-01T12:00:{n:02d}Z", "value": n} for n in range(20)]
    feed.body = json.dumps(rows[:10]).encode()
    city = city_with(tmp_path / "city", text, FEED_KEY="secret-key-1").start()
    try:
        wait_for(lambda: len(readings(city, "gauge/g/level")) == 10)
        assert feed.asked[0]["X-Api-Key"] == "secret-key-1"
        wait_for(lambda: 304 in feed.answers)  # what has not changed is not sent again
        city.kill()
        feed.body, before = json.dumps(rows).encode(), len(feed.paths)
        city.start()
        wait_for(lambda: len(readings(city, "gauge/g/level")) == 20)
        assert [result for _, result in readings(city, "gauge/g/level")] == list(range(20))
        assert "since=2026-05-25T12:00:09Z" in feed.paths[before]  # a week before the newest, known across the kill
        wait_for(lambda: "did not answer within 1 s" in source(city, "hanging")["trouble"])
        wait_for(lambda: "does not answer" in source(city, "nowhere")["trouble"])
        feed.status = 500
        wait_for(lambda: "500" in source(city, "feed")["trouble"])
        health = city.client.http.get("/health")
        assert health.status_code == 200  # the city itself is well
        assert "500" in health.json()["sources"]["feed"]
        feed.status, feed.body = 200, b"<html>"
        wait_for(lambda: "no JSON" in source(city, "feed")["trouble"])
        feed.body = json.dumps([*rows, {"gauge": "g", "at": "2026-06-01T12:01:00Z", "value": 20}]).encode()
        wait_for(lambda: len(readings(city, "gauge/g/level")) == 21)
        assert source(city, "feed")["trouble"] == ""
        assert "secret-key-1" not in json.dumps(city.client.get("/api/status")) + (city.folder / "said.txt").read_text()
    finally:
        city.stop()
        silent.stop()
