"""A nats-server of the devices' own, where their MQTT shall not wait for the disk: synced from time to time only.

What it keeps of the devices' messages is taken into the log, which is always synced, within moments. Only a power cut
can lose what it acknowledged and what was neither synced there nor taken by then. Its stream then counts on from where
the disk stood, and gives numbers that were taken already to new messages; here they are numbered on.
"""

import dataclasses
from pathlib import Path
from typing import Any

import nats

from civium.engines.log import Log
from civium.engines.mailbox import MQTT_STREAM, PRIVATE, Listener, prepare_mqtt
from civium.engines.mqtt_logins import Logins
from civium.engines.nats_server import NatsServer
from civium.engines.passing import ignore
from civium.engines.settings import ALWAYS, Settings, address, mqtt_tls, trusting
from civium.engines.tail import Message, Tail

_FOLDER = "devices"


class Devices(Log):
    """Their server and a connection to it; its sequences never go back."""

    _shift = 0  # what is added to a sequence of the stream itself
    _recovered: int | None = None  # the stream's last sequence before any device could connect

    @classmethod
    async def beside(cls, log: Log, settings: Settings, folder: Path, operator: str = "") -> "Devices | None":
        """Start it beside an embedded log: when the settings want it, or when it holds what was not taken yet.

        ``folder`` is the city's; ``operator``: see ``NatsServer``.
        """
        if log.server is None:
            return None
        place, sync = log.server.folder / _FOLDER, settings.doors.mqtt_sync
        wanted = sync != ALWAYS
        if not wanted and not (place / "jetstream").exists():
            return None
        recovered = await prepare_mqtt(NatsServer(place, PRIVATE, PRIVATE, sync))
        doors = [address(settings.doors.mqtt), address(settings.doors.websocket)] if wanted else [PRIVATE, PRIVATE]
        trusts = trusting(settings)
        tls = mqtt_tls(settings, folder) if wanted else None
        options: dict[str, Any] = {"operator": operator, "logins": Logins(), "anonymous": trusts, "tls": tls}
        server = NatsServer(place, doors[0], doors[1], sync, **options)
        await server.start()
        client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignore)
        devices = cls(client, Listener.of(server), server)
        devices._recovered = recovered
        return devices

    async def count_on(self, name: str, log: Log, taken: int) -> None:
        """See to it that new messages are numbered behind ``taken``, the last that ``log`` holds."""
        mark = f"{name}-{''.join(filter(str.isdigit, await self.created(MQTT_STREAM)))}"
        self._shift = await log.mark(mark)
        if self._recovered is not None and self._recovered + self._shift < taken:
            self._shift = taken - self._recovered
            await log.keep_mark(mark, self._shift)
        self._recovered = None  # from now on the stream is ahead of what is taken

    async def last_of(self, stream: str, subject: str) -> Message | None:
        found = await super().last_of(stream, subject)
        return found and dataclasses.replace(found, sequence=found.sequence + self._shift)

    async def forget_mqtt(self, sequence: int) -> None:
        await super().forget_mqtt(max(sequence - self._shift, 0))

    def tail(self, stream: str, after: int, *, subjects: tuple[str, ...] = (), headers_only: bool = False) -> Tail:
        tail = super().tail(stream, after, subjects=subjects, headers_only=headers_only)
        tail.shift = self._shift
        return tail
