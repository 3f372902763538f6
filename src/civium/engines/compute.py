"""Compute: functions run in worker processes, each with a deadline and a memory limit.

A function that hangs or eats memory loses its worker; a new one takes its place and the others go on.
"""

import asyncio
import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Protocol, TypeVar

from pebble import ProcessExpired, ProcessPool

from civium.core import CiviumError

MEMORY_LIMIT = 3 * 1024**3  # of one worker [byte]
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
        self.workers = workers
        self._pool = ProcessPool(
            max_workers=workers,
            context=multiprocessing.get_context("spawn"),  # no inherited locks, sockets or lake connections
            initializer=_begin,
            initargs=(prepare,),
        )

    async def run(self, function: Callable[..., _Result], *args: Any, deadline: float) -> _Result:
        """Result of ``function(*args)`` in a worker; its own exceptions pass through.

        Raises ComputeFailed when it takes longer than ``deadline`` [s], or its worker dies.
        """
        future = self._pool.schedule(function, args=args, timeout=deadline)
        try:
            result: _Result = await asyncio.wrap_future(future)
        except (TimeoutError, FutureTimeout):
            raise ComputeFailed(f"no answer within {deadline:g} s") from None
        except ProcessExpired as error:
            raise ComputeFailed(f"its process died (exit code {error.exitcode})") from None
        except MemoryError:
            raise ComputeFailed(f"it needed more than {MEMORY_LIMIT // 1024**2} MB of memory") from None
        return result

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotations here
        self._pool.join(timeout=10)


def _begin(prepare: Callable[[], None]) -> None:
    limit_memory()
    prepare()


def limit_memory() -> None:
    """Let this process have ``MEMORY_LIMIT`` at most."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
