"""Decodes what SensorThings clients post as Observations, one or many, into Arrow columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from civium.core import InputRefused, RowRefusal
from civium.sources.batch import KEY, NOTHING_STORED, Batch
from civium.sources.keys import content_of, row_key
from civium.sources.sensorthings.columns import batch_of

_LINKED = ("Datastream", "MultiDatastream", "FeatureOfInterest")


class InlineEntity(InputRefused):
    """The Observation holds an entity to create with it: only ``write.plan_create`` can take it."""


class _Told(msgspec.Struct, kw_only=True):
    """What a GET tells beside the properties: a client may send it back, and it means nothing (OGC 18-088, 10.3.1)."""

    own_id: Any = msgspec.field(name="@iot.id", default=None)
    self_link: Any = msgspec.field(name="@iot.selfLink", default=None)
    datastream_link: Any = msgspec.field(name="Datastream@iot.navigationLink", default=None)
    multi_link: Any = msgspec.field(name="MultiDatastream@iot.navigationLink", default=None)
    feature_link: Any = msgspec.field(name="FeatureOfInterest@iot.navigationLink", default=None)


class _Observation(
    _Told,
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


_ONE = msgspec.json.Decoder(_Observation)
_MANY = msgspec.json.Decoder(list[msgspec.Raw])
_SORTED = msgspec.json.Encoder(order="sorted")


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
    return batch_of(streams, columns, refused, now, keys)


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
