"""Rules of the query language: what is written is what is read; what is not understood is refused, by its place."""

import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.sources.sensorthings.query import parse_filter, parse_query, parse_query_parts
from civium.sources.sensorthings.tree import (
    Arithmetic,
    Call,
    Compare,
    Expand,
    Literal,
    Logical,
    Not,
    Order,
    Path,
    Query,
    query_parts,
    write_expression,
)

WORDS = {"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "div", "mod", "in"}
NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
    lambda name: name.lower() not in WORDS | {"asc", "desc", "true", "false", "null"}
)
INSTANTS = st.integers(-(10**15), 10**16)
LITERALS = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda v: Literal("number", v)),
    st.floats(-1e12, 1e12).map(lambda v: Literal("number", v)),
    st.text(max_size=10).map(lambda v: Literal("string", v)),
    st.booleans().map(lambda v: Literal("bool", v)),
    st.just(Literal("null", None)),
    INSTANTS.map(lambda v: Literal("instant", v)),
    st.tuples(INSTANTS, INSTANTS).map(lambda v: Literal("period", (min(v), max(v)))),
    st.integers(-(10**12), 10**12).map(lambda v: Literal("duration", v)),
    st.dates().map(lambda v: Literal("date", v.isoformat())),
    st.just(Literal("geometry", "POINT (24.9 60.1)")),
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: Path(tuple(names)))


def inner(children: Any) -> Any:
    several = st.lists(children, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Logical, st.sampled_from(["and", "or"]), several),
        st.builds(Not, children),
        st.builds(Compare, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), children, children),
        st.builds(Arithmetic, st.sampled_from(["add", "sub", "mul", "div", "mod"]), children, children),
        st.builds(
            Call, st.sampled_from(["startswith", "geo.distance", "st_within", "now"]), st.lists(children).map(tuple)
        ),
    )


EXPRESSIONS = st.recursive(LITERALS | PATHS, inner, max_leaves=12)
ORDERS = st.lists(st.builds(Order, PATHS, st.booleans()), max_size=2).map(tuple)


def queries(expands: Any) -> Any:
    return st.builds(
        Query,
        filter=st.none() | EXPRESSIONS,
        orderby=ORDERS,
        select=st.lists(NAMES, max_size=3).map(tuple),
        expand=st.lists(expands, max_size=2, unique_by=lambda expand: expand.link).map(tuple),
        top=st.none() | st.integers(0, 10_000),
        skip=st.integers(0, 10**9),
        count=st.booleans(),
    )


EXPANDS = st.recursive(
    st.builds(Expand, NAMES, st.just(Query())), lambda inside: st.builds(Expand, NAMES, queries(inside)), max_leaves=3
)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_a_filter_is_read_as_it_was_written(expression: Any) -> None:
    assert parse_filter(write_expression(expression)) == expression


@settings(deadline=None)
@given(queries(EXPANDS))
def test_a_query_is_read_as_it_was_written(query: Query) -> None:
    parts = query_parts(query)
    assert parse_query_parts(**parts) == query
    url = "&".join(f"${name}={quote(text, safe='')}" for name, text in parts.items())
    if len(url) < 8_000:
        assert parse_query(url) == query


TOKENS = [
    *[
        "$filter=",
        "$expand=",
        "$top=1",
        "&",
        ";",
        "(",
        ")",
        "'",
        ",",
        "/",
        "eq",
        "and",
        "not",
        "or",
        "name",
        "id",
        "add",
        "5",
        "'x'",
        "now()",
        "-",
    ]
]


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=80)
    | st.text("()'$=;,/ -+.&%@:0123456789TZPabcdefinoqrst", max_size=120)
    | st.lists(st.sampled_from(TOKENS), max_size=40).map(" ".join)
)
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except InputRefused:
        return
    assert isinstance(query, Query)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000 + "a" + ")" * 4000,
        "not " * 2000 + "a",
        "-" * 8000 + "a",
        " or ".join(["a eq 1"] * 700),
        "a" + " add 1" * 1000,
        "f(" * 2000 + ")" * 2000,
        "'" * 8001,
        "a" * 9000,
    ],
)
def test_a_query_that_would_exhaust_the_server_is_refused(text: str) -> None:
    with pytest.raises(InputRefused):
        parse_query("$filter=" + quote(text, safe="'()"))
    nested = "$expand=" + "Datastreams($expand=" * 50 + "Thing" + ")" * 50
    with pytest.raises(InputRefused, match="deep"):
        parse_query(nested)


def test_two_hundred_alternatives_are_fine() -> None:
    expression = parse_filter(" or ".join(f"id eq {i}" for i in range(199)))
    assert isinstance(expression, Logical)
    assert len(expression.terms) == 199


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$filter=name eq", "ends too early, at position 7"),
        ("$filter=name foo 3", "'foo' at position 5"),
        ("$filter=a eq 1)", r"'\)' at position 6"),
        ("$filter=a eq 'x", "position 5"),
        ("$filter=a eq 1 eq 2", "'eq' at position 7"),
        ("$filter=a eq 2024-01-01T00:00:00", "no time zone"),
        ("$filter=a eq 2024-13-01T00:00:00Z", "not a real instant"),
        ("$filter=a eq duration'P1Y'", "not a duration"),
        ("$filter=a eq 1e999", "out of range"),
        ("$filter=", "ends too early"),
        ("$orderby=name down", "'down'"),
        ("$select=a,,b", "','"),
        ("$expand=Datastreams($foo=1)", r"position 12"),
        ("$expand=Datastreams($top=1;$top=2)", "twice"),
        ("$expand=Datastreams($top=1),Datastreams($top=2)", "twice"),
        ("$top=-1", r"\$top"),
        ("$top=1e3", r"\$top"),
        ("$skip=many", r"\$skip"),
        ("$count=yes", r"\$count"),
        ("$top=1&$top=2", "twice"),
        ("filter=a eq 1", "unknown query option 'filter'"),
        ("$search=a", r"unknown query option '\$search'"),
    ],
)
def test_a_refusal_names_the_token_and_its_place(text: str, why: str) -> None:
    with pytest.raises(InputRefused, match=why) as refused:
        parse_query(text)
    assert refused.value.status == (501 if text in ("$search=a", "$expand=Datastreams($foo=1)") else 400)


def test_precedence_is_that_of_odata() -> None:
    one, two = Literal("number", 1), Literal("number", 2)
    a, b, c = (Compare("eq", Path((name,)), one) for name in "abc")
    assert parse_filter("a eq 1 or b eq 1 and not c eq 1") == Logical("or", (a, Logical("and", (b, Not(c)))))
    summed = parse_filter("a add 1 mul 2 eq 1")
    assert isinstance(summed, Compare)
    assert summed.left == Arithmetic("add", Path(("a",)), Arithmetic("mul", one, two))


def test_names_may_begin_like_operators() -> None:
    assert parse_filter("order eq 1 and android eq nothing") == Logical(
        "and",
        (
            Compare("eq", Path(("order",)), Literal("number", 1)),
            Compare("eq", Path(("android",)), Path(("nothing",))),
        ),
    )


def test_a_plus_in_a_zone_may_arrive_as_a_blank() -> None:
    plus, blank = (parse_query(f"$filter=a eq 2024-01-01T02:00:00{sign}02:00") for sign in ("%2B", "+"))
    assert plus == blank == parse_query("$filter=a eq 2024-01-01T00:00:00Z")


def test_paths_to_the_same_link_are_one_expand() -> None:
    merged = parse_query_parts(expand="Datastreams/Sensor,Datastreams/Observations($top=1),Datastreams($select=name)")
    [datastreams] = merged.expand
    assert datastreams.query.select == ("name",)
    assert [one.link for one in datastreams.query.expand] == ["Sensor", "Observations"]
