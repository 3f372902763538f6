"""The kind of every thing, as an array of codes: rights are told by kind, and doors ask for every reading."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, case, func, select

from civium.engines.catalog.database import Database
from civium.engines.catalog.tables import THINGS

_BLOCK = 20_000
_PAIR = np.dtype([("id", np.int64), ("code", np.int32)])


class Kinds:
    """``of`` is indexed by thing (0 where there is none); one thread writes, a reader may keep what it took."""

    def __init__(self) -> None:
        self.of: NDArray[np.int32] = np.zeros(1, np.int32)
        self.codes: dict[str, int] = {}  # from 1

    def these(self, kinds: Iterable[str]) -> NDArray[np.int32]:
        """The codes of some kinds; those that no thing is of are passed over."""
        return np.array([self.codes[kind] for kind in kinds if kind in self.codes], np.int32)

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in new rows of the table ``things``, or changes that name a kind."""
        if not rows:
            return
        known = self.codes
        for row in rows:
            known.setdefault(row.get("kind", ""), len(known) + 1)
        ids = np.fromiter((row["id"] for row in rows), np.int64, len(rows))
        self._put(ids, np.fromiter((known[row.get("kind", "")] for row in rows), np.int32, len(rows)))

    def change(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in changes of rows."""
        self.of = self.of.copy() if rows else self.of  # who took it before may keep it
        self.put([row for row in rows if "kind" in row])

    def load(self, connection: Connection, database: Database) -> None:
        """Take in the whole table."""
        for kind in connection.scalars(select(THINGS.c.kind).distinct()):
            self.codes.setdefault(kind, len(self.codes) + 1)
        if not self.codes:
            return
        self._put(np.array([connection.scalar(select(func.max(THINGS.c.id)))]), np.zeros(1, np.int32))
        query = select(THINGS.c.id, case(self.codes, value=THINGS.c.kind, else_=0))
        for block in database.blocks(connection, query, _BLOCK):
            rows = np.array(block, _PAIR)
            self._put(rows["id"], rows["code"])

    def _put(self, ids: NDArray[np.int64], codes: NDArray[np.int32]) -> None:
        most = int(ids.max()) + 1
        if most > len(self.of):
            self.of = np.concatenate([self.of, np.zeros(most + most // 2 - len(self.of), np.int32)])
        self.of[ids] = codes
