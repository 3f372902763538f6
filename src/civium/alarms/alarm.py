"""The alarm, and how each event changes it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 20_000  # runs of streams in one event

Event = dict[str, Any]
Ids = NDArray[np.int64]


@dataclass
class Alarm:
    """One alarm as it stands. Instants in [us since epoch]; 0 where it never was."""

    id: int
    rule: str
    title: str
    severity: str
    group: str  # kind:name
    name: str  # of the group, for people
    said: str  # the condition in words
    on_call: str
    latched: bool
    raised: int
    armed: int  # since when somebody is waited for: raised, or taken from the shelf
    holds: bool = True  # whether the condition holds
    acknowledged: int = 0
    acknowledged_by: str = ""
    shelved_until: int = 0
    shelved_by: str = ""
    shelved_why: str = ""
    cleared: int = 0
    cleared_by: str = ""
    cleared_why: str = ""
    step: int = -1  # the last step of the on-call list that was reached
    told: dict[str, tuple[int, bool]] = field(default_factory=dict)  # step -> when it was last told, and whether it was
    size: int = 0
    practice: str = ""
    streams: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    ever: Ids = field(default_factory=lambda: np.empty(0, np.int64))  # and those that it was about and is no more

    @property
    def state(self) -> str:
        """``open``, ``acknowledged``, ``shelved`` or ``cleared``."""
        if self.cleared:
            return "cleared"
        return "shelved" if self.shelved_until else "acknowledged" if self.acknowledged else "open"


def pack_streams(streams: Iterable[int] | Ids) -> list[list[list[int]]]:
    """Streams as runs of first id and count, in parts that fit into one event each."""
    ids = np.unique(np.asarray(streams, np.int64))
    if len(ids) == 0:
        return []
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    first = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([first, [len(ids)]]))
    runs = np.stack([ids[first], counts], axis=1).tolist()
    return [runs[start : start + _AT_ONCE] for start in range(0, len(runs), _AT_ONCE)]


def unpack_streams(runs: Sequence[Sequence[int]]) -> Ids:
    """The streams of ``pack_streams``."""
    return np.concatenate([np.arange(first, first + count) for first, count in runs] or [np.empty(0, np.int64)])


RAISED = ("rule", "title", "severity", "group", "name", "said", "on_call", "latched")


def _raise(alarm: Alarm, event: Event, at: int) -> None:
    _join(alarm, event, at)
    if event.get("shelved_until"):
        alarm.shelved_until = event["shelved_until"]
        alarm.shelved_by, alarm.shelved_why = event.get("who", ""), event.get("why", "")


def _join(alarm: Alarm, event: Event, _: int) -> None:
    more = unpack_streams(event.get("streams", ()))
    alarm.streams, alarm.ever = np.union1d(alarm.streams, more), np.union1d(alarm.ever, more)
    alarm.holds = True


def _leave(alarm: Alarm, event: Event, _: int) -> None:
    alarm.streams = np.setdiff1d(alarm.streams, unpack_streams(event["streams"]))


def _return(alarm: Alarm, _: Event, __: int) -> None:
    alarm.holds = False


def _acknowledge(alarm: Alarm, event: Event, at: int) -> None:
    alarm.acknowledged, alarm.acknowledged_by = at, event["who"]


def _shelve(alarm: Alarm, event: Event, _: int) -> None:
    alarm.shelved_until, alarm.shelved_by, alarm.shelved_why = event["until"], event["who"], event["why"]


def _unshelve(alarm: Alarm, _: Event, at: int) -> None:
    alarm.shelved_until, alarm.shelved_by, alarm.shelved_why = 0, "", ""
    alarm.armed, alarm.step, alarm.told = at, -1, {}


def _escalate(alarm: Alarm, event: Event, _: int) -> None:
    alarm.step = event["step"]


def _notify(alarm: Alarm, event: Event, at: int) -> None:
    alarm.told = {**alarm.told, str(event["step"]): (at, bool(event["ok"]))}


def _clear(alarm: Alarm, event: Event, at: int) -> None:
    alarm.cleared, alarm.cleared_by, alarm.cleared_why = at, event["who"], event["why"]
    alarm.holds = False


CHANGES: dict[str, Callable[[Alarm, Event, int], None]] = {
    "raised": _raise,
    "joined": _join,
    "left": _leave,
    "returned": _return,
    "acknowledged": _acknowledge,
    "shelved": _shelve,
    "unshelved": _unshelve,
    "escalated": _escalate,
    "notified": _notify,
    "cleared": _clear,
}
