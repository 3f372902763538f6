"""The report's figures, from small recorded samples: what is compared, joined, counted and proved."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from civium.core import Plan, digest
from civium.core.wire import encode_plan
from civium.ledger.record import GENESIS, check_link
from civium.report import plots, record, solar, traffic
from civium.report import write_report as write
from tests.city.conftest import CityProcess


def _minute(second: int, delay: float, arrived: int, speed: float | None = 5.0, run: int = 0) -> dict[str, Any]:
    return {
        "run": run, "second": second, "time": f"2026-06-10T06:{second // 60 % 60:02d}:00+00:00", "running": 3,
        "waiting": 0, "mean_speed": speed, "arrived": arrived, "departed": arrived + 2, "teleports": 0, "delay": delay,
        "pv_power_w": 900, "pv_healthy_w": 1000,
    }  # fmt: skip


OURS = [_minute(60, 10, 1), _minute(120, 30, 3, 7.0), _minute(180, 40, 6)]
FIXED = [_minute(60, 20, 1), _minute(120, 60, 2, 3.0)]


def test_only_minutes_that_were_driven_twice_are_compared() -> None:
    both = traffic.compare(OURS, FIXED)
    assert both is not None
    assert len(both.ours.time) == 2
    assert both.ours.value["delay"] == (10, 20)  # a count is what came within the minute
    assert both.fixed.total("delay") == 60
    assert traffic.compare(OURS, []) is None


def test_counts_begin_anew_with_each_run() -> None:
    lines = [*OURS[:2], _minute(60, 7, 1, run=1)]
    both = traffic.compare(lines, lines)
    assert both is not None
    assert both.ours.value["delay"] == (10, 20, 7)


def test_the_summary_says_which_of_the_two_did_better() -> None:
    both = traffic.compare(OURS, FIXED)
    assert both is not None
    rows = {row.name: row for row in traffic.summary(both)}
    assert rows["Total delay"].change == pytest.approx(-0.5)
    assert rows["Total delay"].better
    assert rows["Mean speed"].ours == pytest.approx(6.0 * 3.6)
    assert rows["Mean speed"].better
    teleports = rows["Cars taken out because they stood (teleports)"]
    assert teleports.better is None
    assert teleports.change is None


def test_an_empty_street_has_no_speed_and_wins_nothing() -> None:
    both = traffic.compare([_minute(60, 0, 0, None)], [_minute(60, 0, 0, None)])
    assert both is not None
    assert math.isnan(both.ours.speed)
    assert all(row.better is None for row in traffic.summary(both))


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "traffic.jsonl").write_text(json.dumps(OURS[0]) + '\n{"run": 0, "sec')
    assert len(traffic.lines(tmp_path / "traffic.jsonl")) == 1
    assert traffic.lines(tmp_path / "absent.jsonl") == []


def _fleet(expected: list[tuple[int, str, str, float]]) -> solar.Fleet:
    things = [{"id": 7, "key": "pv/1", "name": "One"}, {"id": 8, "key": "pv/2", "name": "Two"}]
    due = dict(zip(("thing", "time", "until", "value"), map(list, zip(*expected, strict=True)), strict=False))
    got = {
        "things": things,
        "thing": [7, 8, 7, 7],
        "time": [f"2026-06-10T06:{minute}:00+00:00" for minute in ("01", "01", "02", "59")],
        "value": [80.0, 50.0, 120.0, 1e9],
    }
    plants = [{"key": "pv/1", "peak_power_w": 200.0, "fault": "healthy"},
              {"key": "pv/2", "peak_power_w": 100.0, "fault": "string"}]  # fmt: skip
    notices = [{"about": 8, "values": "a string is dead"}, {"about": None, "values": "to nobody"}]
    empty: dict[str, list[Any]] = {"thing": [], "time": [], "until": [], "value": []}
    return solar.fleet(due or empty, got, plants, notices)


SPAN = ("2026-06-10T06:00:00+00:00", "2026-06-10T06:15:00+00:00")


def test_an_estimate_is_held_against_the_readings_of_its_own_interval() -> None:
    fleet = _fleet([(7, *SPAN, 110.0), (8, *SPAN, 100.0)])
    one, two = fleet.rows
    assert (one.measured, one.ratio) == (100.0, pytest.approx(100 / 110))
    assert (two.ratio, two.fault, two.said) == (0.5, "string", ("a string is dead",))
    assert fleet.expected == (210.0,)
    assert fleet.measured == (150.0,)
    assert [row.name for row in fleet.faulty] == [row.name for row in fleet.named] == ["Two"]


def test_without_estimates_the_plants_are_there_and_nothing_is_expected() -> None:
    fleet = _fleet([])
    assert len(fleet.rows) == 2
    assert fleet.rows[0].ratio is None
    assert fleet.begin == ()


def _turn(practice: str, second: int, events: list[dict[str, Any]], commands: int = 1) -> dict[str, Any]:
    return {
        "type": "turn", "id": f"{practice}.all.{second}", "practice": practice, "tick": second * 1_000_000,
        "mandate": "act", "advise_only": False, "events": events, "params": {},
        "plan": {"commands": [{}] * commands, "estimates": [], "notices": []},
        "timing": {"view_ms": 1.0, "decide_ms": 2.0, "delay_ms": float(second)},
    }  # fmt: skip


def _event(decision: str, what: str, second: int, why: str = "") -> dict[str, Any]:
    return {"decision": decision, "command": 0, "what": what, "at": second * 1_000_000, "why": why}


ENTRIES = [
    _turn("a", 1, [_event("a.all.1", "admitted", 1)]),
    {"type": "events", "events": [_event("a.all.1", "sent", 1), _event("a.all.1", "sent", 2)]},
    {"type": "events", "events": [_event("a.all.1", "confirmed", 4)]},
    {"type": "held", "practice": "b", "why": "stale", "events": []},
    _turn("a", 6, [_event("a.all.6", "refused", 6, "out of its limits")]),
    _turn("b", 7, [], commands=0),
]


def test_what_became_of_commands_is_counted_once_each() -> None:
    done = record.deeds(ENTRIES)
    assert (done["a"].decisions, done["a"].commands) == (2, 2)
    assert done["a"].fates == {"admitted": 1, "sent": 1, "confirmed": 1, "refused": 1}
    assert done["a"].why_refused == {"out of its limits": 1}
    assert done["a"].confirmed_after == [3.0]
    assert done["b"].decisions == 1


def test_percentiles_of_nothing_are_none() -> None:
    assert record.percentiles([]) == []
    assert record.percentiles([1.0, 2.0, 3.0]) == pytest.approx([2.0, 2.9, 2.98, 3.0])


def test_a_sample_holds_the_first_and_the_last_of_every_practice() -> None:
    turns = [_turn("a", n, []) for n in range(100)] + [_turn("b", 5, [])]
    chosen = [entry["id"] for entry in record.sample(turns, 10)]
    assert len(chosen) == len(set(chosen)) == 6
    assert {"a.all.0", "a.all.99", "b.all.5"} <= set(chosen)


class _City:
    """Answers as a city would whose ledger holds ``lines`` and whose Views are gone."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines

    def ledger(self) -> Any:
        return enumerate(self.lines, 1)

    def view(self, decision: str) -> Any:
        from civium.core import InputRefused

        raise InputRefused("the observations have passed their retention")


def _ledger(entries: list[dict[str, Any]]) -> list[bytes]:
    lines, previous = [], GENESIS
    for number, entry in enumerate(entries, 1):
        lines.append(json.dumps({**entry, "prev": previous}).encode())
        previous = check_link(number, lines[-1], previous)
    return lines


def test_the_proof_counts_what_could_not_be_replayed_and_says_why() -> None:
    plan = Plan()
    told = json.loads(encode_plan(plan))
    turns = [
        {**_turn("a", n, [], 0), "plan": told, "digests": {"plan": digest.of_bytes(encode_plan(plan))}} for n in (1, 2)
    ]
    city: Any = _City(_ledger(turns))
    entries, broken = record.read_ledger(city)
    shares: list[float] = []
    proof = record.prove(entries, broken, city, shares.append)
    assert (proof.entries, proof.broken, proof.decisions, proof.replayed) == (2, "", 2, 2)
    assert proof.verdicts == {"identical": 0, "not replayable": 2}
    (why,) = proof.others
    assert "passed their retention" in why
    assert shares == [0.5, 1.0]


def test_an_altered_line_is_told_and_what_follows_it_is_not_trusted() -> None:
    lines = _ledger(ENTRIES)
    lines[1] = lines[1].replace(b'"sent"', b'"lost"')
    city: Any = _City(lines)
    entries, broken = record.read_ledger(city)
    assert len(entries) == 2
    assert "altered" in broken


def test_plots_stand_in_a_page_and_name_no_other_host() -> None:
    both = traffic.compare(OURS, OURS)
    assert both is not None
    fleet = _fleet([(7, *SPAN, 110.0), (8, *SPAN, 100.0)])
    for svg in (
        plots.traffic(both),
        plots.solar_total(fleet, OURS),
        plots.solar_plants(fleet),
        plots.latencies({"a": [1.0, 20.0], "b": [300.0]}),
    ):
        assert svg.startswith("<svg")
        addresses = [part.split('"')[0] for part in svg.split('="http')[1:]]
        assert all(address.startswith("://www.w3.org/") for address in addresses)


def test_a_report_without_a_folder_for_it_is_refused_before_the_work(tmp_path: Path) -> None:
    from civium.core import InputRefused

    with pytest.raises(InputRefused, match="no folder"):
        # None: it must fail before it needs a client.
        write(None, tmp_path, tmp_path / "absent" / "report.html")  # type: ignore[arg-type]  # see above


def test_a_city_where_nothing_happened_gets_a_page_that_says_so(tmp_path: Path) -> None:
    city = CityProcess(tmp_path / "city", True, {"CIVIUM_CLOCK_SOURCE": "door"}).start()
    try:
        write(city.client, city.folder, tmp_path / "report.html")
    finally:
        city.stop()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="none"') >= 6
    assert "No full minute of traffic was recorded" in page
    assert "No decision was made." in page
    assert "not started" in page
    assert "1970" not in page
