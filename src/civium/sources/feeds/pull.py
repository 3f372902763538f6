"""Fetches over HTTP on a schedule: what has not changed is not fetched again, and each answer is bounded."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

import httpx
import msgspec

from civium import __version__
from civium.core import MICROSECONDS, to_datetime
from civium.sources.feeds.source import Item, Secret, Sink, SourceSettings, SourceTrouble, Unreadable

_SINCE = "{since}"
_WEEK_S = 7 * 86400.0
_LONGEST_OVERLAP_S = 100 * 366 * 86400.0
_SECRET = ("authorization", "proxy-authorization", "cookie", "x-api-key")


class PullSettings(SourceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every kind that is fetched over HTTP may be told."""

    every_s: float = 300.0  # how often it is fetched [s]
    timeout_s: float = 30.0  # the longest that one fetch may take [s]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    secret_headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    secret_params: dict[str, Secret] = msgspec.field(default_factory=dict)  # such as an API key in the query
    overlap_s: float = _WEEK_S  # items older than the newest one taken by more than this were taken before [s]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.overlap_s <= _LONGEST_OVERLAP_S:
            raise ValueError(f"overlap_s is {self.overlap_s:g}; it is 0 to {_LONGEST_OVERLAP_S:g}")
        if plain := [name for name in self.headers if name.lower() in _SECRET]:
            raise ValueError(f"'{plain[0]}' is a secret: write secret_headers = {{ {plain[0]} = 'env:NAME' }}")


_Settings = TypeVar("_Settings", bound=PullSettings)


async def pull(
    settings: _Settings,
    sink: Sink,
    read: Callable[[_Settings, bytes], Sequence[Item]],
    *,
    ordered: bool = False,
    afresh: bool = False,
) -> None:
    """Fetch ``settings.url`` again and again, and put what ``read`` finds in it.

    ``ordered``: items whose time lies ``overlap_s`` before the newest that was taken are known. ``afresh``: what has
    not changed is fetched all the same, since it says another thing another day. A fetch that has been stored leaves
    its ETag and the newest time as the cursor, so that neither a restart nor a repeat doubles anything. With other
    settings the same answer may hold more; at another address nothing is known.
    """
    loop = asyncio.get_running_loop()
    of = {"url": settings.url, "settings": sha256(repr(settings).encode()).hexdigest()}
    cursor = await sink.cursor()
    if cursor.get("url", settings.url) != settings.url:
        cursor = {}
    elif cursor.get("settings", "") != of["settings"]:
        cursor = {"newest": cursor.get("newest", 0)}
    headers = {"User-Agent": f"civium/{__version__}", **settings.headers}
    headers |= {name: secret.reveal() for name, secret in settings.secret_headers.items()}
    params = {name: secret.reveal() for name, secret in settings.secret_params.items()}
    redirected = not settings.secret_headers and not params  # a secret goes nowhere else
    async with httpx.AsyncClient(headers=headers, follow_redirects=redirected, timeout=settings.timeout_s) as client:
        while True:
            due = loop.time() + settings.every_s
            newest = min(int(cursor.get("newest", 0)), sink.now())  # not beyond what can have been told by now
            known_until = newest - int(settings.overlap_s * MICROSECONDS) if newest and ordered else None
            url = settings.url
            if _SINCE in url:
                url = url.replace(_SINCE, to_datetime(max(known_until or 0, 0)).strftime("%Y-%m-%dT%H:%M:%SZ"))
            found = await _fetch(client, url, params, settings, {} if afresh else cursor)
            if found is not None:
                body, told = found
                try:
                    items = await asyncio.to_thread(read, settings, body)
                except Unreadable as error:
                    raise SourceTrouble(f"what it answers cannot be read: {error}") from None
                newest = max(newest, min(await sink.put(items, since=known_until), sink.now()))
                cursor = {**told, **of, "newest": newest}
                await sink.keep_cursor(cursor)
            sink.well()
            await asyncio.sleep(max(due - loop.time(), 0.0))


async def _fetch(
    client: httpx.AsyncClient, url: str, params: dict[str, str], settings: PullSettings, cursor: dict[str, Any]
) -> tuple[bytes, dict[str, str]] | None:
    """The body and what to ask with next time; None when nothing has changed. Raises SourceTrouble."""
    asked = {"If-None-Match": cursor.get("etag", ""), "If-Modified-Since": cursor.get("modified", "")}
    conditions = {name: value for name, value in asked.items() if value}
    most = int(settings.max_body_mb * 1024 * 1024)
    body = bytearray()
    try:
        async with (
            asyncio.timeout(settings.timeout_s),
            client.stream("GET", _with(url, params), headers=conditions) as response,
        ):
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if response.status_code != httpx.codes.OK:
                raise SourceTrouble(f"it answers {response.status_code} {response.reason_phrase}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > most:
                    raise SourceTrouble(f"it answers more than max_body_mb = {settings.max_body_mb:g}")
            told = {"etag": response.headers.get("etag", ""), "modified": response.headers.get("last-modified", "")}
    except TimeoutError:
        raise SourceTrouble(f"it did not answer within {settings.timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceTrouble(f"it cannot be fetched: {error or type(error).__name__}") from None
    return bytes(body), told


def _with(url: str, params: dict[str, str]) -> httpx.URL:
    """An address with more in its query; as httpx's own ``params`` it would stand there instead of what was there."""
    return httpx.URL(url).copy_merge_params(params) if params else httpx.URL(url)
