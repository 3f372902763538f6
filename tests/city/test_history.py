"""The history of a running city: closed days are rolled up, raw rows go at their time, and nobody is told otherwise."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.city.conftest import CityProcess
from tests.city.test_spine import register, wait_for

LAMPS = 5


def at(city: CityProcess, instant: str) -> None:
    city.client.post("/clock", time=instant)


def feed(city: CityProcess, streams: dict[str, int], instant: str) -> None:
    body = [
        {"Datastream": {"@iot.id": streams[f"lamp/{n}/air_temperature"]}, "components": ["phenomenonTime", "result"],
         "dataArray": [[instant, n]]}
        for n in range(LAMPS)
    ]  # fmt: skip
    city.client.post("/v1.1/CreateObservations", content=json.dumps(body).encode())


def upkeep(city: CityProcess) -> dict[str, Any]:
    told = city.client.get("/api/status")
    assert told["troubles"] == {}
    found: dict[str, Any] = told["store"]["upkeep"]
    return found


@pytest.fixture
def old_city(new_city: Callable[..., CityProcess]) -> CityProcess:
    """A city two days after it was fed and decided; upkeep has rolled up the first day, and let its raw rows go."""
    city = new_city(CIVIUM_CLOCK_SOURCE="door", CIVIUM_STORE_MAINTAIN_EVERY_S="0.2", CIVIUM_STORE_RETENTION_DAYS="1")
    streams = register(city)["streams"]
    at(city, "2026-06-01T06:00:00Z")
    feed(city, streams, "2026-06-01T06:00:00Z")
    at(city, "2026-06-01T06:00:01Z")
    feed(city, streams, "2026-06-01T06:30:00Z")
    wait_for(lambda: city.client.get("/api/status")["observations"] == 3 * LAMPS)  # with the estimates
    rounds = upkeep(city)["rounds"]
    wait_for(lambda: upkeep(city)["rounds"] > rounds + 1)  # the day is known before it is over
    at(city, "2026-06-03T06:00:00Z")
    wait_for(lambda: upkeep(city)["retired_days"] == 1)
    return city


def test_figures_stay_when_raw_rows_have_gone_and_a_replay_says_why_it_cannot_be(old_city: CityProcess) -> None:
    wanted = {"kind": "lamp_post", "property": "air_temperature", "from": "2026-06-01T00:00:00Z"}
    for by, groups in (("city", 1), ("thing", LAMPS), ("stream", LAMPS)):
        for bucket, steps in (("15m", 2), ("1h", 1), ("1d", 1)):
            told = old_city.client.get("/api/aggregate", **wanted, to="2026-06-02T00:00:00Z", by=by, bucket=bucket)
            assert len(told["n"]) == groups * steps
            assert sum(told["n"]) == 2 * LAMPS
            assert all(source["table"] != "observations" for source in told["sources"])
            assert told["unit"] == "K"
    assert (told["low"], told["last"]) == ([273.15 + n for n in range(LAMPS)],) * 2
    replay = old_city.run("replay")
    said = " ".join(replay.stdout.split())
    assert "not replayable: the raw readings of 2026-06-01 have passed their retention" in said
    assert "1 decisions: 0 identical, 1 not replayable" in said


def test_a_late_reading_for_a_day_whose_raw_rows_have_gone_counts(old_city: CityProcess) -> None:
    streams = old_city.client.get("/v1.1/Datastreams", **{"$filter": "ObservedProperty/name eq 'air_temperature'"})
    ids = {f"lamp/{n}/air_temperature": one["@iot.id"] for n, one in enumerate(streams["value"])}
    feed(old_city, ids, "2026-06-01T06:45:00Z")
    wanted = {"kind": "lamp_post", "property": "air_temperature", "bucket": "1d",
              "from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}  # fmt: skip
    assert old_city.client.get("/api/aggregate", **wanted)["n"] == [3 * LAMPS]
    rounds = upkeep(old_city)["rounds"]
    wait_for(lambda: upkeep(old_city)["rounds"] > rounds + 1)
    assert old_city.client.get("/api/aggregate", **wanted)["n"] == [3 * LAMPS]


def test_an_answer_is_bounded(old_city: CityProcess) -> None:
    wanted = {"kind": "lamp_post", "property": "air_temperature", "bucket": "15m", "by": "stream",
              "from": "2020-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}  # fmt: skip
    answer = old_city.client.http.get("/api/aggregate", params=wanted)
    assert (answer.status_code, "by=city" in answer.text) == (413, True)
    assert old_city.client.get("/api/aggregate", **{**wanted, "kind": "unheard"})["n"] == []
