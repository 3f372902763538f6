"""Who asks: each request has its caller before anything else looks at it, and each route says who may come.

A program sends its token in ``Authorization: Bearer``, or where it knows no other way as the password of ``Basic``,
whatever the name. A browser sends the cookie that a login gave it; with that a change needs the header
``X-Civium-CSRF`` too, which no page elsewhere can know. A change that a page elsewhere begins is refused whoever it is
from.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civium.city import City
from civium.core import InputRefused
from civium.core.rights import Caller
from civium.engines.rights import NONE_KNOWN
from civium.web.doors import CALLER, caller_of, refusal
from civium.web.limits import FAILURES, Buckets
from civium.web.rules import RULES, Need, NotAllowed, meets

COOKIE = "civium_session"
_SAFE = ("GET", "HEAD", "OPTIONS")
_OWN_TOKENS = "/sources/"  # what posts there shows the token of its source
_WANTED = (b"authorization", b"cookie", b"x-civium-csrf", b"origin", b"sec-fetch-site", b"host")
_KEPT = "civium.cookie"
_WRONG = "civium.wrong"  # where a request keeps that its token is none


class Identified:
    """Middleware that finds out who asks, before any body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        city: City = scope["app"].state.city

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                _note(scope, city)
            await send(message)

        try:
            scope[CALLER], scope[_KEPT] = _recognise(scope, city)
            _count(scope, city)
        except InputRefused as error:
            if scope["type"] == "http":
                await refusal(error)(scope, receive, watched)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:100]})
            return
        await self._app(scope, receive, watched)


def _note(scope: Scope, city: City) -> None:
    """A request was refused for who asked; what shows no token and needs one is no attempt."""
    if scope.get(_WRONG):
        city.doorkeeper.refusals.wrong_token("http", _address(scope))
    elif (caller := scope.get(CALLER)) is not None and caller.token:
        city.doorkeeper.refusals.beyond(caller.name, _address(scope))


def cookie_of(scheme: str) -> str:
    """The name of a session's cookie; over TLS one that no other host can set."""
    return COOKIE if scheme in ("http", "ws") else f"__Host-{COOKIE}"


async def allowed(request: Request) -> None:
    """Let only those pass for whom the route is; one that no rule speaks of is for administrators alone."""
    route = request.scope.get("route")
    need = RULES.get(f"{request.method} {getattr(route, 'path', '')}", Need.ADMINISTRATOR)
    caller = caller_of(request)
    if not meets(caller, need):
        raise NotAllowed(caller, need)


def keep_cookie(request: Request, secret: str) -> None:
    """Know the cookie that the answer sets, as if the request had brought it."""
    request.scope[_KEPT] = secret


def csrf_of(request: Request) -> str:
    """What the header X-Civium-CSRF must say with this caller's cookie; empty for who has none."""
    secret: str = request.scope.get(_KEPT, "")
    return _csrf(secret) if secret else ""


def bearer(authorization: bytes) -> bytes | None:
    """The token in a header ``Authorization``; None for another scheme."""
    scheme, _, given = authorization.partition(b" ")
    return given.strip() if scheme.lower() == b"bearer" else None


def _password(authorization: bytes) -> bytes | None:
    """The password in a header ``Authorization: Basic``; None for another scheme."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(given.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Asked:
    authorization: bytes
    cookie: bytes
    csrf: bytes
    origin: bytes
    site: bytes
    host: bytes


def unknown_token(scope: Scope, why: str = NONE_KNOWN) -> InputRefused:
    """The refusal of a token that is none; too many of them from one address are a refusal of another kind."""
    limits: Buckets = scope["app"].state.limits
    scope[_WRONG] = True
    limits.take(f"failed {_address(scope)}", FAILURES, "too many tokens from this address were none")
    return InputRefused(why, status=401)


def _count(scope: Scope, city: City) -> None:
    """Refuse (429) a caller that comes more often than it may."""
    caller: Caller = scope[CALLER]
    if rate := caller.rate or city.settings.rights.requests_per_s:
        limits: Buckets = scope["app"].state.limits
        who = f"token {caller.token}" if caller.token else f"{caller.name} {_address(scope)}"
        limits.take(who, rate, f"'{caller.name}' may come {rate:g} times a second")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _recognise(scope: Scope, city: City) -> tuple[Caller, str]:
    """The caller, and its cookie if that is how it is known."""
    rights = city.rights
    asked = _asked(scope["headers"])
    changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
    if changes and _from_elsewhere(asked, city.settings.rights.origins):
        raise InputRefused("a page of another host may not change anything here", status=403)
    if asked.authorization and not scope["path"].startswith(_OWN_TOKENS):
        secret = bearer(asked.authorization) or _password(asked.authorization)
        caller = None if secret is None else rights.caller(secret)
        if caller is None:
            raise unknown_token(scope)
        return caller, ""
    if asked.cookie and (given := _session(asked.cookie, cookie_of(scope["scheme"]))):
        caller = rights.caller(given.encode())
        if caller is not None:
            if scope["type"] == "http" and changes and not hmac.compare_digest(asked.csrf, _csrf(given).encode()):
                raise InputRefused("a change with a cookie needs the header X-Civium-CSRF; ask GET /api/me", status=403)
            return caller, given
    return rights.public, ""


def _asked(headers: Sequence[tuple[bytes, bytes]]) -> _Asked:
    found = dict.fromkeys(_WANTED, b"")
    for name, value in headers:
        if name in found and not found[name]:  # the first of a name counts
            found[name] = value
    return _Asked(*found.values())


def _from_elsewhere(asked: _Asked, welcome: Sequence[str]) -> bool:
    """Whether a browser says that a page of another origin, which is not welcome, has begun this."""
    if asked.origin:
        if asked.origin.decode("latin-1") in welcome and not asked.cookie:
            return False
        return asked.origin.partition(b"://")[2] != asked.host
    return asked.site in (b"cross-site", b"same-site")


def _session(cookie: bytes, name: str) -> str:
    try:
        found = SimpleCookie(cookie.decode("latin-1")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _csrf(secret: str) -> str:
    return urlsafe_b64encode(hmac.digest(secret.encode("utf-8", "replace"), b"csrf", sha256)).decode().rstrip("=")
