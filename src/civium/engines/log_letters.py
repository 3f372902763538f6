"""Letters in the log: messages that could not be taken in, kept with the reason until someone acts on them.

``DEAD`` holds what failed validation at a door that cannot answer; its oldest give way after 100,000. ``POISON`` holds
what was accepted and could not be folded into the store; nothing there gives way.
"""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import nats.errors
from nats.js.errors import APIError

from civium.engines.log import Log, LogUnavailable

STREAMS = ("DEAD", "POISON")
_PATIENCE_S = 20.0


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message that could not be taken in: through which ``door``, on which ``topic``, ``why``, and its ``body``.

    ``raw`` is the body in base64 where it is no text. ``at`` [us since epoch, city clock] is when it came; ``origin``
    the sequence of the letter that it was at first, and ``tries`` how often it was tried again.
    """

    door: str
    topic: str
    why: str
    body: str = ""
    raw: str = ""
    at: int = 0
    origin: int = 0
    tries: int = 0

    @property
    def data(self) -> bytes:
        """The message as it came."""
        return base64.b64decode(self.raw) if self.raw else self.body.encode()


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter where it lies now."""

    stream: str
    sequence: int
    letter: Letter

    @property
    def origin(self) -> int:
        return self.letter.origin or self.sequence


def written(door: str, topic: str, why: str, data: bytes, at: int) -> bytes:
    """A letter as a message of the log."""
    try:
        return msgspec.json.encode(Letter(door, topic, why, body=data.decode(), at=at))
    except UnicodeDecodeError:
        return msgspec.json.encode(Letter(door, topic, why, raw=base64.b64encode(data).decode(), at=at))


async def read(log: Log, stream: str) -> AsyncIterator[Kept]:
    """The letters of a stream, oldest first."""
    last = await log.last_of(stream, f"civium.{stream.lower()}.>")
    if last is not None:
        async for message in log.read(stream, 0, last.sequence):
            yield Kept(stream, message.sequence, msgspec.json.decode(message.data, type=Letter))


async def remove(log: Log, kept: Kept) -> None:
    """Forget a letter; one that is gone already is no matter."""
    try:
        await log.client.jetstream(timeout=_PATIENCE_S).delete_msg(kept.stream, kept.sequence)
    except APIError as error:
        if error.err_code != 10043:  # no such message
            raise LogUnavailable(f"the log did not remove a letter: {error.description}") from error
    except (TimeoutError, nats.errors.Error) as error:
        raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error


async def count(log: Log, stream: str) -> int:
    """How many messages a stream holds now."""
    return int((await state(log, stream))["messages"])


async def state(log: Log, stream: str, subjects: str = "") -> dict[str, Any]:
    """What the server says of a stream: ``messages``, ``bytes``, ``first_seq``, ``last_seq`` ...; with a filter for
    ``subjects`` also how many messages each of these has."""
    wish = msgspec.json.encode({"subjects_filter": subjects} if subjects else {})
    try:
        answer = await log.client.request(f"$JS.API.STREAM.INFO.{stream}", wish, timeout=_PATIENCE_S)
    except (TimeoutError, nats.errors.Error) as error:
        raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error
    told = msgspec.json.decode(answer.data)
    if "error" in told:
        raise LogUnavailable(f"the log knows no stream {stream}: {told['error'].get('description')}")
    return dict(told["state"])
