"""The public pages in a real browser without script: the register, and a question that gets its public answer."""

import pytest
from playwright.sync_api import expect

from tests.city.conftest import CityProcess
from tests.console.conftest import PATIENCE_MS, Open, barriers

expect.set_options(timeout=PATIENCE_MS)


def test_a_question_gets_a_public_answer_without_a_script(look: Open, town: CityProcess) -> None:
    page = look("/register", script=False)
    page.get_by_role("link", name="Dims lamps", exact=True).click()
    page.get_by_role("link", name="Ask about it, or object").click()
    page.get_by_label("an objection").check()
    page.get_by_label("Your words").fill("The lamp <i>blinds</i> me")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("The city must answer by Monday, 15 June 2026")).to_be_visible()
    address = page.url
    (case,) = [one for one in town.client.get("/api/cases") if one["key"] == address.rpartition("/")[2]]
    assert (case["kind"], case["about"], case["text"]) == ("objection", "dimmer", "The lamp <i>blinds</i> me")
    town.client.post(f"/api/cases/{case['key']}/answer", answer="We turned it.", who="the lamp office")
    page.goto(address)
    expect(page.get_by_text("We turned it.")).to_be_visible()
    expect(page.get_by_text("<i>blinds</i>")).to_be_visible()
    page.goto("/register/dimmer")
    expect(page.get_by_text("We turned it.")).to_be_visible()
    expect(page.get_by_text("blinds")).to_have_count(0)  # what a person wrote is shown to who has the address alone


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_no_public_page_has_a_serious_barrier(look: Open, town: CityProcess, axe: str, language: str) -> None:
    decision = town.client.get("/api/decisions")[0]["id"]
    page = look("/", language=language)
    for address in ("/", "/register", "/register/dimmer", "/ask", f"/decisions/{decision}", "/cases/none"):
        page.goto(address)
        assert barriers(page, axe) == [], address
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
        page.set_viewport_size({"width": 1280, "height": 844})


def test_the_reader_chooses_the_language_and_keeps_it(look: Open) -> None:
    page = look("/register", script=False)
    page.get_by_role("link", name="简体中文").click()
    expect(page.get_by_role("heading", name="算法登记册")).to_be_visible()
    page.goto("/ask")
    expect(page.get_by_role("heading", name="提问、异议或更正")).to_be_visible()
