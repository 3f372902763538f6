"""Idempotency keys: a reading, or a part of a request, that was stored under a key is found again and not stored twice.

Each log message names the keys of its rows in a header, so that the index of recent keys can be filled from the log
again after a restart, without reading a row. Keys are kept as hashes of 64 bits, beside a hash of what was sent under
them: another reading under a key that was used is told so, never dropped as if it were a repeat.
"""

import asyncio
import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

HEADER = "Civium-Keys"
MOST_NAMED = 2_000  # keys of one log message: JetStream takes 64 kB of headers
# ``rows`` rows of a log message from its row ``row`` on were stored under ``key``; ``content`` 0 is never compared
SPAN = np.dtype([("key", "<u8"), ("content", "<u8"), ("row", "<u4"), ("rows", "<u4")])
_YOUNG = 65_536
_TIER = 8  # so many blocks are merged into one
_ALL_BITS = (1 << 64) - 1


def row_key(stream: int, key: str) -> int:
    """The hash of the key of one reading. Keys count for a Datastream: devices need not know of one another's."""
    return _hash(b"row", stream.to_bytes(8, "little", signed=True) + key.encode())


def part_key(key: str, part: int) -> int:
    """The hash of a request's key for one part of it: what goes into one log message."""
    return _hash(b"request", part.to_bytes(8, "little") + key.encode())


def content_of(*said: bytes) -> int:
    """The hash of what was sent under a key."""
    return _hash(b"content", *said)


def _hash(kind: bytes, *parts: bytes) -> int:
    digest = blake2b(digest_size=8, person=kind)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little") or 1  # 0 stands for none


def write_header(spans: NDArray[np.void]) -> str:
    """The header of a log message."""
    return base64.b64encode(spans.tobytes()).decode()


def read_header(text: str) -> NDArray[np.void]:
    """What ``write_header`` wrote."""
    return np.frombuffer(base64.b64decode(text), SPAN)


@dataclass(slots=True, eq=False)
class Place:
    """Where what was sent under a key is, or will be, in the log."""

    content: int
    rows: int
    first: int = 0  # id of its first row; 0 while it is on its way
    settled: asyncio.Future[int] | None = None  # made when somebody else waits for it

    def same(self, content: int, rows: int) -> bool:
        """Whether this is what was sent under the key before."""
        return self.rows == rows and (self.content == content or not self.content or not content)


class _Block:
    """Stored keys that change no more, sorted; 32 byte each."""

    def __init__(self, keys: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
        order = np.argsort(keys, kind="stable")
        self.keys = np.ascontiguousarray(keys[order])
        self.places = np.ascontiguousarray(places[order])  # content (its bits), id of the first row, rows

    def __len__(self) -> int:
        return len(self.keys)


class RecentKeys:
    """The latest ``most`` keys that were stored, and all that are on their way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._coming: dict[int, Place] = {}
        self._young: dict[int, tuple[int, int, int]] = {}  # content, id of the first row, rows
        self._blocks: list[_Block] = []  # the oldest first

    def __len__(self) -> int:
        return len(self._young) + sum(map(len, self._blocks))

    def find(self, keys: Sequence[int]) -> list[Place | None]:
        """The place of each key; None for one that is new, or forgotten."""
        found: list[Place | None] = []
        for key in keys:
            place = self._coming.get(key)
            if place is None and (young := self._young.get(key)) is not None:
                place = Place(young[0], young[2], young[1])
            found.append(place)
        if self._blocks and (open_ := [row for row, place in enumerate(found) if place is None]):
            wanted = np.array([keys[row] for row in open_], np.uint64)
            for block in self._blocks:
                at = np.maximum(block.keys.searchsorted(wanted, "right") - 1, 0)
                for hit in np.flatnonzero(block.keys[at] == wanted).tolist():
                    content, first, rows = block.places[at[hit]].tolist()
                    found[open_[hit]] = Place(content & _ALL_BITS, rows, first)
        return found

    def expect(self, new: Mapping[int, Place]) -> None:
        """Keys whose rows are on their way; ``settle`` or ``release`` must follow."""
        self._coming.update(new)

    def settle(self, spans: NDArray[np.void], first: int) -> None:
        """Spans of a stored log message whose first row has the id ``first``."""
        for key, content, row, rows in spans.tolist():
            self._young[key] = (content, first + row, rows)
            place = self._coming.pop(key, None)
            if place is not None:
                place.first = first + row
                if place.settled is not None:
                    place.settled.set_result(place.first)
        if len(self._young) >= _YOUNG:
            self._age()

    def release(self, keys: Iterable[int], why: Exception) -> None:
        """What was expected under the keys was not stored."""
        for key in keys:
            place = self._coming.pop(key, None)
            if place is not None and place.settled is not None:
                place.settled.set_exception(why)
                place.settled.exception()  # looked at: the one who waited may be gone

    def _age(self) -> None:
        keys = np.fromiter(self._young, np.uint64, len(self._young))
        places = np.array(list(self._young.values()), np.uint64).view(np.int64)
        self._young = {}
        self._blocks.append(_Block(keys, places))
        last = self._blocks[-_TIER:]
        if len(last) == _TIER and max(map(len, last)) < 2 * _YOUNG:
            keys, places = np.concatenate([b.keys for b in last]), np.concatenate([b.places for b in last])
            self._blocks[-_TIER:] = [_Block(keys, places)]
        while len(self) - len(self._blocks[0]) >= self._most:
            del self._blocks[0]


async def settled(place: Place) -> int:
    """The id of the first row of a place, when it is stored; raises what hindered it."""
    if place.first:
        return place.first
    if place.settled is None:
        place.settled = asyncio.get_running_loop().create_future()
    return await asyncio.shield(place.settled)
