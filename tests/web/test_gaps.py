"""Gaps of a stream are told by its own rhythm: where it fell silent, not where it had not begun or speaks seldom."""

import json
from datetime import datetime, timedelta
from typing import Any

from tests.city.conftest import CityProcess, city

__all__ = ["city"]
BEGIN = datetime.fromisoformat("2026-06-01T00:00:00+00:00")


def tell(city: CityProcess, key: str, minutes: list[float], long: float = 0.0) -> int:
    """A stream of its own with a reading at each of these minutes, each of so many minutes' length; its id."""
    line = {
        "key": key,
        "kind": "gauge",
        "name": key,
        "streams": [{"key": f"{key}/h", "property": "level", "unit": "m"}],
    }
    city.client.post("/api/register", content=json.dumps(line).encode())
    (thing,) = city.client.get("/api/things", search=key)["things"]
    stream = city.client.get(f"/api/things/{thing['id']}")["streams"][0]["id"]
    rows = [[_when(at) if not long else f"{_when(at)}/{_when(at + long)}", 1.0] for at in minutes]
    block = {"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"], "dataArray": rows}
    city.client.post("/v1.1/CreateObservations", content=json.dumps([block]).encode())
    return int(stream)


def _when(minutes: float) -> str:
    return (BEGIN + timedelta(minutes=minutes)).isoformat()


def gaps(city: CityProcess, stream: int, first: float, last: float) -> dict[str, Any]:
    told: dict[str, Any] = city.client.get(f"/api/streams/{stream}/gaps", **{"from": _when(first), "to": _when(last)})
    at = [(one["from"] / 60_000, one["to"] / 60_000) for one in told["gaps"]]
    return {**told, "gaps": [tuple(round(x - BEGIN.timestamp() / 60, 3) for x in one) for one in at]}


def test_a_silence_longer_than_three_usual_waits_is_a_gap(city: CityProcess) -> None:
    stream = tell(city, "steady", [*range(30), *range(60, 90), *range(92, 100)])
    told = gaps(city, stream, 0, 100)
    assert told["gaps"] == [(29, 60)]  # two minutes without a reading are no gap
    assert (told["rhythm"], told["count"], told["length"], told["readings"]) == (60, 1, 31 * 60, 68)


def test_who_fell_silent_has_a_gap_until_the_end_of_the_span(city: CityProcess) -> None:
    stream = tell(city, "fallen", [*range(0, 60, 5)])
    assert gaps(city, stream, 0, 120)["gaps"] == [(55, 120)]
    assert gaps(city, stream, 60, 120)["gaps"] == [
        (60, 120)
    ]  # what it told before counts; the gap begins with the span


def test_before_the_first_reading_nothing_is_missing(city: CityProcess) -> None:
    stream = tell(city, "young", [*range(60, 100)])
    assert gaps(city, stream, 0, 100)["gaps"] == []


def test_a_reading_of_a_long_time_covers_it(city: CityProcess) -> None:
    stream = tell(city, "hourly", [*range(0, 600, 60), *range(601, 604)], long=180)
    assert gaps(city, stream, 0, 780)["gaps"] == []


def test_without_a_rhythm_there_is_no_gap(city: CityProcess) -> None:
    told = gaps(city, tell(city, "once", [10]), 0, 100)
    assert (told["rhythm"], told["count"], told["gaps"], told["readings"]) == (None, 0, [], 1)
