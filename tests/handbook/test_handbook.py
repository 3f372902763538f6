"""The handbook says what the passages say, in two languages, and again byte for byte."""

import json
import re
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from civium.core import NeedUnmet
from civium.core.view import THINGS
from civium.handbook import render
from civium.handbook.content import LANGUAGES, words_of
from civium.handbook.figures import Figures, Given, figures_of, slow_links
from civium.practices.travel_time.params import TravelTimeParams

MIDNIGHT = 1_780_963_200_000_000  # 2026-06-09T00:00:00Z
PARAMS = TravelTimeParams()
N = 60  # devices an hour and link


def given(slow_hour: int = 8, links: bool = True) -> Given:
    """Three readers in a row; the second link takes four times as long at one hour, all else free flow."""
    facts = [{"reader": name} for name in "abc"]
    kinds = ["bluetooth_reader"] * 3
    for start, end in ("ab", "bc") if links else ():
        facts.append({"from": start, "to": end, "length_m": 600.0, "free_speed_m_s": 12.0})  # type: ignore[dict-item]
        kinds.append("road_link")
    n = len(facts)
    things = pa.table(
        {
            "thing": range(1, n + 1),
            "kind": kinds,
            "name": ["A", "B", "C <b>", "Long Street", "Quay & Co"][:n],
            "lon": [24.93, 24.94, 24.95, None, None][:n],
            "lat": [60.17, 60.171, 60.17, None, None][:n],
            "facts": [json.dumps(f) for f in facts],
        },
        schema=THINGS,
    )
    hour = np.repeat(np.arange(6, 12), N)
    start = hour * 3600.0 + np.tile(np.linspace(60, 3000, N), 6)
    middle = start + 50.0
    end = middle + np.where(hour == slow_hour, 200.0, 50.0)
    device = np.arange(len(start), dtype=np.float64)
    time = MIDNIGHT + (np.concatenate([start, middle, end]) * 1e6).astype(np.int64)
    thing = np.repeat([1, 2, 3], len(start))
    last = MIDNIGHT + 86_400_000_000
    return Given("Testtown <i>", MIDNIGHT, last, things, thing, time, np.tile(device, 3))


@cache
def pages() -> dict[str, bytes]:
    return render(given(), "UTC", PARAMS)


@cache
def figures() -> Figures:
    return figures_of(given(), "UTC", PARAMS)


def test_speeds_hours_and_flows_are_those_that_were_driven() -> None:
    told = figures()
    assert told.mean[0, 6:12] == pytest.approx(np.full(6, 50.0))
    assert told.mean[1, 8] == pytest.approx(200.0)
    assert np.isnan(told.mean[:, :6]).all()
    assert told.vehicles[1, 8] == pytest.approx(N / PARAMS.penetration)
    assert told.vehicle_km == pytest.approx(2 * 6 * 0.6 * N / PARAMS.penetration)
    assert told.flows[0, 2] == pytest.approx(6 * N / PARAMS.penetration)
    assert told.flows.sum() == pytest.approx(told.flows[0, 2])
    assert told.lost.sum() == pytest.approx(150.0 / 3600 * N / PARAMS.penetration)
    (slow,) = slow_links(told, 5, PARAMS.slow)
    assert (slow.name, slow.worst_hour, slow.slow_hours, slow.all_day) == ("Quay & Co", 8, (8,), False)
    assert slow.co2_lost > 0


def test_hours_are_those_of_the_zone() -> None:
    there = figures_of(given(), "Europe/Helsinki", PARAMS)
    assert there.mean[1, 11] == pytest.approx(200.0)


def test_the_same_passages_give_the_same_bytes_in_whatever_order_the_languages_are_written() -> None:
    assert sorted(pages()) == sorted(
        f"handbook.{language}.{kind}" for language in LANGUAGES for kind in ("html", "pdf")
    )
    assert render(given(), "UTC", PARAMS) == pages()
    other = render(given(slow_hour=9), "UTC", PARAMS)
    assert all(other[name] != pages()[name] for name in pages())


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_whole_in_its_language_and_nothing_of_the_data_becomes_markup(language: str) -> None:
    page = pages()[f"handbook.{language}.html"].decode()
    parser = _Texts()
    parser.feed(page)
    text = " ".join(parser.texts)
    words = words_of(language)
    for key in ("title", "summary", "slow_streets", "slow_hours", "flows", "emissions", "method"):
        assert words[key] in text
    assert "Quay & Co" in text
    assert "Testtown <i>" in text
    assert "i" not in parser.tags
    assert given().digest in text
    assert "08 h" in text
    assert f'lang="{language}"' in page
    assert not re.search(r"\b(nan|None)\b", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_paper_has_its_fonts_inside(language: str) -> None:
    data = pages()[f"handbook.{language}.pdf"]
    assert data.startswith(b"%PDF-")
    assert b"NotoSansSC" in data
    assert b"/FontFile" in data


def test_both_languages_have_the_same_words_to_say() -> None:
    english, chinese = (words_of(language) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", chinese[key])), key


def test_without_links_it_says_what_is_missing_and_without_traffic_that_there_was_none() -> None:
    with pytest.raises(NeedUnmet, match="road_link"):
        render(given(links=False), "UTC", PARAMS)
    whole = given()
    silent = Given(whole.city, whole.first, whole.last, whole.things, whole.thing[:2], whole.time[:2], whole.device[:2])
    assert words_of("en")["nothing"] in render(silent, "UTC", PARAMS)["handbook.en.html"].decode()
