"""What it is worth: sudden slow-downs (NAB), forecasts (Los-loop, Aarhus), and detours round an incident in SUMO.

``civium bench congestion`` takes the four from the data folder; folders of the same layouts may be named instead.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from civium.bench.score import Score, Settings
from civium.practices.congestion import bench_incident, bench_nab, bench_series

PARTS = ("nab-traffic", "los-loop", "aarhus", "dlr-sumo-scenarios/bologna-acosta.tar.xz")


def bench(settings: Settings, say: Callable[[str], None]) -> Iterator[Score]:
    """Each input by its layout. ``ValueError`` for one of none."""
    for path in settings.scenarios or _recorded(settings):
        if (path / "labels" / "combined_windows.json").exists():
            yield from bench_nab.bench(path, say)
        elif list(path.glob("los_speed.csv*")):
            yield from bench_series.los(path, settings.smoke, say)
        elif (path / "avgMeasuredTime.parquet").exists():
            yield from bench_series.aarhus(path, settings.smoke, say)
        else:
            yield from bench_incident.bench(path, settings.smoke, settings.seeds, say)


def _recorded(settings: Settings) -> Iterator[Path]:
    for part in PARTS:
        if settings.data is not None and (settings.data / part).exists():
            yield settings.data / part
        else:
            settings.tell(f"{part} is not in the data folder: left out")
