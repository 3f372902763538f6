"""The console in a real browser: what an operator does in it, and that it stays readable for everyone."""

import io
import json
import re
from collections import Counter
from datetime import datetime, timedelta
from time import monotonic

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.city.conftest import CityProcess
from tests.console.conftest import BEGIN, PATIENCE_MS, VIEWS, Open, barriers, tell, tell_until_asked
from tests.console.relay import Relay

expect.set_options(timeout=PATIENCE_MS)


def test_what_waits_for_a_person_is_approved_and_refused_with_a_reason(look: Open, town: CityProcess) -> None:
    page = look("/console", staff=True)
    tell_until_asked(town)
    waiting = page.get_by_role("region", name="Waiting for approval")
    waiting.get_by_role("button", name=re.compile("^Approve the command for Lamp of the square")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it is dark")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog).to_have_count(0)
    waiting.get_by_role("button", name=re.compile("^Refuse the command for Lamp of the .*park")).first.click()
    expect(dialog.get_by_role("button", name="Refuse")).to_be_disabled()  # a reason is wanted
    dialog.get_by_label("Reason").fill("the park sleeps")
    dialog.get_by_role("button", name="Refuse").click()
    expect(dialog).to_have_count(0)
    told = [event for d in town.client.get("/api/decisions") for event in _events(town, d["id"])]
    assert ("approved", "it is dark") in told
    assert ("refused", "the park sleeps") in told


def _events(town: CityProcess, decision: str) -> list[tuple[str, str]]:
    return [(event["what"], event["why"]) for event in town.client.get(f"/api/decisions/{decision}")["events"]]


def test_who_has_not_logged_in_is_told_that_approving_needs_a_token(look: Open, town: CityProcess) -> None:
    page = look("/console")
    tell_until_asked(town)
    page.get_by_role("button", name=re.compile("^Approve the command")).first.click()
    page.get_by_role("dialog").get_by_label("Reason").fill("let me")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("token")


def test_a_person_takes_over_by_hand_and_lets_go(look: Open, town: CityProcess, axe: str) -> None:
    page = look("/console", staff=True)
    tell_until_asked(town)
    waiting = page.get_by_role("region", name="Waiting for approval")
    waiting.get_by_role("button", name="Take over by hand: Lamp of the square").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the market")
    expect(dialog.get_by_role("button", name="Take over")).to_be_disabled()  # a value is wanted
    dialog.get_by_label("Value").fill("55")
    assert barriers(page, axe) == []
    dialog.get_by_role("button", name="Take over").click()
    expect(dialog).to_have_count(0)
    told = [event for d in town.client.get("/api/decisions") for event in _events(town, d["id"])]
    assert ("refused", "taken over by hand: the market") in told
    deadline = monotonic() + PATIENCE_MS / 1000
    refusal = ("refused", "operator holds it with tier duty")
    while refusal not in [e for d in town.client.get("/api/decisions", limit=3) for e in _events(town, d["id"])]:
        assert monotonic() < deadline
        tell(town)  # the practice wishes again, and is held off
    page.goto("/console/things/1")
    held = page.get_by_role("region", name="What can be moved")
    expect(held).to_contain_text("Held by hand (duty) until")
    held.get_by_role("button", name="Let go").click()
    expect(held).to_contain_text("Nobody holds it now")


def test_a_value_that_comes_is_on_the_page_without_asking(look: Open, town: CityProcess) -> None:
    page = look("/console/things/1")
    expect(page.get_by_role("heading", name="Lamp of the square")).to_be_visible()
    expect(page.locator(".pulse .link")).to_have_text("live")
    tell(town, (-7.5, 5.0))
    expect(page.get_by_role("region", name="Streams")).to_contain_text("-7.5 °C")


def test_a_link_that_broke_says_so_and_catches_up(look: Open, town: CityProcess) -> None:
    relay = Relay(town.url)
    try:
        page = look("/console/things/1", base=relay.url)
        expect(page.locator(".pulse .link")).to_have_text("live")
        relay.cut()
        expect(page.locator(".pulse .link")).to_have_text("the city does not answer")
        tell(town, (-9.25, 5.0))
        relay.mend()
        expect(page.get_by_role("region", name="Streams")).to_contain_text("-9.3 °C")
        expect(page.locator(".pulse .link")).to_have_text("live")
    finally:
        relay.close()


def test_a_mandate_changes_with_a_reason_that_stands_on_the_record(look: Open, town: CityProcess) -> None:
    page = look("/console/practices/dimmer", staff=True)
    page.get_by_text("It says what it would do; nothing is sent.").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("to be on the safe side")
    dialog.get_by_role("button", name="Change the mandate").click()
    expect(page.get_by_role("region", name="Mandate").get_by_role("listitem").first).to_contain_text("safe side")
    assert {p["id"]: p["mandate"] for p in town.client.get("/api/practices")}["dimmer"] == "advise"
    town.client.post("/api/practices/dimmer/mandate", mandate="approve", who="a test", why="as before")


def test_what_would_be_stands_beside_what_is(look: Open, town: CityProcess, axe: str) -> None:
    tell_until_asked(town)
    page = look("/console/practices/dimmer", staff=True)
    trial = page.get_by_role("region", name="On the city's own past")
    trial.get_by_text("What if?").click()
    trial.get_by_label("cold", exact=True).fill("warm")
    trial.get_by_role("button", name="Backtest").click()
    expect(trial.get_by_role("alert")).to_contain_text("cold must be a number")
    trial.get_by_label("cold", exact=True).fill("100")  # K: so nothing is cold
    trial.get_by_label("Over the last").select_option(label="Minute")
    trial.get_by_role("button", name="Backtest").click()
    differ = trial.get_by_role("row", name=re.compile("^Wishes other than as it is"))
    expect(differ.get_by_role("cell").first).to_have_text("0", timeout=PATIENCE_MS)
    expect(differ.get_by_role("cell").last).to_have_text(re.compile("^[1-9]"))
    sides = trial.get_by_role("region", name="Side by side on the map")
    expect(sides.locator(".map[data-ready]")).to_have_count(2, timeout=PATIENCE_MS)
    most = sides.get_by_role("row", name=re.compile("^Lamp of the square"))
    expect(most.get_by_role("cell").first).to_have_text(re.compile("^[1-9]"))
    assert barriers(page, axe) == []
    result = town.client.get("/api/backtests")[0]["results"]
    for one in result:
        assert one["things"]["name"] == ["Lamp of the square", "Lamp of the <b>park</b>"][: len(one["things"]["name"])]
        assert (sum(one["things"]["changes"]), sum(one["things"]["differ"])) == (one["changes"], one["differ"])
    trial.get_by_role("button", name="Put these values into force").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("a warm winter")
    page.get_by_role("dialog").get_by_role("button", name="Put into force").click()
    expect(page.get_by_role("region", name="Parameters")).to_contain_text("100")
    told = {one["name"]: one["value"] for one in town.client.get("/api/practices/dimmer")["params"]}
    assert told["cold"] == 100
    town.client.post("/api/practices/dimmer/parameters", params={}, who="a test", why="as before")


def test_things_are_checked_before_anything_is_written(look: Open, town: CityProcess) -> None:
    page = look("/console/things?add", staff=True)
    page.get_by_label("Key", exact=True).fill("bench/1")
    page.get_by_label("Name", exact=True).fill("Bench by the sea")
    page.get_by_label("Kind", exact=True).first.fill("bench")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Nothing is written yet")).to_be_visible()
    assert not town.client.get("/api/things", search="bench/1")["things"]
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("1 added")).to_be_visible()
    assert town.client.get("/api/things", search="Bench by")["count"] == 1


def test_a_thing_and_a_stream_are_edited_and_nobody_elses_change_is_lost(
    look: Open, town: CityProcess, axe: str
) -> None:
    where = {"type": "Point", "coordinates": [24.95, 60.17]}
    line = {"key": "edit/1", "kind": "gauge", "name": "Gauge", "where": where, "facts": {"depth": 3}}
    line["streams"] = [{"key": "edit/1/h", "property": "level", "unit": "m"}]
    town.client.post("/api/register", content=json.dumps(line).encode())
    (thing,) = town.client.get("/api/things", search="edit/1")["things"]
    address = f"/console/things/{thing['id']}"
    page = look(address, staff=True)
    page.get_by_role("button", name="Edit", exact=True).click()
    form = page.get_by_role("region", name="Edit this thing")
    form.get_by_label("Name").fill("Gauge of the bridge")
    form.get_by_label("Facts, as JSON").fill('{"depth": 4}')
    form.get_by_label("Latitude").fill("60.18")
    assert barriers(page, axe) == []
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(page.get_by_role("heading", name="Gauge of the bridge")).to_be_visible()
    told = town.client.get(f"/api/things/{thing['id']}")
    assert (told["name"], told["facts"], told["lat"], told["lon"]) == (
        "Gauge of the bridge",
        {"depth": 4},
        60.18,
        24.95,
    )

    page.get_by_role("button", name="Edit the stream level").click()
    form = page.get_by_role("region", name="Edit the stream level")
    form.get_by_label("Description").fill("below the arch")
    stream = told["streams"][0]["id"]
    other = town.client.http.patch(f"/v1.1/Datastreams({stream})", json={"description": "above the arch"})
    assert other.status_code == 200
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("Somebody changed it in the meantime")
    assert town.client.get(f"/v1.1/Datastreams({stream})")["description"] == "above the arch"
    form.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Edit the stream level").click()
    expect(form.get_by_label("Description")).to_have_value("above the arch")
    form.get_by_label("Description").fill("below the arch")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    assert town.client.get(f"/v1.1/Datastreams({stream})")["description"] == "below the arch"


def test_gaps_of_a_stream_are_drawn_and_told(look: Open, town: CityProcess, axe: str) -> None:
    line = {"key": "gap/1", "kind": "gauge", "name": "Gap", "streams": [{"property": "level", "unit": "m"}]}
    town.client.post("/api/register", content=json.dumps(line).encode())
    (thing,) = town.client.get("/api/things", search="gap/1")["things"]
    stream = town.client.get(f"/api/things/{thing['id']}")["streams"][0]["id"]
    now = datetime.fromisoformat(town.client.get("/api/status")["now"])
    minutes = [*range(-50, -30), *range(-20, 1)]
    rows = [[(now + timedelta(minutes=at)).isoformat(), 1.0] for at in minutes]
    block = {"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"], "dataArray": rows}
    town.client.post("/v1.1/CreateObservations", content=json.dumps([block]).encode())
    page = look(f"/console/things/{thing['id']}")
    chart = page.get_by_role("region", name="level")
    expect(chart).to_contain_text("1 gap of 11 minutes; usually a reading every 60 seconds")
    expect(chart.locator(".gap-strip .gone")).to_have_count(1)
    assert barriers(page, axe) == []


def test_the_map_draws_the_city_and_plays_its_past(look: Open, town: CityProcess) -> None:
    page = look("/console/map")
    expect(page.locator(".map[data-ready]")).to_be_attached()
    layers = page.get_by_role("region", name="On the map")
    expect(layers).to_contain_text("Lamp posts")
    expect(layers).to_contain_text("2 / 2")
    page.get_by_role("combobox", name="Find a thing").fill("square")
    page.get_by_role("option", name=re.compile("Lamp of the square")).click()
    expect(page.get_by_role("complementary", name="What was chosen")).to_contain_text("air temperature")
    expect(page).to_have_url(re.compile("thing=1"))
    page.get_by_role("button", name="Play the past").click()
    slider = page.get_by_role("slider", name="Moment of the hour")
    expect(slider).to_be_visible()
    slider.focus()
    before = page.locator(".time-when b").inner_text()
    slider.press("ArrowRight")
    expect(page.locator(".time-when b")).not_to_have_text(before)
    expect(page).to_have_url(re.compile(r"at=\d+"))
    page.get_by_role("button", name="Back to now").click()
    expect(slider).to_have_count(0)


def test_what_moves_is_in_a_past_hour_where_it_was(look: Open, town: CityProcess) -> None:
    ferry = {
        "key": "ferry", "kind": "ferry", "name": "Suokki", "where": {"type": "Point", "coordinates": [24.95, 60.17]},
        "streams": [{"property": "position", "type": "json"}, {"property": "speed", "unit": "m/s"}],
    }  # fmt: skip
    stream = town.client.post("/api/register", content=json.dumps(ferry).encode())["streams"]["ferry/position"]
    begin = datetime.fromisoformat(BEGIN)
    for minute, lon in ((-30, 24.94), (-20, 24.945)):
        time = (begin + timedelta(minutes=minute)).isoformat()
        said = {"phenomenonTime": time, "result": {"type": "Point", "coordinates": [lon, 60.17]}}
        assert town.client.http.post(f"/v1.1/Datastreams({stream})/Observations", json=said).status_code == 201
    here = "view=24.94/60.17/15/0/0"

    def seen_at(minute: float) -> Locator:
        """Its line in the list of what is in view, nearest to the middle first."""
        page = look(f"/console/map?{here}&at={(begin + timedelta(minutes=minute)).timestamp() * 1000:.0f}")
        expect(page.locator(".map[data-ready]")).to_be_attached()
        page.get_by_role("button", name="What is in view").click()
        near = page.get_by_role("region", name="What is in view")
        expect(near.get_by_role("button", name=re.compile("^Lamp of the square"))).to_be_visible()
        return near.get_by_role("button", name=re.compile("^Suokki"))

    expect(seen_at(-25)).to_contain_text(re.compile(r"\b[0-2] m from the middle"))
    expect(seen_at(-15)).to_contain_text(re.compile(r"\b27\d m from the middle"))
    expect(seen_at(-33)).to_have_count(0)  # it had told nothing yet


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_map_stands_on_the_ground_of_the_town(look: Open, dark: bool) -> None:
    page = look("/console/map?view=24.9450/60.1710/15.5/0/0", dark=dark)
    expect(page.locator(".map[data-ready]")).to_be_attached()
    with page.expect_response(re.compile(r"/tiles/.*\.mvt")) as told:
        page.reload()
    assert told.value.ok
    page.wait_for_timeout(4000)  # a tile is drawn after it has come
    drawn = Image.open(io.BytesIO(page.locator(".map").screenshot())).convert("RGB")
    colours = Counter(drawn.crop((400, 100, drawn.width - 100, drawn.height - 100)).get_flattened_data())
    land = (0x12, 0x17, 0x1A) if dark else (0xF4, 0xF0, 0xE8)
    assert colours.total() - colours[land] > colours.total() / 4, colours.most_common(5)


def test_a_city_of_fifty_thousand_things_is_paged_and_searched(look: Open, town: CityProcess) -> None:
    where = {"type": "Point", "coordinates": [24.9, 60.1]}
    lines = [json.dumps({"key": f"bin/{i}", "kind": "bin", "name": f"Bin {i}", "where": where}) for i in range(50_000)]
    for at in range(0, len(lines), 10_000):
        town.client.post("/api/register?ids=false", content="\n".join(lines[at : at + 10_000]).encode())
    page = look("/console/things?kind=bin")
    expect(page.get_by_role("table", name="50,000 things")).to_be_visible()
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("link", name="Bin 50", exact=True)).to_be_visible()
    page.get_by_role("searchbox").fill("Bin 49999")
    expect(page.get_by_role("table", name="1 thing", exact=True)).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_view_has_a_serious_barrier(look: Open, axe: str, dark: bool) -> None:
    page = look("/console", staff=True, dark=dark, wide=1280)
    for view in VIEWS:
        page.goto(f"/console{view}")
        expect(page.locator("h1")).to_be_attached()
        expect(page.locator(".loading")).to_have_count(0)
        assert barriers(page, axe) == [], view


def test_on_a_phone_nothing_is_wider_than_the_screen(look: Open, axe: str) -> None:
    page = look("/console", staff=True, wide=390)
    for view in VIEWS:
        page.goto(f"/console{view}")
        expect(page.locator("h1")).to_be_attached()
        expect(page.locator(".loading")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
        assert barriers(page, axe) == [], view


def test_the_console_speaks_chinese(look: Open, axe: str) -> None:
    page = look("/console", language="zh-CN")
    expect(page.get_by_role("heading", name="值班台")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert barriers(page, axe) == []
