"""Readings of sources as a batch for the accept path: keys of streams become ids, texts become what a stream takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from civium.core import CiviumError, InputRefused
from civium.core.observations import OBSERVATION
from civium.engines.catalog import Catalog
from civium.engines.catalog.streams import COUNT, NUMBER, TRUTH
from civium.sources.batch import KEY, Batch, build
from civium.sources.feeds.mapping import Told, number_of
from civium.sources.keys import content_of, row_key
from civium.sources.units import to_si

DOOR = "source"  # by which dead letters know that they are of a source
_TRUTHS = {"true": True, "false": False}
_SORTED = msgspec.json.Encoder(order="sorted")


def rows(told: Sequence[Told], streams: Sequence[int], catalog: Catalog, now: int) -> Batch:
    """A batch of readings, each with its stream; ``now`` [us since epoch] stands in for times that are not given."""
    fitting = [_fitting(one, stream, catalog) for one, stream in zip(told, streams, strict=True)]
    results, symbols = [result for result, _ in fitting], [unit for _, unit in fitting]
    instant = OBSERVATION.field("time").type
    columns = {
        "stream": pa.array(streams, pa.int64()),
        "time": pa.array([now if one.time is None else one.time for one in told], pa.int64()).view(instant),
        "until": pa.array([one.until for one in told], pa.int64()).cast(instant),
        "made": pa.array([now] * len(told), pa.int64()).view(instant),
        "value": pa.array([_number(result) for result in results], pa.float64()),
        "text": pa.array([r if isinstance(r, str) else None for r in results], pa.string()),
        "json": pa.array([_json(result) for result in results], pa.string()),
    }
    keys = None
    if any(one.identity for one in told):
        pairs = [_key(one, stream) for one, stream in zip(told, streams, strict=True)]
        keys = np.array(pairs, KEY)
    units = None
    if any(symbols):
        units = pa.array([symbol or None for symbol in symbols], pa.string()).dictionary_encode()
    return build(columns, (), keys, units)


def find(told: Sequence[Told], known: Mapping[str, int]) -> list[int]:
    """The stream of each reading; 0 where its key is unknown."""
    return [at(one, known) for one in told]


def at(told: Told, known: Mapping[str, int]) -> int:
    """The stream of a reading; 0 where its key is unknown."""
    return told.datastream or known.get(told.stream, 0)


def opened(letter: bytes, catalog: Catalog, came: int) -> Batch:
    """The reading that became a dead letter when it ``came`` [us since epoch]; raises CiviumError while it has no
    stream."""
    try:
        told = msgspec.json.decode(letter, type=Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CiviumError("its source could not read it: correct the source, and let it be sent again") from None
    known = catalog.ids_by_key("datastreams", [told.stream]) if told.stream else {}
    if not at(told, known):
        raise CiviumError(f"no stream has the key '{told.stream}'")
    return rows([told], [at(told, known)], catalog, came)


def _key(told: Told, stream: int) -> tuple[int, int]:
    if not told.identity:
        return 0, 0
    return row_key(stream, told.identity), content_of(_SORTED.encode((told.result, told.time, told.until, told.unit)))


def _fitting(told: Told, stream: int, catalog: Catalog) -> tuple[Any, str]:
    """A text as the number or truth that the stream takes, where it is one, and the unit that it is told in; all else
    stays for the examination."""
    index, result = catalog.streams, told.result
    if not isinstance(result, str) or not index.known(np.array([stream]))[0]:
        return result, told.unit
    kind = index.value_type[stream]
    if kind in (NUMBER, COUNT):
        number = number_of(result)
        return _measured(result, told.unit) if number is None else (number, told.unit)
    return (_TRUTHS.get(result.strip().lower(), result) if kind == TRUTH else result), told.unit


def _measured(text: str, declared: str) -> tuple[float | str, str]:
    """A number with its unit behind it, such as "30.11 °C", as decoders of many devices write it; any other text, and
    one in another unit than was declared, stays what it is."""
    first, _, symbol = text.strip().partition(" ")
    number, symbol = number_of(first), symbol.strip()
    try:
        if number is None or not symbol or (declared and to_si(declared) != to_si(symbol)):
            return text, declared
        to_si(symbol)
    except InputRefused:
        return text, declared
    return number, symbol


def _number(result: Any) -> float | None:
    try:
        return float(result) if isinstance(result, bool | int | float) else None
    except OverflowError:
        return float("inf")  # refused, and said why


def _json(result: Any) -> str | None:
    return msgspec.json.encode(result).decode() if isinstance(result, bool | dict | list) else None
