"""A street of three readers and what drives on it, with a known travel time."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from civium.core.view import FRAME, STREAMS, THINGS, View

NOON = 1_782_043_200 * 1_000_000  # 2026-06-21T12:00:00Z
READERS = (11, 12, 13)
LINKS = {21: ("a", "b"), 22: ("b", "c")}


def things(links: Mapping[int, tuple[str, str]] = LINKS, facts: Mapping[str, Any] | None = None) -> pa.Table:
    rows = [(thing, "bluetooth_reader", {"reader": name}) for thing, name in zip(READERS, "abc", strict=True)]
    for thing, (start, end) in links.items():
        told = {"from": start, "to": end, "length_m": 600.0, "free_speed_m_s": 13.9} if facts is None else facts
        rows.append((thing, "road_link", dict(told)))
    return pa.table(
        {
            "thing": [row[0] for row in rows],
            "kind": [row[1] for row in rows],
            "name": [f"thing {row[0]}" for row in rows],
            "lon": [24.9] * len(rows),
            "lat": [60.2] * len(rows),
            "facts": [json.dumps(row[2]) for row in rows],
        },
        schema=THINGS,
    )


def view(reader: Any, seconds: Any, device: Any, now: int = NOON, of: pa.Table | None = None) -> View:
    """A View in which devices (whole numbers) were heard at readers (0, 1, 2), ``seconds`` before ``now``."""
    reader, device = np.asarray(reader, np.int64), np.asarray(device, np.float64)
    time = now - np.round(np.asarray(seconds, np.float64) * 1e6).astype(np.int64)
    order = np.lexsort((time, reader))
    n = len(order)
    thing = np.array(READERS, np.int64)[reader[order]] if n else np.empty(0, np.int64)
    frame = pa.table(
        {
            "id": pa.array(np.arange(n), pa.int64()),
            "stream": pa.array(thing + 100, pa.int64()),
            "thing": pa.array(thing, pa.int64()),
            "time": pa.array(time[order], pa.int64()).cast(FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.array(device[order], pa.float64()),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )
    streams = pa.table(
        {
            "stream": [r + 100 for r in READERS],
            "thing": list(READERS),
            "property": ["passage"] * 3,
            "unit": ["1"] * 3,
            "need": ["passage"] * 3,
        },
        schema=STREAMS,
    )
    table = things() if of is None else of
    return View(now, {"OBS0": 1}, {"passage": frame, "link": FRAME.empty_table()}, table, streams)


def drive(seconds: float, n: int, spread: float = 0.1, seed: int = 1, first: int = 1000) -> tuple[Any, Any, Any]:
    """``n`` devices that took about ``seconds`` from reader 0 to reader 1 within the last quarter of an hour."""
    rng = np.random.default_rng(seed)
    arrived = np.sort(rng.uniform(5.0, 880.0, n))
    took = seconds * np.exp(rng.normal(0.0, spread, n))
    device = first + np.arange(n)
    reader = np.repeat([0, 1], n)
    return reader, np.concatenate([arrived + took, arrived]), np.concatenate([device, device])
