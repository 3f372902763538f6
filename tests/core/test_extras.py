"""A missing library names the line that installs it; a broken one is not mistaken for a missing one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from civium.core.extras import ExtraMissing, require


def test_an_installed_library_is_returned() -> None:
    assert require("json", "twin") is json
    assert require("json.decoder", "twin") is json.decoder


def test_a_missing_library_names_the_install_line() -> None:
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[twin\]"') as caught:
        require("no_such_library_anywhere.part", "twin")
    assert "'no_such_library_anywhere'" in str(caught.value)


def test_a_library_that_breaks_on_import_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("import a_dependency_it_forgot\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_dependency_it_forgot"):
        require("broken_library", "twin")
    assert "broken_library" not in sys.modules


def test_sumo_does_not_take_the_map_projections_away_from_the_city_model() -> None:
    code = (
        "from civium.core.extras import require;"
        "require('libsumo', 'sandbox'); require('sumo', 'sandbox');"
        "from rasterio.crs import CRS; print(CRS.from_epsg(32633).to_epsg())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("32633"), done.stderr


def test_a_city_starts_without_the_libraries_that_it_does_not_need() -> None:
    script = """
import sys
from civium.core.extras import arrow_without_pandas
arrow_without_pandas()
import civium.serve
import pyarrow as pa
loaded = [name for name in ("pandas", "alembic") if name in sys.modules]
import pandas
series = pa.table({"a": [1, 2]}).to_pandas()["a"]
print(loaded, series.sum())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[0] == "[] 3", told.stderr
