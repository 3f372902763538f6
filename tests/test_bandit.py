"""What bandit finds in the source, of medium severity or more, is justified where it stands: by ruff's rule of the same
number, and in brackets or behind a dash why it is no danger."""

import json
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def test_each_finding_of_bandit_is_justified_where_it_stands() -> None:
    command = [sys.executable, "-m", "bandit", "-q", "-r", str(SOURCE), "-ll", "-f", "json", "-x", "*/tests/*"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert told["errors"] == []
    assert told["metrics"]["_totals"]["loc"] > 10_000
    open_ = []
    for one in told["results"]:
        lines = Path(one["filename"]).read_text().splitlines()[one["line_range"][0] - 1 : one["line_range"][-1]]
        rule = one["test_id"].replace("B", "S", 1)
        if not any(re.search(rf"# noqa: {rule} (\(.+\)|- .+)", line) for line in lines):
            open_.append(f"{one['filename']}:{one['line_number']} {one['test_id']} {one['issue_text']}")
    assert open_ == []
