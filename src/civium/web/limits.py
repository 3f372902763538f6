"""How often a caller may come: a bucket for each token, and for each address that shows none, in bounded memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from civium.core import InputRefused

_MOST_BUCKETS = 10_000  # callers that are counted apart; who has not come for longest is forgotten
FAILURES = 5.0  # tokens that are none, each second, from one address
_BURST_S = 10.0  # of a rate, may come at once


class TooMany(InputRefused):
    """A caller comes too often; it may come again after ``retry_s`` [s]."""

    def __init__(self, why: str, retry_s: float) -> None:
        super().__init__(f"{why}; come again in {ceil(retry_s)} s", status=429)
        self.retry_s = ceil(retry_s)


class Buckets:
    """Counts requests by caller, by any clock that never goes back [s]."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when it was counted

    def take(self, who: str, rate: float, why: str) -> None:
        """Count one request of ``rate`` [1/s]; raises TooMany when that is one too many."""
        now, most = self._clock(), max(1.0, rate * _BURST_S)
        left, at = self._left.pop(who, (most, now))
        left = min(most, left + (now - at) * rate)
        enough = left >= 1.0
        self._left[who] = (left - 1.0 if enough else left, now)
        while len(self._left) > _MOST_BUCKETS:
            self._left.popitem(last=False)
        if not enough:
            raise TooMany(why, (1.0 - left) / rate)
