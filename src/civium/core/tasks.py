"""Background work: how it is ended."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_S = 0.5


async def end(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks until they are over; what they raised is nobody's concern any more.

    Once is not enough: Python 3.11's ``wait_for`` forgets a cancellation that comes together with its answer, and a
    busy task would go on for ever.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let ``work`` run between entry and exit."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)
