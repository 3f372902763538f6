"""Decides how bright lamps shine."""

from dataclasses import dataclass

import numpy as np

from civium.core import Command, Estimate, Notice, Params, Plan, State, View
from civium.core.view import column, latest


@dataclass(frozen=True, slots=True)
class DimmerParams(Params):
    cold: float = 273.15
    behaviour: str = ""


def decide(view: View, state: State, params: DimmerParams) -> tuple[Plan, State]:
    if params.behaviour == "raise":
        raise RuntimeError("as asked")
    if params.behaviour == "hang":
        while True:
            pass
    if params.behaviour == "eat":
        np.ones(8 * 1024**3 // 8)
    now = latest(view.frames["temperature"])
    turns = int(state["turns"]) + 1 if "turns" in state else 1
    warm = dict(zip(column(now, "thing").tolist(), column(now, "value").tolist(), strict=True))
    commands = tuple(
        Command(
            actuator,
            100.0 if warm[thing] < params.cold else 30.0,
            view.now + 10_000_000,
            because="cold" if warm[thing] < params.cold else "warm",
        )
        for actuator, thing in zip(
            view.actuators.column("actuator").to_pylist(), view.actuators.column("thing").to_pylist(), strict=True
        )
        if thing in warm
    )
    estimates = tuple(
        Estimate(thing, "mean_temperature", view.now, float(np.mean(list(warm.values())))) for thing in warm
    )
    notices = (Notice("desk", "info", "cold", {"lamps": len(warm)}),) if turns == 1 else ()
    return Plan(commands, estimates, notices, f"{len(warm)} lamps reported"), {
        "turns": np.int64(turns),
        "last": column(now, "value"),
    }
