"""Benchmarks: each file registers one, a figure says what it claims, and a wrong answer fails the run."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def folder(repository: Path) -> Path:
    return repository / "benchmarks"


@pytest.fixture
def registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The registry as the runner imports it; nothing of it stays for other tests."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    import registry

    yield registry
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def test_every_benchmark_of_the_docs_is_there_and_every_one_is_in_the_docs(
    repository: Path, folder: Path, registry: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder / "practices"))
    found = registry.discover(folder)
    page = (repository / "docs" / "benchmarks.md").read_text()
    told = {line.removeprefix("## `").rstrip("`") for line in page.splitlines() if line.startswith("## `")}
    assert set(found) == told


def test_a_figure_is_judged_by_its_aim_and_stands_beside_its_floor(registry: ModuleType) -> None:
    slow = registry.Figure("reading", 3.0, "s", 1.5, "bare reading", aim=2.0)
    fast = registry.Figure("writing", 9000.0, "/s", 4500.0, "bare writing", aim=5000.0, higher=True)
    assert (slow.ratio, slow.met) == (2.0, False)
    assert (fast.ratio, fast.met) == (2.0, True)
    assert "MISSED" in registry.line(slow, smoke=False)
    assert "aim > 5,000 /s: met" in registry.line(fast, smoke=False)
    assert "not judged" in registry.line(slow, smoke=True)


def test_the_smallest_size_is_used_only_when_asked_for(registry: ModuleType, tmp_path: Path) -> None:
    assert registry.Run(tmp_path, smoke=True, say=print).size(1_000_000, 10) == 10
    assert registry.Run(tmp_path, smoke=False, say=print).size(1_000_000, 10) == 1_000_000


def test_a_read_that_does_not_give_back_what_was_written_fails_the_run(folder: Path, tmp_path: Path) -> None:
    for name in ("run.py", "registry.py"):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "liar.py").write_text(
        "from registry import benchmark, require\n\n\n@benchmark\ndef liar(run):\n    require(1 == 2, 'one is lost')\n"
    )
    (tmp_path / "honest.py").write_text(
        "from registry import Figure, benchmark\n\n\n@benchmark\ndef honest(run):\n"
        "    yield Figure('honest work', 2.0, 's', 1.0, 'bare work')\n"
    )
    command = [sys.executable, str(tmp_path / "run.py"), "--smoke"]
    whole = subprocess.run(command, capture_output=True, text=True, check=False)
    assert whole.returncode == 1
    assert "liar: FAILED: WrongAnswer: one is lost" in whole.stdout
    assert "honest work" in whole.stdout
    alone = subprocess.run([*command, "--only", "honest"], capture_output=True, text=True, check=False)
    assert alone.returncode == 0
    unknown = subprocess.run([*command, "--only", "nobody"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
