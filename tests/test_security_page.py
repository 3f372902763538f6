"""The page on security speaks of every requirement of ASVS 5.0, levels 1 and 2, once, and of tests that there are."""

import json
import re
from collections.abc import Callable
from pathlib import Path


def rows(repository: Path) -> list[list[str]]:
    page = (repository / "docs" / "security.md").read_text().partition("## OWASP ASVS 5.0")[2]
    lines = [line for line in page.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_requirement_is_answered_once(repository: Path, shared_data: Callable[[str], Path]) -> None:
    told = json.loads((shared_data("civic/asvs") / "asvs_5.0.0_en.flat.json").read_text())["requirements"]
    wanted = [one["req_id"].removeprefix("V") for one in told if str(one["L"]) in ("1", "2")]
    assert [name for row in rows(repository) for name in row[0].split(", ")] == wanted


def test_every_answer_is_one_and_names_what_there_is(repository: Path) -> None:
    for name, state, why in rows(repository):
        assert state in ("met", "open", "none"), name
        assert why, name
        for path in re.findall(r"`(tests/[a-z_/]+\.py)`", why):
            assert (repository / path).is_file(), f"{name}: {path}"
