"""Time: instants are integer microseconds since 1970-01-01T00:00:00Z; durations are seconds [s].

A clock is always passed in; no function of Civium reads the wall clock by itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Protocol

MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the present instant [us since epoch]."""

    def now(self) -> int: ...


class WallClock:
    """The machine's own clock."""

    def now(self) -> int:
        return time_ns() // 1000


@dataclass(slots=True)
class FixedClock:
    """A clock that stands where it was put: for tests, replay and the sandbox."""

    at: int

    def now(self) -> int:
        return self.at


def from_datetime(when: datetime) -> int:
    """Instant [us since epoch] of an aware ``datetime``; a naive one is refused, since its zone is a guess."""
    if when.tzinfo is None:
        raise ValueError(f"{when.isoformat()} has no time zone")
    return (when - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: int) -> datetime:
    """Aware UTC ``datetime`` of an instant [us since epoch]."""
    return _EPOCH + timedelta(microseconds=instant)
