"""The ASGI application of one city: the doors, the operators' interface and the first page."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from sqlalchemy.exc import DataError
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from civium import __version__
from civium.city import City
from civium.core import CiviumError, InputRefused
from civium.engines.passing import PASSING
from civium.web import (
    access,
    alarms,
    care,
    console,
    doors,
    events,
    interface,
    openid,
    pages,
    posts,
    public,
    scores,
    sensorthings,
    situations,
    sources,
    trials,
)
from civium.web import metrics as numbers
from civium.web.headers import Packed, SafeHeaders, make_safe
from civium.web.identity import Identified, allowed
from civium.web.limits import Buckets
from civium.web.rules import watches
from civium.web.state import sources_of, troubles_told, work_of
from civium.web.tracing import Traced

_MOST_WRONG = 5  # of what does not fit, in the message


def build_app(
    city: AbstractAsyncContextManager[City],
    hosts: list[str],
    roles: frozenset[str],
    origins: Sequence[str] = (),
    *,
    traced: bool = False,
) -> FastAPI:
    """The application; the city is opened when the server starts and closed when it stops.

    A process that is a ``door`` takes things in, one that is ``web`` shows and steers, any tells its health.

    ``hosts`` are the host names that a request may be addressed to: a page elsewhere that rebinds its own name to
    loopback is refused. Pages of some other ``origins`` may read and, with a token, write; never with a cookie.
    ``traced``: each request is a span.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with city as running:
            app.state.city = running
            app.state.hosts = frozenset(hosts)
            app.state.limits = Buckets()
            app.state.logins = {}  # that have begun at a provider
            yield

    rules = [Depends(allowed)]
    app = FastAPI(
        title="Civium", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, dependencies=rules
    )
    if "web" in roles:
        app.add_middleware(Packed)
    if "door" in roles:
        app.add_middleware(posts.Posts)
    app.add_middleware(doors.BoundedBodies)
    app.add_middleware(Identified)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["Authorization", "Content-Type"]
        )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(SafeHeaders)
    if traced:
        app.add_middleware(Traced)
    app.add_exception_handler(CiviumError, _refuse)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(doors.BodyTooLong, _too_long)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)
    for kind in PASSING:
        app.add_exception_handler(kind, _put_off)
    for kind in (OverflowError, DataError):
        app.add_exception_handler(kind, _out_of_range)
    app.get("/health", tags=["health"])(health)
    app.get("/ready", tags=["health"])(numbers.ready)
    app.get("/metrics", tags=["health"])(numbers.metrics)
    if "door" in roles:
        app.post("/bulk/observations", tags=["doors"], status_code=201)(doors.post_arrow)
        app.post("/api/register", tags=["doors"])(doors.post_register)
        app.post("/sources/{name}", tags=["doors"])(sources.post_source)
        app.post("/clock", tags=["doors"])(doors.post_clock)
    if "web" in roles:
        app.mount("/static/swagger", StaticFiles(directory=swagger_ui_path), name="swagger")
        app.mount("/static", pages.Static(directory=pages.STATIC), name="static")
        app.mount(
            "/console/assets", console.Assets(directory=console.BUILT / "assets", check_dir=False), name="console"
        )
        app.include_router(console.pages)
        app.include_router(console.router)
        app.include_router(events.router)
        app.include_router(scores.router)
        app.include_router(trials.router)
        app.include_router(interface.router)
        app.include_router(care.router)
        app.include_router(access.router)
        app.include_router(alarms.router)
        app.include_router(public.interface)
        app.include_router(public.router)
        app.include_router(situations.router)
        app.include_router(openid.router)
        app.include_router(pages.router)
        app.get("/docs", include_in_schema=False)(_docs)
    if roles & {"door", "web"}:
        sensorthings.mount(app)
    return app


async def health(request: Request) -> Response:
    """What this process does, and what troubles it; 503 while something does. Only staff are told the words."""
    city, caller = doors.city_of(request), doors.caller_of(request)
    troubles = troubles_told(city, caller)
    sources = sources_of(city) if watches(caller) else {}
    return doors.answer(
        {
            "roles": sorted(city.roles),
            "work": work_of(city, caller),
            "troubles": troubles,
            "sources": {name: one.trouble for name, one in sources.items()},  # not ours: the city is well
        },
        503 if troubles else 200,
    )


async def _docs() -> Response:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Civium API",
        swagger_js_url="/static/swagger/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger/swagger-ui.css",
        swagger_favicon_url="/static/swagger/favicon-32x32.png",
    )


async def _put_off(_: Request, error: Exception) -> Response:
    return doors.put_off(error)


async def _out_of_range(_: Request, __: Exception) -> Response:
    """The answer to a number that no column of the catalogue or of the history holds."""
    return doors.refusal(InputRefused("a number in this request is beyond 64 bits"))


async def _unfit(_: Request, error: Exception) -> Response:
    """The answer to a request of another form than the interface has. What came is not repeated: it may be a token, or
    what JSON cannot say."""
    assert isinstance(error, RequestValidationError)
    detail = [
        {"type": one["type"], "loc": [str(part).encode("utf-8", "replace").decode() for part in one["loc"]],
         "msg": one["msg"].encode("utf-8", "replace").decode()}
        for one in error.errors()
    ]  # fmt: skip
    why = "; ".join(f"{'.'.join(one['loc'])}: {one['msg']}" for one in detail[:_MOST_WRONG])
    return doors.answer({"code": 422, "type": "error", "message": why, "detail": detail}, 422)


async def _too_long(_: Request, error: Exception) -> Response:
    assert isinstance(error, doors.BodyTooLong)
    return doors.refusal(InputRefused(error.detail, status=413))


async def _failed(request: Request, _: Exception) -> Response:
    """The answer to a fault of ours, whose story is in the log alone. It is made outside of all middleware."""
    response = doors.answer(
        {"code": 500, "type": "error", "message": "this city made an error; its log says which"}, 500
    )
    make_safe(response.headers, request.scope)
    return response


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody reads it: the caller went away, or broke off what cannot be read, in the middle of a body."""
    return Response(status_code=400)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, CiviumError)
    return doors.refusal(error)
