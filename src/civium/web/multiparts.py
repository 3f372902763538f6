"""A batch as ``multipart/mixed`` (OGC 18-088, 11): requests as ``application/http``, those of a change set in a
multipart of their own."""

from collections.abc import Iterator, Sequence
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec

from civium.core import InputRefused
from civium.sources.sensorthings.body import decode_body

MEDIA_TYPE = "multipart/mixed"
_END = "\r\n"


def read_requests(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """The requests of a body in the form of a JSON batch; a part without a Content-ID gets one. Raises InputRefused."""
    whole = _parsed(f"Content-Type: {content_type}{_END * 2}".encode("latin-1", "replace") + body)
    if not whole.is_multipart():
        raise InputRefused("the body is no batch: it is not divided by the boundary that its Content-Type names")
    return list(_requests(whole, ""))


def write_responses(responses: Sequence[dict[str, Any]], requests: Sequence[dict[str, Any]]) -> tuple[bytes, str]:
    """The body of the answer and its media type: a part for each request, and one for each change set."""
    boundary = f"batch_{uuid4().hex}"
    told: list[str] = []
    last = ""
    for response, request in zip(responses, requests, strict=True):
        group = request.get("atomicityGroup", "")
        if last and group != last:
            told.append(f"--{last}--")
        if group and group != last:
            told += [f"--{boundary}", f"Content-Type: {MEDIA_TYPE}; boundary={group}", ""]
        last = group
        told += [f"--{group or boundary}", *_part(response)]
    told += ([f"--{last}--"] if last else []) + [f"--{boundary}--", ""]
    return _END.join(told).encode(), f"{MEDIA_TYPE}; boundary={boundary}"


def _part(response: dict[str, Any]) -> list[str]:
    status, headers = response["status"], response.get("headers", {})
    body = response.get("body")
    text = body if isinstance(body, str) else "" if body is None else msgspec.json.encode(body).decode()
    return [
        "Content-Type: application/http",
        f"Content-ID: {response['id']}",
        "",
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name.title()}: {value}" for name, value in headers.items()),
        *(["Content-Type: application/json"] if text else []),
        "",
        text,
    ]


def _requests(whole: EmailMessage, group: str) -> Iterator[dict[str, Any]]:
    for place, part in enumerate(whole.iter_parts()):
        assert isinstance(part, EmailMessage)
        name = f"{group}.{place}" if group else f"part{place}"
        if part.is_multipart():
            if group:
                raise InputRefused("a change set cannot hold another")
            yield from _requests(part, f"set{place}")
            continue
        identity = (part.get("Content-ID") or name).strip("<> ")
        yield _request(part, identity, group)


def _request(part: EmailMessage, identity: str, group: str) -> dict[str, Any]:
    if part.get_content_type() != "application/http":
        raise InputRefused(f"part '{identity[:40]}' is {part.get_content_type()}; it must be application/http")
    content: Any = part.get_payload(decode=True) or b""
    line, _, rest = content.lstrip().partition(b"\n")
    words = line.decode("latin-1").split()
    if not 2 <= len(words) <= 3:
        raise InputRefused(f"part '{identity[:40]}' begins with no request such as 'GET Things HTTP/1.1'")
    inner = _parsed(rest)
    body: Any = inner.get_payload(decode=True) or b""
    told = {"id": identity, "method": words[0].upper(), "url": words[1], "headers": dict(inner.items())}
    if body.strip():
        told["body"] = decode_body(body)
    return told | ({"atomicityGroup": group} if group else {})


def _parsed(data: bytes) -> EmailMessage:
    try:
        return BytesParser(policy=policy.HTTP).parsebytes(data)
    except (LookupError, ValueError, RecursionError, AttributeError) as error:
        raise InputRefused(f"the body is no batch: {error}") from None
