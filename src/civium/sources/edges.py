"""Edges: servers for the devices of a place, which keep what those send while the centre is out of reach."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from civium.core.tasks import running
from civium.engines.passing import TROUBLE
from civium.sources.mqtt import MqttDoor

_LOOK_S = 3.0


class Edge:
    """Takes from one edge whenever it is in reach, in the order in which its devices sent."""

    def __init__(self, door: MqttDoor) -> None:
        self.door = door
        self.away = "it was not reached yet"  # why nothing is taken at this moment

    @asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        """Take from it until the end, however often it goes and comes."""
        try:
            async with running(self._attend()):
                yield
        finally:
            await self.door.stop()

    async def _attend(self) -> None:
        started = False
        while True:
            try:
                if started and await self.door.is_another():  # its disk was replaced: it counts from the beginning
                    await self.door.stop()
                    started = False
                if not started:
                    await self.door.start()
                    started = True
                self.away = ""
            except TROUBLE as error:
                self.away = str(error) or type(error).__name__
            await asyncio.sleep(_LOOK_S)
