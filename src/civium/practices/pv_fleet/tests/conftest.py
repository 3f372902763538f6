"""The practice's tests need pvlib (civium[energy]); without it they are skipped, but for what must work without."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore = [] if find_spec("pvlib") else ["test_decide.py", "test_model.py", "test_bench.py", "test_turns.py"]
