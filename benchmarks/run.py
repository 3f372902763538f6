"""Runs the platform's benchmarks and prints each figure beside its floor: ``run.py [--smoke] [--only NAME,...]``.

Exit code 1: a benchmark could not run, or a read did not give back what was written. Timings never fail a run.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from registry import Figure, Run, discover, line


def main() -> int:
    """Run what is asked for; returns the exit code."""
    here = Path(__file__).parent
    sys.path.append(str(here / "practices"))  # the practice that the turn is measured with
    benchmarks = discover(here)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="the smallest honest size of everything")
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"some of {', '.join(benchmarks)}")
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name] or list(benchmarks)
    if unknown := set(chosen) - set(benchmarks):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(benchmarks)}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; columns: figure, ratio to the floor, floor\n")
    failed = [name for name in chosen if not _measured(name, benchmarks[name], options.smoke)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measured(name: str, function: object, smoke: bool) -> bool:
    """Run one benchmark in a folder of its own; says whether it went through."""
    started = time.monotonic()

    def say(words: str) -> None:
        print(f"  {name} {time.monotonic() - started:6.1f} s  {words}", file=sys.stderr, flush=True)

    assert callable(function)
    with tempfile.TemporaryDirectory(prefix="civium-bench-") as folder:
        try:
            for figure in function(Run(Path(folder), smoke, say)):
                assert isinstance(figure, Figure)
                print(line(figure, smoke=smoke), flush=True)
        except KeyboardInterrupt:
            raise
        except Exception as error:
            print(f"{name}: FAILED: {type(error).__name__}: {error}", flush=True)
            return False
    say("done")
    return True


if __name__ == "__main__":
    sys.exit(main())
