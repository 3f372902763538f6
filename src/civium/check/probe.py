"""The inside of a fresh process that examines one practice; ``civium.check.examine`` starts it and reads its lines.

Three jobs: ``bare`` imports the practice where only numpy, pyarrow and msgspec are installed; ``decide`` runs it on
Views behind tripwires; ``bench`` imports its bench. Each line written is one JSON object; the last is ``{"end": ...}``.
"""

import faulthandler
import importlib
import inspect
import json
import os
import pickle
import resource
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, cast

from civium.check import form
from civium.check.tripwires import LoudOutput, Tripwires
from civium.check.views import cases
from civium.core import NeedUnmet, Params, Practice, State, View
from civium.core.digest import canonical_json, of_bytes, of_json, of_state, of_view

BARE = {"civium", "msgspec", "numpy", "pyarrow"}
SHOWN = 4_000  # characters of a plan that are kept to show a difference

Job = Mapping[str, Any]
Say = Callable[[Mapping[str, Any]], None]


class BareInstall:
    """An import hook that hides every third-party module beyond the bare install."""

    def __init__(self, own: str) -> None:
        self._allowed = BARE | {own.partition(".")[0]} | set(sys.stdlib_module_names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top not in self._allowed and not path:
            raise ModuleNotFoundError(f"No module named '{top}' in a bare install", name=top)
        return None


def main(job: Job) -> None:
    """Do one job; what goes wrong inside the practice is said, not raised."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: Mapping[str, Any]) -> None:
        channel.write(json.dumps(line) + "\n")
        channel.flush()

    faulthandler.enable()
    {"bare": _bare, "bench": _bench, "decide": _decide}[job["job"]](job, say)
    say({"end": True})


def _bare(job: Job, say: Say) -> None:
    sys.meta_path.insert(0, BareInstall(job["module"]))
    with Watchdog(job["patience"]):
        wires = Tripwires(job["module"], Path(job["folder"]))
        try:
            with wires.armed():
                importlib.import_module(job["module"])
        except BaseException as error:
            say({"breach": ["imports-bare", _told(error, job)]})
    for rule, why in wires.breaches:
        say({"breach": [rule, f"on import: {why}"]})


def _bench(job: Job, say: Say) -> None:
    try:
        with Watchdog(job["patience"]):
            bench = getattr(importlib.import_module(job["module"] + ".bench"), "bench", None)
        if not callable(bench):
            say({"breach": ["has-bench", "bench.py has no function 'bench'"]})
        elif len(inspect.signature(bench).parameters) != 2:
            say({"breach": ["has-bench", "bench(settings, say) takes two parameters"]})
    except BaseException as error:
        say({"breach": ["has-bench", f"bench.py cannot be imported: {_told(error, job)}"]})


def _decide(job: Job, say: Say) -> None:
    wires = Tripwires(job["module"], Path(job["folder"]))
    wires.wrap_time(ahead=job["shift"])
    practice: Practice = getattr(importlib.import_module(job["module"]), job["attribute"])
    try:
        practice, params = _travelled(practice)
    except Exception as error:
        say({"breach": ["travels", _told(error, job)]})
        return
    runs = list(cases(practice))
    try:
        with Watchdog(job["patience"]):
            runs += _examples(Path(job["folder"]) / "tests" / "views.py")
    except Exception as error:
        say({"breach": ["decides", f"tests/views.py: {_told(error, job)}"]})
    _limit_memory(job["memory"])
    sys.stdout = cast(TextIO, LoudOutput(wires))  # no more than write and flush is asked of it
    for name, views in reversed(runs) if job["backward"] else runs:
        _turns(name, views, practice, params, wires, job, say)


def _examples(source: Path) -> list[tuple[str, tuple[View, ...]]]:
    """The practice's own Views, one run each."""
    if not source.exists():
        return []
    spec = spec_from_file_location("_example_views", source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source.name} cannot be loaded")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return [(f"example {position + 1}", (view,)) for position, view in enumerate(module.example_views())]


def _turns(
    name: str, views: tuple[View, ...], practice: Practice, params: Params, wires: Tripwires, job: Job, say: Say
) -> None:
    """One run: the state that comes out of a turn goes into the next."""
    state: State | None = None
    for number, view in enumerate(views):
        step = f"{name}, turn {number + 1}" if len(views) > 1 else name
        say({"step": step})
        before = of_view(view)
        try:
            with Watchdog(job["patience"] + practice.deadline):
                if state is None:
                    with wires.armed():
                        state = practice.start(view, params)
                state = _turn(step, view, state, practice, params, wires, job, say)
        except NeedUnmet as held:
            say({"outcome": [step, of_json(str(held)), f"held: {held}"], "view": before, "held": True})
        except MemoryError:
            say({"breach": ["in-memory", f"{step}: it took more than {job['memory'] >> 20} MiB"]})
        except BaseException as error:
            say({"breach": ["decides", f"{step}: {_told(error, job)}"]})
        if of_view(view) != before:
            say({"breach": ["inputs-unchanged", f"{step}: it changed the view"]})
        for rule, why in dict.fromkeys(wires.breaches):
            say({"breach": [rule, f"{step}: {why}"]})
        wires.breaches.clear()


def _turn(
    step: str, view: View, state: State, practice: Practice, params: Params, wires: Tripwires, job: Job, say: Say
) -> State | None:
    """Decide twice, the second time under the profile hook; returns the state for the next turn if there is one."""
    if breaches := list(form.of_state(state)):
        say({"breach": ["state-plain", f"{step}: at the start, {breaches[0][1]}"]})
        return None
    given, again, digest = _copied(state), _copied(state), of_state(state)
    with wires.armed():
        plan, after = practice.decide(view, given, params)
    with wires.armed(), wires.profiled():
        second = practice.decide(view, again, params)
    if of_state(given) != digest:
        say({"breach": ["inputs-unchanged", f"{step}: it changed the state that it was given"]})
    breaches = [*form.of_plan(plan, view, practice, job["texts"]), *form.of_state(after)]
    for rule, why in breaches:
        say({"breach": [rule, f"{step}: {why}"]})
    if any(rule in ("plan-plain", "state-plain") for rule, _ in breaches):
        return None  # such an outcome has no digest
    if _digest(plan, after) != _digest(*second):
        say({"breach": ["same-again", f"{step}: asked twice in one process, it answers differently"]})
    shown = canonical_json(plan).decode()[:SHOWN]
    say({"outcome": [step, _digest(plan, after), shown], "view": of_view(view), "held": False})
    return after


def _digest(plan: Any, state: Any) -> str:
    return of_bytes(canonical_json(plan)) + of_state(state)


def _copied(state: Any) -> Any:
    return {name: array.copy() for name, array in state.items()}


def _travelled(practice: Practice) -> tuple[Practice, Params]:
    """The practice and its default parameters as they come out at another process: pickled and back."""
    params = practice.params()
    json.dumps(asdict(params))
    travelled: tuple[Practice, Params] = pickle.loads(pickle.dumps((practice, params)))  # noqa: S301 (our own bytes)
    if travelled[1] != params:
        raise TypeError("the parameters do not survive pickling")
    return travelled


class Watchdog:
    """Ends the process with a traceback when the code inside hangs, even in C."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        faulthandler.dump_traceback_later(self._seconds, exit=True)

    def __exit__(self, *raised: object) -> None:
        faulthandler.cancel_dump_traceback_later()


def _limit_memory(more: int) -> None:
    """Let the process take ``more`` bytes of private memory from here on (where the system can say how much it has)."""
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _told(error: BaseException, job: Job) -> str:
    """The error and the last place in the practice's own code where it passed."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(job["folder"])]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{where}"
