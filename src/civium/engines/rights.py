"""Which streams a caller may read and write: the one place that answers it, as a mask of streams and as SQL.

A stream is open, internal or restricted, and a personal one counts as restricted. Anyone reads what is open; staff
without a scope also what is internal; a scope opens what it names, and nothing else is open to who has one. A device
and a department write what their scope names, an operator without a scope what it reads.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, FromClause, Row, and_, exists, false, not_, or_, select, true

from civium.core import MICROSECONDS, Access, Clock
from civium.core.rights import ANY, PUBLIC, STAFF, Caller, Role, Scope, read_scope
from civium.engines.catalog import Catalog, Change, gone
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.streams import ACCESS
from civium.engines.catalog.tables import DATASTREAMS, THINGS, TOKENS
from civium.engines.mqtt_hearing import ACCOUNTS
from civium.engines.mqtt_logins import (
    ANY_OBSERVATION,
    EVERYTHING,
    LONGEST_S,
    NOBODY,
    OBSERVATIONS_OF,
    OF_ANY_STREAM,
    Admitted,
)

Mask = NDArray[np.bool_]
LOCAL = "local"  # the caller who holds the token in the city's folder
IDLE_S = 2 * 3600  # after which a session that nobody uses is over
_NOTHING, _OPEN, _INTERNAL, _ALL = range(-1, 3)  # up to which access without a scope
_MOST_MASKS = 256
_MOST_PUBLISHED = 5_000  # subjects that one login may be told
_AT_ONCE = 10_000  # ids in one statement


NONE_KNOWN = "this token is not known here, was revoked or has expired"


def digest_of(secret: bytes) -> bytes:
    """What is kept of a token. It has 256 random bits: nobody finds it by trying, so it needs no slow hash."""
    return sha256(secret).digest()


@dataclass(frozen=True, slots=True)
class _Kept:
    caller: Caller
    opened_by: int
    session: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """The streams that a caller reaches: ``mask`` is indexed by stream; ``whole``: these are all that there are;
    ``everything``: nothing that there is tells of a stream that it may not read, nor of one that there was."""

    mask: Mask
    whole: bool
    everything: bool

    def holds(self, stream: int) -> bool:
        """Whether one stream is reached."""
        return 0 < stream < len(self.mask) and bool(self.mask[stream])

    def among(self, streams: NDArray[np.int64]) -> Mask:
        """Which of some streams (any integers) are reached."""
        inside = (streams > 0) & (streams < len(self.mask))
        return inside & self.mask[np.where(inside, streams, 0)]


class Rights:
    """Knows every token, and what each caller reaches. ``local`` is the token that lies in the city's folder."""

    def __init__(self, catalog: Catalog, wall: Clock, local: str, *, trusting: bool) -> None:
        self._catalog, self._wall = catalog, wall
        self.public = Caller(PUBLIC.name, Role.PUBLIC, trusted=True) if trusting else PUBLIC
        self._local = digest_of(local.encode())
        self._used: dict[int, int] = {}  # session -> when it was used last [us since epoch]
        self._digests: dict[int, bytes] = {}
        self._kept: dict[bytes, _Kept] = {}
        self._masks: dict[tuple[bool, Role, Scope, bool], tuple[int, Reach]] = {}
        self._left: dict[tuple[Role, Scope], tuple[int, NDArray[np.int64]]] = {}
        self._short: dict[int, tuple[int, Reach, Caller]] = {}
        self._gateways = False  # whether a device has, or had since the start, a token for all streams
        with catalog.engine.connect() as connection:
            self._put(connection.execute(select(TOKENS).where(TOKENS.c.revoked.is_(None))).all())

    async def take(self, _: int, change: Change) -> None:
        """Know what a change of the catalogue did to the tokens."""
        for row in change.deletes.get(TOKENS.name, ()):
            self._forget(row["id"])
        touched = [row["id"] for some in (change.rows, change.updates) for row in some.get(TOKENS.name, ())]
        for at in range(0, len(touched), _AT_ONCE):
            with self._catalog.engine.connect() as connection:
                query = select(TOKENS).where(among_ids(TOKENS.c.id, touched[at : at + _AT_ONCE]))
                self._put(connection.execute(query).all())

    def caller(self, secret: bytes) -> Caller | None:
        """Who holds a token; None: nobody may come in with it (any more)."""
        digest = digest_of(secret)
        kept = self._kept.get(digest)
        if kept is None:
            return Caller(LOCAL, Role.ADMINISTRATOR) if digest == self._local else None
        if not self.lives(kept.caller):
            return None
        if kept.session and not self._is_used(kept.caller.token):
            return None
        return kept.caller

    def lives(self, caller: Caller) -> bool:
        """Whether the token or the session of a caller still counts; who has none always may go on."""
        if not caller.token:
            return True
        digest = self._digests.get(caller.token)
        if digest is None:
            return False
        kept = self._kept[digest]
        return self._lives(kept) and (not kept.opened_by or self._opens(kept.opened_by))

    def readable(self, caller: Caller) -> Reach:
        """The streams whose Observations a caller may read, and of which it may know."""
        return self._reach(caller, writing=False)

    def writable(self, caller: Caller) -> Reach:
        """The streams whose Observations a caller may write."""
        return self._reach(caller, writing=True)

    def hidden_things(self, caller: Caller) -> NDArray[np.int64]:
        """The things all of whose streams a caller may not know of, ascending; it may not know of them either.

        The same as ``thing_sql`` tells of each.
        """
        reach, index = self.readable(caller), self._catalog.streams
        size = min(len(reach.mask), len(index.exists))
        there, mask, thing = index.exists[:size], reach.mask[:size], index.thing[:size]
        hidden: NDArray[np.int64] = np.setdiff1d(thing[there & ~mask], thing[mask])
        return hidden if reach.everything else np.union1d(hidden, self._things_left(caller))

    def is_public(self, stream: int) -> bool:
        """Whether anyone may read a stream."""
        return self.readable(PUBLIC).holds(stream)

    def may_make(self, caller: Caller, kind: str) -> bool:
        """Whether a caller may register things of a kind, and change and remove them."""
        if caller.everywhere or caller.trusted:
            return True
        return caller.role in STAFF and (ANY in caller.scope.kinds or kind in caller.scope.kinds)

    def may_change(self, caller: Caller, thing: int) -> bool:
        """Whether a caller may change a thing, and ask its actuators for something."""
        if caller.role is Role.ADMINISTRATOR or (caller.role is Role.OPERATOR and not caller.scope.names_streams):
            return True
        if caller.role not in STAFF:
            return False
        kinds, scope = self._catalog.kinds, caller.scope
        mine = 0 < thing < len(kinds.of) and kinds.of[thing] in kinds.these(scope.kinds)
        return thing in scope.things or ANY in scope.kinds or bool(mine)

    def admit(self, secret: str | None, user: str = "") -> Admitted | str:
        """What the holder of a token, or who shows none, may publish by MQTT; a text says why it may not come in.

        The streams are those of this moment: a device that gets new ones logs in again. A ``user`` by the name of a
        class of access hears it, and publishes nothing.
        """
        caller = self.public if secret is None else self.caller(secret.encode("utf-8", "replace")) if secret else None
        if caller is None:
            return NONE_KNOWN
        return self._hearing(caller, user) if user in ACCOUNTS else self._admitted(caller)

    def _hearing(self, caller: Caller, access: str) -> Admitted | str:
        if not self.lives(caller):
            return NONE_KNOWN
        needed = _ALL if access == Access.RESTRICTED else _INTERNAL
        if _level(caller, writing=False) < needed:
            return f"this token may not read all that is {access}: ask over HTTP for what it may"
        ends = self._ends(caller)
        return Admitted(caller.name, (), (), ends, ACCOUNTS[access], lambda: self._hearing(caller, access))

    def _ends(self, caller: Caller) -> float:
        """When a login with a token must be made anew [s since epoch]."""
        ends = self._wall.now() / MICROSECONDS + LONGEST_S
        return ends if caller.expires is None else min(ends, caller.expires / MICROSECONDS)

    @property
    def maker(self) -> Caller | None:
        """Of those who may publish by MQTT Observations that name their stream in the body alone, who may do least,
        where each may make entities too; None: somebody may not."""
        if self._gateways:
            return None
        return self.public if self.public.trusted else Caller("operator", Role.OPERATOR)

    def _admitted(self, caller: Caller) -> Admitted | str:
        if not self.lives(caller):
            return NONE_KNOWN
        nobody = caller is self.public
        ends = None if nobody else self._ends(caller)
        reach = self.writable(caller)
        streams = np.flatnonzero(reach.mask)
        publish: tuple[str, ...] = ()
        but: tuple[str, ...] = ()
        if caller.role is Role.ADMINISTRATOR:
            publish = EVERYTHING
        elif ANY in caller.scope.kinds:
            publish = ANY_OBSERVATION
        elif caller.trusted or (caller.role is Role.OPERATOR and caller.everywhere):
            publish = ANY_OBSERVATION if reach.whole else OF_ANY_STREAM
            exists = self._catalog.streams.exists
            closed = np.flatnonzero(exists & ~np.resize(reach.mask, len(exists)))
            but = _subjects(closed)
            if len(closed) > _MOST_PUBLISHED:
                publish, but = _subjects(streams), ()
        else:
            publish = _subjects(streams)
        if len(publish) > 2 * _MOST_PUBLISHED:
            return f"these are {len(streams)} streams, more than {_MOST_PUBLISHED}: send over HTTP, or split the scope"
        name = NOBODY if nobody else caller.name
        return Admitted(name, publish, but, ends, again=lambda: self._admitted(caller))

    def _put(self, rows: Iterable[Row[tuple[object, ...]]]) -> None:
        for row in rows:
            self._forget(row.id)
            if row.revoked is None:
                digest = bytes.fromhex(row.digest)
                scope = read_scope(json.loads(row.scope))
                limits = {"rate": row.rate, "most_mb": row.most_mb}
                caller = Caller(row.name, Role(row.role), scope, row.id, row.expires, **limits)
                self._gateways |= caller.role is Role.DEVICE and ANY in scope.kinds
                self._digests[row.id], self._kept[digest] = digest, _Kept(caller, row.opened_by, row.session)

    def _forget(self, token: int) -> None:
        self._used.pop(token, None)
        if (digest := self._digests.pop(token, None)) is not None:
            del self._kept[digest]

    def _is_used(self, session: int) -> bool:
        """Whether a session was not left alone for too long, as far as this process has seen; now it is used."""
        now = self._wall.now()
        idle = now - self._used.get(session, now)
        if idle >= IDLE_S * MICROSECONDS:
            return False
        self._used[session] = now
        return True

    def _lives(self, kept: _Kept) -> bool:
        return kept.caller.expires is None or self._wall.now() < kept.caller.expires

    def _opens(self, token: int) -> bool:
        """Whether the token that opened a session still lives."""
        digest = self._digests.get(token)
        return digest is not None and self._lives(self._kept[digest])

    def _things_left(self, caller: Caller) -> NDArray[np.int64]:
        """The things without a stream, of which one told that the caller could not read."""
        at, key = self._catalog.streams_at(), (caller.role, caller.scope)
        found = self._left.get(key)
        if found is None or found[0] != at:
            query = gone.things_left(partial(readable_sql, caller))
            with self._catalog.engine.connect() as connection:
                found = (at, np.array(connection.scalars(query).all(), np.int64))
            while len(self._left) >= _MOST_MASKS:
                self._left.pop(next(iter(self._left)), None)
            self._left[key] = found
        return found[1]

    def _reach(self, caller: Caller, *, writing: bool) -> Reach:
        catalog = self._catalog
        at = catalog.streams_at()
        short = caller.token * 2 + writing if caller.token else -1 - writing if caller is self.public else 0
        known = self._short.get(short)  # a device asks for every reading
        if known is not None and known[0] == at and known[2] is caller:
            return known[1]
        key = (writing, caller.role, caller.scope, caller.trusted)
        found = self._masks.get(key)
        if found is None or found[0] != at:
            while len(self._masks) >= _MOST_MASKS:
                self._masks.pop(next(iter(self._masks)), None)
            mask = _mask(catalog, caller, writing=writing)
            level, whole = _level(caller, writing=writing), bool(mask[1:].sum() == catalog.streams.exists[1:].sum())
            everything = level == _ALL or (whole and catalog.streams.past_access <= level)
            found = self._masks[key] = (at, Reach(mask, whole, everything))
        if short:
            while len(self._short) >= _MOST_MASKS:
                self._short.pop(next(iter(self._short)), None)
            self._short[short] = (*found, caller)
        return found[1]


def readable_sql(caller: Caller, streams: FromClause) -> ColumnElement[bool]:
    """The same as ``Rights.readable`` as a condition on rows of the table ``datastreams``."""
    level, c = _level(caller, writing=False), streams.c
    if level == _ALL:
        return true()
    words = [str(word) for word, code in ACCESS.items() if code <= level]
    some = [and_(c.access.in_(words), c.personal.is_(False))] if words else []
    scope = caller.scope
    if scope.datastreams:
        some.append(among_ids(c.id, sorted(scope.datastreams)))
    if scope.things:
        some.append(among_ids(c.thing, sorted(scope.things)))
    if scope.kinds:
        things = THINGS.alias()
        of_kinds = select(things.c.id).where(things.c.kind.in_(sorted(scope.kinds))).correlate_except(things)
        some.append(c.thing.in_(of_kinds))
    return or_(false(), *some)


def _subjects(streams: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(subject.format(stream) for stream in streams.tolist() for subject in OBSERVATIONS_OF)


def thing_sql(caller: Caller, thing: ColumnElement[int]) -> ColumnElement[bool]:
    """That a caller may know of a thing: see ``owner_sql``."""
    return owner_sql(caller, "thing", thing)


def owner_sql(caller: Caller, column: str, identity: ColumnElement[int]) -> ColumnElement[bool]:
    """That a caller may know of what streams have in a ``column`` (thing, sensor): one of its streams may be read, or
    it has none, and whichever it had could be read too."""
    streams, readable = DATASTREAMS.alias(), partial(readable_sql, caller)
    one = select(streams.c.id).where(streams.c[column] == identity).correlate_except(streams)
    none = and_(not_(exists(one)), not_(gone.left(column, identity, readable)))
    return or_(exists(one.where(readable(streams))), none)


def _level(caller: Caller, *, writing: bool) -> int:
    """Up to which access a caller reaches what its scope does not name."""
    if caller.role is Role.ADMINISTRATOR or ANY in caller.scope.kinds:
        return _ALL
    staff = caller.role in STAFF and not caller.scope.names_streams
    if writing:
        return _INTERNAL if staff and caller.role is Role.OPERATOR else _OPEN if caller.trusted else _NOTHING
    return _INTERNAL if staff else _OPEN


def _mask(catalog: Catalog, caller: Caller, *, writing: bool) -> Mask:
    index, kinds, scope = catalog.streams, catalog.kinds.of, caller.scope
    exists, thing = index.exists, index.thing[: len(index.exists)]
    level = _level(caller, writing=writing)
    if level == _ALL:
        return exists.copy()
    closed = ACCESS[Access.RESTRICTED]
    guarded = np.where(index.personal[: len(exists)], closed, index.access[: len(exists)]).astype(np.int64)
    mask: Mask = guarded <= level
    if scope.datastreams:
        some = np.fromiter(scope.datastreams, np.int64)
        mask[some[(some > 0) & (some < len(mask))]] = True
    if scope.things:
        mask |= np.isin(thing, np.fromiter(scope.things, np.int64))
    if scope.kinds:
        inside = thing < len(kinds)
        mask |= inside & np.isin(kinds[np.where(inside, thing, 0)], catalog.kinds.these(scope.kinds))
    mask &= exists
    mask[0] = False
    return mask
