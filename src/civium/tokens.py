"""Tokens made and revoked, and browsers logged in: changes of the catalogue, so on the log, and known to every process.

A token is told once, to who made it. The log and the catalogue hold its digest.
"""

import json
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from civium.core import MICROSECONDS, InputRefused
from civium.core.rights import Caller, Role, Scope
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import TOKENS
from civium.engines.rights import LOCAL, digest_of
from civium.sources.changes import Edits

if TYPE_CHECKING:
    from civium.city import City

SESSION_S = 12 * 3600  # after which a browser must log in again
_MOST_SESSIONS = 1_000  # of one token; the earliest are ended
_MOST_NAME = 100
_DAY = 86_400 * MICROSECONDS
_LONGEST_DAYS = 3_660


class Tokens:
    """Makes tokens, lists and revokes them, and opens sessions."""

    def __init__(self, city: "City") -> None:
        self._city = city

    async def make(
        self,
        name: str,
        role: Role,
        scope: Scope,
        days: float | None,
        *,
        who: str,
        why: str = "",
        rate: float = 0.0,
        most_mb: float = 0.0,
    ) -> tuple[dict[str, Any], str]:
        """A new token that ends after ``days``, or never; returns its row, and the token, which is kept nowhere.

        ``rate`` [1/s] and ``most_mb`` [MB of one body] are limits of its own, 0: those of the city.

        Raises InputRefused for a name that is taken, and for a role that needs a scope and has none.
        """
        if not 0 < len(name) <= _MOST_NAME or not name.isprintable() or name.strip() != name:
            raise InputRefused(f"a token needs a name of at most {_MOST_NAME} characters, such as 'weather station 7'")
        if name in (LOCAL, "public"):
            raise InputRefused(f"'{name}' is a name that the city itself uses; choose another")
        if role is Role.PUBLIC:
            raise InputRefused("the public needs no token")
        if role in (Role.DEVICE, Role.DEPARTMENT) and not (scope.names_streams or scope.practices):
            raise InputRefused(f"a {role} needs a scope: kinds, things or datastreams ('*' as a kind is all of them)")
        if days is not None and not 0 < days <= _LONGEST_DAYS:
            raise InputRefused(f"days is {days:g}: more than 0 and at most {_LONGEST_DAYS} are possible")
        now = self._city.wall.now()
        expires = None if days is None else now + round(days * _DAY)
        secret = f"civ_{secrets.token_urlsafe(32)}"
        row = _row(name, role, scope, secret, now, expires) | {"rate": rate, "most_mb": most_mb}

        def build(catalog: Catalog) -> Edits:
            with catalog.engine.connect() as connection:
                same = select(TOKENS.c.id).where(TOKENS.c.name == name, TOKENS.c.revoked.is_(None))
                if connection.scalar(same.where(TOKENS.c.session.is_(False)).limit(1)) is not None:
                    raise InputRefused(f"there is a token '{name}' already; revoke it first", status=409)
            row["id"] = catalog.next_id(TOKENS.name)
            return Edits({TOKENS.name: [row]})

        await self._city.changes.make(build, who=who, why=why or f"token '{name}' made")
        return row, secret

    async def revoke(self, token: int, *, who: str, why: str = "") -> dict[str, Any]:
        """End a token, and every session that it opened; raises InputRefused (404) when there is none."""
        now = self._city.wall.now()
        found: dict[str, Any] = {}

        def build(catalog: Catalog) -> Edits:
            row = None
            if 0 < token < catalog.next_id(TOKENS.name):
                with catalog.engine.connect() as connection:
                    row = connection.execute(select(TOKENS).where(TOKENS.c.id == token)).mappings().first()
            if row is None or row["revoked"] is not None:
                raise InputRefused(f"there is no token {token} that is not revoked yet", status=404)
            found.update(row)
            return Edits(updates={TOKENS.name: [{"id": token, "revoked": now}]})

        await self._city.changes.make(build, who=who, why=why or f"token '{token}' revoked")
        return found | {"revoked": now}

    def listed(self) -> list[dict[str, Any]]:
        """All tokens, the newest first; sessions are not among them."""
        with self._city.catalog.engine.connect() as connection:
            query = select(TOKENS).where(TOKENS.c.session.is_(False)).order_by(TOKENS.c.id.desc())
            return [dict(row) for row in connection.execute(query).mappings()]

    def any_made(self) -> bool:
        """Whether there ever was a token."""
        return self._city.catalog.next_id(TOKENS.name) > 1

    async def open_session(self, caller: Caller, *, who: str, why: str) -> tuple[Caller, str]:
        """A session of a browser, with the rights of a caller; it ends with the token that opened it."""
        now = self._city.wall.now()
        ends = now + SESSION_S * MICROSECONDS
        expires = ends if caller.expires is None else min(ends, caller.expires)
        secret = f"civs_{secrets.token_urlsafe(32)}"
        row = _row(caller.name, caller.role, caller.scope, secret, now, expires)
        row |= {"session": True, "opened_by": caller.token, "rate": caller.rate, "most_mb": caller.most_mb}

        def build(catalog: Catalog) -> Edits:
            c = TOKENS.c
            with catalog.engine.connect() as connection:
                over = select(c.id).where(c.session.is_(True), c.expires <= now)
                others = select(c.id).where(c.session.is_(True), c.opened_by == caller.token, c.expires > now)
                gone = list(connection.scalars(over))
                gone += list(connection.scalars(others.order_by(c.id.desc()).offset(_MOST_SESSIONS - 1)))
            row["id"] = catalog.next_id(TOKENS.name)
            return Edits({TOKENS.name: [row]}, deletes={TOKENS.name: [{"id": one} for one in sorted(set(gone))]})

        await self._city.changes.make(build, who=who, why=why)
        return Caller(caller.name, caller.role, caller.scope, int(row["id"]), expires), secret

    async def end_session(self, session: int, *, who: str) -> None:
        """Log a browser out."""

        def build(_: Catalog) -> Edits:
            return Edits(deletes={TOKENS.name: [{"id": session}]})

        await self._city.changes.make(build, who=who, why="logged out")


def _row(name: str, role: Role, scope: Scope, secret: str, now: int, expires: int | None) -> dict[str, Any]:
    kept = {"name": name, "role": str(role), "scope": json.dumps(scope.told())}
    return {**kept, "digest": digest_of(secret.encode()).hex(), "made": now, "expires": expires}
