"""What the doctor found: how it is, in words, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a finding is: ``good``, worth a ``look``, or ``bad`` (the exit code is 1)."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``do`` says what to do about it."""

    what: str
    state: State
    said: str
    do: str = ""


def judged(what: str, said: str, *, bad: str = "", look: str = "") -> Finding:
    """``bad`` if there is something that must be done, else a ``look`` if there is something to look at, else good."""
    state = State.BAD if bad else State.LOOK if look else State.GOOD
    return Finding(what, state, said, bad or look)
