"""What it is worth: forecasts and probabilities on recorded counts, and driving saved in a simulated town.

``civium bench parking`` takes ``birmingham-parking`` and ``dlr-sumo-scenarios/BadHersfeld.tar.xz`` of the data folder;
folders of the same layouts may be named instead.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from civium.bench.score import Score, Settings
from civium.practices.parking import bench_counts, bench_town


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Counts, then towns. ``ValueError`` for a folder of neither layout."""
    for path in settings.scenarios or _recorded(settings):
        if bench_town.is_town(path):
            yield from bench_town.bench(path, settings.smoke, settings.seeds, say)
        else:
            yield from bench_counts.bench(bench_counts.read(path), settings.smoke, settings.seeds, say)


def _recorded(settings: Settings) -> Iterator[Path]:
    for part in ("birmingham-parking", "dlr-sumo-scenarios/BadHersfeld.tar.xz"):
        if settings.data is not None and (settings.data / part).exists():
            yield settings.data / part
        else:
            settings.tell(f"{part} is not in the data folder: left out")
