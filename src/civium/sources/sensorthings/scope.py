"""What the names of a query mean, whichever database the rows are in."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from sqlalchemy import FromClause

from civium.core import InputRefused
from civium.sources.sensorthings.functions import Database, Sql, Value
from civium.sources.sensorthings.ground import Ground
from civium.sources.sensorthings.model import Entity, Field, Link
from civium.sources.sensorthings.tree import Path, path_text


class Scope(ABC):
    """What the names of a query mean: the entity, and the SQL row that stands for it."""

    database: Database

    def __init__(self, entity: Entity, row: FromClause, ground: Ground) -> None:
        self.entity, self.row, self.ground = entity, row, ground

    def linked(self, names: tuple[str, ...]) -> Link | None:
        """The link that a path follows first, unless it stays with this entity."""
        link = self.entity.link(names[0])
        # The id behind a link to one is our own column.
        here = link is not None and not link.many and names[1:] in (("id",), ("@iot.id",))
        return None if here else link

    @property
    @abstractmethod
    def permitted(self) -> Sql:
        """That the caller may see the row."""

    @abstractmethod
    def some(self, link: Link, condition: Callable[["Scope"], Sql]) -> Sql:
        """That some entity behind a link meets a condition."""

    @abstractmethod
    def behind(self, link: Link, value: Callable[["Scope"], Value]) -> Value:
        """A value of the one entity that a link leads to."""

    @abstractmethod
    def field(self, field: Field, keys: tuple[str, ...]) -> Value | None:
        """A field of this entity, or what is inside it; None if there is no such thing."""

    @abstractmethod
    def holds(self, field: Field, keys: tuple[str, ...], item: str) -> Sql | None:
        """That an array within a field of JSON has an item (JSON); None if the field is no JSON."""

    def among(self, path: Path, item: str) -> Sql:
        """That the array at a path within this entity has an item (JSON)."""
        first, *rest = path.names
        field = self.entity.field(first)
        found = self.holds(field, tuple(rest), item) if field else None
        if found is None:
            why = f"'{path_text(path.names)}' of {self.entity.name} at position {path.at} is no array of JSON"
            raise InputRefused(why)
        return found

    def value(self, path: Path) -> Value:
        """The value that a path within this entity leads to."""
        first, *rest = path.names
        if first in ("id", "@iot.id") and not rest:
            return Value("number", self.row.c.id)
        link = self.entity.link(first)
        if link is not None and link.own:
            return Value("number", self.row.c[link.own])
        field = self.entity.field(first)
        found = self.field(field, tuple(rest)) if field else None
        if found is None:
            raise InputRefused(
                f"unknown property '{path_text(path.names)}' of {self.entity.name} at position {path.at}"
            )
        return found
