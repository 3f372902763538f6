"""The MQTT doors of a city: the log's own server, and that of the devices where they have one."""

import asyncio
from collections.abc import Sequence

from civium.sources.mqtt import MqttDoor
from civium.sources.mqtt_unconfirmed import Unconfirmed


class MqttDoors:
    """Several doors as one: for what the server confirms, and for what it does not."""

    def __init__(self, doors: Sequence[MqttDoor], unconfirmed: Unconfirmed) -> None:
        self._doors, self._unconfirmed = doors, unconfirmed

    @property
    def accepted(self) -> int:
        """Readings that were accepted since the start."""
        return sum(door.accepted for door in self._doors)

    @property
    def refused(self) -> int:
        """Messages that became dead letters since the start."""
        return sum(door.refused for door in self._doors)

    @property
    def trouble(self) -> str:
        """What holds up a door at this moment; empty when nothing does."""
        return "; ".join(str(door.failure) for door in self._doors if door.failure is not None)

    async def start(self) -> None:
        """Go on where the log says that each stopped."""
        for door in self._doors:
            await door.start()
        await self._unconfirmed.start()

    async def stop(self) -> None:
        """End them; what was not taken waits for the next start."""
        await asyncio.gather(self._unconfirmed.stop(), *(door.stop() for door in self._doors))

    async def reach(self) -> None:
        """Wait until everything that was acknowledged to a device by now is in the log."""
        await asyncio.gather(*(door.reach() for door in self._doors))
