"""Car parks fill and empty with the town, never beyond their places; drivers follow a sign while its wish holds."""

from collections.abc import Callable

import numpy as np

from civium.sandbox.parking import NOBODY, Parking
from civium.sandbox.town import Town

NINE = 9 * 60
FAR = 2**60


def opened(town: Town, minute: int = NINE) -> Parking:
    return Parking(town.car_parks, town.parking_signs, town.demand, minute)


def test_helsinki_has_the_car_parks_of_its_map(town: Callable[[str], Town]) -> None:
    helsinki = town("helsinki")
    assert 10 < len(helsinki.car_parks) <= 43
    assert all(6 <= park.capacity <= 600 for park in helsinki.car_parks)
    assert len(helsinki.parking_signs) == 4


def test_counts_keep_within_the_places_and_the_same_day_is_the_same(town: Callable[[str], Town]) -> None:
    one, two = opened(town("helsinki")), opened(town("helsinki"))
    capacity = np.array([park.capacity for park in one.parks])
    seen = []
    for minute in range(NINE, NINE + 300):
        one.step(minute, 0)
        two.step(minute, 0)
        assert (one.count == two.count).all()
        assert (one.count >= 0).all()
        assert (one.count <= capacity).all()
        if one.bay_park != NOBODY:
            assert one.bays.sum() == one.count[one.bay_park]
        seen.append(one.count.sum())
    assert max(seen) > 1.2 * min(seen)


def test_signs_move_cars_while_their_wish_holds(town: Callable[[str], Town]) -> None:
    plain, led = opened(town("helsinki")), opened(town("helsinki"))
    goal = len(led.parks) - 1
    for sign in range(len(led.signs)):
        assert led.obey(sign, led.parks[goal].key, FAR, "decision")
    assert not led.obey(0, "no such place", FAR, "decision")
    assert led.shown(0, 0) == (goal, "decision")
    assert led.shown(0, FAR) == (NOBODY, None)
    for minute in range(NINE, NINE + 60):
        plain.step(minute, 0)
        led.step(minute, 0)
    assert led.count[goal] >= led.parks[goal].capacity - 1
    assert led.searched > plain.searched  # all to one place is what a sign must not do
