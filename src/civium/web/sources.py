"""The door for foreign systems that post: ``POST /sources/NAME`` with the token of that source."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from civium.core import InputRefused
from civium.sources.feeds.source import SecretMissing
from civium.web.doors import answer, body_of, city_of, key_of, later
from civium.web.identity import unknown_token

_SHOWN = 100


async def post_source(name: str, request: Request) -> Response:
    """What a foreign system posts, in its own form. The token stands in ``Authorization: Bearer`` or ``X-Api-Key``.

    201: stored, or known already; 202: some of it became dead letters, which the answer lists.
    """
    source = city_of(request).sources.by_name.get(name)
    given = request.headers.get("x-api-key", "")
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given = credentials.strip()
    if source is None or not source.posted:  # a stranger learns no names: as for a wrong token
        raise _unknown(request, name, given)
    try:
        allowed = source.allows(given)
    except SecretMissing as error:
        source.sink.failure = str(error)
        return later("this source has no token in the city's environment yet; its operator must set it")
    if not allowed:
        raise _unknown(request, name, given)
    body = await body_of(request, int(source.settings.max_body_mb * 1024 * 1024))
    key = key_of(request.headers.get("idempotency-key", "").encode("latin-1"))
    try:
        taken = await source.receive(body, request.headers, key and f"source/{name}/{key}")
    except SecretMissing as error:
        source.sink.failure = str(error)
        return later("this source lacks a secret in the city's environment; its operator must set it")
    source.sink.well()
    content = {"stored": taken.stored, "repeated": taken.repeated, "refused_count": len(taken.refused)}
    refused: list[dict[str, Any]] = [{"stream": about, "why": why} for about, why in taken.refused[:_SHOWN]]
    return answer({**content, "refused": refused}, 202 if taken.refused else 201)


def _unknown(request: Request, name: str, given: str) -> InputRefused:
    why = f"no source '{name}' takes what was shown: see to its name, and send its token as Authorization: Bearer"
    return unknown_token(request.scope, why) if given else InputRefused(why, status=401)
