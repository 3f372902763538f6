"""What is published by MQTT with QoS 0: taken in as it is heard, and promised nothing.

The server keeps nothing of it, so it is heard as it is said. What is published with QoS 1 is said there too: only so
much is listened to in a while, that a flood of it costs little.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from civium.core import Clock, InputRefused
from civium.core.tasks import end
from civium.engines.log import Log, LogUnavailable
from civium.engines.passing import PASSING
from civium.sources.batch import Batch
from civium.sources.intake import Intake
from civium.sources.mqtt import bury, feature_of, stream_of
from civium.sources.mqtt_creations import Published, path_of
from civium.sources.permits import Foreign, permit_features
from civium.sources.sensorthings.observations import decode_messages

_SUBJECTS = "civium-in.>"
_QOS = "Nmqtt-Pub"  # the header in which the server tells the QoS of a publish
_SPELL_S = 0.25
_LEAST_HEARD = 250  # messages in a spell
_MOST_HEARD = 5_000
_MOST_WAITING = 20_000
_TOGETHER = 2_000
_AWAY: tuple[type[Exception], ...] = (LogUnavailable, *PASSING)


class Unconfirmed:
    """Listens to the devices of ``server``; ``foreign`` is as in ``MqttDoor``."""

    def __init__(
        self, server: Log, log: Log, intake: Intake, published: Published, clock: Clock, foreign: Foreign
    ) -> None:
        self._server, self._log, self._intake, self._published, self._clock = server, log, intake, published, clock
        self._foreign = foreign
        self.dropped = 0  # messages that were heard and could not be taken in
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._some = asyncio.Event()
        self._said = self._unconfirmed = 0  # in this spell
        self._most = _LEAST_HEARD
        self._hearing: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._take())]

    async def stop(self) -> None:
        """End; what was heard is taken in no more."""
        await end(*self._tasks)
        await self._hush()

    async def _listen(self) -> None:
        """Listen anew at the beginning of each spell in which too much was said."""
        while True:
            if self._hearing is None:
                with suppress(nats.errors.Error):
                    self._hearing = await self._server.client.subscribe(_SUBJECTS, cb=self._hear)
            await asyncio.sleep(_SPELL_S)
            self._most = min(max(_LEAST_HEARD, 2 * self._unconfirmed), _MOST_HEARD)
            self._said = self._unconfirmed = 0

    async def _hear(self, message: Msg) -> None:
        self._said += 1
        if self._said > self._most:
            await self._hush()
        if (message.headers or {}).get(_QOS, "0") != "0":
            return
        self._unconfirmed += 1
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append((message.subject, message.data))
        self._some.set()

    async def _hush(self) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()

    async def _take(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                mail = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
                for path, some in _alike(mail):
                    try:
                        await (self._create(path, *some[0]) if path else self._read(some))
                    except _AWAY:
                        self.dropped += len(some)
                    except Exception as error:  # of what was published; nothing may end this task
                        self.dropped += len(some)
                        with suppress(LogUnavailable):
                            await self._bury(*some[0], f"{type(error).__name__}: {error}")

    async def _create(self, path: str, subject: str, body: bytes) -> None:
        try:
            await self._published.make(path, body)
        except InputRefused as error:
            await self._bury(subject, body, str(error))

    async def _read(self, mail: Sequence[tuple[str, bytes]]) -> None:
        bodies, streams = [body for _, body in mail], [stream_of(subject) for subject, _ in mail]
        features = [feature_of(subject) for subject, _ in mail]

        def decoded() -> Batch:
            batch = decode_messages(bodies, streams, self._clock.now(), features)
            return permit_features(batch, self._foreign, whole=False, by_topic=features)

        batch = await asyncio.to_thread(decoded)
        try:
            refused = (await self._intake.accept(batch, whole=False)).refused
        except InputRefused as error:
            refused = error.rows
        for refusal in refused:
            await self._bury(*mail[refusal.row], refusal.why)

    async def _bury(self, subject: str, body: bytes, why: str) -> None:
        await bury(self._log, subject, why, body, self._clock.now())


def _alike(mail: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Readings that follow one another together; what makes an entity alone, with its path."""
    for path, some in groupby(mail, key=lambda one: path_of(*one)):
        if path:
            yield from ((path, [one]) for one in some)
        else:
            yield "", list(some)
