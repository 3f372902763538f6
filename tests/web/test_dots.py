"""The live dots: each value falls in the step that its look says, in words that one reads."""

from typing import Any

import pytest

from civium.web.dots import LOOKS, MOST, Look, _layer
from civium.web.ground import Frame

FRAME = Frame((24.0, 60.0, 25.0, 61.0))
OF_KIND = {look.kind: look for look in LOOKS}


def _features(values: list[float | None]) -> list[dict[str, Any]]:
    return [
        {
            "geometry": {"coordinates": [24.5, 60.5]},
            "properties": {"thing": thing, "name": f"T{thing}", "value": value},
        }
        for thing, value in enumerate(values, 1)
    ]


def test_a_queue_is_shown_by_fixed_steps_and_a_temperature_by_what_is_there_now() -> None:
    queues = _layer(OF_KIND["detector"], 5, _features([0, 1, 3, 6, 40]), FRAME)
    assert [dot.step for dot in queues.dots] == [0, 1, 2, 3, 4]
    lamps = _layer(OF_KIND["lamp_post"], 3, _features([273.15, 278.15, 283.15]), FRAME)
    assert [dot.step for dot in lamps.dots] == [0, 2, 4]
    assert lamps.span == "air temperature 0.0 to 10.0 °C"


def test_a_signal_that_changes_is_told_in_words() -> None:
    layer = _layer(OF_KIND["signal"], 1, _features([-1]), FRAME)
    assert layer.dots[0].words == "T1: shows changing"
    assert layer.dots[0].step == 0


def test_equal_values_are_one_step_and_silent_things_no_dot() -> None:
    layer = _layer(Look("oven", "heat", "Ovens", "heat"), 3, _features([5.0, 5.0, None]), FRAME)
    assert [dot.step for dot in layer.dots] == [0, 0]
    assert (layer.heard, layer.things) == (2, 3)


def test_a_dot_is_where_the_thing_is() -> None:
    (dot,) = _layer(OF_KIND["detector"], 1, _features([0]), FRAME).dots
    assert (dot.x, dot.y) == pytest.approx((FRAME.width / 2, FRAME.height / 2), abs=0.1)


def test_too_many_things_are_counted_and_not_drawn() -> None:
    layer = _layer(OF_KIND["detector"], MOST + 1, [], FRAME)
    assert layer.heard is None
    assert layer.dots == ()
    assert "not drawn" in layer.span
