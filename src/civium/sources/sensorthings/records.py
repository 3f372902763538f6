"""Parameters that a client declared for a capability, as a DataRecord of SWE Common (OGC 08-094r1) in JSON: what they
allow, and what a Task says by them.

An actuator takes one value: that of the one parameter, or all of them as the text of a JSON object.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from civium.core import InputRefused

_NUMBERS = ("Quantity", "Count")
_OF_EVERY_TASK = ("until", "tier", "because")
_MOST_FIELDS = 100
_LONGEST = 10_000  # characters of a value
_UNBOUNDED = ("-INF", "INF", "-Infinity", "Infinity", "+INF")
_ENCODER = msgspec.json.Encoder(order="sorted")


def facts_of(record: Any, at: str) -> dict[str, Any]:
    """The facts of an actuator that a record says: ``minimum``, ``maximum``, ``choices`` and ``unit``, where it has one
    parameter. Raises InputRefused for what is no record."""
    if record is None:
        raise InputRefused(f"{at} is missing")
    fields = fields_of(record, at)
    if taken := sorted(fields.keys() & set(_OF_EVERY_TASK)):
        raise InputRefused(f"{at}: '{taken[0]}' is what any Task may say: leave it out, or call it something else")
    if len(fields) != 1:
        return {}
    [(name, field)] = fields.items()
    facts: dict[str, Any] = {}
    kind, allowed = field.get("type"), _allowed(field)
    if "value" in allowed:
        facts["choices"] = allowed["value"]
    elif "interval" in allowed and len(allowed["interval"]) == 1:
        facts |= _ends(allowed["interval"][0], f"{at}/field/{name}")
    if kind == "Boolean":
        facts["choices"] = ["false", "true"]
    unit = field.get("uom")
    if kind in _NUMBERS and isinstance(unit, dict) and isinstance(unit.get("code"), str):
        facts["unit"] = unit["code"]
    return facts


def fields_of(record: Any, at: str) -> dict[str, dict[str, Any]]:
    """The parameters of a record by their names."""
    if not isinstance(record, dict):
        raise InputRefused(f"{at} must be an object, such as a DataRecord")
    fields = record.get("field", [])
    if not isinstance(fields, list) or len(fields) > _MOST_FIELDS:
        raise InputRefused(f"{at}/field must be a list of at most {_MOST_FIELDS} parameters")
    found: dict[str, dict[str, Any]] = {}
    for place, field in enumerate(fields):
        name = field.get("name") if isinstance(field, dict) else None
        if not isinstance(name, str) or not name or name in found:
            raise InputRefused(f"{at}/field[{place}] must be an object with a name of its own")
        _check_allowed(field, f"{at}/field[{place}]")
        found[name] = field
    return found


def value_of(wanted: Mapping[str, Any], record: Mapping[str, Any]) -> float | str:
    """The value for the actuator that a Task asks by its own parameters; raises InputRefused, naming the parameter."""
    fields = fields_of(record, "taskingParameters")
    for name, field in fields.items():
        if name in wanted:
            _check(name, wanted[name], field)
        elif field.get("optional") is not True:
            raise InputRefused(f"taskingParameters/{name}: it is missing")
    if len(fields) == 1 and len(wanted) == 1:
        [only] = wanted.values()
        if isinstance(only, bool):
            return "true" if only else "false"
        if isinstance(only, int | float):
            return float(only)
        if isinstance(only, str) and only:
            return only
    told = _ENCODER.encode(wanted).decode()
    if len(told) > _LONGEST:
        raise InputRefused(f"taskingParameters: they are longer than {_LONGEST} characters")
    return told


def _check(name: str, value: Any, field: Mapping[str, Any]) -> None:
    kind, allowed = field.get("type"), _allowed(field)
    if kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(name, "it must be a number")
        if kind == "Count" and value != int(value):
            raise _wrong(name, "it must be a whole number")
    elif kind == "Boolean" and not isinstance(value, bool):
        raise _wrong(name, "it must be true or false")
    elif kind in ("Text", "Category", "Time") and not (isinstance(value, str) and value):
        raise _wrong(name, "it must be a text")
    choices, intervals = allowed.get("value"), allowed.get("interval")
    if choices is not None and value not in choices:
        raise _wrong(name, f"it must be one of {', '.join(map(str, choices))}"[:500])
    if intervals and choices is None and kind in _NUMBERS and not any(_inside(value, one) for one in intervals):
        raise _wrong(name, f"it must lie within {intervals}"[:500])


def _allowed(field: Mapping[str, Any]) -> dict[str, Any]:
    constraint = field.get("constraint")
    return constraint if isinstance(constraint, dict) else {}


def _check_allowed(field: Mapping[str, Any], at: str) -> None:
    allowed = _allowed(field)
    choices, intervals = allowed.get("value"), allowed.get("interval")
    if choices is not None and not (
        isinstance(choices, list) and all(isinstance(c, int | float | str) for c in choices)
    ):
        raise InputRefused(f"{at}/constraint/value must be a list of numbers or texts")
    if intervals is None:
        return
    if not isinstance(intervals, list):
        raise InputRefused(f"{at}/constraint/interval must be a list")
    if field.get("type") in _NUMBERS:
        for one in intervals:
            _ends(one, at)


def _ends(interval: Any, at: str) -> dict[str, float]:
    """The bounds of an interval of numbers, where it has them."""
    if not isinstance(interval, list) or len(interval) != 2:
        raise InputRefused(f"{at}/constraint/interval must be a list of [low, high]")
    found: dict[str, float] = {}
    for name, end in zip(("minimum", "maximum"), interval, strict=True):
        if end is None or end in _UNBOUNDED:
            continue
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise InputRefused(f"{at}/constraint/interval: {end!r} is no number")
        found[name] = end
    return found


def _inside(value: float, interval: Any) -> bool:
    ends = _ends(interval, "")
    return ends.get("minimum", -math.inf) <= value <= ends.get("maximum", math.inf)


def _wrong(name: str, why: str) -> InputRefused:
    return InputRefused(f"taskingParameters/{name}: {why}")
