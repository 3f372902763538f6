"""The rules that every practice keeps: each has an id, a sentence and a function that says where it is broken.

A rule that is ``exemptable`` may be left out by name in the practice's ``register.toml``, with a reason:
``[exempt]`` / ``has-bench = "the reason"``. The rules of the decision itself know no exemption.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from civium.check.examine import Subject
from civium.core import Access, Params, Practice
from civium.core.properties import PROPERTIES
from civium.twin.model.layers import LAYERS

Broken = Iterator[str]

PROSE = ("title", "purpose", "decides", "data", "personal_data", "oversight", "logic", "limits", "owner", "reference")
HEADINGS = ("what", "why", "equation", "reference", "limits", "bench data")
PLAIN = {"civium", "msgspec", "numpy", "pyarrow"}
OF_CIVIUM = ("core.",)
OF_CIVIUM_FOR_BENCH = ("core.", "bench.score.", "bench.trial.", "sandbox.")
SHORTEST_REASON = 12  # characters


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise of a practice; ``broken`` says, for a subject, where it is not kept."""

    id: str
    sentence: str
    broken: Callable[[Subject], Broken]
    exemptable: bool = False


RULES: list[Rule] = []


def rule(id: str, sentence: str, *, exemptable: bool = False) -> Callable[[Callable[[Subject], Broken]], None]:
    """Register a function as the rule ``id``."""

    def register(broken: Callable[[Subject], Broken]) -> None:
        RULES.append(Rule(id, sentence, broken, exemptable))

    return register


def _seen(id: str, sentence: str) -> None:
    """A rule that the probing processes watch: what they saw is filed under its id."""
    RULES.append(Rule(id, sentence, lambda subject: iter(subject.breaches[id])))


_seen("imports-bare", "it imports where only Python, numpy, pyarrow and msgspec are installed")


@rule("contract-complete", "its PRACTICE is complete and consistent")
def _contract(subject: Subject) -> Broken:
    if subject.practice is None:
        yield subject.load_error
        return
    practice = subject.practice
    if practice.id != subject.name:
        yield f"its id is '{practice.id}' but its entry point is named '{subject.name}'"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", practice.id):
        yield f"its id '{practice.id}' is not lower-case words joined by underscores"
    if not practice.title.strip():
        yield "it has no title"
    if not practice.needs:
        yield "it declares no need, so it would see nothing"
    names = [need.name for need in practice.needs]
    if len(set(names)) < len(names):
        yield "two of its needs bear the same name"
    if not (practice.every > 0 and practice.deadline > 0):
        yield "every and deadline are times above zero [s]"
    yield from _timing(practice)
    seen = {(need.property, need.kind, need.unit) for need in practice.needs}
    for make in practice.makes:
        if make.foretells and (make.foretells, make.kind, make.unit) not in seen:
            yield f"'{make.property}' foretells '{make.foretells}', which it does not need of '{make.kind}' in its unit"
    yield from _params(practice.params)
    known = set(metadata.metadata("civium").get_all("Provides-Extra") or ())
    for extra in practice.requires:
        if subject.module.startswith("civium.") and extra not in known:
            yield f"it requires the extra '{extra}', which civium does not have"


def _timing(practice: Practice) -> Broken:
    for need in practice.needs:
        if need.wait < 0 or need.window <= 0 or need.stale <= 0:
            yield f"the need '{need.name}' has a window, wait or stale time that cannot be met"
        if bool(need.property) == bool(need.layer):
            yield f"the need '{need.name}' names a property or a layer, one of the two"


def _params(params: type[Params]) -> Broken:
    if not (isinstance(params, type) and issubclass(params, Params) and is_dataclass(params)):
        yield "params is not a dataclass that extends civium.core.Params"
        return
    try:
        params()
    except TypeError as error:
        yield f"params cannot be made from defaults alone: {error}"
    if not vars(params)["__dataclass_params__"].frozen:
        yield "params is not frozen"


_seen("travels", "it and its parameters can be sent to another process")


@rule("needs-known", "what it needs and makes has a name and a unit that the city knows")
def _names(subject: Subject) -> Broken:
    if subject.practice is None:
        return
    own = table(subject.register, "properties")
    declared = [(f"the need '{n.name}'", n.property, n.unit) for n in subject.practice.needs if n.property]
    declared += [(f"the make '{m.property}'", m.property, m.unit) for m in subject.practice.makes]
    for need in subject.practice.needs:
        if need.layer and need.layer not in LAYERS:
            yield f"the need '{need.name}': the city model has no layer '{need.layer}'"
    for what, name, unit in declared:
        if name in PROPERTIES:
            known = PROPERTIES[name][0]
        elif table(own, name).get("meaning"):
            known = str(own[name].get("unit", ""))
        else:
            yield f"{what}: '{name}' is neither in the glossary nor under [properties] of register.toml"
            continue
        if unit != known:
            yield f"{what}: '{name}' is kept in '{known}', not in '{unit}'"


@rule("imports-core-only", "what it decides with imports core, and a science library only in model.py")
def _imports(subject: Subject) -> Broken:
    if subject.folder == Path():
        return
    imports = {path: _imported(path, subject) for path in _code(subject.folder)}
    reached = _reached(subject, imports)
    for path, names in sorted(imports.items()):
        part = path.relative_to(subject.folder)
        for name in names:
            top, _, rest = name.partition(".")
            if name == subject.module or name.startswith(subject.module + "."):
                continue
            if top == "civium" and not f"{rest}.".startswith(OF_CIVIUM if path in reached else OF_CIVIUM_FOR_BENCH):
                yield f"{part} imports {name}"
            if path in reached and top not in PLAIN | sys.stdlib_module_names and path.name != "model.py":
                yield f"{part} imports {name}, which belongs in model.py"


def _code(folder: Path) -> list[Path]:
    """The practice's own files but for its tests."""
    return [p for p in folder.rglob("*.py") if p.relative_to(folder).parts[0] != "tests"]


def _reached(subject: Subject, imports: Mapping[Path, list[str]]) -> set[Path]:
    """The files that ``__init__`` imports, directly or not: what the practice decides with."""
    reached, waiting = set(), [subject.folder / "__init__.py"]
    while waiting:
        path = waiting.pop()
        if path in imports and path not in reached:
            reached.add(path)
            for name in imports[path]:
                part = subject.folder.joinpath(*name.removeprefix(subject.module).strip(".").split("."))
                waiting += [part.with_suffix(".py"), part / "__init__.py"] if name.startswith(subject.module) else []
    return reached


def _imported(path: Path, subject: Subject) -> list[str]:
    """Dotted names of the modules that a file imports, at its head or later; of ``from a import b``, a and a.b."""
    names = []
    here = (subject.module, *path.relative_to(subject.folder).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            whole = module == "civium" or module.startswith(subject.module)
            names += [f"{module}.{alias.name}" for alias in node.names] if whole else []
            names += [] if module == "civium" else [module]
    return names


_seen("decides", "it decides on plain and awkward views, or holds and says which need is unmet; it never raises")
_seen("same-again", "the same inputs give the same outcome in every process, at every hour")
_seen("inputs-unchanged", "it leaves its view and its state as they were given")
_seen("touches-nothing", "it opens no file, socket, process or thread, and prints nothing")
_seen("reads-no-clock", "it takes the time from view.now")
_seen("draws-no-chance", "it takes chance from Params.seed")
_seen("in-time", "it comes back within its deadline")
_seen("in-memory", "it decides within a gibibyte of memory")
_seen("state-plain", "its state is named numpy arrays of plain values, 16 MB at most")
_seen("plan-plain", "its plan can be sent to another process and put on the record")
_seen("commands-lapse", "its commands are for declared actuators, within its tier, and lapse within a day")
_seen("estimates-declared", "its estimates are finite, declared, and about things of the view")
_seen("notices-worded", "its notices have their words in register.toml")


@rule("register-complete", "its public register entry says in plain words what it is")
def _register(subject: Subject) -> Broken:
    if subject.register_error:
        yield subject.register_error
        return
    register = subject.register
    if register.get("id") != subject.name:
        yield f"id is '{register.get('id', '')}', not '{subject.name}'"
    for key in PROSE:
        text = register.get(key)
        words = " ".join(map(str, text)) if isinstance(text, list) else text
        if not isinstance(words, str) or not words.strip():
            yield f"'{key}' is missing"
    if register.get("estimates_access", "open") not in tuple(Access):
        yield f"estimates_access is '{register['estimates_access']}'; it is {', '.join(Access)}, or left out"
    if not isinstance(register.get("estimates_personal", False), bool):
        yield "estimates_personal is true or false, or left out"
    yield from (f"notice '{k}' has no text" for k, v in table(register, "notices").items() if not _text(v))


def table(register: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of a register entry; empty when it is missing or no table."""
    value = register.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


@rule("has-page", "it has one page: what, why, equation, reference, known limits, bench data", exemptable=True)
def _page(subject: Subject) -> Broken:
    page = subject.folder / "README.md"
    if not page.is_file():
        yield "README.md is missing"
        return
    headings = re.findall(r"^#{1,4} +(.+)$", page.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    for word in HEADINGS:
        if not any(word in heading.lower() for heading in headings):
            yield f"README.md has no heading with the word '{word}'"


_seen("has-bench", "its bench.py says what it is worth: bench(settings, say)")


@rule("has-tests", "its folder holds its tests")
def _tests(subject: Subject) -> Broken:
    tests = (subject.folder / "tests").glob("test_*.py") if subject.folder != Path() else iter(())
    if not any(re.search(r"^(async )?def test_", t.read_text(encoding="utf-8"), re.MULTILINE) for t in tests):
        yield "there is no test in tests/test_*.py"


@rule("exemptions-hold", "each opt-out names a rule that is open to it, gives a reason, and is needed")
def _exemptions(subject: Subject) -> Broken:
    rules = {r.id: r for r in RULES}
    for name, reason in table(subject.register, "exempt").items():
        if name not in rules:
            yield f"'{name}' is no rule"
        elif not rules[name].exemptable:
            yield f"'{name}' knows no exemption"
        elif not _text(reason) or len(reason.strip()) < SHORTEST_REASON:
            yield f"'{name}' is left out without a reason"
        elif not list(rules[name].broken(subject)):
            yield f"'{name}' is kept, so the exemption must go"
