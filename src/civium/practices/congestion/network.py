"""From a View to arrays: the street segments with their facts, who follows whom, and what their sensors say."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from civium.core import View
from civium.core.view import column
from civium.practices.congestion.memory import Bools, Floats, Ints

SEGMENT, TERMINALS = "street_segment", "driver_terminals"
NOWHERE = -1


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """Segments (n) in order of thing id, and which one leads to which.

    ``after`` and ``before``: rows that follow and precede each; ``length`` [m] and ``free`` flow [m/s], NaN = untold;
    ``weights`` [n, n] how much each segment's neighbours count in its forecast, rows that sum to 1 or 0.
    """

    id: Ints
    name: tuple[str, ...]
    code: tuple[str, ...]
    after: tuple[tuple[int, ...], ...]
    before: tuple[tuple[int, ...], ...]
    length: Floats
    free: Floats
    lanes: Floats
    weights: Floats


def network_of(things: pa.Table) -> Network:
    """The segments among the things of a View, parsed once for the same facts."""
    table = things.filter(pc.equal(things["kind"], SEGMENT)).sort_by("thing")
    rows = zip(*(table[name].to_pylist() for name in ("thing", "name", "facts")), strict=True)
    return _network(tuple(rows))


@lru_cache(maxsize=8)
def _network(rows: tuple[tuple[int, str, str | None], ...]) -> Network:
    facts = [_facts(text) for _, _, text in rows]
    number: dict[str, int] = {}
    ends = [
        tuple(
            number.setdefault(str(f[k]), len(number)) if f.get(k) not in (None, "") else NOWHERE for k in ("from", "to")
        )
        for f in facts
    ]
    begin, end = (np.array([pair[k] for pair in ends], dtype=np.int64) for k in (0, 1))
    code = tuple(str(f.get("code") or thing) for f, (thing, _, _) in zip(facts, rows, strict=True))
    joined = _leads(facts, code, begin, end)
    return Network(
        id=np.array([thing for thing, _, _ in rows], dtype=np.int64),
        name=tuple(name for _, name, _ in rows),
        code=code,
        after=tuple(tuple(np.flatnonzero(row).tolist()) for row in joined),
        before=tuple(tuple(np.flatnonzero(row).tolist()) for row in joined.T),
        length=np.array([_number(f.get("length_m"), 0.1, 1e5) for f in facts], dtype=np.float64),
        free=np.array([_number(f.get("free_speed_m_s"), 1.0, 70.0) for f in facts], dtype=np.float64),
        lanes=np.nan_to_num([_number(f.get("lanes"), 1.0, 12.0) for f in facts], nan=1.0),
        weights=neighbours(joined),
    )


def _leads(facts: list[dict[str, Any]], code: tuple[str, ...], begin: Ints, end: Ints) -> Bools:
    """Which segment leads to which [n, n]: as ``leads_to`` tells, else where one ends and the other begins."""
    joined = follows(begin, end)
    row = {one: k for k, one in enumerate(code)}
    for k, told in enumerate(facts):
        if isinstance(told.get("leads_to"), list):
            joined[k] = False
            joined[k, [row[str(c)] for c in told["leads_to"] if str(c) in row]] = True
    return joined


def follows(begin: Ints, end: Ints) -> Bools:
    """Which segment begins at the node where another ends [n, n]."""
    joined: Bools = (end[:, None] == begin[None, :]) & (end[:, None] != NOWHERE)
    return joined & ~np.eye(len(begin), dtype=np.bool_)


def neighbours(joined: Bools) -> Floats:
    """Each segment's mean over those that lead to it and those that it leads to [n, n]."""
    near = joined | joined.T
    weights: Floats = near / np.maximum(near.sum(axis=1, keepdims=True), 1)
    return weights


def _facts(text: str | None) -> dict[str, Any]:
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _number(value: Any, least: float, most: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    return float(value) if known else np.nan


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest reading of each segment that is a number: ``value`` (NaN = none), instant ``at`` [us] (0 = none)."""

    value: Floats
    at: Ints


def newest(frame: pa.Table | None, segments: Ints, now: int, most: float) -> Newest:
    """Newest believable reading (0 to ``most``) of each segment; readings of the future do not count."""
    value, at = np.full(len(segments), np.nan), np.zeros(len(segments), dtype=np.int64)
    if frame is None or frame.num_rows == 0 or not len(segments):
        return Newest(value, at)
    thing, time = column(frame, "thing").astype(np.int64), column(frame, "time").astype(np.int64)
    told = column(frame, "value").astype(np.float64)
    row = np.clip(np.searchsorted(segments, thing), 0, len(segments) - 1)
    with np.errstate(invalid="ignore"):
        use = np.flatnonzero((segments[row] == thing) & (told >= 0) & (told <= most) & (time <= now))
    use = use[np.lexsort((column(frame, "id").astype(np.int64)[use], time[use]))]
    value[row[use]], at[row[use]] = told[use], time[use]
    return Newest(value, at)


def seen_of(view: View, network: Network) -> tuple[Newest, Newest]:
    """Speed [m/s] and flow [vehicles/s] of each segment. A flow is the count of an interval of a minute."""
    speed = newest(view.frames.get("speed"), network.id, view.now, 90.0)
    flow = newest(view.frames.get("flow"), network.id, view.now, 1e4)
    return speed, Newest(flow.value / 60.0, flow.at)
