"""The city's clock: it follows the wall, and never goes back with it."""

from itertools import pairwise

from civium.city_clock import CityClock
from civium.core import MICROSECONDS, FixedClock

DAY = 86_400 * MICROSECONDS


def test_it_tells_the_walls_time() -> None:
    wall = FixedClock(DAY)
    clock = CityClock("wall", DAY - 5, wall, lambda: 0)
    assert clock.now() == DAY
    wall.at += 3600 * MICROSECONDS  # a step forward
    assert clock.now() == wall.at
    assert clock.trouble() == ""


def test_when_the_wall_is_set_back_it_goes_on_at_half_speed_until_they_meet() -> None:
    wall, passed = FixedClock(DAY), [0]
    clock = CityClock("wall", 0, wall, lambda: passed[0])
    assert clock.now() == DAY
    wall.at -= 60 * MICROSECONDS
    told = [clock.now()]
    for _ in range(150):
        passed[0] += MICROSECONDS
        wall.at += MICROSECONDS
        told.append(clock.now())
    assert told[0] == DAY
    assert told[100] == DAY + 50 * MICROSECONDS
    assert all(later > earlier for earlier, later in pairwise(told))
    assert told[120] == wall.at - 30 * MICROSECONDS  # met after 120 s
    assert told[150] == wall.at


def test_it_tells_an_operator_how_far_it_is_ahead() -> None:
    clock = CityClock("wall", DAY, FixedClock(DAY - 90 * MICROSECONDS), lambda: 0)
    assert clock.now() == DAY  # the last tick of the city before it was started again
    assert "90 s ahead" in clock.trouble()


def test_a_sandbox_tells_the_time_itself() -> None:
    clock = CityClock("door", 7, FixedClock(DAY))
    assert clock.now() == 7
    assert clock.trouble() == ""
