"""Compute on a Ray cluster: functions run on whatever node has room, each with a deadline and a memory limit."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from civium.core import EngineUnsuitable
from civium.core.extras import require
from civium.engines.compute import MEMORY_LIMIT, ComputeFailed, limit_memory

_Result = TypeVar("_Result")
_RETRIES = 2  # of a function whose node died: it is pure, so it may run again


class RayCompute:
    """A connection to a Ray cluster whose nodes have this release of Civium and the city's practices installed."""

    same_disk = False  # a worker may be on another node: what it needs is passed to it

    def __init__(self, address: str) -> None:
        """``address``: ``host:6379`` of the head as a node of the cluster, ``//host:10001`` as a client from outside.

        Raises EngineUnsuitable when no cluster answers.
        """
        self._ray: Any = require("ray", "cluster")
        where = f"ray:{address}" if address.startswith("//") else address or "auto"
        try:
            self._ray.init(where, namespace="civium", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise EngineUnsuitable("compute", f"no Ray cluster answers at '{where}': {error}") from None
        self._limited = self._ray.remote(max_retries=_RETRIES, num_cpus=1)(_limited)

    async def run(self, function: Callable[..., _Result], *args: Any, deadline: float) -> _Result:
        """Result of ``function(*args)`` on some node; its own exceptions pass through.

        Raises ComputeFailed when it takes longer than ``deadline`` [s] of which it may wait for room, or when its nodes
        die again and again.
        """
        errors = self._ray.exceptions
        task = self._limited.remote(function, *args)
        try:
            result: _Result = await asyncio.wait_for(asyncio.wrap_future(task.future()), deadline)
        except TimeoutError:
            self._ray.cancel(task, force=True)
            raise ComputeFailed(f"no answer within {deadline:g} s") from None
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, MemoryError):
                raise ComputeFailed(f"it needed more than {MEMORY_LIMIT // 1024**2} MB of memory") from None
            raise cause from None
        except errors.RayError as error:
            raise ComputeFailed(f"its process died ({type(error).__name__})") from None
        return result

    def close(self) -> None:
        self._ray.shutdown()


def _limited(function: Callable[..., _Result], *args: Any) -> _Result:
    limit_memory()
    return function(*args)
