"""Reads things with their streams from CSV, GeoJSON or JSON Lines, as chunks of lines for the register door.

A file is read once, from front to back; what is kept of it is a hash and a line number for each key, so that a key that
stands twice is found wherever it stands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from civium.core import InputRefused
from civium.sources.files import LONGEST_TEXT, LineRefusal, first_bytes, open_text
from civium.sources.register_csv import read_csv
from civium.sources.register_geojson import read_features, read_geojson_lines

_MOST_LINES = 20_000  # of one chunk
_MOST_STREAMS = 20_000
_MOST_BYTES = 8 * 1024 * 1024
_MOST_REFUSALS = 1000
_JSON_NAMES = (".json", ".geojson", ".jsonl", ".ndjson", ".geojsonl", ".geojsons")


class _StreamKeys(msgspec.Struct, gc=False):
    key: str = ""
    property: str = ""


class _ActuatorKeys(msgspec.Struct, gc=False):
    key: str = ""


class _Keys(msgspec.Struct, gc=False):
    key: str = ""
    kind: str = ""
    streams: list[_StreamKeys] = []
    actuators: list[_ActuatorKeys] = []


@dataclass(slots=True)
class Chunk:
    """Some things as JSON Lines; ``lines[i]`` is the line of the file that the i-th of them begins in."""

    body: list[bytes] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    keys: dict[str, list[str]] = field(default_factory=lambda: {"thing": [], "stream": [], "actuator": []})
    owners: dict[str, list[int]] = field(default_factory=lambda: {"thing": [], "stream": [], "actuator": []})
    refused: list[LineRefusal] = field(default_factory=list)
    size: int = 0
    read: int = 0  # bytes of the file up to here

    @property
    def full(self) -> bool:
        return len(self.lines) >= _MOST_LINES or len(self.keys["stream"]) >= _MOST_STREAMS or self.size >= _MOST_BYTES

    def add(self, line: int, keys: _Keys, body: bytes) -> None:
        self.body.append(body)
        self.lines.append(line)
        self.size += len(body)
        self._note("thing", line, (keys.key,))
        if keys.streams:
            self._note("stream", line, [s.key or f"{keys.key}/{s.property}" for s in keys.streams])
        if keys.actuators:
            self._note("actuator", line, [a.key for a in keys.actuators])

    def _note(self, noun: str, line: int, keys: Sequence[str]) -> None:
        self.keys[noun] += keys
        self.owners[noun] += [line] * len(keys)


def read_chunks(path: Path, kind: str = "") -> Iterator[Chunk]:
    """The things of a file, in chunks; ``kind`` is the kind of those that name none.

    Raises InputRefused when the file as a whole cannot be read; single lines are refused in the chunk.
    """
    seen = {noun: Seen() for noun in ("thing", "stream", "actuator")}
    with open_text(path) as file:
        chunk = Chunk()
        for line, keys, body in _lines(file, path, kind):
            if isinstance(keys, str):
                chunk.refused.append(LineRefusal(line, keys))
            else:
                chunk.add(line, keys, body)
            if chunk.full or len(chunk.refused) >= _MOST_REFUSALS:
                yield _closed(chunk, seen, file)
                chunk = Chunk()
        yield _closed(chunk, seen, file)


def _closed(chunk: Chunk, seen: dict[str, "Seen"], file: TextIO) -> Chunk:
    chunk.read = file.buffer.tell()
    for noun, keys in chunk.keys.items():
        if keys:
            for index, first in seen[noun].add(keys, chunk.owners[noun]):
                why = f"the key '{keys[index]}' of a {noun} stands already in line {first}"
                chunk.refused.append(LineRefusal(chunk.owners[noun][index], why))
    return chunk


def _lines(file: TextIO, path: Path, kind: str) -> Iterator[tuple[int, _Keys | str, bytes]]:
    """Line number, the keys (or why the line is refused), and the line for the door."""
    form = _form_of(path)
    if form == "lines":
        yield from _json_lines(file, kind)
        return
    read = {"csv": read_csv, "features": read_features, "feature lines": read_geojson_lines}[form]
    encode = msgspec.json.Encoder().encode
    for line, thing in read(file, path):
        if isinstance(thing, str):
            yield line, thing, b""
            continue
        if kind and not thing.get("kind"):
            thing["kind"] = kind
        try:
            yield line, _checked(msgspec.convert(thing, _Keys)), encode(thing)
        except (msgspec.ValidationError, InputRefused) as error:
            yield line, str(error), b""


def _json_lines(file: TextIO, kind: str) -> Iterator[tuple[int, _Keys | str, bytes]]:
    decode = msgspec.json.Decoder(_Keys).decode
    for number, text in enumerate(file, 1):
        body = text.strip().encode()
        if not body:
            continue
        try:
            keys = decode(body)
            if kind and not keys.kind:
                body = msgspec.json.encode({**msgspec.json.decode(body), "kind": kind})
                keys.kind = kind
            yield number, _checked(keys), body
        except (msgspec.DecodeError, InputRefused) as error:
            yield number, str(error), b""


def _checked(keys: _Keys) -> _Keys:
    if not keys.key:
        raise InputRefused("the thing has no key")
    if not keys.kind:
        raise InputRefused(f"the thing '{keys.key}' has no kind; name it in the file, or for all with --kind")
    return keys


def _form_of(path: Path) -> str:
    """csv, lines, features (one FeatureCollection) or feature lines; raises InputRefused for a JSON array."""
    begin = first_bytes(path).removeprefix(b"\xef\xbb\xbf").lstrip(b"\x1e \t\r\n")
    if begin.startswith(b"["):
        raise InputRefused(f"{path} is a JSON array; write one object a line")
    if not begin.startswith(b"{"):
        if path.suffix.lower() in _JSON_NAMES:
            raise InputRefused(f"{path} is no JSON: it does not begin with {{")
        return "csv"
    with open_text(path) as file:
        try:
            first: Any = msgspec.json.decode(file.readline(LONGEST_TEXT).strip("\x1e \t\r\n"))
        except msgspec.DecodeError:  # an object of many lines, or a very long one
            return "features" if b'"FeatureCollection"' in begin else "lines"
    kind = None if "key" in first else first.get("type")
    return "features" if kind == "FeatureCollection" else "feature lines" if kind == "Feature" else "lines"


class Seen:
    """Keys that were there, as hashes with their lines, in a few sorted runs: 16 bytes a key."""

    def __init__(self) -> None:
        self._runs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, keys: Sequence[str], lines: Sequence[int]) -> list[tuple[int, int]]:
        """Take in keys; returns the index of each that was there before, and the line that it stood in first."""
        hashes = np.fromiter(map(hash, keys), np.int64, len(keys))
        at = np.array(lines, np.int64)
        order = np.argsort(hashes, kind="stable")
        hashes, at = hashes[order], at[order]
        again: dict[int, int] = {}
        begins = np.append(True, hashes[1:] != hashes[:-1])
        owner = np.maximum.accumulate(np.where(begins, np.arange(len(hashes)), 0))
        again |= {int(order[i]): int(at[owner[i]]) for i in np.flatnonzero(~begins)}
        for known, where in reversed(self._runs):  # the first to hold a key is asked last
            place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            again |= {int(order[i]): int(where[place[i]]) for i in np.flatnonzero(known[place] == hashes)}
        self._runs.append((hashes, at))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            (h, a), (g, b) = self._runs.pop(), self._runs.pop()
            both, wheres = np.concatenate([g, h]), np.concatenate([b, a])
            order = np.argsort(both, kind="stable")
            self._runs.append((both[order], wheres[order]))
        return sorted(again.items())
