"""What a vendor may send and nobody here wrote: it is read as it is meant or told with what is wrong, and costs no
other."""

import json as text
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as realtime

from civium.core import to_datetime
from civium.sources.connectors import csv, json, open_meteo, things_stack
from civium.sources.feeds.lorawan import LorawanSettings
from civium.sources.feeds.mapping import Mapping, Told, number_of
from civium.sources.feeds.source import Field, Item, SourceSettings, Unreadable
from tests.sources.connectors.test_lorawan import UP
from tests.sources.connectors.test_transit import read

GERMAN = csv.CsvSettings(kind="csv", delimiter=";", decimal=",")


def mapped(items: Any, *fields: Field, **settings: Any) -> tuple[list[Told], list[str]]:
    """The readings, and why the others are none."""
    found, empty = Mapping("x", SourceSettings(kind="json", fields=fields, **settings)).readings(list(items))
    return [told for told, _, _ in found], [why for _, why in empty]


def test_a_time_beyond_the_years_costs_only_its_own_item() -> None:
    field = Field(stream="s/v", value="v", unit="1")
    items = [Item({"v": 1}, 2**62), Item({"v": 2}, 1_780_315_200_000_000), Item({"v": 3}, -(2**70))]
    told, whys = mapped(items, field)
    assert [one.result for one in told] == [2]
    assert len(whys) == 2
    assert all("no year of ours" in why for why in whys)


def test_a_feed_whose_clock_counts_in_microseconds_is_told() -> None:
    message = realtime.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    for number, stamp in enumerate((2**64 - 1, 1_780_315_200_000_000, 1_780_315_200)):
        one = message.entity.add(id=str(number)).vehicle
        one.timestamp, one.position.latitude, one.position.longitude = stamp, 60.0, 24.0
    told, whys = mapped(read(message.SerializeToString(), "vehicle"), Field(stream="v/lat", value="position.latitude"))
    assert len(told) == 1
    assert len(whys) == 2


def test_feeds_that_are_empty_differential_or_without_positions() -> None:
    message = realtime.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    assert read(message.SerializeToString(), "vehicle", "alert") == []
    message.header.incrementality = realtime.FeedHeader.DIFFERENTIAL
    message.entity.add(id="1", is_deleted=True)
    message.entity.add(id="2").vehicle.vehicle.id = "7"  # without a position
    skipped = message.entity.add(id="3").trip_update
    skipped.trip.schedule_relationship = realtime.TripDescriptor.CANCELED
    passing = message.entity.add(id="4").trip_update
    passing.trip.trip_id = "t"
    stop = passing.stop_time_update.add(stop_sequence=1)
    stop.schedule_relationship = realtime.TripUpdate.StopTimeUpdate.SKIPPED
    alert = message.entity.add(id="5").alert
    alert.cause, alert.effect = realtime.Alert.STRIKE, realtime.Alert.NO_SERVICE
    alert.informed_entity.add(route_id="9")
    body = message.SerializeToString()
    (tram,) = read(body, "vehicle")
    assert "position" not in tram.said
    assert [one.said["trip"].get("schedule_relationship") for one in read(body, "trip_update")] == ["CANCELED", None]
    (stopped,) = read(body, "stop_time")
    assert stopped.said["schedule_relationship"] == "SKIPPED"
    (struck,) = read(body, "alert")
    assert (struck.said["effect"], struck.said["informed_entity"][0]["route_id"]) == ("NO_SERVICE", "9")
    with pytest.raises(Unreadable, match="no GTFS-Realtime feed"):
        read(body[: len(body) // 2], "vehicle")
    told, whys = mapped([tram], Field(stream="v/speed", value="position.speed"))
    assert (told, whys) == ([], ["none of the declared fields is in it"])


@pytest.mark.parametrize("wrong", ["1_000", "1_0.5", "0x10", "12 5", "1,5", "", "--5", "n/a"])
def test_a_text_that_only_python_takes_for_a_number_is_none(wrong: str) -> None:
    assert number_of(wrong) is None
    told, whys = mapped([Item({"v": wrong})], Field(stream="s/v", value="v", factor=2.0))
    assert (told, len(whys)) == ([], 1)


@pytest.mark.parametrize(("given", "number"), [("1e3", 1000.0), (" -0.5 ", -0.5), ("+7", 7.0)])
def test_a_text_that_is_a_number_is_it(given: str, number: float) -> None:
    assert number_of(given) == number


def test_a_simulated_uplink_is_no_reading() -> None:
    told = {**text.loads(UP), "simulated": True}
    with pytest.raises(Unreadable, match="simulated"):
        things_stack.read(LorawanSettings(kind="things_stack"), text.dumps(told).encode())


def test_other_messages_of_the_things_stack_hold_no_reading() -> None:
    own = {name: part for name, part in text.loads(UP).items() if name != "uplink_message"}
    for name in (
        "join_accept",
        "downlink_sent",
        "downlink_ack",
        "location_solved",
        "service_data",
        "uplink_normalized",
    ):
        assert things_stack.read(LorawanSettings(kind="things_stack"), text.dumps({**own, name: {}}).encode()) == []


def csv_rows(body: bytes, settings: csv.CsvSettings = GERMAN) -> list[Any]:
    return [item.said for item in csv.read(settings, body)]


def test_csv_as_offices_write_it() -> None:
    body = '\ufeffOrt;Wert;Text\r\n"Am\r\nHafen";"1,5";"a ""b"""\r\n\r\nTurm;-0,25;x\r\n'.encode()
    assert csv_rows(body) == [
        {"Ort": "Am\r\nHafen", "Wert": "1.5", "Text": 'a "b"'}, {"Ort": "Turm", "Wert": "-0.25", "Text": "x"},
    ]  # fmt: skip
    latin = "Ort;Wert\nMünchen;1,5\n".encode("cp1252")
    with pytest.raises(Unreadable, match="no CSV"):
        csv_rows(latin)
    assert (
        csv_rows(latin, csv.CsvSettings(kind="csv", delimiter=";", decimal=",", encoding="cp1252"))[0]["Ort"]
        == "München"
    )


@pytest.mark.parametrize(
    "body",
    [
        "Ort;Wert\nx;1\n".encode("utf-16"), b"Ort;Wert\n" + b"x" * 200_000 + b";1\n", b'Ort;Wert\n"x;1\n',
        b"Ort;Ort\n1;2\n", b"Ort;Wert\nx\0;1\n",
    ],
)  # fmt: skip
def test_csv_that_cannot_be_read_is_told(body: bytes) -> None:
    with pytest.raises(Unreadable):
        csv_rows(body)


def test_rows_of_another_length_and_other_delimiters_cost_no_other_row() -> None:
    assert csv_rows(b"a;b\n1;2\n1,2\n1;2;3\n4;5\n") == [
        {"a": "1", "b": "2"}, {"line": 3, "cells": ["1,2"]}, {"line": 4, "cells": ["1", "2", "3"]},
        {"a": "4", "b": "5"},
    ]  # fmt: skip


def weather(told: Any, *fields: Field) -> list[Item]:
    settings = open_meteo.OpenMeteoSettings(kind="open_meteo", fields=fields)
    return list(open_meteo.read(settings, text.dumps(told).encode()))


def test_weather_in_units_of_another_country_in_quarter_hours_and_with_gaps() -> None:
    told = {
        "latitude": 40.7, "longitude": -74.0, "utc_offset_seconds": -14_400,
        "current_units": {"time": "iso8601", "interval": "seconds", "temperature_2m": "°F", "wind_speed_10m": "mp/h"},
        "current": {"time": "2026-06-01T08:15", "interval": 900, "temperature_2m": 68.0, "wind_speed_10m": None},
        "minutely_15_units": {"time": "iso8601", "precipitation": "inch"},
        "minutely_15": {"time": ["2026-06-01T08:00", "2026-06-01T08:15"], "precipitation": [None, 0.1]},
    }  # fmt: skip
    fields = (
        Field(stream="w/t", value="current.temperature_2m", unit="{units.temperature_2m}"),
        Field(stream="w/r", value="minutely_15.precipitation", unit="{units.precipitation}"),
    )
    readings, whys = mapped(weather(told, *fields), *fields)
    assert [(one.result, one.unit) for one in readings] == [(68.0, "°F"), (0.1, "inch")]
    assert whys == []
    assert to_datetime(readings[1].time or 0).isoformat() == "2026-06-01T12:15:00+00:00"
    with pytest.raises(Unreadable, match="told in inch, and the settings say mm"):
        weather(told, Field(stream="w/r", value="minutely_15.precipitation", unit="mm"))


@pytest.mark.parametrize(
    "told",
    [
        {"hourly": None}, {"hourly": {"time": None, "rain": [1]}}, {"hourly": {"rain": [1]}}, {"hourly": []},
        {"hourly": {"time": ["2026-06-01T00:00"], "rain": 1}}, {"hourly": {"time": "2026", "rain": [1]}},
        {"hourly": {"time": [None], "rain": [1]}}, [{"hourly": {"time": [], "rain": []}}, 5],
        {"hourly_units": 1, "hourly": {}},
    ],
)  # fmt: skip
def test_weather_of_a_broken_form_is_told(told: Any) -> None:
    with pytest.raises(Unreadable):
        weather(told)


def test_weather_without_any_value_holds_no_reading() -> None:
    assert weather({"hourly": {"time": ["2026-06-01T00:00"], "rain": [None]}}) == []
    assert weather({"hourly": {"time": [], "rain": []}}) == []


def test_json_whose_lists_are_nested_missing_or_of_other_things() -> None:
    settings = json.JsonSettings(kind="json", items="data[].sensors[]")
    body = {
        "data": [{"sensors": [{"id": 1, "v": 2}, {"id": 2}]}, {"other": 1}, {"sensors": None}, {"sensors": [7, None]}]
    }
    items = json.read(settings, text.dumps(body).encode())
    told, whys = mapped(items, Field(stream="s/{id}", value="v"))
    assert [(one.stream, one.result) for one in told] == [("s/1", 2)]
    assert len(whys) == len(items) - 1
    assert json.read(settings, b'{"data": []}') == []
    for empty in ({}, {"data": None}, [], None, 5, "x"):
        with pytest.raises(Unreadable, match=r"data\[\]\.sensors\[\]"):
            json.read(settings, text.dumps(empty).encode())
