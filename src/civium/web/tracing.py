"""A span for each request, with the route that answered it; see ``core.traces``."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civium.core.traces import span
from civium.web.doors import CALLER

_CARRIED = (b"traceparent", b"tracestate")


class Traced:
    """Middleware around all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carried = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED}
        with span(scope["method"], carried) as told:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    told.set_attribute("http.response.status_code", message["status"])
                await send(message)

            told.set_attribute("http.request.method", scope["method"])
            try:
                await self._app(scope, receive, watched)
            finally:
                route = getattr(scope.get("route"), "path", "")
                if route:
                    told.set_attribute("http.route", route)
                if (caller := scope.get(CALLER)) is not None:
                    told.set_attribute("civium.role", str(caller.role))
