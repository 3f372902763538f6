"""Builds the View of one practice at one tick, always from the store under a cut, so that replay sees the same."""

import zlib
from collections import defaultdict
from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from civium.core import MICROSECONDS, Freshness, InputRefused, NeedUnmet, Practice, View
from civium.core.observations import shards_in
from civium.core.practice import Need
from civium.core.view import FRAME, STREAMS, column, latest
from civium.engines.calibration import Calibrations, calibrations
from civium.engines.catalog import Catalog
from civium.engines.store import Store

_FRAME_SQL = """
SELECT s.need, o.id, o.stream, s.thing, o.time, o."until", o.value,
    CASE WHEN o.value IS NULL THEN coalesce(o.text, o.json) ELSE o.text END AS text, o.quality
FROM {rows} o JOIN wanted s ON o.stream = s.stream
WHERE o.time > make_timestamp(?) AND o.time <= make_timestamp(?)
ORDER BY s.need, o.stream, o.time, o.id
"""


Layers = Callable[[str], pa.Table]  # name -> layer of the city model; raises NeedUnmet


def build_view(
    practice: Practice,
    now: int,
    cut: dict[str, int],
    catalog: Catalog,
    store: Store,
    layers: Layers,
    shard: str = "all",
) -> View:
    """What ``practice`` sees at tick ``now`` [us since epoch] under ``cut``; the writer must have reached it.

    Of a ``shard`` other than ``all`` only the things that belong to it, with their streams and actuators.
    """
    kinds = {practice.acts_on, *(need.kind for need in practice.needs)} - {""}
    things = catalog.things_of(sorted(kinds), cut["CAT"])
    if shard != "all":
        things = things.filter(_belong(things, practice, shard))
    needs = sorted((n for n in practice.needs if not n.layer), key=lambda n: n.name)
    wanted = [
        _of(things, _told_in(need, catalog.streams_of(need.property, need.kind, cut["CAT"])), shard) for need in needs
    ]
    frames = _frames(needs, wanted, now, cut, store, calibrations(catalog, cut["CAT"]))
    freshness = {n.name: _freshness(n, w.num_rows, frames[n.name], now) for n, w in zip(needs, wanted, strict=True)}
    streams = [
        some.append_column("need", pa.array([need.name] * some.num_rows, pa.string()))
        for need, some in zip(needs, wanted, strict=True)
    ]
    return View(
        now=now,
        cut=cut,
        frames=frames,
        things=things,
        streams=pa.concat_tables(streams).cast(STREAMS) if streams else STREAMS.empty_table(),
        actuators=_of(things, catalog.actuators_of(practice.acts_on, cut["CAT"]), shard),
        layers={need.layer: layers(need.layer) for need in practice.needs if need.layer},
        freshness=freshness,
    )


def _belong(things: pa.Table, practice: Practice, shard: str) -> pa.Array:
    """Which things fall to a shard, the same in every process; those without the fact stay together."""
    values = things.column("thing").to_pylist()
    if practice.shard_by != "id":
        facts = things.column("facts").to_pylist()
        values = [msgspec.json.decode(told or "{}").get(practice.shard_by) for told in facts]
    number = practice.parts.index(shard)
    return pa.array([zlib.crc32(str(value).encode()) % practice.shards == number for value in values], pa.bool_())


def _told_in(need: Need, streams: pa.Table) -> pa.Table:
    """Those of some streams that tell in the unit that the practice expects: metres are no kelvins."""
    return streams.filter(pc.equal(streams.column("unit"), need.unit)) if need.unit else streams


def _of(things: pa.Table, rows: pa.Table, shard: str) -> pa.Table:
    """The rows of a table that are of some things."""
    return rows if shard == "all" else rows.filter(pc.is_in(rows.column("thing"), things.column("thing")))


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
            unit = f" in {need.unit}" if need.unit else ""
            raise NeedUnmet(need.name, f"no stream of '{need.property}' of any '{need.kind}'{unit} is registered")
        if fresh.fresh == 0:
            raise NeedUnmet(need.name, f"none of {fresh.streams} streams has a reading younger than {need.stale:g} s")


def _frames(
    needs: list[Need], wanted: list[pa.Table], now: int, cut: dict[str, int], store: Store, known: Calibrations
) -> dict[str, pa.Table]:
    """The readings of each need, of the streams ``wanted`` for it.

    Needs that look at the same span of time are read at once: planning a read of the lake costs more than a few rows.
    """
    frames = {need.name: FRAME.empty_table() for need in needs}
    spans: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, need in enumerate(needs):
        if wanted[number].num_rows:
            end = now - int(need.wait * MICROSECONDS)
            spans[end - int(need.window * MICROSECONDS), end].append(number)
    sql = _FRAME_SQL.format(rows=store.under(shards_in(cut)))
    for span, numbers in spans.items():
        named = [
            wanted[n].select(["stream", "thing"]).append_column("need", pa.array([n] * wanted[n].num_rows, pa.int32()))
            for n in numbers
        ]
        rows = store.query(sql, span, {"wanted": pa.concat_tables(named)})
        of = rows.column("need")
        rows = _calibrated(rows.drop_columns("need").cast(FRAME), known)
        for n in numbers:
            mine = rows if len(numbers) == 1 else rows.filter(pc.equal(of, n))
            frames[needs[n].name] = mine.combine_chunks()
    return frames


def _calibrated(frame: pa.Table, known: Calibrations) -> pa.Table:
    if not known:
        return frame
    streams, times = (column(frame, name).astype(np.int64) for name in ("stream", "time"))
    values = known.applied(streams, times, column(frame, "value").astype(np.float64))
    place = frame.column_names.index("value")
    given = pa.array(values, mask=frame.column("value").is_null().combine_chunks().to_numpy(zero_copy_only=False))
    return frame.set_column(place, FRAME.field("value"), given)


def _freshness(need: Need, streams: int, frame: pa.Table, now: int) -> Freshness:
    if frame.num_rows == 0:
        return Freshness(streams, 0, None)
    newest = column(latest(frame), "time").astype(np.int64)
    return Freshness(streams, int((newest > now - int(need.stale * MICROSECONDS)).sum()), int(newest.max()))
