"""How people are told: one message for all alarms that are due on a way, again and again until someone acts."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from civium.alarms import on_call
from civium.alarms.alarm import Alarm, Event
from civium.alarms.desk import Desk
from civium.core import CiviumError, to_datetime
from civium.core.tasks import end
from civium.engines.passing import TROUBLE

_PATIENCE_S = 20.0
_MOST_SHOWN = 50
_AT_A_TIME = 16
_LONGEST_SUBJECT = 200


class NotDelivered(CiviumError):
    """A message could not be handed over. Whoever runs the city must look at ``[alarms]`` and at the on-call list."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: a line, a text, and the same for machines."""

    subject: str
    text: str
    data: Mapping[str, Any]


class Sender(Protocol):
    """Speaks one way of telling."""

    async def send(self, way: str, message: Message) -> None:
        """Hand a message over; raises NotDelivered."""

    async def close(self) -> None: ...


class Delivery:
    """Tells who is on call; ``senders`` by the beginning of a way (``mailto``, ``https``, ``push``)."""

    def __init__(self, desk: Desk, senders: Mapping[str, Sender], city: str, url: str) -> None:
        self._desk, self._senders, self._city, self._url = desk, senders, city, url
        self.trouble = ""
        self._task: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(_AT_A_TIME)

    def call(self, now: int) -> None:
        """Tell whoever must be told at ``now`` [us since epoch], unless that is under way."""
        if self._task is None or self._task.done():
            work = self._due(now)
            if work:
                self._task = asyncio.create_task(self._tell(work, now))

    async def done(self) -> None:
        """Wait until what is under way is done."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        await end(self._task)
        for sender in {id(sender): sender for sender in self._senders.values()}.values():
            await sender.close()

    def _due(self, now: int) -> list[tuple[Alarm, int, on_call.Step]]:
        found = []
        for alarm in self._desk.book.open.values():
            if listed := self._desk.lists.get(alarm.on_call):
                found += [(alarm, number, listed.steps[number]) for number in on_call.due(alarm, listed, now)]
        return found

    async def _tell(self, work: Sequence[tuple[Alarm, int, on_call.Step]], now: int) -> None:
        ways: dict[str, dict[int, Alarm]] = {}
        for alarm, _, step in work:
            for way in step.ways:
                ways.setdefault(way, {})[alarm.id] = alarm
        sent = await asyncio.gather(*(self._send(way, list(some.values())) for way, some in ways.items()))
        why = dict(zip(ways, sent, strict=True))
        events: list[Event] = []
        for alarm, number, step in work:
            failures = {way: why[way] for way in step.ways if why[way]}
            events.append({
                "what": "notified", "alarm": alarm.id, "step": number, "who": step.who,
                "ok": len(failures) < len(step.ways), "why": "; ".join(failures.values()),
            })  # fmt: skip
        failed = sorted({words for words in why.values() if words})
        self.trouble = f"not everybody could be told: {failed[0]}" if failed else ""
        try:
            await self._desk.book.append(lambda: [e for e in events if e["alarm"] in self._desk.book.open], now)
        except TROUBLE as error:  # it is told again: nobody knows that it was
            self.trouble = f"who was told could not be written down: {error}"

    async def _send(self, way: str, alarms: Sequence[Alarm]) -> str:
        """Send one message; returns why it could not be sent."""
        sender = self._senders.get(way.partition(":")[0])
        if sender is None:
            return f"there is no way '{way.partition(':')[0]}'"
        try:
            async with self._places, asyncio.timeout(_PATIENCE_S):
                await sender.send(way, self._message(alarms))
        except CiviumError as error:
            return str(error)
        except TimeoutError:
            return f"{way.partition(':')[0]}: no answer within {_PATIENCE_S:g} s"
        except Exception as error:
            return f"{way.partition(':')[0]}: {type(error).__name__}"
        return ""

    def _message(self, alarms: Sequence[Alarm]) -> Message:
        subject = f"[{self._city}] {on_call.names(alarms)}"
        lines = [line for alarm in alarms[:_MOST_SHOWN] for line in _lines(alarm)]
        if len(alarms) > _MOST_SHOWN:
            lines.append(f"and {len(alarms) - _MOST_SHOWN:,} more")
        lines += ["", "Acknowledge: civium alarms ack ID" + (f", or {self._url}" if self._url else "")]
        data = {"city": self._city, "subject": subject, "url": self._url, "alarms": list(brief(alarms[:_MOST_SHOWN]))}
        return Message(_line(subject)[:_LONGEST_SUBJECT], "\n".join(map(_line, lines)), data)


def _lines(alarm: Alarm) -> list[str]:
    since = to_datetime(alarm.raised).isoformat(timespec="seconds")
    size = f" ({alarm.size:,} streams)" if alarm.size > 1 else ""
    return [f"{alarm.id}  {alarm.severity}  {alarm.title}: {alarm.name}{size}", f"    {alarm.said}, since {since}"]


def _line(text: str) -> str:
    """A text on one line: what breaks a line in a name would forge one, and no mail has such a subject."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def brief(alarms: Iterable[Alarm]) -> Iterable[dict[str, Any]]:
    """Alarms for machines."""
    for alarm in alarms:
        yield {
            "id": alarm.id, "rule": alarm.rule, "title": alarm.title, "severity": alarm.severity, "group": alarm.group,
            "name": alarm.name, "said": alarm.said, "raised": to_datetime(alarm.raised).isoformat(),
            "streams": alarm.size,
        }  # fmt: skip
