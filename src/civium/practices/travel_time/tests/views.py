"""Views for ``civium check``: a street with traffic, one with little, one in silence, and one with strange values."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from civium.core import View

_spec = spec_from_file_location("travel_time_world", Path(__file__).parent / "world.py")
assert _spec is not None
assert _spec.loader is not None
_world = module_from_spec(_spec)
_spec.loader.exec_module(_world)


def example_views() -> list[View]:
    """Enough traffic for a figure, too little for one, none, and pseudonyms that are none."""
    reader, seconds, device = _world.drive(90.0, 40)
    strange = device.astype(float)
    strange[::5] = float("nan")
    strange[1::5] = -3.0
    strange[2::5] = 1e300
    return [
        _world.view(reader, seconds, device),
        _world.view(*_world.drive(90.0, 3)),
        _world.view([], [], []),
        _world.view(reader, seconds, strange),
    ]
