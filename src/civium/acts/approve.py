"""A person's word on a command that waits for one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from civium.acts.guard import Guard
from civium.core import CommandRefused, DecisionEvent, InputRefused
from civium.core.practice import Command
from civium.ledger.record import Entry, Ledger, events_entry


async def approve(
    ledger: Ledger,
    guard: Guard,
    decision: str,
    number: int,
    *,
    who: str,
    why: str,
    refuse: bool,
    now: int,
    closed: Callable[[Sequence[int], int], Mapping[int, str]],
) -> None:
    """Approve (or refuse) the pending command ``number`` of a decision at ``now`` [us since epoch]; ``closed`` says of
    actuators why they take no command then.

    Raises InputRefused when there is no such command (404), and when it is not pending any more or the guard does not
    admit it any more (409).
    """
    record = ledger.projection
    sequence = await asyncio.to_thread(record.sequence, decision)
    if sequence is None or record.status(decision, number) is None:
        raise InputRefused(f"no command {number} of decision '{decision}'", status=404)
    turn = await ledger.entry(sequence)
    command = msgspec.convert(turn["plan"]["commands"][number], Command)
    shut = await asyncio.to_thread(closed, [command.actuator], now)

    def entry() -> Entry | None:
        if (status := record.status(decision, number)) != "pending":
            raise InputRefused(f"the command is {status}, not pending", status=409)
        if refuse:
            return events_entry([DecisionEvent(decision, number, "refused", now, who, why)], now)
        try:
            guard.may_admit(turn["practice"], command, now, shut)
        except CommandRefused as refusal:
            raise InputRefused(refusal.why, status=409) from None
        approved = DecisionEvent(decision, number, "approved", now, who, why)
        return events_entry([approved, *guard.admit(turn["practice"], decision, number, command, now, who)], now)

    await ledger.append(entry)
