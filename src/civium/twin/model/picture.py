"""Draws a twin as one plain map: water, green, buildings shaded by height, streets by class, trees and signals."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from civium.core import InputRefused
from civium.core.extras import require
from civium.twin.model.layers import read_layer, read_summary

PAPER = "#f6f4ef"
WATER = "#b9d3e0"
INK = "#3b3a36"
_GROUND = {
    "green": "#d5e3c4",
    "farm": "#e7ead2",
    "sport": "#c9e0c0",
    "wetland": "#d2e2d6",
    "bare": "#e9e4d8",
    "square": "#eeebe3",
    "industrial": "#ebe6e3",
    "education": "#f0eadb",
    "health": "#f3e6e2",
}
_BUILDING_LOW, _BUILDING_HIGH = "#ddd5c8", "#5d5347"
_LOW, _TALL = 3.0, 36.0  # the lightest shade ends and the darkest begins here [m]
_SIGNAL, _TREE = "#c8483a", "#8fb573"
_FOOT = 0.3  # height of the legend [in]

# Class of street: width on the ground [m], casing and filling colour, which lies above which.
_STREETS: Mapping[str, tuple[float, str, str, int]] = {
    "motorway": (13.0, "#c98a4b", "#f0bd84", 9),
    "trunk": (12.0, "#c98a4b", "#f4cb95", 8),
    "primary": (10.5, "#cfa45f", "#f8dcaa", 7),
    "secondary": (9.0, "#c3ab6d", "#fbeecb", 6),
    "tertiary": (8.0, "#b9b3a6", "#ffffff", 5),
    "unclassified": (6.5, "#c3bdb1", "#ffffff", 4),
    "residential": (6.5, "#c3bdb1", "#ffffff", 4),
    "living_street": (5.5, "#c9c3b8", "#fbfaf7", 3),
    "pedestrian": (5.0, "#d9d3c8", "#f3eee5", 3),
    "service": (3.5, "#cfc9be", "#fdfcfa", 2),
}
_PATHS = {"footway", "path", "steps", "cycleway", "track", "bridleway", "corridor"}
_PATH_INK = "#b7a993"
_THIN = 0.75  # [pt]
_LINK = 0.55  # a slip road is this much narrower than its street
_BARS = (50, 100, 200, 250, 500, 1000, 2000, 5000)


def _shapes(table: pa.Table) -> Any:
    return require("shapely", "twin").from_wkb(table.column("geometry").to_numpy())


def _fill(axes: Any, shapes: Any, order: float, **style: Any) -> None:
    """Fill polygons with their holes; other shapes are passed over."""
    shapely, paths = require("shapely", "twin"), require("matplotlib.path", "sandbox")
    collections = require("matplotlib.collections", "sandbox")
    outlines, owners = [], []
    for index, shape in enumerate(shapes):
        for part in shapely.get_parts(shape):
            if part.geom_type != "Polygon":
                continue
            rings = [paths.Path(shapely.get_coordinates(ring), closed=True) for ring in shapely.get_rings(part)]
            outlines.append(paths.Path.make_compound_path(*rings))
            owners.append(index)
    for key in ("facecolors", "edgecolors"):
        if isinstance(style.get(key), list):
            style[key] = [style[key][owner] for owner in owners]
    axes.add_collection(collections.PathCollection(outlines, zorder=order, **style))


def _stroke(axes: Any, shapes: Any, order: float, **style: Any) -> None:
    """Draw lines, with round ends so that junctions close."""
    shapely = require("shapely", "twin")
    collections = require("matplotlib.collections", "sandbox")
    lines = [shapely.get_coordinates(part) for part in shapely.get_parts(shapes) if part.geom_type == "LineString"]
    axes.add_collection(collections.LineCollection(lines, zorder=order, **style))


def _draw_ground(axes: Any, folder: Path) -> None:
    land = read_layer(folder, "landuse")
    groups, shapes = land.column("group").to_pylist(), _shapes(land)
    large_first = sorted(range(len(groups)), key=lambda index: -land.column("area")[index].as_py())
    for index in large_first:
        if colour := _GROUND.get(groups[index]):
            _fill(axes, [shapes[index]], 1, facecolors=colour, edgecolors="none")


def _draw_water(axes: Any, folder: Path, points_per_metre: float) -> None:
    water = read_layer(folder, "water")
    shapes = _shapes(water)
    _fill(axes, shapes, 2, facecolors=WATER, edgecolors="none")
    kinds = water.column("kind").to_numpy(zero_copy_only=False)
    for chosen, width in ((kinds == "river", 14.0), (kinds != "river", 3.0)):
        _stroke(axes, shapes[chosen], 2, colors=WATER, linewidths=max(0.6, width * points_per_metre), capstyle="round")


def _draw_streets(axes: Any, folder: Path, points_per_metre: float) -> None:
    streets = read_layer(folder, "streets")
    forward = pc.equal(pc.bit_wise_and(streets.column("id"), 1), 0)
    # Every piece once: the edge along the way, or the one against it where that is the only one.
    pieces = pc.shift_right(streets.column("id"), 1)
    twice = pc.is_in(pieces, value_set=pieces.filter(forward))
    streets = streets.filter(pc.or_(forward, pc.invert(twice)))
    tunnel = streets.column("tunnel").to_numpy()
    shapes = _shapes(streets)
    tagged = streets.column("class").to_pylist()
    classes = [name.removesuffix("_link") for name in tagged]
    round_ends = {"capstyle": "round", "joinstyle": "round"}
    edge = max(0.3, 0.9 * points_per_metre)
    for name, (width, casing, filling, order) in _STREETS.items():
        own = [index for index, one in enumerate(classes) if one == name]
        under = [index for index in own if tunnel[index]]
        chosen = [index for index in own if not tunnel[index]]
        size = max(0.45, width * points_per_metre)
        if size < _THIN:  # too thin for a casing: one line, dark enough to be seen
            _stroke(axes, shapes[chosen], 4 + order / 100, colors=casing, linewidths=size + edge, **round_ends)
            continue
        sizes = [size * (_LINK if tagged[index] != name else 1.0) for index in chosen]
        cased = [own_size + 2 * edge for own_size in sizes]
        _stroke(axes, shapes[under], 3.5, colors=casing, linewidths=edge, linestyles=(0, (5, 3)), alpha=0.6)
        _stroke(axes, shapes[chosen], 4 + order / 100, colors=casing, linewidths=cased, **round_ends)
        _stroke(axes, shapes[chosen], 5 + order / 100, colors=filling, linewidths=sizes, **round_ends)
    paths = [index for index, own in enumerate(classes) if own in _PATHS and not tunnel[index]]
    thin = max(0.25, 0.9 * points_per_metre)
    _stroke(axes, shapes[paths], 3, colors=_PATH_INK, linewidths=thin, linestyles=(0, (2.2, 1.4)), alpha=0.75)


def _height_ramp() -> Any:
    """Shade of a building: 0 the lowest, 1 the tallest."""
    colours = require("matplotlib.colors", "sandbox")
    return colours.LinearSegmentedColormap.from_list("height", [_BUILDING_LOW, _BUILDING_HIGH])


def _draw_buildings(axes: Any, folder: Path, points_per_metre: float) -> None:
    ramp, buildings = _height_ramp(), read_layer(folder, "buildings")
    shades = [ramp(min(1.0, max(0.0, h - _LOW) / (_TALL - _LOW))) for h in buildings.column("height").to_pylist()]
    _fill(axes, _shapes(buildings), 6, facecolors=shades, edgecolors="#8a7f70", linewidths=min(0.25, points_per_metre))


def _draw_points(axes: Any, folder: Path, points_per_metre: float) -> None:
    shapely = require("shapely", "twin")
    trees = read_layer(folder, "trees")
    places = shapely.get_coordinates(_shapes(trees.filter(pc.equal(trees.column("kind"), "tree"))))
    size = max(0.8, 6 * points_per_metre) ** 2
    axes.scatter(places[:, 0], places[:, 1], s=size, color=_TREE, alpha=0.7, linewidths=0, zorder=7)
    signals = read_layer(folder, "signals")
    places = shapely.get_coordinates(_shapes(signals.filter(pc.equal(signals.column("kind"), "street"))))
    size = min(9.0, max(1.6, 9 * points_per_metre)) ** 2
    axes.scatter(
        places[:, 0], places[:, 1], s=size, color=_SIGNAL, edgecolors="white", linewidths=0.12 * size**0.5, zorder=8
    )


def _metres_per_degree(latitude: float) -> tuple[float, float]:
    """Length of a degree of longitude and of latitude [m] (series of the WGS 84 ellipsoid)."""
    phi = math.radians(latitude)
    lat = 111132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
    lon = 111412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi)
    return lon, lat


def _draw_scale(axes: Any, box: tuple[float, float, float, float], metres: float, across: float) -> None:
    """A bar of a round length, about a sixth of the map wide, at the lower left."""
    length = max((bar for bar in _BARS if bar <= across / 6), default=_BARS[0])
    west = box[0] + 0.025 * (box[2] - box[0])
    south = box[1] + 0.03 * (box[3] - box[1])
    effects = require("matplotlib.patheffects", "sandbox")
    halo = [effects.withStroke(linewidth=3.2, foreground=PAPER)]
    axes.plot([west, west + length / metres], [south, south], color=INK, lw=1.6, zorder=10, path_effects=halo)
    label = f"{length} m" if length < 1000 else f"{length // 1000} km"
    middle = west + length / metres / 2
    text = axes.annotate(
        label, (middle, south), (0, 4), textcoords="offset points", ha="center", fontsize=7, color=INK, zorder=10
    )
    text.set_path_effects(halo)


def _frame(box: tuple[float, float, float, float]) -> tuple[Any, Any, float, float]:
    """A figure for the map: figure, axes, metres per degree of longitude, metres across."""
    figure_of = require("matplotlib.figure", "sandbox").Figure
    lon, lat = _metres_per_degree((box[1] + box[3]) / 2)
    across, up = (box[2] - box[0]) * lon, (box[3] - box[1]) * lat
    longest = 11.0  # [in]
    width, height = (longest, longest * up / across) if across >= up else (longest * across / up, longest)
    figure = figure_of(figsize=(width, height + _FOOT), facecolor=PAPER)
    axes = figure.add_axes((0, _FOOT / (height + _FOOT), 1, height / (height + _FOOT)))
    axes.set(xlim=(box[0], box[2]), ylim=(box[1], box[3]), xticks=[], yticks=[], facecolor=PAPER, aspect=lat / lon)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes, lon, across


def _draw_legend(figure: Any) -> None:
    """One line below the map: what the shades and dots mean, and whose data these are."""
    wide, high = figure.get_figwidth() * 72, _FOOT * 72  # [pt]
    axes = figure.add_axes((0, 0, 1, _FOOT / figure.get_figheight()))
    axes.set(xlim=(0, wide), ylim=(0, high))
    axes.set_axis_off()
    middle = high / 2
    words = {"fontsize": 7, "color": INK, "va": "center_baseline"}
    axes.text(12, middle, "Building height", **words)
    steps = 24
    for step in range(steps):
        axes.fill_between(
            [70 + 2 * step, 72 + 2 * step], middle - 3.5, middle + 3.5, color=_height_ramp()(step / (steps - 1)), lw=0
        )
    axes.text(122, middle, f"{_LOW:.0f} to {_TALL:.0f} m", **words)
    axes.scatter([178], [middle], s=14, color=_SIGNAL, linewidths=0)
    axes.text(184, middle, "Traffic signal", **words)
    axes.scatter([246], [middle], s=14, color=_TREE, linewidths=0)
    axes.text(252, middle, "Tree", **words)
    axes.text(wide - 12, middle, "© OpenStreetMap contributors", ha="right", **words)


def draw(folder: Path, picture: Path) -> None:
    """Draw the twin in ``folder`` to ``picture`` (.svg or .png), north up, its bounds filling the frame.

    Raises InputRefused where there is no twin or the name ends otherwise, and ExtraMissing without matplotlib.
    """
    if picture.suffix.lower() not in {".svg", ".png"}:
        raise InputRefused(f"'{picture.name}' is no kind of picture that can be drawn; name it .svg or .png")
    summary = read_summary(folder)
    figure, axes, metres, across = _frame(summary.bounds)
    points_per_metre = figure.get_figwidth() * 72 / across
    _draw_ground(axes, folder)
    _draw_water(axes, folder, points_per_metre)
    _draw_streets(axes, folder, points_per_metre)
    _draw_buildings(axes, folder, points_per_metre)
    _draw_points(axes, folder, points_per_metre)
    _draw_scale(axes, summary.bounds, metres, across)
    _draw_legend(figure)
    # No date in the file: the same twin gives the same picture.
    metadata = {"Date": None} if picture.suffix.lower() == ".svg" else {}
    figure.savefig(picture, dpi=160, metadata=metadata)
