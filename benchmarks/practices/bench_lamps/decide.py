"""Decides how bright the lamps shine: the colder it is at a post, the brighter its lamp."""

import numpy as np

from civium.core import Command, Estimate, Params, Plan, State, View
from civium.core.view import column, latest

_VALID_S = 30


def decide(view: View, state: State, params: Params) -> tuple[Plan, State]:
    """One command a lamp that has a reading, and the mean of all posts."""
    frame = view.frames["temperature"]
    if frame.num_rows == 0:
        return Plan(because="no post has a reading"), {}
    now = latest(frame)
    thing, value = column(now, "thing"), column(now, "value")
    lamp = column(view.actuators, "thing")
    place = np.minimum(np.searchsorted(thing, lamp), len(thing) - 1)
    brightness = np.clip(np.round(50.0 - 2.0 * (value[place] - 285.15)), 0.0, 100.0)
    commands = tuple(
        Command(int(actuator), float(bright), view.now + _VALID_S * 1_000_000)
        for actuator, bright, known in zip(
            column(view.actuators, "actuator"), brightness, thing[place] == lamp, strict=True
        )
        if known
    )
    mean = Estimate(int(thing[0]), "mean_air_temperature", view.now, float(value.mean()))
    return Plan(commands, (mean,), (), f"{len(thing)} posts"), {"last": value.astype(np.float64)}
