"""What people ordered besides mandates and parameters, as of a cut: of each kind and key the last order holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import and_, func, select

from civium.engines.catalog.catalog import Catalog
from civium.engines.catalog.tables import ORDERS

RULE, ON_CALL, MAINTENANCE, CALIBRATION, PUSH = "alarm_rule", "on_call", "maintenance", "calibration", "push"


@dataclass(frozen=True, slots=True)
class Order:
    """One order that holds: its content, who gave it and why, when [us since epoch], and by which message."""

    key: str
    body: Mapping[str, Any]
    who: str
    why: str
    at: int
    seq: int


def in_force(catalog: Catalog, kind: str, at: int | None = None) -> dict[str, Order]:
    """The orders of a kind by key as of a message of the catalogue's log (default: now), without withdrawn ones."""
    at = catalog.applied() if at is None else at
    c = ORDERS.c
    of_kind = and_(c.kind == kind, c.seq <= at)
    last = select(c.key, func.max(c.seq).label("seq")).where(of_kind).group_by(c.key).subquery()
    query = (
        select(c.key, c.body, c.who, c.why, c.at, c.seq)
        .join(last, and_(last.c.key == c.key, last.c.seq == c.seq))
        .where(c.kind == kind, c.body.is_not(None))
        .order_by(c.key)
    )
    with catalog.engine.connect() as connection:
        rows = connection.execute(query).all()
    return {key: Order(key, msgspec.json.decode(body), *rest) for key, body, *rest in rows}


def row(kind: str, key: str, body: object | None, who: str, why: str, at: int) -> dict[str, Any]:
    """A row of the table ``orders``; without a body it withdraws what was ordered under the key."""
    text = None if body is None else msgspec.json.encode(body, order="deterministic").decode()
    return {"kind": kind, "key": key, "body": text, "who": who, "why": why, "at": at}
