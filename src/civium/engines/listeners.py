"""Which topics somebody listens to at this moment, as the servers of the log tell it."""

from collections.abc import Iterator
from typing import Protocol

import msgspec
import nats.errors
from nats.aio.client import Client

_ASK = "$SYS.REQ.ACCOUNT.PING.CONNZ"  # what any user may ask about its own account; each server answers
_TOPICS = "v1//1."
_MOST = 65_536  # connections with a subscription, of one server
_FIRST_S, _NEXT_S = 2.0, 0.15
_QUESTION = msgspec.json.encode({"subscriptions": True, "filter_subject": _TOPICS + ">", "limit": _MOST})


class _Connection(msgspec.Struct):
    subscriptions_list: list[str] = []


class _Connections(msgspec.Struct):
    connections: list[_Connection] = []


class _Answer(msgspec.Struct):
    data: _Connections


_DECODER = msgspec.json.Decoder(_Answer)


class Public(Protocol):
    """Where subscribers are: a connection to the servers of one account."""

    @property
    def client(self) -> Client: ...

    @property
    def shared(self) -> bool: ...


async def topics(client: Client, *, several: bool) -> set[str]:
    """The topics, as subjects behind ``v1//1.``, with the wildcards of NATS; ``several`` servers may answer.

    Empty where no server answers.
    """
    found: set[str] = set()
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    try:
        await client.publish(_ASK, _QUESTION, reply=inbox)
        patience = _FIRST_S
        while True:
            answer = await answers.next_msg(timeout=patience)
            found.update(_heard(answer.data))
            if not several:
                break
            patience = _NEXT_S
    except (TimeoutError, nats.errors.Error):
        pass  # the servers that are there have answered
    finally:
        await answers.unsubscribe()
    return found


def _heard(data: bytes) -> Iterator[str]:
    try:
        told = _DECODER.decode(data)
    except msgspec.DecodeError:
        return
    for connection in told.data.connections:
        for subject in connection.subscriptions_list:
            if subject.startswith(_TOPICS):
                yield subject.removeprefix(_TOPICS)
