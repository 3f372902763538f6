"""Rules of alarms: what is watched, when it is an alarm, and what belongs together. Values are in SI."""

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec

from civium.core import InputRefused
from civium.core.observations import MAX_ID

_LONGEST_S = 366 * 86400.0


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Group(StrEnum):
    """What belongs to one alarm: each stream, a thing, what hangs on one gateway, an area, or all that a rule finds."""

    STREAM = "stream"
    THING = "thing"
    GATEWAY = "gateway"
    AREA = "area"
    RULE = "rule"


class Watched(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a rule watches: a datastream; or a property of things of a kind (empty: any); or a practice (``*``: any)."""

    datastream: int = 0
    property: str = ""
    kind: str = ""
    practice: str = ""


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The condition: exactly one of ``above``, ``below`` [SI], ``rate_above``, ``rate_below`` [SI/s], ``silent_s`` [s]
    or ``practice``. ``clear`` is the level at which it is over, ``for_s`` how long it must hold first."""

    above: float | None = None
    below: float | None = None
    rate_above: float | None = None
    rate_below: float | None = None
    silent_s: float | None = None
    practice: tuple[str, ...] | None = None  # held, broken
    clear: float | None = None
    span_s: float = 0.0  # a rate is taken over at least so long
    for_s: float = 0.0

    @property
    def condition(self) -> str:
        """The name of the one that is given."""
        return next(name for name in CONDITIONS if getattr(self, name) is not None)


CONDITIONS = ("above", "below", "rate_above", "rate_below", "silent_s", "practice")
_PRACTICE = ("held", "broken")
_DOWN = ("below", "rate_below")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule. A ``latched`` alarm stays until a person clears it; ``on_call`` names who is told ("": nobody)."""

    watch: Watched
    when: When
    title: str = ""
    severity: Severity = Severity.WARNING
    group: Group | None = None  # default: silence by gateway, else by thing
    latched: bool = False
    on_call: str = "default"

    @property
    def together(self) -> Group:
        """What belongs to one alarm."""
        return self.group or (Group.GATEWAY if self.when.silent_s is not None else Group.THING)


def read_rule(body: Mapping[str, Any]) -> Rule:
    """A rule of what was given; raises InputRefused, which says what is wrong with it."""
    try:
        rule = msgspec.convert(body, Rule)
    except msgspec.ValidationError as error:
        raise InputRefused(f"this is no alarm rule: {error}") from None
    if wrong := _wrong(rule):
        raise InputRefused(f"this is no alarm rule: {wrong}")
    return rule


def _wrong(rule: Rule) -> str:
    when, watch = rule.when, rule.watch
    given = [name for name in CONDITIONS if getattr(when, name) is not None]
    if len(given) != 1:
        return f"`when` has {', '.join(given) or 'no condition'}; give one of {', '.join(CONDITIONS)}"
    condition = given[0]
    numbers = {name: getattr(when, name) for name in (*CONDITIONS[:5], "clear", "span_s", "for_s")}
    if strange := [name for name, number in numbers.items() if number is not None and not isfinite(number)]:
        return f"`{strange[0]}` is no finite number"
    if not (0 <= when.for_s <= _LONGEST_S and 0 <= when.span_s <= _LONGEST_S):
        return f"`for_s` and `span_s` are 0 to {_LONGEST_S:g} s"
    if condition == "silent_s" and not 0 < numbers["silent_s"] <= _LONGEST_S:
        return f"`silent_s` is more than 0 and at most {_LONGEST_S:g} s"
    if when.clear is not None:
        level = numbers.get(condition)
        if condition in ("silent_s", "practice") or level is None:
            return f"`clear` does not go with `{condition}`"
        if when.clear > level if condition not in _DOWN else when.clear < level:
            side = "above" if condition in _DOWN else "below"
            return f"`clear` must lie {side} `{condition}`, or the alarm would never be over"
    if when.span_s and not condition.startswith("rate"):
        return f"`span_s` does not go with `{condition}`"
    return _wrong_watch(watch, when, condition)


def _wrong_watch(watch: Watched, when: When, condition: str) -> str:
    if condition == "practice":
        if not watch.practice or watch.datastream or watch.property or watch.kind:
            return "`when.practice` needs `watch.practice`, and nothing else there"
        if not when.practice or set(when.practice) - set(_PRACTICE):
            return "`when.practice` is a list of held, broken"
        return ""
    if watch.practice:
        return f"`watch.practice` does not go with `{condition}`"
    if not 0 <= watch.datastream <= MAX_ID or (watch.datastream and (watch.property or watch.kind)):
        return "`watch` names a `datastream`, or a `property` and a `kind`"
    if condition != "silent_s" and not watch.datastream and not watch.property:
        return f"`{condition}` needs a `datastream` or a `property`: values of different properties cannot be compared"
    return ""


def describe(rule: Rule, unit: str = "") -> str:
    """The condition in words; ``unit`` is that of the values."""
    when, condition = rule.when, rule.when.condition
    if condition == "practice":
        return f"the practice is {' or '.join(when.practice or ())}"
    if condition == "silent_s":
        return f"no reading for {when.silent_s:g} s"
    level = f"{getattr(when, condition):g} {unit}{'/s' if condition.startswith('rate') else ''}".rstrip()
    words = {
        "above": "above",
        "below": "below",
        "rate_above": "changes by more than",
        "rate_below": "changes by less than",
    }
    held = f" for {when.for_s:g} s" if when.for_s else ""
    return f"{words.get(condition, condition)} {level}{held}"
