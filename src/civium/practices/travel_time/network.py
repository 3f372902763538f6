"""Readers and the links between them, from the facts of the twin's things."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core.errors import NeedUnmet

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """R readers (things, sorted) and L links (things, sorted) from reader ``start`` to ``end`` (positions)."""

    reader: Ints
    link: Ints
    start: Ints
    end: Ints
    length: Floats  # [m] from reader to reader along the street
    free_speed: Floats  # [m/s] without traffic


def network_of(things: pa.Table) -> Network:
    """The network of a View's things. Raises ``NeedUnmet`` where no link can be used, and says what is missing."""
    rows = list(
        zip(
            things.column("thing").to_pylist(),
            things.column("kind").to_pylist(),
            things.column("facts").to_pylist(),
            strict=True,
        )
    )
    facts = {thing: json.loads(text or "{}") for thing, _, text in rows}
    readers = sorted(thing for thing, kind, _ in rows if kind == "bluetooth_reader")
    named = {str(facts[thing].get("reader", "")): n for n, thing in enumerate(readers)}
    links = []
    for thing in sorted(thing for thing, kind, _ in rows if kind == "road_link"):
        told = facts[thing]
        ends = named.get(str(told.get("from", "?"))), named.get(str(told.get("to", "?")))
        length, speed = told.get("length_m"), told.get("free_speed_m_s")
        if None not in ends and ends[0] != ends[1] and _positive(length) and _positive(speed):
            links.append((thing, *ends, length, speed))
    if not links:
        raise NeedUnmet(
            "link",
            "no thing of kind 'road_link' names the readers that it leads 'from' and 'to' (fact 'reader' of things of "
            "kind 'bluetooth_reader'), its 'length_m' and its 'free_speed_m_s'",
        )
    table = np.array(links, dtype=np.float64)
    thing, start, end = (table[:, i].astype(np.int64) for i in range(3))
    return Network(np.array(readers, dtype=np.int64), thing, start, end, table[:, 3], table[:, 4])


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e7
