"""Decodes the dataArrays that SensorThings clients post, of millions of rows, into Arrow columns."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import itemgetter
from typing import Annotated, Any

import msgspec
import numpy as np

from civium.core import InputRefused, RowRefusal
from civium.sources.batch import Batch
from civium.sources.sensorthings.columns import batch_of

_COMPONENTS = (
    "phenomenonTime",
    "resultTime",
    "result",
    "resultQuality",
    "validTime",
    "parameters",
    "FeatureOfInterest/id",
)
_MOST_ROWS = 2_500_000  # of one dataArray: each is some 250 byte while it is decoded
_NAMED = {"datastream": "Datastream", "multi": "MultiDatastream", "rows": "dataArray"}


class _Group(msgspec.Struct, kw_only=True, rename=_NAMED):
    datastream: "_Ref | None" = None
    multi: "_Ref | None" = None
    components: list[str]
    rows: list[tuple[Any, ...]]


class _Ref(msgspec.Struct, rename={"id": "@iot.id"}):
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


_GROUPS = msgspec.json.Decoder(list[_Group])


def decode_data_array(body: bytes, now: int) -> Batch:
    """Decode the body of ``CreateObservations``; ``now`` [us since epoch] stands in for times that are not given.

    Rows are counted through all groups. Raises ``InputRefused`` if the body is not a dataArray at all.
    """
    with _collector_resting():  # until the rows are freed, which is when _decode_groups returns
        return _decode_groups(body, now)


def _decode_groups(body: bytes, now: int) -> Batch:
    if body.count(b"[") > _MOST_ROWS:  # never fewer than its rows, and known before they are objects
        raise InputRefused(f"more than {_MOST_ROWS} rows in one body; send it in parts", status=413)
    try:
        groups = _GROUPS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputRefused(f"the body is no dataArray: {error}") from None
    refused: list[RowRefusal] = []
    parts: list[tuple[int, dict[str, Sequence[Any]]]] = []
    base = 0
    for components, alike in groupby(groups, key=lambda group: group.components):
        rows = list(chain.from_iterable(group.rows for group in alike))
        parts.append((len(rows), _columns(components, rows, base, refused)))
        base += len(rows)
    if len(parts) == 1:
        columns = parts[0][1]
    else:
        names = {name for _, part in parts for name in part}
        columns = {
            name: list(chain.from_iterable(part.get(name) or [None] * length for length, part in parts))
            for name in names
        }
    named = [group.datastream or group.multi for group in groups]
    if None in named:
        raise InputRefused(f"the body is no dataArray: group {named.index(None)} names no Datastream")
    ids = np.fromiter((one.id for one in named if one), np.int64, len(groups))
    streams = np.repeat(ids, [len(group.rows) for group in groups])
    return batch_of(streams, columns, refused, now)


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Keep the garbage collector off: a million decoded rows hold no cycles, and it would look at each of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _columns(
    components: list[str], rows: list[tuple[Any, ...]], base: int, refused: list[RowRefusal]
) -> dict[str, Sequence[Any]]:
    """Turn rows into columns; rows of the wrong length are refused and stand as nulls."""
    unknown = [name for name in components if name not in _COMPONENTS]
    if unknown:
        raise InputRefused(f"unknown component '{unknown[0]}'; known are {', '.join(_COMPONENTS)}")
    if "result" not in components or len(set(components)) != len(components):
        raise InputRefused("components must name 'result', and none twice")
    width = len(components)
    if set(map(len, rows)) - {width}:
        for row, cells in enumerate(rows):
            if len(cells) != width:
                refused.append(RowRefusal(base + row, f"it has {len(cells)} values for {width} components"))
                rows[row] = (None,) * width
    if not rows:
        return {}
    # Not zip(*rows), which makes an iterator for each row.
    return {name: list(map(itemgetter(place), rows)) for place, name in enumerate(components)}
