"""Compute: functions run in worker processes, each with a deadline and a memory limit.

A function that hangs or eats memory loses its worker; a new one takes its place and the others go on.
"""

import asyncio
import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from pebble import ProcessExpired, ProcessPool

from civium.core import CiviumError

MEMORY_LIMIT = 3 * 1024**3  # of one worker [byte]
_LOOK_S = 1.0
_Result = TypeVar("_Result")


class ComputeFailed(CiviumError):
    """The function did not finish: it hung, its worker died, or memory ran out."""


class Compute(Protocol):
    """Where functions run."""

    same_disk: bool  # whether a function sees the files of this process

    async def run(self, function: Callable[..., _Result], *args: Any, deadline: float) -> _Result:
        """Result of ``function(*args)``; its own exceptions pass through. Raises ComputeFailed."""

    def close(self) -> None:
        """Stop what runs."""


class ProcessCompute:
    """A pool of worker processes."""

    same_disk = True

    def __init__(self, workers: int, prepare: Callable[[], None]) -> None:
        """``prepare`` is called once in each worker: what takes time there counts against no function's deadline."""
        self.workers, self._prepare = workers, prepare
        self._pool = self._made()

    async def run(self, function: Callable[..., _Result], *args: Any, deadline: float) -> _Result:
        """Result of ``function(*args)`` in a worker; its own exceptions pass through.

        Raises ComputeFailed when it takes longer than ``deadline`` [s], or its worker dies. Where the whole pool broke
        ``function`` is run once more in a new one, so it must be one that may run twice.
        """
        for _ in range(2):
            pool = self._pool
            try:
                return await _result(pool, function, args, deadline)
            except BrokenProcessPool:
                await self._replace(pool)
        raise ComputeFailed("its process died, and so did that of a second try")

    async def _replace(self, broken: ProcessPool) -> None:
        """Pebble's pool ends for good when a worker dies that had nothing to do: take a new one."""
        if self._pool is broken:
            self._pool = self._made()
            await asyncio.to_thread(_stop, broken)

    def _made(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self.workers,
            context=multiprocessing.get_context("spawn"),  # no inherited locks, sockets or lake connections
            initializer=_begin,
            initargs=(self._prepare,),
        )

    def close(self) -> None:
        _stop(self._pool)


async def _result(
    pool: ProcessPool, function: Callable[..., _Result], args: tuple[Any, ...], deadline: float
) -> _Result:
    """Raises BrokenProcessPool also where a pool that broke meanwhile would never answer."""
    try:
        future = asyncio.wrap_future(pool.schedule(function, args=args, timeout=deadline))
    except RuntimeError as error:  # it takes nothing any more
        raise BrokenProcessPool(str(error)) from None
    while not future.done():
        await asyncio.wait({future}, timeout=_LOOK_S)
        if not future.done() and not pool.active:
            future.cancel()
            raise BrokenProcessPool("it broke before it began with this")
    try:
        return future.result()
    except (TimeoutError, FutureTimeout):
        raise ComputeFailed(f"no answer within {deadline:g} s") from None
    except ProcessExpired as error:
        raise ComputeFailed(f"its process died (exit code {error.exitcode})") from None
    except MemoryError:
        raise ComputeFailed(f"it needed more than {MEMORY_LIMIT // 1024**2} MB of memory") from None


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotations here
    pool.join(timeout=10)


def _begin(prepare: Callable[[], None]) -> None:
    limit_memory()
    prepare()


def limit_memory() -> None:
    """Let this process have ``MEMORY_LIMIT`` at most."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
