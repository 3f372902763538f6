"""Plants and pumping stations as sources: OPC UA and Modbus TCP servers of other people's making, on loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.city.foreign import city_with, readings, source
from tests.city.plants import Plant, Station
from tests.city.test_letters import letters
from tests.city.test_spine import wait_for

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def plant() -> Iterator[Plant]:
    started = Plant()
    yield started
    started.stop()


@pytest.fixture
def station() -> Iterator[Station]:
    started = Station()
    yield started
    started.stop()


def test_an_opc_ua_server_is_followed_each_value_once_whatever_is_killed(tmp_path: Path, plant: Plant) -> None:
    text = f"""
    [sources.plant]
    kind = "opcua"
    url = "{plant.url}"
    sampling_ms = 50
    create = true
    thing = {{ kind = "pump" }}
    [[sources.plant.fields]]
    node = "ns={plant.namespace};s=Pump1.Flow"
    stream = "pump-1/flow"
    unit = "l/s"
    [[sources.plant.fields]]
    node = "ns={plant.namespace};s=Pump1.Name"
    stream = "pump-1/label"
    type = "text"
    [sources.typo]
    kind = "opcua"
    url = "{plant.url}"
    fields = [{{ node = "ns={plant.namespace};s=Pump1.Flaw", stream = "a/b" }}]
    """
    plant.flow(1.0, NOON)
    city = city_with(tmp_path / "city", text).start()
    try:
        wait_for(lambda: len(readings(city, "pump-1/flow")) == 1)
        for n in range(2, 6):
            plant.flow(float(n), NOON + timedelta(seconds=n))
        wait_for(lambda: [value for _, value in readings(city, "pump-1/flow")] == [1.0, 2.0, 3.0, 4.0, 5.0])
        assert readings(city, "pump-1/flow")[1][0] == "2026-06-01T12:00:02Z"  # the time of its source
        assert [value for _, value in readings(city, "pump-1/label")] == ["north"]
        plant.flow(99.0, NOON + timedelta(seconds=30), 0x80310000)  # BadNoCommunication
        wait_for(lambda: any("BadNoCommunication" in letter["why"] for letter in letters(city)))
        wait_for(lambda: "Pump1.Flaw" in source(city, "typo")["trouble"])
        city.kill()
        city.start()
        wait_for(lambda: source(city, "plant")["last"] is not None)
        plant.stop()
        wait_for(lambda: source(city, "plant")["trouble"] != "", 40)
        plant.start()
        wait_for(lambda: source(city, "plant")["trouble"] == "", 90)
        plant.flow(6.0, NOON + timedelta(seconds=60))
        wait_for(lambda: 6.0 in [value for _, value in readings(city, "pump-1/flow")])
        flows = [value for _, value in readings(city, "pump-1/flow") if value]
        assert flows == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    finally:
        city.stop()


def test_a_modbus_device_is_read_in_its_formats_and_a_register_that_is_not_there_holds_up_no_other(
    tmp_path: Path, station: Station
) -> None:
    text = f"""
    [sources.station]
    kind = "modbus"
    url = "{station.url}"
    device = 3
    every_s = 0.3
    timeout_s = 1
    create = true
    thing = {{ kind = "pumping_station" }}
    fields = [
      {{ address = 0, format = "float32", stream = "s3/flow", unit = "m3/h" }},
      {{ address = 2, format = "int16", factor = 0.1, stream = "s3/level", unit = "cm" }},
      {{ address = 0, table = "coil", format = "bool", stream = "s3/running", type = "truth" }},
      {{ address = 1, table = "coil", format = "bool", stream = "s3/alarm", type = "truth" }},
      {{ address = 0, table = "input", stream = "s3/count", type = "count" }},
      {{ address = 50, stream = "s3/none" }},
    ]
    """
    city = city_with(tmp_path / "city", text).start()
    try:
        wait_for(lambda: len(readings(city, "s3/flow")) > 2)
        assert {round(value, 6) for _, value in readings(city, "s3/flow")} == {12.5}
        assert {round(value, 6) for _, value in readings(city, "s3/level")} == {-7.3}
        assert {value for _, value in readings(city, "s3/running")} == {True}
        assert {value for _, value in readings(city, "s3/alarm")} == {False}
        assert {value for _, value in readings(city, "s3/count")} == {7}
        wait_for(lambda: "register 50 is refused" in source(city, "station")["trouble"])
        station.stop()
        wait_for(lambda: "Modbus device" in source(city, "station")["trouble"])
        before = source(city, "station")["accepted"]
        station.start()
        wait_for(lambda: source(city, "station")["accepted"] > before, 40)
    finally:
        city.stop()
