"""Several doors on one shard of a shared log: none stores a message with keys before it has seen all that came before.

The log takes such a message only behind the last one that its door has seen. Who was overtaken looks at what the other
door stored, and tries again.
"""

import asyncio
import secrets
from contextlib import suppress

from civium.engines.log import LogUnavailable

_STAND_BACK_S = 0.01  # at most, after another door was first


class Overtaken(Exception):
    """Another door stored a message with keys before ours: ours must be looked at again."""


class Taken(LogUnavailable):
    """What was to be stored came to another door at the same moment, under the same key; the sender must ask again."""


class Seen:
    """What this door has seen of the messages with keys in one shard."""

    def __init__(self, stream: str) -> None:
        self.subject = f"civium.{stream.lower()}"
        self.keyed = f"{self.subject}.*.keyed"
        self.turn = asyncio.Lock()  # held by the one message of this door that may be overtaken
        self.last = 0  # sequence of the last such message
        self._under: dict[str, int] = {}  # the same for each subject
        self._news = asyncio.Event()

    def see(self, subject: str, sequence: int) -> None:
        """The keys of a message are in the index, and those of all before it."""
        self._under[subject] = max(sequence, self._under.get(subject, 0))
        self.last = max(sequence, self.last)
        self._news.set()

    def follows(self, subject: str, after: int) -> bool:
        """Whether nothing was stored under a subject behind the message ``after``."""
        return self._under.get(f"{self.subject}.{subject}", after) <= after

    def stored(self, subject: str, sequence: int) -> None:
        """A message of our own was stored, behind all that were seen."""
        self.see(f"{self.subject}.{subject}", sequence)

    async def look(self, seen: int, patience: float) -> None:
        """Wait until something behind ``seen`` was seen, at most ``patience`` [s], and then for another's luck."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.last <= seen:
                    self._news.clear()
                    await self._news.wait()
        await asyncio.sleep(_STAND_BACK_S * secrets.randbelow(1000) / 1000)
