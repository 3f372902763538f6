"""``civium register`` on a real city: a file is checked, registered, known again, and refused by line."""

import json
from pathlib import Path
from typing import Any

HEADER = "key,kind,lon,lat,height,streams\n"


def test_a_dry_run_says_what_would_be_and_changes_nothing(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "lamps.csv"
    path.write_text(HEADER + "dry/1,lamp,24.9,60.1,6,t:degC;h:%\ndry/2,lamp,24.9,60.1,6,t:degC\n")
    before = city.client.get("/api/status")["streams"]
    dry = city.run("register", str(path), "--dry-run")
    assert dry.returncode == 0
    assert "2 things with 3 streams: 2 would be new" in dry.stdout
    assert city.client.get("/api/status")["streams"] == before
    real = city.run("register", str(path))
    assert "2 things with 3 streams: 2 new" in real.stdout
    assert city.client.get("/api/status")["streams"] == before + 3
    again = city.run("register", str(path))
    assert again.returncode == 0
    assert "0 new or with something new, 0 changed, 2 known already" in again.stdout


def test_refused_lines_are_named_with_the_reason_of_the_city(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "bad/1,lamp,24.9,60.1,6,t:degC\nbad/2,lamp,24.9,60.1,6,t:blink\nbad/3,lamp,24.9,99,6,\n")
    for options in (["--dry-run"], []):
        told = city.run("register", str(path), *options)
        assert told.returncode == 1
        assert "line 3: unknown unit 'blink'" in told.stdout
        assert "line 4: 'where' is no GeoJSON geometry" in told.stdout
        assert "2 lines were refused" in told.stdout
        assert "Traceback" not in told.stderr
    assert city.client.get("/api/status")["things"].get("lamp", 0) in (0, 2)  # 2: of the other test


def test_other_content_under_a_known_key_changes_what_is_there(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "mast.jsonl"
    line = {"key": "mast/1", "kind": "mast", "streams": [{"property": "wind_speed", "unit": "m/s"}]}
    path.write_text(json.dumps(line))
    assert city.run("register", str(path)).returncode == 0
    line["streams"].append({"property": "wind_from", "unit": "deg"})
    path.write_text(json.dumps(line))
    more = city.run("register", str(path))
    assert "1 things with 2 streams: 1 new or with something new" in more.stdout
    line["kind"] = "pole"
    path.write_text(json.dumps(line))
    line |= {"facts": {"height": 30}, "where": {"type": "Point", "coordinates": [24.9, 60.2]}}
    line["streams"][0]["unit"] = "km/h"
    path.write_text(json.dumps(line))
    other = city.run("register", str(path))
    assert "0 new or with something new, 1 changed, 0 known already" in other.stdout
    query = "$filter=properties/height eq 30&$expand=Locations,HistoricalLocations,Datastreams"
    [mast] = city.client.get(f"/v1.1/Things?{query}")["value"]
    assert mast["Locations"][0]["location"]["coordinates"] == [24.9, 60.2]
    assert len(mast["HistoricalLocations"]) == 1
    assert mast["Datastreams"][0]["unitOfMeasurement"]["symbol"] == "km/h"
    assert city.client.get("/api/status")["things"]["pole"] == 1
    again = city.run("register", str(path))
    assert "0 new or with something new, 0 changed, 1 known already" in again.stdout
    line["streams"][0]["property"], line["streams"][0]["key"] = "gusts", "mast/1/wind_speed"
    path.write_text(json.dumps(line))
    refused = city.run("register", str(path), "--dry-run")
    assert refused.returncode == 1
    assert "line 1: stream 'mast/1/wind_speed' is registered already with another property" in refused.stdout


def test_many_things_from_geojson_in_chunks(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "trees.geojson"
    point = {"type": "Point", "coordinates": [24.9, 60.1]}
    features = [
        {"type": "Feature", "id": f"tree/{i}", "geometry": point, "properties": {"species": "tilia", "girth": i}}
        for i in range(25_000)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert city.run("register", str(path)).returncode == 1  # no kind
    told = city.run("register", str(path), "--kind", "tree")
    assert "25,000 things with 0 streams: 25,000 new" in told.stdout
    assert city.client.get("/api/status")["things"]["tree"] == 25_000


def test_a_dry_run_without_a_city_leaves_none_behind(tmp_path: Path, city: Any) -> None:
    path = tmp_path / "lamps.csv"
    path.write_text(HEADER + "dry/1,lamp,24.9,60.1,6,t:degC\n")
    nowhere = type(city)(tmp_path / "none", True, {})
    told = nowhere.run("register", str(path), "--dry-run")
    assert (told.returncode, nowhere.folder.exists()) == (0, False)
    assert "1 would be new" in told.stdout


def test_a_wrong_file_is_one_sentence_and_starts_no_city(tmp_path: Path, city: Any) -> None:
    nowhere = type(city)(tmp_path / "none", True, {})
    told = nowhere.run("register", str(tmp_path / "missing.csv"))
    assert told.returncode == 1
    assert told.stderr.strip().splitlines() == [
        f"civium: cannot read {tmp_path / 'missing.csv'}: no such file or directory"
    ]
    assert not nowhere.folder.exists()
