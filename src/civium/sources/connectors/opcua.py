"""OPC UA: nodes of plants and pumping stations, subscribed to; each value with its status and its source's time."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from civium.core import from_datetime
from civium.core.extras import require
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import Field, Item, Secret, Sink, Source, SourceSettings, SourceTrouble

_MOST_WAITING = 10_000  # values in memory
_MOST_TOGETHER = 500
_SECURITY = ("Basic256Sha256", "SignAndEncrypt", "certificate.der", "key.pem", "server.der")


class Node(Field, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value by the id of its node: ``ns=2;s=Pump1.Flow``."""

    node: str


class OpcUaSettings(SourceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url`` is ``opc.tcp://host:4840/path``."""

    fields: tuple[Node, ...] = ()
    user: str = ""
    password: Secret | None = None
    security: str = ""  # Basic256Sha256,SignAndEncrypt,certificate.der,key.pem,server.der
    sampling_ms: float = 1000.0  # how often the server looks at a node [ms]
    queue: int = 100  # changes of a node that the server keeps until they are fetched
    timeout_s: float = 10.0  # for each answer [s]


def check(settings: OpcUaSettings) -> None:
    """Raises SettingsWrong for another scheme, and for security that would trust any server."""
    if not settings.url.startswith("opc.tcp://"):
        raise SettingsWrong(f"url is '{settings.url}'; write opc.tcp://host:4840/path")
    if settings.security and len(settings.security.split(",")) != len(_SECURITY):
        raise SettingsWrong(f"security must be {','.join(_SECURITY)}: the last is the certificate that the server has")


async def run(settings: OpcUaSettings, sink: Sink) -> None:
    """Take what changes until the connection is lost, which raises SourceTrouble."""
    asyncua, subscription = require("asyncua", "plants"), require("asyncua.common.subscription", "plants")
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lose(why: str) -> None:
        if not lost.done():
            lost.set_exception(SourceTrouble(why))
            lost.exception()  # looked at: nobody may be waiting any more

    async def connection_lost(error: Exception) -> None:
        lose(f"the connection was lost: {error or type(error).__name__}")

    client = asyncua.Client(settings.url, timeout=settings.timeout_s)
    client.connection_lost_callback = connection_lost
    try:
        if settings.user:
            client.set_user(settings.user)
            client.set_password(settings.password.reveal() if settings.password else "")
        if settings.security:
            await client.set_security_string(settings.security)
        await client.connect()
    except (OSError, TimeoutError, ValueError, asyncua.ua.UaError) as error:
        raise SourceTrouble(f"no OPC UA server lets us in at {settings.url}: {error or type(error).__name__}") from None
    try:
        changes = await client.create_subscription(
            settings.sampling_ms,
            queue_maxsize=_MOST_WAITING,
            overflow=subscription.OverflowPolicy.DISCONNECT,
        )
        changes.set_overflow_disconnect_handler(lambda: lose("values come faster than the log takes them"))
        async with changes:
            fields = await _subscribe(client, changes, settings, asyncua.ua)
            while True:
                events = await _next(changes, lost)
                await _take(events, fields, sink, asyncua.ua)
    except (OSError, TimeoutError, asyncua.ua.UaError) as error:
        raise SourceTrouble(f"the OPC UA server at {settings.url}: {error or type(error).__name__}") from None
    finally:
        await _leave(client, settings.timeout_s)


async def _subscribe(client: Any, changes: Any, settings: OpcUaSettings, ua: Any) -> dict[str, list[Node]]:
    """Ask for every node; the fields by node. Raises SourceTrouble that names the nodes that there are not."""
    fields: dict[str, list[Node]] = {}
    nodes = []
    for field in settings.fields:
        node = client.get_node(field.node)
        fields.setdefault(node.nodeid.to_string(), []).append(field)
        nodes.append(node)
    unique = list({node.nodeid.to_string(): node for node in nodes}.values())
    handles = await changes.subscribe_data_change(
        unique, queuesize=settings.queue, sampling_interval=settings.sampling_ms
    )
    refused = [node for node, handle in zip(unique, handles, strict=True) if isinstance(handle, ua.StatusCode)]
    if refused:
        raise SourceTrouble(f"there is no node {', '.join(node.nodeid.to_string() for node in refused)}")
    return fields


async def _next(changes: Any, lost: "asyncio.Future[None]") -> list[Any]:
    """The events that are there, at least one; raises SourceTrouble when the connection is lost."""
    while True:
        wanted = asyncio.ensure_future(changes.next_event())
        try:
            await asyncio.wait([wanted, lost], return_when=asyncio.FIRST_COMPLETED)
            if not wanted.done():
                lost.result()
            events = [wanted.result()]
        except StopAsyncIteration:
            raise SourceTrouble("the server ended the subscription") from None
        finally:
            wanted.cancel()
        while len(events) < _MOST_TOGETHER and (more := await changes.next_event(timeout=0.001)) is not None:
            events.append(more)
        return events


async def _take(events: Sequence[Any], fields: dict[str, list[Node]], sink: Sink, ua: Any) -> None:
    items: list[Item] = []
    for event in events:
        if not hasattr(event, "data"):
            continue  # what becomes of the subscription itself
        told = event.data.monitored_item.Value
        node = event.node.nodeid.to_string()
        time = told.SourceTimestamp or told.ServerTimestamp
        instant = None if time is None else from_datetime(time if time.tzinfo else time.replace(tzinfo=UTC))
        if not told.StatusCode.is_good():
            why = f"node {node} has the status {told.StatusCode.name}"
            await sink.refuse(f'{{"node": "{node}", "time": "{time}"}}'.encode(), why, node)
            continue
        try:
            said = {"node": node, "value": _plain(event.value, ua)}
        except TypeError as error:
            await sink.refuse(f'{{"node": "{node}", "time": "{time}"}}'.encode(), f"node {node} holds {error}", node)
            continue
        identity = f"{node}/{instant}" if told.SourceTimestamp is not None else ""
        items += [Item(said, instant, identity=identity, field=field) for field in fields.get(node, ())]
    await sink.put(items)


def _plain(value: Any, ua: Any) -> Any:
    """A value as JSON knows it; raises TypeError for one that has no such form."""
    if isinstance(value, list | tuple):
        return [_plain(one, ua) for one in value]
    if isinstance(value, Enum):  # asyncua's are numbers too
        return value.value
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__}, which is no number, text, truth or list of these")


async def _leave(client: Any, patience: float) -> None:
    try:
        await asyncio.wait_for(client.disconnect(), patience)
    except Exception:  # the connection is gone already; whatever the library says of it
        return


SOURCE = Source("opcua", OpcUaSettings, run=run, check=check)
