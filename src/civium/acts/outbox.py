"""The outbox: carries out what the ledger says was admitted, in order, and writes back what became of it.

It follows the log stream LEDGER from a position that the log keeps. After a crash it may offer a task again: tasks are
idempotent by id, and estimates are looked up in the store before they are written a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from civium.acts.task import Sender, Task
from civium.core import Clock, DecisionEvent
from civium.core.practice import Estimate
from civium.core.tasks import end
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import ACTUATORS
from civium.engines.log import Log, LogUnavailable
from civium.engines.passing import TROUBLE
from civium.ledger.projection import decides
from civium.ledger.record import Ledger, events_entry

# What was admitted: the event, the command, and the decision that it is of.
_Sent = tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]
WriteEstimates = Callable[[str, str, list[Estimate], bool], Awaitable[None]]
_RETRY_S = 0.5
_MARK = "outbox"


class Outbox:
    """Sends admitted commands through the sender of their protocol, and estimates back through the accept path."""

    def __init__(
        self,
        log: Log,
        ledger: Ledger,
        catalog: Catalog,
        clock: Clock,
        senders: Mapping[str, Sender],
        write_estimates: WriteEstimates,
    ) -> None:
        self._log, self._ledger, self._catalog, self._clock = log, ledger, catalog, clock
        self._senders, self._write_estimates = senders, write_estimates
        self.position = 0
        self._again_until = 0  # entries up to here may have been carried out before a crash
        self.trouble = ""  # what keeps it from carrying out the next entry
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the outbox was left, here or in another process."""
        self.position = max(await self._log.mark(_MARK), self._ledger.projection.position("OUTBOX"))
        self._again_until = await self._log.refresh("LEDGER")
        self._task = asyncio.create_task(self._run())

    async def reach(self, sequence: int) -> None:
        """Wait until everything up to a ledger entry is carried out."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position >= sequence)

    async def stop(self) -> None:
        await end(self._task)
        for sender in self._senders.values():
            await sender.close()

    async def _run(self) -> None:
        tail = self._log.tail("LEDGER", self.position)
        while True:
            for message in await tail.fetch(100, 5.0):
                entry = msgspec.json.decode(message.data)
                while True:
                    try:
                        await self._carry_out(entry, message.sequence <= self._again_until)
                        break
                    except TROUBLE as error:
                        self.trouble = f"ledger entry {message.sequence} is not carried out yet: {error}"
                        await asyncio.sleep(_RETRY_S)
                self.trouble = ""
                if decides(entry) or any(e["what"] == "admitted" for e in entry.get("events", ())):
                    await self._keep_mark(message.sequence)
                async with self._moved:
                    self.position = message.sequence
                    self._moved.notify_all()

    async def _keep_mark(self, sequence: int) -> None:
        while True:
            try:
                return await self._log.keep_mark(_MARK, sequence)
            except LogUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def _carry_out(self, entry: Mapping[str, Any], again: bool) -> None:
        now = self._clock.now()
        admitted = [e for e in entry.get("events", ()) if e["what"] == "admitted"]
        if admitted:
            plans = {entry["id"]: entry} if decides(entry) else await self._turns(admitted)
            of = [(e, plans[e["decision"]]) for e in admitted]
            commands = [(e, one["plan"]["commands"][e["command"]], one) for e, one in of]
            await self._send(commands, now)
        if decides(entry) and entry["plan"]["estimates"]:
            estimates = [msgspec.convert(e, Estimate) for e in entry["plan"]["estimates"]]
            await self._write_estimates(entry["practice"], entry["id"], estimates, again)

    async def _send(self, commands: Sequence[_Sent], now: int) -> None:
        await self._ledger.catch_up()
        numbers = await asyncio.to_thread(self._ledger.projection.tasks, {e["decision"] for e, _, _ in commands})
        about = await asyncio.to_thread(self._catalog.last, ACTUATORS.name, [c["actuator"] for _, c, _ in commands])
        events: list[DecisionEvent] = []
        for protocol, sender in self._senders.items():
            of = [one for one in commands if about[one[1]["actuator"]]["protocol"] == protocol]
            due = [one for one in of if one[1]["until"] > now]
            away = {n for n, row in about.items() if row["gone"] or row["thing"] is None}
            mine = [one for one in due if one[1]["actuator"] not in away]
            events += [
                DecisionEvent(e["decision"], e["command"], "failed", now, protocol, "the actuator was taken away")
                for e, c, _ in due
                if c["actuator"] in away
            ]
            tasks = [
                Task(
                    id=f"{e['decision']}/{e['command']}",
                    number=numbers[e["decision"], e["command"]],
                    created=decision["tick"],
                    decision=e["decision"],
                    actuator=c["actuator"],
                    address=about[c["actuator"]]["address"],
                    value=c["value"],
                    until=c["until"],
                    parameters=decision.get("parameters"),
                )
                for e, c, decision in mine
            ]
            for (e, _, _), why in zip(mine, await sender.send(tasks) if tasks else [], strict=True):
                what = "sent" if why is None else "failed"
                events.append(DecisionEvent(e["decision"], e["command"], what, now, protocol, why or ""))

        def entry() -> dict[str, Any] | None:
            # Told once: an earlier try may have come on the record although we did not hear of it.
            told = self._ledger.projection.carried_out(e.decision for e in events)
            return events_entry((e for e in events if (e.decision, e.command) not in told), now)

        await self._ledger.append(entry)

    async def _turns(self, events: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Ledger entries of the decisions that these events speak of."""
        await self._ledger.catch_up()
        found: dict[str, Mapping[str, Any]] = {}
        for decision in {e["decision"] for e in events}:
            sequence = self._ledger.projection.sequence(decision)
            assert sequence is not None  # an event follows its decision
            found[decision] = await self._ledger.entry(sequence)
        return found
