"""Subscribes to an existing MQTT broker and acknowledges a message only when the log has its readings.

The session is kept by the broker, so that it holds what comes while the city is away. While the log is away nothing
more is taken from the socket: the broker keeps it.
"""

import asyncio
import concurrent.futures
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import Item, Secret, Sink, SourceSettings, SourceTrouble, Unreadable

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
_PATIENCE_S = 10.0
_MOST_WAITING = 1_000  # messages in memory
_MOST_TOGETHER = 500  # messages that are stored together


class BrokerSettings(SourceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every kind that comes through an MQTT broker may be told."""

    topics: tuple[str, ...] = ()
    user: str = ""
    password: Secret | None = None
    version: str = "3.1.1"  # of MQTT: 3.1.1 or 5
    qos: int = 1
    retained: bool = False  # take values that the broker retains: nobody knows how old they are
    ca: str = ""  # file of the authority that signed the broker's certificate; empty: the system's
    keepalive_s: int = 60
    session_s: int = 7 * 86400  # how long an MQTT 5 broker is asked to keep the session [s]


Read = Callable[[str, bytes], Sequence[Item]]


async def subscribe(settings: BrokerSettings, sink: Sink, topics: Sequence[str], read: Read) -> None:
    """Take messages of ``topics`` until the connection is lost, which raises SourceTrouble.

    ``read`` makes items of a topic and a payload; what it cannot read (Unreadable) becomes a dead letter.
    """
    connection = _Connection(settings, sink.name, topics, asyncio.get_running_loop())
    try:
        await asyncio.to_thread(connection.start)
        await connection.ready()
        sink.well()
        while True:
            mail = await connection.mail()
            items, unread = await asyncio.to_thread(_read, read, mail)
            await sink.put(items)
            for message, why in unread:
                await sink.refuse(bytes(message.payload), why, message.topic)
            for message in mail:
                connection.acknowledge(message)
    finally:
        await asyncio.to_thread(connection.stop)


def check(settings: BrokerSettings) -> None:
    """Raises SettingsWrong for an address, a version or a quality of service that there is not."""
    _address(settings.url)
    if settings.version not in _VERSIONS or settings.qos not in (0, 1, 2):
        raise SettingsWrong("version is '3.1.1' or '5', and qos is 0, 1 or 2")


def _address(url: str) -> tuple[str, str, int]:
    try:
        address = urlsplit(url)
        if address.scheme in _PORTS and address.hostname:
            return address.scheme, address.hostname, address.port or _PORTS[address.scheme]
    except ValueError:  # a port that is none
        pass
    raise SettingsWrong(f"url is '{url}'; write mqtt://host:1883 or mqtts://host:8883")


def _read(read: Read, mail: Sequence[paho.MQTTMessage]) -> tuple[list[Item], list[tuple[paho.MQTTMessage, str]]]:
    items: list[Item] = []
    unread: list[tuple[paho.MQTTMessage, str]] = []
    for message in mail:
        try:
            items += read(message.topic, bytes(message.payload))
        except Unreadable as error:
            unread.append((message, str(error)))
    return items, unread


class _Connection:
    """One connection to the broker, in a thread of paho's; it is not used again once it was lost."""

    def __init__(self, settings: BrokerSettings, name: str, topics: Sequence[str], loop: Any) -> None:
        self._settings, self._topics, self._loop = settings, topics, loop
        scheme, self._host, self._port = _address(settings.url)
        self._mail: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue(_MOST_WAITING)
        self._lost: asyncio.Future[None] = loop.create_future()
        self._subscribed = asyncio.Event()
        self._stopped = threading.Event()
        five = settings.version == "5"
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else False,
            protocol=_VERSIONS[settings.version],
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if settings.user:
            client.username_pw_set(settings.user, settings.password.reveal() if settings.password else None)
        if scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context(cafile=settings.ca or None))
        client.connect_timeout = _PATIENCE_S
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._granted, self._came

    def start(self) -> None:
        """Connect, from a thread; raises SourceTrouble."""
        more: dict[str, Any] = {}
        if self._settings.version == "5":
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types there
            asked.SessionExpiryInterval = self._settings.session_s
            asked.ReceiveMaximum = _MOST_TOGETHER
            more = {"clean_start": False, "properties": asked}
        try:
            self._client.connect(self._host, self._port, self._settings.keepalive_s, **more)
        except (OSError, ValueError) as error:
            raise SourceTrouble(
                f"no MQTT broker at {self._host}:{self._port}: {error or type(error).__name__}"
            ) from None
        self._client.loop_start()

    def stop(self) -> None:
        """Close the connection, from a thread; the broker keeps what was not acknowledged."""
        self._stopped.set()
        self._client.disconnect()
        self._client.loop_stop()

    async def ready(self) -> None:
        """Wait until the topics are ours; raises SourceTrouble."""
        await self._first(self._subscribed.wait(), _PATIENCE_S)

    async def mail(self) -> list[paho.MQTTMessage]:
        """The messages that are there, at least one; raises SourceTrouble when the connection is lost."""
        mail = [await self._first(self._mail.get(), None)]
        while len(mail) < _MOST_TOGETHER and not self._mail.empty():
            mail.append(self._mail.get_nowait())
        return mail

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """Tell the broker that it may forget a message."""
        if message.qos and not self._lost.done():
            self._client.ack(message.mid, message.qos)

    async def _first(self, wanted: Any, patience: float | None) -> Any:
        """What is wanted, unless the connection is lost first or nothing comes in time."""
        task = asyncio.ensure_future(wanted)
        try:
            await asyncio.wait([task, self._lost], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
        if self._lost.done():
            self._lost.result()
        raise SourceTrouble(f"the broker at {self._host}:{self._port} does not answer")

    def _connected(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._fail(f"the broker does not let us in: {reason}")
        else:
            client.subscribe([(topic, self._settings.qos) for topic in self._topics])

    def _granted(self, client: paho.Client, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        refused = [topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure]
        if refused:
            self._fail(f"the broker does not let us read {', '.join(refused)}")
        else:
            self._tell(self._subscribed.set)

    def _disconnected(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._fail(f"the connection to the broker was lost: {reason}")

    def _came(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        """In paho's thread: while the queue is full nothing more is read from the socket."""
        if message.retain and not self._settings.retained:
            if message.qos:
                client.ack(message.mid, message.qos)
            return
        if self._stopped.is_set():
            return
        waiting = asyncio.run_coroutine_threadsafe(self._mail.put(message), self._loop)
        while not self._stopped.is_set():
            try:
                waiting.result(timeout=0.2)
                return
            except concurrent.futures.TimeoutError:
                continue
        waiting.cancel()

    def _fail(self, why: str) -> None:
        def lose() -> None:
            if not self._lost.done():
                self._lost.set_exception(SourceTrouble(why))
                self._lost.exception()  # looked at: nobody may be waiting any more

        self._tell(lose)

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)
