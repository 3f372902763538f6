"""Things of an extract that stand at a place: land use, trees, stops, parking, lamps, signals, crossings."""

from collections.abc import Sequence
from typing import Any

import shapely
from pyproj import Transformer

from civium.twin.model.buildings import is_building
from civium.twin.model.measure import areas, shapes_of
from civium.twin.model.osm import Area, Node, Way
from civium.twin.model.streets import is_vehicle_signal
from civium.twin.model.tags import Tags, parse_count, parse_flag, parse_height, parse_levels, text_of
from civium.twin.model.uses import ground_use

Rows = list[dict[str, Any]]

CAR_SPACE = 25.0
"""Ground per car with its share of the aisle [m2]: a bay of 12.5 m2 and as much to reach it."""

_STREET_SIDE_SPACE = 13.0  # a bay beside the carriageway, which is the aisle [m2]


def _shapes(found: Sequence[Area]) -> Any:
    return shapes_of(shapely.from_wkb([area.shape for area in found]))


def _node_rows(nodes: Sequence[Node]) -> list[tuple[Node, Any]]:
    return [(node, shapely.Point(node.lon, node.lat)) for node in nodes]


def build_landuse(found: Sequence[Area], projection: Transformer) -> Rows:
    """Rows of the layer ``landuse``; what is a building is no ground."""
    ground = [(area, use) for area in found if not is_building(area.tags) and (use := ground_use(area.tags))]
    shapes = _shapes([area for area, _ in ground])
    return [
        {
            "id": area.id,
            "name": text_of(area.tags, "name"),
            "group": use[0],
            "kind": use[1],
            "area": float(size),
            "geometry": shape,
        }
        for (area, use), shape, size in zip(ground, shapes, areas(shapes, projection), strict=True)
    ]


def _tree(id_: str, kind: str, tags: Tags, shape: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "kind": kind,
        "species": text_of(tags, "species", "genus", "taxon"),
        "leaf_type": text_of(tags, "leaf_type"),
        "height": parse_height(tags.get("height", "")),
        "crown_diameter": parse_height(tags.get("diameter_crown", "")),
        "geometry": shape,
    }


def build_trees(nodes: Sequence[Node], ways: Sequence[Way]) -> Rows:
    """Rows of the layer ``trees``; a row of trees stays one line, for nobody mapped where each stands."""
    trees = [node for node in nodes if node.tags.get("natural") == "tree"]
    rows = [_tree(f"node/{node.id}", "tree", node.tags, point) for node, point in _node_rows(trees)]
    return rows + [
        _tree(f"way/{way.id}", "tree_row", way.tags, shapely.MultiLineString(lines))
        for way in ways
        if way.tags.get("natural") == "tree_row" and (lines := way.lines())
    ]


def _stop(tags: Tags) -> tuple[str, str] | None:
    """Kind and role of a stop, or None. ``public_transport`` is the newer scheme, the rest the older one."""
    highway, railway, amenity = tags.get("highway"), tags.get("railway"), tags.get("amenity")
    scheme = tags.get("public_transport")
    if railway == "station" or railway == "halt" or scheme == "station" or amenity in {"bus_station", "ferry_terminal"}:
        role = "station"
    elif highway == "bus_stop" or scheme == "platform" or railway in {"tram_stop", "platform"}:
        role = "platform"
    elif scheme == "stop_position":
        role = "stop_position"
    else:
        return None
    if parse_flag(tags.get("subway")) or tags.get("station") == "subway":
        return "metro", role
    if parse_flag(tags.get("tram")) or parse_flag(tags.get("light_rail")) or railway == "tram_stop":
        return "tram", role
    if parse_flag(tags.get("train")) or railway in {"station", "halt", "platform"}:
        return "rail", role
    if amenity == "ferry_terminal" or parse_flag(tags.get("ferry")):
        return "ferry", role
    if any(parse_flag(tags.get(key)) for key in ("funicular", "aerialway", "monorail")):
        return "cable", role
    bus = parse_flag(tags.get("bus")) or parse_flag(tags.get("trolleybus")) or highway == "bus_stop"
    return "bus" if bus or amenity == "bus_station" else "unknown", role


def build_stops(nodes: Sequence[Node], ways: Sequence[Way], found: Sequence[Area]) -> Rows:
    """Rows of the layer ``stops`` that were mapped; a platform is represented by a point on it."""
    places = [(f"node/{node.id}", node.tags, point) for node, point in _node_rows(nodes)]
    places += [
        (area.id, area.tags, point) for area, point in zip(found, shapely.point_on_surface(_shapes(found)), strict=True)
    ]
    faces = {area.id for area in found}
    for way in ways:
        if f"way/{way.id}" not in faces and _stop(way.tags) and (lines := way.lines()):
            middle = shapely.LineString(lines[0]).interpolate(0.5, normalized=True)
            places.append((f"way/{way.id}", way.tags, middle))
    return [
        {
            "id": id_,
            "name": text_of(tags, "name"),
            "source": "osm",
            "kind": stop[0],
            "role": stop[1],
            "code": text_of(tags, "ref", "local_ref"),
            "wheelchair": parse_flag(tags["wheelchair"]) if tags.get("wheelchair") in {"yes", "no"} else None,
            "routes": None,
            "trips": None,
            "geometry": point,
        }
        for id_, tags, point in places
        if (stop := _stop(tags)) and not parse_flag(tags.get("disused"))
    ]


_PARKING = {"parking": "car", "motorcycle_parking": "motorcycle", "bicycle_parking": "bicycle"}


def _capacity(tags: Tags, vehicle: str, area: float | None) -> tuple[int | None, str]:
    tagged = parse_count(tags.get("capacity", ""))
    if tagged is not None:
        return tagged, "tag"
    if vehicle != "car" or not area:
        return None, "none"
    kind = tags.get("parking", "surface")
    per_space = _STREET_SIDE_SPACE if kind in {"street_side", "lane", "on_kerb", "half_on_kerb"} else CAR_SPACE
    decks = 1.0
    if kind == "multi-storey":
        decks = parse_levels(tags.get("building:levels", tags.get("levels", ""))) or 2.0
    elif kind == "underground":
        decks = parse_levels(tags.get("building:levels:underground", "")) or 1.0
    return max(1, int(decks * area / per_space)), "estimated"


def build_parking(nodes: Sequence[Node], found: Sequence[Area], projection: Transformer) -> Rows:
    """Rows of the layer ``parking``; capacity as tagged, else estimated from the area, else unknown."""
    lots = [area for area in found if area.tags.get("amenity") in _PARKING]
    shapes = _shapes(lots)
    places: list[tuple[str, Tags, float | None, Any]] = [
        (area.id, area.tags, float(size), shape)
        for area, size, shape in zip(lots, areas(shapes, projection), shapes, strict=True)
    ]
    spots = [node for node in nodes if node.tags.get("amenity") in _PARKING]
    places += [(f"node/{node.id}", node.tags, None, point) for node, point in _node_rows(spots)]
    rows = []
    for id_, tags, area, shape in places:
        vehicle = _PARKING[tags["amenity"]]
        capacity, source = _capacity(tags, vehicle, area)
        rows.append(
            {
                "id": id_,
                "name": text_of(tags, "name"),
                "vehicle": vehicle,
                "kind": text_of(tags, "parking", "bicycle_parking"),
                "capacity": capacity,
                "capacity_source": source,
                "access": text_of(tags, "access"),
                "fee": text_of(tags, "fee"),
                "area": area,
                "geometry": shape,
            }
        )
    return rows


def build_lamps(nodes: Sequence[Node]) -> Rows:
    """Rows of the layer ``lamps``: only those that somebody mapped."""
    lamps = [node for node in nodes if node.tags.get("highway") == "street_lamp"]
    return [
        {
            "id": f"node/{node.id}",
            "node": node.id,
            "ref": text_of(node.tags, "ref"),
            "light": text_of(node.tags, "lamp_type", "light:method", "light_source"),
            "mount": text_of(node.tags, "lamp_mount", "support"),
            "height": parse_height(node.tags.get("light:height", node.tags.get("height", ""))),
            "geometry": point,
        }
        for node, point in _node_rows(lamps)
    ]


def _crossing_kind(tags: Tags) -> str:
    said = tags.get("crossing", "")
    if said == "traffic_signals" or parse_flag(tags.get("crossing:signals")) or is_vehicle_signal(tags):
        return "signals"
    if said in {"uncontrolled", "zebra", "marked"} or parse_flag(tags.get("crossing:markings")):
        return "marked"
    return "unmarked" if said == "unmarked" or tags.get("crossing:markings") == "no" else "unknown"


def _is_crossing(tags: Tags) -> bool:
    return "crossing" in tags.get("highway", "").split(";") and tags.get("crossing") != "no"


def build_crossings(nodes: Sequence[Node]) -> Rows:
    """Rows of the layer ``crossings``."""
    return [
        {
            "id": f"node/{node.id}",
            "node": node.id,
            "kind": _crossing_kind(node.tags),
            "island": parse_flag(node.tags.get("crossing:island")) or node.tags.get("crossing") == "island",
            "tactile": text_of(node.tags, "tactile_paving"),
            "kerb": text_of(node.tags, "kerb"),
            "geometry": point,
        }
        for node, point in _node_rows([node for node in nodes if _is_crossing(node.tags)])
    ]


def build_signals(nodes: Sequence[Node], street_nodes: Rows) -> Rows:
    """Rows of the layer ``signals``: signals for vehicles, and signals at crossings that are no vehicle signal."""
    on_street = {row["id"] for row in street_nodes}
    rows = []
    for node, point in _node_rows(nodes):
        if is_vehicle_signal(node.tags):
            kind = "street"
        elif _is_crossing(node.tags) and _crossing_kind(node.tags) == "signals":
            kind = "crossing"
        else:
            continue
        direction = node.tags.get("traffic_signals:direction", node.tags.get("direction", ""))
        rows.append(
            {
                "id": f"node/{node.id}",
                "node": node.id,
                "kind": kind,
                "direction": direction if direction in {"forward", "backward", "both"} else None,
                "on_street": node.id in on_street,
                "geometry": point,
            }
        )
    return rows
