"""Who does what: each piece of work has one holder at a time, and another takes it over within 10 s when it dies.

A lease is a key in the log that expires unless its holder renews it. It only shares work out: what must never happen
twice is fenced where it happens (an expected last sequence in the log, the applied row in the store), since a process
may sleep through the end of its lease and wake up believing in it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from math import ceil
from typing import Protocol

import nats
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from civium.core.tasks import end

_TTL_S = 6.0
_RENEW_S = 1.5
_BUCKET = "civium_leases"

Work = Callable[[str], AbstractAsyncContextManager[None]]  # does the work of a name between entry and exit


class Leases(Protocol):
    """Shares the work of a group out among the processes that offer to do it."""

    async def keep(self, group: str, names: Sequence[str], work: Work) -> None:
        """Do whatever part of ``names`` falls to this process, until ``close``."""

    async def close(self) -> None:
        """Lay everything down, last taken first."""

    def held(self, group: str) -> list[str]:
        """What this process does of a group at this moment."""


class AllOurs:
    """One process does everything: no lease is needed, and what fails at the start stops the start."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._held: dict[str, list[str]] = {}

    async def keep(self, group: str, names: Sequence[str], work: Work) -> None:
        for name in names:
            await self._stack.enter_async_context(work(name))
            self._held.setdefault(group, []).append(name)

    async def close(self) -> None:
        await self._stack.aclose()

    def held(self, group: str) -> list[str]:
        return self._held.get(group, [])


class SharedLeases:
    """Leases in the log. ``troubles`` gets what keeps a piece of work from being done here."""

    def __init__(self, js: JetStreamContext, bucket: KeyValue, me: str, troubles: dict[str, str]) -> None:
        self._js, self._bucket, self._me, self._troubles = js, bucket, me, troubles
        self._held: dict[str, dict[str, _Held]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, js: JetStreamContext, me: str, replicas: int, troubles: dict[str, str]) -> "SharedLeases":
        """``me`` names this process; no other may have the name."""
        bucket = await js.create_key_value(bucket=_BUCKET, ttl=_TTL_S, replicas=replicas)
        return cls(js, bucket, me, troubles)

    async def keep(self, group: str, names: Sequence[str], work: Work) -> None:
        self._held[group] = {}
        self._tasks.append(asyncio.create_task(self._keep(group, list(names), work)))

    async def close(self) -> None:
        await end(*self._tasks)
        for group, held in reversed(list(self._held.items())):
            for name in reversed(list(held)):
                await self._release(group, name)

    def held(self, group: str) -> list[str]:
        return [name for name, lease in self._held.get(group, {}).items() if lease.at_work]

    async def _keep(self, group: str, names: list[str], work: Work) -> None:
        loop = asyncio.get_running_loop()
        held = self._held[group]
        while True:
            try:
                await asyncio.wait_for(self._round(group, names, work), _TTL_S)
                self._troubles.pop(f"leases of {group}", None)
            except (TimeoutError, nats.errors.Error, APIError) as error:
                self._troubles[f"leases of {group}"] = f"the log does not answer: {error or type(error).__name__}"
            for name, lease in list(held.items()):
                if loop.time() - lease.renewed > _TTL_S - _RENEW_S or lease.task.done():
                    await self._drop(group, name)
            await asyncio.sleep(_RENEW_S)

    async def _round(self, group: str, names: list[str], work: Work) -> None:
        """Renew, then take what is free or give back what is more than a fair share."""
        loop, held = asyncio.get_running_loop(), self._held[group]
        await self._bucket.put(f"{group}.member.{self._me}", b"")
        for name, lease in list(held.items()):
            started = loop.time()
            try:
                lease.revision = await self._bucket.update(_key(group, name), self._me.encode(), lease.revision)
                lease.renewed = started
            except KeyWrongLastSequenceError:
                await self._drop(group, name)
        info = await self._js.stream_info(f"KV_{_BUCKET}", subjects_filter=f"$KV.{_BUCKET}.{group}.member.>")
        share = ceil(len(names) / max(len(info.state.subjects or {}), 1))
        while len(held) > share:
            await self._release(group, next(reversed(held)))
        for name in names:
            if len(held) >= share:
                break
            if name not in held:
                started = loop.time()
                try:
                    revision = await self._bucket.create(_key(group, name), self._me.encode())
                except KeyWrongLastSequenceError:
                    continue
                held[name] = _Held(revision, started)
                held[name].task = asyncio.create_task(self._work(group, name, held[name], work))

    async def _work(self, group: str, name: str, lease: "_Held", work: Work) -> None:
        subject = f"{group} {name}"
        try:
            async with work(name):
                lease.at_work = True
                self._troubles.pop(subject, None)
                await lease.over.wait()
        except Exception as error:
            self._troubles[subject] = f"{type(error).__name__}: {error}"
        finally:
            lease.at_work = False

    async def _drop(self, group: str, name: str) -> None:
        """End the work of a lease that is not ours any more, or whose work has failed."""
        lease = self._held[group].pop(name)
        failed = lease.task.done()
        await lease.end()
        if failed:
            await self._give_back(group, name, lease)

    async def _release(self, group: str, name: str) -> None:
        lease = self._held[group].pop(name)
        await lease.end()
        await self._give_back(group, name, lease)

    async def _give_back(self, group: str, name: str, lease: "_Held") -> None:
        try:
            await self._bucket.delete(_key(group, name), lease.revision)
        except (TimeoutError, nats.errors.Error, APIError):
            return  # it expires by itself


class _Held:
    """A lease of ours: its revision, when it was last renewed for certain, and the work that hangs on it."""

    task: asyncio.Task[None]

    def __init__(self, revision: int, renewed: float) -> None:
        self.revision, self.renewed = revision, renewed
        self.over = asyncio.Event()
        self.at_work = False

    async def end(self) -> None:
        """Stop the work in order if it goes on, at once if it has not begun or does not end."""
        if self.at_work:
            self.over.set()
        else:
            self.task.cancel()
        done, _ = await asyncio.wait([self.task], timeout=_TTL_S)
        if not done:
            self.task.cancel()


def _key(group: str, name: str) -> str:
    return f"{group}.lease.{name}"


@asynccontextmanager
async def during(start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Work that is started and stopped by two coroutine functions."""
    await start()
    try:
        yield
    finally:
        await stop()
