"""``make faults``: round after round of a load with a fault in it, by a seed; ends with 1 if a verdict complains."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.faults.embedded import Embedded, Outcome
from tests.faults.faults import FAULTS
from tests.faults.grounds import CannotRun, Make, aged, own_clock, small_disk

_ROUNDS_OF_ONE_CITY = 5


def main() -> int:
    """Parse the command line, run the rounds, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=len(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=20_000.0, help="readings/s")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long what is blocked stays so")
    parser.add_argument("--calm", type=float, default=5.0, help="seconds of load before and after a fault")
    parser.add_argument("--only", nargs="*", choices=sorted(FAULTS), default=sorted(FAULTS))
    parser.add_argument("--keep", action="store_true", help="keep the folders of a round with complaints")
    arguments = parser.parse_args()
    chance = Random(arguments.seed)  # of the order; each round has a seed of its own
    base = Path(tempfile.mkdtemp(prefix="civium-faults-"))
    failed = skipped = 0
    order: list[str] = []
    with Cities(base, arguments.rate) as cities:
        for number in range(1, arguments.rounds + 1):
            if not order:  # every fault has its turn before one comes again
                order = chance.sample(arguments.only, len(arguments.only))
            name, seed = order.pop(), arguments.seed + number - 1
            began = time.monotonic()
            try:
                outcome = cities.of(FAULTS[name].ground).round([name], seed, arguments.seconds, arguments.calm)
            except CannotRun as why:
                skipped += 1
                print(f"{number:4} {name}: CANNOT RUN HERE: {why}", flush=True)
                continue
            print(f"{number:4} {name}: {words(outcome)} ({time.monotonic() - began:.0f} s)", flush=True)
            if outcome.complaints:
                failed += 1
                again = f"python -m tests.faults.run --rounds 1 --only {name} --seed {seed} --rate {arguments.rate:g}"
                print(f"     once more: {again} --seconds {arguments.seconds:g} --calm {arguments.calm:g}", flush=True)
                cities.abandon(FAULTS[name].ground, keep=arguments.keep)
    if not arguments.keep or not failed:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{arguments.rounds} rounds, seed {arguments.seed}: {failed} with complaints, {skipped} could not run")
    return int(failed > 0 or (skipped > 0 and bool(os.environ.get("CI"))))


class Cities:
    """One city a ground, for some rounds; then a fresh one takes its place."""

    def __init__(self, base: Path, rate: float) -> None:
        self._base, self._rate = base, rate
        self._running: dict[Make, tuple[Embedded, ExitStack]] = {}
        self._rounds: dict[Make, int] = {}
        self._made = 0

    def __enter__(self) -> "Cities":
        return self

    def __exit__(self, *_: object) -> None:
        for ground in list(self._running):
            self.abandon(ground)

    def of(self, ground: Make) -> Embedded:
        """The city on a ground; made if there is none, or when the one there has had its rounds."""
        most = 1 if ground in (aged, own_clock, small_disk) else _ROUNDS_OF_ONE_CITY
        if self._rounds.get(ground, 0) >= most:
            self.abandon(ground)
        self._rounds[ground] = self._rounds.get(ground, 0) + 1
        if ground not in self._running:
            self._made += 1
            stack = ExitStack()
            place = stack.enter_context(ground(self._base / f"{self._made}"))
            city = Embedded(place, self._rate)
            stack.callback(city.city.stop)
            self._running[ground] = city, stack
            city.found()
        return self._running[ground][0]

    def abandon(self, ground: Make, *, keep: bool = False) -> None:
        """End the city of a ground; ``keep`` leaves its files."""
        self._rounds.pop(ground, None)
        city, stack = self._running.pop(ground, (None, None))
        if city is None or stack is None:
            return
        if keep:
            print(f"     kept: {city.ground.city}", file=sys.stderr)
            city.city.stop()
            stack.pop_all()
            return
        stack.close()


def words(outcome: Outcome) -> str:
    """An outcome in a line, and its complaints in lines of their own."""
    tally = outcome.tally
    told = "" if tally is None else (
        f"{tally.accepted:,} accepted, {tally.stored:,} stored, {tally.refused:,} refused, {tally.unknown:,} unknown; "
    )  # fmt: skip
    opened = "/".join(f"{s:.1f}" for s in outcome.opened_s)
    told += (
        f"{outcome.rate:,.0f} readings/s, {outcome.decisions} decisions, open after {opened} s, "
        f"{outcome.memory_mb:.0f} MB, answers {dict(sorted(outcome.answers.items()))}"
    )
    return "\n     ".join([told, *(f"COMPLAINT: {c}" for c in outcome.complaints)])


if __name__ == "__main__":
    sys.exit(main())
