"""Rules of long answers and of other formats: pages by key, dataArray, CSV and GeoJSON in blocks of any number."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from civium.core import InputRefused
from civium.sources.sensorthings import formats
from civium.sources.sensorthings.formats import Streamed
from tests.sources.sensorthings.conftest import BASE, City, build


@pytest.fixture(scope="module")
def city(new_catalog: Callable[[], str]) -> Iterator[City]:
    built = build(new_catalog())
    for n in range(40):  # results and times that are often equal, some of them words
        stream, result = (5, "none") if n % 11 == 10 else (7, n % 4)
        time = f"2026-11-2{n % 3}T0{n % 7}:00:00Z"
        built.post("Observations", {"result": result, "Datastream": {"@iot.id": stream}, "phenomenonTime": time})
    yield built
    built.catalog.close()


def streamed(city: City, url: str) -> tuple[str, str]:
    answer = city.answer(url)
    assert isinstance(answer, Streamed)
    return answer.media_type, b"".join(answer.pieces).decode()


ORDERS = [
    "",
    "$orderby=id desc",
    "$orderby=result,id",
    "$orderby=result desc",
    "$orderby=phenomenonTime",
    "$orderby=phenomenonTime desc,result",
    "$orderby=Datastream/name desc,phenomenonTime",
    "$orderby=parameters/none,result mod 3 desc",
    "$orderby=resultTime desc,phenomenonTime desc&$filter=result ne 2",
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("top", [1, 7])
def test_pages_by_key_leave_nothing_out_and_tell_nothing_twice(city: City, order: str, top: int) -> None:
    asked = "&".join(part.partition("=")[0] + "=" + quote(part.partition("=")[2]) for part in order.split("&") if part)
    whole = [o["@iot.id"] for o in city.get(f"Observations?$top=1000&{asked}")["value"]]
    link, seen = f"{BASE}/Observations?$top={top}&$skip=2&{asked}", []
    while link:
        assert "$skip=2" not in link or not seen
        page = city.get(link.removeprefix(BASE + "/"))
        seen += [o["@iot.id"] for o in page["value"]]
        link = page.get("@iot.nextLink")
    assert seen == whole[2:]


@pytest.mark.parametrize("asked", ["", "$filter=result ne 2&", "$filter=Datastream/id eq 5&"])
def test_behind_many_rows_the_page_is_the_same(
    new_catalog: Callable[[], str], monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    built = build(new_catalog())
    for n in range(30):
        stream, result = (5, "none") if n % 3 else (7, n % 4)
        body = {"result": result, "Datastream": {"@iot.id": stream}}
        built.post("Observations", {**body, "phenomenonTime": "2026-11-20T00:00:00Z"})
    # Messages of three rows each, in four groups of messages that are counted together, one of another shard.
    built.lake.connection.execute(
        "UPDATE lake.observations SET id = id % 3 + (id // 3 << 16) + (id // 9 << 32) + (id // 27 << 56)"
    )
    whole = [o["@iot.id"] for o in built.get(f"Observations?{asked}$top=1000")["value"]]
    assert len({identity >> 32 for identity in whole}) > 3
    monkeypatch.setattr("civium.sources.sensorthings.fetch._DEEP", 1)
    for skip in range(1, len(whole) + 2):
        page = built.get(f"Observations?{asked}$top=4&$skip={skip}")
        assert [o["@iot.id"] for o in page["value"]] == whole[skip : skip + 4]
        assert ("@iot.nextLink" in page) == (skip + 4 < len(whole))
    built.catalog.close()


@pytest.mark.parametrize("url", ["Things", "Datastreams", "Things(3)/Datastreams"])
@pytest.mark.parametrize("order", ["properties/height", "name desc", "phenomenonTime desc", "id desc"])
def test_pages_of_the_catalogue(city: City, url: str, order: str) -> None:
    if order.startswith("phenomenon") and url == "Things":
        return
    whole = [o["@iot.id"] for o in city.get(f"{url}?$orderby={quote(order)}")["value"]]
    link, seen = f"{BASE}/{url}?$top=1&$orderby={quote(order)}", []
    while link:
        page = city.get(link.removeprefix(BASE + "/"))
        seen += [o["@iot.id"] for o in page["value"]]
        link = page.get("@iot.nextLink")
    assert seen == whole


def test_the_next_link_of_an_expand_goes_on_where_it_ended(city: City) -> None:
    whole = [o["@iot.id"] for o in city.get("Datastreams(7)/Observations?$orderby=result%20desc")["value"]]
    got = city.get("Datastreams(7)?$expand=Observations($orderby=result%20desc;$top=5;$select=id)")
    seen, link = [o["@iot.id"] for o in got["Observations"]], got["Observations@iot.nextLink"]
    while link:
        page = city.get(link.removeprefix(BASE + "/"))
        seen += [o["@iot.id"] for o in page["value"]]
        link = page.get("@iot.nextLink")
    assert seen == whole


def test_a_token_of_another_order_is_refused(city: City) -> None:
    token = city.get("Observations?$top=1&$orderby=result")["@iot.nextLink"].rpartition("=")[2]
    with pytest.raises(InputRefused, match="follow the link as it is"):
        city.get(f"Observations?$top=1&$orderby=phenomenonTime&$skiptoken={token}")


@pytest.mark.parametrize("block", [3, 10_000])
def test_a_data_array_says_what_json_says(city: City, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_BLOCK", block)
    kind, text = streamed(city, "Observations?$resultFormat=dataArray&$top=1000&$count=true&$orderby=Datastream/id,id")
    answer = json.loads(text)
    assert kind == "application/json"
    plain = city.get("Observations?$top=1000&$count=true&$orderby=Datastream/id,id")
    assert answer["@iot.count"] == plain["@iot.count"]
    seen = []
    for group in answer["value"]:
        assert group["dataArray@iot.count"] == len(group["dataArray"])
        assert group["Datastream@iot.navigationLink"].startswith(f"{BASE}/Datastreams(")
        seen += [dict(zip(group["components"], row, strict=True)) for row in group["dataArray"]]
    names = {"id": "@iot.id", "phenomenonTime": "phenomenonTime", "resultTime": "resultTime", "result": "result"}
    assert seen == [{name: o[own] for name, own in names.items()} for o in plain["value"]]


def test_a_data_array_has_pages_too(city: City) -> None:
    url = "Datastreams(7)/Observations?$resultFormat=dataArray&$select=result&$top=3"
    first = json.loads(streamed(city, url)[1])
    assert first["value"][0]["components"] == ["result"]
    second = json.loads(streamed(city, first["@iot.nextLink"].removeprefix(BASE + "/"))[1])
    assert len(second["value"][0]["dataArray"]) == 3


@pytest.mark.parametrize("block", [2, 10_000])
def test_csv_has_a_line_for_each_and_all_of_them(city: City, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_BLOCK", block)
    kind, text = streamed(
        city, "Observations?$resultFormat=CSV&$select=@iot.id,result&$expand=Datastream($select=name)"
    )
    lines = list(csv.DictReader(io.StringIO(text)))
    assert kind.startswith("text/csv")
    plain = city.get("Observations?$top=1000&$expand=Datastream")["value"]
    assert [line["@iot.id"] for line in lines] == [str(o["@iot.id"]) for o in plain]
    assert [line["Datastream/name"] for line in lines] == [o["Datastream"]["name"] for o in plain]


def test_csv_is_flat(city: City) -> None:
    _, text = streamed(city, "Things?$resultFormat=CSV&$expand=Datastreams($expand=ObservedProperty($select=name))")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 7  # one for each Datastream
    assert lines[0]["name"] == "lamp one"
    assert lines[0]["Datastreams/unitOfMeasurement/symbol"] == "degC"
    assert lines[0]["Datastreams/ObservedProperty/name"] == "air_temperature"
    assert json.loads(lines[0]["properties"])["height"] == 4.5
    _, text = streamed(city, "Things(1)?$resultFormat=csv&$select=name,properties/height")
    assert text.splitlines() == ["name,properties/height", "lamp one,4.5"]


def test_geojson_is_a_collection_of_features(city: City) -> None:
    kind, text = streamed(city, "Locations?$resultFormat=GeoJSON&$top=2&$count=true")
    answer = json.loads(text)
    assert (kind, answer["type"], answer["@iot.count"]) == ("application/geo+json", "FeatureCollection", 3)
    assert answer["features"][0]["geometry"] == {"type": "Point", "coordinates": [24.94, 60.17]}
    assert answer["features"][0]["properties"]["name"] == "place of lamp one"
    assert len(answer["features"]) == 2
    assert "@iot.nextLink" in answer
    _, text = streamed(city, "Things?$resultFormat=geojson&$expand=Locations($select=location,name)")
    gate: dict[str, Any] = json.loads(text)["features"][2]
    assert gate["geometry"]["coordinates"] == [25.5, 61.0]
    assert gate["properties"]["Locations/0/name"] == "place of gate"
