"""What an alarm is called: names of things, properties and groups, for people."""

import numpy as np
from numpy.typing import NDArray

from civium.alarms.rules import Rule, describe
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import DATASTREAMS, OBSERVED_PROPERTIES, THINGS


class Names:
    """Finds names in the catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def group(self, group: str, size: int) -> str:
        """A group, in words."""
        kind, _, name = group.partition(":")
        if kind == "thing":
            return self._of(THINGS.name, int(name))
        if kind == "stream":
            return self._of(DATASTREAMS.name, int(name))
        if kind == "many":
            return f"{size:,} streams at once"
        return {"rule": "all that the rule watches", "practice": name}.get(kind, f"{kind} {name}")

    def said(self, rule: Rule, streams: NDArray[np.int64], why: str) -> str:
        """The condition in words, and of what."""
        if len(streams) == 0:
            return f"{describe(rule)}: {why}" if why else describe(rule)
        index = self._catalog.streams
        codes = {code: unit for unit, code in index.unit_codes.items()}
        first = int(streams[0])
        unit = codes.get(int(index.si_unit[first]), "")
        properties = np.unique(index.property[streams])
        named = self._of(OBSERVED_PROPERTIES.name, int(properties[0])) if len(properties) == 1 else "several properties"
        return f"{named}: {describe(rule, '' if unit == '1' else unit)}"

    def _of(self, table: str, identity: int) -> str:
        row = self._catalog.last(table, [identity]).get(identity)
        return str(row["name"] or row.get("key") or identity) if row else f"{table} {identity}"
