"""The documentation speaks of what there is: commands, settings, names, practices, links."""

import re
from pathlib import Path

import pytest

from civium.check import repository as checks


@pytest.mark.parametrize("name", sorted(set(checks.CHECKS) - {"layers"}))
def test_the_pages_say_what_the_code_says(repository: Path, name: str) -> None:
    _, broken = checks.CHECKS[name]
    assert list(broken(repository)) == []


@pytest.mark.parametrize(
    ("page", "old", "new", "check", "told"),
    [
        ("glossary.md", "| `K` |", "| `degC` |", "glossary", "the row of `air_temperature`"),
        ("glossary.md", "| Tier |", "| Rank |", "glossary", "the noun Tier is missing"),
        (
            "settings.md",
            "`127.0.0.1:8765`",
            "`0.0.0.0:80`",
            "settings",
            "`doors.http` has the default `127.0.0.1:8765`",
        ),
        ("settings.md", "| `doors.http` |", "| `doors.https` |", "settings", "`doors.https` is no setting"),
        ("sources.md", "| `every_s` | `900.0` |", "| `every_s` | `90.0` |", "sources", "`900.0` is missing"),
        ("new-practice.md", "takes the time from view.now", "asks the clock", "rules", "the row of `reads-no-clock`"),
        ("cli.md", "## `civium why`", "## `civium whence`", "commands", "`civium why` has no heading"),
        ("cli.md", "`--speed`", "`--pace`", "commands", "`civium demo` lacks --speed"),
    ],
)
def test_a_page_that_tells_otherwise_is_found(
    repository: Path, tmp_path: Path, page: str, old: str, new: str, check: str, told: str
) -> None:
    text = (repository / "docs" / page).read_text()
    assert old in text
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / page).write_text(text.replace(old, new))
    assert any(told in why for why in checks.CHECKS[check][1](tmp_path))


def test_every_relative_link_leads_somewhere(repository: Path) -> None:
    pages = [*repository.glob("*.md"), *(repository / "docs").rglob("*.md")]
    pages += (repository / "src" / "civium" / "practices").glob("*/README.md")
    dead = [
        f"{page.relative_to(repository)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert dead == []
