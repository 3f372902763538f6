"""Reads things with their streams from CSV: a row a thing (``streams`` = ``property:unit;...``) or a row a stream.

A cell that JSON would read as a number, true or false is one; any other is text, and an empty one is absent.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import msgspec

from civium.core import InputRefused
from civium.sources.files import LONGEST_TEXT, read_header

_THING = ("key", "kind", "name", "lon", "lat", "where", "streams")
_STREAM = {
    "property": "property", "stream_key": "key", "stream_name": "name", "unit": "unit", "type": "type",
    "sensor": "sensor", "access": "access", "personal": "personal", "nan_allowed": "nan_allowed",
}  # fmt: skip
_FACT = "facts."
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_TRUTH = {"true": True, "false": False}

Row = tuple[dict[str, Any], dict[str, Any] | None]  # a thing without streams, and the stream of its row


def read_csv(file: TextIO, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and thing (or why it is refused) of each thing; its rows must stand together."""
    names, delimiter = read_header(file, path)
    by_stream = "property" in names
    if "key" not in names:
        raise InputRefused(f"{path}: the first line names no column 'key' but {', '.join(names[:8])}")
    if by_stream and "streams" in names:
        raise InputRefused(f"{path}: use a column 'streams' with a row a thing, or 'property' with a row a stream")
    if ("lon" in names) != ("lat" in names) or {"lon", "where"} <= set(names):
        raise InputRefused(f"{path}: use both columns 'lon' and 'lat', or a column 'where' with a GeoJSON geometry")
    csv.field_size_limit(LONGEST_TEXT)
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    things = _rows(rows, names, by_stream)
    try:
        yield from _joined(things) if by_stream else things
    except csv.Error as error:
        raise InputRefused(f"{path}, line {rows.line_num + 1}: {error}") from None


def _rows(rows: Any, names: Sequence[str], by_stream: bool) -> Iterator[tuple[int, Any]]:
    read = _RowReader(names, by_stream)
    line = 1  # the header's
    for cells in rows:
        begin, line = line + 1, rows.line_num + 1
        if not cells:
            continue
        if len(cells) != len(names):
            yield begin, f"it has {len(cells)} columns, not {len(names)}"
            continue
        try:
            yield begin, read(cells)
        except InputRefused as error:
            yield begin, error.why


def _joined(rows: Iterator[tuple[int, Row | str]]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Rows that follow each other with the same key are one thing."""
    begin = 0
    thing: dict[str, Any] = {}
    streams: list[dict[str, Any]] = []
    for line, row in chain(rows, [(0, ({}, None))]):
        if isinstance(row, str):
            yield line, row
            continue
        next_thing, stream = row
        if thing and next_thing.get("key") == thing["key"]:
            if next_thing != thing:
                other = sorted(n for n in next_thing.keys() | thing.keys() if next_thing.get(n) != thing.get(n))
                yield line, f"thing '{thing['key']}' has another {', '.join(other)} in line {begin}"
            elif stream:
                streams.append(stream)
            continue
        if thing:
            yield begin, {**thing, "streams": streams}
        begin, thing, streams = line, next_thing, [stream] if stream else []


class _RowReader:
    """Makes a thing of the cells of one row."""

    def __init__(self, names: Sequence[str], by_stream: bool) -> None:
        self._own = {name: names.index(name) for name in _THING if name in names}
        self._stream = {_STREAM[name]: i for i, name in enumerate(names) if name in _STREAM} if by_stream else {}
        used = {*self._own.values(), *self._stream.values()}
        self._facts = [(name.removeprefix(_FACT), i) for i, name in enumerate(names) if i not in used]
        self._by_stream = by_stream

    def __call__(self, cells: list[str]) -> Any:
        own = self._own
        thing: dict[str, Any] = {"key": cells[own["key"]].strip()}
        for name in ("kind", "name"):
            if name in own and cells[own[name]]:
                thing[name] = cells[own[name]].strip()
        where = self._where(cells)
        if where is not None:
            thing["where"] = where
        facts = {name: _value(cells[i]) for name, i in self._facts if cells[i]}
        if facts:
            thing["facts"] = facts
        if self._by_stream:
            return thing, self._stream_of(cells)
        if "streams" in own and cells[own["streams"]]:
            thing["streams"] = streams_of_text(cells[own["streams"]])
        return thing

    def _where(self, cells: list[str]) -> Any:
        if "where" in self._own:
            text = cells[self._own["where"]]
            try:
                return msgspec.json.decode(text) if text else None
            except msgspec.DecodeError as error:
                raise InputRefused(f"its 'where' is no GeoJSON geometry: {error}") from None
        if "lon" not in self._own:
            return None
        lon, lat = cells[self._own["lon"]], cells[self._own["lat"]]
        if not lon and not lat:
            return None
        try:
            return {"type": "Point", "coordinates": [float(lon), float(lat)]}
        except ValueError:
            raise InputRefused(f"lon '{lon}' and lat '{lat}' are no degrees") from None

    def _stream_of(self, cells: list[str]) -> dict[str, Any] | None:
        stream: dict[str, Any] = {name: cells[i].strip() for name, i in self._stream.items() if cells[i]}
        if not stream:
            return None
        for name in ("personal", "nan_allowed"):
            if name in stream:
                if stream[name].lower() not in _TRUTH:
                    raise InputRefused(f"'{stream[name]}' in column '{name}' is neither true nor false")
                stream[name] = _TRUTH[stream[name].lower()]
        return stream


def streams_of_text(text: str) -> list[dict[str, Any]]:
    """Streams of ``property:unit:type;...``, of which unit and type may be left out."""
    streams = []
    for part in filter(None, map(str.strip, text.split(";"))):
        words = [word.strip() for word in part.split(":")]
        if not words[0] or len(words) > 3:
            raise InputRefused(f"'{part}' in 'streams' is not property:unit:type")
        streams.append({name: word for name, word in zip(("property", "unit", "type"), words, strict=False) if word})
    return streams


def _value(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if "." in text or "e" in text.lower() else int(text)
    return _TRUTH.get(text, text)
