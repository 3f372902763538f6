"""The score: one line of a benchmark's table, ours beside the baseline of the same run and the published figure.

A practice's ``bench.py`` defines ``def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]``, and
``OPTIONS``, what each of its own options means, if it has any. It raises ``ValueError`` for what it cannot use.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


def _unheard(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Settings:
    """How a bench is run.

    ``data`` is the folder of recorded data (CIVIUM_BENCH_DATA) or None; ``seeds`` the random seeds, empty for the
    bench's own; ``scenarios`` extra inputs named by the user (nets, weather files), run instead of the built-in ones
    when given; ``smoke`` asks for the smallest run that still proves that the bench works; ``options`` are the bench's
    own, as it declares them. ``tell`` hears what must stay on the screen, such as what is left out; ``say`` hears how
    far it is.
    """

    data: Path | None
    seeds: tuple[int, ...]
    scenarios: tuple[Path, ...] = ()
    smoke: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = _unheard


@dataclass(frozen=True, slots=True)
class Score:
    """Ours and the baseline of this run; ``published`` is quoted from its ``source``; ``floor`` is what CI holds."""

    scenario: str
    metric: str
    unit: str
    ours: float
    baseline: float
    better: Literal["lower", "higher"]
    published: float | None = None
    source: str = ""
    floor: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether ours keeps the floor (true when there is none; NaN never holds)."""
        if self.floor is None:
            return True
        return self.ours <= self.floor if self.better == "lower" else self.ours >= self.floor


BenchFunction = Callable[[Settings, Callable[[str], None]], Iterator[Score]]
