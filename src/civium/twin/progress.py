"""How far something has come in the log of each shard, and who waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from civium.core import CiviumError
from civium.core.observations import shards_in

_NUDGE_S = 0.5
_PATIENCE_S = 30.0

Nudge = Callable[[int, int], Awaitable[None]]  # tells whoever folds a shard that a reader waits for a sequence


class FoldBehind(CiviumError):
    """Accepted rows cannot be read yet. The reader must come back later; an operator look at the writers."""


class Progress:
    """The last sequence of each shard that is folded; what keeps a shard from moving stands in ``failure``."""

    def __init__(self, nudge: Nudge | None = None) -> None:
        self.failure: dict[int, Exception] = {}
        self._at: dict[int, int] = {}
        self._wanted: dict[int, int] = {}
        self._nudge = nudge
        self._moved = asyncio.Condition()

    def at(self, shard: int) -> int:
        """The last sequence that is folded."""
        return self._at.get(shard, 0)

    def wanted(self, shard: int) -> int:
        """The last sequence that some reader waits for."""
        return self._wanted.get(shard, 0)

    def want(self, shard: int, sequence: int) -> None:
        """A reader waits for a sequence."""
        self._wanted[shard] = max(self.wanted(shard), sequence)

    async def move(self, shard: int, sequence: int) -> None:
        """The shard is folded up to ``sequence``."""
        async with self._moved:
            self._at[shard] = max(self.at(shard), sequence)
            self.failure.pop(shard, None)
            self._moved.notify_all()

    async def fail(self, shard: int, failure: Exception) -> None:
        """Readers that wait are told; the next move clears it."""
        async with self._moved:
            self.failure[shard] = failure
            self._moved.notify_all()

    async def reach(self, cut: Mapping[str, int]) -> None:
        """Wait until every shard is folded up to its sequence in ``cut``.

        Raises what stopped a shard, or FoldBehind when nobody folds it.
        """
        wanted = {shard: last for shard, last in shards_in(cut).items() if self.at(shard) < last}
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        for shard, last in wanted.items():
            self.want(shard, last)
        while behind := {shard: last for shard, last in wanted.items() if self.at(shard) < last}:
            for shard, last in behind.items():
                if shard in self.failure:
                    raise self.failure[shard]
                if self._nudge is not None:
                    await self._nudge(shard, last)
            if asyncio.get_running_loop().time() > deadline:
                names = ", ".join(map(str, behind))
                raise FoldBehind(
                    f"shard {names} is not folded up to what was accepted: does a writer run? Try again later"
                )
            try:
                async with self._moved:
                    await asyncio.wait_for(self._moved.wait_for(lambda: self._over(behind)), _NUDGE_S)
            except TimeoutError:
                continue

    def _over(self, behind: Mapping[int, int]) -> bool:
        return all(self.at(shard) >= last for shard, last in behind.items()) or bool(
            self.failure.keys() & behind.keys()
        )
