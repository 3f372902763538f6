"""When a reading is an alarm: levels with hysteresis, spikes, rates, silence; over a million streams in arrays."""

from collections.abc import Mapping
from time import perf_counter

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from civium.alarms.conditions import Arrivals, Ids, Latest, Lookout
from civium.alarms.rules import read_rule
from civium.core import MICROSECONDS, InputRefused
from civium.core.observations import STORED
from civium.twin.live import Live

S = MICROSECONDS
START = 1_000_000 * S


class Street:
    """Streams, their live values, and one rule that watches them."""

    def __init__(self, when: Mapping[str, object], streams: int = 3) -> None:
        rule = read_rule({"watch": {"property": "level"}, "when": when})
        self.live, self.arrivals = Live(), Arrivals()
        self.lookout = Lookout(rule, np.arange(1, streams + 1), START)
        self.hushed: set[int] = set()
        self.rows = 0

    def read(self, stream: int, second: float, value: float, *, ahead_s: float = 0) -> None:
        at = START + int(second * S)
        self.rows += 1
        told = {"id": self.rows, "stream": stream, "time": at + int(ahead_s * S), "made": at, "value": value}
        arrays = [pa.array([told[name]]).cast(STORED.field(name).type) for name in told]
        table = pa.Table.from_arrays(arrays, names=list(told))
        self.live.fold(table)
        self.arrivals.add(table)

    def latest(self, streams: Ids) -> Latest:
        identity, made, time, value = self.live.latest_made(streams)
        return Latest(np.where(identity > 0, made, 0), time, value)

    def look(self, second: float, *, whole: bool = False) -> tuple[list[int], list[int]]:
        """Streams that begin and cease; the lookout is told so."""
        arrived = self.arrivals.take(lambda streams: self.latest(streams).time)

        def quiet(streams: NDArray[np.int64]) -> NDArray[np.bool_]:
            return np.isin(streams, list(self.hushed))

        begins, ceases = self.lookout.look(self.latest, None if whole else arrived, quiet, START + int(second * S))
        self.lookout.belong(self.lookout.streams[begins], 1)
        self.lookout.belong(self.lookout.streams[ceases], 0)
        return self.lookout.streams[begins].tolist(), self.lookout.streams[ceases].tolist()


def test_between_the_two_levels_everything_stays_as_it_is() -> None:
    street = Street({"above": 30, "clear": 25})
    told = []
    for second, value in enumerate([29, 31, 27, 31, 26, 25, 27, 31]):
        street.read(1, second, value)
        told.append(street.look(second))
    nothing: tuple[list[int], list[int]] = ([], [])
    assert told == [nothing, ([1], []), nothing, nothing, nothing, ([], [1]), nothing, ([1], [])]


def test_a_spike_between_two_looks_is_seen_and_a_late_reading_is_not() -> None:
    street = Street({"above": 30})
    street.read(1, 1, 20)
    assert street.look(1) == ([], [])
    for second, value in ((2.1, 35), (2.2, 20)):
        street.read(1, second, value)
    assert street.look(3) == ([1], [])
    assert street.look(4) == ([], [1])
    street.read(1, 0.5, 99)  # of before what was looked at
    assert street.look(5) == ([], [])


def test_what_must_hold_for_a_while_is_no_alarm_before() -> None:
    street = Street({"below": 5, "for_s": 10})
    for second, value in ((0, 4), (5, 6), (6, 4)):
        street.read(1, second, value)
        assert street.look(second) == ([], [])
    assert street.look(15.9) == ([], [])
    assert street.look(16) == ([1], [])


def test_a_rate_is_taken_over_its_span() -> None:
    street = Street({"rate_above": 0.5, "span_s": 10})
    found = []
    for second, value in ((0, 0), (1, 5), (10, 4), (20, 10), (30, 10)):
        street.read(1, second, value)
        found.append(street.look(second))
    assert found == [([], []), ([], []), ([], []), ([1], []), ([], [1])]


def test_silence_is_counted_from_the_last_reading_and_from_the_beginning_of_the_watch() -> None:
    street = Street({"silent_s": 60})
    street.read(1, 50, 1.0)
    assert street.look(60) == ([], [])
    assert street.look(61) == ([2, 3], [])  # never heard
    assert street.look(111) == ([1], [])
    street.read(2, 112, 1.0)
    assert street.look(112) == ([], [2])


@pytest.mark.parametrize("whole", [False, True])
def test_one_reading_of_a_wrong_year_makes_a_level_neither_deaf_nor_endless(whole: bool) -> None:
    street = Street({"above": 30, "clear": 25})
    street.read(1, 1, 99, ahead_s=30 * 365 * 86_400)
    assert street.look(1, whole=whole) == ([1], [])  # nobody can know yet that its clock is wrong
    street.read(1, 2, 20)
    assert street.look(2, whole=whole) == ([], [1])
    street.read(1, 3, 31)
    assert street.look(3, whole=whole) == ([1], [])
    street.read(1, 4, 20)
    assert street.look(4, whole=whole) == ([], [1])
    street.read(1, 2.5, 99)
    assert street.look(5, whole=whole) == ([], [])  # a late one is of the past, as ever


def test_one_reading_of_a_wrong_year_is_no_silence_for_ever() -> None:
    street = Street({"silent_s": 60}, streams=1)
    street.read(1, 1, 1.0, ahead_s=30 * 365 * 86_400)
    for second in (50, 100, 150):
        street.read(1, second, 1.0)
        assert street.look(second + 1) == ([], [])
    assert street.look(211) == ([1], [])
    street.read(1, 212, 1.0)
    assert street.look(212) == ([], [1])


def test_of_forecasts_the_one_that_reaches_furthest_is_the_latest() -> None:
    street = Street({"above": 30})
    for second, value, told in ((1, 31, ([1], [])), (2, 32, ([], [])), (3, 20, ([], [1]))):
        street.read(1, second, value, ahead_s=3600)
        assert street.look(second) == told


def test_what_is_under_maintenance_begins_nothing_and_ceases() -> None:
    street = Street({"above": 30})
    street.read(1, 1, 31)
    assert street.look(1) == ([1], [])
    street.hushed = {1}
    assert street.look(2) == ([], [1])
    assert street.look(3, whole=True) == ([], [])
    street.hushed = set()
    assert street.look(4, whole=True) == ([1], [])


def test_no_value_is_neither_an_alarm_nor_its_end() -> None:
    street = Street({"above": 30})
    for second, value, told in ((1, float("nan"), ([], [])), (2, 31, ([1], [])), (3, float("nan"), ([], []))):
        street.read(1, second, value)
        assert street.look(second) == told


def test_a_changed_catalogue_keeps_what_is_known_of_the_streams_that_stay() -> None:
    street = Street({"above": 30})
    street.read(3, 1, 31)
    assert street.look(1) == ([3], [])
    other = Lookout(street.lookout.rule, np.array([2, 3, 7]), START)
    other.take_over(street.lookout)
    assert other.alarm.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"watch": {"property": "p"}, "when": {}}, "no condition"),
        ({"watch": {"property": "p"}, "when": {"above": 1, "below": 2}}, "above, below"),
        ({"watch": {"property": "p"}, "when": {"above": 1, "clear": 2}}, "never be over"),
        ({"watch": {"property": "p"}, "when": {"below": 1, "clear": 0}}, "never be over"),
        ({"watch": {"property": "p"}, "when": {"above": float("nan")}}, "finite"),
        ({"watch": {"kind": "k"}, "when": {"above": 1}}, "cannot be compared"),
        ({"watch": {"datastream": 1, "kind": "k"}, "when": {"above": 1}}, "names a `datastream`"),
        ({"watch": {"practice": "x"}, "when": {"silent_s": 1}}, "does not go with"),
        ({"watch": {"property": "p"}, "when": {"practice": ["held"]}}, "needs `watch.practice`"),
        ({"watch": {"property": "p"}, "when": {"silent_s": 0}}, "more than 0"),
        ({"watch": {"property": "p"}, "when": {"silent_s": 9}, "colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_reason(rule: dict[str, object], why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        read_rule(rule)


def test_a_million_streams_are_looked_at_without_a_loop() -> None:
    count = 1_000_000
    street = Street({"silent_s": 60}, count)
    street.live._reserve(count + 1)
    street.live.id[1 : count + 1] = np.arange(1, count + 1)
    street.live.made[1 : count + 1] = street.live.time[1 : count + 1] = START + 30 * S
    street.live.made[count - 9 : count + 1] = START
    began = perf_counter()
    begins, _ = street.look(80)
    assert begins == list(range(count - 9, count + 1))
    assert perf_counter() - began < 5  # a loop over a million in Python would take that at least
