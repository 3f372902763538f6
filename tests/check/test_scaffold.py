"""A practice made by ``civium new practice`` passes every check as it is, in a checkout and as its own package."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from civium.bench.score import Settings
from civium.check.report import run_checks
from civium.check.scaffold import NameRefused, new_practice


def run(*command: str | Path, path: Path, cwd: Path) -> str:
    """Run a tool of this environment with ``path`` first on the import path; its output, and it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_package_of_its_own_is_found_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = new_practice("warm_corner", tmp_path)
    project = tmp_path / "warm-corner"
    assert project / "pyproject.toml" in written
    site = tmp_path / "site"
    install = [
        "pip",
        "install",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        project,
    ]
    run(*install, path=tmp_path, cwd=tmp_path)
    monkeypatch.syspath_prepend(site)
    broken = {r.rule: r.why for r in run_checks(["warm_corner"]) if r.status != "kept"}
    assert broken == {}
    bench = importlib.import_module("warm_corner.bench").bench
    scores = list(bench(Settings(data=None, seeds=(), smoke=True), lambda text: None))
    assert [score.holds for score in scores] == [True]
    assert scores[0].ours > scores[0].baseline
    told = run(
        "pytest",
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        site / "warm_corner",
        path=site,
        cwd=project,
    )
    assert "3 passed" in told


def test_in_a_checkout_it_becomes_a_folder_that_passes(repository: Path, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(repository / name, tmp_path)
    shutil.copytree(repository / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "src" / "civium" / "practices" / "warm_corner"
    written = new_practice("warm_corner", tmp_path / "src")
    assert {path.relative_to(folder).as_posix() for path in written} == {
        "README.md", "__init__.py", "bench.py", "decide.py", "register.toml", "tests/test_decide.py",
    }  # fmt: skip
    script = tmp_path / "look.py"
    script.write_text(
        "import json\nfrom importlib.metadata import EntryPoint\nfrom civium.check.report import check_practice\n"
        "entry = EntryPoint('warm_corner', 'civium.practices.warm_corner:PRACTICE', 'civium.practices')\n"
        "print(json.dumps({r.rule: r.why for r in check_practice(entry) if r.status != 'kept'}))\n"
    )
    assert json.loads(run("look", path=tmp_path / "src", cwd=tmp_path)) == {}
    run("ruff", "check", "--no-cache", folder, path=tmp_path / "src", cwd=tmp_path)
    run("ruff", "format", "--no-cache", "--check", folder, path=tmp_path / "src", cwd=tmp_path)
    run("mypy", "--cache-dir", tmp_path / "mypy", folder, path=tmp_path / "src", cwd=tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Street-Lighting", "not lower-case words joined by underscores"),
        ("", "not lower-case words"),
        ("../evil", "not lower-case words"),
        ("class", "a meaning of its own"),
        ("json", "a meaning of its own"),
        ("discovery", "a meaning of its own"),
        ("numpy", "a package that is installed here"),
        ("a" * 41, "longer than 40"),
    ],
)
def test_a_bad_name_is_refused_with_the_reason_and_nothing_is_written(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why):
        new_practice(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_written_over(tmp_path: Path) -> None:
    new_practice("cold_corner", tmp_path)
    with pytest.raises(NameRefused, match="exists already"):
        new_practice("cold_corner", tmp_path)
