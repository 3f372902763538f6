"""The guard: the one place that every wish for an actuator passes. Pure but for what it remembers of who holds what.

Rules, in the order in which a command meets them:

1. The actuator exists, is of the kind that the practice acts on, and is named once in the plan.
2. The command's tier is not above the practice's own.
3. It lapses: ``until`` lies after now and at most the actuator's ``max_hold_s`` (default 3600 s) ahead.
4. Its value is one of the actuator's ``choices``, or within ``minimum`` and ``maximum``, where those are declared.
5. Another practice's unlapsed command of the same or a higher tier is not displaced; one of a lower tier is. What a
   person asked for is displaced by what a person asks for later.
6. What is under maintenance takes no command.
7. The mandate: ``advise`` (or the city-wide switch) records it only, ``approve`` waits for a person, ``act`` admits it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from civium.core import MICROSECONDS, Command, CommandRefused, DecisionEvent, Mandate, Plan, Practice, Tier
from civium.core.limits import check_value, longest_hold

OPERATOR = "operator"  # the name under which what a person asks for stands beside the practices
_NOTHING: Mapping[int, str] = {}
LETS_GO = ("lapsed", "released", "overridden")  # the events by which a command gives its actuator up


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds an actuator, and until when [us since epoch]."""

    decision: str
    command: int
    practice: str
    tier: Tier
    until: int


class Guard:
    """Judges plans by who holds what, which it learns from the ledger alone.

    So it forgets no holder in a crash, and knows those of other processes: a verdict counts when it is on the record
    and was made from all that stood there before (see ``Ledger.append``).
    """

    def __init__(self, held: Mapping[int, Held] | None = None) -> None:
        self.held: dict[int, Held] = dict(held or {})

    def judge(
        self,
        practice: Practice,
        decision: str,
        plan: Plan,
        actuators: pa.Table,
        mandate: Mandate,
        advise_only: bool,
        now: int,
        closed: Mapping[int, str] = _NOTHING,
    ) -> list[DecisionEvent]:
        """One event for each command (admitted, pending, advised or refused), and overridden ones of others.

        ``closed`` says of actuators why they take no command now.
        """
        facts = {
            row["actuator"]: msgspec.json.decode(row["facts"] or "{}")
            for row in actuators.select(["actuator", "facts"]).to_pylist()
        }
        events: list[DecisionEvent] = []
        seen: set[int] = set()
        for number, command in enumerate(plan.commands):
            try:
                self._allow(practice, command, facts, seen, now)
                _open(command, closed)
            except CommandRefused as refusal:
                events.append(DecisionEvent(decision, number, "refused", now, "guard", refusal.why))
                continue
            seen.add(command.actuator)
            if advise_only or mandate is Mandate.ADVISE:
                why = "the city is switched to advise" if advise_only else "the mandate is advise"
                events.append(DecisionEvent(decision, number, "advised", now, "guard", why))
            elif mandate is Mandate.APPROVE:
                why = "a person must approve it before it lapses"
                events.append(DecisionEvent(decision, number, "pending", now, "guard", why))
            else:
                events.extend(self.admit(practice.id, decision, number, command, now, "guard"))
        return events

    def admit(
        self, practice: str, decision: str, number: int, command: Command, now: int, who: str
    ) -> list[DecisionEvent]:
        """What to write down of a command that was allowed: it has the actuator, and whose command it displaced."""
        events = []
        before = self.held.get(command.actuator)
        if before and before.until > now and (before.practice != practice or practice == OPERATOR):
            higher = f"{practice} has the higher tier {command.tier.name.lower()}"
            why = higher if before.practice != practice else "a person asked for something else"
            events.append(DecisionEvent(before.decision, before.command, "overridden", now, "guard", why))
        return [DecisionEvent(decision, number, "admitted", now, who), *events]

    def may_admit(self, practice: str, command: Command, now: int, closed: Mapping[int, str] = _NOTHING) -> None:
        """Rules 3 (still in time), 5 and 6 again, for a command that a person approves later; raises CommandRefused."""
        if command.until <= now:
            raise CommandRefused("it has lapsed already")
        self._free(practice, command, now)
        _open(command, closed)

    def lapse(self, now: int) -> list[DecisionEvent]:
        """The commands whose time is over; their devices are at their own safe default."""
        over = [held for held in self.held.values() if held.until <= now]
        return [DecisionEvent(held.decision, held.command, "lapsed", now, "guard") for held in over]

    def release(self, practice: str, why: str, now: int) -> list[DecisionEvent]:
        """Let go of everything that a practice holds."""
        mine = [held for held in self.held.values() if held.practice == practice]
        return [DecisionEvent(held.decision, held.command, "released", now, "guard", why) for held in mine]

    def learn(self, what: str, actuator: int, about: Held) -> None:
        """Take in an event that is on the record now: what became of a command for an actuator."""
        holder = self.held.get(actuator)
        if what == "admitted":
            self.held[actuator] = about
        elif what in LETS_GO and holder and (holder.decision, holder.command) == (about.decision, about.command):
            del self.held[actuator]

    def _allow(
        self,
        practice: Practice,
        command: Command,
        facts: Mapping[int, Mapping[str, Any]],
        seen: Iterable[int],
        now: int,
    ) -> None:
        if command.actuator not in facts:
            raise CommandRefused(f"no actuator {command.actuator} of kind '{practice.acts_on}'")
        if command.actuator in seen:
            raise CommandRefused(f"the plan names actuator {command.actuator} twice")
        if command.tier > practice.tier:
            raise CommandRefused(
                f"tier {command.tier.name.lower()} is above the practice's {practice.tier.name.lower()}"
            )
        about = facts[command.actuator]
        longest = longest_hold(about)
        if command.until <= now:
            raise CommandRefused("it lapses before it begins")
        if command.until > now + int(longest * MICROSECONDS):
            raise CommandRefused(f"it would hold the actuator for more than {longest:g} s")
        check_value(command.value, about)
        self._free(practice.id, command, now)

    def _free(self, practice: str, command: Command, now: int) -> None:
        held = self.held.get(command.actuator)
        if held and held.until > now and held.practice != practice and held.tier >= command.tier:
            raise CommandRefused(f"{held.practice} holds it with tier {held.tier.name.lower()}")


def _open(command: Command, closed: Mapping[int, str]) -> None:
    if why := closed.get(command.actuator):
        raise CommandRefused(why)
