"""Finds the practices that are installed, ours and a stranger's alike, by the entry point group ``civium.practices``.

An entry point names the practice and points to its ``PRACTICE``. One that cannot be loaded is reported beside the
others and never stops them.
"""

import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from importlib.resources import files
from typing import Any

from civium.core.practice import Practice

GROUP = "civium.practices"


@dataclass(frozen=True, slots=True)
class Practices:
    """What was found: practices by id, and by entry point name why the broken ones are."""

    found: dict[str, Practice] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def entry_points() -> tuple[metadata.EntryPoint, ...]:
    """The entry points of all installed practices, by name, without importing any of them."""
    return tuple(sorted(metadata.entry_points(group=GROUP), key=lambda e: (e.name, e.value)))


def load_practices(entries: Iterable[metadata.EntryPoint] | None = None) -> Practices:
    """Import every installed practice (or only ``entries``).

    Broken is one that raises on import, is no ``Practice``, has a register entry that is no TOML, bears another id than
    its entry point, or takes a name that another distribution has taken already: then both are refused, since choosing
    one would be a guess.
    """
    practices = Practices()
    seen: dict[str, str] = {}
    for entry in entry_points() if entries is None else entries:
        if seen.setdefault(entry.name, entry.value) != entry.value:
            practices.found.pop(entry.name, None)
            practices.broken[entry.name] = f"two packages offer it: {seen[entry.name]} and {entry.value}"
            continue
        if entry.name in practices.found or entry.name in practices.broken:
            continue
        try:
            practice = _load(entry)
        except (Exception, SystemExit) as error:
            practices.broken[entry.name] = f"{type(error).__name__}: {error}"
        else:
            practices.found[practice.id] = practice
    return practices


def _load(entry: metadata.EntryPoint) -> Practice:
    practice = entry.load()
    if not isinstance(practice, Practice):
        raise TypeError(f"{entry.value} is a {type(practice).__name__}, not a civium.core.Practice")
    if practice.id != entry.name:
        raise ValueError(f"its id is '{practice.id}' but its entry point is named '{entry.name}'")
    register_of(practice)
    return practice


def package_of(practice: Practice) -> str:
    """The package that a practice is in: the one that holds the module of its ``decide``."""
    spec = sys.modules[practice.decide.__module__].__spec__
    return spec.parent or spec.name if spec else practice.decide.__module__


def register_of(practice: Practice) -> dict[str, Any]:
    """Its entry in the public register; empty where it has none. Raises ValueError when that is no TOML."""
    try:
        return tomllib.loads((files(package_of(practice)) / "register.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, TypeError):  # TypeError: a single module is no package and holds no files
        return {}
