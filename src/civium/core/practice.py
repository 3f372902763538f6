"""A practice: one decision module, described as data and one pure function.

``decide(view, state, params) -> (plan, state)`` reads no clock, does no input or output, and has no randomness
but ``params.seed``. State is a mapping of named numpy arrays, at most 16 MB a shard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from civium.core.nouns import Tier

if TYPE_CHECKING:
    from civium.core.view import View

State = Mapping[str, NDArray[Any]]
MAX_STATE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Need:
    """A declared input.

    Either observations (``property``, and ``kind`` of the thing observed) or a layer of the city model (``layer``).
    ``unit`` is the SI unit that the practice expects; ``window`` [s] how far back the frame reaches; ``wait`` [s] how
    long to wait for late data (the frame then ends at ``now - wait``); ``stale`` [s] the age at which the newest
    reading is too old; ``required``: when every stream is stale or none exists, the practice holds (NeedUnmet).
    """

    name: str
    property: str = ""
    kind: str = ""
    layer: str = ""
    unit: str = ""
    window: float = 60.0
    wait: float = 0.0
    stale: float = 60.0
    required: bool = True


@dataclass(frozen=True, slots=True)
class Make:
    """A property that the practice estimates for things of a kind; each gets a stream of its own.

    ``foretells`` names the needed property of the same things that it says in advance: each estimate of it is made at
    ``time`` for the instant ``until``, and later held against what was measured then.
    """

    property: str
    kind: str
    unit: str
    description: str = ""
    foretells: str = ""


@dataclass(frozen=True, slots=True)
class Params:
    """Base of a practice's parameters: subclass it as a frozen dataclass whose fields all have defaults."""

    seed: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A wish for an actuator, valid until ``until`` [us since epoch], then the device's own safe default.

    ``actuator`` is the id of the actuator (``view.actuators``); ``value`` a number or text that it understands.
    """

    actuator: int
    value: float | str
    until: int
    tier: Tier = Tier.COMFORT
    because: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A derived observation to be written back for ``thing`` and a property that the practice ``makes``.

    Instants in [us since epoch]; value in the SI unit of the ``Make``; lower and upper bound an interval, if known.
    """

    thing: int
    property: str
    time: int
    value: float
    until: int | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Words for a desk or for the public: a text ``key`` of the practice's register and its values."""

    audience: str  # desk, public or owner
    severity: str  # info, warning or alarm
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    about: int | None = None  # thing


@dataclass(frozen=True, slots=True)
class Plan:
    """What a practice wants; describing, never doing."""

    commands: tuple[Command, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    notices: tuple[Notice, ...] = ()
    because: str = ""


Decide = Callable[["View", State, Any], tuple[Plan, State]]


def no_state(view: "View", params: Any) -> State:
    """Start with nothing to remember."""
    return {}


@dataclass(frozen=True, slots=True)
class Practice:
    """The contract of one decision module.

    ``every`` [s] is the time between turns; ``deadline`` [s] how long one decision may take; ``requires`` names the
    extras of Civium (``civium[energy]``) that ``decide`` needs.

    A practice may be decided in ``shards`` parts, each with a View, a state and turns of its own: things that have the
    same value of the fact ``shard_by`` (``"id"``: each thing by itself) are always seen together. Every need for
    observations must then name a kind.
    """

    id: str
    title: str
    needs: tuple[Need, ...]
    decide: Decide
    every: float
    makes: tuple[Make, ...] = ()
    acts_on: str = ""  # kind of the actuators that it may command; "" = none
    start: Callable[["View", Any], State] = no_state
    params: type[Params] = Params
    tier: Tier = Tier.COMFORT
    deadline: float = 10.0
    requires: tuple[str, ...] = ()
    shard_by: str = ""
    shards: int = 1

    def __post_init__(self) -> None:
        if self.shards < 1 or (self.shards > 1) != bool(self.shard_by):
            raise ValueError(f"{self.id}: name a fact in shard_by and more than one of shards, or neither")
        if self.shards > 1 and not all(need.kind or need.layer for need in self.needs):
            raise ValueError(f"{self.id} is decided in shards: each of its needs must name the kind of its things")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its shards, as the record has them: with other shards it begins afresh."""
        return ("all",) if self.shards == 1 else tuple(f"{n}of{self.shards}" for n in range(self.shards))


def state_bytes(state: State) -> int:
    """Size of a state [byte]."""
    return sum(np.asarray(a).nbytes for a in state.values())
