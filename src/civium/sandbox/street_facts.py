"""Describes the streets of a SUMO net as Things: what a vehicle on a mission may use, where it lies, what follows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from civium.sandbox.sumo_net import Place, open_xml

EMERGENCY = "emergency"  # SUMO's class of vehicles
METRES_PER_DEGREE = 111_195.0
ToLonLat = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class StreetThing:
    """One direction of one street section. ``lon`` and ``lat`` [deg] of its middle."""

    key: str
    name: str
    lon: float
    lat: float
    facts: dict[str, Any]


def street_key(edge: str) -> str:
    """Key of the Thing of a net's edge."""
    return f"street/{edge}"


def ground(net: Path) -> ToLonLat:
    """Longitude and latitude [deg] of points of a net [m]. A net that lies nowhere is put on the equator."""
    offset, projection = (0.0, 0.0), "!"
    with open_xml(net) as stream:
        for _, element in ET.iterparse(stream):  # noqa: S314 (the operator's own net)
            if element.tag == "location":
                x, y = element.attrib.get("netOffset", "0,0").split(",")
                offset, projection = (float(x), float(y)), element.attrib.get("projParameter", "!")
                break
    place = Place(offset, projection)

    def to_lonlat(x: float, y: float) -> tuple[float, float]:
        lon, lat = place(x, y)
        return (x / METRES_PER_DEGREE, y / METRES_PER_DEGREE) if lon is None or lat is None else (lon, lat)

    return to_lonlat


def street_things(net: Path) -> list[StreetThing]:
    """The streets of a net that an emergency vehicle may use, in the net's order."""
    to_lonlat = ground(net)
    lanes: dict[str, dict[int, ET.Element]] = {}
    names: dict[str, str] = {}
    following: dict[str, dict[str, None]] = {}
    ways: list[dict[str, str]] = []
    with open_xml(net) as stream:
        for _, element in ET.iterparse(stream):  # noqa: S314 (the operator's own net)
            if element.tag == "edge" and element.get("function") is None:
                open_lanes = {int(lane.attrib["index"]): lane for lane in element.iterfind("lane") if _may_drive(lane)}
                if open_lanes:
                    lanes[element.attrib["id"]] = open_lanes
                    names[element.attrib["id"]] = element.get("name", "")
            elif element.tag == "connection" and element.get("from", ":")[0] != ":":
                ways.append(dict(element.attrib))
    for way in ways:
        start, end = lanes.get(way["from"], {}), lanes.get(way["to"], {})
        if int(way.get("fromLane", "0")) in start and int(way.get("toLane", "0")) in end:
            following.setdefault(way["from"], {})[way["to"]] = None
    return [
        _thing(key, names[key], list(found.values()), following.get(key, {}), to_lonlat) for key, found in lanes.items()
    ]


def _may_drive(lane: ET.Element) -> bool:
    allow, disallow = lane.get("allow", "all").split(), lane.get("disallow", "").split()
    return not {"all", EMERGENCY} & set(disallow) and bool({"all", EMERGENCY} & set(allow))


def _thing(key: str, name: str, lanes: list[ET.Element], to: dict[str, None], to_lonlat: ToLonLat) -> StreetThing:
    middle = lanes[len(lanes) // 2]
    points = [[float(v) for v in point.split(",")[:2]] for point in middle.attrib["shape"].split()]
    shape = [[round(v, 7) for v in to_lonlat(x, y)] for x, y in points]
    facts = {
        "street": key,
        "to": list(to),
        "length_m": float(middle.attrib["length"]),
        "speed_m_s": max(float(lane.attrib["speed"]) for lane in lanes),
        "lanes": len(lanes),
        "shape": shape,
    }
    lon, lat = shape[len(shape) // 2]
    return StreetThing(street_key(key), name or key, lon, lat, facts)
