"""Things from files: what a row means, which rows are refused with their line, and that all forms say the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.sources import register_geojson
from civium.sources.register_files import Seen, read_chunks


def things(path: Path, kind: str = "") -> list[dict[str, Any]]:
    found = []
    for chunk in read_chunks(path, kind):
        assert chunk.refused == []
        found += [json.loads(body) for body in chunk.body]
    return found


def refusals(path: Path) -> dict[int, str]:
    return {refusal.line: refusal.why for chunk in read_chunks(path) for refusal in chunk.refused}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


LAMP = {
    "key": "lamp/1",
    "kind": "lamp_post",
    "name": "Lämp",
    "where": {"type": "Point", "coordinates": [24.94, 60.17]},
    "facts": {"height": 6.5, "zip": "00100", "led": True},
    "streams": [{"property": "air_temperature", "unit": "degC"}, {"property": "state", "unit": "1", "type": "truth"}],
}


def test_one_thing_is_the_same_from_every_form(file: Any) -> None:
    wide = file(
        "a.csv",
        "key,kind,name,lon,lat,height,facts.zip,led,streams\n"
        "lamp/1,lamp_post,Lämp,24.94,60.17,6.5,00100,true,air_temperature:degC; state:1:truth\n",
    )
    a_stream_a_row = file(
        "b.csv",
        "\ufeffkey;kind;name;lon;lat;height;zip;led;property;unit;type\r\n"
        "lamp/1;lamp_post;Lämp;24.94;60.17;6.5;00100;true;air_temperature;degC;\r\n"
        "lamp/1;lamp_post;Lämp;24.94;60.17;6.5;00100;true;state;1;truth\r\n",
    )
    properties = {n: LAMP[n] for n in ("key", "kind", "name", "streams")} | LAMP["facts"] | {"removed": None}
    feature = {"type": "Feature", "geometry": LAMP["where"], "properties": properties}
    collection = {"type": "FeatureCollection", "name": "lamps", "features": [feature], "bbox": [0, 0, 1, 1]}
    forms = [
        wide,
        a_stream_a_row,
        file("c.jsonl", "\n" + json.dumps(LAMP) + "\n"),
        file("d.geojson", json.dumps(collection)),
        file("e.geojson", json.dumps(collection, indent=2)),
        file("f.geojsons", "\x1e" + json.dumps(feature) + "\n"),
    ]
    for path in forms:
        assert things(path) == [LAMP], path


def test_the_kind_on_the_command_line_is_for_those_that_name_none(file: Any) -> None:
    csv = file("a.csv", "key,kind\na,\nb,tree\n")
    lines = file("a.jsonl", '{"key":"a"}\n{"key":"b","kind":"tree"}\n')
    for path in (csv, lines):
        assert [thing["kind"] for thing in things(path, "lamp")] == ["lamp", "tree"]
        assert list(refusals(path)) == [2 if path is csv else 1]


def test_a_feature_may_be_named_by_its_id(file: Any) -> None:
    feature = {"type": "Feature", "id": 7, "geometry": None, "properties": {"kind": "tree"}}
    assert things(file("a.json", json.dumps(feature))) == [{"key": "7", "kind": "tree"}]


def test_refused_lines_are_named_also_after_values_of_many_lines(file: Any) -> None:
    text = 'key,kind,note,lon,lat\na,k,"two\nlines",,\nb,k,x\nc,k,,north,60\n\na,k,,,\n,k,,,\n'
    assert refusals(file("a.csv", text)) == {
        4: "it has 3 columns, not 5",
        5: "lon 'north' and lat '60' are no degrees",
        7: "the key 'a' of a thing stands already in line 2",
        8: "the thing has no key",
    }


def test_rows_of_one_thing_stand_together_and_say_the_same(file: Any) -> None:
    text = "key,kind,height,property\na,k,1,p\na,k,2,q\nb,k,1,p\nb,k,1,q\na,k,1,r\n"
    assert refusals(file("a.csv", text)) == {
        3: "thing 'a' has another facts in line 2",
        6: "the key 'a' of a thing stands already in line 2",
    }


def test_a_key_that_stands_twice_is_found_across_chunks_and_nouns_do_not_clash(file: Any) -> None:
    rows = [{"key": f"t{i}", "kind": "k", "streams": [{"property": "p"}]} for i in range(25_000)]
    rows += [{"key": "t3/p", "kind": "k"}, {"key": "new", "kind": "k", "streams": [{"property": "p", "key": "t17/p"}]}]
    path = file("a.jsonl", "\n".join(map(json.dumps, rows)))
    chunks = list(read_chunks(path))
    assert len(chunks) == 2
    assert [len(chunk.lines) for chunk in chunks] == [20_000, 5_002]
    assert refusals(path) == {25_002: "the key 't17/p' of a stream stands already in line 18"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=12), max_size=12))
def test_what_was_seen_is_what_a_dictionary_would_say(batches: list[list[int]]) -> None:
    seen, known, line = Seen(), {}, 0
    for batch in batches:
        lines, expected = [], {}
        for index, number in enumerate(batch):
            line += 1
            lines.append(line)
            if number in known:
                expected[index] = number
            known.setdefault(number, line)
        told = seen.add([str(number) for number in batch], lines)
        assert [index for index, _ in told] == list(expected)
        assert all(known[batch[index]] == first for index, first in told)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_collection_is_read_whole_however_it_is_cut(data: st.DataObject, tmp_path_factory: Any) -> None:
    part = data.draw(st.integers(1, 40))
    names = data.draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
    features = [
        {"type": "Feature", "geometry": None, "properties": {"key": name, "n": data.draw(st.floats(allow_nan=False))}}
        for name in names
    ]
    path = tmp_path_factory.mktemp("cut") / "a.geojson"
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": features}, indent=data.draw(st.sampled_from([None, 1])))
    )
    with pytest.MonkeyPatch.context() as patch, path.open(newline="") as file:
        patch.setattr(register_geojson, "_PART", part)
        read = [thing for _, thing in register_geojson.read_features(file, path)]
    assert [thing["key"] for thing in read] == names
    assert [thing["facts"]["n"] for thing in read] == [f["properties"]["n"] for f in features]


COLLECTION = '{"type":"FeatureCollection",'


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.csv", b"  \n", "is empty"),
        ("utf16.csv", "key,kind\n".encode("utf-16"), "is UTF-16"),
        ("latin1.csv", "key,kind\nä,b\n".encode("latin-1"), "is not UTF-8"),
        ("zip.csv", b"PK\x03\x04", "is zip"),
        ("nokey.csv", b"id,kind\n", "no column 'key'"),
        ("twice.csv", b"key,kind,key\n", "stands twice"),
        ("noname.csv", b"key,,kind\n", "column 2 has no name"),
        ("half.csv", b"key,lon\n", "both columns"),
        ("quote.csv", b'key,kind\na,"b\n', "line 2"),
        ("array.json", b'[{"key":1}]', "JSON array"),
        ("text.geojson", b"key,kind\n", "is no JSON"),
        ("crs.geojson", COLLECTION + '"crs":{"properties":{"name":"EPSG:3067"}},"features":[]}', "to WGS 84"),
        ("cut.geojson", COLLECTION + '\n"features":[\n{"type":"Feature"', "line 3"),
        ("none.geojson", COLLECTION + '"x":1}', "has no features"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_in_a_sentence(file: Any, name: str, content: Any, why: str) -> None:
    with pytest.raises(InputRefused, match=why) as told:
        list(read_chunks(file(name, content)))
    assert name in str(told.value)


def test_a_missing_file_or_a_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(InputRefused, match=r"no such file|is a folder"):
            list(read_chunks(path))
