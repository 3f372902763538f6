"""Public transport: a GTFS-Realtime feed message and a timetable, made with the bindings of the specification."""

import io
import struct
import zipfile
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from google.transit import gtfs_realtime_pb2 as realtime

from civium.core import to_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.connectors import gtfs, gtfs_realtime
from civium.sources.connectors.gtfs_realtime import GtfsRealtimeSettings
from civium.sources.feeds.source import Unreadable

HELSINKI = ZoneInfo("Europe/Helsinki")


def feed(*, latitude: float = 60.17, delay: int = 90, stamp: int = 1_780_315_200) -> bytes:
    """A tram, its trip with two stops, an alert, and an entity that is gone."""
    message = realtime.FeedMessage()
    message.header.gtfs_realtime_version, message.header.timestamp = "2.0", stamp
    tram = message.entity.add(id="1")
    tram.vehicle.vehicle.id, tram.vehicle.trip.trip_id, tram.vehicle.trip.route_id = "40/12", "1009_T", "1009"
    tram.vehicle.position.latitude, tram.vehicle.position.longitude = latitude, 24.94
    tram.vehicle.position.speed, tram.vehicle.timestamp = 7.5, stamp - 4
    tram.vehicle.current_status, tram.vehicle.stop_id = realtime.VehiclePosition.STOPPED_AT, "1020453"
    trip = message.entity.add(id="2")
    trip.trip_update.trip.trip_id = "1009_T"
    for number, stop in enumerate(("1020453", "1020455"), 1):
        at = trip.trip_update.stop_time_update.add(stop_sequence=number, stop_id=stop)
        at.arrival.delay, at.arrival.time = delay + number, stamp + 60 * number
    alert = message.entity.add(id="3")
    alert.alert.header_text.translation.add(text="Sörnäinen: no lift", language="en")
    message.entity.add(id="4", is_deleted=True).vehicle.vehicle.id = "gone"
    return message.SerializeToString()


def read(body: bytes, *of: str) -> list[gtfs_realtime.Item]:
    return list(gtfs_realtime.read(GtfsRealtimeSettings(kind="gtfs_realtime", of=of), body))


def test_a_vehicle_is_where_it_was_at_its_own_time() -> None:
    (tram,) = read(feed(), "vehicle")
    assert tram.said["vehicle"]["id"] == "40/12"
    assert tram.said["position"]["speed"] == 7.5
    assert tram.said["current_status"] == "STOPPED_AT"
    assert to_datetime(tram.time or 0).isoformat() == "2026-06-01T11:59:56+00:00"


def test_each_stop_of_a_trip_update_is_an_item_with_its_trip() -> None:
    first, second = read(feed(), "stop_time")
    assert (first.said["trip"]["trip_id"], first.said["stop_id"], first.said["arrival"]["delay"]) == (
        "1009_T", "1020453", 91,
    )  # fmt: skip
    assert second.said["arrival"]["delay"] == 92
    assert to_datetime(first.time or 0).isoformat() == "2026-06-01T12:00:00+00:00"  # the header's: it has none


def test_what_is_told_again_is_the_same_and_what_has_changed_is_another() -> None:
    of = ("vehicle", "stop_time", "alert")
    once = [item.identity for item in read(feed(), *of)]
    assert len(set(once)) == 4
    assert [item.identity for item in read(feed(), *of)] == once
    assert not set(once[:3]) & {item.identity for item in read(feed(latitude=60.18, delay=30), *of)[:3]}


def test_a_kind_of_entity_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsWrong, match="use vehicle"):
        gtfs_realtime.check(GtfsRealtimeSettings(kind="gtfs_realtime", of=("bus",)))


def timetable() -> zipfile.ZipFile:
    """Two services: weekdays, and one Sunday that is added while a Monday is removed."""
    tables = {
        "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\nHSL,HSL,https://example.org,Europe/Helsinki\n",
        "stops.txt": "\ufeffstop_id,stop_name,stop_lat,stop_lon\n"
        '1,"Harbour, east",60.17,24.94\n2,Tower,60.18,24.95\n3,Old,,\n',
        "trips.txt": "route_id,service_id,trip_id\n9,week,a\n9,week,b\n9,sun,c\n",
        "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
        "a,08:00:00,08:00:00,1,1\na,08:05:00,08:05:00,2,2\nb,25:10:00,25:10:00,1,1\nc,09:00:00,09:00:00,2,1\n",
        "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "week,1,1,1,1,1,0,0,20260101,20261231\nsun,0,0,0,0,0,0,0,20260101,20261231\n",
        "calendar_dates.txt": "service_id,date,exception_type\nweek,20260608,2\nsun,20260607,1\n",
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in tables.items():
            archive.writestr(name, text)
    return zipfile.ZipFile(body)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 6, 1), {"1": 2, "2": 1}),
        (date(2026, 6, 7), {"2": 1}),
        (date(2026, 6, 8), {}),
        (date(2027, 1, 4), {}),
    ],
)
def test_a_stop_has_the_departures_of_the_services_that_run_that_day(day: date, expected: dict[str, int]) -> None:
    items = gtfs.departures(timetable(), day, HELSINKI)
    assert {item.said["stop"]: item.said["departures"] for item in items} == expected
    for item in items:
        assert (item.until or 0) - (item.time or 0) == 86_400_000_000
        assert item.said["name"] in ("Harbour, east", "Tower")


def zipped(**tables: bytes) -> bytes:
    """A timetable whose tables are these, packed."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in tables.items():
            archive.writestr(f"{name}.txt", text)
    return body.getvalue()


AGENCY = b"agency_id,agency_timezone\nHSL,Europe/Helsinki\n"


def test_a_small_file_that_unpacks_to_a_huge_table_is_not_unpacked() -> None:
    bomb = zipped(agency=AGENCY, trips=b"service_id,trip_id\n" + b"\n" * (130 * 1024**2))
    assert len(bomb) < 1024**2
    with pytest.raises(Unreadable, match=r"trips\.txt is larger than 128 MB"):
        gtfs.read(gtfs.GtfsSettings(kind="gtfs"), bomb)


def test_a_table_that_lies_about_its_size_is_not_unpacked_further() -> None:
    size = 20 * 1024**2 + 12_345
    bomb = zipped(agency=AGENCY, trips=b"service_id,trip_id\n".ljust(size, b"\n"))
    assert bomb.count(struct.pack("<L", size)) == 2
    with pytest.raises(Unreadable, match="CRC"):
        gtfs.read(gtfs.GtfsSettings(kind="gtfs"), bomb.replace(struct.pack("<L", size), struct.pack("<L", 40)))
