"""Pages by key: where the next page begins is told by the last row of this one, so that following links never slows
down, and nothing is skipped or told twice when rows come in between."""

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Double, and_, cast, false, literal, or_

from civium.core import InputRefused, to_datetime
from civium.sources.sensorthings.functions import Database, Sql
from civium.sources.sensorthings.tree import Order, Query, write_expression

KEYS = "_key{}"  # columns of a page that hold what its rows are sorted by


@dataclass(frozen=True, slots=True)
class Key:
    """What rows are sorted by; ``kind`` is as in ``Value``, and ``always`` says that no row is without it."""

    sql: Sql
    descending: bool
    kind: str
    always: bool = False

    @property
    def sorting(self) -> ColumnElement[Any]:
        """As SQL sorts; what has no value comes before all that has one (OGC 18-088, 9.3.3.1)."""
        return self.sql.desc().nulls_last() if self.descending else self.sql.asc().nulls_first()


def token(query: Query, keys: Sequence[Key], row: Any) -> str:
    """What a next link says: the keys of the last row."""
    told = [_told(row[KEYS.format(place)]) for place in range(len(keys))]
    packed = msgspec.json.encode([_order_of(query.orderby), *told])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(query: Query, keys: Sequence[Key]) -> list[Any]:
    """The keys that a next link told; raises ``InputRefused``."""
    wrong = InputRefused("$skiptoken is not one that a next link gave with this $orderby; follow the link as it is")
    try:
        text = query.skiptoken
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        order, *told = msgspec.json.decode(packed, type=list[Any])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise wrong from None
    if order != _order_of(query.orderby) or len(told) != len(keys):
        raise wrong
    values = []
    for key, value in zip(keys, told, strict=True):
        if key.kind == "number" and value in ("inf", "-inf", "nan"):
            value = float(value)
        if value is None and key.always:
            raise wrong
        kinds: Any = {"number": (int, float), "string": str, "date": str, "clock": str, "bool": (bool, int)}.get(
            key.kind, int
        )
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, int) and abs(value) >= 2**63)):
            raise wrong
        values.append(value)
    return values


def behind(keys: Sequence[Key], values: Sequence[Any], database: Database) -> Sql:
    """That a row comes after the one with these keys."""
    ways: list[Sql] = []
    equal: list[Sql] = []
    for key, value in zip(keys, values, strict=True):
        if value is None:  # the least of all
            ways.append(false() if key.descending else and_(*equal, key.sql.is_not(None)))
            equal.append(key.sql.is_(None))
            continue
        given = constant(key, value, database)
        further = key.sql < given if key.descending else key.sql > given
        if key.descending and not key.always:
            further = or_(further, key.sql.is_(None))
        ways.append(and_(*equal, further))
        equal.append(key.sql == given)
    return or_(*ways)


def constant(key: Key, value: Any, database: Database) -> Sql:
    """A value of a key in SQL."""
    if key.kind == "instant" and database is Database.LAKE:
        try:
            return literal(to_datetime(value).replace(tzinfo=None))
        except (OverflowError, ValueError):
            raise InputRefused("$skiptoken is not one that a next link gave") from None
    if isinstance(value, float):
        told = "nan" if math.isnan(value) else None
        return cast(literal(told), Double) if told else literal(value, Double)
    return literal(value)


def _told(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _order_of(orders: Sequence[Order]) -> int:
    text = ",".join(write_expression(order.by) + (" desc" if order.descending else "") for order in orders)
    return zlib.crc32(text.encode())
