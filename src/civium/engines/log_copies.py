"""Copies of log streams: taken while the log runs, put back into a log whose own streams are still empty.

A copy is one line of JSON (what the server says of the stream) and then the server's own snapshot of it, which keeps
every message with its sequence, its instant and its key.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError

from civium.core import CiviumError
from civium.engines.log import Log, LogUnavailable

_CHUNK = 512 * 1024
_PATIENCE_S = 60.0


class CopyDamaged(CiviumError):
    """The log does not take a copy back. Use another backup."""


async def take(log: Log, stream: str) -> AsyncIterator[bytes]:
    """A stream as it is now, in pieces; the first is the line of JSON. Raises LogUnavailable when it breaks off."""
    client, inbox = log.client, log.client.new_inbox()
    pieces = await client.subscribe(inbox, pending_msgs_limit=-1, pending_bytes_limit=-1)
    try:
        order = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK}
        told = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", order)
        yield msgspec.json.encode({"config": told["config"], "state": told["state"]}) + b"\n"
        while True:
            piece = await pieces.next_msg(timeout=_PATIENCE_S)
            if not piece.data:
                status = (piece.headers or {}).get("Status", "204")
                if status != "204":
                    why = (piece.headers or {}).get("Description", "")
                    raise LogUnavailable(f"the copy of {stream} broke off ({status} {why}); try again")
                return
            yield piece.data
            if piece.reply:  # the server sends a few pieces ahead of our answers
                await client.publish(piece.reply)
    except (TimeoutError, nats.errors.Error) as error:
        raise LogUnavailable(f"the copy of {stream} broke off ({type(error).__name__}); try again") from error
    finally:
        await pieces.unsubscribe()


def state_of(line: bytes) -> dict[str, Any]:
    """What the first line of a copy says of the stream: ``messages``, ``bytes``, ``first_seq``, ``last_seq`` ..."""
    state: dict[str, Any] = msgspec.json.decode(line)["state"]
    return state


async def put_back(log: Log, stream: str, copy: BinaryIO) -> dict[str, Any]:
    """Put a copy in the place of an empty stream, with the settings that the stream has in this log; its state then.

    Raises CopyDamaged when the stream holds messages already, or the log does not take the copy.
    """
    client = log.client
    here = await _ask(client, f"$JS.API.STREAM.INFO.{stream}", {})
    if here["state"]["messages"]:
        raise CopyDamaged(f"the log stream {stream} is not empty; restore into a new folder")
    state = state_of(copy.readline())
    await _ask(client, f"$JS.API.STREAM.DELETE.{stream}", {})
    to = await _ask(client, f"$JS.API.STREAM.RESTORE.{stream}", {"config": here["config"], "state": state})
    while piece := await asyncio.to_thread(copy.read, _CHUNK):
        answer = await client.request(to["deliver_subject"], piece, timeout=_PATIENCE_S)
        if answer.data:
            raise CopyDamaged(f"the log does not take the copy of {stream}: {answer.data.decode()[:200]}")
    restored: dict[str, Any] = (await _ask(client, to["deliver_subject"], None))["state"]
    wanted = ("messages", "last_seq")
    if any(restored[name] < state[name] for name in wanted):
        told = ", ".join(f"{name} {restored[name]} of {state[name]}" for name in wanted)
        raise CopyDamaged(f"the copy of the log stream {stream} came back short: {told}")
    await log.refresh(stream)
    return restored


async def _ask(client: Client, subject: str, body: dict[str, Any] | None) -> dict[str, Any]:
    data = msgspec.json.encode(body) if body is not None else b""
    try:
        answer = await client.request(subject, data, timeout=_PATIENCE_S)
    except (TimeoutError, nats.errors.Error, APIError) as error:
        raise LogUnavailable(f"the log did not answer ({type(error).__name__}); try again") from error
    told: dict[str, Any] = msgspec.json.decode(answer.data)
    if "error" in told:
        raise CopyDamaged(f"the log refused '{subject}': {told['error'].get('description', told['error'])}")
    return told
