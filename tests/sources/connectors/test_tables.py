"""CSV, JSON and weather as they are offered: rows become items; what is none of it is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.core import from_datetime, to_datetime
from civium.sources.connectors import csv, gtfs, gtfs_realtime, json, mqtt, open_meteo
from civium.sources.feeds.source import Unreadable

PAYLOADS = Path(__file__).with_name("payloads")
GERMAN = csv.CsvSettings(kind="csv", delimiter=";", decimal=",")
WEATHER = open_meteo.OpenMeteoSettings(kind="open_meteo")


def test_a_csv_file_of_an_office_is_read_with_its_delimiter_and_decimal_comma() -> None:
    items = csv.read(GERMAN, (PAYLOADS / "stations.csv").read_bytes())
    assert items[0].said == {
        "Station": "Hafen", "Zeit": "2026-06-01 14:00:00", "Temperatur": "21.5", "Feuchte": "48", "Bemerkung": None,
    }  # fmt: skip
    assert items[1].said["Bemerkung"] == "Wind; böig"
    assert items[2].said["Temperatur"] is None
    assert items[3].said == {"line": 5, "cells": ["Turm", "2026-06-01 14:10:00", "19,0"]}  # it ends too soon


@pytest.mark.parametrize("body", [b"", b"a;a\n1;2\n", b"\xff\xfe\x00", b'a;b\n"1;2'])
def test_what_is_no_csv_is_told_or_holds_no_row(body: bytes) -> None:
    try:
        assert all("line" in item.said for item in csv.read(GERMAN, body))
    except Unreadable:
        return


def test_weather_has_its_local_times_as_instants_and_its_units_beside() -> None:
    items = open_meteo.read(WEATHER, (PAYLOADS / "open_meteo.json").read_bytes())
    current, first, second = items  # the third hour says nothing
    assert current.said["current"] == {"temperature_2m": 17.4, "wind_speed_10m": 12.6}
    assert to_datetime(current.time or 0).isoformat() == "2026-06-01T12:15:00+00:00"
    assert first.said["hourly"]["temperature_2m"] == 17.3
    assert second.said["units"]["surface_pressure"] == "hPa"
    assert (second.time or 0) - (first.time or 0) == 3_600_000_000
    assert first.said["longitude"] == 24.935455


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"error": true, "reason": "Daily API request limit exceeded"}', "limit exceeded"),
        (b'{"latitude": 1}', "none of current"),
        (b'{"hourly": {"time": ["2026-06-01T15:00"], "rain": [1, 2]}}', "not of one length"),
        (b'{"hourly": {"time": ["soon"], "rain": [1]}}', "form of Open-Meteo"),
        (b"[1]", "form of Open-Meteo"),
        (b"<html>", "no JSON"),
    ],
)
def test_weather_of_another_form_is_told(body: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        open_meteo.read(WEATHER, body)


READERS = {
    "csv": lambda body: csv.read(GERMAN, body),
    "json": lambda body: json.read(json.JsonSettings(kind="json", items="a[*].b"), body),
    "open_meteo": lambda body: open_meteo.read(WEATHER, body),
    "mqtt": lambda body: mqtt.read(mqtt.MqttSettings(kind="mqtt"), "a/b", body),
    "gtfs_realtime": lambda body: gtfs_realtime.read(
        gtfs_realtime.GtfsRealtimeSettings(kind="gtfs_realtime", of=("vehicle", "stop_time", "alert")), body
    ),
    "gtfs": lambda body: gtfs.read(gtfs.GtfsSettings(kind="gtfs"), body),
}


@pytest.mark.parametrize("kind", READERS)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(kind: str, body: bytes) -> None:
    try:
        READERS[kind](body)
    except Unreadable:
        return


def test_an_instant_is_the_same_in_every_zone() -> None:
    body = b'{"utc_offset_seconds": -3600, "hourly": {"time": ["2026-06-01T11:00"], "rain": [1.0]}}'
    (item,) = open_meteo.read(WEATHER, body)
    assert item.time == from_datetime(to_datetime(1_780_315_200_000_000))
