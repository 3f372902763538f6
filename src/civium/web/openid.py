"""Login by OpenID Connect: a provider vouches for a person, and the settings say what its words mean here.

The code flow with PKCE. What comes back is tied to the browser that began by a cookie, to the request by ``state``, and
to the ID token by ``nonce``; the token must be signed by a key of the provider, for this city, and not be over.
"""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import APIRouter, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import HTMLResponse, RedirectResponse, Response

from civium.core import InputRefused
from civium.core.rights import NO_SCOPE, Caller, Role, Scope, read_scope
from civium.engines.settings import OpenId
from civium.web.access import open_session
from civium.web.doors import city_of
from civium.web.limits import Buckets

router = APIRouter(prefix="/api/login/openid", tags=["rights"])
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_BROWSER = "civium_login"
_PATIENCE_S = 600  # for a person to log in at the provider
_MOST_BEGUN = 10_000
_BEGUN_PER_S = 2.0  # from one address: it cannot keep others from logging in
_LEEWAY_S = 60
_AGAIN = '<!doctype html><title>Civium</title><meta http-equiv="refresh" content="0; url=/"><a href="/">Go on</a>'


@dataclass(frozen=True, slots=True)
class _Begun:
    browser: str
    nonce: str
    verifier: str
    until: float


@router.get("")
async def begin(request: Request) -> Response:
    """Send the browser to the provider."""
    openid = _settings(request)
    limits: Buckets = request.app.state.limits
    address = request.client.host if request.client else ""
    limits.take(f"login {address}", _BEGUN_PER_S, "too many logins were begun from this address")
    provider = await _provider(openid)
    begun: dict[str, _Begun] = request.app.state.logins
    now = time.monotonic()
    for state in [state for state, one in begun.items() if one.until < now]:
        del begun[state]
    if len(begun) >= _MOST_BEGUN:
        raise InputRefused("too many logins have begun; come again in a minute", status=503)
    state, browser, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(4))
    begun[state] = _Begun(browser, nonce, verifier, now + _PATIENCE_S)
    asked = {
        "response_type": "code",
        "client_id": openid.client_id,
        "redirect_uri": _back(request),
        "scope": "openid profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    answer = RedirectResponse(f"{provider['authorization_endpoint']}?{urlencode(asked)}", 303)
    secure = request.url.scheme == "https"
    name = _cookie(request)
    answer.set_cookie(name, browser, max_age=_PATIENCE_S, path="/", httponly=True, samesite="lax", secure=secure)
    return answer


@router.get("/return")
async def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """Take the browser in that the provider sends back."""
    openid = _settings(request)
    begun: _Begun | None = request.app.state.logins.pop(state, None)
    browser = request.cookies.get(_cookie(request), "").encode()
    if begun is None or begun.until < time.monotonic() or not secrets.compare_digest(begun.browser.encode(), browser):
        raise InputRefused("this login was not begun in this browser, or too long ago: begin again", status=400)
    if not code:
        raise InputRefused("the provider did not let you in", status=403)
    claims = await _claims(openid, code, begun, _back(request))
    caller = _caller(openid, claims)
    answer = await open_session(request, caller, f"logged in as '{claims['sub']}' of {openid.issuer}")
    page = HTMLResponse(_AGAIN)  # the browser goes on by itself: a redirect from elsewhere would not take the cookie
    page.headers["set-cookie"] = answer.headers["set-cookie"]
    secure = request.url.scheme == "https"
    page.delete_cookie(_cookie(request), path="/", httponly=True, samesite="lax", secure=secure)
    return page


def _cookie(request: Request) -> str:
    """The name of the cookie of a login that has begun; over TLS one that no other host can set."""
    return f"__Host-{_BROWSER}" if request.url.scheme == "https" else _BROWSER


def _settings(request: Request) -> OpenId:
    openid = city_of(request).settings.openid
    if not openid.issuer:
        raise InputRefused("no provider vouches for people here: set openid.issuer", status=404)
    return openid


def _back(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}{router.prefix}/return"


async def _provider(openid: OpenId) -> dict[str, Any]:
    """What the provider tells of itself; raises InputRefused (502) when it is not the one that was set."""
    told = await _asked("GET", f"{openid.issuer.rstrip('/')}/.well-known/openid-configuration")
    if told.get("issuer") != openid.issuer:
        raise InputRefused("the provider calls itself otherwise than openid.issuer says", status=502)
    return told


async def _claims(openid: OpenId, code: str, begun: _Begun, back: str) -> dict[str, Any]:
    """The claims of the ID token that a code is worth; raises InputRefused (403, 502)."""
    provider = await _provider(openid)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "client_id": openid.client_id,
        "code_verifier": begun.verifier,
    }
    name = openid.client_secret.removeprefix("env:")
    secret = os.environ.get(name, "") if name else ""
    login = httpx.BasicAuth(openid.client_id, secret) if secret else None
    given, keys = await asyncio.gather(
        _asked("POST", provider["token_endpoint"], data=form, auth=login), _asked("GET", provider["jwks_uri"])
    )
    registry = jwt.JWTClaimsRegistry(
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": openid.issuer},
        aud={"essential": True, "value": openid.client_id},
        nonce={"essential": True, "value": begun.nonce},
        sub={"essential": True},
        exp={"essential": True},
    )
    try:
        token = jwt.decode(given["id_token"], KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]  # JSON, which it checks
        registry.validate(token.claims)
    except (JoseError, KeyError, ValueError) as error:
        raise InputRefused(f"the provider's ID token does not hold: {type(error).__name__}", status=403) from None
    return token.claims


async def _asked(method: str, url: str, **more: Any) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(timeout=20, follow_redirects=False) as http:
            answer = await http.request(method, url, **more)
            answer.raise_for_status()
            told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise InputRefused(f"the provider does not answer as it should: {type(error).__name__}", status=502) from None
    return told


def _caller(openid: OpenId, claims: dict[str, Any]) -> Caller:
    """Who a person is here; the first of its values that has a role counts."""
    told = claims.get(openid.claim, [])
    values = told if isinstance(told, list) else [told]
    for value in map(str, values):
        if value in openid.roles:
            scope = read_scope(openid.scopes[value]) if value in openid.scopes else NO_SCOPE
            return _person(claims, Role(openid.roles[value]), scope)
    raise InputRefused(f"none of your {openid.claim} has a role here: ask an administrator", status=403)


def _person(claims: dict[str, Any], role: Role, scope: Scope) -> Caller:
    name = str(claims.get("preferred_username") or claims["sub"])[:100]
    return Caller("".join(filter(str.isprintable, name)), role, scope)
