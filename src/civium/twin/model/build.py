"""Builds the city model of one town from a map extract and what else is given, and writes it whole or not."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import shapely

from civium import __version__
from civium.core import InputRefused
from civium.twin.model import places
from civium.twin.model.buildings import build_buildings, is_building
from civium.twin.model.cityjson import build_cityjson
from civium.twin.model.gtfs import build_gtfs
from civium.twin.model.layers import LAYERS, SUMMARY, TwinSummary, layer_names
from civium.twin.model.measure import local_projection, shapes_of
from civium.twin.model.osm import Extract, read_osm
from civium.twin.model.restrictions import build_restrictions
from civium.twin.model.streets import build_streets
from civium.twin.model.terrain import build_terrain
from civium.twin.model.water import build_water

Rows = list[dict[str, Any]]
Progress = Callable[[str, float], None]
Box = tuple[float, float, float, float]

ATTRIBUTION = "Map data © OpenStreetMap contributors, ODbL 1.0, https://www.openstreetmap.org/copyright"

_AROUND = 0.0005  # [deg], about 50 m

# Columns whose source column says, by these words, that nobody mapped the value.
_ESTIMATES = {
    "streets.lanes": ("lanes_source", {"assumed", "split"}),
    "streets.speed": ("speed_source", {"assumed"}),
    "buildings.height": ("height_source", {"estimated"}),
    "buildings.levels": ("levels_source", {"estimated", "height"}),
    "buildings.use": ("use_source", {"landuse"}),
    "parking.capacity": ("capacity_source", {"estimated"}),
}


@dataclass(slots=True)
class _Draft:
    """What is known of a twin before it is written."""

    bounds: Box
    layers: dict[str, Rows] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def layer_table(name: str, rows: Rows) -> pa.Table:
    """Rows of a layer as Arrow in its schema, sorted by id; ``geometry`` is left out, for GeoPandas writes it."""
    schema = LAYERS[name].remove(LAYERS[name].get_field_index("geometry"))
    return pa.Table.from_pylist(rows, schema=schema)


def _write_layer(folder: Path, name: str, rows: Rows) -> None:
    rows = sorted(rows, key=lambda row: row["id"])
    table = layer_table(name, rows)
    frame = gpd.GeoDataFrame(
        table.to_pandas(types_mapper=pd.ArrowDtype),
        geometry=gpd.GeoSeries(shapes_of([row["geometry"] for row in rows]), crs="EPSG:4326"),
    )
    frame.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd", schema_version="1.1.0")


def _bounds(extract: Extract, street_nodes: Rows) -> Box:
    """The box that the extract names; else that of its streets and buildings with 50 m around.

    Other things do not count: one long border or ferry line would stretch the town.
    """
    if extract.box:
        return extract.box
    homes = [area.shape for area in extract.areas if is_building(area.tags)]
    shapes = shapes_of([*(row["geometry"] for row in street_nodes), *shapely.from_wkb(homes)])
    west, south, east, north = shapely.bounds(shapely.GeometryCollection(shapes.tolist())).tolist()
    return west - _AROUND, south - _AROUND, east + _AROUND, north + _AROUND


def _map_layers(extract: Extract, progress: Progress) -> _Draft:
    """The layers that come from the map alone; buildings follow later, for CityJSON may replace some."""
    progress("streets", 0.35)
    streets = build_streets(extract.ways, extract.nodes)
    draft = _Draft(_bounds(extract, streets.nodes))
    projection = local_projection(_centre(draft.bounds))
    draft.layers = {
        "streets": streets.edges,
        "street_nodes": streets.nodes,
        "turn_restrictions": build_restrictions(extract.restrictions, streets.edges, streets.nodes),
        "signals": places.build_signals(extract.nodes, streets.nodes),
        "crossings": places.build_crossings(extract.nodes),
    }
    progress("places", 0.55)
    draft.layers |= {
        "landuse": places.build_landuse(extract.areas, projection),
        "trees": places.build_trees(extract.nodes, extract.ways),
        "stops": places.build_stops(extract.nodes, extract.ways, extract.areas),
        "parking": places.build_parking(extract.nodes, extract.areas, projection),
        "lamps": places.build_lamps(extract.nodes),
        "water": build_water(extract.areas, extract.ways, draft.bounds),
    }
    if streets.cut_ways:
        draft.notes.append(f"{streets.cut_ways} streets reach beyond the extract and end where it does")
    if extract.open_areas:
        draft.notes.append(f"{extract.open_areas} areas reach beyond the extract or are not closed and were left out")
    return draft


def _centre(bounds: Box) -> tuple[float, float]:
    return (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2


def _add_timetables(draft: _Draft, paths: Sequence[Path]) -> None:
    for path in paths:
        timetable = build_gtfs(path, draft.bounds)
        draft.layers["stops"] += timetable.rows
        draft.notes.append(f"trips of '{path.name}' are counted on {timetable.day}, its busiest day")
        if timetable.outside:
            draft.notes.append(f"{timetable.outside} stops of '{path.name}' lie outside the town and were left out")


def _add_buildings(draft: _Draft, extract: Extract, cityjson: Path | None) -> None:
    given: Rows = []
    if cityjson is not None:
        found = build_cityjson(cityjson, draft.bounds)
        given = found.rows
        if found.left_out:
            draft.notes.append(f"{found.left_out} buildings of '{cityjson.name}' lie elsewhere or have no shape")
    projection = local_projection(_centre(draft.bounds))
    draft.layers["buildings"] = build_buildings(extract.areas, draft.layers["landuse"], given, projection)


def _add_terrain(draft: _Draft, paths: Sequence[Path]) -> None:
    terrain = build_terrain(paths, draft.bounds)
    draft.layers["terrain"] = terrain.rows
    if terrain.covered < 1:
        draft.notes.append(f"elevation covers {terrain.covered:.0%} of the town")


def _summary(draft: _Draft, sources: dict[str, str]) -> TwinSummary:
    estimated = {}
    for column, (source, words) in _ESTIMATES.items():
        rows = draft.layers[column.partition(".")[0]]
        estimated[column] = sum(1 for row in rows if row[source] in words)
    return TwinSummary(
        bounds=draft.bounds,
        centre=_centre(draft.bounds),
        sources=sources,
        counts={name: len(draft.layers[name]) for name in LAYERS if name in draft.layers},
        estimated=estimated,
        notes=tuple(draft.notes),
        attribution=(ATTRIBUTION,),
        version=__version__,
    )


@contextmanager
def _whole_or_nothing(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its place when the block ends well, and vanishes when it does not."""
    if out.exists() and not out.is_dir():
        raise InputRefused(f"'{out}' is a file; name a folder for the twin", status=409)
    if out.is_dir() and any(out.iterdir()) and not (out / SUMMARY).is_file() and not layer_names(out):
        raise InputRefused(f"'{out}' holds something that is not a twin; name an empty or new folder", status=409)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _many(given: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    if given is None:
        return ()
    return (Path(given),) if isinstance(given, str | os.PathLike) else tuple(Path(one) for one in given)


def build(
    source: Path,
    out: Path,
    *,
    gtfs: Path | Sequence[Path] | None,
    elevation: Path | Sequence[Path] | None,
    cityjson: Path | None,
    progress: Progress,
) -> TwinSummary:
    """See ``civium.twin.model.build_twin``."""
    timetables, tiles = _many(gtfs), _many(elevation)
    with _whole_or_nothing(out) as folder:
        progress("reading the map", 0.0)
        extract = read_osm(source, lambda seen: progress("reading the map", 0.35 * seen / (seen + 50_000)))
        draft = _map_layers(extract, progress)
        progress("timetables", 0.6)
        _add_timetables(draft, timetables)
        progress("buildings", 0.7)
        _add_buildings(draft, extract, cityjson)
        if tiles:
            progress("terrain", 0.8)
            _add_terrain(draft, tiles)
        for number, (name, rows) in enumerate(draft.layers.items()):
            progress(f"writing {name}", 0.85 + 0.15 * number / len(draft.layers))
            _write_layer(folder, name, rows)
        given = [source, *timetables, *tiles, *([cityjson] if cityjson else [])]
        summary = _summary(draft, {path.name: _digest(path) for path in given})
        said = json.dumps(asdict(summary), indent=2, ensure_ascii=False)
        (folder / SUMMARY).write_text(said + "\n", encoding="utf-8")
    progress("done", 1.0)
    return summary
