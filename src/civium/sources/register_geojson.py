"""Reads things from GeoJSON: one FeatureCollection of any size, feature by feature, or one Feature a line.

Of the properties, ``key`` (else the Feature's ``id``), ``kind``, ``name``, ``streams`` and ``actuators`` mean what they
mean in the register; every other property that is not null is a fact.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from civium.core import InputRefused
from civium.sources.files import LONGEST_TEXT
from civium.sources.register_csv import streams_of_text

_PART = 1024 * 1024  # [characters] read at a time
_SPACE = " \t\r\n"
_WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")
_OWN = ("key", "kind", "name", "streams", "actuators")


def read_geojson_lines(file: TextIO, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and thing (or why it is refused) of each line that holds a Feature."""
    for number, line in enumerate(file, 1):
        text = line.strip("\x1e \t\r\n")
        if text:
            try:
                yield number, _thing(json.loads(text))
            except InputRefused as error:
                yield number, error.why
            except (ValueError, RecursionError) as error:
                yield number, f"it is no JSON: {error}"


def read_features(file: TextIO, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and thing (or why it is refused) of each Feature of a FeatureCollection."""
    reader = _Reader(file, path)
    reader.take("{")
    found = False
    while reader.peek() != "}":
        name = reader.value()
        reader.take(":")
        if name != "features":
            _check_member(path, name, reader.value())
        else:
            found = True
            reader.take("[")
            while reader.peek() != "]":
                line = reader.line
                try:
                    yield line, _thing(reader.value())
                except InputRefused as error:
                    yield line, error.why
                if reader.peek() != "]":
                    reader.take(",")
            reader.take("]")
        if reader.peek() != "}":
            reader.take(",")
    if not found:
        raise InputRefused(f"{path} is no FeatureCollection: it has no features")


def _check_member(path: Path, name: Any, value: Any) -> None:
    if name == "type" and value != "FeatureCollection":
        raise InputRefused(f"{path} is a GeoJSON {value}, not a FeatureCollection")
    if name == "crs" and value is not None:  # of GeoJSON before RFC 7946
        told = str(value.get("properties", {}).get("name", value)) if isinstance(value, dict) else str(value)
        if not told.endswith(_WGS84):
            raise InputRefused(f"{path} is in {told[:80]}; convert it to WGS 84 (EPSG:4326) first")


def _thing(feature: Any) -> dict[str, Any]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise InputRefused("it is no GeoJSON Feature")
    given = feature.get("properties") or {}
    if not isinstance(given, dict):
        raise InputRefused("its properties are no object")
    key = given.get("key", feature.get("id"))
    if key is None or isinstance(key, dict | list | bool):
        raise InputRefused("it has no key: give it a property 'key', or an 'id'")
    thing: dict[str, Any] = {"key": str(key)}
    if feature.get("geometry") is not None:
        thing["where"] = feature["geometry"]
    thing |= {name: given[name] for name in _OWN[1:] if given.get(name) is not None}
    if isinstance(thing.get("streams"), str):
        thing["streams"] = streams_of_text(thing["streams"])
    facts = {name: value for name, value in given.items() if name not in _OWN and value is not None}
    if facts:
        thing["facts"] = facts
    return thing


class _Reader:
    """Takes one JSON value after another from a text of any length. ``line`` is that of the next value."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._counted, self._ended = "", 0, 0, False
        self._lines = 1

    @property
    def line(self) -> int:
        self.peek()
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines

    def peek(self) -> str:
        """The next character that is no space; raises InputRefused at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more(_PART):
                raise InputRefused(f"{self._path} ends too early, in line {self._lines}: it was cut off")

    def take(self, wanted: str) -> None:
        """Pass over one character."""
        found = self.peek()
        if found != wanted:
            raise InputRefused(f"{self._path}, line {self.line}: '{wanted}' should stand where '{found}' stands")
        self._at += 1

    def value(self) -> Any:
        """The next value."""
        self.peek()
        more = _PART
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                if end < len(self._text) or self._ended:  # else a number could go on in the next part
                    self._at = end
                    return value
            except ValueError as error:
                if self._ended or len(self._text) - self._at > LONGEST_TEXT:
                    told = str(error).partition(":")[0]
                    raise InputRefused(f"{self._path}, the value in line {self.line}: {told}") from None
            except RecursionError:
                raise InputRefused(f"{self._path}, the value in line {self.line} is nested too deep") from None
            self._more(more)
            more *= 2

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        self._lines += self._text.count("\n", self._counted, self._at)
        part = self._file.read(size)
        self._text, self._at, self._counted = self._text[self._at :] + part, 0, 0
        self._ended = not part
        return bool(part)
