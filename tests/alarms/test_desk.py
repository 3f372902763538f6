"""The desk: one broken gateway is one alarm; what people do about alarms; nothing is forgotten in a crash."""

import asyncio
from pathlib import Path

import pytest

from civium.core import MICROSECONDS, InputRefused
from civium.engines.calibration import calibrations
from civium.engines.catalog import orders
from tests.alarms.stand import START, Stand


def at(second: float) -> int:
    return START + int(second * MICROSECONDS)


def test_one_broken_gateway_is_one_alarm(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule(when={"silent_s": 60})
    stand.read(0, 20)
    stand.look(0)
    stand.read(50, 20, 4, 5, 6, 7, 8)
    stand.read(2, 20, 3)  # its last reading was a little later than those of its neighbours
    stand.look(61)
    assert stand.open() == {"gateway:g0": ("open", 2)}
    stand.look(63)
    assert stand.open() == {"gateway:g0": ("open", 3)}
    assert stand.told() == ["raised 1", "joined 1"]
    stand.read(64, 20, 1, 2)
    stand.look(64)
    assert stand.open() == {"gateway:g0": ("open", 1)}
    stand.read(65, 20, 3)
    stand.look(65)
    assert stand.open() == {}
    stand.look(200)
    assert stand.open() == {
        "gateway:g0": ("open", 3), "gateway:g1": ("open", 3), "thing:7": ("open", 1), "thing:8": ("open", 1)
    }  # fmt: skip


def test_a_crash_changes_nothing(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule(when={"above": 30, "clear": 25})
    stand.read(1, 31, 1, 2)
    stand.look(1)
    asyncio.run(stand.desk.acknowledge(1, "Ada", "", at(2)))
    before = stand.open()
    for lost in (False, True):  # the tables are only a fold of the log
        if lost:
            (tmp_path / "alarms.db").unlink()
        stand.start()
        stand.read(3, 27, 1, 2)  # between the levels: only who remembers the alarm keeps it
        stand.look(3)
        assert stand.open() == before == {"thing:1": ("acknowledged", 1), "thing:2": ("open", 1)}
    stand.read(4, 24, 1, 2)
    stand.look(4)
    assert stand.open() == {}
    assert [alarm.cleared_why for alarm in stand.book.history(limit=10)] == ["its condition is over"] * 2


def test_a_storm_is_one_alarm(tmp_path: Path) -> None:
    stand = Stand(tmp_path, gateways=30)
    stand.rule(when={"silent_s": 60})
    stand.look(0)
    stand.look(61)
    assert list(stand.open().values()) == [("open", 92)]
    stand.read(62, 20)
    stand.look(62)
    assert stand.open() == {}


def test_what_is_shelved_stays_so_until_its_end_however_often_it_comes_back(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule(when={"above": 30})
    stand.read(1, 31, 7)
    stand.look(1)
    with pytest.raises(InputRefused, match="why"):
        asyncio.run(stand.desk.shelve(1, at(100), "Ada", "", at(2)))
    with pytest.raises(InputRefused, match="future"):
        asyncio.run(stand.desk.shelve(1, at(1), "Ada", "works", at(2)))
    asyncio.run(stand.desk.shelve(1, at(100), "Ada", "works", at(2)))
    stand.read(3, 20, 7)
    stand.look(3)
    assert stand.open() == {}
    stand.start()
    stand.read(4, 31, 7)
    stand.look(4)
    assert stand.open() == {"thing:7": ("shelved", 1)}
    stand.look(100)
    assert stand.open() == {"thing:7": ("open", 1)}


def test_a_latched_alarm_waits_for_a_person_and_none_can_be_cleared_while_its_cause_is_there(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule(when={"above": 30}, latched=True)
    stand.read(1, 31, 7)
    stand.look(1)
    with pytest.raises(InputRefused, match="still holds"):
        asyncio.run(stand.desk.clear(1, "Ada", "", at(2)))
    stand.read(3, 20, 7)
    stand.look(3)
    stand.look(4)
    assert stand.open() == {"thing:7": ("open", 0)}
    asyncio.run(stand.desk.clear(1, "Ada", "seen", at(5)))
    assert stand.open() == {}
    assert stand.told() == ["raised 1", "left 1", "returned 1", "cleared 1"]
    for wrong in (1, 99):
        with pytest.raises(InputRefused):
            asyncio.run(stand.desk.acknowledge(wrong, "Ada", "", at(6)))


def test_a_withdrawn_rule_and_a_stream_that_went_leave_no_alarm(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule("a", when={"above": 30})
    stand.rule("b", watch={"datastream": 8}, when={"above": 30})
    stand.read(1, 31, 7, 8)
    stand.look(1)
    assert len(stand.book.open) == 3
    stand.order(orders.RULE, "b", None)
    stand.look(2)
    assert stand.open() == {"thing:7": ("open", 1), "thing:8": ("open", 1)}


def test_a_practice_that_is_held_or_broken_is_an_alarm_until_it_decides_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.order(orders.RULE, "p", {"watch": {"practice": "*"}, "when": {"practice": ["broken"], "for_s": 5}})
    stand.stopped = {"dimmer": ("broken", "it raised"), "other": ("held", "stale")}
    stand.look(1)
    assert stand.open() == {}
    stand.look(6)
    assert stand.open() == {"practice:dimmer": ("open", 0)}
    assert stand.book.open[1].said == "the practice is broken: it raised"
    stand.look(7)
    assert stand.told() == ["raised 1"]
    stand.stopped = {}
    stand.look(8)
    assert stand.open() == {}


def test_maintenance_of_a_thing_and_of_an_area_keeps_alarms_silent_until_its_end(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.rule(when={"above": 30})
    square = [[24.85, 60.0], [24.95, 60.0], [24.95, 60.2], [24.85, 60.2], [24.85, 60.0]]  # around g0
    stand.order(orders.MAINTENANCE, "area", {"until": at(100), "area": {"type": "Polygon", "coordinates": [square]}})
    stand.order(orders.MAINTENANCE, "thing", {"until": at(50), "thing": 7}, "new roof")
    stand.read(1, 31, 1, 2, 7, 8)
    stand.look(1)
    assert stand.open() == {"thing:8": ("open", 1)}
    closed = stand.maintenance.closed({70: 7, 80: 8}, at(2))
    assert list(closed) == [70]
    assert "new roof" in closed[70]
    assert "Ada" not in closed[70]  # the record is public
    stand.look(51)
    assert set(stand.open()) == {"thing:7", "thing:8"}
    stand.look(101)
    assert set(stand.open()) == {"thing:1", "thing:2", "thing:7", "thing:8"}
    stand.order(orders.MAINTENANCE, "thing", {"until": at(500), "thing": 7})
    stand.look(102)
    assert set(stand.open()) == {"thing:1", "thing:2", "thing:8"}


def test_who_reads_under_a_cut_applies_the_calibrations_that_were_known_then(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    body = {"datastream": 1, "since": 0, "gain": 2.0, "offset": 0.0, "si_gain": 2.0, "si_offset": 0.0}
    before = stand.catalog.applied()
    stand.order(orders.CALIBRATION, "1@0", body)
    then = stand.catalog.applied()
    stand.order(orders.CALIBRATION, "1@0", None)
    found = [bool(calibrations(stand.catalog, at)) for at in (before, then, stand.catalog.applied())]
    assert found == [False, True, False]
