"""What a screen reader is given: Chromium's accessibility tree, what is told aloud, where the focus goes."""

import re
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.city.conftest import CityProcess
from tests.console.conftest import PATIENCE_MS, VIEWS, Open, tell_until_asked

expect.set_options(timeout=PATIENCE_MS)
_CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider", "spinbutton"}
_LANDMARKS = {"banner", "navigation", "main", "region", "complementary", "contentinfo", "form", "search"}
_DRAWN = {"image", "img"}


def _heard(page: Page) -> list[tuple[str, str, int]]:
    """Role, name and level of all that a screen reader meets, in its order."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    heard = []
    for node in nodes:
        if node["ignored"]:
            continue
        (level,) = [one["value"]["value"] for one in node.get("properties", []) if one["name"] == "level"] or [0]
        heard.append((node["role"]["value"], node.get("name", {}).get("value", "").strip(), level))
    return heard


def _in_order(page: Page, address: str) -> str:
    """What must hold on any page; its first heading."""
    heard = _heard(page)
    levels = [level for role, _, level in heard if role == "heading"]
    assert levels.count(1) == 1, (address, levels)
    # The order of the tree is that of its layers: what the document says decides.
    told = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(told)), (address, told)
    assert [(role, address) for role, name, _ in heard if role in _CONTROLS | _DRAWN and not name] == []
    landmarks = [(role, name) for role, name, _ in heard if role in _LANDMARKS and (role, name) != ("form", "")]
    assert len(landmarks) == len(set(landmarks)), (address, landmarks)
    assert [role for role, _ in landmarks].count("main") == 1
    assert [role for role, _ in landmarks].count("navigation") == 1
    (heading,) = [name for role, name, level in heard if (role, level) == ("heading", 1)]
    return heading


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_each_view_is_named_and_in_order(look: Open, town: CityProcess, language: str) -> None:
    page = look("/console", staff=True, language=language)
    titles = set()
    for view in (*VIEWS, "/map?thing=1"):
        page.goto(f"/console{view}")
        expect(page.locator("h1")).to_be_attached()
        expect(page.locator(".loading")).to_have_count(0)
        heading = _in_order(page, view)
        assert ("main", heading) in [(role, name) for role, name, _ in _heard(page)], view
        expect(page).to_have_title(f"{heading} · Testville")
        titles.add(heading)
    assert len(titles) == len(VIEWS)  # the map is one view, whatever is chosen


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_each_public_page_is_named_and_in_order(look: Open, town: CityProcess, language: str) -> None:
    decision = town.client.get("/api/decisions")[0]["id"]
    page = look("/", language=language)
    for address in ("/", "/register", "/register/dimmer", "/ask", f"/decisions/{decision}", "/cases/none"):
        page.goto(address)
        _in_order(page, address)
        roles = [role for role, _, _ in _heard(page)]
        assert (roles.count("banner"), roles.count("contentinfo")) == (1, 1), address
        assert page.evaluate("document.querySelector('main h1') !== null"), (
            address
        )  # the way past the navigation skips none
        expect(page.locator("meta[name=description]")).to_have_attribute("content", re.compile(r"\S{2}"))


def test_what_waits_for_a_person_is_told_in_any_view(look: Open, town: CityProcess) -> None:
    tell_until_asked(town)
    for one in town.client.get("/api/desk")["waiting"]["commands"]:
        town.client.post(f"/api/decisions/{one['decision']}/commands/{one['number']}/refuse", why="to be asked anew")
    page = look("/console/settings", staff=True)
    with page.expect_response(re.compile("/api/desk")):
        page.reload()
    told = page.locator("#root").get_by_role("log")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(told).to_have_text("")
    before = town.client.get("/api/desk")["waiting"]["count"]
    tell_until_asked(town)
    assert town.client.get("/api/desk")["waiting"]["count"] > before
    expect(told).to_contain_text(re.compile(r"\d commands? waits? for approval"))


def test_what_was_done_is_told_and_the_focus_is_not_lost(look: Open, town: CityProcess) -> None:
    page = look("/console", staff=True)
    tell_until_asked(town)
    page.get_by_role("button", name=re.compile("^Refuse the command for Lamp of the square")).first.click()
    page.get_by_label("Reason").fill("too bright")
    page.get_by_role("dialog").get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#root").get_by_role("log")).to_contain_text("Done: Refuse this command")
    page.wait_for_timeout(500)
    assert page.evaluate("document.activeElement.closest('#main') !== null")


def test_a_form_takes_the_focus_and_gives_it_back(look: Open, town: CityProcess) -> None:
    page = look("/console/things/1", staff=True)
    opener = page.get_by_role("button", name="Edit", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(opener).to_be_focused()


def test_what_was_chosen_on_the_map_is_told_and_left_by_escape(look: Open) -> None:
    page = look("/console/map")
    expect(page.locator(".map[data-ready]")).to_be_attached()
    search = page.get_by_role("combobox", name="Find a thing")
    search.fill("square")
    expect(page.get_by_role("option", name=re.compile("Lamp of the square"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#root").get_by_role("log")).to_contain_text("What was chosen: Lamp of the square")
    page.get_by_role("button", name="Close").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="What was chosen")).to_have_count(0)
    expect(search).to_be_focused()


def test_the_moment_of_a_past_hour_is_told_as_a_time_of_day(look: Open) -> None:
    page = look("/console/map")
    page.get_by_role("button", name="Play the past").click()
    slider = page.get_by_role("slider", name="Moment of the hour")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d$"))
    before = slider.get_attribute("aria-valuetext")
    slider.press("ArrowRight")
    expect(slider).not_to_have_attribute("aria-valuetext", before or "")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d$"))


def test_how_many_were_found_is_told(look: Open) -> None:
    page = look("/console/things")
    page.get_by_role("searchbox").fill("Lamp of the square")
    expect(page.get_by_role("status").filter(has_text="1 thing")).to_have_text("1 thing")
