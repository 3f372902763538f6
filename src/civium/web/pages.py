"""The first page and the pages of decisions: the city at a glance, served whole, so that they need no script.

A script of ours asks for the page again every two seconds and changes what is different. Nothing comes from another
host, and no script or style stands inside a page: the Content-Security-Policy would not run it.
"""

import asyncio
from collections import defaultdict
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import func, select
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from civium import __version__
from civium.city import City
from civium.core import CiviumError, InputRefused, to_datetime
from civium.ledger.projection import COMMANDS, DECISIONS, NOTICES
from civium.ledger.story import story
from civium.web.doors import caller_of, city_of
from civium.web.dots import dot_layers
from civium.web.ground import Ground, ground_of
from civium.web.language import COOKIE, LANGUAGES, words_of
from civium.web.state import city_state, practices_state
from civium.web.telling import tell
from civium.web.told import Told

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).with_name("static")
_LAST = 8  # decisions and notices on the first page
_PATIENCE_S = 2.0  # with a store that lags: the page then shows what is there
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MAP_HEADERS = {  # a drawing may carry its own style, and nothing else
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
KEEP = "public, max-age=31536000, immutable"  # what is asked for by its content's digest
_KEEP_A_DAY = "public, max-age=86400"
# In the order in which a command goes through them.
_FATES = (
    "confirmed",
    "sent",
    "admitted",
    "pending",
    "advised",
    "refused",
    "failed",
    "overridden",
    "released",
    "lapsed",
)


def _digest() -> str:
    """Of all that lies in ``static``: a page asks for it by this, so that a browser may keep it for good."""
    own = blake2b(digest_size=8)
    for file in sorted(STATIC.iterdir()):
        own.update(file.read_bytes())
    return own.hexdigest()


VERSION = _digest()


class Static(StaticFiles):
    """Styles, scripts and the city's sign."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        asked = scope["query_string"] == f"v={VERSION}".encode()
        response.headers["Cache-Control"] = KEEP if asked else _KEEP_A_DAY
        return response


@router.get("/")
async def first_page(request: Request) -> Response:
    """The first page."""
    city = city_of(request)
    await _settled(city)
    caller, told = caller_of(request), Told(city, caller_of(request))
    state = await city_state(city, caller)
    ground = await asyncio.to_thread(_ground, city)
    layers, frame = await dot_layers(city, caller, state["things"], ground.frame if ground else None)
    return page(
        request,
        "first.html",
        state=state,
        begun=city.clock.now() > 0,
        practices=[_with_fates(row) for row in await practices_state(city, told)],
        decisions=await asyncio.to_thread(lambda: told.rows(_last_decisions(city))),
        notices=await asyncio.to_thread(_last_notices, city, told),
        ground=ground,
        frame=frame,
        layers=layers,
    )


@router.get("/map.svg")
async def ground_map(request: Request) -> Response:
    """The city model as a drawing."""
    ground = await asyncio.to_thread(_ground, city_of(request))
    if ground is None:
        raise InputRefused("this city has no city model; make one with: civium twin build", status=404)
    keep = KEEP if request.query_params.get("v") == ground.version else _KEEP_A_DAY
    return Response(ground.svg, headers={**_MAP_HEADERS, "Cache-Control": keep}, media_type="image/svg+xml")


@router.get("/decisions/{decision}")
async def decision_page(request: Request, decision: str) -> Response:
    """The story of one decision."""
    city = city_of(request)
    try:
        told = await story(city.ledger, city.catalog, decision, Told(city, caller_of(request)))
    except InputRefused as error:
        return page(request, "missing.html", error.status, why=str(error))
    return page(request, "decision.html", told=told, words=tell(told, words_of(request)))


async def _settled(city: City) -> None:
    try:
        await asyncio.wait_for(city.read_barrier(), _PATIENCE_S)
    except (CiviumError, TimeoutError):
        return  # the page says what troubles the city


def _ground(city: City) -> Ground | None:
    return ground_of(city.folder / "twin")


def _with_fates(practice: dict[str, Any]) -> dict[str, Any]:
    return {**practice, "fates": _in_order(practice.get("commands", {}))}


def _in_order(fates: dict[str, int]) -> list[tuple[str, int]]:
    return [(what, fates[what]) for what in _FATES if fates.get(what)]


def _last_decisions(city: City) -> list[dict[str, Any]]:
    """The last decisions, newest first, at least a few of each practice."""
    rows = city.ledger.projection.rows
    newest: dict[str, dict[str, Any]] = {}
    practices = [None, *city.turns.practices.found]
    for practice in practices:
        query = select(DECISIONS).order_by(DECISIONS.c.seq.desc())
        query = query.limit(_LAST) if practice is None else query.where(DECISIONS.c.practice == practice).limit(3)
        newest |= {row["id"]: row for row in rows(query)}
    fates: dict[str, dict[str, int]] = defaultdict(dict)
    query = (
        select(COMMANDS.c.decision, COMMANDS.c.status, func.count().label("n"))
        .where(COMMANDS.c.decision.in_(list(newest)))
        .group_by(COMMANDS.c.decision, COMMANDS.c.status)
    )
    for row in rows(query):
        fates[row["decision"]][row["status"]] = row["n"]
    told = sorted(newest.values(), key=lambda row: -row["seq"])
    return [{**row, "fates": _in_order(fates[row["id"]])} for row in told]


def _last_notices(city: City, told: Told) -> list[dict[str, Any]]:
    query = select(NOTICES).where(told.notices())
    query = query.order_by(NOTICES.c.at.desc(), NOTICES.c.decision, NOTICES.c.number).limit(_LAST)
    return city.ledger.projection.rows(query)


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page in the reader's language, which is remembered where it was chosen by ``?lang=``."""
    t = words_of(request)
    given = {"version": __version__, "built": VERSION, "t": t, "languages": LANGUAGES, "path": request.url.path}
    html = _TEMPLATES.get_template(template).render(city=city_of(request).settings.name, **given, **values)
    response = HTMLResponse(html, status, _HEADERS)
    if "lang" in request.query_params:
        response.set_cookie(COOKIE, t.language, max_age=31_536_000, samesite="lax", httponly=True)
    return response


def _moment(instant: int | str) -> datetime:
    return to_datetime(instant) if isinstance(instant, int) else datetime.fromisoformat(instant)


def _clock(instant: int | str) -> str:
    return f"{_moment(instant):%H:%M:%S}"


def _date(instant: int | str, language: str = "en") -> str:
    moment = _moment(instant)
    if language == "zh-Hans":
        return f"{moment.year}年{moment.month}月{moment.day}日，星期{'一二三四五六日'[moment.weekday()]}"
    return f"{moment:%A}, {moment.day} {moment:%B %Y}"


def _number(value: float) -> str:
    return f"{value:,}".replace(",", "\u202f")  # a narrow space, as SI writes large numbers


_TEMPLATES = Environment(
    loader=PackageLoader("civium.web"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"clock": _clock, "date": _date, "number": _number, "iso": lambda i: _moment(i).isoformat()}
