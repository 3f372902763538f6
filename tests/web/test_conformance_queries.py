"""What the standard says of $select, $expand, $orderby, $top, $skip and $count, on a running city (OGC 18-088, 9.3)."""

from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.standard import Door, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]

# of each set: its properties (of those in capitals none may be absent), to one, to many
MODEL: dict[str, tuple[str, str, str]] = {
    "Things": ("NAME DESCRIPTION properties", "", "Locations HistoricalLocations Datastreams"),
    "Locations": ("NAME DESCRIPTION ENCODINGTYPE LOCATION properties", "", "Things HistoricalLocations"),
    "HistoricalLocations": ("TIME", "Thing", "Locations"),
    "Datastreams": ("NAME DESCRIPTION OBSERVATIONTYPE UNITOFMEASUREMENT properties phenomenonTime resultTime",
                    "Thing Sensor ObservedProperty", "Observations"),
    "Sensors": ("NAME DESCRIPTION ENCODINGTYPE METADATA properties", "", "Datastreams"),
    "ObservedProperties": ("NAME DESCRIPTION DEFINITION properties", "", "Datastreams"),
    "Observations": ("PHENOMENONTIME RESULTTIME RESULT resultQuality validTime parameters",
                     "Datastream FeatureOfInterest", ""),
    "FeaturesOfInterest": ("NAME DESCRIPTION ENCODINGTYPE FEATURE properties", "", "Observations"),
}  # fmt: skip
NAMES = {
    name.upper(): name
    for name in ("name", "description", "encodingType", "location", "time", "observationType", "unitOfMeasurement",
                 "metadata", "definition", "phenomenonTime", "resultTime", "result", "feature")
}  # fmt: skip
SINGULAR = {"Thing": "Things", "Sensor": "Sensors", "ObservedProperty": "ObservedProperties",
            "Datastream": "Datastreams", "FeatureOfInterest": "FeaturesOfInterest"}  # fmt: skip
UNSORTED = ("properties", "parameters", "unitOfMeasurement", "location", "feature", "resultQuality")
COUNTS = {"Things": 2, "Locations": 2, "HistoricalLocations": 4, "Datastreams": 4, "Sensors": 4,
          "ObservedProperties": 3, "Observations": 12, "FeaturesOfInterest": 2}  # fmt: skip


def fields(plural: str) -> list[str]:
    return [NAMES.get(name, name) for name in MODEL[plural][0].split()]


def needed(plural: str) -> set[str]:
    return {NAMES[name] for name in MODEL[plural][0].split() if name.isupper()}


def links(plural: str) -> list[str]:
    return [*MODEL[plural][1].split(), *MODEL[plural][2].split()]


def there(link: str) -> str:
    return SINGULAR.get(link, link)


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    """Two Things that have changed places, with two Datastreams each of three Observations each."""
    made = Door(city)
    shared = ref(made.make("ObservedProperties", observed("shared")))
    things = []
    for n in (1, 2):
        streams = [stream(f"{n} own", Sensor=sensor(f"{n} a")), stream(f"{n} shared", Sensor=sensor(f"{n} b"))]
        streams[0]["ObservedProperty"], streams[1]["ObservedProperty"] = observed(f"{n} own"), shared
        body = thing(
            f"thing {n}", properties={"n": n}, Locations=[place(f"place {n}", point(n, n))], Datastreams=streams
        )
        things.append(made.make("Things", body))
    places = sorted(made.ids("Locations"))
    for it, other in zip(things, reversed(places), strict=True):
        made.send("PATCH", f"Things({it})", {"Locations": [ref(other)]})
    for at, mine in enumerate(sorted(made.ids("Datastreams"))):
        for n in range(3):
            when = f"2026-03-{3 * at + n + 1:02}T00:00:00Z"
            body = {"result": 3 * at + n + 1, "phenomenonTime": when, **({"resultTime": when} if n else {})}
            made.make(f"Datastreams({mine})/Observations", body)
    return made


def check(entity: dict[str, Any], plural: str, select: list[str], expand: list[str], *, inner: bool = False) -> None:
    """An entity must tell what was selected of it, what it was expanded to, and no more."""
    select = select or ["id", "@iot.selfLink", *fields(plural), *([] if inner else links(plural))]
    own = {name for name in entity if "@" not in name} - {"observedArea"} - set(expand)
    assert own <= set(select)
    assert needed(plural) & set(select) <= own
    assert ("@iot.id" in entity) == ("id" in select)
    told = {name.removesuffix("@iot.navigationLink") for name in entity if name.endswith("@iot.navigationLink")}
    assert told & set(links(plural)) == set(select) & set(links(plural))
    assert set(expand) <= entity.keys()
    assert not (set(links(plural)) - set(expand)) & entity.keys()


@pytest.mark.parametrize("plural", MODEL)
def test_only_what_is_selected_is_told(door: Door, plural: str) -> None:
    first = f"{plural}({door.ids(plural)[0]})"
    every = [*fields(plural), *links(plural), "id"]
    for select in ([name] for name in every):
        for one in (*door.values(f"{plural}?$select={','.join(select)}"), door.get(f"{first}?$select={select[0]}")):
            check(one, plural, select, [])
    for size in range(2, len(every) + 1):
        select = every[:size]
        for one in door.values(f"{plural}?$select={','.join(select)}"):
            check(one, plural, select, [])
    for link in links(plural):
        behind = door.get(f"{first}/{link}?$select={','.join(fields(there(link))[:2])}")
        for one in behind.get("value", [behind]):
            check(one, there(link), fields(there(link))[:2], [])


@pytest.mark.parametrize("plural", MODEL)
def test_links_are_expanded_to_two_levels(door: Door, plural: str) -> None:
    first = f"{plural}({door.ids(plural)[0]})"

    def inside(one: dict[str, Any], link: str) -> list[dict[str, Any]]:
        return one[link] if isinstance(one[link], list) else [one[link]]

    for link in links(plural):
        for path in (plural, first):
            found = door.get(f"{path}?$expand={link}")
            for one in found.get("value", [found]):
                check(one, plural, [], [link])
                for other in inside(one, link):
                    check(other, there(link), [], [], inner=True)
        behind = door.get(f"{first}/{link}?$expand={','.join(links(there(link)))}")
        for one in behind.get("value", [behind]):
            check(one, there(link), [], links(there(link)))
        for second in links(there(link)):
            for one in door.values(f"{plural}?$expand={link}/{second}"):
                for other in inside(one, link):
                    check(other, there(link), [], [second], inner=True)
    whole = ",".join(f"{link}/{second}" for link in links(plural) for second in links(there(link)))
    for one in door.values(f"{plural}?$expand={whole}"):
        check(one, plural, [], links(plural))


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("count", ["true", "false"])
@pytest.mark.parametrize("plural", MODEL)
def test_an_expand_takes_every_option(door: Door, plural: str, count: str, skip: int) -> None:
    first = f"{plural}({door.ids(plural)[0]})"
    for link in links(plural):
        own, select = ["id", *fields(plural)[::2], *links(plural)[1::2]], ["id", *fields(there(link))[1::2]]
        for second in links(there(link)):
            deep = f"{second}($select=id;$count={count};$top=2;$skip={skip})"
            inner = f"{link}($select={','.join(select)};$count={count};$top=2;$skip={skip};$expand={deep})"
            options = f"$select={','.join(own)}&$count={count}&$top=2&$skip={skip}&$expand={inner}"
            one = door.get(f"{first}?{options}")
            check(one, plural, own, [link])
            page = door.get(f"{plural}?{options}")
            assert ("@iot.count" in page) == (count == "true")
            assert len(page["value"]) == min(2, COUNTS[plural] - skip)
            assert ("@iot.nextLink" in page) == (COUNTS[plural] - skip > 2)
            if link in SINGULAR:
                check(one[link], there(link), select, [second])
                continue
            assert (f"{link}@iot.count" in one) == (count == "true")
            everything = door.ids(f"{first}/{link}")
            assert [other["@iot.id"] for other in one[link]] == everything[skip : skip + 2]
            assert (f"{link}@iot.nextLink" in one) == (len(everything) - skip > 2)
            if following := one.get(f"{link}@iot.nextLink"):
                rest = door.get(following)
                assert [other["@iot.id"] for other in rest["value"]] == everything[skip + 2 : skip + 4]


@pytest.mark.parametrize("plural", MODEL)
def test_a_collection_is_counted_and_paged(door: Door, plural: str) -> None:
    everything = door.ids(plural)
    assert len(everything) == COUNTS[plural]
    for top in (1, 2, 3, 4, 5, 12, 13):
        page = door.get(f"{plural}?$top={top}")
        assert [one["@iot.id"] for one in page["value"]] == everything[:top]
        assert ("@iot.nextLink" in page) == (top < len(everything))
    for skip in (1, 2, 3, 4, 12):
        page = door.get(f"{plural}?$skip={skip}&$top=12")
        assert [one["@iot.id"] for one in page["value"]] == everything[skip:]
        assert "@iot.nextLink" not in page
    page, found = door.get(f"{plural}?$count=true&$top=1"), []
    while True:
        assert page["@iot.count"] == len(everything)
        found += [one["@iot.id"] for one in page["value"]]
        if "@iot.nextLink" not in page:
            break
        page = door.get(page["@iot.nextLink"])
    assert found == everything
    assert "@iot.count" not in door.get(f"{plural}?$count=false")
    for link in MODEL[plural][2].split():
        behind = f"{plural}({everything[0]})/{link}"
        counted = door.get(f"{behind}?$count=true")
        assert counted["@iot.count"] == len(counted["value"])
        assert door.ids(f"{behind}?$top=3") == [one["@iot.id"] for one in counted["value"]][:3]
        assert door.ids(f"{behind}?$skip=1") == [one["@iot.id"] for one in counted["value"]][1:]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("$search=x", 501), ("$format=json", 501), ("$apply=x", 501), ("$expand=Datastreams($levels=2)", 501),
        ("colour=red", 400), ("$top=-1", 400), ("$top=x", 400), ("$skip=-1", 400), ("$count=maybe", 400),
        ("$top=1&$top=2", 400), ("$select=colour", 400), ("$expand=colour", 400), ("$orderby=colour", 400),
        ("$orderby=name upwards", 400), ("$filter=colour eq 1", 400), ("$filter=name eq", 400), ("$filter=name", 400),
        ("$filter=name eq 'x", 400), ("$filter=paint(name) eq 1", 400), ("$filter=name eq 1", 400), ("$select=", 400),
        ("$orderby=Datastreams/name", 501),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_query_is_refused_by_its_kind(door: Door, query: str, status: int) -> None:
    told = door.get(f"Things?{query}", status)
    assert told["code"] == status
    assert told["message"]


@pytest.mark.parametrize("plural", MODEL)
def test_a_collection_is_sorted(door: Door, plural: str) -> None:
    sortable = [name for name in fields(plural) if name not in UNSORTED]
    paths = [
        plural,
        *(f"Things({door.ids('Things')[0]})/{plural}" for _ in [0] if plural in MODEL["Things"][2].split()),
    ]
    for path in paths:
        for size in range(1, len(sortable) + 1):
            names = sortable[:size]
            for direction in ("", " asc", " desc"):
                found = door.values(f"{path}?$orderby={','.join(name + direction for name in names)}")
                assert sorted(one["@iot.id"] for one in found) == sorted(door.ids(path))
                told = [[one.get(name) for name in names] for one in found]
                for one, other in pairwise(told):
                    for a, b in zip(one, other, strict=True):
                        if a == b:
                            continue
                        less, more = (b, a) if direction == " desc" else (a, b)
                        assert less is None or (more is not None and less < more), (path, names, direction)
                        break
    found = door.values(f"{plural}?$orderby=id desc")
    assert [one["@iot.id"] for one in found] == sorted(door.ids(plural), reverse=True)


def test_a_collection_is_sorted_by_what_is_behind_a_link(door: Door) -> None:
    names = [
        one["Datastream"]["name"]
        for one in door.values("Observations?$orderby=Datastream/name desc&$expand=Datastream")
    ]
    assert names == sorted(names, reverse=True)


SAMPLES: dict[str, dict[str, str]] = {
    "Things": {"name": "'thing 1'", "description": "'thing 2'"},
    "Locations": {"name": "'place 1'", "encodingType": "'application/geo+json'"},
    "HistoricalLocations": {"time": "2026-03-01T00:00:00Z"},
    "Datastreams": {"name": "'1 own'", "phenomenonTime": "2026-03-05T00:00:00Z", "observationType": "'x'"},
    "Sensors": {"name": "'1 b'", "metadata": "'http://x/2'"},
    "ObservedProperties": {"name": "'shared'", "definition": "'http://example.org/shared'"},
    "Observations": {"result": "4", "phenomenonTime": "2026-03-05T00:00:00Z", "resultTime": "2026-03-05T00:00:00Z"},
    "FeaturesOfInterest": {"name": "'place 1'", "description": "'place 2'"},
}


@pytest.mark.parametrize("plural", MODEL)
def test_every_property_is_compared(door: Door, plural: str) -> None:
    everything = door.values(plural)
    for name, sample in SAMPLES[plural].items():
        parts: dict[str, set[int]] = {}
        for operator in ("lt", "le", "eq", "ne", "ge", "gt"):
            parts[operator] = set(door.ids(f"{plural}?$filter={name} {operator} {quote(sample)}"))
        known = {one["@iot.id"] for one in everything if one.get(name) is not None}
        assert parts["eq"] | parts["ne"] == known
        assert not parts["eq"] & parts["ne"]
        assert parts["lt"] <= parts["le"]
        assert parts["gt"] <= parts["ge"]
        assert not parts["lt"] & parts["ge"]
        if plural != "Datastreams" or name != "phenomenonTime":  # of an interval that holds it, nothing is true
            assert parts["lt"] | parts["ge"] == known
            assert parts["le"] == parts["lt"] | parts["eq"]
        if sample[0] == "'":
            plain = {operator: {one["@iot.id"] for one in everything if test(one[name], sample[1:-1])}
                     for operator, test in (("lt", str.__lt__), ("eq", str.__eq__), ("gt", str.__gt__))}  # fmt: skip
            assert {operator: parts[operator] for operator in plain} == plain
