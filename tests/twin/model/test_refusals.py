"""What cannot be made into a twin is refused in one sentence, and leaves nothing half-written."""

import gzip
import json
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from civium.core import InputRefused
from civium.core.extras import ExtraMissing
from civium.twin.model import build_twin, locate_example, read_summary
from civium.twin.model.cityjson import build_cityjson
from civium.twin.model.gtfs import build_gtfs
from civium.twin.model.osm import read_osm
from civium.twin.model.terrain import build_terrain
from tests.twin.model.conftest import elevation, timetable

Town = Any
BOX = (9.995, 49.995, 10.005, 50.005)


@pytest.fixture
def source(town: Town, tmp_path: Path) -> Path:
    """A town of one street, readable."""
    town.way(100, [1, 2, 3], {"highway": "residential", "name": "Long Street"})
    path: Path = town.write(tmp_path / "town.osm")
    return path


def refuse(tmp_path: Path, source: Path, match: str, **given: Any) -> None:
    out = tmp_path / "twin"
    with pytest.raises(InputRefused, match=match) as caught:
        build_twin(source, out, **given)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".twin")]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("empty.osm", b"", "is empty"),
        ("blank.osm", b"  \n ", "is empty"),
        ("empty.osm.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("page.osm.pbf", b"<html><body>404 Not Found</body></html>", "is not an OpenStreetMap file"),
        ("picture.osm", b"\x89PNG\r\n\x1a\n" + bytes(50), "is not an OpenStreetMap file"),
        ("archive.osm.gz", b"PK\x03\x04" + bytes(50), "is not an OpenStreetMap file"),
        ("other.osm", b'<?xml version="1.0"?><gpx></gpx>', "damaged or cut off"),
        ("cut.osm", b'<?xml version="1.0"?><osm version="0.6"><node id="1" lat="1" lon="2"/>', "damaged or cut off"),
        ("void.osm", b'<?xml version="1.0"?><osm version="0.6"></osm>', "holds no street"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path: Path, name: str, content: bytes, match: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refuse(tmp_path, path, match)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path, tmp_path / "nowhere.osm.pbf", "does not exist")
    refuse(tmp_path, tmp_path, "is a folder")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_a_truncated_extract_is_refused(tmp_path: Path, share: float) -> None:
    whole = locate_example("village").read_bytes()
    path = tmp_path / "cut.osm.pbf"
    path.write_bytes(whole[: int(len(whole) * share)])
    refuse(tmp_path, path, "damaged or cut off|holds no street|is not an OpenStreetMap file")


def test_a_truncated_packed_extract_is_refused(town: Town, tmp_path: Path) -> None:
    for number in range(100, 400):
        town.way(number, [1, 2, 3], {"highway": "residential", "name": f"Street {number}"})
    whole = gzip.compress(town.text().encode())
    path = tmp_path / "cut.osm.gz"
    path.write_bytes(whole[: len(whole) // 2])
    refuse(tmp_path, path, "damaged or cut off")


def test_a_name_is_no_proof_of_content(town: Town, tmp_path: Path) -> None:
    town.way(100, [1, 2, 3], {"highway": "residential"})
    path = tmp_path / "town.osm.pbf"  # in truth packed XML
    path.write_bytes(gzip.compress(town.text().encode()))
    assert build_twin(path, tmp_path / "twin").counts["streets"] == 2


@pytest.mark.parametrize(
    ("tables", "match"),
    [
        ({"stops": ""}, "has no stops.txt"),
        ({"trips": ""}, "has no trips.txt"),
        ({"stops": "stop_id,stop_name\nA,Market\n"}, "has no column stop_lat, stop_lon"),
        ({"calendar": ""}, "says of no day that anything runs"),
        ({"stops": "stop_id,stop_name,stop_lat,stop_lon\nA,Market,-30.0,10.0\n"}, "none of the 1 stops"),
        ({"calendar_dates": "service_id,date,exception_type\nweek,2024-01-01,1\n"}, "a date that is none"),
        ({"frequencies": "trip_id,start_time,end_time,headway_secs\n1,06:00:00,noon,600\n"}, "a time that is none"),
        ({"stop_times": 'trip_id,stop_id\n1,"A\n'}, "damaged"),
    ],
)
def test_a_bad_timetable_is_refused(tmp_path: Path, source: Path, tables: dict[str, str], match: str) -> None:
    refuse(tmp_path, source, match, gtfs=timetable(tmp_path / "gtfs.zip", **tables))


def test_a_timetable_that_is_no_zip_is_refused(tmp_path: Path, source: Path) -> None:
    refuse(tmp_path, source, "does not exist", gtfs=tmp_path / "nowhere.zip")
    (tmp_path / "bad.zip").write_bytes(b"stops")
    refuse(tmp_path, source, "not a readable zip", gtfs=tmp_path / "bad.zip")


def test_bad_elevation_is_refused(tmp_path: Path, source: Path) -> None:
    refuse(tmp_path, source, "does not exist", elevation=tmp_path / "nowhere.tif")
    (tmp_path / "bad.tif").write_bytes(b"no raster at all")
    refuse(tmp_path, source, "cannot be read as elevation", elevation=tmp_path / "bad.tif")
    (tmp_path / "ground.hgt").write_bytes(bytes(2 * 1201 * 1201))
    refuse(tmp_path, source, "does not say where it lies", elevation=tmp_path / "ground.hgt")
    refuse(tmp_path, source, "does not cover the town", elevation=elevation(tmp_path / "far.tif", west=40.0))
    refuse(tmp_path, source, "no elevation within", elevation=elevation(tmp_path / "void.tif", value=-9999.0))
    refuse(tmp_path, source, "no coordinate system", elevation=elevation(tmp_path / "lost.tif", crs=None))
    whole = elevation(tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    refuse(tmp_path, source, "damaged|cannot be read", elevation=tmp_path / "cut.tif")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("N43E007.hgt", b"")
        archive.writestr("N43E008.hgt", b"")
    refuse(tmp_path, source, "holds 2 elevation files", elevation=tmp_path / "two.zip")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "cannot be read as JSON"),
        (b"{", "cannot be read as JSON"),
        (b"[1, 2]", "is not CityJSON"),
        (b'{"type": "FeatureCollection"}', "is not CityJSON"),
        (b'{"type": "CityJSON", "CityObjects": {}, "vertices": []}', "names no coordinate system"),
        (
            b'{"type": "CityJSON", "CityObjects": {}, "vertices": [], "metadata": {"referenceSystem": "EPSG:7415"}}',
            "holds no building",
        ),
        (
            b'{"type": "CityJSON", "CityObjects": {"a": {"type": "Building", "geometry": [{"type": "MultiSurface",'
            b' "lod": "1", "boundaries": [[[0, 1, 9]]]}]}}, "vertices": [[0, 0, 0]],'
            b' "metadata": {"referenceSystem": "EPSG:7415"}}',
            "is damaged",
        ),
    ],
)
def test_bad_cityjson_is_refused(tmp_path: Path, source: Path, content: bytes, match: str) -> None:
    path = tmp_path / "city.json"
    path.write_bytes(content)
    refuse(tmp_path, source, match, cityjson=path)


def test_cityjson_of_another_town_is_refused(tmp_path: Path, source: Path, shared_data: Callable[[str], Path]) -> None:
    refuse(tmp_path, source, "none of the 160 buildings", cityjson=shared_data("cityjson") / "delft.json")


def test_a_twin_is_replaced_whole_and_survives_a_refusal(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "twin"
    first = build_twin(source, out)
    with pytest.raises(InputRefused):
        build_twin(tmp_path / "nowhere.osm", out)
    assert read_summary(out) == first
    build_twin(locate_example("village"), out)
    assert read_summary(out).counts["buildings"] > 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["town.osm", "twin"]


def test_a_folder_that_is_no_twin_is_not_overwritten(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "twin"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(InputRefused, match="holds something that is not a twin"):
        build_twin(source, out)
    assert (out / "thesis.txt").read_text() == "years of work"


def test_a_missing_extra_names_the_install_line(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[twin\]"'):
        build_twin(source, tmp_path / "twin")


def test_an_example_is_found_or_its_install_line_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate_example("helsinki").name == "Helsinki.osm.pbf"
    with pytest.raises(InputRefused, match="helsinki, village"):
        locate_example("atlantis")
    monkeypatch.setattr("civium.twin.model.example.find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[sandbox\]"'):
        locate_example("helsinki")


@pytest.mark.parametrize("seed", range(30))
def test_damage_at_any_byte_is_refused_or_harmless(tmp_path: Path, town: Town, seed: int) -> None:
    random = Random(seed)
    town.way(100, [1, 2, 3], {"highway": "residential"})
    city = {"type": "CityJSON", "version": "2.0", "CityObjects": {"a": {"type": "Building"}}, "vertices": [[0, 0, 0]]}
    (tmp_path / "city.json").write_text(json.dumps(city | {"metadata": {"referenceSystem": "EPSG:7415"}}))
    readers: list[tuple[Path, Callable[[Path], object]]] = [
        (town.write(tmp_path / "town.osm"), lambda path: read_osm(path)),
        (town.write(tmp_path / "town.osm.gz"), lambda path: read_osm(path)),
        (timetable(tmp_path / "gtfs.zip"), lambda path: build_gtfs(path, BOX)),
        (elevation(tmp_path / "ground.tif"), lambda path: build_terrain([path], BOX)),
        (tmp_path / "city.json", lambda path: build_cityjson(path, BOX)),
    ]
    for path, read in readers:
        raw = bytearray(path.read_bytes())
        for _ in range(random.choice((1, 3, 20))):
            at = random.randrange(len(raw) - 1)
            raw[at : at + random.choice((0, 1, 1, 30))] = random.randbytes(random.choice((0, 1, 1, 10)))
        path.write_bytes(raw)
        with suppress(InputRefused):
            read(path)
