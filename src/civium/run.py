"""One turn of the city: View, decide in a worker, guard, ledger; what is admitted leaves by the outbox.

Every practice looks at the same cut of a tick, so their order cannot matter; estimates are seen in the next turn.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pyarrow as pa
from sqlalchemy import func, select

from civium.acts.guard import OPERATOR, Guard, Held
from civium.core import (
    MICROSECONDS,
    CiviumError,
    DecisionEvent,
    InputRefused,
    Mandate,
    NeedUnmet,
    Practice,
    PracticeBroken,
    Tier,
    View,
)
from civium.core.tasks import end
from civium.core.traces import span
from civium.core.wire import convert_params, decode_plan, write_view
from civium.engines.catalog.tables import ACTUATORS
from civium.engines.compute import ComputeFailed
from civium.engines.passing import TROUBLE
from civium.estimates import Estimates
from civium.ledger.projection import COMMANDS, DECISIONS, INCIDENTS, decides
from civium.ledger.record import Entry, events_entry
from civium.practices.discovery import load_practices, register_of
from civium.turn import Decided, decide_job
from civium.twin.model.layers import read_layer
from civium.twin.views import build_view, require_needs

if TYPE_CHECKING:
    from civium.city import City

_LONGEST_PAUSE_S = 600.0  # of a practice that breaks again and again
_RETRY_S = 0.5
_HELD_STATUSES = ("admitted", "sent", "confirmed")
_OPEN_STATUSES = (*_HELD_STATUSES, "pending", "approved")
Work = tuple[str, str]  # a practice and one of its shards


class Turns:
    """Makes the turns of all practices and remembers, between them, what the ledger would tell after a crash."""

    def __init__(self, city: "City") -> None:
        self.city = city
        self.practices = load_practices()
        self.guard = Guard()
        self.trouble: dict[Work, str] = {}  # why it is held or broken now
        self.last_turn: dict[str, dict[str, float]] = {}
        self.mine: set[Work] = set()  # whose turns this process makes
        self._state: dict[Work, str] = {}  # blob of the last state
        self._tick: dict[Work, int] = {}  # of the last turn
        self._open: dict[tuple[str, int], tuple[int, Held]] = {}  # (decision, number) -> actuator and command
        self._breaks: dict[Work, int] = {}
        self._paused_until: dict[Work, int] = {}
        self._awaited: dict[tuple[str, int], tuple[int, int]] = {}  # (decision, thing) -> command, until
        self._later: dict[tuple[str, int], DecisionEvent] = {}  # confirmations that are not on the record yet
        self._under_way: dict[Work, asyncio.Task[None]] = {}
        self._owed: set[Work] = set()  # turns that an engine kept from being made
        self.estimates = Estimates(city)
        self._things: dict[int, int] = {}  # actuator -> thing
        self._views = city.place / "run" / "views"

    async def resume(self) -> None:
        """Take up where the ledger ends: states, and who holds which actuator."""
        self._views.mkdir(parents=True, exist_ok=True)
        for leftover in self._views.iterdir():
            leftover.unlink()
        projection = self.city.ledger.projection
        of = (DECISIONS.c.practice, DECISIONS.c.shard)
        last = select(*of, func.max(DECISIONS.c.seq).label("seq")).group_by(*of)
        for row in await asyncio.to_thread(projection.rows, last.where(DECISIONS.c.practice != OPERATOR)):
            self._turned(await self.city.ledger.entry(row["seq"]))
        open_commands = (
            select(COMMANDS)
            .join(DECISIONS, DECISIONS.c.id == COMMANDS.c.decision)
            .where(COMMANDS.c.status.in_(_OPEN_STATUSES), COMMANDS.c.until > self.city.clock.now())
            .order_by(DECISIONS.c.seq)
        )
        for row in await asyncio.to_thread(projection.rows, open_commands):
            about = Held(row["decision"], row["number"], row["practice"], Tier(row["tier"]), row["until"])
            self._open[(row["decision"], row["number"])] = (row["actuator"], about)
            if row["status"] in _HELD_STATUSES:
                self.guard.learn("admitted", row["actuator"], about)
            if row["status"] in ("admitted", "sent"):
                self._await(row["actuator"], about)
        newest = select(func.max(INCIDENTS.c.seq)).group_by(INCIDENTS.c.practice, INCIDENTS.c.shard)
        for row in await asyncio.to_thread(projection.rows, select(INCIDENTS).where(INCIDENTS.c.seq.in_(newest))):
            if row["what"] != "resumed":
                self.trouble[row["practice"], row["shard"]] = row["why"]
        self.city.ledger.watch(self._learn)
        self.city.follower.watch(self._confirm)

    def _learn(self, _: int, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the record, whichever process wrote it."""
        if entry["type"] == "turn":
            self._turned(entry)
            self.last_turn[entry["practice"]] = dict(entry["timing"])
        if decides(entry):
            for number, command in enumerate(entry["plan"]["commands"]):
                about = Held(entry["id"], number, entry["practice"], Tier(command["tier"]), command["until"])
                self._open[(entry["id"], number)] = (command["actuator"], about)
        elif entry["type"] in ("held", "broken"):
            self.trouble[_work_of(entry)] = entry["why"]
        elif entry["type"] == "resumed":
            self.trouble.pop(_work_of(entry), None)
        for event in entry.get("events", ()):
            key = (event["decision"], event["command"])
            if key in self._open:
                actuator, about = self._open[key]
                self.guard.learn(event["what"], actuator, about)
                if event["what"] == "admitted":
                    self._await(actuator, about)
                elif event["what"] == "confirmed":
                    self._awaited.pop((about.decision, self._thing(actuator)), None)
                    self._later.pop(key, None)

    def _turned(self, entry: Mapping[str, Any]) -> None:
        """A turn is on the record: the next one starts from what it left."""
        self._state[_work_of(entry)], self._tick[_work_of(entry)] = entry["state_out"], entry["tick"]

    def works(self) -> list[str]:
        """What there is to share out: the practices, or each shard of those that have some (``flood.3``)."""
        found = self.practices.found.values()
        return sorted(one.id if one.shards == 1 else f"{one.id}.{part}" for one in found for part in one.parts)

    @asynccontextmanager
    async def make_turns_of(self, name: str) -> AsyncIterator[None]:
        """Make the turns of one of ``works``, from what is on the record when this begins."""
        await self.city.ledger.catch_up()
        practice, _, part = name.partition(".")
        self.mine.add((practice, part or "all"))
        try:
            yield
        finally:
            self.mine.discard((practice, part or "all"))

    def trouble_of(self, practice: str) -> str:
        """Why a practice is held or broken now; of a shard, with its name."""
        mine = sorted((shard, why) for (name, shard), why in self.trouble.items() if name == practice)
        return "; ".join(why if shard == "all" else f"shard {shard}: {why}" for shard, why in mine)

    async def settle(self, now: int) -> None:
        """Put on the record what has lapsed and what devices have confirmed."""
        self._awaited = {key: value for key, value in self._awaited.items() if value[1] > now}

        def entry() -> Entry | None:
            return events_entry([*self._later.values(), *self.guard.lapse(now)], now)

        await self.city.ledger.append(entry)
        self._open = {key: value for key, value in self._open.items() if value[1].until > now}

    async def take(self, before: int, now: int, cut: dict[str, int], *, wait: bool) -> None:
        """Start the turns that fall due in ``before < t <= now`` [us since epoch], all under the cut of that tick.

        So are those that an engine's trouble has left owing. A practice whose last turn is still under way is passed
        over, so that it cannot hold up the others. At the first tick of all (``before`` 0) nothing is due: nobody could
        tell the city anything yet. With ``wait``, returns when the turns are done and what they admitted has left.
        """
        idle = [work for work in sorted(self.mine) if work not in self._under_way]
        due = [work for work in idle if before and self._due(work, before, now)]
        for work in due:
            practice = self.practices.found[work[0]]
            self._under_way[work] = asyncio.create_task(self._turn_or_trouble(practice, work[1], now, cut))
        if wait and due:
            await asyncio.gather(*(self._under_way[work] for work in due if work in self._under_way))
            await self.city.outbox.reach(self.city.log.last("LEDGER"))

    async def stop(self) -> None:
        """End the turns that are under way; what they would have decided is decided again after the start."""
        await end(*self._under_way.values())

    def check_params(self, practice: str, params: dict[str, Any]) -> None:
        """Raise InputRefused when parameters do not fit a practice."""
        try:
            convert_params(self.practices.found[practice].params, params)
        except msgspec.ValidationError as error:
            raise InputRefused(f"parameters of {practice}: {error}") from None

    def _due(self, work: Work, before: int, now: int) -> bool:
        every = int(self.practices.found[work[0]].every * MICROSECONDS)
        falls_due = now // every > before // every or work in self._owed
        return falls_due and now >= self._paused_until.get(work, 0)

    async def _turn_or_trouble(self, practice: Practice, shard: str, now: int, cut: dict[str, int]) -> None:
        try:
            await self._try_turn(practice, shard, now, cut)
            self._owed.discard((practice.id, shard))
            self.city.troubles.pop(f"turn of {practice.id}", None)
        except TROUBLE as error:  # an engine: nothing of this turn is on the record, the next tick tries again
            self._owed.add((practice.id, shard))
            self.city.troubles[f"turn of {practice.id}"] = str(error)
        finally:
            self._under_way.pop((practice.id, shard), None)

    async def _try_turn(self, practice: Practice, shard: str, now: int, cut: dict[str, int]) -> None:
        work = practice.id, shard
        try:
            await self.city.reach(cut)
            decision = f"{practice.id}.{shard}.{now // MICROSECONDS}"
            seen = [f"{stream}/{sequence}" for stream, sequence in sorted(cut.items())]
            with span("turn", practice=practice.id, shard=shard, decision=decision, cut=seen):
                await self._turn(practice, shard, now, cut)
        except NeedUnmet as unmet:
            await self._in_trouble(work, "held", str(unmet), now)
        except PracticeBroken as broken:
            breaks = self._breaks[work] = self._breaks.get(work, 0) + 1
            pause = min(practice.every * 2**breaks, _LONGEST_PAUSE_S)
            self._paused_until[work] = now + int(pause * MICROSECONDS)
            await self._in_trouble(work, "broken", broken.why, now)
        else:
            self._breaks.pop(work, None)
            if work in self.trouble:
                resumed = {"type": "resumed", "practice": practice.id, "shard": shard, "at": now, "why": ""}
                await self.city.ledger.append(resumed)

    async def _in_trouble(self, work: Work, what: str, why: str, now: int) -> None:
        """Put it on the record once, and let go of what the practice, or its shard, holds when it is broken."""
        if self.trouble.get(work) == why:
            return
        practice, shard = work

        def entry() -> Entry | None:
            held = self.guard.release(practice, why, now) if what == "broken" else []
            events = [asdict(e) for e in held if e.decision.startswith(f"{practice}.{shard}.")]
            return {"type": what, "practice": practice, "shard": shard, "at": now, "why": why, "events": events}

        await self.city.ledger.append(entry)

    async def _turn(self, practice: Practice, shard: str, now: int, cut: dict[str, int]) -> None:
        city, started = self.city, perf_counter()
        settings = await asyncio.to_thread(city.catalog.settings, cut["CAT"])
        mandate = Mandate(settings.mandates.get(practice.id, Mandate.ADVISE))
        view = await asyncio.to_thread(build_view, practice, now, cut, city.catalog, city.store, self.layer, shard)
        if shard != "all" and view.things.num_rows == 0:
            return  # nothing falls to it
        require_needs(practice, view)
        seen = perf_counter()
        params = dict(settings.parameters.get(practice.id, {}))
        work = practice.id, shard
        state_in = self._state.get(work)
        decided = await self._decide(practice, view, state_in, params)
        plan = decode_plan(decided.plan)
        await self.estimates.ensure_streams(practice, plan)
        closed = await asyncio.to_thread(city.watch.closed, [c.actuator for c in plan.commands], now)
        done = perf_counter()
        decision = f"{practice.id}.{shard}.{now // MICROSECONDS}"
        state_out = await asyncio.to_thread(city.blobs.put, "state", decided.state)
        body = msgspec.json.decode(decided.plan)
        for notice in body["notices"]:
            notice["text"] = self.notice_text(practice, notice["key"], notice["values"])
        timing = {
            "view_ms": (seen - started) * 1e3,
            "decide_ms": (done - seen) * 1e3,
            "delay_ms": (perf_counter() - started) * 1e3,
        }

        def entry() -> Entry | None:
            # It is on the record already, or another process took over while we slept: nothing follows from our state.
            if self._tick.get(work, 0) >= now or self._state.get(work) != state_in:
                return None
            rules = mandate, settings.advise_only, now, closed
            events = self.guard.judge(practice, decision, plan, view.actuators, *rules)
            return {
                "type": "turn", "id": decision, "practice": practice.id, "shard": shard, "tick": now, "cut": cut,
                "mandate": str(mandate), "advise_only": settings.advise_only, "params": params,
                "digests": decided.digests, "state_in": state_in, "state_out": state_out, "plan": body,
                "events": [asdict(e) for e in events], "timing": timing,
            }  # fmt: skip

        await self._put_on_record(practice, decision, entry)

    async def _put_on_record(self, practice: Practice, decision: str, entry: Callable[[], Entry | None]) -> None:
        """However long the log is away: it may be there already, and the next turn must start from its state."""
        while True:
            try:
                await self.city.ledger.append(entry)
                return
            except TROUBLE as error:
                self.city.troubles[f"turn of {practice.id}"] = f"{decision} is not on the record yet: {error}"
                await asyncio.sleep(_RETRY_S)

    async def _decide(self, practice: Practice, view: View, state_in: str | None, params: dict[str, Any]) -> Decided:
        """Decide in a worker; whatever goes wrong there is PracticeBroken."""
        path = self._views / f"{uuid4().hex}.view"
        state = await asyncio.to_thread(self.city.blobs.get, state_in) if state_in else None
        try:
            if self.city.compute.same_disk:
                await asyncio.to_thread(_save, view, path)
                given: str | pa.Buffer = str(path)
            else:
                given = await asyncio.to_thread(_packed, view)
            return await self._decide_apart(practice, (practice.id, given, state, msgspec.json.encode(params)))
        finally:
            path.unlink(missing_ok=True)

    async def _decide_apart(self, practice: Practice, job: tuple[Any, ...]) -> Decided:
        try:
            return await self.city.compute.run(decide_job, *job, deadline=practice.deadline)
        except ComputeFailed as error:
            raise PracticeBroken(practice.id, str(error)) from error
        except CiviumError:
            raise
        except Exception as error:
            raise PracticeBroken(practice.id, f"{type(error).__name__}: {error}") from error

    async def release_all(self, why: str) -> None:
        """Let go of every actuator; the devices fall back when their tasks lapse."""
        now = self.city.clock.now()
        holders = (*self.practices.found, OPERATOR)

        def entry() -> Entry | None:
            return events_entry((e for name in holders for e in self.guard.release(name, why, now)), now)

        await self.city.ledger.append(entry)

    def current_states(self) -> list[str]:
        """The blobs that the next turns start from."""
        return list(self._state.values())

    def layer(self, name: str) -> pa.Table:
        """A layer of the city's model."""
        try:
            return read_layer(self.city.folder / "twin", name)
        except InputRefused as error:
            raise NeedUnmet(name, error.why) from error

    def register(self, practice: Practice) -> dict[str, Any]:
        """The practice's public register entry."""
        return register_of(practice)

    def notice_text(self, practice: Practice, key: str, values: dict[str, Any]) -> str:
        """A notice in the words of the practice's register."""
        template = register_of(practice).get("notices", {}).get(key, key)
        try:
            return str(template.format(**values))
        except (KeyError, IndexError, ValueError):
            return f"{template} {values}"

    def _thing(self, actuator: int) -> int:
        if actuator not in self._things:
            known = self.city.catalog.last(ACTUATORS.name, [actuator])
            self._things[actuator] = int(known[actuator]["thing"])
        return self._things[actuator]

    def _await(self, actuator: int, about: Held) -> None:
        """A device will tell that it obeyed, by an observation whose parent is the decision."""
        self._awaited[(about.decision, self._thing(actuator))] = (about.command, about.until)

    async def _confirm(self, rows: pa.Table, _: pa.Table) -> None:
        """A fact came back whose parent is a decision: the device obeyed."""
        if not self._awaited or rows.column("parent").null_count == rows.num_rows:
            return
        told = rows.filter(rows.column("parent").is_valid()).select(["id", "stream", "parent"]).to_pydict()
        things = self.city.catalog.streams.thing
        for identity, stream, parent in zip(told["id"], told["stream"], told["parent"], strict=True):
            awaited = self._awaited.pop((parent, int(things[stream])), None)
            if awaited:
                now = self.city.clock.now()
                confirmed = DecisionEvent(parent, awaited[0], "confirmed", now, "device", "", identity)
                self._later[(parent, awaited[0])] = confirmed


def _work_of(entry: Mapping[str, Any]) -> Work:
    return entry["practice"], entry.get("shard", "all")


def _save(view: View, path: Path) -> None:
    with path.open("wb") as file:
        write_view(view, file)


def _packed(view: View) -> pa.Buffer:
    sink = io.BytesIO()
    write_view(view, sink)
    return pa.py_buffer(sink.getvalue())
