"""What is nested in a query is answered or refused in no time: SQL must not grow faster than what was asked."""

from time import perf_counter
from urllib.parse import quote

import pytest

from civium.core import InputRefused
from tests.sources.sensorthings.conftest import City

LONGEST_S = 3.0  # on a machine with more work than processors; one level more would double it
AROUND = {
    "sum": ("(", " add 1)"), "rest": ("(", " mod 7)"), "rest of": ("(7 mod ", ")"), "part of": ("(7 div ", ")"),
    "whole": ("floor(", ")"), "negative": ("-(", ")"),
}  # fmt: skip
AROUND_TEXT = {
    "lower": ("tolower(", ")"), "behind": ("substring(", ",1)"), "by length": ("substring('abc',length(", "))"),
    "joined": ("concat('a',", ")"),
}  # fmt: skip


def refusal(city: City, url: str) -> InputRefused | None:
    try:
        city.get(url)
    except InputRefused as refused:
        return refused
    return None


@pytest.mark.parametrize("depth", [7, 14, 20, 30, 36])
@pytest.mark.parametrize(
    ("path", "core", "around"),
    [(path, core, one) for path, core in (("Things", "properties/height"), ("Observations", "result"))
     for one in AROUND.values()]
    + [(path, core, one) for path, core in (("Things", "name"), ("Observations", "Datastream/name"))
       for one in AROUND_TEXT.values()],
)  # fmt: skip
def test_nested_functions_are_answered_or_refused_in_no_time(
    city: City, path: str, core: str, around: tuple[str, str], depth: int
) -> None:
    text = around[0] * depth + core + around[1] * depth
    other = " ne 'x'" if "name" in core else " gt 0"
    begun = perf_counter()
    refused = refusal(city, f"{path}?$filter={quote(text + other)}")
    if refused is not None:
        assert refused.status == 400
        assert any(why in str(refused) for why in ("too large", "too complex", "nested too deeply"))
    assert perf_counter() - begun < LONGEST_S


@pytest.mark.parametrize(
    ("text", "expected"),
    [("id mod 2 eq 1", [1, 3]), ("7 mod (id sub 1) eq 1", [3]), ("floor(properties/height) eq 4", [1]),
     ("floor(0 sub properties/height) eq -5", [1]), ("not (floor(properties/height) eq 4)", [2]),
     ("substring(name,5,1) eq 'o'", [1]), ("id add 1 add 1 add 1 gt 5", [3])],
)  # fmt: skip
def test_what_is_written_once_means_what_it_meant(city: City, text: str, expected: list[int]) -> None:
    assert city.names(f"Things?$filter={quote(text)}", "@iot.id") == expected


def test_a_condition_or_an_order_follows_six_links_and_no_more(city: City) -> None:
    six = "Datastreams/Thing/" * 3
    assert city.names(f"Things?$filter={six}name eq 'gate'") == ["gate"]
    for asked in (f"$filter={six}Datastreams/name eq 'a'", f"$filter={six}{six}name eq 'a'",
                  f"$filter={six}Datastreams/any(d: d/name eq 'a')"):  # fmt: skip
        with pytest.raises(InputRefused, match="more than 6 links") as refused:
            city.get(f"Things?{quote(asked, safe='$=')}")
        assert refused.value.status == 400


def test_what_the_catalogue_finds_too_complex_is_a_mistake_of_who_asks(city: City) -> None:
    deep = "tolower(" * 37 + "Datastreams/Thing/" * 3 + "name" + ")" * 37
    refused = refusal(city, f"Things?$filter={quote(deep)} eq 'a'")
    if refused is not None:  # PostgreSQL answers it
        assert refused.status == 400
        assert "too complex" in str(refused)
