"""The form of what a decision returns: whether a plan and a state are what the city can check, send and replay."""

import math
import pickle
import string
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from civium.core import MICROSECONDS, Command, Estimate, Notice, Plan, Practice, View
from civium.core.digest import canonical_json
from civium.core.practice import MAX_STATE_BYTES, state_bytes
from civium.core.view import column

DAY = 86_400 * MICROSECONDS
AUDIENCES = ("desk", "public", "owner")
SEVERITIES = ("info", "warning", "alarm")

Breach = tuple[str, str]  # rule, why


def of_state(state: Any) -> Iterator[Breach]:
    """Named numpy arrays of plain values, 16 MB at most."""
    if not isinstance(state, Mapping):
        yield "state-plain", f"the state is a {type(state).__name__}, not a mapping of names to numpy arrays"
        return
    for name, array in state.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            yield "state-plain", f"state[{name!r}] is a {type(array).__name__}, not a numpy array under a text name"
        elif array.dtype.hasobject:
            yield "state-plain", f"state['{name}'] is an array of Python objects ({array.dtype})"
    if all(isinstance(array, np.ndarray) for array in state.values()) and state_bytes(state) > MAX_STATE_BYTES:
        yield "state-plain", f"the state holds {state_bytes(state):,} bytes; {MAX_STATE_BYTES:,} are allowed"


def of_plan(plan: Any, view: View, practice: Practice, texts: Mapping[str, str]) -> Iterator[Breach]:
    """Plain values, commands that lapse, declared estimates, worded notices (``texts``: the register's notices)."""
    if not isinstance(plan, Plan):
        yield "plan-plain", f"decide returned a {type(plan).__name__} where the plan should be"
        return
    try:
        pickle.loads(pickle.dumps(plan))  # noqa: S301 (our own bytes, in a process made for this)
        canonical_json(plan)
    except Exception as error:
        yield "plan-plain", f"the plan cannot be put on the record: {type(error).__name__}: {error}"
        return
    kinds = dict(zip(view.actuators["actuator"].to_pylist(), view.actuators["kind"].to_pylist(), strict=True))
    for command in plan.commands:
        yield from (("commands-lapse", why) for why in _of_command(command, view, practice, kinds))
    things = dict(zip(column(view.things, "thing").tolist(), view.things["kind"].to_pylist(), strict=True))
    made = {(make.property, make.kind) for make in practice.makes}
    for estimate in plan.estimates:
        yield from (("estimates-declared", why) for why in _of_estimate(estimate, things, made))
    for notice in plan.notices:
        yield from (("notices-worded", why) for why in _of_notice(notice, things, texts))


def _of_command(command: Command, view: View, practice: Practice, kinds: Mapping[int, str]) -> Iterator[str]:
    name = f"the command to actuator {command.actuator!r}"
    if command.actuator not in kinds:
        yield f"{name} names no actuator of the view"
    elif kinds[command.actuator] != practice.acts_on:
        yield f"{name} is for a '{kinds[command.actuator]}'; the practice declares acts_on = '{practice.acts_on}'"
    if not isinstance(command.value, str) and not _finite(command.value):
        yield f"{name} has the value {command.value!r}, neither text nor a finite number"
    if not isinstance(command.until, int):
        yield f"{name} lapses at {command.until!r}, which is not a whole number of microseconds"
    elif not view.now < command.until <= view.now + DAY:
        ahead = (command.until - view.now) / MICROSECONDS
        yield f"{name} lapses {ahead:g} s after now; it must be later than now and within a day"
    if command.tier > practice.tier:
        yield f"{name} claims tier {command.tier.name.lower()}; the practice is of tier {practice.tier.name.lower()}"


def _of_estimate(estimate: Estimate, things: Mapping[int, str], made: set[tuple[str, str]]) -> Iterator[str]:
    name = f"the estimate of '{estimate.property}' for thing {estimate.thing!r}"
    if estimate.thing not in things:
        yield f"{name} is about a thing that the view does not hold"
    elif (estimate.property, things[estimate.thing]) not in made:
        yield f"{name} (a '{things[estimate.thing]}') is not among what the practice declares to make"
    if not _finite(estimate.value):
        yield f"{name} is {estimate.value!r}; what is not known is left out"
    for bound in (estimate.lower, estimate.upper):
        if bound is not None and not _finite(bound):
            yield f"{name} has the bound {bound!r}; an unknown bound is None"
    if not isinstance(estimate.time, int):
        yield f"{name} has the time {estimate.time!r}, which is not a whole number of microseconds"
    elif estimate.until is not None and estimate.until < estimate.time:
        yield f"{name} ends before it begins"
    if _below(estimate.value, estimate.lower) or _below(estimate.upper, estimate.value):
        yield f"{name}, {estimate.value:g}, lies outside its own interval {estimate.lower}..{estimate.upper}"


def _of_notice(notice: Notice, things: Mapping[int, str], texts: Mapping[str, str]) -> Iterator[str]:
    name = f"the notice '{notice.key}'"
    if notice.key not in texts:
        yield f"{name} has no text under [notices] in register.toml"
    else:
        fields = {field for _, field, _, _ in string.Formatter().parse(texts[notice.key]) if field is not None}
        if missing := sorted(fields - set(notice.values)):
            yield f"{name} lacks the values {', '.join(missing)} that its text speaks of"
    if notice.audience not in AUDIENCES:
        yield f"{name} is for '{notice.audience}'; audiences are {', '.join(AUDIENCES)}"
    if notice.severity not in SEVERITIES:
        yield f"{name} is of severity '{notice.severity}'; severities are {', '.join(SEVERITIES)}"
    if notice.about is not None and notice.about not in things:
        yield f"{name} is about thing {notice.about}, which the view does not hold"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _below(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and value < bound
