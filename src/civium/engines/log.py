"""The log: ordered, durable streams of messages on NATS JetStream. What it acknowledged is synced to disk.

Streams: ``OBS0``, ``OBS1`` ... (observations, one a shard), ``CAT`` (changes of the catalogue), ``TICK`` (the city
clock), ``LEDGER`` (decisions), ``ALARM`` (alarms and what became of them), ``DEAD`` (what failed validation at a door
that cannot answer), ``POISON`` (what could not be folded), ``MARKS`` (how far a follower has come). The server is our
own child, or an existing cluster that other processes of the city use too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from civium.core import CiviumError, EngineUnsuitable
from civium.core.observations import log_stream
from civium.core.traces import span
from civium.engines.abilities import check
from civium.engines.leases import AllOurs, Leases, SharedLeases
from civium.engines.mailbox import MQTT_IN, MQTT_STREAM, PRIVATE, Listener, ensure_mqtt, keep_mqtt
from civium.engines.mqtt_logins import Judge, Logins
from civium.engines.nats_server import NatsServer
from civium.engines.passing import ignore
from civium.engines.settings import ALWAYS, Settings, address, mqtt_tls, trusting
from civium.engines.tail import Message, Tail

DEDUPLICATION_S = 600.0  # how long the log remembers an idempotency key
_PATIENCE_S = 5.0
_CLUSTER_START_S = 60.0
_STORE_FAILED = 10077  # also: the stream holds as much as it may
# Another sequence than expected; that cannot be said yet, since a message is on its way; and the same without a number.
_OVERTAKEN = (10071, 10163, 10164)
_SAYINGS = "civium-says"
_KEPT_MESSAGES = 100_000  # of the streams that only the recent past is asked of


def streams(shards: int, replicas: int) -> dict[str, StreamConfig]:
    """How the streams are to be; each message of those with replicas is stored by a majority before it is answered."""
    kinds = [(log_stream(shard), DiscardPolicy.NEW, -1, -1) for shard in range(shards)]
    kinds += [("CAT", DiscardPolicy.NEW, -1, -1), ("LEDGER", DiscardPolicy.NEW, -1, -1)]
    kinds += [("ALARM", DiscardPolicy.NEW, -1, -1)]
    kinds += [("TICK", DiscardPolicy.OLD, _KEPT_MESSAGES, -1), ("DEAD", DiscardPolicy.OLD, _KEPT_MESSAGES, -1)]
    kinds += [("POISON", DiscardPolicy.NEW, -1, -1)]
    kinds += [("MARKS", DiscardPolicy.OLD, -1, 1)]
    return {
        name: StreamConfig(
            name=name,
            subjects=[f"civium.{name.lower()}.>"],
            storage=StorageType.FILE,
            num_replicas=replicas,
            discard=discard,
            max_msgs=most,
            max_msgs_per_subject=each,
            duplicate_window=DEDUPLICATION_S,
            allow_direct=True,
        )
        for name, discard, most, each in kinds
    }


class LogUnavailable(CiviumError):
    """The log cannot take messages now; the sender must try again later, the operator look at the log's server."""


class LogInDoubt(LogUnavailable):
    """The log did not answer: the message may be stored or not. Its sender must send it again under the same key."""


class LogConflict(CiviumError):
    """Another writer was first: the expected last sequence does not match."""


class Log:
    """A connection to the log, and the embedded server when it is ours."""

    def __init__(self, client: Client, mqtt: Listener, server: NatsServer | None, domain: str = "") -> None:
        self.server, self.mqtt = server, mqtt
        self.shared = server is None
        self.shards = 1
        self._client = client
        self._api = f"$JS.{domain}.API" if domain else "$JS.API"
        self._js: JetStreamContext = client.jetstream(timeout=_PATIENCE_S, prefix=self._api)
        self._last: dict[str, int] = {}
        self._system: Client | None = None

    @classmethod
    async def open(cls, settings: Settings, folder: Path, operator: str = "") -> "Log":
        """Start (embedded) and connect; make the streams that are missing. ``operator``: see ``NatsServer``."""
        scheme, rest = check("log", settings.engines.log)
        listener = address(settings.doors.mqtt)
        server: NatsServer | None = None
        if scheme == "embedded":
            mqtt_door, websocket = listener, address(settings.doors.websocket)
            if settings.doors.mqtt_sync != ALWAYS:  # devices have a server of their own
                mqtt_door = websocket = PRIVATE
            await ensure_mqtt(NatsServer(folder / rest, PRIVATE, PRIVATE))
            trusts, place = trusting(settings), folder / rest
            tls = mqtt_tls(settings, folder) if settings.doors.mqtt_sync == ALWAYS else None
            options: dict[str, Any] = {"operator": operator, "logins": Logins(), "anonymous": trusts, "tls": tls}
            server = NatsServer(place, mqtt_door, websocket, **options)
            await server.start()
            urls, mqtt = [f"nats://127.0.0.1:{server.port}"], Listener.of(server)
        else:
            urls, (user, password) = cluster(rest)
            mqtt = Listener(*listener, user, password)
        try:
            client = await nats.connect(
                urls,
                # Not in the URLs: the nodes that the cluster tells of later come without them.
                user=mqtt.user,
                password=mqtt.password,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                allow_reconnect=True,
                connect_timeout=5,
                pending_size=256 * 1024 * 1024,
                error_cb=ignore,  # every call reports its own failure
            )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise EngineUnsuitable(
                "log", f"none of {', '.join(urls)} lets us in: {error or type(error).__name__}"
            ) from None
        log = cls(client, mqtt, server)
        deadline = asyncio.get_running_loop().time() + (_CLUSTER_START_S if log.shared else 0)
        while True:
            try:
                if log.shared:
                    await keep_mqtt(client, mqtt, settings.log.replicas)
                await log._make_streams(settings.log.shards, settings.log.replicas)
            except (TimeoutError, nats.errors.Error, APIError, EngineUnsuitable) as error:
                # A cluster that has just been started first elects who leads it.
                if asyncio.get_running_loop().time() > deadline:
                    await log.close()
                    raise EngineUnsuitable("log", f"its streams cannot be made: {error or 'no answer'}") from None
                await asyncio.sleep(1.0)
            else:
                return log

    async def answer_logins(self, judge: Judge, refused: Callable[[str], None]) -> None:
        """Say from now on who may log in by MQTT, where the server is ours; see ``Logins.answer``."""
        if self.server is None or self.server.logins is None:
            return
        user, password = self.server.system
        self._system = await nats.connect(
            f"nats://127.0.0.1:{self.server.port}",
            user=user,
            password=password,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            error_cb=ignore,
        )
        await self.server.logins.answer(self._client, self._system, judge, refused)

    async def review_logins(self) -> None:
        """Send away by MQTT who may no longer do what it was told."""
        if self.server is not None and self.server.logins is not None:
            await self.server.logins.review()

    async def _make_streams(self, shards: int, replicas: int) -> None:
        for name, config in streams(shards, replicas).items():
            try:
                info = await self._js.stream_info(name)
            except NotFoundError:
                info = await self._js.add_stream(config)
            self._last[name] = info.state.last_seq
        self.shards = shards
        while await self._exists(log_stream(self.shards)):  # made when there were more: what they hold must be folded
            self._last[log_stream(self.shards)] = await self.refresh(log_stream(self.shards))
            self.shards += 1

    async def _exists(self, stream: str) -> bool:
        try:
            await self._js.stream_info(stream)
        except NotFoundError:
            return False
        return True

    async def close(self) -> None:
        if self._system is not None:
            await self._system.close()
        await self._client.close()
        if self.server is not None:
            await self.server.stop()

    async def cut(self) -> dict[str, int]:
        """The last sequence of every stream of observations: what is accepted by now, whoever took it in."""
        names = [log_stream(shard) for shard in range(self.shards)]
        if not self.shared:
            return {name: self._last[name] for name in names}
        return dict(zip(names, await asyncio.gather(*map(self.refresh, names)), strict=True))

    @property
    def client(self) -> Client:
        """The connection, for what the engine offers beside this class."""
        return self._client

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the city's streams."""
        return tuple(self._last)

    def last(self, stream: str) -> int:
        """Sequence of the last message that this process knows to be stored."""
        return self._last[stream]

    async def publish(
        self,
        stream: str,
        data: bytes,
        *,
        subject: str = "0",
        key: str = "",
        expect_last: int | None = None,
        expect_of: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = _PATIENCE_S,
    ) -> tuple[int, bool]:
        """Store a message, synced; returns its sequence and whether it was a repeat of ``key``.

        Raises LogConflict when ``expect_last`` is not the last sequence of the stream (of its subjects ``expect_of``,
        with wildcards, where that is given), LogUnavailable when not stored, and LogInDoubt when there was no answer
        within ``timeout`` [s].
        """
        if not self._client.is_connected:
            raise LogUnavailable("the log's server is away; try again later")
        sent = dict(headers or {})
        if key:
            sent["Nats-Msg-Id"] = key
        if expect_of:
            sent["Nats-Expected-Last-Subject-Sequence"] = str(expect_last or 0)
            sent["Nats-Expected-Last-Subject-Sequence-Subject"] = expect_of
        elif expect_last is not None:
            sent["Nats-Expected-Last-Sequence"] = str(expect_last)
        try:
            with span("log publish", stream=stream, bytes=len(data)) as told:
                ack = await self._js.publish(
                    f"civium.{stream.lower()}.{subject}", data, timeout=timeout, stream=stream, headers=sent or None
                )
                told.set_attribute("civium.message", f"{stream}/{ack.seq}")
        except APIError as error:
            if error.err_code in _OVERTAKEN:
                raise LogConflict(f"{stream} moved on: {error.description}") from error
            if error.err_code == _STORE_FAILED and "maximum" not in str(error.description):  # half written, may be
                raise LogInDoubt(f"the log could not write a message: {error.description}") from error
            raise LogUnavailable(f"the log refused a message: {error.description}") from error
        except (nats.errors.MaxPayloadError, NoStreamResponseError) as error:  # nothing was sent, or nobody was there
            raise LogUnavailable(f"the log cannot take a message ({type(error).__name__}); try again later") from error
        except (TimeoutError, nats.errors.Error) as error:
            raise LogInDoubt(f"the log did not answer ({type(error).__name__}); try again") from error
        self._last[stream] = max(self._last[stream], ack.seq)
        return ack.seq, bool(ack.duplicate)

    async def holds(self, stream: str, key: str, after: int) -> int | None:
        """Sequence of the message under the idempotency key ``key`` behind sequence ``after``, if it is stored."""
        try:
            async for message in self.read(stream, after):
                if message.headers.get("Nats-Msg-Id") == key:
                    return message.sequence
        except (TimeoutError, nats.errors.Error, APIError) as error:
            raise LogInDoubt(f"the log did not answer ({type(error).__name__}); try again") from error
        return None

    async def refresh(self, stream: str) -> int:
        """Ask the server for the last sequence (after a publish whose answer was lost)."""
        try:
            self._last[stream] = int((await self._js.stream_info(stream)).state.last_seq)
        except (TimeoutError, nats.errors.Error, APIError) as error:
            raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error
        return self._last[stream]

    async def get(self, stream: str, sequence: int) -> Message:
        """One stored message."""
        raw = await self._js.get_msg(stream, sequence)
        return Message(sequence, raw.subject or "", raw.data or b"", raw.headers or {})

    async def keeps(self, stream: str, sequence: int) -> bool:
        """Whether a message is still there."""
        try:
            await self._js.get_msg(stream, sequence)
        except NotFoundError:
            return False
        except (TimeoutError, nats.errors.Error, APIError) as error:
            raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error
        return True

    async def last_of(self, stream: str, subject: str) -> Message | None:
        """The last message of a subject (wildcards allowed), or None."""
        try:
            raw = await self._js.get_last_msg(stream, subject)
        except NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error, APIError) as error:
            raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error
        return Message(raw.seq or 0, raw.subject or "", raw.data or b"", raw.headers or {})

    async def first(self, stream: str) -> int:
        """Sequence of the oldest message that is still kept."""
        return int((await self._js.stream_info(stream)).state.first_seq)

    async def created(self, stream: str) -> str:
        """When the stream was made: a re-created log is another log."""
        try:
            answer = await self._client.request(f"{self._api}.STREAM.INFO.{stream}", timeout=20)
            return str(msgspec.json.decode(answer.data)["created"])
        except (TimeoutError, nats.errors.Error, KeyError) as error:
            raise LogUnavailable(f"the log does not tell of {stream} ({type(error).__name__}); try again") from error

    async def purge_before(self, stream: str, sequence: int, subject: str | None = None) -> None:
        """Forget messages (of one ``subject``) below ``sequence``: they are in the store."""
        try:
            await self._js.purge_stream(stream, seq=sequence, subject=subject)
        except (TimeoutError, nats.errors.Error, APIError) as error:
            raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error

    async def count_on(self, name: str, log: "Log", taken: int) -> None:
        """Number the devices' messages behind ``taken``, the last that ``log`` holds; a stream that is always synced
        does so by itself."""

    async def forget_mqtt(self, sequence: int) -> None:
        """Let the server forget the devices' observations up to ``sequence``: they are in our own streams."""
        await self.purge_before(MQTT_STREAM, sequence + 1, MQTT_IN)

    async def tell(self, subject: str, data: bytes) -> None:
        """Say something to the other processes of the city; who is away does not hear it."""
        await self._client.publish(f"{_SAYINGS}.{subject}", data)

    async def listen(self, subject: str, hear: Callable[[str, bytes], Awaitable[None]]) -> None:
        """Call ``hear`` with the last part of the subject and the data of what others tell under ``subject``."""

        async def heard(message: Msg) -> None:
            await hear(message.subject.rpartition(".")[2], message.data)

        await self._client.subscribe(f"{_SAYINGS}.{subject}.*", cb=heard)

    async def leases(self, me: str, replicas: int, troubles: dict[str, str]) -> Leases:
        """How the processes of the city share its work; with a log of our own, this one does everything."""
        if not self.shared:
            return AllOurs()
        return await SharedLeases.open(self._js, me, replicas, troubles)

    async def mark(self, name: str) -> int:
        """How far a follower has come (``keep_mark``), 0 when it never began."""
        kept = await self.last_of("MARKS", f"civium.marks.{name}")
        return int(kept.data) if kept else 0

    async def keep_mark(self, name: str, sequence: int) -> None:
        """Remember how far a follower has come, for whoever takes over from it."""
        await self.publish("MARKS", str(sequence).encode(), subject=name)

    def tail(self, stream: str, after: int, *, subjects: tuple[str, ...] = (), headers_only: bool = False) -> "Tail":
        """Follow a stream, or some ``subjects`` of it, from the message after sequence ``after``; the data may be left
        out."""
        return Tail(self._client, self._js, stream, after, subjects, headers_only=headers_only, api=self._api)

    def edge(self, name: str) -> "Log":
        """The streams of an edge's own server, as far as it is in reach (see docs/edge.md)."""
        return Log(self._client, self.mqtt, None, name)

    async def read(self, stream: str, after: int = 0, until: int | None = None) -> AsyncIterator[Message]:
        """The messages with ``after < sequence <= until`` (default: all that are stored now), in order."""
        last = (await self._js.stream_info(stream)).state.last_seq if until is None else until
        if last <= after:
            return
        tail = self.tail(stream, after)
        try:
            while True:
                batch = await tail.fetch(1000, 5.0)
                for message in batch:
                    if message.sequence > last:
                        return
                    yield message
                if (batch and batch[-1].sequence >= last) or not batch:
                    return
        finally:
            await tail.close()


def cluster(rest: str) -> tuple[list[str], tuple[str, str]]:
    """The servers of ``//user:password@host:4222,host:4222``, and user and password."""
    login, at, hosts = rest.removeprefix("//").rpartition("@")
    user, colon, password = login.partition(":")
    if not at or not colon or not hosts:
        raise EngineUnsuitable("log", "write nats://user:password@host:4222,host:4222,host:4222")
    return [f"nats://{host}" for host in hosts.split(",")], (unquote(user), unquote(password))
