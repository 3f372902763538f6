"""The city model of one town: streets, buildings, water, trees, lamps and more, from open data, as GeoParquet layers.

Reading a model needs nothing but the base install; building one needs the extra ``twin``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from civium.core.extras import require
from civium.twin.model.example import EXAMPLES, locate_example
from civium.twin.model.layers import LAYERS, TwinSummary, layer_names, read_layer, read_summary

__all__ = [
    "EXAMPLES",
    "LAYERS",
    "TwinSummary",
    "build_twin",
    "layer_names",
    "locate_example",
    "read_layer",
    "read_summary",
]

_LIBRARIES = ("osmium", "shapely", "pyproj", "geopandas", "rasterio")


def build_twin(
    source: Path,
    out: Path,
    *,
    gtfs: Path | Sequence[Path] | None = None,
    elevation: Path | Sequence[Path] | None = None,
    cityjson: Path | None = None,
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> TwinSummary:
    """Build the layers of a town in the folder ``out``: all of them, or none if anything is refused.

    ``source`` is an OpenStreetMap extract; ``gtfs`` one timetable or several; ``elevation`` one GeoTIFF or SRTM tile
    or several; ``cityjson`` 3D buildings that take the place of the mapped ones. A twin that is in ``out`` already is
    replaced. ``progress`` hears what is being done and the share done (0 to 1). The same input gives the same layers.

    Raises InputRefused, in one sentence that says what to do, for input that is missing, damaged, foreign or of
    another town, and ExtraMissing where the extra ``twin`` is not installed.
    """
    for library in _LIBRARIES:
        require(library, "twin")
    build = require("civium.twin.model.build", "twin").build
    summary: TwinSummary = build(source, out, gtfs=gtfs, elevation=elevation, cityjson=cityjson, progress=progress)
    return summary
