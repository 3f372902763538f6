"""The architecture is a failing test: the rooms of the house may only import what the design allows."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(sys.executable).with_name("lint-imports")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package under ``root/src`` with the contracts of ``root/pyproject.toml``."""
    return subprocess.run(
        [LINT, "--no-cache", "--no-logo"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": ""},
        capture_output=True,
        text=True,
    )


def test_every_room_imports_only_what_the_design_allows(repository: Path) -> None:
    done = lint(repository)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of the house with two small practices, to break in."""
    shutil.copy(repository / "pyproject.toml", tmp_path)
    shutil.copytree(repository / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("one", "two"):
        folder = tmp_path / "src" / "civium" / "practices" / name
        folder.mkdir()
        (folder / "__init__.py").write_text(f"import civium.practices.{name}.decide\n")
        (folder / "decide.py").write_text("import civium.core\n")
        (folder / "bench.py").write_text("import civium.bench.score\nimport civium.sandbox\n")
    return tmp_path


def test_a_practice_with_a_bench_of_its_own_is_allowed(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "imports"),
    [
        ("core/clock.py", "civium.engines"),
        ("core/clock.py", "civium.sandbox"),
        ("engines/__init__.py", "civium.sources"),
        ("engines/__init__.py", "civium.practices.one"),
        ("sources/__init__.py", "civium.twin"),
        ("acts/__init__.py", "civium.sources"),
        ("acts/__init__.py", "civium.twin"),
        ("ledger/__init__.py", "civium.acts"),
        ("publish/__init__.py", "civium.twin"),
        ("bench/score.py", "civium.ledger"),
        ("sandbox/__init__.py", "civium.engines"),
        ("web/__init__.py", "civium.check"),
        ("practices/one/decide.py", "civium.engines"),
        ("practices/one/decide.py", "civium.sandbox"),
        ("practices/one/decide.py", "civium.bench.score"),
        ("practices/one/bench.py", "civium.check"),
        ("practices/one/bench.py", "civium.engines"),
        ("practices/one/decide.py", "civium.practices.two"),
    ],
)
def test_an_import_against_the_design_fails(copy: Path, module: str, imports: str) -> None:
    path = copy / "src" / "civium" / module
    path.write_text(path.read_text() + f"\n\ndef later() -> None:\n    import {imports}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"civium.{module.split('/')[0]}" in done.stdout
