"""The nouns that are stored: things, streams, observations, decisions and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Access(StrEnum):
    """Who may read a stream."""

    OPEN = "open"
    INTERNAL = "internal"
    RESTRICTED = "restricted"


class Mandate(StrEnum):
    """How far a practice may go by itself."""

    ADVISE = "advise"
    APPROVE = "approve"
    ACT = "act"


class Tier(IntEnum):
    """Which wish wins when two want the same actuator: life over duty over comfort."""

    COMFORT = 0
    DUTY = 1
    LIFE = 2


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that exists in the city."""

    id: int
    kind: str
    name: str
    where: Mapping[str, Any] | None  # GeoJSON geometry, WGS 84
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """The address of one measured property of one thing (SensorThings: Datastream)."""

    id: int
    thing: int
    sensor: int
    property: str
    unit: str  # the SI unit in which values are kept
    type: str = "number"  # number, text or json
    access: Access = Access.OPEN
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One result of one stream. Instants in [us since epoch]."""

    id: int
    stream: int
    time: int
    made: int
    value: float | str | Mapping[str, Any] | None
    until: int | None = None
    quality: int | None = None
    feature: int | None = None
    params: Mapping[str, Any] | None = None
    parent: str | None = None  # the Decision that caused it


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the record: what a practice wanted at one tick, and from what it was computed."""

    id: str  # practice.shard.tick
    practice: str
    shard: str
    tick: int  # [us since epoch]
    cut: Mapping[str, int]  # log stream -> last sequence that the View could see
    digests: Mapping[str, str]  # view, state_in, state_out, params, code, lock
    plan: Mapping[str, Any]
    mandate: Mandate


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """What became of a command of a decision.

    ``what`` is one of admitted, refused, advised, pending, approved, sent, failed, confirmed, overridden, released,
    lapsed.
    """

    decision: str
    command: int  # position in the plan
    what: str
    at: int  # [us since epoch]
    who: str = ""
    why: str = ""
    observation: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth about an earlier decision, when it arrives."""

    decision: str
    time: int
    value: float
