"""What the standard says of $filter, on a running city: times, geometry, JSON, links, operators (OGC 18-088, 9.3.3)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.city.conftest import CityProcess, city
from tests.web.standard import ANYTHING, Door, feature, observed, place, point, ref, sensor, stream, thing

__all__ = ["city"]

Span = tuple[int, int]  # from and to [min after 6 o'clock]; both alike: an instant
SPANS: list[Span] = [
    *((t, t) for t in (0, 59, 60, 61, 119, 120, 121, 180)),
    *((0, 59), (0, 60), (0, 61), (60, 120), (61, 119), (119, 180), (120, 180), (121, 180)),
    *((59, 121), (60, 119), (60, 121), (59, 120), (61, 120)),
]  # fmt: skip


def clock(minute: int) -> str:
    return f"2026-03-01T{6 + minute // 60:02}:{minute % 60:02}:00Z"


def told(span: Span) -> str:
    return clock(span[0]) if span[0] == span[1] else f"{clock(span[0])}/{clock(span[1])}"


def moments(span: Span) -> set[float]:
    """The half minutes of a span of time: its end is not one of them."""
    return {span[0]} if span[0] == span[1] else {half / 2 for half in range(2 * span[0], 2 * span[1])}


@pytest.fixture(scope="module")
def door(city: CityProcess) -> Door:
    return Door(city)


@pytest.fixture(scope="module")
def timed(door: Door) -> int:
    """A Datastream with an Observation of each span: an instant is its resultTime, an interval its validTime."""
    it = door.make("Things", thing("clock", Locations=[place()], Datastreams=[stream("times", ANYTHING)]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    for number, span in enumerate(SPANS):
        at = "resultTime" if span[0] == span[1] else "validTime"
        door.make(f"Datastreams({mine})/Observations", {"result": number, "phenomenonTime": told(span), at: told(span)})
    return mine


COMPARED: dict[str, Callable[[Span, Span], bool]] = {
    "{a} lt {b}": lambda a, b: max(moments(a)) < min(moments(b)),
    "{a} gt {b}": lambda a, b: min(moments(a)) > max(moments(b)),
    "{a} le {b}": lambda a, b: a[0] <= b[0] and a[1] <= b[1],
    "{a} ge {b}": lambda a, b: a[0] >= b[0] and a[1] >= b[1],
    "{a} eq {b}": lambda a, b: a == b,
    "{a} ne {b}": lambda a, b: a != b,
    "before({a},{b})": lambda a, b: max(moments(a)) < min(moments(b)),
    "after({a},{b})": lambda a, b: min(moments(a)) > max(moments(b)),
    "meets({a},{b})": lambda a, b: a[1] == b[0] or b[1] == a[0],
    "overlaps({a},{b})": lambda a, b: bool(moments(a) & moments(b)),
    "starts({a},{b})": lambda a, b: a[0] == b[0],
    "finishes({a},{b})": lambda a, b: a[1] == b[1],
    "not {a} lt {b} and not {a} ge {b}": lambda a, b: (
        not max(moments(a)) < min(moments(b)) and not (a[0] >= b[0] and a[1] >= b[1])
    ),
}


@pytest.mark.parametrize("constant", [(60, 60), (60, 120)], ids=["instant", "interval"])
@pytest.mark.parametrize("form", COMPARED)
def test_times_are_compared(door: Door, timed: int, form: str, constant: Span) -> None:
    for name, own in (
        ("phenomenonTime", SPANS),
        ("resultTime", [span for span in SPANS if span[0] == span[1]]),
        ("validTime", [span for span in SPANS if span[0] != span[1]]),
    ):
        for turned in (False, True):
            pair = {"a": told(constant), "b": name} if turned else {"a": name, "b": told(constant)}
            test = form.format(**pair)
            found = {one["result"] for one in door.values(f"Datastreams({timed})/Observations?$filter={test}")}
            met = {span for span in own if COMPARED[form](*((constant, span) if turned else (span, constant)))}
            assert found == {SPANS.index(span) for span in met}, test


def test_during_needs_an_interval_to_be_in(door: Door, timed: int) -> None:
    path = f"Datastreams({timed})/Observations?$filter="
    for one, other in (("validTime", clock(60)), (clock(60), "resultTime"), (told((60, 120)), "resultTime")):
        door.get(f"{path}during({one},{other})", 400)
    hour = (60, 120)
    inside = {SPANS.index(span) for span in SPANS if moments(span) <= moments(hour)}
    found = door.values(f"{path}during(phenomenonTime,{told(hour)})")
    assert {one["result"] for one in found} == inside
    around = {SPANS.index(s) for s in SPANS if s[0] != s[1] and moments((60, 60)) <= moments(s)}
    assert {one["result"] for one in door.values(f"{path}during({clock(60)},phenomenonTime)")} == around


@pytest.mark.parametrize(
    ("test", "met"),
    [
        ("phenomenonTime add duration'PT1H' gt {180}", lambda s: s[0] + 60 > 180),
        ("phenomenonTime gt {180} sub duration'PT1H'", lambda s: s[0] > 120),
        ("phenomenonTime sub duration'PT1H' gt {60}", lambda s: s[0] - 60 > 60),
        ("validTime lt {0}/{60} add duration'PT1H'", lambda s: s[0] != s[1] and s[1] <= 60),
        ("phenomenonTime sub {120} eq duration'PT1H'", lambda s: s[0] == 180),
        ("hour(phenomenonTime) eq 8", lambda s: 120 <= s[0] < 180),
        ("minute(phenomenonTime) eq 59", lambda s: s[0] % 60 == 59),
        ("date(phenomenonTime) eq 2026-03-01 and time(phenomenonTime) ge 08:00:00", lambda s: s[0] >= 120),
        ("year(validTime) eq 2026 and month(validTime) eq 3 and day(validTime) eq 1", lambda s: s[0] != s[1]),
        ("phenomenonTime lt now() and phenomenonTime gt mindatetime()", lambda s: True),
        ("second(phenomenonTime) ne 0 or fractionalseconds(phenomenonTime) ne 0", lambda s: False),
        ("totaloffsetminutes(phenomenonTime) eq 0 and phenomenonTime lt maxdatetime()", lambda s: True),
    ],
)
def test_times_are_calculated_with(door: Door, timed: int, test: str, met: Callable[[Span], bool]) -> None:
    for minute in (0, 60, 120, 180):
        test = test.replace(f"{{{minute}}}", clock(minute))
    found = {one["result"] for one in door.values(f"Datastreams({timed})/Observations?$filter={test}")}
    assert found == {number for number, span in enumerate(SPANS) if met(span)}


def test_a_datastream_is_found_by_the_time_that_it_covers(door: Door, timed: int) -> None:
    whole = (0, 180)
    empty = door.make(f"Things({door.get(f'Datastreams({timed})/Thing')['@iot.id']})/Datastreams", stream("no times"))
    for form in COMPARED:
        for constant in ((0, 0), (60, 60), (180, 180), (0, 180), (60, 120), (180, 240)):
            test = form.format(a="phenomenonTime", b=told(constant))
            found = door.ids(f"Datastreams?$filter=id in ({timed},{empty}) and ({test})")
            assert (timed in found) == COMPARED[form](whole, constant), test
            assert empty not in found


LINES = {"short": [[5, 52], [5, 53]], "slant": [[5, 52], [6, 53]], "long": [[4, 52], [8, 52]]}
SHAPES: dict[str, Any] = {
    **{f"at {lat}": point(8, lat) for lat in (51, 52, 53, 54)},
    "area": {"type": "Polygon", "coordinates": [[[8, 53], [7, 52], [7, 53], [8, 53]]]},
    **{name: {"type": "LineString", "coordinates": line} for name, line in LINES.items()},
}
BOX = "geography'POLYGON((7.5 51.5, 7.5 53.5, 8.5 53.5, 8.5 51.5, 7.5 51.5))'"
ACROSS = "geography'LINESTRING(7.5 51, 7.5 54)'"
POINTS = {"at 51", "at 52", "at 53", "at 54"}
GEOMETRY: list[tuple[str, set[str]]] = [
    ("geo.distance({g}, geography'POINT(8 54.1)') lt 1", {"at 54"}),
    ("geo.distance({g}, geography'POINT(8 54.1)') gt 1", SHAPES.keys() - {"at 54"}),
    (f"geo.intersects({{g}}, {ACROSS})", {"area", "long"}),
    ("geo.length({g}) gt 1", {"slant", "long"}),
    ("geo.length({g}) ge 1", {"short", "slant", "long"}),
    ("geo.length({g}) eq 1", {"short"}),
    ("geo.length({g}) ne 1", SHAPES.keys() - {"short"}),
    ("geo.length({g}) le 4", set(SHAPES)),
    ("geo.length({g}) lt 4", SHAPES.keys() - {"long"}),
    (f"st_contains({BOX}, {{g}})", {"at 52", "at 53"}),
    (f"st_within({{g}}, {BOX})", {"at 52", "at 53"}),
    ("st_crosses(geography'LINESTRING(7.5 51.5, 7.5 53.5)', {g})", {"area", "long"}),
    (f"st_disjoint({BOX}, {{g}})", {"at 51", "at 54", "short", "slant"}),
    ("st_equals({g}, geography'POINT(8 53)')", {"at 53"}),
    (f"st_intersects({{g}}, {ACROSS})", {"area", "long"}),
    ("st_overlaps(geography'POLYGON((7.5 51.5, 7.5 53.5, 8.5 53.5, 8.5 51.5, 7.5 51.5))', {g})", {"area"}),
    ("st_relate({g}, geography'POLYGON((7.5 51.5, 7.5 53.5, 8.5 53.5, 8.5 51.5, 7.5 51.5))', 'T********')",
     {"at 52", "at 53", "area", "long"}),
    ("st_touches(geography'POLYGON((8 53, 7.5 54.5, 8.5 54.5, 8 53))', {g})", {"at 53", "area"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def shapes(door: Door) -> dict[str, int]:
    """Four Observations, each of a point, of one Datastream each; and Locations and features of every shape."""
    found = {}
    for name, shape in SHAPES.items():
        door.make("Locations", place(f"shape {name}", shape))
        of = door.make("FeaturesOfInterest", feature(f"shape {name}", shape))
        if name in POINTS:
            it = door.make("Things", thing("lone", Datastreams=[stream(f"at {name}")]))
            [found[name]] = door.ids(f"Things({it})/Datastreams")
            door.make(f"Datastreams({found[name]})/Observations", {"result": 1, "FeatureOfInterest": ref(of)})
    return found


@pytest.mark.parametrize(("test", "met"), GEOMETRY)
def test_geometry_is_compared(door: Door, shapes: dict[str, int], test: str, met: set[str]) -> None:
    ours = "startswith(name,'shape ') and "
    for plural, field in (("Locations", "location"), ("FeaturesOfInterest", "feature")):
        found = door.values(f"{plural}?$filter={ours}{test.format(g=field)}")
        assert {one["name"].removeprefix("shape ") for one in found} == met, plural
    mine = f"Datastream/id in ({','.join(map(str, shapes.values()))}) and "
    seen = door.values(f"Observations?$filter={mine}{test.format(g='FeatureOfInterest/feature')}&$expand=Datastream")
    assert {one["Datastream"]["@iot.id"] for one in seen} == {shapes[name] for name in met & POINTS}


def test_a_datastream_is_found_by_its_area(door: Door, shapes: dict[str, int]) -> None:
    mine = f"id in ({','.join(map(str, shapes.values()))}) and "
    for test in (f"geo.intersects(observedArea, {BOX})", f"st_contains({BOX}, observedArea)"):
        assert set(door.ids(f"Datastreams?$filter={mine}{test}")) == {shapes["at 52"], shapes["at 53"]}


def facts(number: int) -> dict[str, Any]:
    """Facts of every JSON type, which grow with a number."""
    inner = [{"word": f"w{n:02}", "even": n % 2 == 0, "row": [n, n + 1]} for n in range(number, number + 3)]
    return {
        "word": f"w{number:02}", "even": number % 2 == 0, "n": number, "row": list(range(number, number + 4)),
        "words": [f"w{n:02}" for n in range(number, number + 4)], "rows": [[number, number + 1], [number + 2]],
        "inner": inner,
    }  # fmt: skip


@pytest.fixture(scope="module")
def told_facts(door: Door) -> tuple[list[int], int]:
    """Things 8 to 11 with facts as properties, and a Datastream of the first with Observations 0 to 12 and odd ones."""
    things = [door.make("Things", thing(f"facts {n}", properties=facts(n))) for n in range(8, 12)]
    door.make(f"Things({things[0]})/Locations", place())
    mine = door.make(f"Things({things[0]})/Datastreams", stream("facts", ANYTHING))
    judged = {"status": {"code": 2}}
    for n in range(13):
        quality = judged if n % 2 == 0 else [{"about": "status", "verdict": {"code": 2}}]
        body = {"result": n, "parameters": facts(n), "resultQuality": quality}
        door.make(f"Datastreams({mine})/Observations", body)
    odd = [
        {"n": "w13", "word": False, "even": 13, "inner": [13], "row": [[13]], "rows": facts(13)["inner"]},
        {"n": True, "word": 14, "even": "w14", "rows": [14], "inner": [[14]], "row": facts(14)["inner"]},
        {"n": "5", "even": "true"},
    ]
    for n, parameters in enumerate(odd, 13):
        door.make(f"Datastreams({mine})/Observations", {"result": f"odd {n}", "parameters": parameters})
    return things, mine


NUMBERED: list[tuple[str, Callable[[int], bool]]] = [
    ("{p}/word eq 'w10'", lambda n: n == 10),
    ("substringof('w1', {p}/word)", lambda n: n >= 10),
    ("{p}/inner[0]/word eq 'w09'", lambda n: n == 9),
    ("{p}/n eq 9", lambda n: n == 9),
    ("{p}/n gt 9", lambda n: n > 9),
    ("{p}/n lt 10", lambda n: n < 10),
    ("{p}/row[1] gt 10", lambda n: n > 9),
    ("{p}/rows[1][0] lt 12", lambda n: n < 10),
    ("{p}/inner[1]/row[0] ge 11", lambda n: n >= 10),
    ("{p}/even eq false", lambda n: n % 2 == 1),
    ("{p}/even", lambda n: n % 2 == 0),
    ("not {p}/even", lambda n: n % 2 == 1),
    ("{p}/inner[1]/even", lambda n: n % 2 == 1),
    ("{p}/n in (8,9)", lambda n: n in (8, 9)),
    ("9 in {p}/row", lambda n: 6 <= n <= 9),
    ("'w10' in {p}/words", lambda n: 7 <= n <= 10),
]


@pytest.mark.parametrize(("test", "met"), NUMBERED)
def test_what_is_inside_json_is_compared(
    door: Door, told_facts: tuple[list[int], int], test: str, met: Callable[[int], bool]
) -> None:
    _, mine = told_facts
    found = door.values(f"Things?$filter=startswith(name,'facts') and {test.format(p='properties')}")
    assert {one["name"] for one in found} == {f"facts {n}" for n in range(8, 12) if met(n)}
    seen = door.values(f"Datastreams({mine})/Observations?$filter={test.format(p='parameters')}")
    assert {one["result"] for one in seen} == {n for n in range(13) if met(n)}


def test_values_of_json_are_compared_with_one_another_and_with_texts(
    door: Door, told_facts: tuple[list[int], int]
) -> None:
    _, mine = told_facts
    for test, met in (
        ("parameters/n eq '5'", {5, "odd 15"}),
        ("parameters/n eq Datastream/Thing/properties/n", {8}),
        ("parameters/word eq Datastream/Thing/properties/word", {8}),
        ("parameters/even eq Datastream/Thing/properties/even", {0, 2, 4, 6, 8, 10, 12, "odd 15"}),
        ("resultQuality/status/code eq 2", {0, 2, 4, 6, 8, 10, 12}),
        ("resultQuality[0]/verdict/code eq 2", {1, 3, 5, 7, 9, 11}),
        ("result gt '3'", {4, 5, 6, 7, 8, 9, "odd 13", "odd 14", "odd 15"}),
        ("result gt 3", {4, 5, 6, 7, 8, 9, 10, 11, 12}),
        ("result eq 'odd 14'", {"odd 14"}),
    ):
        seen = door.values(f"Datastreams({mine})/Observations?$filter={test}")
        assert {one["result"] for one in seen} == met, test


@pytest.mark.parametrize(
    ("inside", "name", "expected"),
    [
        ("word", "word", "w08"),
        ("even", "even", True),
        ("n", "n", 8),
        ("row", "row", [8, 9, 10, 11]),
        ("row%5B1%5D", "row[1]", 9),
        ("rows%5B1%5D", "rows[1]", [10]),
        ("rows%5B0%5D%5B1%5D", "rows[0][1]", 9),
        ("inner%5B0%5D/word", "word", "w08"),
    ],
)
def test_what_is_inside_json_has_an_address(
    door: Door, told_facts: tuple[list[int], int], inside: str, name: str, expected: Any
) -> None:
    things, mine = told_facts
    [eighth] = door.ids(f"Datastreams({mine})/Observations?$filter=result eq 8")
    for at in (f"Things({things[0]})/properties", f"Observations({eighth})/parameters"):
        assert door.get(f"{at}/{inside}") == {name: expected}


@pytest.fixture(scope="module")
def woven(door: Door) -> list[int]:
    """Four Things with streams of shared Sensors and ObservedProperties, at Locations that say which they are of."""
    properties = [{}, {"field": 2, "word": "one"}, {"field": 3, "word": "two"}, {}]
    things = [door.make("Things", thing(f"woven {n}", properties=own)) for n, own in enumerate(properties)]
    for at, (name, field) in enumerate((("Spot 0a", 0), ("Spot 0b", 0.5), ("Spot 1", 2), ("Spot 2", 3), ("Spot 3", 9))):
        of = things[max(at - 1, 0)]
        door.make("Locations", place(name, properties={"field": field}, Things=[ref(of)]))
    sensors = [door.make("Sensors", sensor(f"woven {n}")) for n in range(4)]
    seen = [door.make("ObservedProperties", observed(f"woven {n}")) for n in range(4)]
    for of, by, what in ((0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 0), (1, 1, 1), (1, 3, 3), (2, 1, 0)):
        links = {"Sensor": ref(sensors[by]), "ObservedProperty": ref(seen[what])}
        door.make(f"Things({things[of]})/Datastreams", stream("woven", **links))
    return things


WOVEN: list[tuple[str, str, set[int]]] = [
    ("Things", "Locations/name eq 'Spot 1'", {1}),
    ("Things", "startswith(HistoricalLocations/Locations/name,'Spot 0')", {0}),
    ("Things", "HistoricalLocations/Locations/properties/field eq properties/field", {1, 2}),
    ("ObservedProperties", "Datastreams/Thing/Datastreams/ObservedProperty/name eq 'woven 0'", {0, 1, 2, 3}),
    ("ObservedProperties", "Datastreams/Thing/Datastreams/ObservedProperty/name eq 'woven 3'", {0, 1, 3}),
    ("Things", "substring(properties/word,1) eq 'wo'", {2}),
    ("Things", "substring(properties/word,1,1) eq 'w'", {2}),
    ("Things", "substring(name,5) eq ' 3'", {3}),
    ("Things", "properties/field eq null", {0, 3}),
    ("Things", "properties/field ne null", {1, 2}),
    ("Things", "Datastreams/id eq null", {3}),
    ("Things", "Datastreams/id ne null", {0, 1, 2}),
    ("Things", "Locations/any(l:l/name eq 'Spot 1')", {1}),
    ("Things", "HistoricalLocations/any(h : h/Locations/any(l : startswith(l/name,'Spot 0')))", {0}),
    ("Things", "HistoricalLocations/any(h : h/Locations/any(l : l/properties/field eq properties/field))", {1, 2}),
    ("Things", "Datastreams/any(d:d/ObservedProperty/name eq 'woven 3')"
     " and Datastreams/any(d:d/ObservedProperty/name eq 'woven 1')", {1}),
    ("Things", "Datastreams/any(d:d/ObservedProperty/name eq 'woven 0' and d/Sensor/name eq 'woven 1')", {2}),
]  # fmt: skip


@pytest.mark.parametrize(("plural", "test", "met"), WOVEN)
def test_links_are_followed(door: Door, woven: list[int], plural: str, test: str, met: set[int]) -> None:
    found = door.values(f"{plural}?$filter=startswith(name,'woven') and ({test})")
    assert {one["name"] for one in found} == {f"woven {n}" for n in met}


@pytest.fixture(scope="module")
def counted(door: Door) -> int:
    """A Datastream of the results 1 to 12."""
    it = door.make("Things", thing("counter", Locations=[place()], Datastreams=[stream("counts", ANYTHING)]))
    [mine] = door.ids(f"Things({it})/Datastreams")
    for n in range(1, 13):
        door.make(f"Datastreams({mine})/Observations", {"result": n, "phenomenonTime": f"2026-03-{n:02}T00:00:00Z"})
    return mine


@pytest.mark.parametrize(
    ("test", "met"),
    [
        ("result eq 2 and result eq 1 or result eq 1", {1}),
        ("(result eq 2 and result eq 1) or result eq 1", {1}),
        ("result eq 2 and (result eq 1 or result eq 1)", set()),
        ("not result lt 1 and not result gt 1", {1}),
        ("1 add result mul 2 sub -1 eq 4", {1}),
        ("6 div 2 sub result eq 2", {1}),
        ("1 add 2.0 mod (result add 1) eq 1", {1}),
        ("14 div (result add 1) mod 3 mul 3 eq 3", {1}),
        ("round(result div 4) eq 2", {6, 7, 8, 9}),
        ("floor(result div 4) eq 2", {8, 9, 10, 11}),
        ("ceiling(result div 4) eq 2", {5, 6, 7, 8}),
        ("-result lt -10", {11, 12}),
    ],
)
def test_operators_bind_as_they_should(door: Door, counted: int, test: str, met: set[int]) -> None:
    found = door.values(f"Datastreams({counted})/Observations?$filter={test}")
    assert {one["result"] for one in found} == met


def test_filter_count_order_skip_and_top_follow_one_another(door: Door, counted: int) -> None:
    options = "$count=true&$top=1&$skip=2&$orderby=phenomenonTime asc&$filter=result gt '3'"
    page = door.get(f"Datastreams({counted})/Observations?{options}")
    assert page["@iot.count"] == 6  # a text is compared as text: 10 comes before 3
    assert [one["result"] for one in page["value"]] == [6]
    turned = door.get(f"Datastreams({counted})/Observations?$orderBy=id desc&$TOP=1")
    assert [one["result"] for one in turned["value"]] == [12]


@pytest.mark.parametrize(
    ("test", "met"),
    [
        ("substringof('tide gauge', name)", True),
        ("contains(name,'gauge')", True),
        ("endswith(name,'7') and startswith(name,'tide')", True),
        ("length(name) eq 12", True),
        ("indexof(name,'gauge') eq 5", True),
        ("tolower(name) eq 'tide gauge 7' and toupper(name) eq 'TIDE GAUGE 7'", True),
        ("trim(concat(name,'  ')) eq name", True),
        ("concat(concat(name,', '),description) eq 'tide gauge 7, it''s wet'", True),
        ("description eq 'it''s wet'", True),
        ("name lt 'tide' or name gt 'tidf'", False),
    ],
)
def test_texts_are_calculated_with(door: Door, test: str, met: bool) -> None:
    mine = door.make("Things", {"name": "tide gauge 7", "description": "it's wet"})
    assert door.ids(f"Things?$filter=id eq {mine} and ({test})") == ([mine] if met else [])


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("Things?$filter=colour eq 'red'", 400, "colour"),
        ("Things?$filter=name eq", 400, "too early"),
        ("Things?$filter=name foo 'x'", 400, "foo"),
        ("Things?$filter=frobnicate(name) eq 1", 400, "frobnicate"),
        ("Things?$filter=name", 400, "condition"),
        ("Things?$orderby=colour", 400, "colour"),
        ("Things?$select=colour", 400, "colour"),
        ("Things?$expand=Colours", 400, "Colours"),
        ("Things?$top=-1", 400, "$top"),
        ("Things?$skip=x", 400, "$skip"),
        ("Things?$count=maybe", 400, "$count"),
        ("Things?$frobnicate=1", 501, "$frobnicate"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(door: Door, query: str, status: int, why: str) -> None:
    assert why in door.get(query, status)["message"]
