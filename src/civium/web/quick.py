"""HTTP for single Observations without the framework: one parse, one decode, one write for each.

uvicorn's protocol takes every request that is not exactly the plain one: another path, a query string, a header that
means something (``Transfer-Encoding``, ``Expect``, ``X-Forwarded-*``), a body that is long or comes late, a host that
must be looked at. What is answered here is decided by the functions that the routes use too.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.server import ServerState

from civium.core import CiviumError
from civium.core.rights import Caller
from civium.engines.catalog import COMPLEX
from civium.engines.passing import PASSING
from civium.engines.rights import Rights
from civium.sources.intake import Intake
from civium.sources.sensorthings.features import needs_place
from civium.sources.sensorthings.observations import InlineEntity, decode_reading, is_array
from civium.web.doors import key_of, most_bytes, put_off, refusal
from civium.web.heads import BoundedHeads
from civium.web.identity import bearer
from civium.web.posts import LONGEST, is_there, observations_of
from civium.web.rules import Need, meets

_START = re.compile(rb"POST /v1\.1/(?:Datastreams\(([0-9]{1,18})\)/)?Observations HTTP/1\.1\r\n")
_HOST = re.compile(rb"([a-z0-9.-]+)(?::[0-9]{1,5})?")
_WANTED = (b"content-length", b"host", b"idempotency-key", b"authorization")
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?")
_LONGEST_HEAD = 4_096  # byte
_DIGITS = 5  # of a body's length
_TOUCHY = (
    *(b"transfer-", b"expect", b"upgrade", b"te", b"trailer", b"x-forwarded-", b"forwarded", b"connection"),
    *(b"cookie", b"origin", b"sec-fetch-"),  # of a browser
)
_MOST_ANSWERS = 32  # that a connection may wait for; then it is not read on
_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, slots=True)
class _Head:
    length: int
    host: bytes
    key: bytes
    authorization: bytes


class QuickPosts(BoundedHeads):
    """A connection. Plain POSTs of one Observation are answered here, all else by the framework, each in its turn."""

    _stamp: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")  # uvicorn's own headers, and an answer's beginning

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], **kept: Any) -> None:
        super().__init__(config, server_state, app_state, **kept)
        assert isinstance(config.app, FastAPI)
        self._site = config.app.state
        self._held = b""  # a request that is not whole yet, or what must wait for our answers
        self._inside = False  # uvicorn has had the beginning of a request and not its end
        self._answers: deque[tuple[asyncio.Future[int] | bytes, bytes]] = deque()  # with what stands before the id
        self._closing = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._held:
            data, self._held = self._held + data, b""
        while data and self._is_between():
            length = self._take(data)
            if length < 0:
                self._held = data
                return
            if length == 0:
                break
            data = data[length:]
        if data and self._answers:  # uvicorn must not answer before us
            self._held = data
            self.flow.pause_reading()
        elif data:
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._inside = False
        super().on_message_complete()

    def shutdown(self) -> None:
        if self._answers:
            self._closing = True
        else:
            super().shutdown()

    def _is_between(self) -> bool:
        """Whether the next byte begins a request that may be answered at once."""
        quiet = self.cycle is None or self.cycle.response_complete
        return quiet and not self._inside and not self.pipeline and len(self._answers) < _MOST_ANSWERS

    def _take(self, data: bytes) -> int:
        """The length of the request that was taken from the beginning; 0: it is not ours, -1: it is not whole yet."""
        start = _START.match(data)
        if start is None:
            return 0
        end = data.find(b"\r\n\r\n", start.end())
        if end < 0:
            return -1 if len(data) < _LONGEST_HEAD else 0
        head = _read_head(data[start.end() : end])
        if head is None or head.length > most_bytes(self._site.city):
            return 0
        base = _base(self.scheme or "http", head.host, self._site.hosts)
        length = end + 4 + head.length
        if base is None or len(data) < length:
            return 0 if base is None else -1
        caller = self._writer(head.authorization)
        if caller is None:
            return 0
        body = data[end + 4 : length]
        intake: Intake = self._site.city.intake
        stream = int(start[1]) if start[1] else None
        try:
            if is_array(body) or (stream is not None and not is_there(self._site.city.catalog, "Datastream", stream)):
                return 0
            reading = decode_reading(body, stream, key_of(head.key))
            if not self._site.city.rights.writable(caller).holds(reading.stream):
                return 0  # no such stream, or not for this sender
            if self._site.city.catalog.streams.value_type[reading.stream] == COMPLEX:
                return 0  # perhaps sent to a Datastream
            if reading.feature is not None and not self._site.city.rights.readable(caller).everything:
                return 0  # it must be one that the sender may know of
            if needs_place(reading, self._site.city.catalog):
                return 0
            if reading.key and not intake.remembers_all:
                return 0
            stored: asyncio.Future[int] | bytes = intake.offer(reading)
        except InlineEntity:
            return 0
        except CiviumError as error:
            stored = self._refusal(error)
        self._answers.append((stored, base))
        if isinstance(stored, bytes):
            self._answer()
        else:
            stored.add_done_callback(self._answer)
        return length

    def _writer(self, authorization: bytes) -> Caller | None:
        """The sender, if it may write at all and need not be counted; else the framework says what is wrong."""
        rights: Rights = self._site.city.rights
        caller: Caller | None = rights.public
        if authorization:
            secret = bearer(authorization)
            caller = None if secret is None else rights.caller(secret)
        if caller is None or caller.rate or self._site.city.settings.rights.requests_per_s:
            return None
        return caller if meets(caller, Need.WRITER) else None

    def _answer(self, _: object = None) -> None:
        """Write the answers that are due, in the order of the requests."""
        written: list[bytes] = []
        while self._answers:
            stored, base = self._answers[0]
            if isinstance(stored, bytes):
                written.append(stored)
            elif stored.done():
                error = stored.exception()
                if error is None:
                    written.append(b"%b%b%d)\r\n\r\n" % (self._created(), base, stored.result()))
                else:
                    written.append(self._refusal(error))
            else:
                break
            self._answers.popleft()
        self.server_state.total_requests += len(written)
        if not written or self.transport.is_closing():
            return
        self.transport.write(b"".join(written))
        if self._answers:
            return
        if self._closing:
            self.transport.close()
            return
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if self._held:
            self.loop.call_soon(self.data_received, b"")

    def _created(self) -> bytes:
        """The beginning of the answer to what was stored."""
        if QuickPosts._stamp[0] is not self.server_state.default_headers:
            own = self.server_state.default_headers
            head = _status_line(201) + _fields(own) + b"content-length: 0\r\nlocation: "
            QuickPosts._stamp = (own, head)
        return QuickPosts._stamp[1]

    def _refusal(self, error: BaseException) -> bytes:
        if isinstance(error, CiviumError):
            answer = refusal(error)
        elif isinstance(error, PASSING):
            answer = put_off(error)
        else:
            _log.error("a POST of an Observation failed", exc_info=error)
            answer = Response("Internal Server Error", 500, media_type="text/plain")
        fields = _fields(self.server_state.default_headers) + _fields(answer.raw_headers)
        return b"%b%b\r\n%b" % (_status_line(answer.status_code), fields, bytes(answer.body))


def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in headers)


@lru_cache(maxsize=1024)  # what a device sends differs in its body, seldom in its head
def _read_head(block: bytes) -> _Head | None:
    """The header fields of a plain request; None where one is missing, stands twice, or may mean something else."""
    named: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name, value = field[1].lower(), field[2] or b""
        if name == b"connection" and value.lower() == b"keep-alive":
            continue
        if name.startswith(_TOUCHY):
            return None
        if name in _WANTED:
            if name in named:
                return None
            named[name] = value
    length = named.get(b"content-length", b"")
    if b"host" not in named or not length.isdigit() or len(length) > _DIGITS or int(length) > LONGEST:
        return None
    key, authorization = (named.get(name, b"") for name in (b"idempotency-key", b"authorization"))
    return _Head(int(length), named[b"host"], key, authorization)


@lru_cache(maxsize=64)
def _base(scheme: str, host: bytes, allowed: frozenset[str]) -> bytes | None:
    """What stands before the id in a link to an Observation; None for a host that must be looked at."""
    named = _HOST.fullmatch(host)
    return None if named is None or named[1].decode() not in allowed else observations_of(scheme, host)
