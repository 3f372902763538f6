"""What every answer tells a browser: run nothing, guess nothing, frame nothing, keep nothing that is not for all.

And how it travels: what people look at is compressed.
"""

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
# Swagger's page begins with a script of its own; what it shows is the interface alone.
_DOCS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
)
_DOCS += "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_YEAR_S = 31_536_000


# Programs at the SensorThings door want their answer soon rather than small. Who one is stays out too: that answer
# holds a secret, and how long a thing is when compressed tells of what is in it.
_AS_IT_IS = ("/v1.1", "/api/me")


class Packed(GZipMiddleware):
    """Middleware that compresses what pages are made of: HTML, styles, drawings, the JSON of the console."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=1024, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith(_AS_IT_IS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class SafeHeaders:
    """Middleware that adds the headers that an answer has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                make_safe(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, sent)


def make_safe(headers: MutableHeaders, scope: Scope) -> None:
    """Add to the headers of the answer to a request those that it has not set itself."""
    if scope["path"] == "/docs":
        headers["Content-Security-Policy"] = _DOCS
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    if any(name in (b"authorization", b"cookie") for name, _ in scope["headers"]):
        headers.setdefault("Cache-Control", "no-store")  # what a caller is told depends on who it is
        headers.add_vary_header("Authorization, Cookie")
    if scope["scheme"] == "https":
        headers.setdefault("Strict-Transport-Security", f"max-age={_YEAR_S}")
