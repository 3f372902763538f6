"""What axe-core cannot see: every control by keyboard, the focus seen and not covered, narrow and spaced-out text."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.city.conftest import CityProcess
from tests.console.conftest import PATIENCE_MS, Open, tell_until_asked

expect.set_options(timeout=PATIENCE_MS)
VIEWS = ("", "/practices/dimmer", "/things", "/things/1", "/decisions", "/cases", "/settings", "/start", "/map")
# Controls that can be seen and used, each with a number; of a group of radio buttons the chosen one is the only stop.
_NUMBER = """() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(one => {
  const box = one.getBoundingClientRect();
  return !one.disabled && one.tabIndex >= 0 && box.width > 0 && getComputedStyle(one).visibility !== 'hidden'
    && !one.closest('[inert], [aria-hidden="true"], details:not([open]) > :not(summary)')
    && !(one.type === 'radio' && !one.checked) && !one.dataset.focusScopeStart;
}).map((one, number) => { one.dataset.number = number; return one.outerHTML.slice(0, 120); })"""
# What has the focus: its number, whether that is to be seen, and whether nothing lies over the whole of it.
_FOCUS = """() => {
  const one = document.activeElement;
  const ring = [one, one.closest('.search-field'), one.closest('label')].some(of => of
    && (getComputedStyle(of).boxShadow !== 'none' || getComputedStyle(of).outlineStyle !== 'none'));
  const box = one.getBoundingClientRect();
  const seen = [0.1, 0.5, 0.9].some(x => [0.1, 0.5, 0.9].some(y => {
    const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
    return top && (one.contains(top) || top.contains(one));
  }));
  return {number: one.dataset.number, ring, seen, html: one.outerHTML.slice(0, 120)};
}"""


def _ready(page: Page, view: str) -> None:
    page.goto(f"/console{view}")
    expect(page.locator("h1")).to_be_attached()
    expect(page.locator(".loading")).to_have_count(0)


@pytest.mark.parametrize("wide", [1280, 390], ids=["screen", "phone"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_control_is_reached_by_tab_and_seen_when_it_is(
    look: Open, town: CityProcess, view: str, wide: int
) -> None:
    page = look("/console", staff=True, wide=wide)
    _ready(page, view)
    controls = page.evaluate(_NUMBER)
    reached = set()
    for _ in range(len(controls) + 10):
        page.keyboard.press("Tab")
        focus = page.evaluate(_FOCUS)
        if focus["number"] is None:
            continue  # the page itself, or what came since
        assert focus["ring"], focus["html"]
        assert focus["seen"], focus["html"]
        reached.add(int(focus["number"]))
    gone = page.evaluate("() => [...document.querySelectorAll('[data-number]')].map(one => +one.dataset.number)")
    assert [controls[number] for number in sorted(set(gone) - reached)] == []


def test_a_dialog_is_opened_used_and_left_by_keyboard(look: Open, town: CityProcess) -> None:
    page = look("/console", staff=True)
    tell_until_asked(town)
    opener = page.get_by_role("button", name=re.compile("^Refuse the command for Lamp of the square")).first
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()


def test_the_way_past_the_navigation_comes_first(look: Open) -> None:
    page = look("/console")
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_thing_on_the_map_is_found_and_left_by_keyboard(look: Open) -> None:
    page = look("/console/map")
    expect(page.locator(".map[data-ready]")).to_be_attached()
    page.get_by_role("combobox", name="Find a thing").focus()
    page.keyboard.type("square")
    expect(page.get_by_role("option", name=re.compile("Lamp of the square"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="What was chosen")).to_contain_text("Lamp of the square")
    before = page.url
    page.locator(".map canvas").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(before)


def test_narrow_and_spaced_out_text_needs_no_scrolling_to_the_side(look: Open) -> None:
    page = look("/console", staff=True, wide=320)
    spacing = "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }"
    for view in VIEWS:
        _ready(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, view
        page.add_style_tag(content=spacing)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, (view, "spaced out")


def test_no_control_is_smaller_than_24_pixels(look: Open) -> None:
    page = look("/console", staff=True, wide=390)
    for view in VIEWS:
        _ready(page, view)
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, input, .rail a, summary')].filter(one => {
              const box = (one.closest('label') ?? one).getBoundingClientRect();
              return box.width > 1 && box.height > 1 && (box.width < 24 || box.height < 24);
            }).map(one => one.outerHTML.slice(0, 120))"""
        )
        assert small == [], view


def test_a_thing_on_the_map_is_chosen_by_keys(look: Open, town: CityProcess) -> None:
    page = look("/console/map")
    expect(page.locator(".map[data-ready]")).to_be_attached()
    page.get_by_role("button", name="What is in view").focus()
    page.keyboard.press("Enter")
    near = page.get_by_role("region", name="What is in view")
    lamp = near.get_by_role("button", name=re.compile("^Lamp of the square"))
    expect(lamp).to_contain_text("m from the middle")
    lamp.focus()
    page.keyboard.press("Enter")
    chosen = page.get_by_role("complementary", name=re.compile("chosen|Chosen"))
    expect(chosen.get_by_role("heading", name="Lamp of the square")).to_be_visible()
    expect(page).to_have_url(re.compile("thing=1"))
