"""Builds the View of one practice at one tick, always from the store under a cut, so that replay sees the same."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from civium.core import MICROSECONDS, Freshness, InputRefused, NeedUnmet, Practice, View
from civium.core.observations import shards_in
from civium.core.practice import Need
from civium.core.view import FRAME, STREAMS, column, latest
from civium.engines.catalog import Catalog
from civium.engines.store import Store

_FRAME_SQL = """
SELECT o.id, o.stream, s.thing, o.time, o."until", o.value, o.text, o.quality
FROM {rows} o JOIN wanted s ON o.stream = s.stream
WHERE o.time > make_timestamp(?) AND o.time <= make_timestamp(?)
ORDER BY o.stream, o.time, o.id
"""


Layers = Callable[[str], pa.Table]  # name -> layer of the city model; raises NeedUnmet


def build_view(
    practice: Practice, now: int, cut: dict[str, int], catalog: Catalog, store: Store, layers: Layers
) -> View:
    """What ``practice`` sees at tick ``now`` [us since epoch] under ``cut``; the writer must have reached it."""
    frames: dict[str, pa.Table] = {}
    streams: list[pa.Table] = []
    freshness: dict[str, Freshness] = {}
    kinds = {practice.acts_on} if practice.acts_on else set()
    for need in sorted((n for n in practice.needs if not n.layer), key=lambda n: n.name):
        wanted = catalog.streams_of(need.property, need.kind, cut["CAT"])
        frame = _frame(need, wanted, now, cut, store)
        frames[need.name] = frame
        freshness[need.name] = _freshness(need, wanted.num_rows, frame, now)
        streams.append(wanted.append_column("need", pa.array([need.name] * wanted.num_rows, pa.string())))
        if need.kind:
            kinds.add(need.kind)
    return View(
        now=now,
        cut=cut,
        frames=frames,
        things=catalog.things_of(sorted(kinds), cut["CAT"]),
        streams=pa.concat_tables(streams).cast(STREAMS) if streams else STREAMS.empty_table(),
        actuators=catalog.actuators_of(practice.acts_on, cut["CAT"]),
        layers={need.layer: layers(need.layer) for need in practice.needs if need.layer},
        freshness=freshness,
    )


def require_raw(practice: Practice, now: int, store: Store) -> None:
    """Raise InputRefused when raw rows that ``practice`` saw at ``now`` [us since epoch] are past their retention."""
    spans = [need.wait + need.window for need in practice.needs if not need.layer]
    gone = store.days_without_raw(now - int(max(spans, default=0.0) * MICROSECONDS), now)
    if gone:
        raise InputRefused(
            f"the raw readings of {gone[0]} have passed their retention (store.retention_days)", status=410
        )


def require_needs(practice: Practice, view: View) -> None:
    """Raise NeedUnmet for the first required need that has no fresh reading at all."""
    for need in practice.needs:
        if need.layer or not need.required:
            continue
        fresh = view.freshness[need.name]
        if fresh.streams == 0:
            raise NeedUnmet(need.name, f"no stream of '{need.property}' of any '{need.kind}' is registered")
        if fresh.fresh == 0:
            raise NeedUnmet(need.name, f"none of {fresh.streams} streams has a reading younger than {need.stale:g} s")


def _frame(need: Need, wanted: pa.Table, now: int, cut: dict[str, int], store: Store) -> pa.Table:
    if wanted.num_rows == 0:
        return FRAME.empty_table()
    end = now - int(need.wait * MICROSECONDS)
    start = end - int(need.window * MICROSECONDS)
    sql = _FRAME_SQL.format(rows=store.under(shards_in(cut)))
    rows = store.query(sql, [start, end], {"wanted": wanted.select(["stream", "thing"])})
    return rows.cast(FRAME).combine_chunks()


def _freshness(need: Need, streams: int, frame: pa.Table, now: int) -> Freshness:
    if frame.num_rows == 0:
        return Freshness(streams, 0, None)
    newest = column(latest(frame), "time").astype(np.int64)
    return Freshness(streams, int((newest > now - int(need.stale * MICROSECONDS)).sum()), int(newest.max()))
