"""Who may use a way of OpenStreetMap, and in which direction: car, bus, bicycle, foot.

Defaults and precedence follow https://wiki.openstreetmap.org/wiki/OSM_tags_for_routing/Access_restrictions: the most
special tag wins (``motorcar`` over ``motor_vehicle`` over ``vehicle`` over ``access``).
"""

from dataclasses import dataclass

from civium.twin.model.tags import Tags, parse_oneway

MODES = ("bicycle", "bus", "car", "foot")

_ALL = frozenset(MODES)
_DEFAULTS: dict[str, frozenset[str]] = {
    "motorway": frozenset({"car", "bus"}),
    "motorway_link": frozenset({"car", "bus"}),
    **dict.fromkeys(
        (
            "trunk",
            "trunk_link",
            "primary",
            "primary_link",
            "secondary",
            "secondary_link",
            "tertiary",
            "tertiary_link",
            "unclassified",
            "residential",
            "living_street",
            "service",
            "road",
        ),
        _ALL,
    ),
    "busway": frozenset({"bus"}),
    "bus_guideway": frozenset({"bus"}),
    "track": frozenset({"bicycle", "foot"}),
    "cycleway": frozenset({"bicycle", "foot"}),
    "path": frozenset({"bicycle", "foot"}),
    "bridleway": frozenset({"foot"}),
    "pedestrian": frozenset({"foot"}),
    "footway": frozenset({"foot"}),
    "corridor": frozenset({"foot"}),
    "steps": frozenset({"foot"}),
}
CLASSES = tuple(_DEFAULTS)
"""Values of ``highway`` that make a street of the model."""

_TAGS_BY_MODE = {
    "car": ("motorcar", "motor_vehicle", "vehicle", "access"),
    "bus": ("bus", "psv", "motor_vehicle", "vehicle", "access"),
    "bicycle": ("bicycle", "vehicle", "access"),
    "foot": ("foot", "access"),
}
_WIDENING = {"motorcar", "motor_vehicle", "bus", "psv", "bicycle", "foot"}
_FORBIDDEN = {"no", "agricultural", "forestry", "emergency", "military", "use_sidepath", "dismount"}
_RESTRICTED = {"private", "destination", "customers", "delivery", "permit", "residents"}
_CONTRAFLOW = {"opposite", "opposite_lane", "opposite_track", "opposite_share_busway"}
_BOTH_WAYS = {"no", "false", "0"}
_VEHICLES = frozenset({"car", "bus", "bicycle"})


@dataclass(frozen=True, slots=True)
class WayAccess:
    """Modes along a way's nodes, against them, and the restriction on cars that are let in (``private`` ...)."""

    forward: frozenset[str]
    backward: frozenset[str]
    restriction: str | None


def _allowed(tags: Tags, mode: str, default: bool) -> bool:
    for key in _TAGS_BY_MODE[mode]:
        value = tags.get(key, "").strip().lower()
        if value in _FORBIDDEN:
            return False
        # A general yes does not make a footpath a road: only a tag that names the mode itself widens its default.
        if value:
            return default or key in _WIDENING
    return default


def _restriction(tags: Tags) -> str | None:
    for key in _TAGS_BY_MODE["car"]:
        value = tags.get(key, "").strip().lower()
        if value:
            return value if value in _RESTRICTED else None
    return None


def _bicycle_contraflow(tags: Tags) -> bool:
    if tags.get("oneway:bicycle", "") in _BOTH_WAYS:
        return True
    return any(tags.get(f"cycleway{side}", "") in _CONTRAFLOW for side in ("", ":left", ":right", ":both"))


def _bus_contraflow(tags: Tags) -> bool:
    if tags.get("oneway:bus", "") in _BOTH_WAYS or tags.get("oneway:psv", "") in _BOTH_WAYS:
        return True
    return any(tags.get(f"busway{side}", "") == "opposite_lane" for side in ("", ":left", ":right", ":both"))


def way_access(tags: Tags) -> WayAccess:
    """Which modes may use a ``highway`` way in each direction; an unknown class is open to none."""
    default = _DEFAULTS.get(tags.get("highway", ""), frozenset())
    if tags.get("area") == "yes":
        default &= {"foot"}
    modes = frozenset(mode for mode in MODES if _allowed(tags, mode, mode in default)) if default else default
    forward, backward = set(modes), set(modes)
    direction = parse_oneway(tags)
    if direction != "both":
        against = backward if direction == "forward" else forward
        against -= _VEHICLES
        if "bicycle" in modes and _bicycle_contraflow(tags):
            against.add("bicycle")
        if "bus" in modes and _bus_contraflow(tags):
            against.add("bus")
    return WayAccess(frozenset(forward), frozenset(backward), _restriction(tags) if "car" in modes else None)
