"""Plans what SensorThings clients make and change of Actuators and TaskingCapabilities (OGC 17-079r1): two sides of one
row of the catalogue, which is no capability as long as it is of no Thing. A further capability of an Actuator is a row
of its own, which is no Actuator."""

from collections.abc import Mapping, Set
from typing import Any, Protocol

import msgspec

from civium.core import InputRefused
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import ACTUATORS, THINGS
from civium.sources.changes import Edits
from civium.sources.sensorthings.model import BY_NAME, Entity, Link
from civium.sources.sensorthings.moment import Row
from civium.sources.sensorthings.records import facts_of
from civium.sources.sensorthings.values import document, json_text, text

_CAPABILITY, _DEVICE = BY_NAME["TaskingCapability"], BY_NAME["Actuator"]
_FROM_RECORD = ("minimum", "maximum", "choices", "unit")  # facts that the parameters say
_OF_DEVICE = {
    "device_name": "name",
    "device_description": "description",
    "device_encoding": "encoding_type",
    "device_metadata": "metadata",
    "device_properties": "properties",
}
# What is left of an actuator that is no capability any more.
_NO_CAPABILITY = {"thing": None, "name": "", "description": "", "kind": "", "facts": "{}", "parameters": None}


class Planned(Protocol):
    """What is put together of a request: see ``plan.Plan``."""

    catalog: Catalog
    edits: Edits

    def rows(self, table: str) -> list[dict[str, Any]]: ...

    def next(self, table: str) -> int: ...

    def knows(self, entity: Entity, identity: int) -> bool: ...

    def check_names(self, entity: Entity, content: Mapping[str, Any], at: str) -> None: ...

    def linked(self, link: Link, content: Mapping[str, Any], given: Mapping[str, int], at: str) -> int | None: ...


def create(plan: Planned, entity: Entity, content: Mapping[str, Any], given: Mapping[str, int], at: str) -> int:
    """Plan an Actuator with its capability, or a capability with its Actuator; ``given`` is what the path says."""
    plan.check_names(entity, content, at)
    if entity is _DEVICE:
        identity = _add_device(plan, content, at)
        for place, one in enumerate(_listed(content, "TaskingCapabilities", at)):
            if not isinstance(one, dict):
                raise InputRefused(f"{at}/TaskingCapabilities[{place}] must be an object")
            create(plan, _CAPABILITY, one, {"Actuator": identity}, f"{at}/TaskingCapabilities[{place}]")
        return identity
    if content.get("Tasks"):
        raise InputRefused(f"{at}/Tasks: a Task is asked for by itself, once there is its TaskingCapability")
    said = _capability(content, at, {})
    thing_link, device_link = _CAPABILITY.link("Thing"), _CAPABILITY.link("Actuator")
    assert thing_link is not None
    assert device_link is not None
    said |= {"thing": (thing := plan.linked(thing_link, content, given, at)), "kind": _kind(plan, thing)}
    device = plan.linked(device_link, content, given, at)
    assert device is not None
    row = next((row for row in plan.rows("actuators") if row["id"] == device), None)
    updates = plan.edits.updates.setdefault("actuators", []) if row is None else []
    before = plan.catalog.last(ACTUATORS.name, [device])[device] if row is None else row
    if before["thing"] is not None or any(update["id"] == device for update in updates):
        return _add_further(plan, before, said)
    if row is not None:
        row.update(said)
    else:
        updates.append({"id": device, **said})
    return device


def update(
    plan: Planned, entity: Entity, row: Row, content: Mapping[str, Any], told: Mapping[str, Any], thing: int | None
) -> None:
    """Plan a change: ``told`` are all fields as they are to be, ``thing`` the new Thing of a capability, if another."""
    at = entity.name
    for link in entity.links:
        if link.name in content and link.name != "Thing":
            raise InputRefused(f"{at}/{link.name} cannot be changed: make another {entity.name}")
    before = plan.catalog.last(ACTUATORS.name, [row["id"]])[row["id"]]
    if entity is _DEVICE:
        new = _device(told, at)
    else:
        new = _capability(told, at, msgspec.json.decode(before["facts"] or "{}"))
        if "taskingParameters" not in content:
            new = {name: value for name, value in new.items() if name not in ("parameters", "facts")}
        if thing is not None:
            new |= {"thing": thing, "kind": _kind(plan, thing)}
    changed = {name: value for name, value in new.items() if before[name] != value}
    if changed:
        plan.edits.updates.setdefault("actuators", []).append({"id": row["id"], **changed})


def remove(entity: Entity, row: Row, before: Row) -> Edits | None:
    """What takes a capability away and leaves its Actuator; None: all of the row goes."""
    if entity is not _CAPABILITY or before["device"] is not None:
        return None
    stays = {
        "device_name": before["device_name"] or before["name"],
        "device_description": before["device_description"] or before["description"],
        "device_metadata": before["device_metadata"] or before["facts"],
    }
    return Edits(updates={"actuators": [{"id": row["id"], **_NO_CAPABILITY, **stays}]})


def touched(entity: Entity, altered: Set[str], row: Row) -> set[str]:
    """The columns of such an entity that change with those of its row, as it is now."""
    if entity is not _DEVICE:
        return {"facts" if name == "parameters" else name for name in altered if not name.startswith("device")}
    found = {_OF_DEVICE[name] for name in altered if name in _OF_DEVICE}
    # What was never said of the device is what is said of its capability.
    shared = {"name": "device_name", "description": "device_description", "facts": "device_metadata"}
    return found | {_OF_DEVICE[own] for name, own in shared.items() if name in altered and row[own] is None}


def _add_further(plan: Planned, device: Mapping[str, Any], said: Mapping[str, Any]) -> int:
    """One more capability of an Actuator, reached as that is."""
    identity = plan.next("actuators")
    way = {name: device[name] for name in ("protocol", "address") if name in device}
    row = {"id": identity, "key": f"actuator/{identity}", "device": device["id"], **way, **said}
    plan.rows("actuators").append(row)
    return identity


def _add_device(plan: Planned, content: Mapping[str, Any], at: str) -> int:
    identity = plan.next("actuators")
    properties = content.get("properties")
    own = properties.get("key") if isinstance(properties, dict) else None
    key = f"actuator/{identity}" if own is None else text(own, f"{at}/properties/key")
    row = {"id": identity, "key": key, "device": None, "protocol": "mqtt", **_NO_CAPABILITY, "properties": None}
    plan.rows("actuators").append(row | _device(content, at))
    return identity


def _device(content: Mapping[str, Any], at: str) -> dict[str, Any]:
    metadata = content.get("metadata")
    if metadata is None:
        raise InputRefused(f"{at}/metadata is missing")
    return {
        "device_name": _text(content, "name", at),
        "device_description": _text(content, "description", at),
        "device_encoding": _text(content, "encodingType", at),
        "device_metadata": document(metadata),
        "device_properties": _properties(content, at),
    }


def _capability(content: Mapping[str, Any], at: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a capability; of its ``facts`` those stay that no parameter says."""
    record = content.get("taskingParameters")
    kept = {name: value for name, value in facts.items() if name not in _FROM_RECORD}
    allowed = facts_of(record, f"{at}/taskingParameters")
    return {
        "name": _text(content, "name", at),
        "description": _text(content, "description", at),
        "parameters": json_text(record),
        "facts": json_text({**kept, **allowed}),
        "properties": _properties(content, at),
    }


def _text(content: Mapping[str, Any], name: str, at: str) -> str:
    if content.get(name) is None:
        raise InputRefused(f"{at}/{name} is missing")
    return text(content[name], f"{at}/{name}")


def _properties(content: Mapping[str, Any], at: str) -> str:
    properties = content.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise InputRefused(f"{at}/properties must be an object")
    return json_text(properties or {})


def _listed(content: Mapping[str, Any], name: str, at: str) -> list[Any]:
    listed = content.get(name, [])
    if not isinstance(listed, list):
        raise InputRefused(f"{at}/{name} must be a list")
    return listed


def _kind(plan: Planned, thing: int | None) -> str:
    """The kind of a Thing, by which practices find its actuators."""
    assert thing is not None
    new = next((row for row in plan.rows("things") if row["id"] == thing), None)
    row = new if new is not None else plan.catalog.last(THINGS.name, [thing])[thing]
    return str(row["kind"])
