"""The rules about a practice's folder, and how an opt-out is given."""

from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest

from civium.check.examine import found
from civium.check.report import check_practice, judge
from civium.check.rules import RULES

Change = dict[str, tuple[str, str]]
BY_ID = {rule.id: rule for rule in RULES}


@pytest.fixture
def why(write_practice: Callable[..., EntryPoint]) -> Callable[[str, Change], str]:
    """What one rule says of a good practice with something changed, without letting it decide."""

    def look(rule: str, change: Change) -> str:
        entry = write_practice(change=change)
        subject = found(entry)
        subject.practice = entry.load()
        return judge(BY_ID[rule], subject).why

    return look


def test_rules_have_ids_of_their_own_and_a_sentence() -> None:
    assert len(BY_ID) == len(RULES)
    assert all(len(rule.sentence.split()) > 4 for rule in RULES)


INIT, REGISTER, PAGE = "__init__.py", "register.toml", "README.md"


@pytest.mark.parametrize(
    ("rule", "change", "told"),
    [
        ("contract-complete", {INIT: ('id="lamp', 'id="Lamp ')}, "not lower-case words"),
        ("contract-complete", {INIT: ("id=", "id=7 or ")}, "it cannot be looked at: TypeError"),
        ("imports-core-only", {"later.py": ("", "def :")}, "it cannot be looked at: SyntaxError"),
        ("contract-complete", {INIT: ("every=5.0", "every=0.0")}, "above zero"),
        ("contract-complete", {INIT: ("window=300", "window=0")}, "cannot be met"),
        ("contract-complete", {INIT: ("Need(", 'Need("flow", "rain_rate", unit="m/s"), Need(')}, "same name"),
        ("contract-complete", {INIT: ("    needs=(", "    params=int,\n    needs=(")}, "not a dataclass"),
        ("needs-known", {INIT: ('"vehicle_flow"', '"happiness"')}, "'happiness' is neither in the glossary nor"),
        ("needs-known", {INIT: ('unit="1"', 'unit="veh/h"')}, "kept in '1', not in 'veh/h'"),
        ("needs-known", {INIT: ('"lamp", "m/s"', '"lamp", "km/h"')}, "kept in 'm/s', not in 'km/h'"),
        (
            "imports-core-only",
            {"decide.py": ("import numpy as np", "import scipy\nimport numpy as np")},
            "belongs in model.py",
        ),
        ("imports-core-only", {"later.py": ("", "from civium import engines\n")}, "later.py imports civium.engines"),
        ("imports-core-only", {"bench.py": ("", "import civium.ledger\n")}, "bench.py imports civium.ledger"),
        (
            "imports-core-only",
            {"decide.py": ("import numpy", "import civium.sandbox\nimport numpy")},
            "decide.py imports civium.sandbox",
        ),
        (
            "imports-core-only",
            {"decide.py": ("import numpy", "from . import sky\nimport numpy"), "sky.py": ("", "import scipy\n")},
            "sky.py imports scipy, which belongs in model.py",
        ),
        (
            "needs-known",
            {INIT: ("needs=(", 'needs=(Need("sky", layer="stars"), ')},
            "the city model has no layer 'stars'",
        ),
        ("contract-complete", {INIT: ('"vehicle_flow", "lamp"', '""')}, "names a property or a layer"),
        ("register-complete", {REGISTER: ("limits", "limit")}, "'limits' is missing"),
        ("register-complete", {REGISTER: ('id = "', 'id = "x')}, "id is 'x"),
        ("register-complete", {REGISTER: ("", "= 1")}, "cannot be read"),
        ("register-complete", {REGISTER: ('"Lamp {lamp} is dark."', '" "')}, "notice 'dark' has no text"),
        ("has-page", {PAGE: ("## Known limits", "")}, "no heading with the word 'limits'"),
        ("has-tests", {"tests/test_lamp.py": ("test_", "check_")}, "no test"),
    ],
)
def test_a_folder_that_lacks_something_is_told_what(
    why: Callable[[str, Change], str], rule: str, change: Change, told: str
) -> None:
    assert told in why(rule, change)


def test_a_property_of_its_own_is_declared_in_the_register(why: Callable[[str, Change], str]) -> None:
    own = '[properties]\nhappiness = {unit = "1", meaning = "share of smiling faces"}\n\n[notices]'
    assert why("needs-known", {INIT: ('"vehicle_flow"', '"happiness"'), REGISTER: ("[notices]", own)}) == ""


def test_a_science_library_in_model_py_is_welcome(why: Callable[[str, Change], str]) -> None:
    change = {"decide.py": ("import numpy", "from . import model\nimport numpy"), "model.py": ("", "import scipy\n")}
    assert why("imports-core-only", change) == ""


def test_what_stands_beside_the_decision_for_its_bench_may_use_the_sandbox(why: Callable[[str, Change], str]) -> None:
    text = "import scipy\nfrom civium.bench.score import Score\nfrom civium.sandbox import detectors\n"
    assert why("imports-core-only", {"bench.py": ("", "from . import streets\n"), "streets.py": ("", text)}) == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('has-page = "the page is written with the pilot city"', "'has-page' is kept, so the exemption must go"),
        ('same-again = "it is only a little random"', "'same-again' knows no exemption"),
        ('has-pages = "the page is written with the pilot city"', "'has-pages' is no rule"),
    ],
)
def test_an_exemption_is_known_open_and_needed(why: Callable[[str, Change], str], line: str, told: str) -> None:
    assert why("exemptions-hold", {REGISTER: ("[notices]", f"[exempt]\n{line}\n[notices]")}) == told


def test_an_exemption_needs_a_reason(why: Callable[[str, Change], str]) -> None:
    change = {REGISTER: ("[notices]", '[exempt]\nhas-page = "later"\n[notices]'), PAGE: ("## What", "")}
    assert why("exemptions-hold", change) == "'has-page' is left out without a reason"


def test_a_rule_left_out_for_a_reason_is_exempt_and_every_other_is_kept(
    write_practice: Callable[..., EntryPoint],
) -> None:
    reason = "the page is written with the pilot city"
    change = {REGISTER: ("[notices]", f'[exempt]\nhas-page = "{reason}"\n[notices]'), PAGE: ("## What", "")}
    results = {r.rule: r for r in check_practice(write_practice(change=change))}
    assert (results["has-page"].status, results["has-page"].why) == ("exempt", reason)
    assert {r.status for rule, r in results.items() if rule != "has-page"} == {"kept"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"decide.py": ("import numpy", "import pvlib\nimport numpy")}, "No module named 'pvlib' in a bare install"),
        ({INIT: ("PRACTICE = ", "raise OSError('no luck')\nPRACTICE = ")}, "OSError: no luck"),
        ({INIT: ("PRACTICE = ", "open('/etc/passwd')\nPRACTICE = ")}, "Refused: a decision touches nothing"),
        ({INIT: ("PRACTICE = ", "raise SystemExit\nPRACTICE = ")}, "SystemExit"),
    ],
)
def test_what_does_not_import_bare_is_told_and_the_rest_is_not_called_kept(
    write_practice: Callable[..., EntryPoint], change: Change, told: str
) -> None:
    results = {r.rule: r for r in check_practice(write_practice(change=change))}
    assert told in results["imports-bare"].why
    assert results["decides"].status == "not examined"


def test_a_bench_that_cannot_be_imported_is_no_bench(breaks: Callable[..., dict[str, str]]) -> None:
    found = breaks(change={"bench.py": ("", "import nowhere\n")})
    assert list(found) == ["has-bench"]
    assert "No module named 'nowhere'" in found["has-bench"]


def test_examples_of_its_own_are_decided_too(breaks: Callable[..., dict[str, str]]) -> None:
    views = "from civium.core import View\n\n\ndef example_views():\n    return [View(now=1, cut={}, frames={})]\n"
    found = breaks(change={"tests/views.py": ("", views)})
    assert found == {"decides": "example 1: KeyError: 'flow' (decide.py, line 11)"}
