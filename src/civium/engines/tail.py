"""Follows a stream of the log in order, from a position that its reader keeps."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

_SECOND = 1_000_000_000  # as the server counts [ns]
_HEARTBEAT = "100"  # a message of the server that only says that it is there, once a second
_SILENT_S = 3.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream; ``stored`` is when its server stored it [us since epoch], where that was asked for."""

    sequence: int
    subject: str
    data: bytes
    headers: Mapping[str, str]
    stored: int = 0


class Tail:
    """Follows a stream in order; its position is the caller's, so a crash on either side repeats nothing by itself.

    Built on an ephemeral consumer without acknowledgements that is made again, at the next sequence, when it is lost.
    """

    def __init__(
        self,
        client: Client,
        js: JetStreamContext,
        stream: str,
        after: int,
        subjects: tuple[str, ...],
        *,
        headers_only: bool,
        api: str,
    ) -> None:
        self._client, self._js, self._stream, self._subjects = client, js, stream, subjects
        self._headers_only, self._api = headers_only, api
        self.position = after
        self.shift = 0  # what is added to the stream's own sequences
        self._connection = 0
        self._inbox: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        self._arrival = asyncio.Event()
        self._consumer = ""
        self._credit = 0  # messages that the server still owes to our last request
        self._heard = 0.0  # when the server last sent anything

    async def fetch(self, most: int, timeout: float) -> list[Message]:
        """Up to ``most`` messages: waits ``timeout`` [s] for the first, then takes what is there."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        taken: list[Message] = []
        while True:
            left = deadline - loop.time()
            if left <= 0 and not taken:
                return taken
            try:
                if self._inbox is None or self._connection != self._client.stats["reconnects"]:
                    await self._leave()
                    await self._join()
                assert self._inbox is not None
                if self._credit <= 0:
                    await self._ask(most)
                if taken and not self._arrived and not self._inbox.pending_msgs:
                    return taken
                if not self._arrived:
                    self._arrival.clear()
                    await asyncio.wait_for(self._arrival.wait(), max(min(left, 2.0), 0.001) if not taken else 1.0)
                raw = self._arrived.popleft()
            except TimeoutError:
                if taken:
                    return taken
                if not self._client.is_connected or loop.time() - self._heard > _SILENT_S:
                    await self._leave()  # the node that our consumer was on may be gone
                continue
            except (nats.errors.Error, APIError):
                await self._leave()
                await asyncio.sleep(min(0.1, max(left, 0)))
                continue
            self._heard = loop.time()
            status = (raw.headers or {}).get("Status")
            if status == _HEARTBEAT:
                continue
            if status is not None and not raw.reply:
                self._credit = 0
                if status not in ("404", "408") and "MaxBytes" not in (raw.headers or {}).get("Description", ""):
                    await self._leave()
                if taken:
                    return taken
                continue
            self._credit -= 1
            # the reply subject ends in: delivered . stream sequence . consumer sequence . time . pending
            parts = raw.reply.split(".")
            sequence = int(parts[-4]) + self.shift
            if sequence <= self.position:
                continue
            self.position = sequence
            taken.append(Message(sequence, raw.subject, raw.data, raw.headers or {}, int(parts[-2]) // 1000))
            if len(taken) >= most:
                return taken

    async def close(self) -> None:
        await self._leave()

    async def _join(self) -> None:
        self._connection = self._client.stats["reconnects"]
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(self.position - self.shift, 0) + 1,
            ack_policy=AckPolicy.NONE,
            max_waiting=4,
            inactive_threshold=30.0,
            mem_storage=True,
            filter_subjects=list(self._subjects) or None,
            headers_only=self._headers_only or None,
        )
        self._consumer = (await self._js.add_consumer(self._stream, config)).name
        arrived: deque[Msg] = deque()
        self._arrived = arrived
        arrival = self._arrival = asyncio.Event()

        async def take(message: Msg) -> None:  # half the price of asking the subscription for each
            arrived.append(message)
            arrival.set()

        self._inbox = await self._client.subscribe(
            self._client.new_inbox(), cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._credit = 0

    async def _ask(self, most: int) -> None:
        assert self._inbox is not None
        request = msgspec.json.encode(
            {"batch": most, "expires": 5 * _SECOND, "idle_heartbeat": _SECOND, "max_bytes": 64 * 1024 * 1024}
        )
        self._heard = asyncio.get_running_loop().time()
        await self._client.publish(
            f"{self._api}.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}", request, reply=self._inbox.subject
        )
        self._credit = most

    async def _leave(self) -> None:
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            try:
                await inbox.unsubscribe()
                await self._js.delete_consumer(self._stream, self._consumer)
            except (nats.errors.Error, APIError, TimeoutError):
                return  # a lost consumer ends by itself
