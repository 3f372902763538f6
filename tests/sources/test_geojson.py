"""What enters the city's map is GeoJSON in degrees; whatever else comes is refused with what is wrong."""

from typing import Any

import pytest

from civium.sources.geojson import check_geojson, middle


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"type": [], "coordinates": [1, 2]}, "not a GeoJSON type"),
        ({"type": {}, "coordinates": [1, 2]}, "not a GeoJSON type"),
        ({"type": None}, "not a GeoJSON type"),
        ({"type": "Point", "coordinates": [10**400, 1]}, "not in WGS 84 degrees"),
        ({"type": "Point", "coordinates": [1e300, 1]}, "not in WGS 84 degrees"),
        ({"type": "Point", "coordinates": [float("nan"), 1]}, "not in WGS 84 degrees"),
        ({"type": "Point", "coordinates": [True, 1]}, "not those of a Point"),
        ({"type": "Point", "coordinates": "1 2"}, "not those of a Point"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [2, 0]]]}, "end where it starts"),
        ({"type": "Polygon", "coordinates": [[]]}, "needs 4 positions"),
        ({"type": "Feature", "geometry": None}, "no geometry"),
        ({"type": "Feature", "geometry": []}, "not a GeoJSON object"),
        ([1, 2], "not a GeoJSON object"),
    ],
)
def test_what_is_no_geometry_is_refused_with_the_reason(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_geojson(value)


def test_the_middle_is_that_of_the_bounds() -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [4, 2], [2, 8]]}
    assert middle({"type": "Feature", "geometry": line}) == (2, 4)
    assert middle({"type": "GeometryCollection", "geometries": []}) is None
