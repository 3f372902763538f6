"""Tokens over HTTP, and the login of a browser: who am I, who may come in, who may no longer."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from civium.audit import audit
from civium.core import to_datetime
from civium.core.rights import Caller, Role, read_scope
from civium.web.doors import answer, caller_of, city_of
from civium.web.identity import cookie_of, csrf_of, keep_cookie, unknown_token

router = APIRouter(prefix="/api", tags=["rights"])


class Login(BaseModel):
    """The token of who logs in."""

    token: str = Field(min_length=1, max_length=500)


class TokenWish(BaseModel):
    """A token to be made; ``days`` until it ends, never without.

    ``requests_per_s`` and ``max_body_mb`` are limits of its own; 0: those of the city.
    """

    name: str = Field(max_length=200)
    role: Role
    scopes: dict[str, Any] = {}
    days: float | None = None
    requests_per_s: float = Field(0.0, ge=0, le=1e6)
    max_body_mb: float = Field(0.0, ge=0, le=1e4)
    why: str = Field("", max_length=1000)


@router.get("/me")
async def who_am_i(request: Request) -> Response:
    """Who asks: name, role, scopes, when the token ends, and what X-Civium-CSRF must say if a cookie told it."""
    return answer({**_told(caller_of(request)), "csrf": csrf_of(request)}, headers=_UNKEPT)


@router.post("/login")
async def login(request: Request, wish: Login) -> Response:
    """Log a browser in with a token: the answer sets a cookie, and says what X-Civium-CSRF must say from now on."""
    caller = city_of(request).rights.caller(wish.token.encode())
    if caller is None:
        raise unknown_token(request.scope)
    if csrf_of(request):  # who logs in anew leaves no session behind
        before = caller_of(request)
        await city_of(request).tokens.end_session(before.token, who=before.signed())
    return await open_session(request, caller, "logged in with a token")


@router.post("/logout")
async def logout(request: Request) -> Response:
    """Log a browser out."""
    caller = caller_of(request)
    if csrf_of(request):
        await city_of(request).tokens.end_session(caller.token, who=caller.signed())
    response = answer(_told(city_of(request).rights.public))
    scheme = request.url.scheme
    response.delete_cookie(cookie_of(scheme), path="/", httponly=True, samesite="strict", secure=scheme == "https")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def open_session(request: Request, caller: Caller, why: str) -> Response:
    """The answer that logs a browser in with the rights of a caller."""
    city = city_of(request)
    session, secret = await city.tokens.open_session(caller, who=caller.signed(), why=why)
    keep_cookie(request, secret)
    response = answer({**_told(session), "csrf": csrf_of(request)}, headers=_UNKEPT)
    assert session.expires is not None
    response.set_cookie(
        cookie_of(request.url.scheme),
        secret,
        max_age=(session.expires - city.wall.now()) // 1_000_000,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.get("/audit")
async def read_audit(
    request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50, before: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    """The last changes of things, streams, tokens, mandates, parameters and the switch: who, what, before and after."""
    return answer(await audit(city_of(request), limit, before), headers=_UNKEPT)


@router.get("/tokens")
async def list_tokens(request: Request) -> Any:
    """Every token, revoked ones too, the newest first. What a token says is kept nowhere."""
    return [_row(row) for row in city_of(request).tokens.listed()]


@router.post("/tokens", status_code=201)
async def make_token(request: Request, wish: TokenWish) -> Response:
    """Make a token. Its ``token`` stands in this answer and nowhere else."""
    tokens = city_of(request).tokens
    scope, who = read_scope(wish.scopes), caller_of(request).signed()
    limits = {"rate": wish.requests_per_s, "most_mb": wish.max_body_mb}
    row, secret = await tokens.make(wish.name, wish.role, scope, wish.days, who=who, why=wish.why, **limits)
    return answer({**_row(row), "token": secret}, 201, _UNKEPT)


@router.delete("/tokens/{token}")
async def revoke_token(request: Request, token: int, why: Annotated[str, Field(max_length=1000)] = "") -> Any:
    """Revoke a token: from now on nobody comes in with it, nor with a login that it opened."""
    return _row(await city_of(request).tokens.revoke(token, who=caller_of(request).signed(), why=why))


_UNKEPT = {"Cache-Control": "no-store"}


def _told(caller: Caller) -> dict[str, Any]:
    ends = {"expires": _when(caller.expires), "may_write": caller.trusted or caller.role is not Role.PUBLIC}
    return {"name": caller.name, "role": caller.role, "scopes": caller.scope.told(), **ends}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    instants = {name: _when(row.get(name)) for name in ("made", "expires", "revoked")}
    limits = {"requests_per_s": row["rate"], "max_body_mb": row["most_mb"]}
    of = {"id": row["id"], "name": row["name"], "role": row["role"], "scopes": json.loads(row["scope"])}
    return {**of, **limits, **instants}


def _when(instant: int | None) -> str | None:
    return None if instant is None else to_datetime(instant).isoformat()
