"""What a request changes, as it is planned; and what it is about."""

from dataclasses import dataclass, field
from urllib.parse import unquote

import pyarrow as pa

from civium.core import InputRefused
from civium.core.observations import CORRECTION
from civium.sources.changes import Edits
from civium.sources.sensorthings.entities import Writer
from civium.sources.sensorthings.model import Entity
from civium.sources.sensorthings.moment import ObservationReader, Row
from civium.sources.sensorthings.place import Place, resolve

# The rows as they are now, and where they first stood.
_ROWS = """
SELECT o.*, r.stream AS was_stream, r.time AS was_time
FROM raw_observations o JOIN lake.observations r ON r.id = o.id WHERE o.{}
"""
ROWS_OF_IDS = _ROWS.format("id IN (SELECT id FROM asked)")


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a request changes of the entity with an id: ``edits`` of the catalogue, ``corrections`` of observations."""

    entity: Entity
    id: int
    edits: Edits
    corrections: pa.Table = field(default_factory=CORRECTION.empty_table)


def resolved(path: str, writer: Writer) -> Place:
    """Where a path leads; raises ``InputRefused``."""
    return resolve([unquote(segment) for segment in path.strip("/").split("/") if segment], writer.source)


def found(path: str, writer: Writer) -> tuple[Entity, Row]:
    """The entity at an address, and its row; raises ``InputRefused`` (404) where there is none."""
    place = resolved(path, writer)
    if place.row is None or place.field is not None or place.ending:
        raise InputRefused(f"'{path[:60]}' is not the address of an entity", status=404)
    return place.entity, place.row


def stored(column: str, identity: int, observations: ObservationReader, most: int) -> pa.Table:
    """The rows of the history whose ``column`` is an id, ``most`` at most, and where they first stood."""
    return observations.query(_ROWS.format(f"{column} = ? LIMIT {most}"), [identity])
