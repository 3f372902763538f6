"""What single values of a body become in the catalogue: units, a Datastream's terms, texts and JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec

from civium.core import Access, InputRefused
from civium.engines.catalog import COUNT, JSON, NUMBER
from civium.engines.catalog.streams import COMPLEX_TYPE, VALUE_TYPES
from civium.sources.sensorthings.model import UNIT_COLUMNS
from civium.sources.units import as_told

AS_JSON = ("{", "[", '"', " ")  # what begins so in a column of documents is JSON


def unit(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The columns of a Datastream that come of its unit and observation type."""
    told = content["unitOfMeasurement"]
    if not isinstance(told, dict) or not told.keys() <= UNIT_COLUMNS.keys():
        raise InputRefused(f"{where} must be an object of name, symbol and definition")
    for name in told:
        if told[name] is not None:
            text(told[name], f"{where}/{name}")
    if content.get("observationType") == COMPLEX_TYPE:
        raise InputRefused(f"{where.rpartition('/')[0]}/observationType: of that type are MultiDatastreams")
    kind = VALUE_TYPES.get(str(content.get("observationType")), JSON)
    row: dict[str, Any] = {column: told.get(name) for name, column in UNIT_COLUMNS.items()}
    if kind in (NUMBER, COUNT):
        try:
            si = as_told(told.get("symbol"), told.get("name"))
        except InputRefused as error:
            raise InputRefused(f"{where}: {error.why}") from None
        row |= {"si_unit": si.si_unit, "factor": si.factor, "offset": si.offset}
    return row


def terms(properties: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Who may read a Datastream, and whether its results may be missing: said in its properties."""
    access = properties.get("access", str(Access.OPEN))
    if access not in list(Access):
        raise InputRefused(f"{at}/properties/access must be one of {', '.join(Access)}")
    flags = {name: properties.get(name, False) for name in ("personal", "nan_allowed")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputRefused(f"{at}/properties/{name} must be true or false")
    return {"access": access, **flags}


def text(value: Any, where: str) -> str:
    """A value that must be a text."""
    if not isinstance(value, str):
        raise InputRefused(f"{where} must be a text")
    return value


def document(value: Any) -> str:
    """What may be a text or JSON, so that ``entities`` can tell which: a text that begins as JSON does is quoted, and
    before a number or truth value stands a blank."""
    if isinstance(value, str) and value[:1] not in AS_JSON:
        return value
    told = json_text(value)
    return told if told[:1] in AS_JSON else f" {told}"


def json_text(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()
