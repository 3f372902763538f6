"""What belongs to one alarm: the things of a gateway, of an area, or each thing by itself.

A thing says in its facts (SensorThings: ``properties``) what it hangs on: ``gateway`` or ``parent``, and where it is:
``area`` or ``district``. A gateway that is itself a thing is named there by its key, and belongs to its own group.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from civium.alarms.rules import Group
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import THINGS

_AT_ONCE = 10_000
_CELL = 0.01  # [degree], of an area that has no name: about a kilometre

Word = str | int | float | bool | None


class _Facts(msgspec.Struct):
    gateway: Word = None
    parent: Word = None
    area: Word = None
    district: Word = None


_DECODER = msgspec.json.Decoder(_Facts)


class Groups:
    """Finds the group of things; remembers what it found until things change."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[int, tuple[str, _Facts, str]] = {}  # thing -> key, facts, cell of its place
        self._gateways: set[str] = set()

    def forget(self) -> None:
        """Things have changed."""
        self._known, self._gateways = {}, set()

    def of(self, streams: NDArray[np.int64], by: Group) -> list[str]:
        """The group of each stream, as ``kind:name``."""
        if by is Group.RULE:
            return ["rule:"] * len(streams)
        if by is Group.STREAM:
            return [f"stream:{stream}" for stream in streams.tolist()]
        things = self._catalog.streams.thing[streams].tolist()
        if by is Group.THING:
            return [f"thing:{thing}" for thing in things]
        self._learn(set(things) - self._known.keys())
        name = self._gateway if by is Group.GATEWAY else self._area
        named = {thing: name(thing) for thing in set(things)}
        return [named[thing] for thing in things]

    def _gateway(self, thing: int) -> str:
        key, facts, _ = self._known.get(thing, ("", _Facts(), ""))
        for name, word in (("gateway", facts.gateway), ("gateway", facts.parent), ("area", _either(facts))):
            if word not in (None, ""):
                return f"{name}:{word}"
        return f"gateway:{key}" if key in self._gateways else f"thing:{thing}"

    def _area(self, thing: int) -> str:
        _, facts, cell = self._known.get(thing, ("", _Facts(), ""))
        return f"area:{_either(facts) or cell}" if _either(facts) or cell else f"thing:{thing}"

    def _learn(self, things: Iterable[int]) -> None:
        ids = sorted(things)
        for start in range(0, len(ids), _AT_ONCE):
            for thing, row in self._catalog.last(THINGS.name, ids[start : start + _AT_ONCE]).items():
                try:
                    facts = _DECODER.decode(row["properties"] or "{}")
                except msgspec.DecodeError:  # what stands there is of another form
                    facts = _Facts()
                cell = ""
                if row["lon"] is not None and row["lat"] is not None:
                    cell = f"{row['lat'] // _CELL * _CELL:.2f},{row['lon'] // _CELL * _CELL:.2f}"
                self._known[thing] = (row["key"], facts, cell)
                self._gateways |= {str(word) for word in (facts.gateway, facts.parent) if word not in (None, "")}


def _either(facts: _Facts) -> Word:
    return facts.area if facts.area not in (None, "") else facts.district
