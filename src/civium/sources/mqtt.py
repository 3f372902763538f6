"""The MQTT door: what devices publish on ``v1.1/Datastreams(id)/Observations``, and what an operator makes.

nats-server keeps each publish with QoS 1 or 2 in its own durable stream before it acknowledges; this door takes them
from there in order, so nothing acknowledged is lost. The log remembers the last one that was taken in, so nothing is
taken twice. What fails validation goes to the dead-letter stream, with the reason.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pyarrow as pa

from civium.core import Clock, InputRefused, RowRefusal
from civium.core.observations import log_stream
from civium.core.tasks import end
from civium.engines.catalog import Catalog
from civium.engines.log import Log, LogConflict, LogUnavailable
from civium.engines.log_letters import written
from civium.engines.mailbox import MQTT_EARLIER, MQTT_IN, MQTT_STREAM
from civium.engines.tail import Message
from civium.sources.batch import Batch, build
from civium.sources.claims import Claims, by_shard, claim, messages, without
from civium.sources.examine import examine
from civium.sources.intake import Intake
from civium.sources.keys import MOST_NAMED
from civium.sources.mqtt_creations import PREFIX, Published, path_of
from civium.sources.permits import Foreign, permit_features
from civium.sources.sensorthings.observations import decode_messages

_OF = r"(?:(?:Multi)?Datastreams\((\d{1,16})\)|FeaturesOfInterest\((\d{1,16})\))"
_READING = re.compile(PREFIX + rf"(?:{_OF}\.)?Observations")
_SOURCE = "mqtt"
_TAKEN, _TAKEN_FROM = "Civium-Mqtt-Taken", "Civium-Mqtt-Taken-From"
_MOST_BYTES = 2 * 1024 * 1024  # that are taken together
_MOST_KEPT = 1024 * 1024  # characters of a dead letter
_RETRY_S = 0.5
_FORGET_S = 0.2
_PATIENCE_S = 30.0


class MqttDoor:
    """Moves observations from the devices' stream of ``server`` into the log; ``name`` is what the log knows it by.

    ``foreign`` says which readings name a feature that their sender cannot know of.
    """

    def __init__(
        self,
        name: str,
        server: Log,
        log: Log,
        intake: Intake,
        catalog: Catalog,
        clock: Clock,
        future_s: float,
        published: Published,
        foreign: Foreign,
        *,
        by_arrival: bool,
    ) -> None:
        self._name, self._server, self._log, self._intake = name, server, log, intake
        self._catalog, self._clock, self._future_s = catalog, clock, future_s
        self._published, self._foreign = published, foreign
        # A reading without a time is of the moment when its server stored it, unless a sandbox tells the time.
        self._by_arrival = by_arrival
        self.accepted = 0
        self.refused = 0
        self.failure: Exception | None = None  # what holds up the door at this moment
        self._taken = 0  # sequence of the devices' stream up to which all is in the log
        self._marks: dict[int, int] = {}  # the same for one shard, as it was found at the start
        self._stored: dict[int, int] = {}  # sequence of our last message in the log, for each shard
        self._stream = ""  # which devices' stream that is
        self._earlier = 0  # the last message that an earlier release kept and did not take
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on after the last message that the log holds, if it came from the devices' stream that there is now.

        In a city that was restored the devices' stream is another one, which counts from the beginning.
        """
        self._stream = await self._server.created(MQTT_STREAM)
        await self._find_place()
        await self._server.count_on(self._name, self._log, max(self._marks.values()))
        earlier = await self._server.last_of(MQTT_STREAM, MQTT_EARLIER)
        self._earlier = earlier.sequence if earlier else 0
        self._task = asyncio.create_task(self._run())
        self._forgetting = asyncio.create_task(self._keep_forgetting(self._taken))

    async def _find_place(self) -> None:
        """Learn from the log what is taken, by us or by the door before us."""
        kept = await self._log.mark(self._kept)
        for shard in range(self._log.shards):
            mark, self._stored[shard] = await self._mark(shard)
            self._marks[shard] = max(kept, mark)
        self._taken = min(self._marks.values())

    async def is_another(self) -> bool:
        """Whether the devices' stream is not the one that was there at the start; raises LogUnavailable."""
        return await self._server.created(MQTT_STREAM) != self._stream

    async def stop(self) -> None:
        await end(self._task, self._forgetting)
        self._task = None

    @property
    def _kept(self) -> str:
        """The name of the mark that outlives the messages of the log; it may be some moments behind."""
        return f"taken-{self._name}-{''.join(filter(str.isdigit, self._stream))}"

    async def _mark(self, shard: int) -> tuple[int, int]:
        """Up to which message of the devices' stream all of a shard is in the log, and our last message there."""
        mark = stored = 0
        for subject in (self._name, f"{self._name}.keyed"):
            last = await self._log.last_of(log_stream(shard), f"civium.{log_stream(shard).lower()}.{subject}")
            if last is not None and last.headers.get(_TAKEN_FROM, self._stream) == self._stream:
                mark = max(mark, int(last.headers.get(_TAKEN, 0)))
            stored = max(stored, last.sequence if last is not None else 0)
        return mark, stored

    async def reach(self) -> None:
        """Wait until everything that the server has acknowledged to a device by now is in the log."""
        waiting = await self._server.last_of(MQTT_STREAM, MQTT_IN)  # None: all was taken and let go
        if waiting is not None and self._task is None:  # another process of the city takes them in, and lets them go
            deadline = asyncio.get_running_loop().time() + _PATIENCE_S
            while await self._server.keeps(MQTT_STREAM, waiting.sequence):
                if asyncio.get_running_loop().time() > deadline:
                    raise LogUnavailable("what devices sent is not taken in: does a door run? Try again later")
                await asyncio.sleep(0.05)
        elif waiting is not None:
            async with self._moved:
                await self._moved.wait_for(lambda: self._taken >= waiting.sequence)

    async def _run(self) -> None:
        await self._intake.remembers()
        while True:
            tail = self._server.tail(MQTT_STREAM, self._taken, subjects=(MQTT_IN, MQTT_EARLIER))
            try:
                while True:
                    for part in _parts(await tail.fetch(MOST_NAMED, 5.0)):
                        await self._surely_move(part)
            except LogConflict as error:  # we slept, and another door took over: what it took is not ours any more
                self.failure = error
                await self._look_again()
            finally:
                await tail.close()

    async def _surely_move(self, part: list[Message]) -> None:
        while True:
            try:
                await self._move(part)
                self.failure = None
                return
            except LogConflict:
                raise
            except Exception as error:  # nothing may end this task; what is acknowledged waits for it
                self.failure = error
                await asyncio.sleep(_RETRY_S)

    async def _look_again(self) -> None:
        while True:
            try:
                await self._find_place()
                self.failure = None
                return
            except LogUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def _keep_forgetting(self, forgotten: int) -> None:
        """Let the server forget what was taken, beside the taking: it rewrites files for it.

        First the log is told for good how far that is, since its messages are not kept for ever, and an edge may be out
        of reach for longer.
        """
        while True:
            await asyncio.sleep(_FORGET_S)
            taken = self._taken
            if taken > forgotten:
                with suppress(LogUnavailable):
                    await self._log.keep_mark(self._kept, taken)
                    await self._server.forget_mqtt(taken)
                    if 0 < self._earlier <= taken:
                        await self._server.purge_before(MQTT_STREAM, self._earlier + 1, MQTT_EARLIER)
                        self._earlier = 0
                    forgotten = taken

    async def _move(self, mail: list[Message]) -> None:
        if path := path_of(mail[0].subject, mail[0].data):
            return await self._create(mail[0], path)
        batch = await asyncio.to_thread(self._decode, mail)
        if batch is None:
            for message in mail:
                await self._move([message])
            return None
        batch = await self._take(mail, batch)  # every step bears a key: what was done already is not done again
        self.accepted += batch.table.num_rows
        self.refused += len(batch.refused)
        return await self._moved_to(mail[-1].sequence)

    async def _create(self, message: Message, path: str) -> None:
        """Make the entity of a message; it stands alone among what is taken together."""
        try:
            await self._published.make(path, message.data, self._key(message.sequence))
            self.accepted += 1
        except (InputRefused, ValueError, TypeError, KeyError, RecursionError) as error:  # it must not stop the others
            await self._bury(message, str(error) or type(error).__name__)
            self.refused += 1
        await self._moved_to(message.sequence)

    async def _moved_to(self, sequence: int) -> None:
        async with self._moved:
            self._taken = sequence
            self._moved.notify_all()

    async def _take(self, mail: list[Message], batch: Batch) -> Batch:
        """Dead letters first, then the new rows in one message, with the mark up to where all is done."""
        good = []
        for shard, _, part in by_shard(batch, self._log.shards):
            sequence = np.array([message.sequence for message in mail], np.int64)[part.rows]
            new = np.flatnonzero(sequence > self._marks[shard])
            good.append((shard, self._claim(part if len(new) == len(part.rows) else part.only(new))))
        refused = tuple(refusal for _, (_, some) in good for refusal in some)
        batch = without(batch, refused) if refused else batch
        for refusal in batch.refused:
            await self._bury(mail[refusal.row], refusal.why)
        for shard, (claims, _) in good:
            await claims.others()
            _, rows, spans = claims.fresh()
            for _, part, keyed in messages(rows, spans):  # one, or none: ``mail`` is cut so
                taken = str(mail[-1].sequence)
                self._intake.keys.expect(claims.new)
                mark = {_TAKEN: taken, _TAKEN_FROM: self._stream}
                arguments = (part, keyed, self._name, self._key(mail[-1].sequence), mark, self._stored[shard])
                self._stored[shard] = await self._intake.lanes[shard].store_marked(*arguments)
        return batch

    def _claim(self, batch: Batch) -> tuple[Claims, tuple[RowRefusal, ...]]:
        """What is to be stored of the rows of a shard, and which of them cannot be."""
        refused: tuple[RowRefusal, ...] = ()
        try:
            claims = claim(batch, self._intake.keys, "", b"")
        except InputRefused as error:  # a row that is too large
            refused, batch = error.rows, without(batch, error.rows)
            claims = claim(batch, self._intake.keys, "", b"")
        if claims.conflicts:
            refused, batch = (*refused, *claims.conflicts), without(batch, claims.conflicts)
            claims = claim(batch, self._intake.keys, "", b"")
        return claims, refused

    def _decode(self, mail: list[Message]) -> Batch | None:
        """All messages as one batch; its row numbers are positions in ``mail``. None: they must be decoded singly."""
        streams = [stream_of(message.subject) for message in mail]
        features = [feature_of(message.subject) for message in mail]
        now, bodies = self._clock.now(), [message.data for message in mail]
        try:
            came = np.array([message.stored for message in mail], np.int64) if self._by_arrival else np.int64(now)
            batch = decode_messages(bodies, streams, np.minimum(came, now), features)
            batch = permit_features(batch, self._foreign, whole=False, by_topic=features)
            return examine(batch, self._catalog, now, self._future_s)
        except Exception as error:  # one of them is beyond what anybody thought of; it must not stop the others
            if len(mail) == 1:
                return build({"stream": pa.array([0])}, [RowRefusal(0, f"{type(error).__name__}: {error}")])
            return None

    async def _bury(self, message: Message, why: str) -> None:
        key = self._key(message.sequence)
        await bury(self._log, message.subject, why, message.data, self._clock.now(), key)

    def _key(self, sequence: int) -> str:
        return f"{self._name}/{self._stream}/{sequence}"


async def bury(log: Log, topic: str, why: str, body: bytes, now: int, key: str = "") -> None:
    """Keep what was refused, with the reason; ``now`` [us since epoch]."""
    await log.publish("DEAD", written(_SOURCE, topic, why, body[:_MOST_KEPT], now), subject=_SOURCE, key=key)


def stream_of(subject: str) -> int | None:
    """The Datastream that a subject names; None where the Observation must name it, 0 (which none is) where it is no
    subject of Observations."""
    match = _READING.fullmatch(subject)
    return 0 if match is None else int(match[1]) if match[1] else None


def feature_of(subject: str) -> int | None:
    """The FeatureOfInterest that a subject names, whose Observation is published there."""
    match = _READING.fullmatch(subject)
    return int(match[2]) if match is not None and match[2] else None


def _parts(mail: list[Message]) -> Iterator[list[Message]]:
    """In lots that fit a log message each, even if JSON that is written again is five times as long; what makes an
    entity stands alone."""
    lot: list[Message] = []
    size = 0
    for message in mail:
        alone = bool(path_of(message.subject, message.data))
        if lot and (alone or size + len(message.data) > _MOST_BYTES):
            yield lot
            lot, size = [], 0
        if alone:
            yield [message]
            continue
        lot.append(message)
        size += len(message.data)
    if lot:
        yield lot
