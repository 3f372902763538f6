"""Examines one practice from outside: starts fresh processes import it and let it decide; gathers what broke."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from civium.core import Practice

DAY = 86_400.0  # [s]
PATIENCE = 30.0  # [s] beyond a practice's own deadline, since the machine may be busy
MEMORY = 1 << 30  # [byte] that decisions may take
MOST_SECONDS = 900.0  # of one process, whatever it does
ON_IMPORT = ("imports-bare",)
ON_DECIDING = (
    "travels", "decides", "same-again", "inputs-unchanged", "touches-nothing", "reads-no-clock", "draws-no-chance",
    "in-time", "in-memory", "state-plain", "plan-plain", "commands-lapse", "estimates-declared", "notices-worded",
)  # fmt: skip
ON_BENCH = ("has-bench",)
START = (
    "import json, sys; job = json.loads(sys.stdin.read()); sys.path[:] = job['path'];"
    " from civium.check.probe import main; main(job)"
)

# two processes that agree in nothing but the inputs: hash seed, time zone, clock, and the order in which they are asked
FIRST = {"seed": "1", "zone": "WEST+12", "shift": 0.0, "backward": False}
OTHER = {"seed": "4242", "zone": "EAST-14", "shift": 400.3 * DAY, "backward": True}


@dataclass(slots=True)
class Subject:
    """One practice under examination; ``breaches`` holds, by rule id, what the processes saw, and
    ``unexamined`` why they could not look."""

    name: str
    module: str
    attribute: str
    folder: Path
    register: Mapping[str, Any]
    register_error: str = ""
    practice: Practice | None = None
    load_error: str = ""
    breaches: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unexamined: dict[str, str] = field(default_factory=dict)

    def leave(self, rules: tuple[str, ...], why: str) -> None:
        """Say that these rules could not be looked at."""
        self.unexamined.update(dict.fromkeys(rules, why))


def examine(entry: EntryPoint, patience: float = PATIENCE, memory: int = MEMORY) -> Subject:
    """Look at the practice behind an entry point; never raises for what the practice does."""
    subject = found(entry)
    if subject.load_error:
        subject.leave((*ON_IMPORT, *ON_DECIDING, *ON_BENCH), subject.load_error)
        return subject
    job = {
        "module": subject.module,
        "attribute": subject.attribute,
        "folder": str(subject.folder),
        "texts": _texts(subject.register),
        "path": [p for p in sys.path if p],
        "patience": patience,
        "memory": memory,
    }
    _gather(subject, _ask(job | {"job": "bare"} | FIRST))
    if subject.breaches["imports-bare"]:
        subject.load_error = "it does not import"
    else:
        subject.practice, subject.load_error = _practice(entry)
    if subject.practice is None:
        subject.leave((*ON_DECIDING, *ON_BENCH), subject.load_error)
        return subject
    jobs = (job | {"job": "decide"} | FIRST, job | {"job": "decide"} | OTHER, job | {"job": "bench"} | FIRST)
    with ThreadPoolExecutor(2) as pool:
        first, other, bench = pool.map(_ask, jobs)
    for lines in (first, other, bench):
        _gather(subject, lines)
    _compare(subject, first, other)
    if subject.breaches["travels"]:
        subject.leave(ON_DECIDING, "it cannot be sent to another process")
    return subject


def found(entry: EntryPoint) -> Subject:
    """The folder and the register entry behind an entry point, before anything of it runs."""
    module, _, attribute = entry.value.partition(":")
    subject = Subject(entry.name, module, attribute, Path(), {})
    try:
        spec = find_spec(module)
    except Exception as error:
        spec, subject.load_error = None, f"{type(error).__name__}: {error}"
    if spec is None or not spec.submodule_search_locations:
        subject.load_error = subject.load_error or f"'{module}' is not a folder of Python code"
        return subject
    subject.folder = Path(spec.submodule_search_locations[0]).resolve()
    try:
        subject.register = tomllib.loads((subject.folder / "register.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        subject.register_error = f"register.toml cannot be read: {error}"
    return subject


def _practice(entry: EntryPoint) -> tuple[Practice | None, str]:
    try:
        practice = entry.load()
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    if not isinstance(practice, Practice):
        return None, f"{entry.value} is a {type(practice).__name__}, not a civium.core.Practice"
    return practice, ""


def _texts(register: Mapping[str, Any]) -> dict[str, str]:
    notices = register.get("notices", {})
    return {k: v for k, v in notices.items() if isinstance(v, str)} if isinstance(notices, dict) else {}


def _ask(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of one probe; the last is ``{"end": True}``, or says how the process ended instead."""
    with tempfile.TemporaryDirectory() as nowhere:
        environment = {
            "HOME": nowhere,
            "LC_ALL": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "PATH": os.defpath,
            "PYTHONHASHSEED": job["seed"],
            "PYTHONTZPATH": "",  # time zones come from a locked package or not at all
            "TZ": job["zone"],
        }
        with (Path(nowhere) / "errors").open("w+", encoding="utf-8", errors="replace") as errors:
            process = subprocess.Popen(  # noqa: S603 (this interpreter, this module)
                [sys.executable, "-B", "-P", "-s", "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=nowhere,
                text=True,
            )
            try:
                output, _ = process.communicate(json.dumps(dict(job)), MOST_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
            errors.seek(0)
            last = errors.read()
    lines = [json.loads(line) for line in output.splitlines()]
    if not lines or "end" not in lines[-1]:
        hung = "Timeout (" in last or process.returncode == -signal.SIGKILL
        lines.append({"died": job["job"], "hung": hung, "code": process.returncode, "last": last[-400:]})
    return lines


def _gather(subject: Subject, lines: list[dict[str, Any]]) -> None:
    """File the breaches of one process under their rules."""
    step = "on import"
    for line in lines:
        step = line.get("step", step)
        if "breach" in line:
            rule, why = line["breach"]
            if why not in subject.breaches[rule]:
                subject.breaches[rule].append(why)
        if "died" in line:
            rule = {"bare": "imports-bare", "bench": "has-bench", "decide": "decides"}[line["died"]]
            why = f"the process ended with code {line['code']}: {line['last'].strip()}"
            if line["hung"]:
                rule, why = "in-time" if line["died"] == "decide" else rule, "it does not come back"
            subject.breaches[rule].append(f"{step}: {why}")
            subject.leave(ON_DECIDING if line["died"] == "decide" else (), f"the process ended early ({rule})")


def _compare(subject: Subject, first: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """The same inputs give the same outcome in a process that shares nothing else; something must be decided at all."""
    outcomes = {line["outcome"][0]: line for line in first if "outcome" in line}
    elsewhere = {line["outcome"][0]: line for line in other if "outcome" in line}
    for step in outcomes.keys() & elsewhere.keys():
        one, two = outcomes[step], elsewhere[step]
        if one["view"] != two["view"]:
            subject.breaches["decides"].append(f"{step}: tests/views.py makes another view in another process")
        elif one["outcome"][1] != two["outcome"][1]:
            subject.breaches["same-again"].append(f"{step}: {_difference(one['outcome'][2], two['outcome'][2])}")
    if outcomes and all(line["held"] for line in outcomes.values()):
        subject.breaches["decides"].append(
            "it holds on every view and so shows nothing: give it facts in tests/views.py (example_views)"
        )


def _difference(one: str, two: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    if at is None:
        return "the state differs in another process (hash seed, clock, time zone, order of calls)"
    around = slice(max(0, at - 30), at + 30)
    return f"the plan differs in another process: …{one[around]}… against …{two[around]}…"
