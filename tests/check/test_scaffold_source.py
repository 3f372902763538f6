"""A kind of source made by ``civium new source`` passes its tests as it is, in a checkout and as its own package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from civium.check.scaffold import NameRefused, new_source
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import load_kinds, read_settings


def run_tests(test: Path, *path: Path) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*map(str, path), *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(test)]
    done = subprocess.run(command, cwd=test.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_package_of_its_own_is_found_and_a_city_can_declare_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_source("tide_gauges", tmp_path)
    project, site = tmp_path / "tide-gauges", tmp_path / "site"
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(project)], check=True)
    assert "7 passed" in run_tests(project / "tests" / "test_tide_gauges.py", site)
    monkeypatch.syspath_prepend(site)
    kinds = load_kinds()
    source, settings = read_settings("gauges", {"kind": "tide_gauges", "url": "https://example.org/"}, kinds)
    assert (source.id, settings.url) == ("tide_gauges", "https://example.org/")
    with pytest.raises(SettingsWrong, match="section"):
        read_settings("gauges", {"kind": "tide_gauges", "url": "https://example.org/", "section": 3}, kinds)


def test_in_a_checkout_it_becomes_one_file_and_its_test(tmp_path: Path) -> None:
    (tmp_path / "src" / "civium" / "practices").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "civium"\n')
    written = [path.relative_to(tmp_path).as_posix() for path in new_source("tide_gauges", tmp_path / "src")]
    assert written == [
        "src/civium/sources/connectors/tide_gauges.py", "tests/sources/connectors/test_tide_gauges.py",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["json", "Tide", "tide-gauge", "msgspec", "class"])
def test_a_name_that_is_taken_or_means_something_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NameRefused):
        new_source(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
