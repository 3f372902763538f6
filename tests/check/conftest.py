"""Practices made for one test each."""

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent, indent

import pytest

from civium.check.report import Result, check_practice

REGISTER = """
id = "{name}"
title = "A lamp that follows the traffic"
purpose = "Shows how a practice is looked at."
decides = "How bright one lamp is."
data = "Readings of the vehicles that pass."
personal_data = "None."
oversight = "A person sets the mandate."
logic = "The more vehicles pass, the brighter the lamp."
limits = "It is made for a test."
owner = "The city's test desk"
reference = "None, it is made for a test."

[notices]
dark = "Lamp {{lamp}} is dark."
"""

DECIDE = '''
"""Lights lamps by the traffic that passes."""

{imports}
import numpy as np

from civium.core import Command, Estimate, NeedUnmet, Notice, Plan
from civium.core.view import column


def decide(view, state, params):
    flow = column(view.frames["flow"], "value")
    if not len(flow):
        raise NeedUnmet("flow", "no reading")
    level = float(np.nan_to_num(np.clip(np.nanmean(np.append(flow, 0.0)), 0, 1)))
    commands = tuple(
        Command(int(actuator), level, view.now + 60_000_000) for actuator in column(view.actuators, "actuator")
    )
    plan, turns = Plan(commands=commands), {{"turns": state.get("turns", np.zeros(1)) + 1}}
{body}
    return plan, turns
'''

INIT = '''
"""A lamp that follows the traffic."""

from civium.core import Make, Need, Params, Practice

from {name}.decide import decide

PRACTICE = Practice(
    id="{name}",
    title="A lamp that follows the traffic",
    needs=(Need("flow", "vehicle_flow", "lamp", unit="1", window=300),),
    makes=(Make("vehicle_speed", "lamp", "m/s"),),
    decide=decide,
    every=5.0,
    deadline=1.0,
    acts_on="lamp",
)
'''

PAGE = "# Lamp\n\n## What\n\n## Why\n\n## Equation\n\n## Reference\n\n## Known limits\n\n## Bench data\n"
BENCH = '"""Worth nothing."""\n\n\ndef bench(settings, say):\n    return iter(())\n'
TEST = "def test_lamp() -> None:\n    assert True\n"

Change = dict[str, tuple[str, str]]  # path: (old text, new text); an empty old text replaces the file
Write = Callable[..., EntryPoint]


@pytest.fixture
def write_practice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Write:
    """``write_practice(body, imports, change={path: (old, new)})``: a good practice with something changed."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"lamp_{abs(hash(request.node.nodeid)):x}"

    def write(body: str = "", imports: str = "", change: Change | None = None) -> EntryPoint:
        content = {
            "__init__.py": INIT.format(name=name),
            "decide.py": DECIDE.format(imports=dedent(imports), body=indent(dedent(body), " " * 4)),
            "register.toml": REGISTER.format(name=name),
            "README.md": PAGE,
            "bench.py": BENCH,
            "tests/test_lamp.py": TEST,
        }
        for path, (old, new) in (change or {}).items():
            assert old in content.setdefault(path, "")
            content[path] = content[path].replace(old, new) if old else new
        for path, text in content.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text.lstrip("\n"))
        importlib.invalidate_caches()
        return EntryPoint(name, f"{name}:PRACTICE", "civium.practices")

    return write


def broken(results: list[Result]) -> dict[str, str]:
    """The broken rules and why."""
    return {r.rule: r.why for r in results if r.status == "broken"}


@pytest.fixture
def breaks(write_practice: Write) -> Callable[..., dict[str, str]]:
    """Write a practice and say which rules it breaks."""

    def check(body: str = "", imports: str = "", change: Change | None = None) -> dict[str, str]:
        return broken(check_practice(write_practice(body, imports, change), patience=3.0, memory=200 << 20))

    return check
