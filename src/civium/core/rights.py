"""Who asks: roles, the scope of a token, and the caller that a door has recognised."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from civium.core.errors import InputRefused

ANY = "*"  # every kind of thing, or every practice
_MOST = 10_000  # entries of one list of a scope
_LONGEST = 200  # characters of one name in a scope


class Role(StrEnum):
    """What a caller is. See ``docs/security.md`` for what each may do."""

    PUBLIC = "public"
    DEVICE = "device"
    OPERATOR = "operator"
    DEPARTMENT = "department"
    ADMINISTRATOR = "administrator"


STAFF = frozenset({Role.OPERATOR, Role.DEPARTMENT, Role.ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: streams by kind of thing, by thing or by id, and practices. Empty: nothing is named."""

    kinds: frozenset[str] = frozenset()
    things: frozenset[int] = frozenset()
    datastreams: frozenset[int] = frozenset()
    practices: frozenset[str] = frozenset()

    @property
    def names_streams(self) -> bool:
        """Whether it says anything of streams."""
        return bool(self.kinds or self.things or self.datastreams)

    def told(self) -> dict[str, list[Any]]:
        """As JSON has it; what is empty is left out."""
        lists = {"kinds": self.kinds, "things": self.things, "datastreams": self.datastreams}
        return {name: sorted(some) for name, some in {**lists, "practices": self.practices}.items() if some}


NO_SCOPE = Scope()


def read_scope(told: Any) -> Scope:
    """The scope that JSON tells; raises InputRefused, naming what is wrong."""
    if not isinstance(told, dict):
        raise InputRefused("a scope is an object of kinds, things, datastreams and practices")
    if unknown := sorted(set(told) - {"kinds", "things", "datastreams", "practices"}):
        raise InputRefused(f"a scope has no '{str(unknown[0])[:40]}'; use kinds, things, datastreams or practices")
    read: dict[str, frozenset[Any]] = {}
    for name, some in told.items():
        kind: type = str if name in ("kinds", "practices") else int
        fit = isinstance(some, list) and len(some) <= _MOST and all(type(one) is kind for one in some)
        if not fit or (kind is str and any(not 0 < len(one) <= _LONGEST for one in some)):
            what = "names" if kind is str else "ids"
            raise InputRefused(f"{name} of a scope is a list of at most {_MOST} {what}")
        read[name] = frozenset(some)
    return Scope(**read)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a door has recognised: a token's ``name`` and role, its scope, and when it ends [us since epoch].

    ``token`` is its id in the catalogue, 0 for who has none. ``trusted``: may write what is open without a token.
    ``rate`` [1/s] and ``most_mb`` [MB of a body] are its own limits; 0: those of the city.
    """

    name: str
    role: Role
    scope: Scope = NO_SCOPE
    token: int = 0
    expires: int | None = None
    trusted: bool = False
    rate: float = 0.0
    most_mb: float = 0.0

    @property
    def everywhere(self) -> bool:
        """Whether it may act on the city as a whole: an administrator, or an operator without a narrower scope."""
        if self.role is Role.OPERATOR:
            return not self.scope.names_streams and not self.scope.practices
        return self.role is Role.ADMINISTRATOR

    def may_steer(self, practice: str) -> bool:
        """Whether it may change a practice's mandate and parameters, and answer its commands."""
        if self.role is Role.ADMINISTRATOR or practice in self.scope.practices or ANY in self.scope.practices:
            return self.role in STAFF
        return self.role is Role.OPERATOR and not self.scope.practices

    def signed(self, for_whom: str = "") -> str:
        """Who stands on the record: the caller, and the person for whom it says that it acts."""
        return f"{self.name} for {for_whom}" if for_whom and for_whom != self.name else self.name


PUBLIC = Caller("public", Role.PUBLIC)
