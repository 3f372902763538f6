"""Whatever is asked or sent, the answer is an answer or a refusal that says why, and it comes within five seconds."""

import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.sources.sensorthings.amend import plan_update
from civium.sources.sensorthings.data_array import decode_data_array
from civium.sources.sensorthings.formats import Streamed
from civium.sources.sensorthings.functions import CONSTANTS, FUNCTIONS
from civium.sources.sensorthings.geometry import FUNCTIONS as OF_GEOMETRY
from civium.sources.sensorthings.model import BY_NAME, BY_PLURAL, ENTITIES, Entity, target
from civium.sources.sensorthings.place import resolve
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.topics import wanted
from civium.sources.sensorthings.write import plan_create
from tests.sources.sensorthings.conftest import BASE, City, build

LONGEST_S = 5.0
EXAMPLES = int(os.environ.get("CIVIUM_FUZZ_EXAMPLES", "150"))  # of each test
OPTIONS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = sorted(
    {field.name for entity in ENTITIES for field in (*entity.fields, *entity.derived)}
    | {link.name for entity in ENTITIES for link in entity.links}
    | {
        "id",
        "@iot.id",
        "properties/height",
        "unitOfMeasurement/symbol",
        "parameters/a[0]",
        "result/speed",
        "colour",
        "x",
    }
)
LITERALS = [
    "1", "-2.5", "1e308", "0", "9223372036854775808", "'lamp'", "''", "'%_'", "'\0'", "true", "null",
    "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z/PT1H", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2026-11-22T09:00:00Z/2026-11-22T11:00:00+02:00", "2026-11-22", "10:30", "duration'P1D'", "duration'P9999999D'",
    "geography'POINT (24.9 60.1)'", "geography'POLYGON ((24 60, 25 60, 25 61, 24 60))'", "geography'LINESTRING EMPTY'",
    "geography'{\"type\":\"Point\",\"coordinates\":[1,2]}'", "geography'nonsense'", "'T*F**F***'",
]  # fmt: skip
CALLS = [*FUNCTIONS, *OF_GEOMETRY, *CONSTANTS, "nonsense"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = ["eq", "ne", "lt", "le", "gt", "ge", "and", "or", "add", "sub", "mul", "div", "mod", "in", "EQ"]
    pairs = st.tuples(inner, st.sampled_from(operators), inner)
    calls = st.tuples(st.sampled_from(CALLS), st.lists(inner, max_size=3))
    return st.one_of(
        pairs.map(lambda it: f"{it[0]} {it[1]} {it[2]}"),
        pairs.map(lambda it: f"({it[0]} {it[1]} ({it[2]}))"),
        calls.map(lambda it: f"{it[0]}({','.join(it[1])})"),
        inner.map("not ({})".format),
        inner.map("-{}".format),
        st.tuples(PATHS, inner).map(lambda it: f"{it[0]}/any(x:{it[1]})"),
    )


EXPRESSIONS = st.recursive(PATHS | st.sampled_from(LITERALS), larger, max_leaves=8)
CONDITIONS = st.tuples(EXPRESSIONS, st.sampled_from(["eq", "lt", "ge"]), EXPRESSIONS).map(" ".join) | EXPRESSIONS
ORDERS = st.lists(st.tuples(EXPRESSIONS, st.sampled_from(["", " asc", " desc"])).map("".join), min_size=1, max_size=3)


def options(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.one_of(
        CONDITIONS.map("$filter={}".format),
        ORDERS.map(lambda it: f"$orderby={','.join(it)}"),
        st.lists(PATHS, min_size=1, max_size=3).map(lambda it: f"$select={','.join(it)}"),
        st.sampled_from(["$top=0", "$top=1", "$top=3", "$skip=1", "$count=true", "$top=-1", "$skiptoken=WzEsMl0"]),
        inner.map("$expand={}".format),
    )
    return st.tuples(PATHS, st.lists(one, max_size=2)).map(lambda it: f"{it[0]}({';'.join(it[1])})" if it[1] else it[0])


EXPANDS = st.recursive(PATHS, options, max_leaves=4)
ENDINGS = st.sampled_from(
    ["", "(1)", "(3)", "(99)", "(x)", "/$ref", "(1)/name", "(1)/name/$value", "(1)/properties/a/b"]
)


@pytest.fixture(scope="module")
def city(new_catalog: Callable[[], str]) -> Iterator[City]:
    built = build(new_catalog())
    yield built
    built.catalog.close()


def status_of(act: Callable[[], object]) -> int:
    """200, or the status of the refusal; any other error is a failure."""
    begun = perf_counter()
    try:
        act()
        status = 200
    except InputRefused as refused:
        status = refused.status if refused.why else 0
    assert perf_counter() - begun < LONGEST_S
    return status


def ask(city: City, url: str) -> None:
    def act() -> None:
        answer = city.answer(url)
        if isinstance(answer, Streamed):
            b"".join(answer.pieces)
        else:
            msgspec.json.encode(answer)

    assert status_of(act) in (200, 400, 404, 413, 414, 501)


@OPTIONS
@given(st.sampled_from(sorted(BY_PLURAL)), CONDITIONS)
def test_filters(city: City, plural: str, text: str) -> None:
    ask(city, f"{plural}?$filter={quote(text)}&$count=true")


@OPTIONS
@given(
    st.sampled_from(sorted(BY_PLURAL)), ORDERS, st.sampled_from(["", "&$resultFormat=CSV", "&$resultFormat=dataArray"])
)
def test_orders(city: City, plural: str, orders: list[str], more: str) -> None:
    ask(city, f"{plural}?$orderby={quote(','.join(orders))}&$top=2{more}")


def keys(entity: Entity, links: bool = True) -> list[str]:
    """What entities can be sorted by."""
    kinds = ("string", "document", "time", "period", "instant", "result", "quality", "valid", "span")
    own = [field.name for field in (*entity.fields, *entity.derived) if field.kind in kinds]
    own += ["properties/height", "properties/height desc"] if entity.name == "Thing" else []
    behind = [
        f"{link.name}/{key}" for link in entity.links if links and not link.many for key in keys(target(link), False)
    ]
    return ["id", "id desc", *own, *(f"{name} desc" for name in own if " " not in name), *behind]


@st.composite
def sorted_sets(draw: st.DrawFn) -> str:
    entity = draw(st.sampled_from([BY_NAME[name] for name in ("Thing", "Datastream", "Observation", "Location")]))
    order = draw(st.lists(st.sampled_from(keys(entity)), min_size=1, max_size=3))
    test = draw(st.sampled_from(keys(entity))).removesuffix(" desc") + draw(st.sampled_from([" eq null", " ne null"]))
    condition = draw(st.sampled_from(["", "&$filter=id gt 1", f"&$filter={test}", f"&$filter=not ({test})"]))
    return f"{entity.plural}?$orderby={','.join(order)}&$count=true{condition}".replace(" ", "%20")


@OPTIONS
@given(sorted_sets())
def test_pages_are_the_whole(city: City, asked: str) -> None:
    whole = city.get(asked)
    page, found = city.get(f"{asked}&$top=2"), []
    while True:
        assert page["@iot.count"] == whole["@iot.count"] == len(whole["value"])
        found += page["value"]
        if "@iot.nextLink" not in page:
            break
        page = city.get(page["@iot.nextLink"].removeprefix(f"{BASE}/"))
    assert found == whole["value"]


@OPTIONS
@given(st.sampled_from(sorted(BY_PLURAL)), ENDINGS, EXPANDS, st.sampled_from(["", "&$resultFormat=GeoJSON"]))
def test_expands(city: City, plural: str, ending: str, text: str, more: str) -> None:
    ask(city, f"{plural}{ending}?$expand={quote(text)}{more}")


@OPTIONS
@given(st.text(max_size=60), st.sampled_from(["$filter", "$orderby", "$expand", "$select", "$top", "$skiptoken", "x"]))
def test_anything_at_all(city: City, text: str, option: str) -> None:
    ask(city, f"Datastreams?{option}={quote(text, errors='replace')}")
    ask(city, quote(text, safe="/()$", errors="replace"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(LITERALS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


PLACES = [*sorted(BY_PLURAL), "Things(1)/Datastreams", "Datastreams(1)/Observations", "Things(99)/x"]


@OPTIONS
@given(st.sampled_from(PLACES), JSON)
def test_bodies(city: City, path: str, body: Any) -> None:
    sent = msgspec.json.encode(body)
    assert status_of(lambda: plan_create(path, sent, city.catalog, city.now)) in (200, 400, 404, 409, 413)
    assert status_of(lambda: decode_data_array(sent, city.now)) in (200, 400, 413)


OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "paint"]),
            "path": st.sampled_from(["", "/", "/name", "/properties/a", "/properties/-", "/Thing", "/@iot.id", "x"]),
            "from": st.sampled_from(["", "/properties", "/name", "/nothing"]),
            "value": JSON,
        },
    )
    | JSON,
    max_size=4,
)


@OPTIONS
@given(st.sampled_from(["Things(1)", "Datastreams(1)", "Observations(1)", "Locations(1)"]), OPERATIONS | JSON)
def test_json_patches(city: City, path: str, operations: Any) -> None:
    sent = msgspec.json.encode(operations)
    library = Library(city.catalog, city.lake, "", city.now)

    def act() -> None:
        plan_update(path, sent, library, False, 60.0, json_patch=True)

    assert status_of(act) in (200, 400, 404, 409, 413)


@OPTIONS
@given(
    st.text(max_size=40)
    | st.tuples(PATHS, st.sampled_from(["", "?$select=name", "?$top=1", "?", ".*", ".>"])).map("".join)
)
def test_topics(city: City, subject: str) -> None:
    with Library(city.catalog, city.lake, "", city.now).opened() as writer:
        wanted([subject.replace("/", ".")], lambda path: resolve(path.split("/"), writer.source))
