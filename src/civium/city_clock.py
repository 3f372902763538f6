"""The city's clock: the machine's wall clock made to go only forward, or what a sandbox tells through the door."""

from collections.abc import Callable
from time import monotonic_ns

from civium.core import MICROSECONDS, Clock, WallClock

_SLOW = 2  # while the wall is behind, the city's clock runs at this part of the true speed
_WORTH_TELLING_S = 2.0


def _monotonic() -> int:
    return monotonic_ns() // 1000


class CityClock:
    """The city's time [us since epoch]; ``last`` is the last tick.

    The wall clock may be set back under a running city, or have been ahead before a restart. The city's clock does not
    go back with it: it goes on at half speed until the wall has caught up, so that staleness and lapse go on, and the
    two meet again.
    """

    def __init__(
        self, source: str, last: int, wall: Clock | None = None, monotonic: Callable[[], int] = _monotonic
    ) -> None:
        self.source, self.last = source, last
        self._wall, self._monotonic = wall or WallClock(), monotonic
        self._anchor = last, monotonic()  # the latest time that the wall gave, and when

    def now(self) -> int:
        """The present instant [us since epoch]; never earlier than what was told before."""
        if self.source != "wall":
            return self.last
        at = self._monotonic()
        told, told_at = self._anchor
        slow, wall = told + (at - told_at) // _SLOW, self._wall.now()
        if wall >= slow:
            self._anchor = wall, at
        return max(wall, slow, self.last)  # another process may have ticked by a clock that is ahead of ours

    def trouble(self) -> str:
        """What to tell an operator of a wall clock that was set back; empty when there is nothing to tell."""
        ahead = (self.now() - self._wall.now()) / MICROSECONDS
        if self.source != "wall" or ahead < _WORTH_TELLING_S:
            return ""
        return (
            f"the machine's clock was set back: the city's is {ahead:,.0f} s ahead and runs at half speed until they "
            "meet; look at the machine's time service"
        )
