"""The doors read what vendors document in all its forms; what would have to be guessed is told, never read wrong."""

import json
import struct
from typing import Any

import msgspec
import pytest
from google.transit import gtfs_realtime_pb2

from civium.core import to_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.connectors import chirpstack, csv, gtfs_realtime, modbus, mqtt, open_meteo, things_stack
from civium.sources.feeds.codecs import Codec
from civium.sources.feeds.lorawan import LorawanSettings
from civium.sources.feeds.mapping import Mapping
from civium.sources.feeds.source import Field, Item, Unreadable
from tests.sources.connectors.test_lorawan import UP

NETWORK = LorawanSettings(kind="chirpstack")
DECLARED = LorawanSettings(
    kind="chirpstack", codecs=(Codec(form="numbers", layout=">hB", names=("t", "rh"), factors=(0.1, 0.5)),)
)


def uplink(**message: Any) -> bytes:
    """The documented uplink of The Things Stack with another message; None takes a part away."""
    told = json.loads(UP)
    merged = {**told["uplink_message"], **message}
    return json.dumps({**told, "uplink_message": {k: v for k, v in merged.items() if v is not None}}).encode()


def test_the_things_stack_without_a_formatter_is_read_by_a_declared_codec_and_else_told() -> None:
    bare = uplink(decoded_payload=None, frm_payload="AOEy")
    (item,) = things_stack.read(DECLARED, bare)
    assert item.said["values"] == {"t": 22.5, "rh": 25.0}
    with pytest.raises(Unreadable, match="give the device a formatter there, or a codec here"):
        things_stack.read(NETWORK, bare)


@pytest.mark.parametrize(
    ("metadata", "rssi"),
    [(None, None), ([], None), ([{"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": {}}], None),
     ([{"rssi": None, "snr": 1}, {"rssi": -80, "snr": 5.5}, {"rssi": -60}], -60)],
)  # fmt: skip
def test_gateways_that_tell_no_signal_strength_cost_no_uplink(metadata: Any, rssi: Any) -> None:
    (item,) = things_stack.read(NETWORK, uplink(rx_metadata=metadata))
    assert item.said["rssi"] == rssi


def test_an_uplink_is_of_the_moment_when_the_network_received_it_to_the_nanosecond_or_not() -> None:
    (item,) = things_stack.read(NETWORK, uplink(received_at="2026-06-01T12:00:00.123456789Z"))
    assert to_datetime(item.time or 0).isoformat() == "2026-06-01T12:00:00.123456+00:00"
    outer = json.loads(UP)["received_at"]
    (item,) = things_stack.read(NETWORK, uplink(received_at=None))
    assert to_datetime(item.time or 0).date().isoformat() == outer[:10]


# The two forms in which ChirpStack 3 writes JSON.
LATER = {
    "applicationID": "123", "applicationName": "temperature-sensor", "deviceName": "garden-sensor",
    "devEUI": "AgICAgICAgI=", "adr": True, "dr": 1, "fCnt": 10, "fPort": 5, "data": "AOEy",
    "rxInfo": [
        {"gatewayID": "AwMDAwMDAwM=", "time": "2019-11-08T13:59:25.048445Z", "timeSinceGPSEpoch": None, "rssi": -48,
         "loRaSNR": 9, "fineTimestampType": "NONE"},
        {"gatewayID": "BAQEBAQEBAQ=", "time": None, "rssi": -90, "loRaSNR": 1},
    ],
    "objectJSON": '{"temperatureSensor":25,"humiditySensor":32}', "tags": {"key": "value"}, "devAddr": "AFE5Qg==",
    "publishedAt": "2019-11-08T13:59:26.5Z",
}  # fmt: skip
EARLIER = {
    "applicationID": "123", "applicationName": "temperature-sensor", "deviceName": "garden-sensor",
    "devEUI": "0202020202020202", "adr": False, "fCnt": 10, "fPort": 5, "data": "AOEy",
    "rxInfo": [{"gatewayID": "0303030303030303", "name": "rooftop-gateway", "time": "2016-11-25T16:24:37.295915988Z",
                "rssi": -57, "loRaSNR": 10}],
    "object": {"temperatureSensor": 25},
}  # fmt: skip


def read_3(body: dict[str, Any], settings: LorawanSettings = NETWORK) -> Item:
    (item,) = chirpstack.read(settings, json.dumps(body).encode())
    return item


def test_both_forms_of_chirpstack_3_name_the_device_in_hexadecimal_digits() -> None:
    later, earlier = read_3(LATER), read_3(EARLIER)
    assert later.said["device"] == earlier.said["device"] == "0202020202020202"
    assert later.said["values"] == {"temperatureSensor": 25, "humiditySensor": 32}
    assert earlier.said["values"] == {"temperatureSensor": 25}
    assert (later.said["rssi"], later.said["snr"], later.said["tags"]) == (-48, 9, {"key": "value"})
    assert to_datetime(later.time or 0).isoformat() == "2019-11-08T13:59:26.500000+00:00"
    assert to_datetime(earlier.time or 0).isoformat() == "2016-11-25T16:24:37.295915+00:00"
    assert later.identity == "0202020202020202/AFE5Qg==/10"
    assert read_3(LATER, DECLARED).said["values"] == {"t": 22.5, "rh": 25.0}


def test_chirpstack_3_without_any_time_is_of_when_it_came() -> None:
    silent = {**EARLIER, "rxInfo": [{"rssi": -57}]}
    assert read_3(silent).time is None
    assert read_3({**silent, "rxInfo": None}).said["rssi"] is None


@pytest.mark.parametrize(
    "event",
    [
        {"devEUI": "AgICAgICAgI=", "devAddr": "AFE5Qg==", "rxInfo": []},  # join
        {"devEUI": "AgICAgICAgI=", "margin": 6, "batteryLevel": 75.5},  # status
        {"devEUI": "AgICAgICAgI=", "acknowledged": True, "fCnt": 15},  # ack
        {"devEUI": "AgICAgICAgI=", "type": "UPLINK_CODEC", "error": "EOF", "fCnt": 3},  # error
    ],
)
def test_other_events_of_chirpstack_3_hold_no_reading(event: dict[str, Any]) -> None:
    assert chirpstack.read(NETWORK, json.dumps(event).encode()) == []


@pytest.mark.parametrize("wrong", [{"devEUI": "no base 64!"}, {"objectJSON": "{"}, {"data": "?"}, {"publishedAt": 5}])
def test_chirpstack_3_of_another_form_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_3({**LATER, **wrong})


def feed(*entities: Any, timestamp: int = 0) -> bytes:
    header = gtfs_realtime_pb2.FeedHeader(gtfs_realtime_version="2.0", timestamp=timestamp)
    body: bytes = gtfs_realtime_pb2.FeedMessage(header=header, entity=entities).SerializeToString()
    return body


def realtime(*kinds: str) -> gtfs_realtime.GtfsRealtimeSettings:
    return gtfs_realtime.GtfsRealtimeSettings(kind="gtfs_realtime", of=kinds)


def test_entities_without_a_time_are_of_their_feed_and_else_of_when_they_came() -> None:
    pb = gtfs_realtime_pb2
    vehicle = pb.FeedEntity(id="v", vehicle=pb.VehiclePosition(position=pb.Position(latitude=60, longitude=25)))
    (item,) = gtfs_realtime.read(realtime("vehicle"), feed(vehicle, timestamp=1_780_000_000))
    assert item.time == 1_780_000_000_000_000
    (item,) = gtfs_realtime.read(realtime("vehicle"), feed(vehicle))
    assert item.time is None
    (again,) = gtfs_realtime.read(realtime("vehicle"), feed(vehicle))
    assert again.identity == item.identity, "the same, fetched twice, is one reading"


def test_all_kinds_of_one_feed_are_told_apart_and_what_was_deleted_is_left_out() -> None:
    pb = gtfs_realtime_pb2
    stops = [
        pb.TripUpdate.StopTimeUpdate(
            stop_sequence=n, stop_id=f"s{n}", departure=pb.TripUpdate.StopTimeEvent(delay=-30 * n)
        )
        for n in (0, 1)
    ]
    update = pb.TripUpdate(trip=pb.TripDescriptor(trip_id="t"), stop_time_update=stops, timestamp=1_780_000_001)
    alert = pb.Alert(effect=pb.Alert.DETOUR)
    body = feed(
        pb.FeedEntity(id="u", trip_update=update),
        pb.FeedEntity(id="a", alert=alert),
        pb.FeedEntity(id="gone", is_deleted=True, alert=alert),
        pb.FeedEntity(id="v", vehicle=pb.VehiclePosition(trip=pb.TripDescriptor(trip_id="t"))),
        timestamp=1_780_000_002,
    )
    items = gtfs_realtime.read(realtime("vehicle", "stop_time", "alert"), body)
    assert [item.said["entity"] for item in items] == ["u", "u", "a", "v"]
    assert [item.said.get("departure", {}).get("delay") for item in items[:2]] == [0, -30], "no delay is a delay of 0"
    assert items[0].time == 1_780_000_001_000_000
    assert items[2].said["effect"] == "DETOUR"
    assert items[2].time == 1_780_000_002_000_000
    assert "position" not in items[3].said
    assert len({item.identity for item in items}) == 4


GERMAN = csv.CsvSettings(kind="csv", delimiter=";", decimal=",")


def test_a_byte_order_mark_and_quotes_stand_in_no_name_and_no_value() -> None:
    body = '\ufeff"Station";"Wert";"Text"\r\n"Ha""fen";"-1,5";"a;b\r\nc"\r\n'.encode()
    for encoding in ("utf-8-sig", "utf-8"):
        (item,) = csv.read(msgspec.structs.replace(GERMAN, encoding=encoding), body)
        assert item.said == {"Station": 'Ha"fen', "Wert": "-1.5", "Text": "a;b\r\nc"}


@pytest.mark.parametrize("cell", ["1.234", "1.234,5", "-12.345.678,9", "1,234.5"])
def test_a_number_that_may_mean_thousands_is_not_guessed_where_the_comma_is_decimal(cell: str) -> None:
    (item,) = csv.read(GERMAN, f"a;b\nx;{cell}\n".encode())
    assert item.said == {"line": 2, "cells": ["x", cell]}


@pytest.mark.parametrize(("cell", "value"), [("1,5", "1.5"), (",5", ".5"), ("7", "7"), ("01.06.2026", "01.06.2026"),
                                             ("12.5", "12.5"), ("1.234 kg", "1.234 kg")])  # fmt: skip
def test_other_cells_stay_what_they_are(cell: str, value: str) -> None:
    (item,) = csv.read(GERMAN, f"a;b\nx;{cell}\n".encode())
    assert item.said["b"] == value


def test_with_a_decimal_point_three_digits_behind_it_are_a_fraction_and_groups_are_told() -> None:
    plain = csv.CsvSettings(kind="csv", delimiter=";")
    assert csv.read(plain, b"a\n1.234\n")[0].said == {"a": "1.234"}
    assert csv.read(plain, b"a\n1,234.5\n")[0].said == {"line": 2, "cells": ["1,234.5"]}


@pytest.mark.parametrize("body", [b'a;b\n"x;1\n2;3\n', b'a;b\n"x"y;1\n'])
def test_a_quote_that_is_not_closed_swallows_no_rows_in_silence(body: bytes) -> None:
    with pytest.raises(Unreadable, match="no CSV"):
        csv.read(GERMAN, body)


def weather(unit: str = "", value: str = "hourly.temperature_2m") -> open_meteo.OpenMeteoSettings:
    field = Field(stream="w/t", value=value, unit=unit)
    return open_meteo.OpenMeteoSettings(kind="open_meteo", url="http://x", fields=(field,))


def answer(section: str, unit: str, values: Any, **more: Any) -> bytes:
    named = {"time": "iso8601", "temperature_2m": unit}
    return json.dumps(
        {"latitude": 52.5, "longitude": 13.4, f"{section}_units": named, section: values, **more}
    ).encode()


@pytest.mark.parametrize("section", ["minutely_15", "hourly"])
def test_weather_is_converted_from_whatever_unit_the_answer_names(section: str) -> None:
    settings = weather("{units.temperature_2m}", f"{section}.temperature_2m")
    open_meteo.check(settings)
    body = answer(section, "°F", {"time": ["2026-06-01T12:00", "2026-06-01T12:15"], "temperature_2m": [71.7, None]})
    found, empty = Mapping("w", settings).readings(open_meteo.read(settings, body))
    assert [(told.result, told.unit) for told, _, _ in found] == [(71.7, "°F")]
    assert empty == []


def test_a_unit_that_has_changed_at_its_source_is_told_and_never_read_as_the_old_one() -> None:
    body = answer("hourly", "°F", {"time": ["2026-06-01T12:00"], "temperature_2m": [71.7]})
    with pytest.raises(Unreadable, match=r"told in °F, and the settings say degC"):
        open_meteo.read(weather("degC"), body)
    assert open_meteo.read(weather("°F"), body)
    assert open_meteo.read(
        weather("degC"), body.replace("°F".encode(), "°C".encode()).replace(b"\\u00b0F", b"\\u00b0C")
    )
    with pytest.raises(SettingsWrong, match=r"units\.temperature_2m"):
        open_meteo.check(weather())


def test_current_weather_daily_figures_and_times_as_numbers_are_read() -> None:
    current = {"time": 1_780_315_200, "interval": 900, "temperature_2m": 3.5}
    daily = {"time": [1_780_272_000], "temperature_2m": [9.0]}
    body = answer("current", "°C", current, daily=daily, daily_units={"temperature_2m": "°C"}, utc_offset_seconds=7200)
    now, day = open_meteo.read(open_meteo.OpenMeteoSettings(kind="open_meteo"), body)
    assert now.time == 1_780_315_200_000_000
    assert "interval" not in now.said["current"]
    assert day.said["daily"] == {"temperature_2m": 9.0}


def test_units_of_its_own_making_are_understood() -> None:
    units = {"wind_speed_10m": "mp/h", "weather_code": "wmo code"}
    values = {"time": "2026-06-01T12:00", "wind_speed_10m": 10.0, "weather_code": 3}
    body = json.dumps({"current": values, "current_units": units}).encode()
    settings = weather("mph", "current.wind_speed_10m")
    (item,) = open_meteo.read(settings, body)
    assert item.said["units"] == {"wind_speed_10m": "mph", "weather_code": "1"}


def broker(**more: Any) -> mqtt.MqttSettings:
    made = mqtt.MqttSettings(kind="mqtt", url="mqtt://x", topics=("a/+",), **more)
    mqtt.check(made)
    return made


def test_a_broker_tells_plain_numbers_lists_and_rows_of_bytes() -> None:
    (item,) = mqtt.read(broker(), "a/b", b" 21.5\n")
    assert item.said == {"topic": ["a", "b"], "payload": 21.5}
    (item,) = mqtt.read(broker(text=True), "a/b", b"21,5 \xc2\xb0C")
    assert item.said["payload"] == "21,5 °C"
    several = mqtt.read(broker(items="readings[]"), "a/b", b'{"readings": [{"v": 1}, {"v": 2}]}')
    assert [one.said["payload"] for one in several] == [{"v": 1}, {"v": 2}]
    (whole,) = mqtt.read(broker(), "a/b", b"[1, 2]")
    assert whole.said["payload"] == [1, 2]
    (item,) = mqtt.read(broker(layout="<fH", names=("flow", "state")), "a/b", struct.pack("<fH", 1.5, 7))
    assert item.said["payload"] == {"flow": 1.5, "state": 7}


@pytest.mark.parametrize(
    ("more", "payload"),
    [({}, b"\x00\x01\xff"), ({}, b"NaN"), ({}, b""), ({"items": "readings"}, b"{}"),
     ({"layout": "<f", "names": ("x",)}, b"1"),
     ({"text": True}, b"\xff\xfe"), ({"items": "length(@)"}, b"5")],
)  # fmt: skip
def test_what_a_broker_tells_in_another_form_is_told(more: dict[str, Any], payload: bytes) -> None:
    with pytest.raises(Unreadable):
        mqtt.read(broker(**more), "a/b", payload)


def test_a_layout_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsWrong):
        broker(layout="f", names=("x",))


def registers(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


class Answer:
    def __init__(self, words: list[int]) -> None:
        self.registers = words


@pytest.mark.parametrize(
    ("form", "layout", "value"),
    [("float32", "f", 1.5), ("float64", "d", -123.456789), ("int32", "i", -70_000), ("uint32", "I", 3_000_000_000),
     ("int64", "q", -(2**40)), ("uint64", "Q", 2**60), ("int16", "h", -5), ("uint16", "H", 65_000)],
)  # fmt: skip
@pytest.mark.parametrize("words", ["big", "little"])
@pytest.mark.parametrize("order", ["big", "little"])
def test_a_value_is_read_in_each_of_the_four_orders(
    form: str, layout: str, value: float, words: str, order: str
) -> None:
    from pymodbus.client import AsyncModbusTcpClient

    told = registers(struct.pack(f">{layout}", value))
    told = told if words == "big" else told[::-1]
    told = told if order == "big" else [(one & 0xFF) << 8 | one >> 8 for one in told]
    field = modbus.Register(address=3, format=form, words=words, bytes=order, stream="x")
    modbus.check(modbus.ModbusSettings(kind="modbus", url="tcp://x", fields=(field,)))
    item = modbus._item(AsyncModbusTcpClient, Answer([0xDEAD, *told]), field, 1, 7)
    assert item.said["value"] == value
    assert item.time == 7


def test_an_order_that_there_is_not_is_refused() -> None:
    field = modbus.Register(address=0, bytes="middle", stream="x")
    with pytest.raises(SettingsWrong, match="bytes"):
        modbus.check(modbus.ModbusSettings(kind="modbus", url="tcp://x", fields=(field,)))
