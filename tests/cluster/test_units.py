"""The guide's systemd units are ones that systemd takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "cluster"


@pytest.mark.parametrize(("unit", "named"), [("civium@.service", "civium@door.service"), ("nats.service",) * 2])
def test_systemd_takes_the_units_of_the_guide(unit: str, named: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    text = (GUIDE / unit).read_text()
    # Neither the programs nor their users are on this machine.
    (tmp_path / named).write_text(re.sub(r"=/srv/\S+", "=/bin/true", text).replace("ReadWritePaths=/bin/true\n", ""))
    told = subprocess.run([analyze, "verify", str(tmp_path / named)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
