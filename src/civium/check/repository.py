"""The checks of a checkout: layers, docs against code, and that every practice folder is found as a stranger's is."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points as installed
from pathlib import Path
from typing import Any, get_args

import msgspec
import typer.main

import civium
from civium.check.rules import RULES
from civium.core import nouns, practice, view
from civium.core.properties import PROPERTIES
from civium.engines.settings import Settings
from civium.practices.discovery import entry_points
from civium.sources.feeds.source import load_kinds


def root() -> Path | None:
    """The checkout that the package runs from, or None when it is installed without its sources."""
    folder = Path(civium.__file__).resolve().parents[2]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "docs").is_dir() else None


def layers_broken(folder: Path) -> Iterator[str]:
    """What import-linter finds against the rooms of the design."""
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        yield "import-linter is not installed: run make setup"
        return
    done = subprocess.run(  # noqa: S603 (a tool of this environment)
        [str(lint), "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        yield done.stdout.partition("Broken contracts")[2].strip(" -\n") or done.stdout + done.stderr


def practices_unfound(folder: Path) -> Iterator[str]:
    """Practice folders without an entry point: the package was installed before they were made."""
    known = {entry.name for entry in entry_points()}
    for register in sorted((folder / "src" / "civium" / "practices").glob("*/register.toml")):
        if register.parent.name not in known:
            yield f"practices/{register.parent.name} has no entry point yet: run make setup"


def glossary_gaps(folder: Path) -> Iterator[str]:
    """Nouns, and properties with their unit and meaning, that docs/glossary.md lacks or tells differently."""
    page = _page(folder, "glossary.md")
    rows = {name: (unit, meaning) for name, unit, meaning in _rows(page, 3)}
    for name, told in PROPERTIES.items():
        if rows.get(f"`{name}`") != (f"`{told[0]}`", told[1]):
            yield f"docs/glossary.md: the row of `{name}` is not | `{name}` | `{told[0]}` | {told[1]} |"
    names = {name for name, _ in _rows(page, 2)}
    yield from (f"docs/glossary.md: the noun {noun} is missing" for noun in _nouns() if noun not in names)


def settings_gaps(folder: Path) -> Iterator[str]:
    """Settings whose row in docs/settings.md is missing, tells another default, or speaks of none."""
    told = {row[0]: row[1] for row in _rows(_page(folder, "settings.md"), 3)}
    defaults = {f"`{key}`": f"`{value}`" for key, value in _settings()}
    for key, value in defaults.items():
        if told.get(key) != value:
            yield f"docs/settings.md: {key} has the default {value}; the page says {told.get(key, 'nothing')}"
    yield from (f"docs/settings.md: {key} is no setting" for key in told if key not in defaults and key.startswith("`"))


def sources_gaps(folder: Path) -> Iterator[str]:
    """Kinds of sources without a heading in docs/sources.md, and settings that it lacks, or tells with another
    default."""
    page = _page(folder, "sources.md")
    told = {(row[0], row[1]) for row in _rows(page, 3) if row[0].startswith("`")}
    known: set[tuple[str, str]] = set()
    for kind, source in load_kinds().found.items():
        if not source.settings.__module__.startswith("civium."):
            continue
        if f"`{kind}`" not in re.findall(r"^### .*?(`\w+`)", page, re.MULTILINE):
            yield f"docs/sources.md: the kind `{kind}` has no heading"
        known |= {(f"`{name}`", f"`{default}`") for name, default in _told_to(source.settings)}
    for what, rows in (("is missing", known - told), ("is no setting", told - known)):
        yield from (f"docs/sources.md: {name} with the default {value} {what}" for name, value in sorted(rows))


def _told_to(settings: type[msgspec.Struct]) -> Iterator[tuple[str, Any]]:
    """Settings of a kind with their defaults, those of its fields, thing and codecs included."""
    for field in msgspec.structs.fields(settings):
        inner = [one for one in get_args(field.type) or [field.type] if isinstance(one, type)]
        for struct in inner:
            if issubclass(struct, msgspec.Struct):
                yield from ((f"{field.name}.{name}", default) for name, default in _told_to(struct))
        if not any(issubclass(struct, msgspec.Struct) for struct in inner):
            default = field.default_factory() if callable(field.default_factory) else field.default
            yield field.name, "" if default in (msgspec.NODEFAULT, None) else default


def commands_undocumented(folder: Path) -> Iterator[str]:
    """Commands and options of ``civium`` that docs/cli.md does not speak of, and headings of commands that are not."""
    page = _page(folder, "cli.md")
    sections = dict(re.findall(r"^## `civium ([a-z ]+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    commands = dict(_commands())
    yield from (f"docs/cli.md: `civium {name}` is no command" for name in sections if name not in commands)
    for name, options in commands.items():
        if name not in sections:
            yield f"docs/cli.md: `civium {name}` has no heading"
        else:
            yield from (f"docs/cli.md: `civium {name}` lacks {o}" for o in options if f"`{o}" not in sections[name])


def rules_undocumented(folder: Path) -> Iterator[str]:
    """Rules of practices that docs/new-practice.md lacks or tells differently."""
    told = {row[0]: row[1] for row in _rows(_page(folder, "new-practice.md"), 2)}
    for rule in RULES:
        if told.get(f"`{rule.id}`", "").removesuffix(" (may be left out with a reason)") != rule.sentence:
            yield f"docs/new-practice.md: the row of `{rule.id}` is not | `{rule.id}` | {rule.sentence} |"


CHECKS: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "layers": ("the rooms import only what the design allows", layers_broken),
    "practices-found": ("every practice folder is found by its entry point", practices_unfound),
    "glossary": ("every noun and property stands in the glossary with its unit", glossary_gaps),
    "settings": ("every setting is documented with its default", settings_gaps),
    "sources": ("every kind of source and its settings are documented", sources_gaps),
    "rules": ("every rule of practices is documented", rules_undocumented),
    "commands": ("every command and option is documented", commands_undocumented),
}


def _page(folder: Path, name: str) -> str:
    path = folder / "docs" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _rows(page: str, cells: int) -> Iterator[list[str]]:
    """Rows of the page's tables that have so many cells."""
    for line in page.splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and len(row) == cells and not set(line) <= set("|-: "):
            yield row


def _nouns() -> Iterator[str]:
    """The classes of core that are nouns, as words: ``DecisionEvent`` is a decision event."""
    for module in (nouns, practice, view):
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield re.sub(r"(?<=[a-z])([A-Z])", lambda capital: f" {capital[0].lower()}", name)


def _settings(struct: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _settings(field.type, f"{prefix}{field.name}.")
        elif field.default is not msgspec.NODEFAULT:  # what sources are told is on a page of its own
            yield prefix + field.name, field.default


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Commands of the ``civium`` script with their long options, found as a shell finds it."""
    (script,) = installed(group="console_scripts", name="civium")
    yield from _subcommands(typer.main.get_command(import_module(script.module).app), "")


def _subcommands(group: Any, before: str) -> Iterator[tuple[str, list[str]]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _subcommands(command, f"{before}{name} ")
        else:
            options = [o for p in command.params for o in p.opts if o.startswith("--") and o != "--help"]
            yield before + name, options
