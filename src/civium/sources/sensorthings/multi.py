"""MultiDatastreams: the values of their results, each with its type, unit and ObservedProperty, as rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from civium.core import InputRefused
from civium.engines.catalog.streams import COMPLEX_TYPE, COUNT, NUMBER, VALUE_TYPES
from civium.sources.sensorthings.model import UNIT_COLUMNS
from civium.sources.units import as_told

TYPES, UNITS, PROPERTIES = "multiObservationDataTypes", "unitOfMeasurements", "ObservedProperties"
LISTS = (TYPES, UNITS, PROPERTIES)
_MOST = 100  # values of one result


def components(content: Mapping[str, Any], properties: Sequence[int], at: str) -> list[dict[str, Any]]:
    """The components that a body tells, for the ids of its ObservedProperties; ``at`` says where it stands.

    Raises ``InputRefused`` when the three lists are not of one length, for an unknown type, and for an unknown unit.
    """
    kind = content.get("observationType", COMPLEX_TYPE)
    if kind != COMPLEX_TYPE:
        raise InputRefused(f"{at}/observationType must be {COMPLEX_TYPE}")
    types, units = (_list(content, name, at) for name in (TYPES, UNITS))
    if not 0 < len(properties) <= _MOST:
        raise InputRefused(f"{at}/{PROPERTIES} must name 1 to {_MOST}, one for each value of a result")
    if not len(types) == len(units) == len(properties):
        lengths = f"{len(types)}, {len(units)} and {len(properties)}"
        raise InputRefused(f"{at}: {TYPES}, {UNITS} and {PROPERTIES} must be of one length, not {lengths}")
    rows = []
    for position, (told, unit, own) in enumerate(zip(types, units, properties, strict=True)):
        where = f"{at}/{UNITS}[{position}]"
        if not isinstance(told, str) or told not in VALUE_TYPES:
            raise InputRefused(f"{at}/{TYPES}[{position}] must be one of {', '.join(VALUE_TYPES)}")
        row = {"position": position, "property": own, "observation_type": told}
        rows.append(row | _unit(unit, VALUE_TYPES[told] in (NUMBER, COUNT), where))
    return rows


def told(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The types and units of components, as SensorThings tells them."""
    units = [{name: row[column] for name, column in UNIT_COLUMNS.items()} for row in rows]
    return {TYPES: [row["observation_type"] for row in rows], UNITS: units}


def _list(content: Mapping[str, Any], name: str, at: str) -> list[Any]:
    found = content.get(name)
    if not isinstance(found, list):
        raise InputRefused(f"{at}/{name} " + ("is missing" if found is None else "must be a list"))
    return found


def _unit(unit: Any, number: bool, where: str) -> dict[str, Any]:
    if not isinstance(unit, dict) or not unit.keys() <= UNIT_COLUMNS.keys():
        raise InputRefused(f"{where} must be an object of name, symbol and definition")
    for name, value in unit.items():
        if value is not None and not isinstance(value, str):
            raise InputRefused(f"{where}/{name} must be a text")
    if number:
        try:
            as_told(unit.get("symbol"), unit.get("name"))
        except InputRefused as error:
            raise InputRefused(f"{where}: {error.why}") from None
    return {column: unit.get(name) for name, column in UNIT_COLUMNS.items()}
