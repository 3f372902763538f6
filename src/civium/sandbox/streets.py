"""Makes a SUMO net of any town from its OpenStreetMap extract, once, and reads its streets.

netconvert reads only OSM XML, so a ``.osm.pbf`` is first written as XML. The net is kept in the work folder under the
digest of the extract and of the options: the same extract gives the same file, another one another.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from civium.core import InputRefused
from civium.core.extras import PROJECTIONS, projections_kept, require
from civium.sandbox.sumo_net import open_xml

# Only what cars reach; signals guessed from OSM's nodes and joined per junction; lights that only guard a crossing in
# the middle of a street are dropped, since no pedestrians walk here.
OPTIONS = (
    "--geometry.remove", "--ramps.guess", "--junctions.join", "--tls.guess-signals", "--tls.discard-simple",
    "--tls.join", "--tls.default-type", "static", "--keep-edges.by-vclass", "passenger", "--remove-edges.isolated",
    "--keep-edges.components", "1", "--no-turnarounds.except-deadend", "--output.street-names", "--no-warnings",
)  # fmt: skip
_FORMATS = (".osm", ".osm.gz", ".osm.pbf", ".pbf", ".osm.xml")


@dataclass(frozen=True, slots=True)
class Edge:
    """One direction of one street section: ``length`` [m], ``speed`` limit [m/s], ``shape`` [m, the net's plane]."""

    id: str
    kind: str  # OSM class, such as residential
    start: str
    end: str
    lanes: int
    length: float
    speed: float
    name: str
    shape: NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class Streets:
    """The streets of a net: its edges, which edge leads to which, and where its plane lies on the Earth."""

    file: Path
    edges: Mapping[str, Edge]
    following: Mapping[str, tuple[str, ...]]
    signals: int
    offset: tuple[float, float]  # [m]
    projection: str

    def to_lonlat(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """WGS 84 longitude and latitude [deg] of points (n, 2) of the net's plane [m]."""
        return self._project(xy - np.array(self.offset), inverse=True)

    def to_plane(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """The net's plane [m] for WGS 84 points (n, 2) [deg]."""
        return self._project(lonlat, inverse=False) + np.array(self.offset, dtype=np.float64)

    def _project(self, points: NDArray[np.float64], inverse: bool) -> NDArray[np.float64]:
        proj = require("pyproj", "sandbox").Proj(self.projection)
        x, y = proj(points[:, 0], points[:, 1], inverse=inverse)
        plane: NDArray[np.float64] = np.column_stack((x, y))
        return plane


def sumo_program(name: str) -> Path:
    """Path of a program of the ``eclipse-sumo`` wheel, such as netconvert."""
    home = Path(require("sumo", "sandbox").SUMO_HOME)
    suffix = ".exe" if sys.platform == "win32" else ""
    return home / "bin" / f"{name}{suffix}"


@contextmanager
def projections() -> Iterator[None]:
    """Let SUMO find its own database of map projections while it reads a net; the process keeps its own."""
    with projections_kept():
        database = str(Path(require("sumo", "sandbox").SUMO_HOME, "data", "proj"))
        os.environ.update(dict.fromkeys(PROJECTIONS, database))
        yield


@contextmanager
def sumo_speaks() -> Iterator[None]:
    """What SUMO says when it gives up becomes a ``ValueError``: its own exception cannot leave the process."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("libsumo", "traci"):
            raise
        raise ValueError(f"SUMO says: {' '.join(str(error).split())}") from None


def build_net(extract: Path, work: Path) -> Path:
    """SUMO net of an OSM extract, from the cache in ``work`` when it was built before.

    Raises ``InputRefused`` when the extract is missing, of another format, broken, or has no street for cars.
    """
    if not extract.is_file():
        raise InputRefused(f"no such file: {extract}", status=404)
    if not extract.name.endswith(_FORMATS):
        raise InputRefused(f"{extract.name} is no OpenStreetMap extract: expected one of {', '.join(_FORMATS)}")
    digest = hashlib.sha256("\0".join(OPTIONS).encode() + extract.read_bytes()).hexdigest()[:16]
    net = work / f"streets-{digest}.net.xml.gz"
    if net.is_file():
        return net
    work.mkdir(parents=True, exist_ok=True)
    source = extract if not extract.name.endswith(".pbf") else _as_xml(extract, work / f"streets-{digest}.osm.gz")
    unfinished = work / f"unfinished-{digest}.net.xml.gz"
    home = require("sumo", "sandbox").SUMO_HOME
    try:
        with projections():
            done = subprocess.run(  # noqa: S603 - a program of our own environment, arguments not from a shell
                [sumo_program("netconvert"), "--osm-files", source, "-o", unfinished, *OPTIONS],
                env={**os.environ, "SUMO_HOME": home}, capture_output=True, text=True, timeout=1800, check=False,
            )  # fmt: skip
    finally:
        if source != extract:
            source.unlink()
    if done.returncode or not unfinished.is_file():
        unfinished.unlink(missing_ok=True)
        said = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        raise InputRefused(f"{extract.name} gives no street net: {said[0] if said else 'netconvert failed'}")
    unfinished.replace(net)
    return net


def _as_xml(pbf: Path, xml: Path) -> Path:
    osmium = require("osmium", "sandbox")
    try:
        with osmium.SimpleWriter(xml, overwrite=True) as writer:
            for entity in osmium.FileProcessor(pbf):
                writer.add(entity)
    except RuntimeError as error:  # what libosmium raises on a broken file
        xml.unlink(missing_ok=True)
        raise InputRefused(f"{pbf.name} cannot be read: {error}") from error
    return xml


def read_streets(net: Path) -> Streets:
    """Reads the streets of a net that ``build_net`` made."""
    edges: dict[str, Edge] = {}
    following: dict[str, list[str]] = {}
    signals, offset, projection = 0, (0.0, 0.0), ""
    with open_xml(net) as stream:
        for _, element in ET.iterparse(stream):  # noqa: S314 - written by netconvert
            if element.tag == "edge" and element.get("function") is None:
                edge = _edge(element)
                edges[edge.id] = edge
            elif element.tag == "connection" and element.get("from", ":")[0] != ":":
                following.setdefault(element.attrib["from"], []).append(element.attrib["to"])
            elif element.tag == "tlLogic":
                signals += 1
            elif element.tag == "location":
                x, y = element.attrib["netOffset"].split(",")
                offset, projection = (float(x), float(y)), element.attrib["projParameter"]
            if element.tag in ("edge", "junction", "connection", "tlLogic"):
                element.clear()
    unique = {start: tuple(dict.fromkeys(ends)) for start, ends in following.items()}
    return Streets(net, edges, unique, signals, offset, projection)


def _edge(element: ET.Element) -> Edge:
    lanes = element.findall("lane")
    shape = element.get("shape") or lanes[len(lanes) // 2].attrib["shape"]
    points = [[float(v) for v in point.split(",")[:2]] for point in shape.split()]
    return Edge(
        id=element.attrib["id"],
        kind=element.get("type", "").split("|")[0].removeprefix("highway."),
        start=element.attrib["from"],
        end=element.attrib["to"],
        lanes=len(lanes),
        length=float(lanes[0].attrib["length"]),
        speed=max(float(lane.attrib["speed"]) for lane in lanes),
        name=element.get("name", ""),
        shape=np.array(points),
    )
