"""Replay: recompute decisions from what was recorded, in another process, and prove them identical or say why not.

Verdicts: ``identical``; ``different`` (the digests that differ are named); ``not replayable`` (explained: the code or
the installed packages changed, or raw data or states have passed their retention); ``explained`` (a person's wish,
which no code made). There is no false yes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from civium.core import InputRefused, Plan, View, digest
from civium.core.wire import encode_plan
from civium.ledger.record import GENESIS, LedgerBroken, check_link

_COMPARED = ("view", "state_in", "state_out", "params", "plan")


class Recomputed(Protocol):
    """What a recomputation gives: the digests."""

    @property
    def digests(self) -> dict[str, str]: ...


class Evidence(Protocol):
    """Where the raw data of a decision come from."""

    def view(self, decision: str) -> View: ...

    def state(self, decision: str) -> bytes | None: ...


Recompute = Callable[[str, View, bytes | None, bytes], Recomputed]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replay says of one decision."""

    decision: str
    outcome: str  # identical, different, not replayable or explained
    why: str = ""


def check_chain(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of the ledger from its first line on; raises LedgerBroken where the chain does not hold."""
    previous = GENESIS
    expected = 1
    for sequence, raw in lines:
        if sequence != expected:
            raise LedgerBroken(f"ledger entry {expected} is missing")
        previous = check_link(sequence, raw, previous)
        expected += 1
        yield sequence, msgspec.json.decode(raw)


def replay(entry: dict[str, Any], evidence: Evidence, recompute: Recompute, code: Callable[[str], str]) -> Verdict:
    """Recompute one ``turn`` or ``wish`` entry; ``code`` tells the digest that a practice's code has now."""
    decision, told = entry["id"], entry["digests"]
    written = digest.of_bytes(encode_plan(msgspec.convert(entry["plan"], Plan)))
    if written != told["plan"]:
        return Verdict(decision, "different", "the plan on the record is not the one that its digest was made from")
    if entry["type"] == "wish":
        why = f"{entry['who']} asked for it: no code made it, and the record holds it as it was asked"
        return Verdict(decision, "explained", why)
    try:
        view, state = evidence.view(decision), evidence.state(decision)
    except InputRefused as error:
        return Verdict(decision, "not replayable", str(error))
    try:
        again = recompute(entry["practice"], view, state, msgspec.json.encode(entry["params"])).digests
    except LookupError as error:
        return Verdict(decision, "not replayable", str(error))
    except Exception as error:
        raised = f"it raised {type(error).__name__}: {error}"
        if code(entry["practice"]) != told["code"]:
            return Verdict(decision, "not replayable", f"the code changed since, and {raised}")
        return Verdict(decision, "different", raised)
    other = [name for name in _COMPARED if again[name] != told[name]]
    if not other:
        return Verdict(decision, "identical")
    changed = [
        what for name, what in (("code", "the code"), ("lock", "an installed package")) if again[name] != told[name]
    ]
    if changed:
        return Verdict(
            decision, "not replayable", f"{' and '.join(changed)} changed since, and {', '.join(other)} differ"
        )
    return Verdict(decision, "different", f"{', '.join(other)} differ")
