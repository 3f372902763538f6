"""The ground of the map: every geometry is drawn where it lies, once, and never in more bytes than allowed."""

import struct
from pathlib import Path

import pyarrow as pa
import pytest

from civium.web import ground
from civium.web.ground import Frame, Ground, frame_around, ground_of


def _polygon(ring: list[tuple[float, float]]) -> bytes:
    return struct.pack("<BIII", 1, 3, 1, len(ring)) + b"".join(struct.pack("<2d", *p) for p in ring)


def _line(points: list[tuple[float, float]], order: str = "<") -> bytes:
    flag = 1 if order == "<" else 0
    return struct.pack(f"{order}BII", flag, 2, len(points)) + b"".join(struct.pack(f"{order}2d", *p) for p in points)


def _many(kind: int, parts: list[bytes]) -> bytes:
    return struct.pack("<BII", 1, kind, len(parts)) + b"".join(parts)


def test_north_is_up_and_a_degree_of_longitude_shrinks_with_the_cosine_of_the_latitude() -> None:
    frame = Frame((24.0, 59.5, 25.0, 60.5))
    assert frame.height == pytest.approx(1000.0)
    assert frame.width == pytest.approx(500.0)  # cos 60 degrees
    assert frame.place(24.0, 60.5) == pytest.approx((0.0, 0.0))
    assert frame.place(25.0, 59.5) == pytest.approx((500.0, 1000.0))


def test_things_without_a_city_model_get_a_frame_that_holds_them_all() -> None:
    points = [(10.0, 50.0), (10.1, 50.02)]
    frame = frame_around(points)
    assert frame is not None
    for x, y in (frame.place(*point) for point in points):
        assert 0 < x < frame.width
        assert 0 < y < frame.height
    assert frame_around([(10.0, 50.0)]) is not None
    assert frame_around([]) is None


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A city model of one building (in a multipolygon), one street in both directions, a river and a lake."""
    square = [(0.0, 0.0), (0.0, 0.01), (0.01, 0.01), (0.01, 0.0), (0.0, 0.0)]
    street = [(0.0, 0.005), (0.02, 0.005)]
    layers = {
        "buildings": pa.table({"height": [30.0], "geometry": [_many(6, [_polygon(square)])]}),
        "streets": pa.table(
            {
                "class": ["primary", "primary", "service"],
                "tunnel": [False, False, True],
                "geometry": [_line(street), _line(street[::-1], ">"), _line([(0.0, 0.0), (0.02, 0.02)])],
            }
        ),
        "water": pa.table(
            {"kind": ["river", "lake"], "geometry": [_many(5, [_line([(0.0, 0.02), (0.02, 0.02)])]), _polygon(square)]}
        ),
        "landuse": pa.table({"group": ["residential"], "geometry": [_polygon(square)]}),
    }
    (tmp_path / "twin.json").write_text(
        '{"bounds": [0, 0, 0.02, 0.02], "centre": [0.01, 0.01], "sources": {}, "counts": {}, "estimated": {},'
        ' "notes": [], "attribution": ["Map data, https://example.org/terms"], "version": "0"}'
    )
    monkeypatch.setattr(ground, "layer_names", lambda folder: tuple(layers))
    monkeypatch.setattr(ground, "read_layer", lambda folder, name: layers[name])
    return tmp_path


def _drawn(twin: Path) -> Ground:
    ground._draw.cache_clear()
    made = ground_of(twin)
    assert made is not None
    return made


def test_what_is_there_is_drawn_once_and_a_tunnel_or_plain_land_is_not(twin: Path) -> None:
    svg = _drawn(twin).svg.decode()
    assert svg.count('class="b3"') == 1
    assert svg.count('class="main"') == 1
    assert svg.split('class="main"')[1].split("/>")[0].count("M") == 1  # both directions are one line
    assert 'class="river"' in svg
    assert 'class="water"' in svg
    assert 'class="street"' not in svg
    assert 'class="green"' not in svg


def test_the_attribution_names_whose_data_these_are_and_no_address(twin: Path) -> None:
    assert _drawn(twin).attribution == ("Map data",)


def test_a_drawing_that_is_too_large_gets_coarser_until_it_fits(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = len(_drawn(twin).svg)
    monkeypatch.setattr(ground, "MOST_BYTES", fine - 1)
    assert len(_drawn(twin).svg) < fine


def test_no_city_model_is_no_ground(tmp_path: Path) -> None:
    assert ground_of(tmp_path) is None
