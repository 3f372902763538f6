"""Tasking (OGC 17-079r1): what may be asked of an actuator, and what a body of a Task asks.

The parameters of a capability are a DataRecord in the JSON of SWE Common: ``value``, as the actuator's facts allow it,
and how long, how strongly and why it is wanted.
"""

import math
import re
from collections.abc import Mapping, Set
from typing import Any

import msgspec

from civium.core import MICROSECONDS, Command, CommandRefused, InputRefused, Tier
from civium.core.limits import check_value, longest_hold
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import ACTUATORS
from civium.sources.instants import read_instant
from civium.sources.sensorthings.body import TOLD, decode_body
from civium.sources.sensorthings.records import fields_of, value_of

_PATH = re.compile(r"(?:TaskingCapabilities\((\d{1,18})\)/)?Tasks")
_LONGEST = {"because": 1000, "who": 100}  # characters
_TIERS = {tier.name.lower(): tier for tier in Tier}
_BODY = {"taskingParameters", "TaskingCapability", "creationTime"}


def tasking_parameters(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a Task for an actuator of this name and these facts may have."""
    longest = longest_hold(facts)
    return {
        "type": "DataRecord",
        "field": [
            {"name": "value", "label": name, **_value(facts)},
            {
                "name": "duration", "label": "how long, from now", "type": "Quantity", "optional": True,
                "uom": {"code": "s"}, "constraint": {"type": "AllowedValues", "interval": [[0, longest]]},
            },
            {"name": "until", "label": "until when, in place of a duration", "type": "Time", "optional": True},
            {
                "name": "tier", "label": "how strong; duty unless it is said", "type": "Category", "optional": True,
                "constraint": {"type": "AllowedTokens", "value": list(_TIERS)},
            },
            {"name": "because", "label": "why", "type": "Text", "optional": True},
            {"name": "who", "label": "who asks", "type": "Text", "optional": True},
        ],
    }  # fmt: skip


def _value(facts: Mapping[str, Any]) -> dict[str, Any]:
    choices, unit = facts.get("choices"), facts.get("unit")
    if choices is not None and any(isinstance(choice, str) for choice in choices):
        return {"type": "Category", "constraint": {"type": "AllowedTokens", "value": list(choices)}}
    told: dict[str, Any] = {"type": "Quantity", "uom": {"code": unit if isinstance(unit, str) else "1"}}
    low, high = facts.get("minimum"), facts.get("maximum")
    if choices is not None:
        told["constraint"] = {"type": "AllowedValues", "value": list(choices)}
    elif low is not None or high is not None:
        interval = ["-INF" if low is None else low, "INF" if high is None else high]
        told["constraint"] = {"type": "AllowedValues", "interval": [interval]}
    return told


def decode_task(
    path: str, body: bytes, catalog: Catalog, now: int, hidden: Set[int] = frozenset()
) -> tuple[Command, str, dict[str, Any] | None]:
    """The command that a body (JSON) at ``Tasks`` or ``TaskingCapabilities(1)/Tasks`` asks for, for whom, and
    what it says by parameters that a client declared (None: by ours).

    ``now`` [us since epoch] is when its duration begins; the actuators of ``hidden`` things are not
    there. Raises InputRefused: 400 that names the parameter, 404 for a path that leads nowhere.
    """
    match = _PATH.fullmatch(path.strip("/"))
    if match is None:
        raise InputRefused(f"no Task can be made at '{path[:60]}'", status=404)
    content = decode_body(body)
    if not isinstance(content, dict):
        raise InputRefused("Task must be an object")
    if unknown := sorted(name for name in content if name not in _BODY and not name.endswith(TOLD)):
        raise InputRefused(f"Task has no property '{unknown[0][:60]}'; it may have {', '.join(sorted(_BODY))}")
    actuator = _capability(content.get("TaskingCapability"), int(match[1]) if match[1] else None)
    row = catalog.last(ACTUATORS.name, [actuator]).get(actuator) if actuator < 2**63 else None
    if row is None or row["gone"] or row["thing"] is None or row["thing"] in hidden:
        raise InputRefused(f"there is no TaskingCapability {actuator}", status=404 if match[1] else 400)
    wanted = content.get("taskingParameters")
    if not isinstance(wanted, dict):
        raise InputRefused("Task/taskingParameters is missing; it is an object with a value")
    record = msgspec.json.decode(row["parameters"]) if row["parameters"] else None
    return _command(actuator, wanted, record, msgspec.json.decode(row["facts"] or "{}"), now)


def _capability(named: Any, of_path: int | None) -> int:
    if named is None:
        if of_path is None:
            raise InputRefused('Task/TaskingCapability is missing; refer to one by {"@iot.id": ...}')
        return of_path
    identity = named.get("@iot.id") if isinstance(named, dict) else None
    if type(identity) is not int or identity <= 0:
        raise InputRefused('Task/TaskingCapability must be {"@iot.id": ...} with the id of one')
    if of_path is not None and identity != of_path:
        raise InputRefused(f"Task/TaskingCapability is {identity}, but the path says {of_path}")
    return identity


def _command(
    actuator: int, wanted: Mapping[str, Any], record: Mapping[str, Any] | None, facts: Mapping[str, Any], now: int
) -> tuple[Command, str, dict[str, Any] | None]:
    ours = {field["name"] for field in tasking_parameters("", facts)["field"]}
    if record is None:
        return (*_ours(actuator, wanted, ours, facts, now), None)
    declared = fields_of(record, "taskingParameters")
    ours -= {"value", *declared}
    own = {name: value for name, value in wanted.items() if name not in ours}
    if unknown := sorted(own.keys() - declared.keys()) if declared else []:
        known = ", ".join(sorted(ours | declared.keys()))
        raise _wrong(unknown[0][:60], f"there is no such parameter; there are {known}")
    rest = {name: value for name, value in wanted.items() if name in ours} | {"value": value_of(own, record)}
    return (*_ours(actuator, rest, ours | {"value"}, facts, now), own)


def _ours(
    actuator: int, wanted: Mapping[str, Any], known: Set[str], facts: Mapping[str, Any], now: int
) -> tuple[Command, str]:
    if unknown := sorted(wanted.keys() - known):
        raise _wrong(unknown[0][:60], f"there is no such parameter; there are {', '.join(sorted(known))}")
    value = wanted.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise _wrong("value", "it must be a number or a text")
    if not isinstance(value, str):
        try:
            value = float(value)
        except OverflowError:
            raise _wrong("value", "the number is out of range") from None
    try:
        check_value(value, facts)
    except CommandRefused as refusal:
        raise _wrong("value", refusal.why) from None
    said = {name: _text(name, wanted.get(name)) for name in _LONGEST}
    tier = wanted.get("tier", "duty")
    if not isinstance(tier, str) or tier not in _TIERS:
        raise _wrong("tier", f"it must be one of {', '.join(_TIERS)}")
    command = Command(actuator, value, _until(wanted, longest_hold(facts), now), _TIERS[tier], said["because"])
    return command, said["who"]


def _until(wanted: Mapping[str, Any], longest: float, now: int) -> int:
    """Until when the command holds [us since epoch]."""
    duration, until = wanted.get("duration"), wanted.get("until")
    if until is not None:
        if duration is not None:
            raise _wrong("until", "a duration is given already")
        try:
            end = read_instant(until if isinstance(until, str) else "")
        except ValueError as error:
            raise _wrong("until", str(error)) from None
        if not now < end <= now + longest * MICROSECONDS:
            raise _wrong("until", f"it must lie at most {longest:g} s ahead")
        return end
    if duration is None:
        return now + int(longest * MICROSECONDS)
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not math.isfinite(duration):
        raise _wrong("duration", "it must be a number of seconds")
    if not 0 < duration <= longest:
        raise _wrong("duration", f"it must be more than 0 and at most {longest:g} s")
    return now + int(duration * MICROSECONDS)


def _text(name: str, value: Any) -> str:
    if value is not None and (not isinstance(value, str) or len(value) > _LONGEST[name]):
        raise _wrong(name, f"it must be a text of at most {_LONGEST[name]} characters")
    return value or ""


def _wrong(name: str, why: str) -> InputRefused:
    return InputRefused(f"taskingParameters/{name}: {why}")
