"""Reads from OpenStreetMap where people live, work and go, and where the street lamps stand.

Each building has a floor area [m^2] and a share of it per use; together they say how many trips begin and end there.
A town whose extract holds hardly any building gets places along its streets instead, so that every town comes alive.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core.extras import require
from civium.sandbox.streets import Streets

HOME, WORK, VISIT = 0, 1, 2
# Shares of the floor area used for homes, work and visits (shops, schools, leisure), by OSM building or land use tag.
_USES: dict[str, tuple[float, float, float]] = {
    tag: share
    for tags, share in (
        ("apartments house residential detached terrace semidetached_house dormitory bungalow farm", (1.0, 0.0, 0.0)),
        ("office commercial government public civic bank bureau", (0.0, 0.9, 0.1)),
        ("industrial warehouse manufacture brownfield railway construction", (0.0, 0.4, 0.0)),
        ("retail supermarket mall kiosk hotel restaurant cafe cinema theatre library museum", (0.0, 0.3, 0.7)),
        ("sports_centre place_of_worship church", (0.0, 0.1, 0.5)),
        ("school kindergarten university college hospital", (0.0, 0.4, 0.4)),
        ("roof garage garages carport shed hut greenhouse ruins allotments", (0.0, 0.0, 0.0)),
        ("farmland forest grass meadow cemetery greenhouse_horticulture", (0.0, 0.0, 0.0)),
    )
    for tag in tags.split()
}
_MIXED = (0.6, 0.3, 0.1)  # a building of which nothing is known
_PLAUSIBLE_LEVELS = 40.0
_FEWEST_BUILDINGS_PER_KM = 2.0  # of street, below which the extract is taken to lack its buildings
_FLOOR_PER_METRE = 20.0  # [m^2] of floor along a metre of street where buildings are not mapped


@dataclass(frozen=True)
class Places:
    """Where trips begin and end; arrays of n places, in the net's plane [m], and the lamp posts of the map."""

    xy: NDArray[np.float64]  # (n, 2)
    footprint: NDArray[np.float64]  # (n,) [m^2]
    floor: NDArray[np.float64]  # (n, 3) [m^2] for homes, work, visits
    mapped: bool  # whether they are buildings of the map
    lamps: NDArray[np.float64]  # (m, 2)


def read_places(extract: Path, streets: Streets) -> Places:
    """Places of an OSM extract; ``streets`` gives the plane, and the places where the map has too few buildings."""
    osmium = require("osmium", "sandbox")
    shapely = require("shapely", "sandbox")
    factory = osmium.geom.WKBFactory()
    buildings: list[Any] = []
    tags: list[tuple[str, float]] = []
    zones: list[Any] = []
    zone_uses: list[str] = []
    lamps: list[tuple[float, float]] = []
    wanted = osmium.filter.KeyFilter("building", "landuse", "highway")
    for entity in (
        osmium.FileProcessor(extract).with_areas(osmium.filter.KeyFilter("building", "landuse")).with_filter(wanted)
    ):
        if entity.is_node() and entity.tags.get("highway") == "street_lamp":
            lamps.append((entity.location.lon, entity.location.lat))
        elif entity.is_area():
            try:
                outline = shapely.from_wkb(factory.create_multipolygon(entity))
            except RuntimeError:  # a polygon cut open by the edge of the extract
                continue
            if "building" in entity.tags:
                buildings.append(outline)
                tags.append((_use_tag(entity.tags), _levels(entity.tags.get("building:levels", ""))))
            elif entity.tags.get("landuse") in _USES:
                zones.append(outline)
                zone_uses.append(entity.tags["landuse"])
    in_plane = _projected(lamps, streets)
    kilometres = sum(e.length for e in streets.edges.values()) / 1000
    if len(buildings) < _FEWEST_BUILDINGS_PER_KM * kilometres:
        return _along_streets(streets, in_plane)
    outlines = shapely.transform(np.array(buildings), streets.to_plane)
    footprint = shapely.area(outlines)
    centres = shapely.centroid(outlines)
    uses = [tag if tag in _USES else "" for tag, _ in tags]
    if zones:
        tree = shapely.STRtree(shapely.transform(np.array(zones), streets.to_plane))
        for building, zone in zip(*tree.query(centres, predicate="within"), strict=True):
            uses[building] = uses[building] or zone_uses[zone]
    levels = np.array([known or (1.0 if area < 80 else 2.0 if area < 250 else 4.0)
                       for (_, known), area in zip(tags, footprint, strict=True)])  # fmt: skip
    share = np.array([_USES.get(use, _MIXED) for use in uses])
    return Places(shapely.get_coordinates(centres), footprint, share * (footprint * levels)[:, None], True, in_plane)


def _use_tag(tags: Any) -> str:
    if tags.get("amenity") in _USES:
        return str(tags["amenity"])
    for key, use in (("shop", "retail"), ("office", "office"), ("tourism", "hotel"), ("leisure", "sports_centre")):
        if key in tags:
            return use
    return str(tags["building"])


def _levels(text: str) -> float:
    try:
        levels = float(text.split(";")[0].replace(",", "."))
    except ValueError:
        return 0.0
    return levels if 0 < levels <= _PLAUSIBLE_LEVELS else 0.0


def _projected(lonlat: list[tuple[float, float]], streets: Streets) -> NDArray[np.float64]:
    return streets.to_plane(np.array(lonlat)) if lonlat else np.empty((0, 2))


def _along_streets(streets: Streets, lamps: NDArray[np.float64]) -> Places:
    inhabited = [
        e for e in streets.edges.values() if e.kind in ("residential", "tertiary", "living_street", "unclassified")
    ]
    edges = inhabited or list(streets.edges.values())
    length = np.array([e.length for e in edges])
    middle = np.array([e.shape[len(e.shape) // 2] for e in edges])
    floor = np.outer(length * _FLOOR_PER_METRE, _MIXED)
    return Places(middle, length * _FLOOR_PER_METRE / 3, floor, False, lamps)
