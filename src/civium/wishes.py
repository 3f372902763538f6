"""What a person wants of an actuator: a wish that passes the guard as a practice's does, and stands on the record.

A wish is a decision of the practice ``operator``: nobody's code made it, so it is explained where others are replayed.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pyarrow as pa
from sqlalchemy import select

from civium.acts.guard import OPERATOR
from civium.core import Command, DecisionEvent, InputRefused, Mandate, Plan, Practice, Tier, View, digest
from civium.core.wire import encode_plan
from civium.engines.catalog.tables import ACTUATORS
from civium.ledger.projection import COMMANDS
from civium.ledger.record import Entry, events_entry

if TYPE_CHECKING:
    from civium.city import City


def _nothing(_view: View, _state: Any, _params: Any) -> tuple[Plan, Any]:
    return Plan(), {}


# To the guard a person is a practice that may go as far as any, on any kind of actuator.
_PERSON = Practice(id=OPERATOR, title="a person of the city", needs=(), decide=_nothing, every=1.0, tier=Tier.LIFE)
_OVER = {"lapsed", "released", "overridden", "refused", "advised", "failed"}


class Wishes:
    """Puts what people ask for on the record, with the guard's verdict."""

    def __init__(self, city: "City") -> None:
        self._city = city

    async def ask(
        self,
        command: Command,
        who: str,
        *,
        key: str = "",
        content: bytes = b"",
        parameters: Mapping[str, Any] | None = None,
    ) -> int:
        """Put a wish on the record; returns the id of its task, whose status says what the guard made of it.

        ``parameters`` say it by the names that its capability has for them.

        A repeat under the idempotency ``key`` gives the first one's id. Raises InputRefused (409) for other ``content``
        under a used key.
        """
        city = self._city
        now = city.clock.now()
        name = blake2b(key.encode(), digest_size=12).hexdigest() if key else uuid4().hex[:24]
        decision, asked = f"{OPERATOR}.{name}", digest.of_bytes(content)
        plan = Plan((command,))
        known = await asyncio.to_thread(city.catalog.last, ACTUATORS.name, [command.actuator])
        facts = [(row["id"], row["facts"]) for row in known.values() if not row["gone"] and row["thing"] is not None]
        actuators = pa.table({"actuator": [one for one, _ in facts], "facts": [one for _, one in facts]})
        cut = {"CAT": city.catalog.applied()}
        settings = await asyncio.to_thread(city.catalog.settings, cut["CAT"])
        encoded = encode_plan(plan)
        closed = await asyncio.to_thread(city.watch.closed, [command.actuator], now)

        def entry() -> Entry | None:
            if city.ledger.projection.sequence(decision) is not None:
                return None
            guard = city.turns.guard
            events = guard.judge(_PERSON, decision, plan, actuators, Mandate.ACT, settings.advise_only, now, closed)
            return {
                "type": "wish", "id": decision, "practice": OPERATOR, "who": who, "tick": now, "cut": cut,
                "mandate": str(Mandate.ACT), "advise_only": settings.advise_only, "asked": asked,
                "digests": {"plan": digest.of_bytes(encoded)}, "plan": msgspec.json.decode(encoded),
                "events": [asdict(event) for event in events],
                **({} if parameters is None else {"parameters": dict(parameters)}),
            }  # fmt: skip

        await city.ledger.append(entry)
        record = city.ledger.projection
        sequence, task = record.sequence(decision), record.task(decision, 0)
        assert sequence is not None
        assert task is not None
        if (await city.ledger.entry(sequence))["asked"] != asked:
            raise InputRefused(f"another task was made under the key '{key}'", status=409)
        return task

    async def release(self, task: int, who: str, why: str) -> None:
        """Let go of the actuator that a task holds; its device falls back when the task would have lapsed.

        Raises InputRefused: 404 when there is no such task, 409 when it is over.
        """
        city = self._city
        record, now = city.ledger.projection, city.clock.now()
        rows = await asyncio.to_thread(record.rows, select(COMMANDS).where(COMMANDS.c.id == task))
        if not rows:
            raise InputRefused(f"there is no Task {task}", status=404)
        decision, number, actuator = rows[0]["decision"], rows[0]["number"], rows[0]["actuator"]

        def entry() -> Entry | None:
            status = record.status(decision, number)
            if status == "pending":
                return events_entry([DecisionEvent(decision, number, "refused", now, who, why)], now)
            held = city.turns.guard.held.get(actuator)
            if held is None or (held.decision, held.command) != (decision, number):
                told = status if status in _OVER else "replaced by a later one"
                raise InputRefused(f"Task {task} holds nothing any more: it is {told}", status=409)
            return events_entry([DecisionEvent(decision, number, "released", now, who, why)], now)

        await city.ledger.append(entry)
