"""Cases: what people ask, object to or correct; each has a clock, and its answer is public.

What a person wrote may be personal: it is a blob, and the catalogue holds its name. Who has the case's address reads
it; others read the answer alone.
"""

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from civium.core import MICROSECONDS, InputRefused
from civium.engines.blobs import BlobMissing
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import CASES
from civium.sources.changes import Edits, Rows

if TYPE_CHECKING:
    from civium.city import City

KINDS = ("question", "objection", "correction")
LONGEST = 4_000  # characters of what a person writes, and of an answer
ANSWER_DAYS = 14  # until a case must be answered
MOST_OPEN = 1_000
_GONE = "(these words are no longer kept)"


class Cases:
    """The cases of a city."""

    def __init__(self, city: "City") -> None:
        self._city = city

    async def open(self, kind: str, about: str, words: str) -> str:
        """Open a case; returns its key. Raises InputRefused for what is empty, too long, or too much (429)."""
        words = words.strip()
        if kind not in KINDS:
            raise InputRefused(f"a case is one of {', '.join(KINDS)}")
        if not words or len(words) > LONGEST or len(about) > 200:
            raise InputRefused(f"write 1 to {LONGEST:,} characters")
        now, key = self._city.clock.now(), secrets.token_urlsafe(12)
        blob = await asyncio.to_thread(self._city.blobs.put, "case", f"{key}\n{words}".encode())

        def build(catalog: Catalog) -> Rows:
            with catalog.engine.connect() as connection:
                query = select(func.count()).select_from(CASES).where(CASES.c.answered.is_(None))
                if (connection.scalar(query) or 0) >= MOST_OPEN:
                    raise InputRefused("so many cases are open that no other is taken in; come back later", status=429)
            due = now + ANSWER_DAYS * 86_400 * MICROSECONDS
            row = {"id": catalog.next_id(CASES.name), "key": key, "kind": kind, "about": about, "words": blob}
            return {CASES.name: [{**row, "opened": now, "due": due}]}

        await self._city.changes.make(build, who="a person", why=f"opened a case: {kind}")
        return key

    async def answer(self, key: str, answer: str, who: str) -> None:
        """Answer a case, for everyone to read. Raises InputRefused (404) for one that is not there."""
        answer = answer.strip()
        if not answer or len(answer) > LONGEST:
            raise InputRefused(f"write 1 to {LONGEST:,} characters")
        now = self._city.clock.now()

        def build(catalog: Catalog) -> Edits:
            with catalog.engine.connect() as connection:
                identity = connection.scalar(select(CASES.c.id).where(CASES.c.key == key))
            if identity is None:
                raise InputRefused("there is no such case", status=404)
            changed = {"id": identity, "answered": now, "answer": answer, "who": who}
            return Edits(updates={CASES.name: [changed]})

        await self._city.changes.make(build, who=who, why="answered a case")

    def one(self, key: str) -> dict[str, Any]:
        """A case with what the person wrote. Raises InputRefused (404)."""
        with self._city.catalog.engine.connect() as connection:
            row = connection.execute(select(CASES).where(CASES.c.key == key)).mappings().first()
        if row is None:
            raise InputRefused("there is no such case", status=404)
        return self._told(dict(row))

    def listed(self, limit: int) -> list[dict[str, Any]]:
        """Cases with what was written: those that wait longest first, then the last that were answered."""
        order = (CASES.c.answered.is_not(None), CASES.c.answered.desc(), CASES.c.due)
        with self._city.catalog.engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(select(CASES).order_by(*order).limit(limit)).mappings()]
        return [self._told(row) for row in rows]

    def answered(self, about: str, limit: int) -> list[dict[str, Any]]:
        """The last answers for everyone, without what was asked: of all, or about a practice and its decisions."""
        query = select(CASES.c.kind, CASES.c.about, CASES.c.answered, CASES.c.answer, CASES.c.who)
        query = query.where(CASES.c.answered.is_not(None)).order_by(CASES.c.answered.desc()).limit(limit)
        if about:
            query = query.where((CASES.c.about == about) | CASES.c.about.startswith(f"{about}.", autoescape=True))
        with self._city.catalog.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        text = _GONE
        with suppress(BlobMissing):
            text = self._city.blobs.get(row["words"]).decode().partition("\n")[2]
        status = "open" if row["answered"] is None else "answered"
        return {name: row[name] for name in row if name not in ("id", "seq", "words")} | {
            "text": text,
            "status": status,
        }
