"""``civium new practice NAME`` and ``civium new source NAME``: what works and passes its checks as it is written, to be
edited."""

import keyword
import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from string import Template

from civium.core import CiviumError
from civium.practices.discovery import entry_points
from civium.sources.feeds.source import entry_points as kinds

TEMPLATE = Path(__file__).with_name("template")
SOURCE_TEMPLATE = Path(__file__).with_name("template_source")
LONGEST = 40  # characters


class NameRefused(CiviumError):
    """This practice or source cannot be made. Whoever asked for it must choose another name or place."""


def new_practice(name: str, folder: Path) -> list[Path]:
    """Write the files of a new practice and return their paths.

    In a checkout of Civium it becomes ``src/civium/practices/NAME``; anywhere else a package of its own with the entry
    point, in ``folder/NAME`` (dashes for underscores). Raises NameRefused with the reason.
    """
    _judge(name)
    if name in {entry.name for entry in entry_points()}:
        raise NameRefused(f"a practice called '{name}' is installed already")
    checkout = _checkout(folder)
    if checkout:
        base, module = checkout / "src" / "civium" / "practices", f"civium.practices.{name}"
        target, root = base / name, base / name
    else:
        _judge_package(name)
        root = folder / name.replace("_", "-")
        target, module = root / "src" / name, name
    if root.exists():
        raise NameRefused(f"{root} exists already")
    words = _words(name, module)
    written = []
    for source in sorted(TEMPLATE.rglob("*.txt")):
        part = source.relative_to(TEMPLATE).with_suffix("")
        if part.name == "pyproject.toml" and checkout:
            continue
        path = (root if part.name == "pyproject.toml" else target) / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(source.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
        written.append(path)
    return written


def new_source(name: str, folder: Path) -> list[Path]:
    """Write the file of a new kind of source and its test, and return their paths.

    In a checkout of Civium they become ``src/civium/sources/connectors/NAME.py`` and
    ``tests/sources/connectors/test_NAME.py``; anywhere else a package of its own with the entry point, in
    ``folder/NAME``. Raises NameRefused with the reason.
    """
    _judge(name)
    if name in {entry.name for entry in kinds()}:
        raise NameRefused(f"a kind of source called '{name}' is installed already")
    checkout = _checkout(folder)
    if checkout:
        module = f"civium.sources.connectors.{name}"
        places = {
            "source.py": checkout / "src" / "civium" / "sources" / "connectors" / f"{name}.py",
            "test.py": checkout / "tests" / "sources" / "connectors" / f"test_{name}.py",
        }
    else:
        _judge_package(name)
        root, module = folder / name.replace("_", "-"), name
        places = {
            "pyproject.toml": root / "pyproject.toml",
            "source.py": root / "src" / name / "__init__.py",
            "test.py": root / "tests" / f"test_{name}.py",
        }
    if there := [path for path in places.values() if path.exists()]:
        raise NameRefused(f"{there[0]} exists already")
    words = _words(name, module)
    for template, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (SOURCE_TEMPLATE / f"{template}.txt").read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
    return list(places.values())


def _judge(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise NameRefused(f"'{name}' is not lower-case words joined by underscores, such as 'street_lighting'")
    if len(name) > LONGEST:
        raise NameRefused(f"'{name}' is longer than {LONGEST} characters")
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name in ("civium", "discovery", "test", "tests"):
        raise NameRefused(f"'{name}' has a meaning of its own in Python or in Civium")


def _judge_package(name: str) -> None:
    if find_spec(name):
        raise NameRefused(f"'{name}' is the name of a package that is installed here")


def _words(name: str, module: str) -> dict[str, str]:
    """What stands in a template for what."""
    project, title = name.replace("_", "-"), name.replace("_", " ").capitalize()
    return {"name": name, "module": module, "project": project, "title": title}


def _checkout(folder: Path) -> Path | None:
    """The checkout of Civium that ``folder`` lies in."""
    for place in (folder.resolve(), *folder.resolve().parents):
        project = place / "pyproject.toml"
        if project.is_file() and (place / "src" / "civium" / "practices").is_dir():
            name = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
            return place if name == "civium" else None
    return None
