"""Who is inside by MQTT: asked about at each login, and sent away when a change ends what it was told."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from civium.core import Access
from civium.core.tasks import end
from civium.engines.catalog import Change
from civium.engines.catalog.tables import DATASTREAMS, THINGS, TOKENS
from civium.refusals import Refusals

if TYPE_CHECKING:
    from civium.city import City

_SOON_S = 0.2  # changes that follow one another are looked at together


class Doorkeeper:
    """Of the servers that are the city's own; those of a cluster have users in their own configuration."""

    def __init__(self, city: "City") -> None:
        self._city, self.refusals = city, Refusals(city.changes)
        self._servers = [server for server in (city.log, city.devices) if server is not None]
        self._narrowed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Answer logins from now on."""
        for server in self._servers:
            await server.answer_logins(self._city.rights.admit, partial(self.refusals.wrong_token, "mqtt"))
        self._city.changes.watch(self.take)
        self._tasks = [asyncio.create_task(self._review()), asyncio.create_task(self.refusals.write())]

    async def stop(self) -> None:
        await end(*self._tasks)

    async def take(self, _: int, change: Change) -> None:
        """Look anew at who is inside, if a change may have taken something from somebody."""
        taken = [*change.updates, *change.deletes]
        guarded = any(map(_is_guarded, change.rows.get(DATASTREAMS.name, ())))
        if guarded or {DATASTREAMS.name, THINGS.name, TOKENS.name}.intersection(taken):
            self._narrowed.set()

    async def _review(self) -> None:
        while True:
            await self._narrowed.wait()
            await asyncio.sleep(_SOON_S)
            self._narrowed.clear()
            for server in self._servers:
                await server.review_logins()


def _is_guarded(row: Mapping[str, Any]) -> bool:
    return row.get("access", Access.OPEN) != Access.OPEN or bool(row.get("personal"))
