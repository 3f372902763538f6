"""SUMO scenarios for benches: recorded, the user's own, a generated one; nothing is written beside them."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from civium.core.extras import require
from civium.sandbox.sumo_net import open_xml

LONGEST_S = 7200  # a scenario that names no end is cut here
WRITERS = {
    *("inductionLoop", "e1Detector", "instantInductionLoop", "laneAreaDetector", "e2Detector", "entryExitDetector"),
    *("e3Detector", "edgeData", "laneData", "routeProbe", "timedEvent"),
}
SHORT = {"net": "net-file", "n": "net-file", "routes": "route-files", "r": "route-files", "b": "begin", "e": "end"}
SHORT |= {"additional": "additional-files", "a": "additional-files"}
MEANT = ("bologna/acosta/run.sumocfg", "Wildau/output_configuration.sumocfg")  # of archives with several
FRINGE = ("top", "bottom", "left", "right")  # how netgenerate names the nodes at the edge of a grid


@dataclass(frozen=True, slots=True)
class Scenario:
    """A SUMO scenario: its files, other options of its configuration, and when it begins and ends [s]."""

    name: str
    net: Path
    routes: tuple[Path, ...]
    additional: tuple[Path, ...]
    options: tuple[tuple[str, str], ...]
    begin: int
    end: int


def read_scenario(config: Path, name: str = "") -> Scenario:
    """Reads a ``.sumocfg``; ``ValueError`` says what is wrong."""
    try:
        root = ET.parse(config).getroot()  # noqa: S314 (the operator's own scenario)
    except (ET.ParseError, OSError) as error:
        raise ValueError(f"{config.name} is not a readable SUMO configuration: {error}") from error
    given: dict[str, str] = {}
    for element in root.iter():
        value = element.get("value", element.get("v"))
        if value is not None:
            given[SHORT.get(element.tag, element.tag)] = value
    kept = {
        element.tag for section in root if section.tag in ("processing", "routing", "mesoscopic") for element in section
    }

    def files(option: str) -> tuple[Path, ...]:
        return tuple(
            (config.parent / part.strip()).resolve() for part in given.get(option, "").split(",") if part.strip()
        )

    missing = [
        f.name for f in (*files("net-file"), *files("route-files"), *files("additional-files")) if not f.exists()
    ]
    if not files("net-file"):
        raise ValueError(f"{config.name} names no net-file")
    if missing:
        raise ValueError(f"{config.name} names files that are not there: {', '.join(missing)}")
    begin = seconds(given.get("begin", "0"))
    end = seconds(given.get("end", "-1"))
    step = (("step-length", given["step-length"]),) if "step-length" in given else ()
    return Scenario(
        name=name or (config.parent.name if config.stem == "run" else config.stem),
        net=files("net-file")[0],
        routes=files("route-files"),
        additional=files("additional-files"),
        options=(*((k, given[k]) for k in sorted(kept) if k != "time-to-teleport" and k in given), *step),
        begin=begin,
        end=end if end > begin else begin + LONGEST_S,
    )


def cache() -> Path:
    """The user's folder for what can be made again: unpacked archives, environments of other releases."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "civium"


def unpack(archive: Path) -> Path:
    """The folder with what an archive (``.tar.xz`` ...) holds, unpacked once; ``ValueError`` if it cannot be read."""
    folder = cache() / f"{archive.name.partition('.')[0]}-{hashlib.sha256(archive.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            try:
                _extract(archive, Path(name, "all"))
            except (tarfile.TarError, OSError) as error:
                raise ValueError(f"{archive.name} cannot be unpacked: {' '.join(str(error).split())}") from error
            if not folder.is_dir():
                Path(name, "all").rename(folder)
    return folder


def _extract(archive: Path, into: Path) -> None:
    """The plain files of an archive, none of them outside of ``into``; links and devices are left out."""
    into.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            path = Path(os.path.normpath(into / member.name))
            if not member.isfile():
                continue
            if not path.is_relative_to(into):
                raise tarfile.TarError(f"'{member.name}' would lie outside of it")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None  # it is a plain file
            with content, path.open("wb") as file:
                shutil.copyfileobj(content, file)


def seconds(text: str) -> int:
    """Seconds of SUMO's times: ``3600``, ``3600.00`` or ``1:00:00`` (with days in front, if any)."""
    total = 0.0
    for part, unit in zip(reversed(text.split(":")), (1, 60, 3600, 86400), strict=False):
        total += float(part) * unit
    return int(total)


def named(paths: tuple[Path, ...]) -> Iterator[Scenario]:
    """Scenarios that a user names: ``.sumocfg`` files, or folders with some, or with one net and its routes."""
    for path in paths:
        if path.is_file():
            yield read_scenario(path)
            continue
        if not path.is_dir():
            raise ValueError(f"{path} is neither a .sumocfg file nor a folder")
        configs = sorted(path.glob("*.sumocfg"))
        nets = sorted([*path.glob("*.net.xml"), *path.glob("*.net.xml.gz")])
        if configs:
            yield from (read_scenario(config) for config in configs)
        elif len(nets) == 1:
            routes = sorted({*path.glob("*.rou.xml"), *path.glob("*.rou.xml.gz"), *path.glob("*.trips.xml")})
            additional = tuple(sorted(path.glob("*.add.xml")))
            begin, end = _span(routes)
            yield Scenario(path.name, nets[0], tuple(routes), additional, (), begin, end)
        else:
            raise ValueError(f"{path.name} holds no .sumocfg and not exactly one .net.xml")


def recorded(data: Path, known: Sequence[str], tell: Callable[[str], None]) -> Iterator[Scenario]:
    """The scenarios of a folder of recorded data, those of ``known`` names first: ``resco/NAME/NAME.sumocfg`` and
    ``dlr-sumo-scenarios/NAME.tar.xz``. ``tell`` hears what is left out and why; ``ValueError`` if nothing is there."""
    there = {path.stem: path for path in data.glob("resco/*/*.sumocfg") if path.stem == path.parent.name}
    there |= {path.name.removesuffix(".tar.xz"): path for path in data.glob("dlr-sumo-scenarios/*.tar.xz")}
    if lacking := [name for name in known if name not in there]:
        tell(f"{', '.join(lacking)}: not in the data folder, left out")
    some = False
    for name in sorted(there, key=lambda name: (known.index(name) if name in known else len(known), name)):
        try:
            scenario = read_scenario(there[name]) if there[name].suffix == ".sumocfg" else _packed(there[name], name)
        except ValueError as error:
            tell(f"{name} is left out: {error}")
            continue
        some = True
        yield scenario
    if not some:
        layout = "resco/NAME/NAME.sumocfg and dlr-sumo-scenarios/NAME.tar.xz (packed folders with a .sumocfg)"
        raise ValueError(f"{data} holds no scenario that can be driven; its layout is {layout}")


def _packed(archive: Path, name: str) -> Scenario:
    """The scenario of an archive: of several configurations that of ``MEANT``, else the first that can be driven."""
    folder = unpack(archive)
    configs = sorted(folder.rglob("*.sumocfg"), key=lambda path: (str(path.relative_to(folder)) not in MEANT, path))
    for config in configs:
        with contextlib.suppress(ValueError):
            scenario = read_scenario(config, name)
            if scenario.routes:
                return scenario
    raise ValueError(f"none of its {len(configs)} .sumocfg names a net and routes that are there")


def _span(routes: list[Path]) -> tuple[int, int]:
    """First and last departure in route files, with time for the last to arrive [s]."""
    departures = []
    for path in routes:
        with open_xml(path) as stream:
            for _, element in ET.iterparse(stream):  # noqa: S314 (the operator's own scenario)
                text = element.get("depart") or element.get("begin")
                if text and text[0].isdigit():
                    departures.append(seconds(text))
                element.clear()
    begin = min(departures, default=0)
    return begin, max(max(departures, default=0) + 600, begin + 900)


def without_writers(additional: Path, folder: Path) -> Path:
    """The additional file itself, or a copy in ``folder`` without what writes files (detectors, mean data)."""
    with open_xml(additional) as stream:
        root = ET.parse(stream).getroot()  # noqa: S314 (the operator's own scenario)
    writers = [element for element in root if element.tag in WRITERS]
    if not writers:
        return additional
    for element in writers:
        root.remove(element)
    copy = folder / additional.name
    ET.ElementTree(root).write(copy)
    return copy


def generated(folder: Path, until: int = 1800) -> Scenario:
    """A town of nine signals with turning lanes and uneven demand, made by ``netgenerate``; always the same."""
    net = folder / "generated.net.xml"
    size = ["--grid", "--grid.number", "3", "--grid.length", "220", "--grid.attach-length", "250"]
    lanes = ["--default.lanenumber", "1", "--turn-lanes", "1", "--turn-lanes.length", "50"]
    command = [netgenerate(), *size, *lanes, "--tls.set", ",".join(a + b for a in "ABC" for b in "012"), "--seed", "5"]
    command += ["--output-file", str(net)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (a program of SUMO's wheel)
    if made.returncode != 0:
        raise ValueError(f"netgenerate failed: {made.stderr.strip()[-300:]}")
    routes = folder / "generated.rou.xml"
    root = ET.parse(net).getroot()  # noqa: S314 (written a moment ago)
    nodes = [j.attrib["id"] for j in root.iterfind("junction")]
    ends = {node for node in nodes if node.startswith(FRINGE) and "." not in node}
    edges = [e for e in root.iterfind("edge") if e.get("function") is None]
    sources = sorted(e.attrib["id"] for e in edges if e.get("from") in ends)
    sinks = sorted(e.attrib["id"] for e in edges if e.get("to") in ends)
    random = np.random.default_rng(5)
    attraction = random.uniform(0.3, 1.5, len(sinks))
    with routes.open("w", encoding="utf-8") as out:
        out.write("<routes>\n")
        for i, source in enumerate(sources):
            hourly = random.uniform(250.0, 650.0) * attraction / attraction.sum()
            for j, sink in enumerate(sinks):
                if j != i:
                    out.write(
                        f'  <flow id="{i}.{j}" begin="0" end="{until - 300}" from="{source}" to="{sink}" '
                        f'probability="{hourly[j] / 3600:.5f}" departLane="best" departSpeed="max"/>\n'
                    )
        out.write("</routes>\n")
    return Scenario("generated", net, (routes,), (), (), 0, until)


def netgenerate() -> str:
    """Where SUMO's ``netgenerate`` is: in the wheel. ``ExtraMissing`` names the install line."""
    return str(Path(require("sumo", "mobility").SUMO_HOME, "bin", "netgenerate"))
