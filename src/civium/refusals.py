"""Who was not let in, and what was not allowed: counted, and written on the audit once a minute at most."""

import asyncio
from collections import Counter, deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from civium.engines.passing import TROUBLE
from civium.sources.changes import Edits

if TYPE_CHECKING:
    from civium.sources.changes import Changes

WHO = "nobody"  # under whose name they stand on the audit
_SOON_S, _AT_MOST_EVERY_S = 1.0, 60.0
_HOUR_S = 3600.0
_NAMED = 10  # in one entry of the audit
_MOST_APART = 1_000  # beyond it they are counted together


class Refusals:
    """Those of this process. No token is ever given to it."""

    def __init__(self, changes: "Changes") -> None:
        self._changes = changes
        self._new: Counter[str] = Counter()
        self._past: deque[tuple[float, Counter[str]]] = deque()  # what was written, and when [s]
        self._some = asyncio.Event()

    def wrong_token(self, way: str, address: str) -> None:
        """A token that is none was shown over http or mqtt."""
        self._count(f"wrong token over {way} from {address or 'somewhere'}")

    def beyond(self, caller: str, address: str) -> None:
        """A caller asked for what it may not do."""
        self._count(f"'{caller}' beyond its rights, from {address or 'somewhere'}")

    def _count(self, what: str) -> None:
        self._new[what if what in self._new or len(self._new) < _MOST_APART else "others"] += 1
        self._some.set()

    async def write(self) -> None:
        """Write down what came since, as it comes and once a minute at most."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_SOON_S)
            self._some.clear()
            counted, self._new = self._new, Counter()
            self._past.append((monotonic(), counted))
            try:
                await self._changes.make(lambda _: Edits(), who=WHO, why=_words(counted), bare=True)
            except TROUBLE:
                self._new.update(counted)  # the log is away: with the next ones
                self._past.pop()
                self._some.set()
            await asyncio.sleep(_AT_MOST_EVERY_S)

    def told(self) -> dict[str, Any]:
        """How many there were in the last hour, and which most often."""
        while self._past and self._past[0][0] < monotonic() - _HOUR_S:
            self._past.popleft()
        counts = sum((counted for _, counted in self._past), self._new.copy())
        most = counts.most_common(1)
        return {"last_hour": counts.total(), "most": f"{most[0][1]} times {most[0][0]}" if most else ""}


def _words(counted: Counter[str]) -> str:
    named = [f"{count} x {what}" for what, count in counted.most_common(_NAMED)]
    left = counted.total() - sum(count for _, count in counted.most_common(_NAMED))
    return "refused: " + "; ".join([*named, *([f"and {left} more"] if left else [])])
