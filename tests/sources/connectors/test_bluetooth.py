"""No address of a device gets past the door, and a pseudonym is of one day."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.engines.settings import SettingsWrong
from civium.sources.connectors.bluetooth import SOURCE, decode, pseudonym
from civium.sources.feeds.source import Unreadable, load_kinds, read_settings

RAW = {
    "kind": "bluetooth",
    "token": "env:BT_TOKEN",
    "key": "env:BT_KEY",
    "time": "at",
    "fields": [{"stream": "{reader}/passage", "value": "device"}],
}
ADDRESS = "00:1A:7D:DA:71:13"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BT_KEY", "a long random text")


def read(said: object, **more: object) -> list[dict[str, object]]:
    _, settings = read_settings("bt", {**RAW, **more}, load_kinds())
    return [item.said for item in decode(settings, json.dumps(said).encode(), {})]


def heard(at: str, address: str = ADDRESS) -> dict[str, str]:
    return {"reader": "bt/1", "at": at, "address": address}


def test_the_address_is_replaced_by_a_pseudonym_of_the_day() -> None:
    first, later, tomorrow, other = read(
        [
            heard("2026-06-10T08:00:00Z"),
            heard("2026-06-10T23:59:59Z", "001a7dda7113"),
            heard("2026-06-11T00:00:01Z"),
            heard("2026-06-10T08:00:00Z", "00:1A:7D:DA:71:14"),
        ]
    )
    assert first == {"reader": "bt/1", "at": "2026-06-10T08:00:00Z", "device": first["device"]}
    assert first["device"] == later["device"]
    assert len({first["device"], tomorrow["device"], other["device"]}) == 3


def test_the_day_is_that_of_the_city() -> None:
    before, after = read([heard("2026-06-10T20:59:00Z"), heard("2026-06-10T21:01:00Z")], timezone="Europe/Helsinki")
    assert before["device"] != after["device"]


def test_another_key_makes_strangers_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(heard("2026-06-10T08:00:00Z"))[0]["device"]
    monkeypatch.setenv("BT_KEY", "another one")
    assert read(heard("2026-06-10T08:00:00Z"))[0]["device"] != before


@pytest.mark.parametrize(
    "said", [heard("yesterday"), heard("2026-06-10T08:00:00Z", "my phone 00:1A"), {"address": ADDRESS}]
)
def test_what_cannot_be_used_comes_without_its_address(said: dict[str, str]) -> None:
    (kept,) = read(said)
    assert "device" not in kept
    assert "address" not in kept


def test_an_error_does_not_tell_the_address() -> None:
    _, settings = read_settings("bt", RAW, load_kinds())
    for body in (f'["{ADDRESS}"]', f'{{"address": "{ADDRESS}"'):
        with pytest.raises(Unreadable) as told:
            decode(settings, body.encode(), {})
        assert "7D" not in str(told.value)


def test_it_must_be_told_its_key_and_where_the_time_is() -> None:
    for left_out in ("key", "time"):
        with pytest.raises(SettingsWrong, match=left_out):
            read_settings("bt", {k: v for k, v in RAW.items() if k != left_out}, load_kinds())
    assert SOURCE.run is None


@given(st.integers(0, 2**48 - 1), st.dates())
def test_a_pseudonym_is_exact_as_a_number_of_any_stream(address: int, day: date) -> None:
    number = pseudonym(b"k", day, f"{address:012x}")
    assert 0 <= number < 2**53
    assert int(float(number)) == number
