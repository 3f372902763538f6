"""The layers of the city model: what columns each has, and how to read them back as Arrow.

A layer is one GeoParquet file, ``NAME.parquet``, in the twin's folder: WGS 84 (longitude, latitude in [deg]), geometry
as WKB, rows sorted by ``id``. Reading needs nothing but pyarrow.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from civium.core import InputRefused
from civium.twin.model.refusal import reason

SUMMARY = "twin.json"


def _column(name: str, kind: pa.DataType, what: str, *, unit: str = "", absent: bool = False) -> pa.Field:
    """A column; ``absent`` columns may be null: the source does not say."""
    notes = {"description": what} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, nullable=absent, metadata=notes)


def _layer(what: str, *columns: pa.Field) -> pa.Schema:
    return pa.schema([*columns, _column("geometry", pa.binary(), "WKB, WGS 84", unit="deg")], {"description": what})


_TEXT, _WHOLE, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_ID = _column("id", _TEXT, "where it comes from: node/1, way/1, relation/1, sea/0, gtfs/FEED/STOP, cityjson/KEY")
_NAME = _column("name", _TEXT, "its name", absent=True)

LAYERS: Mapping[str, pa.Schema] = MappingProxyType(
    {
        "streets": _layer(
            "directed edges of the street graph, from junction to junction",
            _column("id", _WHOLE, "(way * 65536 + piece of the way) * 2 + (1 if against the way's nodes)"),
            _column("from_node", _WHOLE, "street node where the edge begins"),
            _column("to_node", _WHOLE, "street node where the edge ends"),
            _column("way", _WHOLE, "OpenStreetMap way"),
            _column("class", _TEXT, "value of the tag highway"),
            _column("lanes", pa.int16(), "lanes for vehicles in this direction; 0 where none may drive"),
            _column("lanes_source", _TEXT, "tag, split (total halved), assumed, or none"),
            _column("speed", _REAL, "speed limit for vehicles; null where none may drive", unit="m/s", absent=True),
            _column("speed_source", _TEXT, "tag, zone (statutory), assumed, or none"),
            _column("oneway", _FLAG, "vehicles may use the street in one direction only"),
            _column("length", _REAL, "length on the ellipsoid", unit="m"),
            _NAME,
            _column("ref", _TEXT, "road number", absent=True),
            _column("modes", _TEXT, "who may use it in this direction: of bicycle bus car foot, blank between"),
            _column("access", _TEXT, "restriction on cars: private, destination, customers ...", absent=True),
            _column("roundabout", _FLAG, "part of a roundabout"),
            _column("bridge", _FLAG, "on a bridge"),
            _column("tunnel", _FLAG, "in a tunnel or under a building"),
            _column("surface", _TEXT, "tag surface", absent=True),
            _column("lit", _TEXT, "tag lit", absent=True),
        ),
        "street_nodes": _layer(
            "nodes of the street graph",
            _column("id", _WHOLE, "OpenStreetMap node"),
            _column("degree", _WHOLE, "pieces of street that meet here, whatever their direction"),
            _column("signal", _FLAG, "has a traffic signal"),
        ),
        "turn_restrictions": _layer(
            "turns that are forbidden or prescribed",
            _ID,
            _column("kind", _TEXT, "no_left_turn, only_straight_on, ..."),
            _column("from_way", _WHOLE, "OpenStreetMap way that one comes from"),
            _column("to_way", _WHOLE, "OpenStreetMap way that one turns into"),
            _column("via_node", _WHOLE, "node of the turn", absent=True),
            _column("via_way", _WHOLE, "way between, where the turn is not at one node", absent=True),
            _column("from_edge", _WHOLE, "street edge before the turn; null if not in the graph", absent=True),
            _column("to_edge", _WHOLE, "street edge after the turn; null if not in the graph", absent=True),
            _column("applies_to", _TEXT, "vehicle or mode that it holds for; null: all vehicles", absent=True),
            _column("except", _TEXT, "modes that are exempt", absent=True),
            _column("condition", _TEXT, "when it holds, as tagged; null: always", absent=True),
        ),
        "signals": _layer(
            "traffic signals",
            _ID,
            _column("node", _WHOLE, "OpenStreetMap node"),
            _column("kind", _TEXT, "street (signal for vehicles) or crossing (signal at a crossing)"),
            _column("direction", _TEXT, "along its way: forward, backward, both; null: not said", absent=True),
            _column("on_street", _FLAG, "the node is a node of the street graph"),
        ),
        "crossings": _layer(
            "pedestrian and cycle crossings",
            _ID,
            _column("node", _WHOLE, "OpenStreetMap node"),
            _column("kind", _TEXT, "signals, marked, unmarked or unknown"),
            _column("island", _FLAG, "has a refuge island"),
            _column("tactile", _TEXT, "tag tactile_paving", absent=True),
            _column("kerb", _TEXT, "tag kerb", absent=True),
        ),
        "buildings": _layer(
            "buildings, by their footprint",
            _ID,
            _NAME,
            _column("address", _TEXT, "street and number", absent=True),
            _column("use", _TEXT, "residential, commercial, industrial, public, ... or unknown"),
            _column("use_source", _TEXT, "tag, landuse (of the ground it stands on), cityjson, or none"),
            _column("kind", _TEXT, "value of the tag building", absent=True),
            _column("height", _REAL, "height above the ground, with roof", unit="m"),
            _column("height_source", _TEXT, "tag, levels, estimated, or cityjson"),
            _column("levels", pa.int16(), "floors above the ground"),
            _column("levels_source", _TEXT, "tag, height, estimated, or cityjson"),
            _column("footprint_area", _REAL, "area of the footprint", unit="m2"),
            _column("roof_shape", _TEXT, "tag roof:shape", absent=True),
        ),
        "landuse": _layer(
            "what the ground is used for",
            _ID,
            _NAME,
            _column("group", _TEXT, "residential, commercial, industrial, education, health, green, farm, sport, ..."),
            _column("kind", _TEXT, "the tag, such as landuse=residential"),
            _column("area", _REAL, "area", unit="m2"),
        ),
        "trees": _layer(
            "trees and rows of trees",
            _ID,
            _column("kind", _TEXT, "tree (a point) or tree_row (a line)"),
            _column("species", _TEXT, "species, or genus", absent=True),
            _column("leaf_type", _TEXT, "broadleaved, needleleaved", absent=True),
            _column("height", _REAL, "height", unit="m", absent=True),
            _column("crown_diameter", _REAL, "width of the crown", unit="m", absent=True),
        ),
        "stops": _layer(
            "stops and stations of public transport",
            _ID,
            _NAME,
            _column("source", _TEXT, "osm or gtfs"),
            _column("kind", _TEXT, "bus, tram, metro, rail, ferry, cable, or unknown"),
            _column("role", _TEXT, "platform, station, or stop_position (on the carriageway)"),
            _column("code", _TEXT, "what the stop is called on its sign", absent=True),
            _column("wheelchair", _FLAG, "step-free", absent=True),
            _column("routes", _WHOLE, "routes of the timetable that call; null: not from a timetable", absent=True),
            _column("trips", _WHOLE, "calls on the timetable's busiest day; null: not from a timetable", absent=True),
        ),
        "parking": _layer(
            "places to leave a car, motorcycle or bicycle",
            _ID,
            _NAME,
            _column("vehicle", _TEXT, "car, motorcycle or bicycle"),
            _column("kind", _TEXT, "surface, underground, multi-storey, street_side ... as tagged", absent=True),
            _column("capacity", _WHOLE, "places; null where nothing tells", absent=True),
            _column("capacity_source", _TEXT, "tag, estimated (from area), or none"),
            _column("access", _TEXT, "tag access", absent=True),
            _column("fee", _TEXT, "tag fee", absent=True),
            _column("area", _REAL, "area of the ground; null for a point", unit="m2", absent=True),
        ),
        "lamps": _layer(
            "street lamps that somebody mapped",
            _ID,
            _column("node", _WHOLE, "OpenStreetMap node"),
            _column("ref", _TEXT, "number on the mast", absent=True),
            _column("light", _TEXT, "lamp_type, light:method or light_source", absent=True),
            _column("mount", _TEXT, "lamp_mount or support", absent=True),
            _column("height", _REAL, "height of the light", unit="m", absent=True),
        ),
        "water": _layer(
            "water: areas and lines",
            _ID,
            _NAME,
            _column("kind", _TEXT, "sea, lake, river, stream, canal, basin, pond, water ..."),
            _column("source", _TEXT, "tag, or coastline (the sea side of it, cut to the bounds)"),
        ),
        "terrain": _layer(
            "ground elevation on a regular grid; cells without a value are left out",
            _column("id", _WHOLE, "row * columns of the grid + column"),
            _column("row", _WHOLE, "from the north"),
            _column("column", _WHOLE, "from the west"),
            _column("elevation", _REAL, "above the source's own datum", unit="m"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class TwinSummary:
    """What a twin is made of and how much of it was estimated. ``bounds`` west, south, east, north in [deg]."""

    bounds: tuple[float, float, float, float]
    centre: tuple[float, float]  # lon, lat [deg]
    sources: Mapping[str, str]  # file name -> sha256 of its bytes
    counts: Mapping[str, int]  # layer -> rows
    estimated: Mapping[str, int]  # "layer.column" -> rows whose value nobody mapped
    notes: tuple[str, ...]  # what was left out or cut, in plain words
    attribution: tuple[str, ...]
    version: str  # of Civium


def layer_names(folder: Path) -> tuple[str, ...]:
    """The layers that a twin's folder holds, in the order of ``LAYERS``."""
    return tuple(name for name in LAYERS if (folder / f"{name}.parquet").is_file())


def read_layer(folder: Path, name: str) -> pa.Table:
    """A layer as Arrow, in the columns of ``LAYERS[name]``; geometry is WKB.

    Raises InputRefused for a name that is no layer, or a layer that this twin does not hold.
    """
    if name not in LAYERS:
        raise InputRefused(f"there is no layer '{name}'; the layers are {', '.join(LAYERS)}", status=404)
    path = folder / f"{name}.parquet"
    if not path.is_file():
        held = ", ".join(layer_names(folder)) or "no layer at all"
        raise InputRefused(f"the twin in '{folder}' has no layer '{name}'; it holds {held}", status=404)
    try:
        table = pq.read_table(path, columns=LAYERS[name].names)
        return table.cast(LAYERS[name].remove_metadata()).replace_schema_metadata(
            {b"geo": table.schema.metadata[b"geo"]}
        )
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise InputRefused(
            f"layer '{name}' in '{folder}' is damaged ({reason(error)}); build the twin again"
        ) from error


def read_summary(folder: Path) -> TwinSummary:
    """What ``build_twin`` wrote about a twin. Raises InputRefused where there is none."""
    path = folder / SUMMARY
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        west, south, east, north = said["bounds"]
        lon, lat = said["centre"]
        return TwinSummary(
            bounds=(west, south, east, north),
            centre=(lon, lat),
            sources=said["sources"],
            counts=said["counts"],
            estimated=said["estimated"],
            notes=tuple(said["notes"]),
            attribution=tuple(said["attribution"]),
            version=said["version"],
        )
    except FileNotFoundError as error:
        raise InputRefused(f"there is no twin in '{folder}'; make one with: civium twin build", status=404) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefused(f"'{path}' is damaged ({reason(error)}); build the twin again") from error
