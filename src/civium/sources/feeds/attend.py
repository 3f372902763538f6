"""Attends to the sources of a city: each runs by itself, begins again after trouble, and stops no other."""

import asyncio
import hmac
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from typing import Any

from civium.core import CiviumError, InputRefused, to_datetime
from civium.core.tasks import end, running
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.sink import CitySink, Taken, WayIn
from civium.sources.feeds.source import Source, SourceSettings, SourceTrouble, Unreadable, load_kinds, read_settings

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_QUICK_BYTES = 16_384  # a longer body is decoded beside the loop


class Attended:
    """One source of this city."""

    def __init__(self, name: str, source: Source, settings: SourceSettings, sink: CitySink) -> None:
        self.name, self.source, self.settings, self.sink = name, source, settings, sink

    @property
    def posted(self) -> bool:
        """Whether the foreign system posts; else it is fetched from, or subscribed to."""
        return not self.settings.url

    @property
    def trouble(self) -> str:
        """Why nothing is taken at this moment; empty when nothing is wrong."""
        return self.sink.waits or self.sink.failure

    def attended(self) -> AbstractAsyncContextManager[None]:
        """Take from it between entry and exit, however often it fails."""
        return running(self._attend())

    async def _attend(self) -> None:
        wait = _WAIT_S
        while True:
            before = self.sink.accepted
            # A task of its own: a library may cancel what it runs in, and would end us.
            work = asyncio.create_task(self._run())
            try:
                await asyncio.wait([work])
            finally:
                await end(work)
            self.sink.failure, self.sink.waits = _why(work), ""
            wait = _WAIT_S if self.sink.accepted > before else min(2 * wait, _LONGEST_WAIT_S)
            await asyncio.sleep(wait)

    async def _run(self) -> None:
        assert self.source.run is not None
        try:
            await self.source.run(self.settings, self.sink)
        except SystemExit as error:  # the city's process is not its to end
            raise SourceTrouble(f"it wanted to end the process ({error})") from None

    def allows(self, given: str) -> bool:
        """Whether ``given`` is the token of this source; raises SecretMissing when the environment lacks it."""
        if self.settings.token is None:
            return False
        told, own = (
            blake2b(text.encode("utf-8", "replace")).digest() for text in (given, self.settings.token.reveal())
        )
        return hmac.compare_digest(told, own)

    async def receive(self, body: bytes, headers: Mapping[str, str], key: str) -> Taken:
        """Take in what was posted; ``key`` is the request's idempotency key. Raises InputRefused, LogUnavailable."""
        decode = self.source.decode
        assert decode is not None
        try:
            if len(body) > _QUICK_BYTES:
                items = await asyncio.to_thread(decode, self.settings, body, headers)
            else:
                items = decode(self.settings, body, headers)
        except Unreadable as error:
            self.sink.refused += 1
            raise InputRefused(str(error)) from None
        return await self.sink.take(items, key, body)

    def state(self) -> dict[str, Any]:
        """How it is, for the status."""
        sink = self.sink
        return {
            "kind": self.source.id,
            "posted": self.posted,
            "accepted": sink.accepted,
            "refused": sink.refused,
            "last": to_datetime(sink.last).isoformat() if sink.last else None,
            "trouble": self.trouble,
        }


class Sources:
    """The sources that a city declares."""

    @classmethod
    async def open(cls, declared: Mapping[str, Mapping[str, Any]], way: WayIn) -> "Sources":
        """Those of ``[sources.NAME]``; raises SettingsWrong for one that cannot be."""
        return cls(declared, way, await way.log.created("CAT") if declared else "")

    def __init__(self, declared: Mapping[str, Mapping[str, Any]], way: WayIn, city: str) -> None:
        self.by_name: dict[str, Attended] = {}
        kinds = load_kinds() if declared else None
        for name, raw in declared.items():
            if not _NAME.fullmatch(name):
                raise SettingsWrong(f"[sources.{name}]: use lower-case letters, digits, _ and -, 40 at most")
            assert kinds is not None
            source, settings = read_settings(name, raw, kinds)
            login = f"civium-{blake2b(f'{city}/{name}'.encode(), digest_size=6).hexdigest()}"
            self.by_name[name] = Attended(name, source, settings, CitySink(name, login, settings, way))

    @property
    def fetched(self) -> list[str]:
        """The names of those that are fetched from or subscribed to."""
        return [name for name, one in self.by_name.items() if not one.posted]

    def attended(self, name: str) -> AbstractAsyncContextManager[None]:
        """The work of one source, between entry and exit."""
        return self.by_name[name].attended()

    @property
    def accepted(self) -> int:
        """Readings that were accepted since the start."""
        return sum(one.sink.accepted for one in self.by_name.values())

    @property
    def refused(self) -> int:
        """What became dead letters since the start."""
        return sum(one.sink.refused for one in self.by_name.values())


def _why(work: "asyncio.Future[None]") -> str:
    if work.cancelled():
        return "it was broken off from within; it begins again"
    error = work.exception()
    if error is None:
        return "it ended by itself; it begins again"
    if isinstance(error, CiviumError):
        return str(error)
    return f"{type(error).__name__}: {error}"
