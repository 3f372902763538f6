"""What an actuator's facts allow: the same answer at the door, in the guard, and in what is told of it."""

from collections.abc import Mapping
from typing import Any

from civium.core.errors import CommandRefused

_MAX_HOLD_S = 3600.0


def longest_hold(facts: Mapping[str, Any]) -> float:
    """How long a command may hold the actuator [s]: its fact ``max_hold_s``, or an hour."""
    return float(facts.get("max_hold_s", _MAX_HOLD_S))


def check_value(value: float | str, facts: Mapping[str, Any]) -> None:
    """Raise CommandRefused for a value that is not one of the ``choices``, or outside ``minimum`` and ``maximum``."""
    choices = facts.get("choices")
    if choices is not None and value not in choices:
        raise CommandRefused(f"{value} is not one of its choices")
    low, high = facts.get("minimum"), facts.get("maximum")
    if low is None and high is None:
        return
    if isinstance(value, str):
        raise CommandRefused(f"'{value}' is no number")
    if (low is not None and value < low) or (high is not None and value > high):
        raise CommandRefused(f"{value:g} is outside its limits {low} to {high}")
