"""Views for ``civium check``: a fleet at turns that close its day and at others, and one with nothing known of it."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from civium.core import View

_spec = spec_from_file_location("pv_fleet_world", Path(__file__).parent / "world.py")
assert _spec is not None
assert _spec.loader is not None
_world = module_from_spec(_spec)
_spec.loader.exec_module(_world)


def example_views() -> list[View]:
    """Turns that close a day and turns that do not."""
    known, unknown = _world.World(plants=8), _world.World(plants=3, facts={})
    days = [view for _, view in known.turns(4)] + [view for _, view in known.turns(1, every=6.0, first=5)]
    return days + [view for _, view in unknown.turns(3)]
