"""Decodes what SensorThings clients post as Observations: one, many, or a dataArray of millions, into Arrow columns."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import Annotated, Any, cast

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import InputRefused, RowRefusal
from civium.core.view import INSTANT
from civium.sources.batch import KEY, NOTHING_STORED, Batch, build
from civium.sources.instants import Instants, read_instants
from civium.sources.keys import content_of, row_key

VALID_TIME, QUALITY = "@iot.validTime", "@iot.resultQuality"
# where ``params`` keep what has no column of its own
_COMPONENTS = (
    "phenomenonTime",
    "resultTime",
    "result",
    "resultQuality",
    "validTime",
    "parameters",
    "FeatureOfInterest/id",
)
_INT16 = 32_767
_MOST_ROWS = 2_500_000  # of one dataArray: each is some 250 byte while it is decoded


_NAMED = {"datastream": "Datastream", "multi": "MultiDatastream", "rows": "dataArray"}


_LINKED = ("Datastream", "MultiDatastream", "FeatureOfInterest")


class InlineEntity(InputRefused):
    """The Observation holds an entity to create with it: only ``write.plan_create`` can take it."""


class _Group(msgspec.Struct, kw_only=True, rename=_NAMED):
    datastream: "_Ref | None" = None
    multi: "_Ref | None" = None
    components: list[str]
    rows: list[tuple[Any, ...]]


class _Ref(msgspec.Struct, rename={"id": "@iot.id"}):
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Observation(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={
        "phenomenon_time": "phenomenonTime",
        "result_time": "resultTime",
        "quality": "resultQuality",
        "valid_time": "validTime",
        "datastream": "Datastream",
        "multi": "MultiDatastream",
        "feature": "FeatureOfInterest",
        "key": "idempotencyKey",
    },
):
    result: Any = msgspec.UNSET
    phenomenon_time: str | None = None
    result_time: str | None = None
    quality: Any = None
    valid_time: str | None = None
    parameters: dict[str, Any] | None = None
    datastream: dict[str, Any] | None = None
    multi: dict[str, Any] | None = None
    feature: dict[str, Any] | None = None
    key: str | None = None


_GROUPS = msgspec.json.Decoder(list[_Group])
_ONE = msgspec.json.Decoder(_Observation)
_MANY = msgspec.json.Decoder(list[msgspec.Raw])
_SORTED = msgspec.json.Encoder(order="sorted")


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
    return _batch(streams, columns, refused, now)


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


@dataclass(slots=True)
class Reading:
    """One decoded Observation; ``key`` (0: none) and ``content`` are as in ``sources.keys``."""

    said: _Observation
    stream: int
    feature: int | None
    key: int = 0
    content: int = 0


_NONE = Reading(_Observation(result=None), 0, None)


def decode_observations(body: bytes, datastream_id: int | None, now: int, key: str = "") -> Batch:
    """Decode one Observation or a JSON array of them, of ``datastream_id`` or each with its own ``Datastream``.

    ``now`` [us since epoch] stands in for times that are not given; ``key``, the idempotency key of the request, counts
    for a single Observation that has none of its own. Raises ``InputRefused`` if the body is no JSON, and
    ``InlineEntity`` if an Observation holds a new Datastream or FeatureOfInterest.
    """
    several = is_array(body)
    try:
        raw = _MANY.decode(body) if several else [msgspec.Raw(body)]
        decoded = [_reading(one, datastream_id, "" if several else key) for one in raw]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"the body is no Observation: {error}") from None
    return gather(decoded, now)


def is_array(body: bytes) -> bool:
    """Whether a body holds a JSON array."""
    return body.lstrip()[:1] == b"["


def holds_entity(body: bytes) -> bool:
    """Whether a body is an Observation with an entity inside that is to be made; what cannot be read is none."""
    if not any(f'"{name}"'.encode() in body for name in _LINKED):
        return False
    try:
        said = _ONE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(one is not None and "@iot.id" not in one for one in (said.datastream, said.multi, said.feature))


def decode_reading(body: bytes, datastream_id: int | None, key: str) -> Reading:
    """Decode a body of one Observation, as ``decode_observations`` does; ``gather`` makes a batch of many of them."""
    try:
        decoded = _reading(body, datastream_id, key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputRefused(f"the body is no Observation: {error}") from None
    if isinstance(decoded, str):
        raise InputRefused(NOTHING_STORED, (RowRefusal(0, decoded),))
    return decoded


def decode_messages(
    bodies: Sequence[bytes],
    datastream_ids: Sequence[int | None],
    now: int | NDArray[np.int64],
    features: Sequence[int | None] | None = None,
) -> Batch:
    """Decode messages of one Observation each, row ``i`` of ``datastream_ids[i]`` (None: it names its own); what is no
    JSON is a refused row.

    ``now`` [us since epoch], for all or for each, stands in for times that are not given; ``features`` are those to
    whose address they were sent.
    """

    def one(body: bytes, datastream_id: int | None, feature: int | None) -> Reading | str:
        try:
            read = _reading(body, datastream_id, "")
            if feature is not None and isinstance(read, Reading):
                if read.feature not in (None, feature):
                    return f"it names FeatureOfInterest({read.feature}) but was sent to FeatureOfInterest({feature})"
                read.feature = feature
            return read
        except InlineEntity as error:
            return error.why
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"it is no Observation: {error}"

    named = features or [None] * len(bodies)
    return gather([one(*message) for message in zip(bodies, datastream_ids, named, strict=True)], now)


def gather(decoded: Sequence[Reading | str], now: int | NDArray[np.int64]) -> Batch:
    """A batch of decoded Observations; a text in place of one says why it is refused.

    ``now`` [us since epoch] stands in for times that are not given.
    """
    refused = [RowRefusal(row, one) for row, one in enumerate(decoded) if isinstance(one, str)]
    readings = [_NONE if isinstance(one, str) else one for one in decoded] if refused else cast(list[Reading], decoded)
    said = [reading.said for reading in readings]
    columns: dict[str, Sequence[Any]] = {
        "phenomenonTime": [one.phenomenon_time for one in said],
        "resultTime": [one.result_time for one in said],
        "result": [one.result for one in said],
        "resultQuality": [one.quality for one in said],
        "validTime": [one.valid_time for one in said],
        "parameters": [one.parameters for one in said],
        "FeatureOfInterest/id": [reading.feature for reading in readings],
    }
    streams = np.fromiter((reading.stream for reading in readings), np.int64, len(readings))
    keys = None
    if any(reading.key for reading in readings):
        keys = np.array([(reading.key, reading.content) for reading in readings], KEY)
    return _batch(streams, columns, refused, now, keys)


def _reading(body: bytes | msgspec.Raw, datastream_id: int | None, key: str) -> Reading | str:
    """A reading, or why it is none; what is not even JSON raises ``DecodeError``."""
    try:
        said = _ONE.decode(body)
        stream = _stream(said, datastream_id)
        feature = None if said.feature is None else _reference(said.feature, "FeatureOfInterest")
        if said.result is msgspec.UNSET:
            return "it has no result"
    except msgspec.ValidationError as error:
        return str(error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    reading = Reading(said, stream, feature)
    if key := said.key or key:
        parts = (said.result, said.phenomenon_time, said.result_time, said.quality, said.valid_time, said.parameters)
        reading.key, reading.content = row_key(stream, key), content_of(_SORTED.encode((*parts, feature)))
    return reading


def _stream(one: _Observation, datastream_id: int | None) -> int:
    if one.datastream and one.multi:
        raise ValueError("it names a Datastream and a MultiDatastream: only one of them can be")
    told = one.datastream or one.multi
    if told is None:
        if datastream_id is None:
            raise ValueError("it names no Datastream")
        return datastream_id
    named = _reference(told, "Datastream" if one.datastream else "MultiDatastream")
    if datastream_id is not None and named != datastream_id:
        raise ValueError(f"it names Datastream({named}) but was sent to Datastream({datastream_id})")
    return named


def _reference(entity: dict[str, Any], what: str) -> int:
    if "@iot.id" not in entity:
        raise InlineEntity(f"a new {what} inside an Observation is not possible through this door")
    named = entity["@iot.id"]
    if type(named) is not int or not 0 < named < 2**63:
        raise ValueError(f"{what}: {named!r} is not an id")
    return named


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


def _batch(
    streams: NDArray[np.int64],
    columns: dict[str, Sequence[Any]],
    refused: list[RowRefusal],
    now: int | NDArray[np.int64],
    keys: NDArray[np.void] | None = None,
) -> Batch:
    length = len(streams)
    bad: dict[int, str] = {refusal.row: refusal.why for refusal in refused}

    def refuse(row: int, why: str) -> None:
        bad.setdefault(row, why)

    phenomenon = _instants(columns, "phenomenonTime", length, bad)
    made = _instants(columns, "resultTime", length, bad)
    for row in np.flatnonzero(made.interval):
        refuse(int(row), "resultTime is an interval; it must be an instant")
    made_or_now = np.where(made.given, made.start, now)
    # Without a phenomenonTime the server's own time holds (OGC 18-088, 8.2.8), but never one after the result was made.
    time = np.where(phenomenon.given, phenomenon.start, np.minimum(made_or_now, now))
    out: dict[str, pa.Array] = {
        "stream": pa.array(streams),
        "time": pa.array(time).view(INSTANT),
        "made": pa.array(made_or_now).view(INSTANT),
    }
    if not made.given.all():
        out["made_here"] = pa.array(~made.given)
    if phenomenon.interval.any():
        out["until"] = pa.array(phenomenon.end, mask=~phenomenon.interval).view(INSTANT)
    out.update(_results(columns.get("result", ()), bad))
    if _any(columns, "FeatureOfInterest/id"):
        out["feature"] = _integers(columns["FeatureOfInterest/id"], "FeatureOfInterest/id", pa.int64(), bad)
    if _any(columns, "resultQuality", "validTime", "parameters"):
        out["quality"], out["params"] = _extras(columns, length, bad)
    return build(out, [RowRefusal(row, why) for row, why in bad.items()], keys)


def _any(columns: dict[str, Sequence[Any]], *names: str) -> bool:
    return any(value is not None for name in names for value in columns.get(name, ()))


def _instants(columns: dict[str, Sequence[Any]], name: str, length: int, bad: dict[int, str]) -> Instants:
    if not _any(columns, name):
        nothing = np.zeros(length, np.int64)
        return Instants(nothing, nothing, np.zeros(length, np.bool_), np.zeros(length, np.bool_), {})
    instants = read_instants(columns[name])
    for row, why in instants.bad.items():
        bad.setdefault(row, f"{name}: {why}")
    return instants


def _results(results: Sequence[Any], bad: dict[int, str]) -> dict[str, pa.Array]:
    kinds = set(map(type, results))
    if kinds <= {float, int, type(None)}:
        try:
            return {"value": pa.array(results, pa.float64())}
        except pa.ArrowInvalid:  # an integer beyond 2**53: below, it is kept to the last digit beside
            pass
    elif kinds <= {str, type(None)}:
        return {"text": pa.array(results, pa.string())}

    def number(row: int, result: Any) -> float | None:
        try:
            return float(result) if isinstance(result, bool | int | float) else None
        except OverflowError:
            bad.setdefault(row, "result: the number is out of range")
            return None

    texts = [r if isinstance(r, str) else None for r in results]
    others = [msgspec.json.encode(r).decode() if _is_told_as_json(r) else None for r in results]
    return {
        "value": pa.array([number(row, result) for row, result in enumerate(results)], pa.float64()),
        "text": pa.array(texts, pa.string()),
        "json": pa.array(others, pa.string()),
    }


def _is_told_as_json(result: Any) -> bool:
    return isinstance(result, bool | dict | list) or (type(result) is int and abs(result) > 2**53)


def _integers(values: Sequence[Any], name: str, kind: pa.DataType, bad: dict[int, str]) -> pa.Array:
    def whole(row: int, value: Any) -> int | None:
        if value is None or (type(value) is int and abs(value) < 2**63):
            return value
        bad.setdefault(row, f"{name}: {value!r} is not an id")
        return None

    return pa.array([whole(row, value) for row, value in enumerate(values)], kind)


def _extras(columns: dict[str, Sequence[Any]], length: int, bad: dict[int, str]) -> tuple[pa.Array, pa.Array]:
    """Quality as a number where it is one; the rest as JSON text in ``params``."""
    nothing: Sequence[Any] = [None] * length
    quality: list[int | None] = [None] * length
    params: list[str | None] = [None] * length
    _instants(columns, "validTime", length, bad)
    extras = zip(*(columns.get(name) or nothing for name in ("parameters", "resultQuality", "validTime")), strict=True)
    for row, (parameters, judged, valid) in enumerate(extras):
        if parameters is not None and not isinstance(parameters, dict):
            bad.setdefault(row, "parameters: it must be an object")
            continue
        kept = dict(parameters or {})
        if type(judged) is int and abs(judged) <= _INT16:
            quality[row] = judged
        elif judged is not None:
            kept[QUALITY] = judged
        if valid is not None:
            kept[VALID_TIME] = valid
        if kept:
            params[row] = msgspec.json.encode(kept).decode()
    return pa.array(quality, pa.int16()), pa.array(params, pa.string())
