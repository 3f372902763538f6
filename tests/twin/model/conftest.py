"""Small towns written by hand, and the real ones."""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
import rasterio

from civium.twin.model import build_twin, locate_example

Places = Mapping[int, tuple[float, float]]


class TownWriter:
    """Writes OpenStreetMap XML: nodes by (lon, lat), ways by node ids, relations by members."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @staticmethod
    def _tags(tags: Mapping[str, str]) -> str:
        return "".join(f"<tag k={quoteattr(k)} v={quoteattr(v)}/>" for k, v in tags.items())

    def node(self, id_: int, lon: float, lat: float, **tags: str) -> "TownWriter":
        tags = {key.replace("__", ":"): value for key, value in tags.items()}
        self.lines.append(f'<node id="{id_}" lon="{lon}" lat="{lat}" version="1">{self._tags(tags)}</node>')
        return self

    def way(self, id_: int, nodes: list[int], tags: Mapping[str, str]) -> "TownWriter":
        refs = "".join(f'<nd ref="{node}"/>' for node in nodes)
        self.lines.append(f'<way id="{id_}" version="1">{refs}{self._tags(tags)}</way>')
        return self

    def relation(self, id_: int, members: list[tuple[str, int, str]], tags: Mapping[str, str]) -> "TownWriter":
        said = "".join(f'<member type="{kind}" ref="{ref}" role="{role}"/>' for kind, ref, role in members)
        self.lines.append(f'<relation id="{id_}" version="1">{said}{self._tags(tags)}</relation>')
        return self

    def text(self, backwards: bool = False) -> str:
        lines = self.lines[::-1] if backwards else self.lines
        return '<?xml version="1.0"?><osm version="0.6">' + "\n".join(lines) + "</osm>"

    def write(self, path: Path, backwards: bool = False) -> Path:
        raw = self.text(backwards).encode()
        path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
        return path


@pytest.fixture
def town() -> TownWriter:
    """A cross of two streets around (10, 50) with 0.001 deg arms: nodes 1 west, 2 centre, 3 east, 4 south, 5 north."""
    writer = TownWriter()
    for id_, lon, lat in ((1, 9.999, 50.0), (2, 10.0, 50.0), (3, 10.001, 50.0), (4, 10.0, 49.999), (5, 10.0, 50.001)):
        writer.node(id_, lon, lat)
    return writer


@pytest.fixture(scope="session")
def towns(shared_data: Callable[[str], Path]) -> Callable[[str], dict[str, Path | list[Path]]]:
    """What ``build_twin`` takes for each of the real towns."""

    def given(name: str) -> dict[str, Path | list[Path]]:
        if name in {"helsinki", "village"}:
            return {"source": locate_example(name)}
        folder = shared_data("towns") / name
        return {
            "krems": {"source": folder / "krems.osm.gz"},
            "monaco": {"source": folder / "monaco.osm.gz", "elevation": folder / "N43E007.hgt.zip"},
            "porto_alegre": {
                "source": folder / "poa_osm.pbf",
                "gtfs": [folder / "poa_eptc.zip", folder / "poa_trensurb.zip"],
                "elevation": folder / "poa_elevation.tif",
            },
        }[name]

    return given


@pytest.fixture(scope="session")
def twin(towns: Callable[[str], dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``twin("monaco")``: the folder of a real town's twin, built once a session."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            given = dict(towns(name))
            out = tmp_path_factory.mktemp("twins") / name
            build_twin(given.pop("source"), out, **given)
            built[name] = out
        return built[name]

    return folder


def timetable(path: Path, **tables: str) -> Path:
    files = {
        "stops": "stop_id,stop_name,stop_lat,stop_lon\nA,Market,50.0,10.0\nB,Station,50.0005,10.0005\n",
        "routes": "route_id,route_type\nR,3\nT,0\n",
        "trips": "route_id,service_id,trip_id\nR,week,1\nR,week,2\nT,sunday,3\n",
        "stop_times": "trip_id,stop_id,stop_sequence\n1,A,1\n1,B,2\n2,A,1\n3,A,1\n",
        "calendar": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "week,1,1,1,1,1,0,0,20240101,20241231\nsunday,0,0,0,0,0,0,1,20240101,20241231\n",
    } | tables
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            if text:
                archive.writestr(zipfile.ZipInfo(f"{name}.txt"), text)
    return path


def elevation(path: Path, west: float = 9.99, value: float = 250.0, crs: str | None = "EPSG:4326") -> Path:
    profile = {"driver": "GTiff", "width": 40, "height": 40, "count": 1, "dtype": "float32", "nodata": -9999.0}
    with rasterio.open(
        path, "w", crs=crs, transform=rasterio.Affine(0.0005, 0, west, 0, -0.0005, 50.01), **profile
    ) as file:
        file.write(np.full((1, 40, 40), value, dtype=np.float32))
    return path
