"""What each value of the results of a MultiDatastream is, by stream: doors ask it for each of its readings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.streams import JSON, VALUE_TYPES
from civium.engines.catalog.tables import COMPONENTS

_NONE: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Components:
    """The types of the values (as in ``StreamIndex.value_type``) by stream; one that changes is a new one."""

    types: Mapping[int, tuple[int, ...]]

    def of(self, stream: int) -> tuple[int, ...]:
        """The types of the values of a stream, in their order; empty for one that is no MultiDatastream."""
        return self.types.get(stream, _NONE)

    def extended(self, rows: Sequence[Mapping[str, Any]]) -> "Components":
        """With rows of the table ``components`` that are all that their streams have."""
        return Components({**self.types, **_by_stream(rows)}) if rows else self


def load(connection: Connection) -> Components:
    """All of them."""
    return Components(_read(connection, None))


def reload(connection: Connection, before: Components, streams: Iterable[int]) -> Components:
    """Those of some streams anew."""
    some = set(streams)
    kept = {stream: types for stream, types in before.types.items() if stream not in some}
    return Components({**kept, **_read(connection, sorted(some))})


def _read(connection: Connection, streams: Sequence[int] | None) -> dict[int, tuple[int, ...]]:
    query = select(COMPONENTS.c.datastream, COMPONENTS.c.position, COMPONENTS.c.observation_type)
    if streams is not None:
        query = query.where(among_ids(COMPONENTS.c.datastream, streams))
    return _by_stream([dict(row) for row in connection.execute(query).mappings()])


def _by_stream(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for row in sorted(rows, key=lambda row: (row["datastream"], row["position"])):
        found.setdefault(row["datastream"], []).append(VALUE_TYPES.get(row["observation_type"], JSON))
    return {stream: tuple(types) for stream, types in found.items()}
