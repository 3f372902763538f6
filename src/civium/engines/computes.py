"""The engine that decisions are computed on, as the settings name it."""

from collections.abc import Callable

from civium.engines.abilities import check
from civium.engines.compute import Compute, ProcessCompute
from civium.engines.ray_compute import RayCompute
from civium.engines.settings import Settings


def open_compute(settings: Settings, prepare: Callable[[], None]) -> Compute:
    """Processes of this machine, each of which runs ``prepare`` first, or a Ray cluster."""
    scheme, rest = check("compute", settings.engines.compute)
    return RayCompute(rest) if scheme == "ray" else ProcessCompute(int(rest or 2), prepare)
