"""Workers that are killed, at work or idle, are no end: what is asked next is answered."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from civium.engines.compute import ComputeFailed, ProcessCompute


def ready() -> None:
    """Nothing to prepare."""


def own_pid() -> int:
    return os.getpid()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


@pytest.fixture
def compute() -> Iterator[ProcessCompute]:
    made = ProcessCompute(2, ready)
    yield made
    made.close()


def kill_workers() -> None:
    """kill -9 of the workers, and of what looks after their semaphores; not of what other tests have running."""
    for child in psutil.Process().children():
        if any("multiprocessing" in word for word in child.cmdline()):
            child.send_signal(signal.SIGKILL)


def test_idle_workers_that_die_are_replaced(compute: ProcessCompute) -> None:
    async def ask() -> None:
        pids = set()
        for _ in range(3):
            pids.add(await compute.run(own_pid, deadline=60))
            kill_workers()
            await asyncio.sleep(1)
        pids.add(await compute.run(own_pid, deadline=60))
        assert len(pids) == 4

    asyncio.run(ask())


def test_what_is_asked_while_the_pool_breaks_is_answered_all_of_it(compute: ProcessCompute) -> None:
    async def ask() -> None:
        await compute.run(own_pid, deadline=60)
        kill_workers()
        told = await asyncio.gather(*(compute.run(own_pid, deadline=60) for _ in range(20)))
        assert os.getpid() not in told

    asyncio.run(asyncio.wait_for(ask(), 120))


def test_a_worker_that_dies_at_work_fails_its_function_alone(compute: ProcessCompute) -> None:
    async def ask() -> None:
        await compute.run(own_pid, deadline=60)
        asked = [asyncio.create_task(compute.run(sleep, 60.0, deadline=120)) for _ in range(2)]
        await asyncio.sleep(3)
        kill_workers()
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, ComputeFailed) for one in told), told
        assert await compute.run(own_pid, deadline=60) > 0

    asyncio.run(asyncio.wait_for(ask(), 120))


def test_what_a_function_raises_passes_and_is_not_tried_again(compute: ProcessCompute) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(compute.run(divmod, 1, 0, deadline=60))
    with pytest.raises(ComputeFailed, match=r"no answer within 0\.5 s"):
        asyncio.run(compute.run(sleep, 30.0, deadline=0.5))
