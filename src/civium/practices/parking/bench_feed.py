"""Turns counts of car parks into the Views that the city would hand to the practice."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from civium.core import View
from civium.core.view import ACTUATORS, FRAME, INSTANT, THINGS
from civium.practices.parking.memory import Floats, Ints

Row = tuple[int, str, str, float | None, float | None, dict[str, Any]]  # thing, kind, name, lon, lat, facts


def things(rows: Sequence[Row]) -> pa.Table:
    """The things of a View."""
    whole = [(*row[:5], json.dumps(row[5])) for row in sorted(rows, key=lambda r: r[0])]
    columns = list(zip(*whole, strict=True)) if whole else [()] * len(THINGS)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, THINGS, strict=True)], schema=THINGS)


def actuators(rows: Sequence[tuple[int, int, str, str, dict[str, Any]]]) -> pa.Table:
    """The actuators of a View: actuator, thing, kind, name, facts."""
    whole = [(*row[:4], json.dumps(row[4])) for row in sorted(rows, key=lambda r: r[0])]
    columns = list(zip(*whole, strict=True)) if whole else [()] * len(ACTUATORS)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ACTUATORS, strict=True)], schema=ACTUATORS)


def frame(thing: Ints, value: Floats, time: Ints | int) -> pa.Table:
    """A frame with one stream for each thing."""
    order = np.lexsort((np.broadcast_to(time, thing.shape), thing))
    count = len(thing)
    told = {
        "id": pa.array(np.arange(1, count + 1)),
        "stream": pa.array(thing[order]),
        "thing": pa.array(thing[order]),
        "time": pa.array(np.broadcast_to(time, thing.shape)[order]).cast(INSTANT),
        "value": pa.array(value[order]),
    }
    return pa.table([told.get(f.name, pa.nulls(count, f.type)) for f in FRAME], schema=FRAME)


def view(now: int, table: pa.Table, count: pa.Table, acts: pa.Table | None = None, bay: pa.Table | None = None) -> View:
    """One View at ``now`` [us]."""
    frames = {"count": count, "bay": bay if bay is not None else FRAME.empty_table()}
    return View(now, {}, frames, things=table, actuators=acts if acts is not None else ACTUATORS.empty_table())
