"""The task: one admitted command on its way to a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from civium.core import to_datetime


@dataclass(frozen=True, slots=True)
class Task:
    """``id`` makes a repeat harmless: a device ignores a task that it has seen. ``until`` and ``created`` [us since
    epoch]; ``number`` is the id of the SensorThings Task."""

    id: str
    number: int
    created: int
    decision: str
    actuator: int
    address: str
    value: float | str
    until: int
    parameters: Mapping[str, Any] | None = None  # by the names that its capability has for them

    def encode(self) -> bytes:
        """What the device reads (JSON); in it what a client of the standard looks for in a Task."""
        until, own = to_datetime(self.until).isoformat(), self.parameters
        return msgspec.json.encode(
            {
                "@iot.id": self.number,
                "creationTime": to_datetime(self.created).isoformat(),
                "id": self.id,
                "decision": self.decision,
                "value": self.value,
                "until": until,
                "taskingParameters": {**({"value": self.value} if own is None else own), "until": until},
            }
        )


class Sender(Protocol):
    """Speaks one actuator protocol."""

    async def send(self, tasks: list[Task]) -> list[str | None]:
        """Hand tasks over; for each None, or why it could not be handed over."""
        ...

    async def close(self) -> None: ...
