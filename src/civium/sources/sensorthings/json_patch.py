"""JSON Patch (RFC 6902) of an entity: what its operations change, as the body of a plain PATCH."""

from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from civium.core import InputRefused
from civium.sources.sensorthings.entities import Writer
from civium.sources.sensorthings.model import Entity
from civium.sources.sensorthings.moment import Row

MEDIA_TYPE = "application/json-patch+json"
_MOST = 1_000  # operations
_LONGEST = 1_000_000  # byte that an entity may become: a copy of a copy doubles it


def patched(writer: Writer, entity: Entity, row: Row, operations: Any) -> dict[str, Any]:
    """What of an entity is another after the operations: null where something was removed.

    Raises ``InputRefused``: 400 for what is no patch or leads nowhere, 409 for a test that fails.
    """
    if not isinstance(operations, list) or len(operations) > _MOST:
        raise InputRefused(f"a JSON Patch is a list of at most {_MOST} operations")
    before = _document(writer, entity, row)
    after: Any = msgspec.json.decode(msgspec.json.encode(before))
    for place, operation in enumerate(operations):
        at = f"operation {place} of the patch"
        try:
            after = jsonpatch.apply_patch(after, [operation], in_place=True)
        except jsonpatch.JsonPatchTestFailed:
            raise InputRefused(f"{at}: the entity is not as it tests", status=409) from None
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            raise InputRefused(f"{at}: {error}") from None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputRefused(f"{at} cannot be done: {error or type(error).__name__}") from None
        if not isinstance(after, dict) or _size(after) > _LONGEST:
            raise InputRefused(f"{at} makes of the entity what no {entity.name} can be")
    same = {name for name in before.keys() & after.keys() if before[name] == after[name]}
    return {name: after.get(name) for name in (before.keys() | after.keys()) - same}


def _size(document: dict[str, Any]) -> int:
    """How long a document is [byte]; beyond all bounds where it is too deep to be written."""
    try:
        return len(msgspec.json.encode(document))
    except RecursionError:
        return _LONGEST + 1


def _document(writer: Writer, entity: Entity, row: Row) -> dict[str, Any]:
    """The entity as a patch sees it: its own properties and its links to one."""
    [row] = writer.derive(entity, [row], entity.fields)
    told = {one.name: writer.value(one, row) for one in entity.fields}
    optional = {one.name for one in entity.fields if one.kind == "json"}  # to which something may be added
    document = {name: {} if value is None and name in optional else value for name, value in told.items()}
    document = {name: value for name, value in document.items() if value is not None}
    links = {link.name: {"@iot.id": row[link.own]} for link in entity.links if link.own and row[link.own] is not None}
    return {"@iot.id": row["id"], **document, **links}
